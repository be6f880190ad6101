package profiler

// evicted is how much memory is passed through so that caches are cold, in bytes: more than the caches of one core have,
// though not all that a server's cores share.
const evicted = 64 << 20

// Evictor makes the processor's caches cold, for runners; a nil one leaves them as they are. Use it from one goroutine.
type Evictor struct{ memory []uint64 }

// NewEvictor takes the memory that is passed through.
func NewEvictor() *Evictor { return &Evictor{make([]uint64, evicted/8)} }

// Pass fills the caches with other data: it reads and writes every line of the memory.
func (e *Evictor) Pass() {
	if e == nil {
		return
	}
	const line = 8 // numbers in a cache line of 64 bytes
	for i := 0; i < len(e.memory); i += line {
		e.memory[i]++
	}
}
