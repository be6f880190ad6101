package dataset

import (
	"context"
	"errors"
	"io"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"

	"densenas/internal/testdata"
)

func twoClasses(t testing.TB, n int) string {
	return writeFolder(t, byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, n))
}

func TestBatches(t *testing.T) {
	d := mustOpen(t, twoClasses(t, 13), Options{HeldOutShare: 0.5})
	b := BatchOptions{Size: 8}
	batches := readAll(t, d.Batches(t.Context(), Test, 0, b))
	if len(batches) != 4 || d.BatchCount(Test, b) != 4 {
		t.Fatalf("%d batches, BatchCount %d", len(batches), d.BatchCount(Test, b))
	}
	place := 0
	for k, batch := range batches {
		if batch.Index != k || len(batch.Images) != 8*32*32*3 || len(batch.Labels) != 8 {
			t.Fatalf("batch %d: index %d, %d values, %d labels", k, batch.Index, len(batch.Images), len(batch.Labels))
		}
		for slot := range batch.Valid {
			image := d.parts[Test][place]
			p, err := d.source.picture(image)
			if err != nil {
				t.Fatal(err)
			}
			want := renderOf(p, 32, view{x1: 32, y1: 32}, d.normal)
			if !slices.Equal(batch.Images[slot*3072:(slot+1)*3072], want) || batch.Labels[slot] != d.labels[image] {
				t.Fatalf("image %d of batch %d is another", slot, k)
			}
			place++
		}
		for i := batch.Valid; i < 8; i++ {
			if batch.Labels[i] != 0 || slices.ContainsFunc(batch.Images[i*3072:(i+1)*3072], func(v float32) bool { return v != 0 }) {
				t.Errorf("place %d of batch %d is not empty", i, k)
			}
		}
	}
	if place != 26 || batches[3].Valid != 2 {
		t.Errorf("%d images, %d in the last batch", place, batches[3].Valid)
	}
	b.DropLast = true
	if n := len(readAll(t, d.Batches(t.Context(), Test, 0, b))); n != 3 || d.BatchCount(Test, b) != 3 {
		t.Errorf("%d whole batches, BatchCount %d", n, d.BatchCount(Test, b))
	}
}

func TestBatchesDoNotDependOnWorkers(t *testing.T) {
	spec := twoClasses(t, 20)
	b := BatchOptions{Size: 7, Shuffle: true, Augment: true}
	var first []Batch
	for _, o := range []Options{{Workers: 1}, {Workers: 4}, {Workers: 4, CacheBytes: -1}, {Workers: 3, SkipCorrupt: true, CacheBytes: 1}} {
		o.Seed = 9
		d := mustOpen(t, spec, o)
		readAll(t, d.Batches(t.Context(), Train, 0, b)) // buffers of another epoch must not shine through
		batches := readAll(t, d.Batches(t.Context(), Train, 3, b))
		if first == nil {
			first = batches
		}
		if !reflect.DeepEqual(batches, first) {
			t.Errorf("%+v: batches differ", o)
		}
	}
}

func TestBatchesResume(t *testing.T) {
	d := mustOpen(t, twoClasses(t, 20), Options{})
	b := BatchOptions{Size: 6, Shuffle: true, Augment: true}
	whole := readAll(t, d.Batches(t.Context(), Train, 2, b))
	for start := range len(whole) + 2 {
		b.Start = start
		rest := readAll(t, d.Batches(t.Context(), Train, 2, b))
		if want := whole[min(start, len(whole)):]; len(rest) != len(want) || len(want) > 0 && !reflect.DeepEqual(rest, want) {
			t.Errorf("from batch %d: %d batches, want %d", start, len(rest), len(want))
		}
	}
}

func TestEpochsDiffer(t *testing.T) {
	d := mustOpen(t, twoClasses(t, 20), Options{})
	other := mustOpen(t, twoClasses(t, 20), Options{Seed: 1})
	shuffled := BatchOptions{Size: 40, Shuffle: true}
	order := func(d *Dataset, part Part, epoch int) []float32 {
		return readAll(t, d.Batches(t.Context(), part, epoch, shuffled))[0].Images
	}
	base := order(d, TrainAll, 0)
	if slices.Equal(base, order(d, TrainAll, 1)) {
		t.Error("epochs have the same order")
	}
	if slices.Equal(base, order(other, TrainAll, 0)) {
		t.Error("seeds have the same order")
	}
	augmented := BatchOptions{Size: 40, Augment: true}
	if reflect.DeepEqual(readAll(t, d.Batches(t.Context(), TrainAll, 0, augmented)), readAll(t, d.Batches(t.Context(), TrainAll, 1, augmented))) {
		t.Error("epochs have the same augmentation")
	}
	// Every image comes once per epoch.
	labels := slices.Sorted(slices.Values(readAll(t, d.Batches(t.Context(), TrainAll, 1, shuffled))[0].Labels))
	if labels[19] != 0 || labels[20] != 1 {
		t.Errorf("labels %v", labels)
	}
}

func TestBatchesRefuse(t *testing.T) {
	d := mustOpen(t, twoClasses(t, 5), Options{})
	for _, c := range []struct {
		part  Part
		epoch int
		b     BatchOptions
		word  string
	}{
		{Train, 0, BatchOptions{}, "batch of 0"},
		{Train, 0, BatchOptions{Size: 1 << 17}, "use 1 to 65536"},
		{Train, -1, BatchOptions{Size: 1}, "epoch -1"},
		{Train, 0, BatchOptions{Size: 1, Start: -1}, "from batch -1"},
		{Train, 0, BatchOptions{Size: 9, DropLast: true}, "8 training images do not fill a batch of 9"},
		{Part(9), 0, BatchOptions{Size: 1}, "part 9"},
	} {
		it := d.Batches(t.Context(), c.part, c.epoch, c.b)
		_, err := it.Next()
		wantBadInput(t, err, c.word)
		it.Close()
	}
}

// spoil makes images of a data set that decodes at every use corrupt, after Open has found them sound.
func spoil(d *Dataset, paths ...string) {
	s := d.source.(*imageFiles)
	s.fileSet = spoiled{s.fileSet, s.files, paths}
}

type spoiled struct {
	fileSet
	files []item
	paths []string
}

func (s spoiled) open(i int32) (io.ReadCloser, error) {
	file, err := s.fileSet.open(i)
	if err == nil && slices.Contains(s.paths, s.files[i].path) {
		return struct {
			io.Reader
			io.Closer
		}{io.LimitReader(file, 60), file}, nil
	}
	return file, err
}

func TestImagesCorruptLater(t *testing.T) {
	spec := twoClasses(t, 8)
	bad := []string{"test/a/001.png", "test/a/002.png", "test/b/006.png"}
	d := mustOpen(t, spec, Options{CacheBytes: -1})
	spoil(d, bad...)
	it := d.Batches(t.Context(), Test, 0, BatchOptions{Size: 4})
	_, err := it.Next()
	wantBadInput(t, err, spec, "corrupt image test/a/001.png", "--skip-corrupt")
	if _, again := it.Next(); again != err {
		t.Errorf("after %v: %v", err, again)
	}
	it.Close()

	sound := readAll(t, mustOpen(t, spec, Options{}).Batches(t.Context(), Test, 0, BatchOptions{Size: 4}))
	image := func(place int) []float32 { return sound[place/4].Images[place%4*3072 : (place%4+1)*3072] }
	d = mustOpen(t, spec, Options{CacheBytes: -1, SkipCorrupt: true})
	spoil(d, bad...)
	batches := readAll(t, d.Batches(t.Context(), Test, 0, BatchOptions{Size: 4}))
	if len(batches) != 4 || batches[0].Valid != 2 || batches[1].Valid != 4 || batches[3].Valid != 3 {
		t.Fatalf("%d batches", len(batches))
	}
	if !slices.Equal(batches[0].Images[3072:2*3072], image(3)) || batches[0].Images[2*3072] != 0 {
		t.Error("images behind corrupt ones do not take their places")
	}
	if !slices.Equal(batches[3].Labels, []int32{1, 1, 1, 0}) {
		t.Errorf("labels %v", batches[3].Labels)
	}
	if !slices.Equal(d.Corrupt(), bad) {
		t.Errorf("corrupt %v", d.Corrupt())
	}
	full := readAll(t, d.Batches(t.Context(), Test, 0, BatchOptions{Size: 4, DropLast: true}))
	if full[0].Valid != 4 || !slices.Equal(full[0].Images, slices.Concat(image(0), image(3), image(0), image(3))) {
		t.Error("a whole batch is not filled by repeating its images")
	}

	// A batch of which nothing is left is passed over.
	spoil(d, "test/a/000.png", "test/a/001.png", "test/a/002.png", "test/a/003.png")
	if batches = readAll(t, d.Batches(t.Context(), Test, 0, BatchOptions{Size: 4})); len(batches) != 3 || batches[0].Index != 1 {
		t.Errorf("%d batches, the first of index %d", len(batches), batches[0].Index)
	}
}

// Inside a synctest bubble a goroutine that is left behind fails the test.
func TestNoGoroutineIsLeft(t *testing.T) {
	spec := twoClasses(t, 20)
	b := BatchOptions{Size: 3, Shuffle: true, Augment: true}
	for name, use := range map[string]func(*testing.T, *Dataset){
		"closed at once": func(t *testing.T, d *Dataset) { d.Batches(t.Context(), Train, 0, b).Close() },
		"closed early": func(t *testing.T, d *Dataset) {
			it := d.Batches(t.Context(), Train, 0, b)
			if _, err := it.Next(); err != nil {
				t.Error(err)
			}
			it.Close()
			it.Close()
			if _, err := it.Next(); err == nil {
				t.Error("Next after Close gives a batch")
			}
		},
		"read to the end": func(t *testing.T, d *Dataset) {
			it := d.Batches(t.Context(), Train, 0, b)
			var err error
			for err == nil {
				_, err = it.Next()
			}
			if err != io.EOF {
				t.Error(err)
			}
		},
		"cancelled": func(t *testing.T, d *Dataset) {
			ctx, cancel := context.WithCancel(t.Context())
			it := d.Batches(ctx, Train, 0, b)
			if _, err := it.Next(); err != nil {
				t.Error(err)
			}
			cancel()
			if _, err := it.Next(); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		},
		"failed": func(t *testing.T, d *Dataset) {
			spoil(d, "train/a/001.png", "train/a/002.png", "train/a/003.png")
			it := d.Batches(t.Context(), TrainAll, 0, b)
			var err error
			for err == nil {
				_, err = it.Next()
			}
			if err == io.EOF {
				t.Error("no error")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := mustOpen(t, spec, Options{Workers: 3, CacheBytes: -1})
			synctest.Test(t, func(t *testing.T) { use(t, d) })
		})
	}
}

func TestReleasedBatchesAreUsedAgain(t *testing.T) {
	d := mustOpen(t, twoClasses(t, 40), Options{})
	buffers := map[*float32]bool{}
	for epoch := range 3 {
		it := d.Batches(t.Context(), Train, epoch, BatchOptions{Size: 4})
		for {
			b, err := it.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			buffers[&b.Images[0]] = true
			b.Release()
			b.Release() // does nothing
		}
		it.Close()
	}
	// One with the caller, those ahead, and one that the feeder has begun.
	if len(buffers) > aheadBatches+2 {
		t.Errorf("48 batches used %d buffers", len(buffers))
	}
}

func BenchmarkDecode(b *testing.B) { benchmark(b, Options{CacheBytes: -1}) }

func BenchmarkCached(b *testing.B) { benchmark(b, Options{}) }

func BenchmarkCachedTo64(b *testing.B) { benchmark(b, Options{Resolution: 64}) }

// benchmark counts augmented training images per second, of the JPEGs of CIFAR-10.
func benchmark(b *testing.B, o Options) {
	o.Limit = 4000
	d := mustOpen(b, testdata.Shared(b, "data/cifar10-jpeg.zip"), o)
	images := 0
	for b.Loop() {
		it := d.Batches(b.Context(), Train, images, BatchOptions{Size: 64, Shuffle: true, Augment: true})
		for {
			batch, err := it.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			images += batch.Valid
			batch.Release()
		}
		it.Close()
	}
	b.ReportMetric(float64(images)/b.Elapsed().Seconds(), "images/s")
}
