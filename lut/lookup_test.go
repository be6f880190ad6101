package lut

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/supernet/space"
)

func mustOps(t testing.TB, key string) space.Op {
	t.Helper()
	op, err := space.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-12*max(1, math.Abs(b)) }

func TestOpSubtractsTheCall(t *testing.T) {
	table, s := sample(t, small)
	op := s.Ops()[4].Op // 5.5 ms with a call of 0.5
	got, err := table.Op(op, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The entry's interval is 0.25 below and 0.5 above, the call's 0.25 each way.
	if !near(got.MS, 5) || !near(got.LowMS, 5-math.Hypot(0.25, 0.25)) || !near(got.HighMS, 5+math.Hypot(0.5, 0.25)) || got.IntervalUnknown {
		t.Errorf("estimate %+v", got)
	}
	table.Entries[4] = Entry{Key: op.Key(), MedianMS: 0.1}
	if got, _ = table.Op(op, nil); got.MS != 0 || got.LowMS != 0 || got.HighMS < 0 || !got.IntervalUnknown {
		t.Errorf("estimate %+v of an op shorter than a call, want 0 ms", got)
	}
}

func TestOpPrefersPlaceThenKeyThenMean(t *testing.T) {
	table, s := sample(t, small)
	op := s.StackOps(1)[0]
	other := s.StackOps(1)[1]
	table.CallMS, table.CallLowMS, table.CallHighMS = 0, 0, 0
	here, there, elsewhere := Layer(1, 0), Layer(1, 1), Connection(1, 0)
	table.Entries = []Entry{
		{Key: op.Key(), Position: &here, MedianMS: 2},
		{Key: op.Key(), Position: &there, MedianMS: 4},
		{Key: other.Key(), Position: &elsewhere, MedianMS: 100},
	}
	at := Layer(1, 1)
	for _, c := range []struct {
		name string
		at   *Position
		want float64
	}{{"at a place", &at, 4}, {"anywhere", nil, 3}, {"at the place of another op", &elsewhere, 3}} {
		if got, err := table.Op(op, c.at); err != nil || got.MS != c.want || !got.IntervalUnknown {
			t.Errorf("%s: %+v, error %v, want %g ms", c.name, got, err, c.want)
		}
	}
	table.Entries = append(table.Entries, Entry{Key: op.Key(), MedianMS: 7})
	if got, _ := table.Op(op, nil); got.MS != 7 {
		t.Errorf("%g ms, want the entry without a place", got.MS)
	}
	if got, _ := table.Op(op, &at); got.MS != 4 {
		t.Errorf("%g ms, want the entry at the place", got.MS)
	}
}

func TestStemIsOneOrTwo(t *testing.T) {
	table, s := sample(t, small)
	two, err := table.Entry(s.EntryOps()...)
	if err != nil || !near(two.MS, 1+2) {
		t.Errorf("two entries: %+v, error %v", two, err)
	}
	table.Entries = append(table.Entries[2:], Entry{Key: CompositeKey(s.StemOp(), s.FirstOp()), MedianMS: 2.5})
	if err := table.Check(); err != nil {
		t.Fatal(err)
	}
	one, err := table.Entry(s.EntryOps()...)
	if err != nil || !near(one.MS, 2) || !one.IntervalUnknown {
		t.Errorf("one entry: %+v, error %v", one, err)
	}
	if missing := table.Missing([]space.Op{s.StemOp(), s.FirstOp()}); len(missing) != 0 {
		t.Errorf("missing %v, but one entry holds both", missing)
	}
	if missing := table.Missing([]space.Op{s.StemOp()}); !slices.Equal(missing, []string{s.StemOp().Key()}) {
		t.Errorf("missing %v, want the stem alone", missing)
	}
	table.Entries = table.Entries[:len(table.Entries)-1]
	if _, err = table.Entry(s.EntryOps()...); err == nil || !strings.Contains(err.Error(), "2 of 2 keys missing") {
		t.Errorf("no entry: error %v", err)
	}
}

// A network is the sum of its layers and one call, whatever the network.
func TestNetworkIsTheSumOfItsLayers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, name := range []string{"tiny", "cifar", "mbv2"} {
		table, s := sample(t, name)
		for range 20 {
			a := randomNetwork(s, rng)
			total, layers, err := table.Network(a)
			if err != nil {
				t.Fatal(err)
			}
			want, below := table.CallMS, 0.0
			for _, c := range a.Counts() { // an entry is off at all of its places alike
				below += float64(c.Count*c.Count) * 0.25 * 0.25
			}
			for i, l := range a.Layers {
				one, err := table.Op(l.Op, nil)
				if err != nil {
					t.Fatal(err)
				}
				if one != layers[i] {
					t.Fatalf("layer %d: %+v, as an op %+v", i, layers[i], one)
				}
				want += one.MS
			}
			call := float64(len(a.Layers)-1) * 0.25
			if !near(total.MS, want) || !near(total.LowMS, want-math.Sqrt(below+call*call)) || total.HighMS <= total.MS {
				t.Fatalf("%s: total %+v, want %g ms", name, total, want)
			}
			p, err := table.Predict(a)
			if err != nil || p.LatencyMS != total.MS || p.LowMS != total.LowMS || p.HighMS != total.HighMS || p.Table != table.Identity() || p.Verified {
				t.Fatalf("prediction %+v, error %v", p, err)
			}
		}
	}
}

// randomNetwork draws a path and the ops of its layers.
func randomNetwork(s *space.Space, rng *rand.Rand) *space.Architecture {
	path, heads, stacks := []int{0}, []space.Op(nil), [][]space.Op(nil)
	for at := 0; at < len(s.Blocks); {
		outgoing := s.Outgoing(at)
		c := outgoing[rng.IntN(len(outgoing))]
		ops := s.HeadOps(c)
		heads = append(heads, ops[rng.IntN(len(ops))])
		if at = c.To; at == len(s.Blocks) {
			break
		}
		path = append(path, at)
		var stack []space.Op
		for range s.Blocks[at].Layers {
			stack = append(stack, s.StackOps(at)[rng.IntN(len(s.StackCandidates))])
		}
		stacks = append(stacks, stack)
	}
	return s.Network(path, heads, stacks)
}

// With an entry at every place that tells the place in its time, a network takes the times of its own places.
func TestNetworkTakesThePlacesOfItsPath(t *testing.T) {
	table, s := sample(t, "tiny")
	table.Entries, table.CallMS, table.CallLowMS, table.CallHighMS = nil, 0, 0, 0
	add := func(op space.Op, at *Position, ms int) {
		table.Entries = append(table.Entries, Entry{Key: op.Key(), Position: at, MedianMS: float64(ms)})
	}
	add(s.StemOp(), nil, 1)
	add(s.FirstOp(), nil, 1)
	add(s.ClassifierOp(), nil, 1)
	for to := 1; to <= len(s.Blocks); to++ {
		for _, c := range s.Incoming(to) {
			for _, op := range s.HeadOps(c) {
				at := Connection(to, c.Incoming)
				add(op, &at, 1000*to+100*(c.Incoming+1))
			}
		}
		if to == len(s.Blocks) {
			continue
		}
		for layer := range s.Blocks[to].Layers {
			for _, op := range s.StackOps(to) {
				at := Layer(to, layer)
				add(op, &at, 1000*to+layer+1)
			}
		}
	}
	if err := table.Check(); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(2, 2))
	for range 50 {
		a := randomNetwork(s, rng)
		_, layers, err := table.Network(a)
		if err != nil {
			t.Fatal(err)
		}
		from, stacked := 0, 0
		for i, l := range a.Layers {
			want := 1
			switch {
			case i < 2 || i == len(a.Layers)-1:
			case l.Op.Kind == space.Final || l.Block != from:
				to := l.Block
				if l.Op.Kind == space.Final {
					to = len(s.Blocks)
				}
				c := slices.IndexFunc(s.Incoming(to), func(c space.Connection) bool { return c.From == from })
				want = 1000*to + 100*(c+1)
				from, stacked = l.Block, 0
			default:
				stacked++
				want = 1000*l.Block + stacked
			}
			if layers[i].MS != float64(want) {
				t.Fatalf("path %v, layer %d in block %d: %g ms, want that of its place, %d", a.Path, i, l.Block, layers[i].MS, want)
			}
		}
	}
}

func TestNetworkOfAFewOpsHasNoPlaces(t *testing.T) {
	table, s := sample(t, small)
	place := Layer(1, 0)
	table.Entries[5].Position = &place
	a := &space.Architecture{Layers: []space.Layer{{Block: space.NoBlock, Op: s.StemOp()}}}
	if total, layers, err := table.Network(a); err != nil || len(layers) != 1 || total.MS != table.Entries[0].MedianMS {
		t.Errorf("total %+v of %d layers, error %v", total, len(layers), err)
	}
}

// A network without a path gets its own if its widths fit just one path of a built-in space, and none else.
func TestLocate(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	located := map[string]int{}
	for _, name := range space.Names() {
		s, err := space.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			a := randomNetwork(s, rng)
			path := a.Path
			if found, got := locate(a); found.Name != name || !slices.Equal(got, path) {
				t.Fatalf("%s: path %v located as %v", name, path, got)
			}
			blocks := map[int]int{space.NoBlock: space.NoBlock}
			for i, b := range path {
				blocks[b] = i
			}
			for i := range a.Layers {
				a.Layers[i].Block = blocks[a.Layers[i].Block]
			}
			a.Space, a.Path = "", nil
			found, got := locate(a)
			if found == nil {
				continue
			}
			located[name]++
			if found.Name != name || !slices.Equal(got, path) {
				t.Fatalf("%s: path %v located as %v in %s", name, path, got, found.Name)
			}
		}
	}
	if located["mbv2"] != 50 { // all widths differ
		t.Errorf("%d of 50 networks of mbv2 were located", located["mbv2"])
	}
	if located["tiny"] == 0 || located["tiny"] == 50 { // two blocks have the same width
		t.Errorf("%d of 50 networks of tiny were located, want some", located["tiny"])
	}
	if s, _ := locate(space.MobileNetV2(1, 224, 1000)); s == nil || s.Name != "mbv2-fixed" { // it is one of its networks
		t.Errorf("MobileNetV2 was located in %+v", s)
	}
	if s, _ := locate(space.MobileNetV2(1.4, 224, 1000)); s != nil {
		t.Errorf("MobileNetV2 of width 1.4 was located in %s", s.Name)
	}
}

func TestMissingKeysAreNamed(t *testing.T) {
	table, s := sample(t, small)
	table.path = "small.lut.json"
	var ops []space.Op
	for _, c := range s.Ops() {
		ops = append(ops, c.Op, c.Op)
	}
	if err := table.Require(ops, "--space tiny"); err != nil {
		t.Errorf("all keys are there, error %v", err)
	}
	gone := []string{table.Entries[2].Key, table.Entries[3].Key, table.Entries[4].Key, table.Entries[5].Key}
	table.Entries = append(table.Entries[:2], table.Entries[6:]...)
	err := table.Require(ops, "--space tiny --resolution 32")
	want := "small.lut.json: 4 of 34 keys missing, first: " + strings.Join(gone[:3], ", ") + ", …; measure them with: profiler run --space tiny --resolution 32 --backend go --threads 2 -o FILE.lut.json"
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant %s", err, want)
	}
	var missing MissingError
	if !errors.As(err, &missing) || !slices.Equal(missing.Keys, gone) || missing.Of != 34 || exit.Code(err) != exit.CodeBadInput {
		t.Errorf("error %#v", err)
	}
	table.Batch = 8
	_, err = table.Op(mustOps(t, gone[0]), nil)
	want = "small.lut.json: 1 of 1 keys missing, " + gone[0] + "; measure them with: profiler run --space SPACE --only '" + gone[0] + "' --backend go --threads 2 --batch 8 -o FILE.lut.json"
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant %s", err, want)
	}
	table.DType, table.Caches = "bf16", Cold
	if _, err = table.Op(mustOps(t, gone[0]), nil); !errors.As(err, &missing) || !strings.Contains(missing.Command, " --batch 8 --dtype bf16 --caches cold -o ") {
		t.Errorf("error %v", err)
	}
	// A table of this program is measured further only with its settings.
	for want, change := range map[string]func(*Table){
		"--backend go --threads 2": func(*Table) {},
		"--backend xla --threads 1 --precision 0.05 --limit 600ms": func(t *Table) {
			t.Runtime.Name, t.Threads, t.Policy.Precision, t.Policy.OpLimitMS = "xla", 1, 0.05, 600
		},
		"--backend xla:cuda --batch 32":                 func(t *Table) { t.Runtime.Name, t.Threads, t.Batch = "xla", 0, 32 },
		"--backend go --device DESCRIPTION --threads 2": func(t *Table) { t.Processors = []int{4, 5} },
		"--batch 32":                func(t *Table) { t.Policy, t.Batch = nil, 32 },
		"--dtype f16 --caches cold": func(t *Table) { t.Runtime.Name, t.DType, t.Caches = "TensorRT", "f16", Cold },
	} {
		other, _ := sample(t, small)
		other.Policy = &Policy{Precision: 0.01, OpLimitMS: 1000}
		change(other)
		if got := strings.Join(other.runFlags(), " "); got != want {
			t.Errorf("flags %q, want %q", got, want)
		}
	}
	if _, _, err = table.Network(space.MobileNetV2(1, 224, 1000)); !errors.As(err, &missing) || !strings.Contains(missing.Command, "--arch FILE --resolution 224") {
		t.Errorf("error %v", err)
	}
}

func TestCheckMatch(t *testing.T) {
	table, _ := sample(t, small)
	table.path, table.Batch, table.Resolutions = "a.lut.json", 8, []int{96, 224}
	for _, c := range []struct {
		want  Settings
		error string
	}{
		{Settings{Resolution: 96, Batch: 8}, ""},
		{Settings{Resolution: 224, Batch: 8}, ""},
		{Settings{Resolution: 32, Batch: 8}, "a.lut.json: measured for resolution 96, 224, but 32 is wanted; name a table for 32, or optimise for the table's with --lut-resolution 96 or --lut-resolution 224"},
		{Settings{Resolution: 96, Batch: 8, DType: "bf16"}, "a.lut.json: measured with f32, but bf16 is wanted; name a table of bf16, or optimise for the table's with --lut-dtype f32"},
		{Settings{Resolution: 96, Batch: 8, Caches: Cold}, ""}, // the table does not say
		{Settings{Resolution: 96, Batch: 1}, "a.lut.json: measured at batch 8, but 1 is wanted; name a table at batch 1, or optimise for the table's with --lut-batch 8"},
	} {
		err := table.CheckMatch(c.want)
		if c.error == "" && err != nil || c.error != "" && (err == nil || err.Error() != c.error || exit.Code(err) != exit.CodeBadInput) {
			t.Errorf("%+v: error %v\nwant %s", c.want, err, c.error)
		}
	}
}
