package dataset

import (
	"testing"
)

func TestParseCIFAR10(t *testing.T) {
	labels, pixels, err := parseCIFAR10("FILE", cifarBatch(3))
	if err != nil {
		t.Fatal(err)
	}
	if len(labels) != 3 || labels[2] != 2 {
		t.Errorf("labels %v", labels)
	}
	for i := range 3 {
		for p := range cifarPlane {
			for c := range 3 {
				if got, want := pixels[(i*cifarPlane+p)*3+c], byte(i+c+p); got != want {
					t.Fatalf("image %d pixel %d channel %d is %d, want %d", i, p, c, got, want)
				}
			}
		}
	}
}

func TestOpenCIFAR10(t *testing.T) {
	dir := writeFolder(t, map[string][]byte{"data_batch_1.bin": cifarBatch(30), "data_batch_2.bin": cifarBatch(20), "test_batch.bin": cifarBatch(10), "readme.html": []byte("x")})
	for _, spec := range []string{"cifar10:" + dir, dir} {
		d := mustOpen(t, spec, Options{})
		if d.Count(TrainAll) != 50 || d.Count(Test) != 10 || d.Channels != 3 || d.Augmentation != CropFlip || d.Classes[9] != "truck" {
			t.Errorf("%s: %s", spec, d.Describe())
		}
	}
}

func TestOpenCIFAR10Refuses(t *testing.T) {
	open := func(files map[string][]byte) error {
		_, err := Open("cifar10:"+writeFolder(t, files), Options{})
		return err
	}
	good := cifarBatch(20)
	wantBadInput(t, open(map[string][]byte{"test_batch.bin": good}), "has no data_batch_N.bin")
	wantBadInput(t, open(map[string][]byte{"data_batch_1.bin": good}), "test_batch.bin")
	wantBadInput(t, open(map[string][]byte{"data_batch_1.bin": good[:5000], "test_batch.bin": good}), "data_batch_1.bin", "truncated")
	wantBadInput(t, open(map[string][]byte{"data_batch_1.bin": good, "test_batch.bin": {}}), "test_batch.bin", "truncated")
	bad := cifarBatch(20)
	bad[cifarRecord] = 10
	wantBadInput(t, open(map[string][]byte{"data_batch_1.bin": bad, "test_batch.bin": good}), "data_batch_1.bin", "label 10 of image 1")
	wantBadInput(t, open(map[string][]byte{"data_batch_1.bin": good[:5*cifarRecord], "test_batch.bin": good}), "class airplane has 1 training images")
}

func FuzzParseCIFAR10(f *testing.F) {
	f.Add(cifarBatch(1))
	f.Add(cifarBatch(2)[:cifarRecord+7])
	f.Fuzz(func(t *testing.T, data []byte) {
		labels, pixels, err := parseCIFAR10("FILE", data)
		if err != nil {
			wantBadInput(t, err, "FILE")
			return
		}
		if len(labels)*cifarRecord != len(data) || len(pixels) != 3*cifarPlane*len(labels) {
			t.Errorf("%d labels and %d pixels of %d bytes", len(labels), len(pixels), len(data))
		}
		for _, label := range labels {
			if label > 9 {
				t.Errorf("label %d", label)
			}
		}
	})
}
