package device

import "github.com/gomlx/compute"

// Capture is a backend that keeps what is compiled on it last, so that the graph can be dropped: a thousand graphs are more memory
// than what they are compiled to.
type Capture struct {
	compute.Backend
	Code compute.Executable // nil before the first compilation
}

// Builder implements [compute.Backend].
func (c *Capture) Builder(name string) compute.Builder {
	return capturingBuilder{c.Backend.Builder(name), c}
}

type capturingBuilder struct {
	compute.Builder
	to *Capture
}

// Compile implements [compute.Builder].
func (b capturingBuilder) Compile() (compute.Executable, error) {
	code, err := b.Builder.Compile()
	b.to.Code = code
	return code, err
}
