package lut

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"densenas/internal/exit"
	"densenas/supernet/space"
)

// Estimate is a latency with its 95 % interval, all in ms.
type Estimate struct {
	MS, LowMS, HighMS float64
	// IntervalUnknown: an entry in it says no interval, so low and high are those of the others alone; of a single entry,
	// the value itself.
	IntervalUnknown bool
	// InPrevious: the time is part of the layer before it (the first block behind a stem, measured as one); all is 0.
	InPrevious bool
}

// Op is what an op adds to a network's latency: its time less that of an empty call, by the scale of the fit where the table
// was verified, and not below 0. Where at names a place at which this very op
// was measured, it is that entry's; else the entry's without a place; else, where the table has the op at places only, the
// mean over those. A MissingError names an op that the table has not.
func (t *Table) Op(op space.Op, at *Position) (Estimate, error) {
	raw, ok := t.raw(op.Key(), at)
	if !ok {
		return Estimate{}, t.missing([]string{op.Key()}, 1, "--space SPACE --only '"+op.Key()+"'")
	}
	return t.sum([]part{t.part(op.Key(), at, raw)}), nil
}

// Entry is the latency of a space's [space.Space.EntryOps], the stem and the first block's layer if there is one: of the entry that
// holds both, less one call; else of each, less a call.
func (t *Table) Entry(ops ...space.Op) (Estimate, error) {
	if len(ops) == 2 {
		if raw, ok := t.raw(CompositeKey(ops[0], ops[1]), nil); ok {
			return t.sum([]part{t.part(CompositeKey(ops[0], ops[1]), nil, raw)}), nil
		}
	}
	var parts []part
	for _, op := range ops {
		if raw, found := t.raw(op.Key(), nil); found {
			parts = append(parts, t.part(op.Key(), nil, raw))
		}
	}
	if len(parts) < len(ops) {
		keys := t.Missing(ops)
		return Estimate{}, t.missing(keys, len(ops), "--space SPACE --only '"+keys[0]+"'")
	}
	return t.sum(parts), nil
}

// Network is the latency of a whole network, and of each of its layers. The layers are as of [Table.Op]; the total is their
// sum and what of [Table.Fixed] a network takes once. Places are used where the table has them and the network comes out of
// a built-in space, or its widths fit just one path of one; its stacked layers are then taken as the block's first ones,
// since skips among them are not kept.
//
// The intervals of different entries are taken as independent and combined in quadrature; an entry that stands at several
// places is off at all of them alike, and the call's error is common to all layers. Where the table was verified, the error
// of the fit joins them. Where it was not, what isolated ops leave out of a network's latency is not in the interval.
func (t *Table) Network(a *space.Architecture) (total Estimate, layers []Estimate, err error) {
	ops := a.Ops()
	if err := t.Require(ops, target(a)); err != nil {
		return Estimate{}, nil, err
	}
	positions := t.positions(a)
	var parts []part
	layers = make([]Estimate, len(ops))
	for i := 0; i < len(ops); i++ {
		if i+1 < len(ops) && ops[i].Kind == space.Stem {
			if raw, ok := t.raw(CompositeKey(ops[i], ops[i+1]), nil); ok {
				parts = append(parts, t.part(CompositeKey(ops[i], ops[i+1]), nil, raw))
				layers[i] = t.sum(parts[len(parts)-1:])
				layers[i+1] = Estimate{InPrevious: true}
				i++
				continue
			}
		}
		raw, _ := t.raw(ops[i].Key(), positions[i])
		parts = append(parts, t.part(ops[i].Key(), positions[i], raw))
		layers[i] = t.sum(parts[len(parts)-1:])
	}
	fixed := t.Fixed()
	// The layers, none of them below 0, and what is fixed add up to the total, also where an op was measured as shorter than a
	// call.
	total.MS = fixed.MS
	for _, layer := range layers {
		total.MS += layer.MS
	}
	below, above, unknown := t.spread(parts, fixed)
	if t.Verification != nil {
		residual := t.Verification.Fit.ResidualShare * total.MS
		below, above = math.Hypot(below, residual), math.Hypot(above, residual)
	}
	return Estimate{MS: total.MS, LowMS: max(0, total.MS-below), HighMS: total.MS + above, IntervalUnknown: unknown}, layers, nil
}

// Fixed is what a network takes beside its layers: one call, or the offset of the fit.
func (t *Table) Fixed() Estimate {
	if t.Verification != nil {
		ms := t.Verification.Fit.OffsetMS
		return Estimate{MS: ms, LowMS: ms, HighMS: ms}
	}
	return Estimate{MS: t.CallMS, LowMS: t.CallLowMS, HighMS: t.CallHighMS}
}

// Predict is Network's total as it is written into an architecture's file.
func (t *Table) Predict(a *space.Architecture) (*space.Prediction, error) {
	total, _, err := t.Network(a)
	if err != nil {
		return nil, err
	}
	return &space.Prediction{LatencyMS: total.MS, LowMS: total.LowMS, HighMS: total.HighMS, Table: t.Identity(), Verified: t.verifiedFor(a)}, nil
}

// verifiedFor says whether the networks that the table was held against are like this one: of the same resolution.
func (t *Table) verifiedFor(a *space.Architecture) bool {
	return t.Verification != nil && t.Verification.Resolution == a.Resolution
}

// raw is the entry of a key as measured, the call included; see Op for the order of choice.
func (t *Table) raw(key string, at *Position) (Estimate, bool) {
	var anywhere *Entry
	var mean Estimate
	n := 0.0
	var here *Entry
	t.entriesOf(key, func(e *Entry) bool {
		switch {
		case e.Position == nil:
			anywhere = e
		case at != nil && at.equal(e.Position):
			here = e
			return false
		default:
			one := e.estimate()
			n++
			mean.MS += (one.MS - mean.MS) / n
			mean.LowMS += (one.LowMS - mean.LowMS) / n
			mean.HighMS += (one.HighMS - mean.HighMS) / n
			mean.IntervalUnknown = mean.IntervalUnknown || one.IntervalUnknown
		}
		return true
	})
	if here != nil {
		return here.estimate(), true
	}
	if anywhere != nil {
		return anywhere.estimate(), true
	}
	return mean, n > 0
}

func (e *Entry) estimate() Estimate {
	if !e.HasInterval() {
		return Estimate{MS: e.MedianMS, LowMS: e.MedianMS, HighMS: e.MedianMS, IntervalUnknown: true}
	}
	return Estimate{MS: e.MedianMS, LowMS: e.LowMS, HighMS: e.HighMS}
}

// part is a measured time within a sum, by its scale.
type part struct {
	Estimate
	entry string // tells the entries of a table apart
	scale float64
	added float64 // ms, beside what is scaled
}

func (t *Table) part(key string, at *Position, raw Estimate) part {
	p := part{Estimate: raw, entry: key, scale: 1}
	if at != nil {
		p.entry += " " + at.String()
	}
	if t.Verification != nil {
		p.scale = t.Verification.Fit.scale(key)
		if !strings.HasPrefix(key, skipPrefix) {
			p.added = t.Verification.Fit.OperationMS
		}
	}
	return p
}

// skipPrefix begins the keys of skips, which are no op of a network.
const skipPrefix = string(space.Skip) + "_"

// sum adds measured times, each less a call.
func (t *Table) sum(parts []part) Estimate {
	var out Estimate
	for _, p := range parts {
		out.MS += p.scale*(p.MS-t.CallMS) + p.added
	}
	below, above, unknown := t.spread(parts, Estimate{})
	return Estimate{MS: max(0, out.MS), LowMS: max(0, out.MS-below), HighMS: max(0, out.MS+above), IntervalUnknown: unknown}
}

// spread combines the distances from a sum to the ends of its interval.
func (t *Table) spread(parts []part, fixed Estimate) (below, above float64, unknown bool) {
	type ends struct{ below, above float64 }
	entries := map[string]ends{}
	var order []string // so that the same sum is the same to the last digit
	calls := 0.0       // how often the empty call is in the sum
	if t.Verification == nil && fixed.MS > 0 {
		calls = 1
	}
	for _, p := range parts {
		if _, known := entries[p.entry]; !known {
			order = append(order, p.entry)
		}
		e := entries[p.entry]
		e.below += p.scale * (p.MS - p.LowMS)
		e.above += p.scale * (p.HighMS - p.MS)
		entries[p.entry] = e
		calls -= p.scale
		unknown = unknown || p.IntervalUnknown
	}
	// A call that is longer than its median makes what is left of an op shorter, hence the exchange.
	callBelow, callAbove := calls*(t.CallMS-t.CallLowMS), calls*(t.CallHighMS-t.CallMS)
	if calls < 0 {
		callBelow, callAbove = -callAbove, -callBelow
	}
	below, above = callBelow, callAbove
	for _, name := range order {
		below, above = math.Hypot(below, entries[name].below), math.Hypot(above, entries[name].above)
	}
	return below, above, unknown
}

// positions are the places of an architecture's layers in its space; nil where one is not known.
func (t *Table) positions(a *space.Architecture) []*Position {
	places := make([]*Position, len(a.Layers))
	has := t.hasPositions()
	if !has || a.Check() != nil { // what follows relies on layers in their order
		return places
	}
	s, path := locate(a)
	if s == nil {
		return places
	}
	step, layer, block := 0, 0, space.NoBlock // how far on the path; stacked layers passed; block of the layer before
	if s.HasFirst() {
		block = a.Layers[1].Block
	}
	for i, l := range a.Layers {
		switch {
		case l.Op.Kind == space.Final:
			places[i] = connection(s, path[len(path)-1], len(s.Blocks))
		case l.Block == space.NoBlock || i == 1 && s.HasFirst():
		case l.Block != block:
			step, layer, block = step+1, 0, l.Block
			places[i] = connection(s, path[step-1], path[step])
		default:
			place := Layer(path[step], layer)
			places[i] = &place
			layer++
		}
	}
	return places
}

// locate finds the built-in space that a network comes out of, and its path there; nil where there is none. A network that
// does not say it is located by its blocks' widths, if just one path fits.
func locate(a *space.Architecture) (*space.Space, []int) {
	if a.Space != "" {
		s := builtIn(a.Space)
		if s == nil || slices.ContainsFunc(a.Path, func(block int) bool { return block < 0 || block >= len(s.Blocks) }) {
			return nil, nil
		}
		return s, a.Path
	}
	var widths []int // of the blocks
	block := space.NoBlock
	for _, l := range a.Layers {
		if l.Block != space.NoBlock && l.Block != block {
			widths, block = append(widths, l.Op.Out), l.Block
		}
	}
	var found *space.Space
	var path []int
	for _, name := range space.Names() {
		s := builtIn(name)
		if s == nil || len(widths) == 0 || s.Stem.Width != a.Layers[0].Op.Out {
			continue
		}
		widths := widths
		if !s.HasFirst() {
			widths = append([]int{s.Stem.Width}, widths...)
		}
		final := a.Layers[len(a.Layers)-2].Op
		if s.Blocks[0].Width != widths[0] || (final.Kind == space.Final) == s.Final.SuperNetworkOnly || final.Kind == space.Final && s.Final.Width != final.Out {
			continue
		}
		walk := make([]int, len(widths))
		var search func(step int)
		fits := 0
		search = func(step int) {
			for _, c := range s.Outgoing(walk[step-1]) {
				switch {
				case step == len(widths):
					if c.To == len(s.Blocks) {
						if fits++; fits == 1 {
							found, path = s, slices.Clone(walk)
						}
					}
				case c.To < len(s.Blocks) && s.Blocks[c.To].Width == widths[step] && fits < 2:
					walk[step] = c.To
					search(step + 1)
				}
			}
		}
		if search(1); fits > 1 {
			return nil, nil
		}
		if found != nil {
			return found, path
		}
	}
	return nil, nil
}

func builtIn(name string) *space.Space {
	if !slices.Contains(space.Names(), name) {
		return nil
	}
	s, err := space.Load(name)
	if err != nil {
		return nil
	}
	return s
}

// connection is the place of the head layer between two blocks; nil where the space does not connect them.
func connection(s *space.Space, from, to int) *Position {
	for _, c := range s.Incoming(to) {
		if c.From == from {
			place := Connection(to, c.Incoming)
			return &place
		}
	}
	return nil
}

// Missing lists the keys, each once, of the ops that the table has no entry for. A stem and a first block that are both
// asked for are covered by an entry that holds both.
func (t *Table) Missing(ops []space.Op) []string {
	have := make(map[string]bool, len(t.Entries))
	var composites []string
	for i := range t.Entries {
		have[t.Entries[i].Key] = true
		if strings.Contains(t.Entries[i].Key, "+") {
			composites = append(composites, t.Entries[i].Key)
		}
	}
	asked := make(map[string]bool, len(ops))
	for _, op := range ops {
		asked[op.Key()] = true
	}
	for _, key := range composites {
		if stem, first, _ := strings.Cut(key, "+"); asked[stem] && asked[first] {
			have[stem], have[first] = true, true
		}
	}
	var missing []string
	for _, op := range ops {
		if key := op.Key(); !have[key] {
			missing = append(missing, key)
			have[key] = true
		}
	}
	return missing
}

// Require returns a MissingError, which is bad input, unless the table has every op. target says what to profile to have
// them: "--space mbv2 --resolution 224".
func (t *Table) Require(ops []space.Op, target string) error {
	keys := t.Missing(ops)
	if len(keys) == 0 {
		return nil
	}
	distinct := make(map[space.Op]bool, len(ops))
	for _, op := range ops {
		distinct[op] = true
	}
	return t.missing(keys, len(distinct), target)
}

func (t *Table) missing(keys []string, of int, target string) error {
	return exit.AsBadInput(MissingError{Table: t.path, Keys: keys, Of: of, Command: t.ProfileCommand(target)})
}

// ProfileCommand is the command line that measures what target says, "--space mbv2 --resolution 224", into another table with the
// settings of this one, so that they can be merged.
func (t *Table) ProfileCommand(target string) string {
	words := append([]string{"profiler run", target}, t.runFlags()...)
	return strings.Join(words, " ") + " -o FILE.lut.json"
}

// runFlags are the flags of a run with the table's settings. What a flag has as its default is left out, and runtime, threads and
// sampling where another program measured.
func (t *Table) runFlags() []string {
	var flags []string
	add := func(flag, value string) { flags = append(flags, flag, value) }
	if p := t.Policy; p != nil && (t.Runtime.Name == "go" || t.Runtime.Name == "xla") {
		backend := t.Runtime.Name
		if backend == "xla" && t.Threads == 0 {
			backend = "xla:cuda"
		}
		add("--backend", backend)
		if len(t.Processors) > 0 {
			add("--device", "DESCRIPTION") // no flag names processors
		}
		if t.Threads > 0 {
			add("--threads", strconv.Itoa(t.Threads))
		}
		if p.Precision > 0 && p.Precision < 1 && p.Precision != 0.01 {
			add("--precision", strconv.FormatFloat(p.Precision, 'g', -1, 64))
		}
		if p.OpLimitMS > 0 && p.OpLimitMS != 1000 {
			add("--limit", strconv.FormatFloat(p.OpLimitMS, 'f', -1, 64)+"ms")
		}
	}
	if t.Batch > 1 {
		add("--batch", strconv.Itoa(t.Batch))
	}
	if t.DType != "" && t.DType != F32 {
		add("--dtype", t.DType)
	}
	if t.Caches == Cold {
		add("--caches", Cold)
	}
	return flags
}

// MissingError says which keys a table lacks.
type MissingError struct {
	Table   string   // file; empty for a table that was built
	Keys    []string // those missing
	Of      int      // how many were asked for
	Command string   // measures them
}

func (e MissingError) Error() string {
	const shown = 3
	name := e.Table
	if name == "" {
		name = "table"
	}
	first, more := strings.Join(e.Keys[:min(shown, len(e.Keys))], ", "), ""
	if len(e.Keys) > shown {
		first, more = "first: "+first, ", …"
	}
	return fmt.Sprintf("%s: %d of %d keys missing, %s%s; measure them with: %s", name, len(e.Keys), e.Of, first, more, e.Command)
}

// target is what profiles an architecture's ops.
func target(a *space.Architecture) string {
	if a.Space != "" && slices.Contains(space.Names(), a.Space) {
		return fmt.Sprintf("--space %s --resolution %d", a.Space, a.Resolution)
	}
	return fmt.Sprintf("--arch FILE --resolution %d", a.Resolution)
}
