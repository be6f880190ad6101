package study

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/internal/tables"
)

var update = flag.Bool("update", false, "write the golden files")

// example has a network of each group but one, and one that has no accuracy inside a super network.
func example() *Results {
	score := func(name string, images, correct int) Score {
		return Score{Name: name, Images: images, Correct: correct, Loss: 2.5 - float64(correct)/float64(images)}
	}
	network := func(name string, group Group, ms float64, inside int, tests ...int) Network {
		n := Network{Name: name, Group: group, LatencyMS: ms, Layers: 15, MultiplyAdds: int64(ms * 4e7), Parameters: int64(ms * 9e5)}
		if inside > 0 {
			s := score(name, 600, inside)
			n.Inside = &s
		}
		for i, correct := range tests {
			part := TrainingName(name, uint64(i+1))
			n.Trainings = append(n.Trainings, Trained{uint64(i + 1), score(part, 600, correct+correct/3), score(part, 400, correct)})
		}
		return n
	}
	return &Results{
		Header: files.Header{Kind: resultsKind, SchemaVersion: resultsVersion},
		Space:  "cifar", TargetMS: 0.65, LowMS: 0.6045, Table: "0123abcd", Data: "4567ef", Ranking: Ranking{Resamples: 1000, Seed: 1},
		Absent: []Absent{{GroupFixed, "no <seed> was given"}},
		Networks: []Network{
			network("searched-1", GroupSearched, 0.648, 250, 232, 228), network("searched-2", GroupSearched, 0.6434, 241, 228, 224),
			network("random-1", GroupRandom, 0.607, 225, 213), network("random-2", GroupRandom, 0.64, 222, 219), network("random-3", GroupRandom, 0.6281, 206, 209),
			network("mobilenetv2", GroupMobileNetV2, 0.6177, 0, 201, 206),
		},
	}
}

// golden holds an output against a file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("differs from %s (go test -update writes it):\n%s", path, got)
	}
}

func TestPrintGolden(t *testing.T) {
	for _, f := range []tables.Format{tables.Text, tables.CSV, tables.JSON, tables.Markdown} {
		var out bytes.Buffer
		if err := example().Print(&out, f); err != nil {
			t.Fatal(err)
		}
		golden(t, "study."+string(f), out.Bytes())
	}
}

func TestPlotGolden(t *testing.T) {
	var out bytes.Buffer
	if err := example().Plot(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "study.svg", out.Bytes())
}

// Whatever the results are, the plot is XML, and everything is drawn inside it.
func TestPlotIsInsideItsFrame(t *testing.T) {
	one := example()
	one.Networks = one.Networks[2:3] // a lone network, trained once
	one.LowMS = one.TargetMS
	for name, r := range map[string]*Results{"example": example(), "lone network": one} {
		var out bytes.Buffer
		if err := r.Plot(&out); err != nil {
			t.Fatal(err)
		}
		circles := 0
		for d := xml.NewDecoder(&out); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			element, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			if element.Name.Local == "circle" {
				circles++
			}
			for _, a := range element.Attr {
				end := map[string]float64{"x": plotWidth, "x1": plotWidth, "x2": plotWidth, "cx": plotWidth, "y": plotHeight, "y1": plotHeight, "y2": plotHeight, "cy": plotHeight}[a.Name.Local]
				if end == 0 {
					continue
				}
				if v, err := strconv.ParseFloat(a.Value, 64); err != nil || !(v >= 0 && v <= end) {
					t.Errorf("%s: <%s %s=%q>, %v", name, element.Name.Local, a.Name.Local, a.Value, err)
				}
			}
		}
		trainings := 0
		for _, n := range r.Networks {
			trainings += len(n.Trainings)
		}
		if want := trainings + len(r.Summary().Groups); circles != want { // and one in the legend for each group
			t.Errorf("%s: %d circles, want %d", name, circles, want)
		}
	}
}

func TestSummaryComparesNetworks(t *testing.T) {
	s := example().Summary()
	if len(s.Groups) != 3 {
		t.Fatalf("%+v", s.Groups)
	}
	searched, random, mobile := s.Groups[0], s.Groups[1], s.Groups[2]
	if searched.Group != GroupSearched || searched.Networks != 2 || searched.Trainings != 4 || random.Group != GroupRandom || random.Trainings != 3 || mobile.Networks != 1 {
		t.Errorf("%+v", s.Groups)
	}
	// The networks are the sample, each with the mean of its trainings, and the trainings of a lone one.
	near(t, "searched", searched.Test.Mean, (230+226)/800.0, 1e-12)
	near(t, "deviation of the searched", *searched.Test.Deviation, 2/400.0*math.Sqrt2, 1e-12)
	near(t, "random", random.Test.Mean, (213+219+209)/1200.0, 1e-12)
	if searched.Test.Count != 2 || random.Test.Count != 3 || mobile.Test.Count != 2 {
		t.Errorf("samples of %d, %d and %d", searched.Test.Count, random.Test.Count, mobile.Test.Count)
	}
	near(t, "mean latency", random.LatencyMS, (0.607+0.64+0.6281)/3, 1e-12)
	// Gains are over the random networks, in their own measure too.
	gain := searched.Test.Mean - random.Test.Mean
	near(t, "gain", searched.Gain.Mean, gain, 1e-12)
	near(t, "relative gain", searched.Gain.Relative, gain/random.Test.Mean, 1e-12)
	near(t, "relative interval", searched.Gain.RelativeInterval.Low, searched.Gain.Interval.Low/random.Test.Mean, 1e-12)
	near(t, "relative detectable", *searched.Gain.RelativeDetectable, *searched.Gain.Detectable/random.Test.Mean, 1e-12)
	if random.Gain != nil {
		t.Errorf("the random networks gain %+v over themselves", random.Gain)
	}
	// Of the five networks with both accuracies, one pair of ten is reversed.
	if s.Ranking == nil || s.Ranking.Count != 5 {
		t.Fatalf("%+v", s.Ranking)
	}
	near(t, "tau", s.Ranking.Tau, 0.8, 1e-12)
	none := example()
	for i := range none.Networks {
		none.Networks[i].Inside = nil
	}
	if r := none.Summary().Ranking; r != nil {
		t.Errorf("%+v without accuracies inside", r)
	}
}

func TestResultsAreReadAsWritten(t *testing.T) {
	folder := t.TempDir()
	if err := example().Write(folder); err != nil {
		t.Fatal(err)
	}
	got, err := ReadResults(filepath.Join(folder, ResultsFile))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example(), got); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
}

func TestResultsRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Results)
		want   string
	}{
		"foreign":            {func(r *Results) { r.Kind = "densenas.lut" }, "is of kind"},
		"newer":              {func(r *Results) { r.SchemaVersion++ }, "schema version"},
		"no target":          {func(r *Results) { r.TargetMS = 0 }, "low_ms and target_ms"},
		"band behind target": {func(r *Results) { r.LowMS = 1 }, "low_ms and target_ms"},
		"resamples":          {func(r *Results) { r.Ranking.Resamples = 1e9 }, "ranking.resamples"},
		"no networks":        {func(r *Results) { r.Networks = nil }, "networks has 0"},
		"absent":             {func(r *Results) { r.Absent[0].Group = "x" }, "absent[0]"},
		"group":              {func(r *Results) { r.Networks[1].Group = "x" }, `networks[1]: group is "x"`},
		"name":               {func(r *Results) { r.Networks[1].Name = "" }, "networks[1]: name"},
		"latency":            {func(r *Results) { r.Networks[1].LatencyMS = -1 }, "latency_ms"},
		"layers":             {func(r *Results) { r.Networks[1].Layers = 1e9 }, "layers"},
		"parameters":         {func(r *Results) { r.Networks[1].Parameters = -1 }, "parameters"},
		"no trainings":       {func(r *Results) { r.Networks[1].Trainings = nil }, "trainings has 0"},
		"no images":          {func(r *Results) { r.Networks[0].Inside.Images = 0 }, "inside: images is 0"},
		"too many correct":   {func(r *Results) { r.Networks[0].Trainings[0].Test.Correct = 401 }, "trainings[0].test: correct is 401"},
		"loss":               {func(r *Results) { r.Networks[0].Trainings[0].HeldOut.Loss = -1 }, "trainings[0].held_out: loss"},
	} {
		r := example()
		c.change(r)
		path := filepath.Join(t.TempDir(), ResultsFile)
		if err := writeJSON(path, r, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadResults(path); err == nil || exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), path) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if name != "foreign" && name != "newer" { // these it sets itself
			if err := r.Write(t.TempDir()); err == nil {
				t.Errorf("%s: was written", name)
			}
		}
	}
}

func FuzzResults(f *testing.F) {
	folder := f.TempDir()
	if err := example().Write(folder); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(folder, ResultsFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"kind": "densenas.study", "schema_version": 1, "networks": [{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseResults("s.json", data)
		if err != nil {
			if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), "s.json") {
				t.Fatalf("error without place: %v", err)
			}
			return
		}
		folder := t.TempDir()
		if err := r.Write(folder); err != nil {
			t.Fatal(err)
		}
		again, err := ReadResults(filepath.Join(folder, ResultsFile))
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("%+v was read again as %+v, error %v", r, again, err)
		}
		if len(r.Networks) > 20 {
			return
		}
		r.Ranking.Resamples = 100
		if err := r.Print(io.Discard, tables.Markdown); err != nil {
			t.Fatal(err)
		}
		var plot bytes.Buffer
		if err := r.Plot(&plot); err != nil || strings.Contains(plot.String(), "NaN") || strings.Contains(plot.String(), "Inf") {
			t.Fatalf("%v\n%s", err, plot.String())
		}
	})
}
