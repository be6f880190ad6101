package space

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func load(t testing.TB, name string) *Space {
	t.Helper()
	s, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The published figures of the mbv2 space.
func TestMbv2IsThePublishedSpace(t *testing.T) {
	s := load(t, "mbv2")
	var widths, strides, stages, layers []int
	for _, b := range s.Blocks {
		widths, strides = append(widths, b.Width), append(strides, b.Stride)
		stages, layers = append(stages, b.Stage), append(layers, b.Layers)
	}
	for _, c := range []struct {
		what      string
		got, want []int
	}{
		{"widths", widths, []int{16, 24, 32, 40, 48, 56, 64, 72, 96, 112, 128, 160, 176, 192, 320, 352, 384}},
		{"strides", strides, []int{2, 4, 8, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32, 32, 32, 32, 32}},
		{"stages", stages, []int{0, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6}},
		{"layers", layers, []int{0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
	if got := s.Paths(); got != 15456 {
		t.Errorf("%d paths of blocks, published are 15456", got)
	}
	if got := float64(s.WithClasses(100).Weights()) / 1e6; got < 90.425 || got >= 90.435 {
		t.Errorf("%.3f M weights with 100 classes, published are 90.43 M", got)
	}
	if s.Forward != 4 || s.Final != (FinalLayer{Width: 1984, Stage: 7}) || s.Stem != (StemLayer{Kernel: 3, Width: 16, Stride: 2}) {
		t.Errorf("forward %d, final %+v, stem %+v", s.Forward, s.Final, s.Stem)
	}
	incoming := []int{0, 1, 1, 2, 3, 3, 4, 4, 3, 4, 4, 3, 4, 4, 3, 4, 4, 3}
	for to, want := range incoming {
		if got := len(s.Incoming(to)); got != want {
			t.Errorf("%d connections enter block %d, published are %d", got, to, want)
		}
	}
}

// The published figures of the res space, and counts of what they make, by loops that share nothing with the package.
func TestResIsThePublishedSpace(t *testing.T) {
	s := load(t, "res")
	repeat := func(values ...int) (list []int) { // pairs of a value and how often it comes
		for i := 0; i < len(values); i += 2 {
			list = append(list, slices.Repeat(values[i:i+1], values[i+1])...)
		}
		return list
	}
	widths := []int{32, 48, 56, 64, 72, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 272, 288, 480, 496, 512}
	strides := repeat(2, 1, 4, 3, 8, 3, 16, 7, 32, 7)
	stages := repeat(0, 1, 1, 3, 2, 3, 3, 4, 4, 3, 5, 4, 6, 3, 7, 1)
	layers := repeat(0, 4, 5, 3, 15, 4, 5, 3, 5, 4, 1, 3)
	want := &Space{Name: "res", Resolution: 224, Channels: 3, Classes: 1000, Forward: 10,
		Stem:           StemLayer{Kernel: 3, Width: 32, Stride: 2, Activation: ReLU, Affine: true},
		HeadCandidates: []Candidate{{Kind: Basic}}, StackCandidates: []Candidate{{Kind: Basic}, {Kind: Skip}},
		Final: FinalLayer{Width: 512, Stage: stages[len(widths)], SuperNetworkOnly: true}, PathTemperature: 0.9, SkipCost: 0.1}
	for i := range widths {
		want.Blocks = append(want.Blocks, Block{widths[i], strides[i], stages[i], layers[i]})
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	n := len(widths)
	connected := func(from, to int) bool {
		stride := strides[n-1]
		if to < n {
			stride = strides[to]
		}
		return to <= from+10 && stages[to] <= stages[from]+1 && stride <= 2*strides[from]
	}
	// A basic block's three convolutions; the last only where something changes. Behind each, scale and offset in an architecture.
	basic := func(in, out, size int, change bool) (weights, multiplyAdds int64) {
		weights = int64(3*3*in*out + 3*3*out*out)
		if change {
			weights += int64(in * out)
		}
		return weights, weights * int64(size*size)
	}
	connections, paths := 0, append([]int64{1}, make([]int64, n)...)
	weights, multiplyAdds := int64(3*3*3*32+2*32+512*100+100), int64(3*3*3*32*112*112+512*100)
	for to := 1; to <= n; to++ {
		incoming := 0
		for from := range to {
			if !connected(from, to) {
				continue
			}
			incoming++
			paths[to] += paths[from]
			if to == n {
				weights += int64(widths[from] * 512)
				multiplyAdds += int64(widths[from] * 512 * 7 * 7)
				continue
			}
			w, m := basic(widths[from], widths[to], 224/strides[to], true)
			weights, multiplyAdds = weights+w, multiplyAdds+m
		}
		connections += incoming
		if got := len(s.Incoming(to)); got != incoming {
			t.Errorf("%d connections enter block %d, want %d", got, to, incoming)
		}
		if to < n {
			w, m := basic(widths[to], widths[to], 224/strides[to], false)
			weights, multiplyAdds = weights+w*int64(layers[to]), multiplyAdds+m*int64(layers[to])
		}
	}
	few := s.WithClasses(100)
	if s.Paths() != paths[n] || few.Weights() != weights || few.MultiplyAdds() != multiplyAdds {
		t.Errorf("%d paths, %d weights and %d multiply-adds with 100 classes; counted %d, %d and %d", s.Paths(), few.Weights(), few.MultiplyAdds(),
			paths[n], weights, multiplyAdds)
	}
	t.Logf("%d connections, %d paths, %.2f M weights, %.2f G multiply-adds", connections, paths[n], float64(weights)/1e6, float64(multiplyAdds)/1e9)

	// One of its networks: the blocks of widths 64, 128, 256 and 512 with one stacked layer where there is any, and those of 112 and 192 between.
	path := []int{0, 3, 6, 7, 11, 15, 20}
	var heads []Op
	stacks := make([][]Op, len(path)-1)
	weights, multiplyAdds = 3*3*3*32+2*32+512*1000+1000, 3*3*3*32*112*112+512*1000
	for i, to := range append(path[1:], n) {
		at := slices.IndexFunc(s.Incoming(to), func(c Connection) bool { return c.From == path[i] })
		if at < 0 {
			t.Fatalf("block %d does not lead to block %d", path[i], to)
		}
		heads = append(heads, s.HeadOps(s.Incoming(to)[at])[0])
		if to == n {
			break
		}
		w, m := basic(widths[path[i]], widths[to], 224/strides[to], true)
		weights, multiplyAdds = weights+w+int64(6*widths[to]), multiplyAdds+m
		if layers[to] > 0 {
			stacks[i] = s.StackOps(to)[:1]
			w, m := basic(widths[to], widths[to], 224/strides[to], false)
			weights, multiplyAdds = weights+w+int64(4*widths[to]), multiplyAdds+m
		}
	}
	a := s.Network(path, heads, stacks)
	if err := a.Check(); err != nil {
		t.Fatal(err)
	}
	if a.Parameters() != weights || a.MultiplyAdds() != multiplyAdds {
		t.Errorf("%d parameters and %d multiply-adds, counted %d and %d", a.Parameters(), a.MultiplyAdds(), weights, multiplyAdds)
	}
	text, err := a.NetConfig()
	if err != nil || !strings.HasPrefix(text, "[[32, 64], 'basic_block', [], 0, 2]|[[64, 112], 'basic_block', ['basic_block'], 1, 2]|") || strings.Contains(text, "conv1_1") {
		t.Errorf("written as %s, %v", text, err)
	}
	back, err := ParseNetConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.Ops(), back.Ops()); diff != "" {
		t.Errorf("read back: %s", diff)
	}
}

// A space of which every field is valid, drawn so that all kinds of spaces come up.
func randomSpace(r *rand.Rand) *Space {
	for {
		s := &Space{Name: "random", Resolution: 8 + r.IntN(60), Channels: 1 + r.IntN(3), Classes: 2 + r.IntN(9), Forward: 1 + r.IntN(4),
			Stem: StemLayer{Kernel: 3, Width: 1 + r.IntN(16), Stride: 1 + r.IntN(2)}, First: Candidate{MBConv, 3, 1},
			HeadCandidates:  []Candidate{{MBConv, 3, 3}, {MBConv, 5, 6}, {MBConv, 7, 2}}[:1+r.IntN(3)],
			StackCandidates: []Candidate{{MBConv, 3, 3}, {Kind: Skip}, {MBConv, 5, 3}}[:1+r.IntN(3)]}
		b := Block{Width: 1 + r.IntN(16), Stride: s.Stem.Stride}
		basic := r.IntN(3) == 0
		if basic {
			s.Stem.Activation, s.Stem.Affine, s.First, b.Width = ReLU, true, Candidate{}, s.Stem.Width
			s.HeadCandidates, s.StackCandidates = []Candidate{{Kind: Basic}}, []Candidate{{Kind: Basic}, {Kind: Skip}}
		}
		for range 1 + r.IntN(7) {
			s.Blocks = append(s.Blocks, b)
			b.Width, b.Layers = 1+r.IntN(16), r.IntN(4)
			if r.IntN(3) == 0 {
				b.Stride *= 2
			}
			b.Stage += r.IntN(2)
		}
		last := s.Blocks[len(s.Blocks)-1]
		s.Final = FinalLayer{Width: 1 + r.IntN(32), Stage: last.Stage + r.IntN(2), SuperNetworkOnly: basic}
		if s.Check() == nil {
			return s
		}
	}
}

func TestConnectionsFollowTheRule(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	for range 300 {
		s := randomSpace(r)
		n := len(s.Blocks)
		entering := make([][]Connection, n+1)
		count := 0
		for from := range n {
			if len(s.Outgoing(from)) == 0 || from > 0 && len(s.Incoming(from)) == 0 {
				t.Fatalf("block %d of %+v lies on no path", from, s.Blocks)
			}
			for i, c := range s.Outgoing(from) {
				if c.From != from || c.Outgoing != i || (i > 0 && c.To <= s.Outgoing(from)[i-1].To) {
					t.Fatalf("outgoing connection %d of block %d is %+v", i, from, c)
				}
				if c.To-c.From > s.Forward {
					t.Fatalf("%+v leads further than %d blocks", c, s.Forward)
				}
				stage, stride := s.Final.Stage, s.Blocks[n-1].Stride
				if c.To < n {
					stage, stride = s.Blocks[c.To].Stage, s.Blocks[c.To].Stride
				}
				if stage-s.Blocks[from].Stage > 1 || stride != c.Stride*s.Blocks[from].Stride || c.Stride > 2 || c.To == n && c.Stride != 1 {
					t.Fatalf("%+v breaks the rule", c)
				}
				entering[c.To] = append(entering[c.To], c)
				count++
			}
		}
		for to := range n + 1 {
			in := s.Incoming(to)
			count -= len(in)
			for i, c := range in {
				if c.Incoming != i || !cmp.Equal(c, entering[to][len(in)-1-i]) {
					t.Fatalf("incoming connection %d of block %d is %+v, outgoing say %+v", i, to, c, entering[to])
				}
			}
		}
		if count != 0 {
			t.Fatalf("%d connections leave blocks and enter none", count)
		}
	}
}

// Every op of a network's layers fits the one before it, whatever the space.
func TestOpsChain(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 0))
	for range 300 {
		s := randomSpace(r)
		entry := s.EntryOps()
		if last := len(entry) - 1; last > 0 && (entry[0].Out != entry[1].In || entry[0].OutResolution() != entry[1].Resolution) {
			t.Fatalf("%s is followed by %s", entry[0].Key(), entry[1].Key())
		}
		size := func(block int) (width, side int) {
			if block == 0 {
				return entry[len(entry)-1].Out, entry[len(entry)-1].OutResolution()
			}
			op := s.HeadOps(s.Incoming(block)[0])[0]
			return op.Out, op.OutResolution()
		}
		for to := 1; to <= len(s.Blocks); to++ {
			_, side := size(to)
			for _, c := range s.Incoming(to) {
				width, before := size(c.From)
				for _, op := range s.HeadOps(c) {
					if op.In != width || op.Resolution != before || op.OutResolution() != side {
						t.Fatalf("%s stands behind %d channels at %d and before %d", op.Key(), width, before, side)
					}
				}
			}
		}
		for _, c := range s.Ops() {
			if err := c.Op.Check(); err != nil {
				t.Fatalf("%s: %v", c.Op.Key(), err)
			}
			if op, err := ParseKey(c.Op.Key()); err != nil || op != c.Op {
				t.Fatalf("%s reads as %+v, %v", c.Op.Key(), op, err)
			}
		}
	}
}

func TestOpsCountsEveryPlaceOnce(t *testing.T) {
	s := load(t, "mbv2")
	seen, places := map[Op]bool{}, 0
	for _, c := range s.Ops() {
		if seen[c.Op] {
			t.Errorf("%s is listed twice", c.Op.Key())
		}
		seen[c.Op] = true
		places += c.Count
	}
	// Stem, first block, 51 connections of six head candidates, 39 stacked layers of seven, three final convolutions, classifier.
	if want := 2 + 51*6 + 39*7 + 3 + 1; places != want {
		t.Errorf("%d places, want %d", places, want)
	}
	// The super network is the sum of its places.
	all := []Op{s.StemOp(), s.FirstOp(), s.ClassifierOp()}
	for to := 1; to <= len(s.Blocks); to++ {
		for _, c := range s.Incoming(to) {
			all = append(all, s.HeadOps(c)...)
		}
		if to < len(s.Blocks) {
			for range s.Blocks[to].Layers {
				all = append(all, s.StackOps(to)...)
			}
		}
	}
	multiplyAdds, weights := int64(0), int64(0)
	for _, o := range all {
		multiplyAdds += o.MultiplyAdds()
		weights += o.Weights()
	}
	if s.MultiplyAdds() != multiplyAdds || s.Weights() != weights {
		t.Errorf("%d multiply-adds and %d weights, the places have %d and %d", s.MultiplyAdds(), s.Weights(), multiplyAdds, weights)
	}
}

func TestPathsAgreeWithWalking(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	for range 100 {
		s := randomSpace(r)
		var walk func(from int) int64
		walk = func(from int) (n int64) {
			if from == len(s.Blocks) {
				return 1
			}
			for _, c := range s.Outgoing(from) {
				n += walk(c.To)
			}
			return n
		}
		if got, want := s.Paths(), walk(0); got != want {
			t.Fatalf("%d paths, walking finds %d", got, want)
		}
	}
	dense := randomSpace(r)
	dense.Forward, dense.Final.Stage = MaxBlocks, 0
	dense.Blocks = make([]Block, MaxBlocks)
	for i := range dense.Blocks {
		dense.Blocks[i] = Block{Width: 8, Stride: dense.Stem.Stride}
	}
	if err := dense.Check(); err != nil {
		t.Fatal(err)
	}
	if got := dense.Paths(); got != 1<<63-1 {
		t.Errorf("%d paths, more than fit are reported as the largest number", got)
	}
}

func TestWithResolutionAndClassesLeaveTheOriginal(t *testing.T) {
	s := load(t, "mbv2")
	before := s.Fingerprint()
	small, err := s.WithResolution(64)
	if err != nil {
		t.Fatal(err)
	}
	if got := small.ClassifierOp().Resolution; got != 2 {
		t.Errorf("at 64×64 the classifier pools %d×%d, want 2×2", got, got)
	}
	few := s.WithClasses(10)
	few.Blocks[0].Width = 1
	if s.Fingerprint() != before {
		t.Error("the original changed")
	}
	if small.Fingerprint() == before || few.Fingerprint() == before {
		t.Error("a changed space has the same fingerprint")
	}
	if load(t, "mbv2").Fingerprint() != before {
		t.Error("the fingerprint differs from one reading to the next")
	}
	if _, err := s.WithResolution(16); err == nil || !strings.Contains(err.Error(), "stride") {
		t.Errorf("a resolution below the stride gave %v", err)
	}
}

// What the project's own spaces promise: widths and resolutions to choose from, and sizes that fit their use.
func TestOwnSpacesAreAsLargeAsTheySay(t *testing.T) {
	for _, c := range []struct {
		name                string
		ops                 int // at most
		paths               int64
		resolutions, widths int     // of blocks; widths: per stage behind the first, at least
		low, high           float64 // million multiply-adds
	}{
		{"tiny", 35, 20, 3, 2, 0.2, 1.65},
		{"cifar", 220, 2000, 4, 3, 4.9, 145},
	} {
		s := load(t, c.name)
		if got := len(s.Ops()); got > c.ops {
			t.Errorf("%s has %d distinct ops, more than %d", c.name, got, c.ops)
		}
		if got := s.Paths(); got < c.paths {
			t.Errorf("%s has %d paths, fewer than %d", c.name, got, c.paths)
		}
		sizes, widths := map[int]bool{}, map[int]map[int]bool{}
		for i, b := range s.Blocks {
			sizes[s.size(i)] = true
			if widths[b.Stage] == nil {
				widths[b.Stage] = map[int]bool{}
			}
			widths[b.Stage][b.Width] = true
		}
		if len(sizes) != c.resolutions {
			t.Errorf("%s has %d resolutions, want %d", c.name, len(sizes), c.resolutions)
		}
		for stage, w := range widths {
			if stage > 0 && len(w) < c.widths {
				t.Errorf("stage %d of %s has %d widths, fewer than %d", stage, c.name, len(w), c.widths)
			}
		}
		r := rand.New(rand.NewPCG(10, 0))
		for range 500 {
			a := randomArchitecture(r, s)
			if got := float64(a.MultiplyAdds()) / 1e6; got < c.low || got > c.high {
				t.Errorf("%s has a network of %.2f M multiply-adds, outside %g to %g", c.name, got, c.low, c.high)
			}
		}
	}
}
