//go:build unix

package main

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"

	"densenas/supernet/space"
)

// The test's own program is the neighbour, too.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == burn {
		main()
	}
	os.Exit(m.Run())
}

func TestMove(t *testing.T) {
	a, b := space.Op{Kind: space.Skip, In: 8}, space.Op{Kind: space.Skip, In: 16}
	quiet := medians{map[space.Op]float64{a: 1, b: 2}, 1}
	if got := move(quiet, medians{map[space.Op]float64{a: 1.1, b: 1.4}, 1}); math.Abs(got-0.2) > 1e-12 {
		t.Errorf("a median 10 %% up and one 30 %% down: moved by %g, want 0.2", got)
	}
	if got := move(quiet, medians{map[space.Op]float64{a: 1.5, b: 3}, 1.5}); math.Abs(got) > 1e-12 {
		t.Errorf("medians and sentinel half as slow again: moved by %g, want 0", got)
	}
}

func TestBothWaysMeasureTheSameOperations(t *testing.T) {
	var out, progress bytes.Buffer
	if err := run(t.Context(), []string{"--repeats", "1", "--limit", "10ms", "--only", "mbconv_k3_t3_i16_*_s1_r8"}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "repeat 1: medians move by ") || !strings.Contains(out.String(), "median of 1 repeats: ") {
		t.Errorf("printed\n%s", &out)
	}
	if err := run(t.Context(), []string{"--only", "none*"}, &out, &progress); err == nil {
		t.Error("measured no operation")
	}
}
