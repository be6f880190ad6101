package backends

// Caller is the goroutine that calls a runtime which computes on the thread that calls it. Make one by [BindCaller].
type Caller struct {
	// Others are the processors for the runtime's own threads, one each; nil: not bound.
	Others []int

	release func() // nil: nothing is bound
}

// Release takes the bindings back. Call it from the goroutine that called [BindCaller].
func (c Caller) Release() {
	if c.release != nil {
		c.release()
	}
}
