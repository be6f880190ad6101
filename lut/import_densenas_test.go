package lut

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/testdata"
	"densenas/supernet/space"
)

// published is the architecture whose latency is known: its entries sum to 17.98 ms.
const published = `[[16, 16], 'mbconv_k3_t1', [], 0, 1]|[[16, 24], 'mbconv_k3_t6', [], 0, 2]|[[24, 48], 'mbconv_k7_t6', ['mbconv_k3_t3'], 1, 2]|` +
	`[[48, 72], 'mbconv_k5_t6', ['mbconv_k3_t6', 'mbconv_k3_t3'], 2, 2]|[[72, 128], 'mbconv_k3_t6', ['mbconv_k3_t3', 'mbconv_k3_t3'], 2, 1]|` +
	`[[128, 160], 'mbconv_k3_t6', ['mbconv_k7_t3', 'mbconv_k5_t6', 'mbconv_k7_t3'], 3, 2]|` +
	`[[160, 176], 'mbconv_k3_t3', ['mbconv_k3_t6', 'mbconv_k3_t6', 'mbconv_k3_t6'], 3, 1]|[[176, 384], 'mbconv_k7_t6', [], 0, 1]|[[384, 1984], 'conv1_1']`

// importShared imports one of the published tables as that of a space, mbv2 unless named.
func importShared(t *testing.T, file string, name ...string) (*Table, *space.Space, error) {
	t.Helper()
	name = append(name, "mbv2")
	f, err := os.Open(testdata.Shared(t, "luts/"+file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := space.Load(name[0])
	if err != nil {
		t.Fatal(err)
	}
	table, err := ImportDenseNAS(f, file, s)
	return table, s, err
}

func TestImportedTablePredictsThePublishedLatency(t *testing.T) {
	table, s, err := importShared(t, "titanxp-mbv2-b32.densenas.txt")
	if err != nil {
		t.Fatal(err)
	}
	text, err := space.ParseNetConfig(published)
	if err != nil {
		t.Fatal(err)
	}
	// The same network with its path, so that entries at its places are taken.
	placed := *text
	placed.Space, placed.Path = "mbv2", nil
	placed.Layers = append([]space.Layer(nil), text.Layers...)
	for i, l := range placed.Layers {
		if l.Block == space.NoBlock {
			continue
		}
		for b := range s.Blocks {
			if s.Blocks[b].Width == l.Op.Out {
				placed.Layers[i].Block = b
			}
		}
		if b := placed.Layers[i].Block; len(placed.Path) == 0 || placed.Path[len(placed.Path)-1] != b {
			placed.Path = append(placed.Path, b)
		}
	}
	if err := placed.Check(); err != nil {
		t.Fatal(err)
	}
	unplaced, _, err := table.Network(text)
	if err != nil {
		t.Fatal(err)
	}
	byPlace, layers, err := table.Network(&placed)
	if err != nil {
		t.Fatal(err)
	}
	for _, total := range []Estimate{unplaced, byPlace} {
		if !near(total.MS, 17.98129363493486) || !total.IntervalUnknown { // summed by hand over the text's numbers
			t.Errorf("total %+v, want 17.98129 ms, interval unknown", total)
		}
	}
	if layers[0].MS != 2.130230027015763 || !layers[1].InPrevious || layers[1].MS != 0 {
		t.Errorf("stem %+v, first block %+v", layers[0], layers[1])
	}
}

func TestImportKeepsEveryNumberAtItsPlace(t *testing.T) {
	table, s, err := importShared(t, "titanxp-mbv2-b32.densenas.txt")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(testdata.Shared(t, "luts/titanxp-mbv2-b32.densenas.txt"))
	if err != nil {
		t.Fatal(err)
	}
	numbers := strings.FieldsFunc(string(data), func(r rune) bool { return strings.ContainsRune("[], \n", r) })
	if len(table.Entries) != len(numbers) {
		t.Fatalf("%d entries, but the text has %d numbers", len(table.Entries), len(numbers))
	}
	for i, e := range table.Entries {
		if fmt.Sprint(e.MedianMS) != numbers[i] && !near(e.MedianMS, parse64(t, numbers[i])) {
			t.Errorf("entry %d is %g, the text says %s", i, e.MedianMS, numbers[i])
		}
	}
	if table.Batch != 32 || table.Device.Model != "TITAN XP" || table.CallMS != 0 || table.Verified() {
		t.Errorf("batch %d, device %q, call %g ms", table.Batch, table.Device.Model, table.CallMS)
	}
	if err := table.CheckMatch(Settings{Resolution: 224, Batch: 32}); err != nil {
		t.Error(err)
	}
	var ops []space.Op
	for _, c := range s.Ops() {
		ops = append(ops, c.Op)
	}
	if missing := table.Missing(ops); len(missing) != 0 {
		t.Errorf("%d ops of the space are missing: %v", len(missing), missing)
	}
	// Blocks 14 and 15 of the text's list and the one behind have no stacked layers in the space, but were measured.
	notes := 0
	for _, note := range table.Notes {
		if strings.Contains(note, "3 stacked layers beyond those of the space are kept") {
			notes++
		}
	}
	if notes != 3 {
		t.Errorf("%d notes on stacked layers beyond the space's, want 3: %q", notes, table.Notes)
	}
	place := Layer(16, 2)
	op := space.Op{Kind: space.MBConv, Kernel: 3, Expansion: 3, In: 384, Out: 384, Stride: 1, Resolution: 7}
	if got, err := table.Op(op, &place); err != nil || got.MS != 0.6797817259123831 {
		t.Errorf("%+v, error %v", got, err)
	}
}

func parse64(t *testing.T, text string) float64 {
	t.Helper()
	var x float64
	if _, err := fmt.Sscan(text, &x); err != nil {
		t.Fatal(err)
	}
	return x
}

func TestImportedTableIsWrittenAndRead(t *testing.T) {
	table, _, err := importShared(t, "titanxp-mbv2-b32.densenas.txt")
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/titanxp.lut.json"
	if err := table.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Identity() != table.Identity() {
		t.Error("the identity changed")
	}
}

// In the table of res the first number is the stem's alone, every head has one candidate, and every stacked layer two.
func TestImportOfRes(t *testing.T) {
	const file = "titanxp-res-b32.densenas.txt"
	table, s, err := importShared(t, file, "res")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(testdata.Shared(t, "luts/"+file))
	if err != nil {
		t.Fatal(err)
	}
	numbers := strings.FieldsFunc(string(data), func(r rune) bool { return strings.ContainsRune("[], \n", r) })
	for i, number := range numbers {
		if e := table.Entries[i]; fmt.Sprint(e.MedianMS) != number && !near(e.MedianMS, parse64(t, number)) {
			t.Errorf("entry %d is %g, the text says %s", i, e.MedianMS, number)
		}
	}
	first, last := table.Entries[0], table.Entries[len(numbers)-1]
	if first.Key != "stem_relu_k3_i3_o32_s2_r224" || last.Key != "classifier_i512_o1000_r7" {
		t.Errorf("the first number is of %s, the last of %s", first.Key, last.Key)
	}
	// Networks end without the final convolution, in a classifier on the last block's channels.
	more := map[string]float64{}
	for _, e := range table.Entries[len(numbers):] {
		more[e.Key] = e.MedianMS
	}
	if len(more) != 2 || more["classifier_i480_o1000_r7"] != last.MedianMS || more["classifier_i496_o1000_r7"] != last.MedianMS ||
		!strings.Contains(strings.Join(table.Notes, "\n"), "the classifiers on 496 and 480 channels") {
		t.Errorf("beside the text's numbers %v, noted %q", more, table.Notes)
	}
	comesBack(t, table, s)

	// A network is the sum of the numbers at its places: the first block is the stem, so the first head is on a connection.
	path := []int{0, 3, 6, 10, 13, 17, 19}
	var heads []space.Op
	stacks := make([][]space.Op, len(path)-1)
	want, at := first.MedianMS+last.MedianMS, 1
	for b := 1; b < len(s.Blocks); b++ {
		step := slices.Index(path, b)
		for _, c := range s.Incoming(b) {
			if step > 0 && c.From == path[step-1] {
				heads = append(heads, s.HeadOps(c)[0])
				want += parse64(t, numbers[at])
			}
			at++
		}
		for layer := range s.Blocks[b].Layers {
			if step > 0 && layer < 2 {
				stacks[step-1] = append(stacks[step-1], s.StackOps(b)[0])
				want += parse64(t, numbers[at])
			}
			at += 2
		}
	}
	a := s.Network(path, append(heads, s.FinalOp(s.Outgoing(19)[1])), stacks)
	unnamed := *a
	unnamed.Space, unnamed.Path = "", nil
	unnamed.Layers = slices.Clone(a.Layers)
	for i, l := range a.Layers {
		if l.Block != space.NoBlock {
			unnamed.Layers[i].Block = slices.Index(path, l.Block) - 1
		}
	}
	for name, network := range map[string]*space.Architecture{"with its path": a, "by its widths": &unnamed} {
		if err := network.Check(); err != nil {
			t.Fatal(err)
		}
		if got, _, err := table.Network(network); err != nil || math.Abs(got.MS-want) > 1e-9 {
			t.Errorf("%s: %+v, %v; the numbers add up to %g ms", name, got, err, want)
		}
	}
}

func TestImportOfAnotherSpaceIsRefused(t *testing.T) {
	_, _, err := importShared(t, "titanxp-res-b32.densenas.txt")
	if err == nil || exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), "found 20 elements, but mbv2 has 16 blocks behind the first; is it the table of another space? name it with --space") {
		t.Errorf("error %v", err)
	}
}

// smallText is a published table of the space small, all times 1.
func smallText(t testing.TB) (string, *space.Space) {
	t.Helper()
	s, err := space.Load(small)
	if err != nil {
		t.Fatal(err)
	}
	ones := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("1, ", n), ", ") + "]" }
	var blocks []string
	for b := 1; b < len(s.Blocks); b++ {
		var heads, stacks []string
		for range s.Incoming(b) {
			heads = append(heads, ones(len(s.HeadCandidates)))
		}
		for range s.Blocks[b].Layers {
			stacks = append(stacks, ones(len(s.StackCandidates)))
		}
		blocks = append(blocks, fmt.Sprintf("[[%s], [%s]]", strings.Join(heads, ", "), strings.Join(stacks, ", ")))
	}
	return fmt.Sprintf("[1.5, [%s],\n %s, 2e-1]", strings.Join(blocks, ", "), ones(len(s.Incoming(len(s.Blocks))))), s
}

func TestImportRefuses(t *testing.T) {
	text, s := smallText(t)
	if _, err := ImportDenseNAS(strings.NewReader(text), "t.txt", s); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "t.txt:1:1: the file ends in the middle, it is truncated; fetch it again"},
		{"truncated", text[:40], "t.txt:1:41: the file ends in the middle, it is truncated; fetch it again"},
		{"JSON table", `{"kind": 1}`, `t.txt:1:1: found '{', expected a number or a list; is it a published table of DenseNAS?`},
		{"other list", "[1, 2]", "t.txt:1:1: expected a list of four: stem, blocks, final convolution, classifier; is it a published table of DenseNAS?"},
		{"text", strings.Replace(text, "2e-1", "fast", 1), `t.txt:2:13: found 'f', expected a number or a list; is it a published table of DenseNAS?`},
		{"no number", strings.Replace(text, "2e-1", "2e--1", 1), `t.txt:2:13: "2e--1" is not a number`},
		{"negative", strings.Replace(text, "2e-1", "-2", 1), "t.txt:2:13: the time of classifier_i128_o10_r4 is -2, allowed is above 0 to 1e+09 ms"},
		{"endless", strings.Replace(text, "2e-1", "2e999", 1), "t.txt:2:13: the time of classifier_i128_o10_r4 is +Inf, allowed is above 0 to 1e+09 ms"},
		{"list for a number", strings.Replace(text, "2e-1", "[2]", 1), "t.txt:2:13: found a list, expected the time of classifier_i128_o10_r4"},
		{"number for a list", "[1, 2, 3, 4]", "t.txt:1:5: found a number, expected a list of blocks behind the first"},
		{"text behind", text + " 1", "t.txt:2:19: text after the end of the list; remove it"},
		{"deep", strings.Repeat("[", 100), "t.txt:1:10: nested deeper than 8; is it the right file?"},
		{"many", "[" + strings.Repeat("1,", MaxEntries+1), "more than 100000 values; is it the right file?"},
		{"large", strings.Repeat(" ", maxImport+1), "t.txt: larger than 4 MiB, the most that a published table may have; is it the right file?"},
	} {
		_, err := ImportDenseNAS(strings.NewReader(c.text), "t.txt", s)
		if err == nil || !strings.Contains(err.Error(), c.want) || exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%s: error %v\nwant %s", c.name, err, c.want)
		}
	}
}

func FuzzImportDenseNAS(f *testing.F) {
	text, s := smallText(f)
	for _, seed := range []string{text, text[:50], "[1, [], [], 1]", "[[[[[[[[[[", "[1e, 2]", strings.ReplaceAll(text, "1", "0x1p-2")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		table, err := ImportDenseNAS(strings.NewReader(text), "t.txt", s)
		if err != nil {
			if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), "t.txt:") {
				t.Fatalf("error without place: %v", err)
			}
			return
		}
		var ops []space.Op
		for _, c := range s.Ops() {
			ops = append(ops, c.Op)
		}
		if missing := table.Missing(ops); len(missing) != 0 {
			t.Fatalf("accepted, but %v are missing", missing)
		}
		for i := range table.Entries {
			if table.Entries[i].MedianMS < shortestMS {
				return
			}
		}
		comesBack(t, table, s)
	})
}
