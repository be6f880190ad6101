package lut

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"densenas/supernet/space"
)

// Bounds of a table.
const (
	MaxEntries = 100_000
	MaxBatch   = 65_536

	maxFile        = 64 << 20 // bytes
	maxMS          = 1e9      // eleven days for one op
	maxText        = 500      // bytes of a text
	maxNotes       = 1000
	maxFlags       = 16
	maxKey         = 200 // bytes; the longest valid one has less
	maxResolutions = 100
	maxProcessors  = 1 << 16
)

// Unit is the unit of every time in a table; there is no other.
const Unit = "ms"

// Device is what identifies the device that a table was measured on. Fields that are unknown are zero.
type Device struct {
	Model           string `json:"model"` // of the processor or accelerator; never empty
	Vendor          string `json:"vendor,omitempty"`
	Architecture    string `json:"architecture,omitempty"` // as Go names it: amd64, arm64
	Features        string `json:"features,omitempty"`     // instruction sets that matter, by spaces
	Cores           int    `json:"cores,omitempty"`        // physical
	LogicalCPUs     int    `json:"logical_cpus,omitempty"` // that this process may use
	MinMHz          int    `json:"min_mhz,omitempty"`
	MaxMHz          int    `json:"max_mhz,omitempty"`
	Governor        string `json:"governor,omitempty"` // of the clock
	MemoryMB        int    `json:"memory_mb,omitempty"`
	OperatingSystem string `json:"operating_system,omitempty"`
	Kernel          string `json:"kernel,omitempty"`
}

// Runtime is what ran the ops.
type Runtime struct {
	Name    string `json:"name"` // "go", "xla", …; never empty
	Version string `json:"version,omitempty"`
	Plugin  string `json:"plugin,omitempty"` // build of the plugin, or of the library
	// Settings of ONNX Runtime; zero for others.
	Provider     string `json:"provider,omitempty"`     // that executed operators: "cpu", …
	Optimization string `json:"optimization,omitempty"` // of graphs: "all", …
	NoArena      bool   `json:"no_arena,omitempty"`     // memory was taken from the system in each call
}

// Policy is how the entries were sampled. Zero fields were not limited, or are unknown.
type Policy struct {
	Precision    float64 `json:"precision,omitempty"`      // aimed half-width of the interval, relative to the median: 0.01
	MinRounds    int     `json:"min_rounds,omitempty"`     // before the first look at the interval
	MaxRounds    int     `json:"max_rounds,omitempty"`     // at most, per op
	WarmUpMS     float64 `json:"warm_up_ms,omitempty"`     // at least, per op
	MinLapMS     float64 `json:"min_lap_ms,omitempty"`     // a timed lap repeats short ops until it lasts as long
	OpLimitMS    float64 `json:"op_limit_ms,omitempty"`    // at most, per op; entries that meet it are flagged noisy
	TotalLimitMS float64 `json:"total_limit_ms,omitempty"` // at most, for all ops
	Seed         int64   `json:"seed,omitempty"`           // of inputs, weights and order
}

// The types of numbers that operations are measured with, and networks are trained in.
const (
	F32  = "f32"
	BF16 = "bf16"
	F16  = "f16"
)

// What caches hold when an op is called.
const (
	// Warm: the op's own input and weights, as after a call of the same op.
	Warm = "warm"
	// Cold: what other ops left there, as in a network.
	Cold = "cold"
)

// Sentinel is an op that is measured again in every round. Its entry is among the others if the plan has it.
type Sentinel struct {
	Key      string  `json:"key"`
	MedianMS float64 `json:"median_ms"` // over all rounds that count
	// Drift is the ratio of the sentinel's time in a round to its median: percentiles over the rounds that count.
	DriftP10 float64 `json:"drift_p10"`
	DriftP90 float64 `json:"drift_p90"`
	Rounds   int     `json:"rounds"`    // that count
	Dropped  int     `json:"discarded"` // rounds that do not, because the sentinel was off
}

func (s *Sentinel) check() error {
	if s == nil {
		return nil
	}
	if _, err := space.ParseKey(s.Key); err != nil {
		return err
	}
	if !(s.MedianMS > 0 && s.MedianMS <= maxMS) {
		return fmt.Errorf("median_ms is %g, allowed is above 0 to %g", s.MedianMS, maxMS)
	}
	if !(s.DriftP10 > 0 && s.DriftP10 <= s.DriftP90 && s.DriftP90 <= maxMS) {
		return fmt.Errorf("drift_p10 %g and drift_p90 %g: allowed is above 0 in ascending order", s.DriftP10, s.DriftP90)
	}
	if s.Rounds < 1 || s.Dropped < 0 {
		return fmt.Errorf("rounds is %d and discarded %d, allowed is from 1 and from 0", s.Rounds, s.Dropped)
	}
	return nil
}

// Table holds what was measured, as it was measured. Read checks a table; one that is built by hand is checked by Write.
type Table struct {
	Device  Device  `json:"device"`
	Runtime Runtime `json:"runtime"`
	Threads int     `json:"threads,omitempty"` // 0: unknown, or not the host's
	// Processors are the numbers of those that all threads were bound to, ascending; none: those that the process was given.
	Processors  []int  `json:"processors,omitempty"`
	Batch       int    `json:"batch"`
	Resolutions []int  `json:"resolutions"` // sides of the network inputs that it was measured for, ascending
	DType       string `json:"dtype"`       // f32, bf16 or f16
	Layout      string `json:"layout"`      // nhwc or nchw
	// What the processor's caches held when an op was called: Warm or Cold; empty in an imported table, which does not say.
	Caches string `json:"caches,omitempty"`
	// The median time of an empty call with its 95 % interval; 0 where calls are not in the entries, or it is unknown.
	CallMS     float64 `json:"call_ms"`
	CallLowMS  float64 `json:"call_low_ms"`
	CallHighMS float64 `json:"call_high_ms"`
	Policy     *Policy `json:"policy,omitempty"`
	// Sentinel is the op that ran in every round, and tells how steady the device was; nil in an imported table.
	Sentinel *Sentinel `json:"sentinel,omitempty"`
	// Warnings are about the state of the device when it was measured, as the profiler's doctor gives them.
	Warnings []string `json:"warnings,omitempty"`
	Notes    []string `json:"notes,omitempty"`
	// Verification is nil in a table that was not held against whole networks.
	Verification *Verification `json:"verification,omitempty"`
	// Entries of a table that was read may be changed, added and removed; a key that is to stand at one more place is added.
	Entries []Entry `json:"entries"`

	path  string // where it was read from, for messages
	index *index // of a table that was read; nil in one that was built
}

// Entry is the time of one op, or of the stem and the first block as one, with the call in it.
type Entry struct {
	// Key is an op's key, or two joined by +: stem_k3_i3_o16_s2_r224+mbconv_k3_t1_i16_o16_s1_r112.
	Key string `json:"key"`
	// Position says at which place of a space the op was measured; nil: it holds at every place. Among entries with
	// positions a key may stand more than once.
	Position *Position `json:"position,omitempty"`
	MedianMS float64   `json:"median_ms"`
	// The 95 % interval of the median, median absolute deviation, percentiles, minimum and number of timed laps and of
	// rounds. All are 0 in an entry that was imported from a table that does not say them.
	LowMS        float64  `json:"low_ms,omitempty"`
	HighMS       float64  `json:"high_ms,omitempty"`
	MADMS        float64  `json:"mad_ms,omitempty"`
	P10MS        float64  `json:"p10_ms,omitempty"`
	P90MS        float64  `json:"p90_ms,omitempty"`
	MinMS        float64  `json:"min_ms,omitempty"`
	Count        int      `json:"count,omitempty"`
	Rounds       int      `json:"rounds,omitempty"`
	Flags        []string `json:"flags,omitempty"`         // "noisy", "throttled", …
	Lowering     string   `json:"lowering,omitempty"`      // how the op was written, where there was a choice: "taps", "grouped"
	MultiplyAdds int64    `json:"multiply_adds,omitempty"` // of one image
}

// HasInterval says whether the entry was measured with statistics; an imported one may have only its median.
func (e *Entry) HasInterval() bool { return e.Count > 0 }

// Ops parses the key: one op, or the stem and the first block's.
func (e *Entry) Ops() ([]space.Op, error) {
	first, second, composite := strings.Cut(e.Key, "+")
	a, err := space.ParseKey(first)
	if err != nil {
		return nil, err
	}
	if !composite {
		return []space.Op{a}, nil
	}
	b, err := space.ParseKey(second)
	if err != nil {
		return nil, err
	}
	if a.Kind != space.Stem || b.Kind != space.MBConv && b.Kind != space.Basic || a.Out != b.In || a.OutResolution() != b.Resolution {
		return nil, fmt.Errorf("key %.120q: only a stem and the block that follows it are joined by +", e.Key)
	}
	return []space.Op{a, b}, nil
}

// StemAndFirst is the kind of an entry that holds the stem and the first block as one.
const StemAndFirst = "stem + first"

// Kind is the kind of the entry's op as text, "mbconv", or StemAndFirst.
func (e *Entry) Kind() string {
	if strings.Contains(e.Key, "+") {
		return StemAndFirst
	}
	kind, _, _ := strings.Cut(e.Key, "_")
	return kind
}

// place tells entries of a table apart.
type place struct {
	key               string
	block, head, lane int
}

func (e *Entry) place() place {
	switch p := e.Position; {
	case p == nil:
		return place{key: e.Key, block: -1}
	case p.Connection != nil:
		return place{e.Key, p.Block, 1, *p.Connection}
	case p.Layer != nil:
		return place{e.Key, p.Block, 0, *p.Layer}
	default: // Check refuses it
		return place{e.Key, p.Block, -1, 0}
	}
}

// Name is the key, and the place where there is one, for messages.
func (e *Entry) Name() string {
	if e.Position == nil {
		return e.Key
	}
	return e.Key + " at " + e.Position.String()
}

// hasPositions says whether some entry was measured at a place.
func (t *Table) hasPositions() bool {
	for i := range t.Entries {
		if t.Entries[i].Position != nil {
			return true
		}
	}
	return false
}

// CompositeKey is the key of the stem and the first block's op measured as one.
func CompositeKey(stem, first space.Op) string { return stem.Key() + "+" + first.Key() }

// Position is a place in a space: a block's incoming connection, where its head layer stands, or one of its stacked layers.
type Position struct {
	Block      int  `json:"block"`                // the number of blocks: the final 1×1 convolution
	Connection *int `json:"connection,omitempty"` // incoming, nearest predecessor first
	Layer      *int `json:"layer,omitempty"`      // stacked, from 0
}

// Connection is the place of the head layer on a block's incoming connection.
func Connection(block, connection int) Position {
	return Position{Block: block, Connection: &connection}
}

// Layer is the place of a block's stacked layer.
func Layer(block, layer int) Position { return Position{Block: block, Layer: &layer} }

// equal compares places, not pointers.
func (p *Position) equal(q *Position) bool {
	same := func(a, b *int) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }
	return p.Block == q.Block && same(p.Connection, q.Connection) && same(p.Layer, q.Layer)
}

// String is the place as text: "block 3, connection 0".
func (p *Position) String() string {
	switch {
	case p.Connection != nil:
		return fmt.Sprintf("block %d, connection %d", p.Block, *p.Connection)
	case p.Layer != nil:
		return fmt.Sprintf("block %d, layer %d", p.Block, *p.Layer)
	}
	return fmt.Sprintf("block %d", p.Block)
}

func (p *Position) check() error {
	switch {
	case p.Block < 0 || p.Block > space.MaxBlocks:
		return fmt.Errorf("position.block is %d, allowed is 0 to %d", p.Block, space.MaxBlocks)
	case (p.Connection == nil) == (p.Layer == nil):
		return errors.New("position needs either connection or layer")
	case p.Connection != nil && (*p.Connection < 0 || *p.Connection >= space.MaxBlocks):
		return fmt.Errorf("position.connection is %d, allowed is 0 to %d", *p.Connection, space.MaxBlocks-1)
	case p.Layer != nil && (*p.Layer < 0 || *p.Layer >= space.MaxLayers):
		return fmt.Errorf("position.layer is %d, allowed is 0 to %d", *p.Layer, space.MaxLayers-1)
	}
	return nil
}

// Path is the file that the table was read from; empty for one that was built.
func (t *Table) Path() string { return t.path }

// Verified says whether the table was held against whole networks; whatever shows a prediction says if it was not.
func (t *Table) Verified() bool { return t.Verification != nil }

// Check reports the first thing that makes the table unusable, by the names of the fields in its file.
func (t *Table) Check() error {
	if t.Device.Model == "" {
		return errors.New("device.model is empty; name the device")
	}
	if t.Runtime.Name == "" {
		return errors.New("runtime.name is empty; name the runtime")
	}
	for _, text := range []struct{ field, value string }{{"device.model", t.Device.Model}, {"device.vendor", t.Device.Vendor},
		{"device.architecture", t.Device.Architecture}, {"device.features", t.Device.Features}, {"device.governor", t.Device.Governor},
		{"device.operating_system", t.Device.OperatingSystem}, {"device.kernel", t.Device.Kernel},
		{"runtime.name", t.Runtime.Name}, {"runtime.version", t.Runtime.Version}, {"runtime.plugin", t.Runtime.Plugin}, {"runtime.provider", t.Runtime.Provider}, {"runtime.optimization", t.Runtime.Optimization}} {
		if err := checkText(text.field, text.value); err != nil {
			return err
		}
	}
	for _, n := range []struct {
		field           string
		value, low, top int
	}{{"device.cores", t.Device.Cores, 0, 1 << 20}, {"device.logical_cpus", t.Device.LogicalCPUs, 0, 1 << 20}, {"device.min_mhz", t.Device.MinMHz, 0, 1 << 20}, {"device.max_mhz", t.Device.MaxMHz, 0, 1 << 20},
		{"device.memory_mb", t.Device.MemoryMB, 0, 1 << 40}, {"threads", t.Threads, 0, 1 << 20}, {"batch", t.Batch, 1, MaxBatch},
		{"number of resolutions", len(t.Resolutions), 1, maxResolutions}, {"number of notes", len(t.Notes), 0, maxNotes}, {"number of warnings", len(t.Warnings), 0, maxNotes},
		{"number of entries", len(t.Entries), 1, MaxEntries}} {
		if n.value < n.low || n.value > n.top {
			return fmt.Errorf("%s is %d, allowed is %d to %d", n.field, n.value, n.low, n.top)
		}
	}
	for i, r := range t.Resolutions {
		if r < 1 || r > space.MaxResolution {
			return fmt.Errorf("resolutions[%d] is %d, allowed is 1 to %d", i, r, space.MaxResolution)
		}
		if i > 0 && r <= t.Resolutions[i-1] {
			return fmt.Errorf("resolutions[%d] is %d after %d, allowed is an ascending order", i, r, t.Resolutions[i-1])
		}
	}
	for i, n := range t.Processors {
		if n < 0 || n >= maxProcessors {
			return fmt.Errorf("processors[%d] is %d, allowed is 0 to %d", i, n, maxProcessors-1)
		}
		if i > 0 && n <= t.Processors[i-1] {
			return fmt.Errorf("processors[%d] is %d after %d, allowed is an ascending order", i, n, t.Processors[i-1])
		}
	}
	if !slices.Contains([]string{F32, BF16, F16}, t.DType) {
		return fmt.Errorf("dtype is %.40q, known are f32, bf16 and f16", t.DType)
	}
	if !slices.Contains([]string{"nhwc", "nchw"}, t.Layout) {
		return fmt.Errorf("layout is %.40q, known are nhwc and nchw", t.Layout)
	}
	if err := checkInterval("call_", t.CallLowMS, t.CallMS, t.CallHighMS); err != nil {
		return err
	}
	if !slices.Contains([]string{"", Warm, Cold}, t.Caches) {
		return fmt.Errorf("caches is %.40q, known are %s and %s", t.Caches, Warm, Cold)
	}
	for _, list := range []struct {
		field string
		texts []string
	}{{"notes", t.Notes}, {"warnings", t.Warnings}} {
		for i, text := range list.texts {
			if err := checkText(fmt.Sprintf("%s[%d]", list.field, i), text); err != nil {
				return err
			}
		}
	}
	if err := t.Policy.check(); err != nil {
		return err
	}
	if err := t.Sentinel.check(); err != nil {
		return fmt.Errorf("sentinel: %w", err)
	}
	if err := t.Verification.check(); err != nil {
		return fmt.Errorf("verification: %w", err)
	}
	return t.checkEntries()
}

func (p *Policy) check() error {
	if p == nil {
		return nil
	}
	for _, f := range []struct {
		field string
		value float64
	}{{"precision", p.Precision}, {"min_rounds", float64(p.MinRounds)}, {"max_rounds", float64(p.MaxRounds)}, {"warm_up_ms", p.WarmUpMS},
		{"min_lap_ms", p.MinLapMS}, {"op_limit_ms", p.OpLimitMS}, {"total_limit_ms", p.TotalLimitMS}} {
		if !(f.value >= 0 && f.value <= maxMS) {
			return fmt.Errorf("policy.%s is %g, allowed is 0 to %g", f.field, f.value, maxMS)
		}
	}
	return nil
}

func (t *Table) checkEntries() error {
	seen := make(map[place]int, len(t.Entries))
	for i := range t.Entries {
		e := &t.Entries[i]
		if err := e.check(); err != nil {
			return fmt.Errorf("entries[%d]: %w", i, err)
		}
		at := e.place()
		if before, ok := seen[at]; ok {
			return fmt.Errorf("entries[%d]: key %s stands in entries[%d] too, at the same place; remove one", i, e.Key, before)
		}
		seen[at] = i
	}
	return nil
}

func (e *Entry) check() error {
	if len(e.Key) > maxKey {
		return fmt.Errorf("key %.60q… has %d bytes, allowed are at most %d", e.Key, len(e.Key), maxKey)
	}
	ops, err := e.Ops()
	if err != nil {
		return err
	}
	fail := func(format string, a ...any) error { return fmt.Errorf("%s: %w", e.Key, fmt.Errorf(format, a...)) }
	if e.Position != nil {
		if err := e.Position.check(); err != nil {
			return fail("%w", err)
		}
	}
	if !(e.MedianMS > 0 && e.MedianMS <= maxMS) {
		return fail("median_ms is %g, allowed is above 0 to %g; is it in ms?", e.MedianMS, maxMS)
	}
	if e.Count < 0 || e.Rounds < 0 || e.Rounds > e.Count {
		return fail("count is %d and rounds is %d, allowed is from 0, and at most one round per lap", e.Count, e.Rounds)
	}
	if e.HasInterval() {
		if err := checkInterval("", e.LowMS, e.MedianMS, e.HighMS); err != nil {
			return fail("%w", err)
		}
		if !(e.MinMS > 0 && e.MinMS <= e.P10MS && e.P10MS <= e.P90MS && e.P90MS <= maxMS) {
			return fail("min_ms %g, p10_ms %g and p90_ms %g: allowed is above 0 in ascending order", e.MinMS, e.P10MS, e.P90MS)
		}
		if !(e.MADMS >= 0 && e.MADMS <= maxMS) {
			return fail("mad_ms is %g, allowed is 0 to %g", e.MADMS, maxMS)
		}
	} else if e.LowMS != 0 || e.HighMS != 0 || e.MADMS != 0 || e.P10MS != 0 || e.P90MS != 0 || e.MinMS != 0 {
		return fail("has statistics but no count; give count, or the median alone")
	}
	if len(e.Flags) > maxFlags {
		return fail("has %d flags, allowed are at most %d", len(e.Flags), maxFlags)
	}
	if len(e.Lowering) > 40 || strings.Trim(e.Lowering, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return fail("lowering is %.40q, allowed are small letters and _", e.Lowering)
	}
	for _, flag := range e.Flags {
		if flag == "" || len(flag) > 40 || strings.Trim(flag, "abcdefghijklmnopqrstuvwxyz_") != "" {
			return fail("flag %.40q, allowed are small letters and _", flag)
		}
	}
	var n int64
	for _, op := range ops {
		n += op.MultiplyAdds()
	}
	if e.MultiplyAdds != 0 && e.MultiplyAdds != n {
		return fail("multiply_adds is %d, but the key says %d", e.MultiplyAdds, n)
	}
	return nil
}

func checkInterval(prefix string, low, median, high float64) error {
	if !(low >= 0 && low <= median && median <= high && high <= maxMS) {
		return fmt.Errorf("%[1]slow_ms %[2]g, %[5]s %[3]g and %[1]shigh_ms %[4]g: allowed is 0 to %[6]g in this order", prefix, low, median, high,
			map[string]string{"": "median_ms", "call_": "call_ms"}[prefix], maxMS)
	}
	return nil
}

func checkText(field, text string) error {
	if len(text) > maxText {
		return fmt.Errorf("%s has %d bytes, allowed are at most %d", field, len(text), maxText)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%s %.60q has characters that cannot be printed", field, text)
	}
	return nil
}
