package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomGroups are classes of random sizes, of at least least images, whose images are mixed.
func randomGroups(r *rand.Rand, least int) (groups [][]int32, labels []int32) {
	for class := range 2 + r.IntN(6) {
		for range least + r.IntN(40) {
			labels = append(labels, int32(class))
		}
	}
	r.Shuffle(len(labels), func(i, j int) { labels[i], labels[j] = labels[j], labels[i] })
	all := make([]int32, len(labels))
	for i := range all {
		all[i] = int32(i)
	}
	return byClass(all, labels, int(slices.Max(labels))+1), labels
}

func TestHoldOutIsStratifiedPartition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		groups, labels := randomGroups(r, 2)
		share := 0.05 + 0.8*r.Float64()
		seed := r.Uint64()
		rest, held := holdOut(groups, share, seed)
		all := slices.Sorted(slices.Values(slices.Concat(rest, held)))
		for i := range labels {
			if len(all) != len(labels) || all[i] != int32(i) {
				t.Fatalf("parts of %d images are %v", len(labels), all)
			}
		}
		for class, group := range byClass(held, labels, len(groups)) {
			want := shareOf(len(groups[class]), share)
			if len(group) != want || want < 1 || want >= len(groups[class]) || math.Abs(float64(want)-share*float64(len(groups[class]))) > 1 {
				t.Errorf("class of %d has %d held out at share %g", len(groups[class]), len(group), share)
			}
		}
		if again, _ := holdOut(groups, share, seed); !slices.Equal(again, rest) {
			t.Error("the same seed splits differently")
		}
	}
}

func TestHoldOutDependsOnSeed(t *testing.T) {
	groups := [][]int32{make([]int32, 100), make([]int32, 100)}
	for i := range 100 {
		groups[0][i], groups[1][i] = int32(i), int32(100+i)
	}
	_, one := holdOut(groups, 0.2, 1)
	_, two := holdOut(groups, 0.2, 2)
	if slices.Equal(one, two) {
		t.Error("two seeds hold the same images out")
	}
	// A resumed run must split as the run before it did, whatever the release that it resumes with.
	if want := []int32{1, 3, 11}; !slices.Equal(one[:3], want) {
		t.Errorf("seed 1 holds out %v first, want %v", one[:3], want)
	}
}

func TestLimit(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		groups, labels := randomGroups(r, 2)
		n := 2*len(groups) + r.IntN(len(labels))
		chosen, err := limit(groups, n, 2, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(chosen) != min(n, len(labels)) || !slices.IsSorted(chosen) || len(slices.Compact(slices.Clone(chosen))) != len(chosen) {
			t.Fatalf("%d of %d images: %v", n, len(labels), chosen)
		}
		for class, group := range byClass(chosen, labels, len(groups)) {
			even := float64(len(groups[class])) * float64(len(chosen)) / float64(len(labels))
			// Two of every class come first, which favours small classes.
			if len(group) < 2 || math.Abs(float64(len(group))-even) > 3 {
				t.Errorf("%d of %d images: class of %d has %d, in proportion it were %.1f", n, len(labels), len(groups[class]), len(group), even)
			}
		}
	}
	_, err := limit([][]int32{{0, 1, 2}, {3, 4, 5}}, 3, 2, 7)
	wantBadInput(t, err, "limit of 3", "at least 4")
}

func TestMakeTestGoesByNames(t *testing.T) {
	groups := [][]int32{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {10, 11, 12}}
	name := func(i int32) string { return fmt.Sprintf("c/%d.png", i) }
	train, test := makeTest(groups, name)
	if len(test) != 3 || len(train) != 10 {
		t.Fatalf("train %v test %v", train, test)
	}
	// The same files in another order.
	shift := func(i int32) int32 { return 9 - i }
	_, again := makeTest([][]int32{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}}, func(i int32) string { return name(shift(i)) })
	for i := range again {
		again[i] = shift(again[i])
	}
	slices.Sort(again)
	if !slices.Equal(again, test[:2]) {
		t.Errorf("test images %v, and %v in another order", test[:2], again)
	}
}
