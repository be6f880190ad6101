package profiler

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"densenas/lut"
	"densenas/supernet/space"
)

// killRuns is the variable that sets how many runs are killed; there are fewer in short tests.
const killRuns = "DENSENAS_KILL_RUNS"

// measureHere is the variable that makes the test binary measure into the table that it names.
const measureHere = "DENSENAS_TEST_MEASURE"

func TestMain(m *testing.M) {
	if path := os.Getenv(measureHere); path != "" {
		if err := measureFor(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// measureFor measures the space tiny into a table, with a runner that takes no time, and says each step on stdout.
func measureFor(path string) error {
	s, err := space.Load("tiny")
	if err != nil {
		return err
	}
	plan := NewPlan([]*space.Space{s}, nil)
	store, err := settings().Open(path, plan, plan)
	if err != nil {
		return err
	}
	r, _ := fake(0, 0.02)
	for i, item := range plan.Items {
		r.base[item.Op] = time.Duration(i+1) * 100 * time.Microsecond
	}
	said := func(text string) { os.Stdout.WriteString(text + "\n") }
	observer := Observer{
		Progress: func(int, string) { said("step") },
		Save: func(all ...Record) error {
			if err := store.Save(all...); err != nil {
				return err
			}
			said("saved")
			return store.Write()
		},
		pause: r.pause, now: r.clock,
	}
	if err := Profile(context.Background(), r, store.Job, settings().Policy, observer); err != nil {
		return err
	}
	return store.Close()
}

// Runs are killed, again and again, after a random number of steps and a random moment: each continues, nothing is lost or
// doubled, and the table at the end is that of the journal.
func TestKilledRunsAreContinued(t *testing.T) {
	runs := 50
	if testing.Short() {
		runs = 4
	}
	if text := os.Getenv(killRuns); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		runs = n
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	plan := tiny(t)
	random := rand.New(rand.NewPCG(11, 12))
	killed, torn := 0, 0
	for run := range runs {
		path := filepath.Join(t.TempDir(), "a.lut.json")
		for attempt := 0; ; attempt++ {
			whole := wholeLines(JournalPath(path))
			command := exec.Command(self)
			command.Env = append(os.Environ(), measureHere+"="+path)
			var messages bytes.Buffer
			command.Stderr = &messages
			out, err := command.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			steps := random.IntN(150)
			for n := 0; n < steps && lines.Scan(); n++ {
			}
			if attempt < 3 {
				for range random.IntN(200_000) { // some moment until the next step
					random.Uint64()
				}
				command.Process.Kill()
			}
			for lines.Scan() {
			}
			err = command.Wait()
			if attempt >= 3 && err != nil {
				t.Fatalf("run %d cannot be continued: %v: %s", run, err, messages.String())
			}
			if err != nil && messages.Len() > 0 {
				t.Fatalf("run %d, attempt %d: %s", run, attempt, messages.String())
			}
			data, _ := os.ReadFile(JournalPath(path))
			if !bytes.HasPrefix(data, whole) {
				t.Fatalf("run %d, attempt %d: what the journal had has changed", run, attempt)
			}
			if len(data) > 0 && data[len(data)-1] != '\n' {
				torn++
			}
			if err == nil {
				break
			}
			killed++
		}
		journal, err := ReadJournal(JournalPath(path))
		if err != nil {
			t.Fatal(err)
		}
		table, err := lut.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(journal.Records) != len(plan.Items) || len(table.Entries) != len(plan.Items) {
			t.Fatalf("run %d: %d operations, %d records, %d entries", run, len(plan.Items), len(journal.Records), len(table.Entries))
		}
		log, err := journal.Log()
		if err != nil {
			t.Fatal(err)
		}
		again := settings().NewTable()
		settings().Fill(again, log, journal.Sentinel)
		if again.Identity() != table.Identity() {
			t.Errorf("run %d: the table is not that of the journal", run)
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 2 {
			t.Errorf("run %d left %v", run, left)
		}
	}
	if killed < runs {
		t.Errorf("%d processes killed in %d runs", killed, runs)
	}
	t.Logf("%d runs, %d processes killed, %d of them within a line", runs, killed, torn)
}

// wholeLines is the content of a journal without what is torn at its end.
func wholeLines(path string) []byte {
	data, _ := os.ReadFile(path)
	return data[:bytes.LastIndexByte(data, '\n')+1]
}
