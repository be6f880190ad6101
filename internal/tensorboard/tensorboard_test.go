package tensorboard

import (
	"bytes"
	"cmp"
	"encoding/json"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// The check value of CRC-32C is that of RFC 3720, appendix B.4: 32 bytes of zeros.
func TestChecksumIsThatOfTheRFC(t *testing.T) {
	if got := crc32.Checksum(make([]byte, 32), crc32.MakeTable(crc32.Castagnoli)); got != 0x8a9136aa {
		t.Errorf("%08x", got)
	}
}

func TestWriterRefusesFoldersThatAreNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if w, err := Open(file, 0); err == nil {
		w.Close()
		t.Error("a file was taken for a folder")
	}
	var none *Writer
	if err := none.Close(); err != nil {
		t.Error(err)
	}
}

// readBack prints what TensorBoard's own reader finds, as it would show it: tag to steps and values.
const readBack = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1], purge_orphaned_data=True)
a.Reload()
print(json.dumps({tag: [[e.step, e.value] for e in a.Scalars(tag)] for tag in a.Tags()["scalars"]}))
`

// python is the interpreter that DENSENAS_PYTHON names, or python3; the test is skipped where it lacks a module.
func python(t *testing.T, module string) string {
	t.Helper()
	program := cmp.Or(os.Getenv("DENSENAS_PYTHON"), "python3")
	if out, err := exec.Command(program, "-c", "import "+module).CombinedOutput(); err != nil {
		t.Skipf("%s has no %s, so nothing reads event files back: %v %s", program, module, err, bytes.TrimSpace(out))
	}
	return program
}

func TestTensorBoardReadsWhatIsWritten(t *testing.T) {
	program := python(t, "tensorboard.backend.event_processing.event_accumulator")
	folder := filepath.Join(t.TempDir(), "a", "events")
	second := int64(1_700_000_000)
	clock := func() time.Time { second++; return time.Unix(second, 0) }
	write := func(from, to int, loss float64) {
		t.Helper()
		w, err := open(folder, from, clock)
		if err != nil {
			t.Fatal(err)
		}
		for step := from; step < to; step++ {
			if err := w.Add(step, []Scalar{{"loss/train", loss + float64(step)}, {"latency/expected ms", 0.5}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(0, 4, 2)
	write(2, 5, 10) // as a run that continues from the checkpoint before step 2

	out, err := exec.Command(program, "-c", readBack, folder).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var got map[string][][2]float64
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	want := map[string][][2]float64{
		"loss/train":          {{0, 2}, {1, 3}, {2, 12}, {3, 13}, {4, 14}},
		"latency/expected ms": {{0, 0.5}, {1, 0.5}, {2, 0.5}, {3, 0.5}, {4, 0.5}},
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-written +read by TensorBoard):\n%s", diff)
	}
}
