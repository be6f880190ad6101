// Package progress shows how far a long task is: a bar on a terminal, elsewhere a plain line now and then.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// lookBack is how far, at least, the estimate of the time left looks back.
const lookBack = 15 * time.Second

// fewest steps that an estimate is made from: a search's first ones compile, and would promise hours.
const fewest = 12

// point is where a task stood at a time.
type point struct {
	at      time.Time
	current int
}

// Every is the least time between two plain lines.
const Every = 10 * time.Second

// Bar is the progress of one task. Its methods may be called at the same time. A nil Bar shows nothing.
type Bar struct {
	label string
	total int
	now   func() time.Time

	mu      sync.Mutex
	current int
	note    string
	start   time.Time
	ended   bool

	from, recent point // the estimate of the time left looks back to from, one to two times lookBack ago

	out  io.Writer // of plain lines
	last time.Time // of the last one

	container *mpb.Progress // on a terminal
	bar       *mpb.Bar
}

// New starts the progress of a task of total steps. On a terminal a bar is drawn; to any other w a line is written at the
// end, and before at most every 10 s.
func New(w io.Writer, label string, total int) *Bar {
	b := newBar(w, label, total, time.Now)
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.draw(w)
	}
	return b
}

func newBar(w io.Writer, label string, total int, now func() time.Time) *Bar {
	start := now()
	return &Bar{label: label, total: total, now: now, out: w, start: start, last: start, from: point{at: start}, recent: point{at: start}}
}

// draw replaces the plain lines by a bar, drawn by a goroutine that Done ends.
func (b *Bar) draw(w io.Writer, options ...mpb.ContainerOption) {
	b.container = mpb.New(append(options, mpb.WithOutput(w), mpb.WithRefreshRate(200*time.Millisecond))...)
	// A bar of a known total completes, and is drawn for the last time, with the last step; of an unknown one it is Done that ends
	// it, so that what is drawn last says so.
	b.bar = b.container.New(0, mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("─"),
		mpb.BarWidth(20),
		mpb.PrependDecorators(decor.Name(b.label+" ")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.status()
		})))
	b.bar.SetTotal(int64(b.total), false)
}

// Add counts n finished steps; note says what is at hand, and stays until the next.
func (b *Bar) Add(n int, note string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.current = min(b.current+n, b.total)
	b.note = note
	b.remember()
	current := b.current
	if b.bar == nil {
		if now := b.now(); !b.ended && now.Sub(b.last) >= Every {
			b.last = now
			b.line()
		}
	}
	b.mu.Unlock()
	if b.bar != nil {
		b.bar.SetCurrent(int64(current))
	}
}

// remember keeps the points that the estimate looks back to: the first steps of a task may take much longer than the rest
// (they compile), or come at once (a task that continues), and should not count for long.
func (b *Bar) remember() {
	now := b.now()
	if now.Sub(b.recent.at) < lookBack {
		return
	}
	b.from, b.recent = b.recent, point{now, b.current}
}

// Done ends the progress, finished or not, and returns when the last state is shown. Calling it again does nothing.
func (b *Bar) Done() {
	if b == nil {
		return
	}
	b.mu.Lock()
	if b.ended {
		b.mu.Unlock()
		return
	}
	b.ended = true
	if b.bar == nil {
		b.line()
	}
	b.mu.Unlock()
	if b.bar != nil {
		b.bar.Abort(false)
		b.container.Wait()
	}
}

// line writes a plain line.
func (b *Bar) line() {
	fmt.Fprintf(b.out, "%s  %s\n", b.label, b.status())
}

// status is what follows the label or the bar: "37/330  11 %  1m20s left  mbconv_k3_t6", or "330/330  100 %  in 2m3s".
func (b *Bar) status() string {
	share := 100
	if b.total > 0 {
		share = int(100 * int64(b.current) / int64(b.total))
	}
	text := fmt.Sprintf("%d/%d  %d %%", b.current, b.total, share)
	elapsed := b.now().Sub(b.start)
	switch {
	case b.ended:
		return text + "  in " + short(elapsed)
	case b.current == b.total: // more had to be done than was expected
	case b.current-b.from.current >= min(fewest, b.total/5+1):
		left := time.Duration(float64(b.now().Sub(b.from.at)) * float64(b.total-b.current) / float64(b.current-b.from.current))
		text += "  " + short(max(left.Round(time.Second), time.Second)) + " left"
	}
	if b.note != "" {
		text += "  " + b.note
	}
	return text
}

// short rounds a duration to what one wants to read: 350ms, 4.2s, 1m20s, 3h5m.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
}
