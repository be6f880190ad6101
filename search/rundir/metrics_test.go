package rundir

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/files"

	"github.com/google/go-cmp/cmp"
)

func record(epoch int) Record {
	r := Record{Header: files.Header{Kind: metricsKind, SchemaVersion: metricsVersion}, Epoch: epoch, Phase: PhaseWeights, Steps: 100, Seconds: 2.5,
		ImagesPerSecond: 2560, TrainLoss: 1.25, TrainAccuracy: 0.5, ExpectedLatencyMS: 0.75, Factor: 0.15, EntropyAlpha: 1, EntropyBeta: 0.875, SkipShare: 0.25}
	if epoch >= 2 {
		loss, accuracy := 1.5, 0.0
		r.Phase, r.HeldOutLoss, r.HeldOutAccuracy, r.TargetLatencyMS = PhaseArchitecture, &loss, &accuracy, 0.5
		r.Others = []OtherObjective{{ObjectiveLatency, "car.lut.json", "ms", 0.5, 0.25, 0.125}, {ObjectiveParameters, "", "millions", 3, 0, 0.1}}
	}
	return r
}

func appendAll(t *testing.T, folder string, epochs ...int) {
	t.Helper()
	for _, epoch := range epochs {
		r := record(epoch)
		r.Header = files.Header{}
		if err := AppendRecord(folder, r); err != nil {
			t.Fatal(err)
		}
	}
}

func wantEpochs(t *testing.T, folder string, wantTorn bool, epochs ...int) {
	t.Helper()
	got, torn, err := ReadRecords(folder)
	if err != nil {
		t.Fatal(err)
	}
	if torn != wantTorn {
		t.Errorf("torn %v, want %v", torn, wantTorn)
	}
	var want []Record
	for _, epoch := range epochs {
		want = append(want, record(epoch))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +read):\n%s", diff)
	}
}

func TestRecordsAreReadAsAppended(t *testing.T) {
	folder := t.TempDir()
	appendAll(t, folder, 0, 1, 2, 3)
	wantEpochs(t, folder, false, 0, 1, 2, 3)
}

// Whatever part of the last line a crash leaves: the whole records are read, the loss is said, and appending heals it.
func TestTornRecordIsDropped(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, MetricsFile)
	appendAll(t, folder, 0, 1, 2)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for cut := last; cut <= len(whole); cut++ {
		if err := os.WriteFile(path, whole[:cut], 0o666); err != nil {
			t.Fatal(err)
		}
		want := []int{0, 1}
		if cut >= len(whole)-1 { // only the end of the line is lost
			want = []int{0, 1, 2}
		}
		wantEpochs(t, folder, cut > last && cut < len(whole)-1, want...)
		appendAll(t, folder, 7)
		wantEpochs(t, folder, false, append(want, 7)...)
	}
}

func TestKeepRecords(t *testing.T) {
	folder := t.TempDir()
	if err := KeepRecords(folder, 3); err != nil {
		t.Error(err)
	}
	if names, _ := os.ReadDir(folder); len(names) != 0 {
		t.Errorf("%v was made", names)
	}
	appendAll(t, folder, 0, 1, 2, 3)
	f, err := os.OpenFile(filepath.Join(folder, MetricsFile), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"kind": "dens`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := KeepRecords(folder, 2); err != nil {
		t.Fatal(err)
	}
	wantEpochs(t, folder, false, 0, 1)
	appendAll(t, folder, 2)
	wantEpochs(t, folder, false, 0, 1, 2)
}

func TestAppendRefusesBadRecords(t *testing.T) {
	folder := t.TempDir()
	r := record(0)
	r.TrainAccuracy = 50
	if err := AppendRecord(folder, r); err == nil || !strings.Contains(err.Error(), "train_accuracy is 50, allowed is 0 to 1") {
		t.Errorf("error %v", err)
	}
	if names, _ := os.ReadDir(folder); len(names) != 0 {
		t.Errorf("%v was made", names)
	}
}

func TestMetricsRefuse(t *testing.T) {
	line := func(change func(*Record)) string {
		r := record(2)
		change(&r)
		data, err := json.Marshal(&r)
		if err != nil {
			t.Fatal(err)
		}
		return string(data) + "\n"
	}
	good := line(func(r *Record) { r.Epoch = 1 })
	negative := -1.0
	for _, c := range []struct{ name, text, want string }{
		{"foreign", `{"step": 1}` + "\n", `metrics.jsonl:1: has no "kind", so it is not a densenas.metrics file; is it the right file?`},
		{"text", "epoch,loss\n1,2\n", "metrics.jsonl:1: is not JSON; is it the right file?"},
		{"newer", good + line(func(r *Record) { r.SchemaVersion = 9 }), "metrics.jsonl:2: has schema version 9, made by a newer densenas"},
		{"torn in the middle", good + good[:50] + "\n" + good, "metrics.jsonl:2:51: the file ends in the middle"},
		{"empty line", good + "\n" + good, "metrics.jsonl:2: is not JSON"},
		{"unknown", strings.Replace(good, `"steps"`, `"step"`, 1), `metrics.jsonl:1:80: unknown field "step"`},
		{"missing", strings.Replace(good, `"steps":100,`, "", 1), `metrics.jsonl:1:1: field "steps" is missing`},
		{"phase", line(func(r *Record) { r.Phase = "warm-up" }), `metrics.jsonl:1: phase is "warm-up", known are weights and architecture`},
		{"epoch", line(func(r *Record) { r.Epoch = -1 }), "metrics.jsonl:1: epoch is -1, allowed is 0 to 1000000"},
		{"steps", line(func(r *Record) { r.Steps = -1 }), "metrics.jsonl:1: steps is -1, allowed is from 0"},
		{"loss", line(func(r *Record) { r.HeldOutLoss = &negative }), "metrics.jsonl:1: held_out_loss is -1, allowed is 0 to 1000000000000"},
		{"doubled", good + good, "metrics.jsonl:2: epoch 1 after epoch 1; remove the doubled records"},
		{"long", strings.Repeat(" ", maxMetricsLine+1), "metrics.jsonl:1: a line of 65537 bytes, allowed are at most 65536; is it the right file?"},
	} {
		_, _, err := parseRecords("metrics.jsonl", []byte(c.text))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || exit.Code(err) != exit.CodeBadInput || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v\nwant %s", c.name, err, c.want)
		}
	}
	if _, _, err := ReadRecords(t.TempDir()); exit.Code(err) != exit.CodeBadInput {
		t.Errorf("a folder without: error %v", err)
	}
}

func FuzzMetrics(f *testing.F) {
	for _, epoch := range []int{0, 2} {
		r := record(epoch)
		data, err := json.Marshal(&r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(data, '\n'))
		f.Add(data[:len(data)-5])
	}
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, torn, err := parseRecords("m.jsonl", data)
		if err != nil {
			if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), "m.jsonl:") {
				t.Fatalf("error without place: %v", err)
			}
			return
		}
		if torn && bytes.HasSuffix(data, []byte("\n")) {
			t.Fatal("a whole last line was dropped as torn")
		}
		for i := range records {
			if err := records[i].check(); err != nil {
				t.Fatalf("accepted a bad record: %v", err)
			}
		}
	})
}
