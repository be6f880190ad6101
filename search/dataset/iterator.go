package dataset

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"densenas/internal/exit"
)

// BatchOptions say how an epoch is divided.
type BatchOptions struct {
	// Size is the number of images in a batch, 1 to 65,536, and at most 2³¹-1 values.
	Size int
	// Shuffle draws a new order for every epoch; else images come by class.
	Shuffle bool
	// Augment varies the images, by Dataset.Augmentation.
	Augment bool
	// DropLast leaves out the images that do not fill a last batch, so that Valid equals Size always.
	DropLast bool
	// Start is the index of the first batch, from 0, for resuming within an epoch.
	Start int
}

// Batch is some images and their labels. Its slices belong to the caller until Release.
type Batch struct {
	// Index is the place of the batch in the epoch, from 0.
	Index int
	// Images is [Size, Resolution, Resolution, Channels], row-major, normalised.
	Images []float32
	// Labels is [Size].
	Labels []int32
	// Valid is the number of images: those from Valid on are zero, with label 0.
	Valid int

	pool *pool
}

// Release hands the slices back for later batches; they must not be used any more. Not to release is allowed.
func (b *Batch) Release() {
	if b.pool != nil {
		b.pool.put(b.Images, b.Labels)
	}
	*b = Batch{}
}

const (
	maxBatchImages = 1 << 16
	maxBatchValues = 1<<31 - 1
	aheadBatches   = 2 // ready or in preparation while the caller works on another
	chunkImages    = 8 // that a worker takes at a time
)

// BatchCount is the number of batches of an epoch (from batch 0, whatever Start is).
func (d *Dataset) BatchCount(p Part, b BatchOptions) int {
	if b.Size < 1 {
		return 0
	}
	if b.DropLast {
		return d.Count(p) / b.Size
	}
	return (d.Count(p) + b.Size - 1) / b.Size
}

// Batches begins an epoch of a part: its batches, in order, are prepared ahead by Options.Workers goroutines. What a batch
// holds depends on the seed, the part, the epoch, the batch's index and b only. Wrong options come out of the first Next. The
// iterator must be closed, or read to its end, or ctx cancelled.
func (d *Dataset) Batches(ctx context.Context, part Part, epoch int, b BatchOptions) *Iterator {
	it := &Iterator{dataset: d, part: part, epoch: epoch, options: b}
	if it.err = d.checkBatches(part, epoch, b); it.err != nil {
		it.cancel = func() {}
		return it
	}
	it.images = d.parts[part]
	if b.Shuffle {
		it.images = slices.Clone(it.images)
		shuffle(newStream(streamKey(d.options.Seed, forOrder, part, epoch, 0)), it.images)
	}
	it.ctx, it.cancel = context.WithCancel(ctx)
	it.room = make(chan struct{}, aheadBatches)
	it.queue = make(chan *task, aheadBatches)
	it.chunks = make(chan chunk)
	it.running.Go(it.feed)
	for range d.options.Workers {
		it.running.Go(it.work)
	}
	return it
}

func (d *Dataset) checkBatches(part Part, epoch int, b BatchOptions) error {
	switch {
	case int(part) >= len(d.parts):
		return exit.BadInput("data %s: there is no %v", d.Name, part)
	case epoch < 0 || b.Start < 0:
		return exit.BadInput("data %s: epoch %d from batch %d: both count from 0", d.Name, epoch, b.Start)
	case b.Size < 1 || b.Size > d.maxBatch():
		return exit.BadInput("batch of %d images of %d×%d×%d: use 1 to %d", b.Size, d.Resolution, d.Resolution, d.Channels, d.maxBatch())
	case d.BatchCount(part, b) == 0:
		return exit.BadInput("data %s: %d %v images do not fill a batch of %d; use a smaller batch", d.Name, d.Count(part), part, b.Size)
	}
	return nil
}

// maxBatch is the largest batch: of so many images, or so many values.
func (d *Dataset) maxBatch() int { return min(maxBatchImages, maxBatchValues/d.imageLen()) }

// imageLen is the number of values of an image in a batch.
func (d *Dataset) imageLen() int { return d.Resolution * d.Resolution * d.Channels }

// Iterator hands out the batches of an epoch. It serves one goroutine.
type Iterator struct {
	dataset *Dataset
	part    Part
	epoch   int
	options BatchOptions
	images  []int32 // in the order of the epoch
	err     error   // what every further Next returns

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	room    chan struct{} // one element per batch that is prepared ahead
	queue   chan *task    // batches in order; they may still be in work
	chunks  chan chunk    // work
}

// task is a batch in work.
type task struct {
	batch   *Batch
	images  []int32
	pending atomic.Int64  // images to do
	done    chan struct{} // closed when none is

	mutex    sync.Mutex
	failures map[int]error // by place in the batch
}

// chunk is some images of a task.
type chunk struct {
	task     *task
	from, to int
}

// feed hands out the work of one batch after the other, as long as there is room.
func (it *Iterator) feed() {
	defer close(it.queue)
	defer close(it.chunks)
	size := it.options.Size
	for k := it.options.Start; k < it.dataset.BatchCount(it.part, it.options); k++ {
		select {
		case it.room <- struct{}{}:
		case <-it.ctx.Done():
			return
		}
		t := &task{images: it.images[k*size : min((k+1)*size, len(it.images))], done: make(chan struct{})}
		t.batch = it.dataset.pool.take(size*it.dataset.imageLen(), size)
		t.batch.Index = k
		t.pending.Store(int64(len(t.images)))
		it.queue <- t // has as much room as it.room
		for from := 0; from < len(t.images); from += chunkImages {
			select {
			case it.chunks <- chunk{t, from, min(from+chunkImages, len(t.images))}:
			case <-it.ctx.Done():
				return
			}
		}
	}
}

// work does chunks until there are no more.
func (it *Iterator) work() {
	d := it.dataset
	var draw renderer
	key := rand.NewChaCha8([32]byte{})
	random := rand.New(key)
	n := d.imageLen()
	for c := range it.chunks {
		for slot := c.from; slot < c.to && it.ctx.Err() == nil; slot++ {
			image := c.task.images[slot]
			c.task.batch.Labels[slot] = d.labels[image]
			p, err := d.source.picture(image)
			if err != nil {
				c.task.fail(slot, err)
				continue
			}
			v := d.geometry.evaluation(p.height, p.width)
			if it.options.Augment {
				position := c.task.batch.Index*it.options.Size + slot
				key.Seed(streamKey(d.options.Seed, forAugmentation, it.part, it.epoch, position))
				v = d.geometry.training(random, p.height, p.width)
			}
			draw.render(c.task.batch.Images[slot*n:(slot+1)*n], d.Resolution, p, v, d.normal)
		}
		if c.task.pending.Add(int64(c.from-c.to)) == 0 {
			close(c.task.done)
		}
	}
}

func (t *task) fail(slot int, err error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.failures == nil {
		t.failures = map[int]error{}
	}
	t.failures[slot] = err
}

// Next waits for the next batch. At the end of the epoch it returns io.EOF, and after ctx is cancelled ctx's error. Images
// that turn out to be corrupt are an error, or are left out where Options.SkipCorrupt says so: their places are taken by the
// images behind them, and with DropLast the places that are free then by repeating images of the batch.
func (it *Iterator) Next() (*Batch, error) {
	if it.err != nil {
		return nil, it.err
	}
	for {
		b, err := it.next()
		if err != nil {
			it.err = err
			it.cancel()
			return nil, err
		}
		if b.Valid > 0 {
			return b, nil
		}
		b.Release() // nothing of it could be decoded
	}
}

func (it *Iterator) next() (*Batch, error) {
	if err := it.ctx.Err(); err != nil {
		return nil, err
	}
	var t *task
	select {
	case next, more := <-it.queue:
		if !more {
			return nil, cmp.Or(it.ctx.Err(), io.EOF)
		}
		t = next
	case <-it.ctx.Done():
		return nil, it.ctx.Err()
	}
	select {
	case <-t.done:
	case <-it.ctx.Done():
		return nil, it.ctx.Err()
	}
	// A worker that saw ctx end has left images of the task undone.
	if err := it.ctx.Err(); err != nil {
		return nil, err
	}
	<-it.room
	return t.batch, it.finish(t)
}

// finish closes the gaps of images that failed and clears what is behind the last one.
func (it *Iterator) finish(t *task) error {
	d, b := it.dataset, t.batch
	n := d.imageLen()
	valid := 0
	for slot := range t.images {
		err, failed := t.failures[slot]
		bad := new(corruptError)
		switch {
		case !failed:
			if valid != slot {
				copy(b.Images[valid*n:(valid+1)*n], b.Images[slot*n:(slot+1)*n])
				b.Labels[valid] = b.Labels[slot]
			}
			valid++
		case !errors.As(err, &bad):
			return err
		case !d.options.SkipCorrupt:
			return refuseCorrupt(bad, "")
		default:
			d.noteCorrupt(bad.name)
		}
	}
	if it.options.DropLast && valid > 0 {
		for whole := valid; valid < len(t.images); valid++ {
			from := valid - whole
			copy(b.Images[valid*n:(valid+1)*n], b.Images[from*n:(from+1)*n])
			b.Labels[valid] = b.Labels[from]
		}
	}
	b.Valid = valid
	clear(b.Images[valid*n:])
	clear(b.Labels[valid:])
	return nil
}

// Close ends the preparation of batches and waits for the workers. Batches that were handed out stay good.
func (it *Iterator) Close() {
	it.cancel()
	it.running.Wait()
	if it.err == nil {
		it.err = errors.New("the iterator is closed")
	}
	for it.queue != nil {
		t, more := <-it.queue
		if !more {
			return
		}
		t.batch.Release()
	}
}

// pool keeps the slices of released batches. Epochs ask for the same few sizes again and again.
type pool struct {
	mutex sync.Mutex
	free  []*Batch
}

// maxFree is how many released batches are kept.
const maxFree = 2 * (aheadBatches + 1)

// take gives a batch with slices of these lengths, whose contents are whatever they were.
func (p *pool) take(images, labels int) *Batch {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for i, b := range p.free {
		if len(b.Images) == images && len(b.Labels) == labels {
			p.free = slices.Delete(p.free, i, i+1)
			return b
		}
	}
	return &Batch{Images: make([]float32, images), Labels: make([]int32, labels), pool: p}
}

func (p *pool) put(images []float32, labels []int32) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if len(p.free) == maxFree {
		p.free = slices.Delete(p.free, 0, 1)
	}
	p.free = append(p.free, &Batch{Images: images, Labels: labels, pool: p})
}
