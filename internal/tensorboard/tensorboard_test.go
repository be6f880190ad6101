package tensorboard

import (
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"densenas/internal/tensorboard/tensorboardtest"
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

func TestTensorBoardReadsWhatIsWritten(t *testing.T) {
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

	want := map[string][][2]float64{
		"loss/train":          {{0, 2}, {1, 3}, {2, 12}, {3, 13}, {4, 14}},
		"latency/expected ms": {{0, 0.5}, {1, 0.5}, {2, 0.5}, {3, 0.5}, {4, 0.5}},
	}
	if diff := cmp.Diff(want, tensorboardtest.Scalars(t, folder)); diff != "" {
		t.Errorf("(-written +read by TensorBoard):\n%s", diff)
	}
}
