package devices

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestExamineLooksAtEverything(t *testing.T) {
	checks := Examine(Use{Threads: 1})
	var names []string
	for _, c := range checks {
		names = append(names, c.Name)
		if c.Found == "" || !slices.Contains([]State{OK, Warning, Unknown}, c.State) || (c.State == Warning) != (c.Advice != "") {
			t.Errorf("%+v", c)
		}
	}
	for _, name := range []string{"governor", "clock", "turbo", "heat", "processors", "load", "processes", "neighbours", "memory", "speed", "timer"} {
		if !slices.Contains(names, name) {
			t.Errorf("no check of the %s among %v", name, names)
		}
	}
}

func TestWarningsFitATable(t *testing.T) {
	long := strings.Repeat("\u00e9\x07 ", 400)
	got := Warnings([]Check{
		{Name: "a", State: OK, Found: "good"},
		{Name: "b", State: Warning, Found: "two\nlines\x1b[31m", Advice: "do this"},
		{Name: "c", State: Unknown, Found: "?"},
		{Name: "d", State: Warning, Found: long, Advice: long},
	})
	if len(got) != 2 || got[0] != "b: two lines [31m; do this" {
		t.Errorf("%q", got)
	}
	for _, line := range got {
		if len(line) >= 500 || clean(line[:min(len(line), 100)]) == "" || strings.ContainsAny(line, "\n\x07\x1b") {
			t.Errorf("%d bytes: %q", len(line), line)
		}
	}
}

func TestSpeedCheckSeesAClockThatChangesAndNotAnInterruption(t *testing.T) {
	steady := slices.Repeat([]time.Duration{time.Millisecond}, 400)
	for name, test := range map[string]struct {
		change func(pieces []time.Duration)
		want   State
	}{
		"steady":      {func([]time.Duration) {}, OK},
		"interrupted": {func(p []time.Duration) { p[17], p[203] = time.Second, time.Second }, OK},
		"slower at the end": {func(p []time.Duration) {
			for i := range p[300:] {
				p[300+i] = 1200 * time.Microsecond
			}
		}, Warning},
	} {
		pieces := slices.Clone(steady)
		test.change(pieces)
		if got := speedCheck(pieces); got.State != test.want {
			t.Errorf("%s: %+v, want %s", name, got, test.want)
		}
	}
	if got := speedCheck(steady[:3]); got.State != Unknown {
		t.Errorf("too short: %+v", got)
	}
}

func TestTimerCheck(t *testing.T) {
	for want, timers := range map[State][]timer{
		OK:      {{30 * time.Nanosecond, 45 * time.Nanosecond}, {time.Microsecond, time.Microsecond}},
		Warning: {{15 * time.Millisecond, 20 * time.Nanosecond}, {70 * time.Nanosecond, 2 * time.Microsecond}},
	} {
		for _, timer := range timers {
			if got := timerCheck(timer, "tsc"); got.State != want || !strings.Contains(got.Found, "tsc") {
				t.Errorf("%v: %+v, want %s", timer, got, want)
			}
		}
	}
	if got := measureTimer(); got.resolution <= 0 || got.cost <= 0 {
		t.Errorf("measured %+v", got)
	}
}
