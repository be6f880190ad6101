package progress

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vbauerster/mpb/v8"
)

// clock is a time that only the test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestPlainLines(t *testing.T) {
	var out bytes.Buffer
	c := &clock{time.Unix(1000, 0)}
	b := newBar(&out, "ops", 330, c.now)
	for i := range 330 {
		c.at = c.at.Add(100 * time.Millisecond)
		note := ""
		if i >= 150 {
			note = "final_i384"
		}
		b.Add(1, note)
	}
	b.Done()
	b.Done()
	b.Add(1, "late")
	want := "ops  100/330  30 %  23s left\n" +
		"ops  200/330  60 %  13s left  final_i384\n" +
		"ops  300/330  90 %  3s left  final_i384\n" +
		"ops  330/330  100 %  in 33s\n"
	if out.String() != want {
		t.Errorf("printed\n%swant\n%s", out.String(), want)
	}
}

func TestInterruptedTaskSaysHowFarItCame(t *testing.T) {
	var out bytes.Buffer
	c := &clock{time.Unix(1000, 0)}
	b := newBar(&out, "epoch 3", 8, c.now)
	b.Add(2, "loss 1.2")
	c.at = c.at.Add(90 * time.Minute)
	b.Done()
	if got, want := out.String(), "epoch 3  2/8  25 %  in 1h30m\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestNothingToDo(t *testing.T) {
	var out bytes.Buffer
	b := New(&out, "ops", 0)
	b.Add(1, "")
	b.Done()
	if !strings.HasPrefix(out.String(), "ops  0/0  100 %  in ") {
		t.Errorf("printed %q", out.String())
	}
	var none *Bar
	none.Add(1, "")
	none.Done()
}

func TestBarEndsFinishedOrNot(t *testing.T) {
	for try := range 20 { // the bar is drawn whenever it happens to be: after its last step and before its end, now and then
		steps := []int{40, 17}[try%2]
		var out bytes.Buffer
		b := newBar(&out, "ops", 40, time.Now)
		b.draw(&out, mpb.WithAutoRefresh())
		var all sync.WaitGroup
		for range steps {
			all.Go(func() { b.Add(1, "note") })
		}
		all.Wait()
		b.Done()
		b.Done()
		want := map[int]string{40: "40/40  100 %  in ", 17: "17/40  42 %  in "}[steps]
		if !strings.Contains(out.String(), want) {
			t.Errorf("%d steps: printed %q, want %q in it", steps, out.String(), want)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                               "0s",
		1234 * time.Microsecond:         "1ms",
		4234 * time.Millisecond:         "4.2s",
		80400 * time.Millisecond:        "1m20s",
		59*time.Minute + 59*time.Second: "59m59s",
		3*time.Hour + 5*time.Minute:     "3h5m",
	} {
		if got := short(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
