package main

import (
	"testing"

	"densenas/lut"
)

func TestProcessorsAreNamed(t *testing.T) {
	for _, c := range []struct {
		processors []int
		want       string
	}{{nil, ""}, {[]int{0, 3}, "on processors 0 3"}} {
		if got := onProcessors(&lut.Table{Processors: c.processors}); got != c.want {
			t.Errorf("%v: %q, want %q", c.processors, got, c.want)
		}
	}
}
