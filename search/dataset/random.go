package dataset

import (
	"encoding/binary"
	"math/rand/v2"
)

// purpose separates the streams of random numbers that one seed gives.
type purpose uint32

const (
	forSplit purpose = iota + 1
	forLimit
	forOrder
	forAugmentation
	forSample
	forClasses
)

// streamKey is the key of the stream for one purpose at one place. ChaCha8 makes streams of neighbouring keys independent,
// so that the numbers of one image do not depend on which images were drawn before.
func streamKey(seed uint64, p purpose, part Part, epoch, position int) [32]byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[0:], seed)
	binary.LittleEndian.PutUint32(key[8:], uint32(p))
	binary.LittleEndian.PutUint32(key[12:], uint32(part))
	binary.LittleEndian.PutUint64(key[16:], uint64(epoch))
	binary.LittleEndian.PutUint64(key[24:], uint64(position))
	return key
}

// newStream starts the stream of a key.
func newStream(key [32]byte) *rand.Rand { return rand.New(rand.NewChaCha8(key)) }

// shuffle orders values at random, in place.
func shuffle(r *rand.Rand, values []int32) {
	r.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
}
