package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/binomial"
	"densenas/internal/tables"
	"densenas/search"
	"densenas/search/rundir"
)

// What eval says of a file of weights is what its training said of the test, and the rows of the confusion add up to it.
func TestEvalAgreesWithTraining(t *testing.T) {
	f := smallFiles(t)
	folder, path := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "w.safetensors")
	succeed(t, f.args(folder, "--epochs", "2")...)
	stdout, _ := succeed(t, "train", "--arch", filepath.Join(folder, rundir.ArchitectureFile), "--data", f.data, "--epochs", "2", "--batch", "8", "--backend", "go", "--format", "json", "-o", path)
	var trained trainResult
	if err := json.Unmarshal([]byte(stdout), &trained); err != nil {
		t.Fatal(err)
	}
	args := []string{"eval", path, "--data", f.data, "--backend", "go"}
	stdout, _ = succeed(t, append(args, "--batch", "4", "--format", "json")...)
	var r evalResult
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	if r.Images != trained.TestImages || r.Top1.Share != trained.TestAccuracy || r.Top1.Low != trained.TestLow || r.Top1.High != trained.TestHigh || r.Top5.Correct != r.Images {
		t.Errorf("eval says %+v, training %+v", r, trained)
	}
	if d := r.Loss - trained.TestLoss; d > 1e-5 || d < -1e-5 {
		t.Errorf("loss %g, in training %g", r.Loss, trained.TestLoss)
	}
	correct := 0
	for i, c := range r.Classes {
		images := 0
		for _, n := range c.Answers {
			images += n
		}
		if want := []string{"blue", "green", "red"}[i]; c.Class != want || c.Images != 5 || images != 5 || c.Answers[want] != c.Correct {
			t.Errorf("class %d: %+v", i, c)
		}
		correct += c.Correct
	}
	if correct != r.Top1.Correct {
		t.Errorf("%d correct by class, %d in all", correct, r.Top1.Correct)
	}

	text, _ := succeed(t, args...)
	for _, want := range []string{"top-1", "top-5", "95 % interval", "confusion", "blue", fmt.Sprintf("%.2f %%", 100*r.Top1.Share), fmt.Sprintf("mean cross entropy %.4f", r.Loss)} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if text, _ = succeed(t, append(args, "--format", "markdown")...); !strings.Contains(text, "| top-1") {
		t.Errorf("as Markdown:\n%s", text)
	}
	text, _ = succeed(t, append(args, "--format", "csv")...)
	parts := strings.Split(text, "\n\n")
	if len(parts) != 2 {
		t.Fatalf("%d tables in\n%s", len(parts), text)
	}
	rows, err := csv.NewReader(strings.NewReader(parts[1])).ReadAll()
	if err != nil || len(rows) != 4 || strings.Join(rows[0], " ") != "class images correct blue green red" || rows[1][3] != fmt.Sprint(r.Classes[0].Answers["blue"]) {
		t.Errorf("rows %v, %v", rows, err)
	}

	for _, c := range []struct {
		args    []string
		message string
	}{
		{[]string{"eval", "--data", f.data}, "an argument is missing"},
		{[]string{"eval", path}, "--data"},
		{[]string{"eval", path, "--data", f.data, "--batch", "0"}, "--batch is 0"},
		{[]string{"eval", path, "--data", f.data, "--backend", "tpu"}, `"tpu"`},
		{[]string{"eval", path, "--data", "mnist"}, "has 10 classes, not the 3"},
		{[]string{"eval", checkpointPath(folder), "--data", f.data}, "densenas.checkpoint"},
		{[]string{"eval", path + ".none", "--data", f.data}, path + ".none"},
	} {
		refused(t, c.args, c.message)
	}
	write(t, filepath.Join(f.data, "red", "03.png"), "no image")
	refused(t, args, "red/03.png", "--skip-corrupt")
	succeed(t, append(args, "--skip-corrupt")...)
}

// Of many classes people are shown the most frequent mistakes, in an order that is always the same; all of them are in the CSV.
func TestMistakesOfManyClasses(t *testing.T) {
	e := &search.Evaluation{Images: 1000, Top1: 700, Top5: 900, Answers: map[[2]int]int{}}
	var classes []string
	for i := range 50 {
		classes = append(classes, fmt.Sprintf("class%02d", i))
		e.Answers[[2]int{i, i}] = 14
		e.Answers[[2]int{i, (i + 1) % 50}] = 5 + i/25 // the later classes have one more
		e.Answers[[2]int{i, (i + 2) % 50}] = 1
	}
	r := newEvalResult(e, classes)
	if r.Top5.Proportion != binomial.Of(900, 1000) || len(r.Classes) != 50 {
		t.Errorf("%+v", r.Top5)
	}
	shown := r.tables(tables.Text)[1]
	if len(shown.Rows) != 20 {
		t.Fatalf("%d rows", len(shown.Rows))
	}
	for i, row := range shown.Rows {
		want := []string{classes[25+i], classes[(26+i)%50], "6", "28.57 %"}
		if strings.Join(row, " ") != strings.Join(want, " ") {
			t.Errorf("row %d is %v, want %v", i, row, want)
		}
	}
	if all := r.tables(tables.CSV)[1]; len(all.Rows) != 100 {
		t.Errorf("%d mistakes in all", len(all.Rows))
	}
}
