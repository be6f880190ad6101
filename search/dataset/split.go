package dataset

import (
	"cmp"
	"crypto/sha256"
	"math"
	"slices"

	"densenas/internal/exit"
)

// byClass groups images (indices into labels) by their label, keeping their order.
func byClass(images, labels []int32, classes int) [][]int32 {
	groups := make([][]int32, classes)
	for _, i := range images {
		groups[labels[i]] = append(groups[labels[i]], i)
	}
	return groups
}

// holdOut divides images into a rest and a held-out share, class by class. Every class keeps at least one image in either;
// classes need two images for it. Both parts keep the order of images.
func holdOut(groups [][]int32, share float64, seed uint64) (rest, held []int32) {
	for class, group := range groups {
		group = slices.Clone(group)
		shuffle(newStream(streamKey(seed, forSplit, 0, 0, class)), group)
		n := shareOf(len(group), share)
		held = append(held, group[:n]...)
		rest = append(rest, group[n:]...)
	}
	slices.Sort(rest)
	slices.Sort(held)
	return rest, held
}

// shareOf is a share of n, rounded, at least 1 and at most n-1.
func shareOf(n int, share float64) int {
	return max(1, min(n-1, int(math.Round(share*float64(n)))))
}

// trainingClasses groups the training images by class. Two of every class are needed, one of them to hold out.
func (c *collection) trainingClasses() ([][]int32, error) {
	groups := byClass(c.train, c.labels, len(c.classes))
	for class, group := range groups {
		if len(group) < 2 {
			return nil, exit.BadInput("data %s: class %s has %d training images; at least 2 are needed, one of them to hold out", c.name, c.classes[class], len(group))
		}
	}
	return groups, nil
}

// limited are the training images that a limit leaves, which is 0 for all.
func (c *collection) limited(n int, seed uint64) ([]int32, error) {
	whole, err := c.trainingClasses()
	if err != nil {
		return nil, err
	}
	classes, total := len(c.classes), len(c.train)
	if c.held == nil || n == 0 || n >= total || n < 2*classes {
		return limit(whole, n, 2, seed)
	}
	// Both parts get their share of the limit.
	share := int(math.Round(float64(n) * float64(len(c.held)) / float64(total)))
	share = max(classes, n-(total-len(c.held)), min(share, n-classes, len(c.held)))
	held, err := limit(byClass(c.held, c.labels, classes), share, 1, seed)
	if err != nil {
		return nil, err
	}
	rest, err := limit(byClass(without(c.train, c.held), c.labels, classes), n-share, 1, seed)
	if err != nil {
		return nil, err
	}
	all := append(rest, held...)
	slices.Sort(all)
	return all, nil
}

// without are the images that are not among others; both are sorted.
func without(images, others []int32) []int32 {
	var out []int32
	for _, i := range images {
		if _, found := slices.BinarySearch(others, i); !found {
			out = append(out, i)
		}
	}
	return out
}

// limit chooses n of the images, or all where there are no more or n is 0: least of every class, and the others in proportion to what the
// classes have. The selection keeps the order of the images.
func limit(groups [][]int32, n, least int, seed uint64) ([]int32, error) {
	total := 0
	for _, group := range groups {
		total += len(group)
	}
	if n == 0 || n >= total {
		return slices.Sorted(slices.Values(slices.Concat(groups...))), nil
	}
	classes := len(groups)
	if n < least*classes {
		return nil, exit.BadInput("limit of %d training images: the data have %d classes, which need at least %d", n, classes, least*classes)
	}
	free, rest := n-least*classes, total-least*classes
	quota := make([]int, classes)
	order := make([]int, classes)
	used := 0
	for c, group := range groups {
		quota[c] = least + free*(len(group)-least)/rest
		used += quota[c]
		order[c] = c
	}
	// What rounding down left over goes to the largest remainders.
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(free*(len(groups[b])-least)%rest, free*(len(groups[a])-least)%rest)
	})
	for _, c := range order[:n-used] {
		quota[c]++
	}
	var chosen []int32
	for c, group := range groups {
		group = slices.Clone(group)
		shuffle(newStream(streamKey(seed, forLimit, 0, 0, c)), group)
		chosen = append(chosen, group[:quota[c]]...)
	}
	slices.Sort(chosen)
	return chosen, nil
}

// testShare is the share of a data set without test images that becomes its test part.
const testShare = 0.2

// makeTest divides the images of a data set that has no test images. It goes by the hashes of their names, so that neither
// the seed nor the order of the files decides what a network is judged on.
func makeTest(groups [][]int32, name func(int32) string) (train, test []int32) {
	for _, group := range groups {
		hashes := make(map[int32][sha256.Size]byte, len(group))
		for _, i := range group {
			hashes[i] = sha256.Sum256([]byte(name(i)))
		}
		group = slices.Clone(group)
		slices.SortFunc(group, func(a, b int32) int {
			x, y := hashes[a], hashes[b]
			return cmp.Or(slices.Compare(x[:], y[:]), cmp.Compare(a, b))
		})
		n := shareOf(len(group), testShare)
		test = append(test, group[:n]...)
		train = append(train, group[n:]...)
	}
	slices.Sort(train)
	slices.Sort(test)
	return train, test
}
