package space

import "math"

// Connection leads from a block to a later one.
type Connection struct {
	From, To int // To == len(Blocks): the final 1×1 convolution
	Stride   int // of the head layer on it, 1 or 2; 1 towards the final 1×1 convolution
	Outgoing int // its index among the connections that leave From, nearest successor first: that of Parameters.Beta
	Incoming int // its index among the connections that enter To, nearest predecessor first: that of Parameters.AlphaHead
}

// stride is that of the head layer between two blocks; ok says whether they are connected.
func (s *Space) stride(from, to int) (stride int, ok bool) {
	if from < 0 || from >= to || to > len(s.Blocks) || to-from > s.Forward {
		return 0, false
	}
	a := s.Blocks[from]
	if to == len(s.Blocks) {
		last := s.Blocks[to-1]
		return 1, s.Final.Stage-a.Stage <= 1 && last.Stride == a.Stride
	}
	b := s.Blocks[to]
	return b.Stride / a.Stride, b.Stage-a.Stage <= 1 && (b.Stride == a.Stride || b.Stride == 2*a.Stride)
}

// Incoming lists the connections that enter a block, nearest predecessor first; none enter the first.
func (s *Space) Incoming(to int) []Connection {
	var list []Connection
	for from := to - 1; from >= 0 && to-from <= s.Forward; from-- {
		if stride, ok := s.stride(from, to); ok {
			list = append(list, Connection{From: from, To: to, Stride: stride, Outgoing: s.between(from, to), Incoming: len(list)})
		}
	}
	return list
}

// between counts the connections that leave from for a block before to.
func (s *Space) between(from, to int) int {
	n := 0
	for j := from + 1; j < to; j++ {
		if _, ok := s.stride(from, j); ok {
			n++
		}
	}
	return n
}

// Outgoing lists the connections that leave a block, nearest successor first.
func (s *Space) Outgoing(from int) []Connection {
	var list []Connection
	for to := from + 1; to <= len(s.Blocks) && to-from <= s.Forward; to++ {
		stride, ok := s.stride(from, to)
		if !ok {
			continue
		}
		incoming := 0
		for i := from + 1; i < to; i++ {
			if _, ok := s.stride(i, to); ok {
				incoming++
			}
		}
		list = append(list, Connection{From: from, To: to, Stride: stride, Outgoing: len(list), Incoming: incoming})
	}
	return list
}

// Paths counts the ways from the first block to the final 1×1 convolution; at most math.MaxInt64.
func (s *Space) Paths() int64 {
	paths := make([]int64, len(s.Blocks)+1)
	paths[0] = 1
	for to := 1; to <= len(s.Blocks); to++ {
		for _, c := range s.Incoming(to) {
			if paths[to] > math.MaxInt64-paths[c.From] {
				return math.MaxInt64
			}
			paths[to] += paths[c.From]
		}
	}
	return paths[len(s.Blocks)]
}
