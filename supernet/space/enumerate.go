package space

// size is the side of a block's feature map; the final 1×1 convolution has the last block's.
func (s *Space) size(block int) int {
	stride := s.Blocks[min(block, len(s.Blocks)-1)].Stride
	return (s.Resolution + stride - 1) / stride
}

// OutResolution is the side of a block's feature map.
func (s *Space) OutResolution(block int) int { return s.size(block) }

// StemOp is the convolution on the image.
func (s *Space) StemOp() Op {
	return Op{Kind: Stem, Kernel: s.Stem.Kernel, In: s.Channels, Out: s.Stem.Width, Stride: s.Stem.Stride, Resolution: s.Resolution, Activation: s.Stem.Activation}
}

// EntryOps are what every network begins with: the stem and, where there is one, the first block's layer.
func (s *Space) EntryOps() []Op {
	if !s.HasFirst() {
		return []Op{s.StemOp()}
	}
	return []Op{s.StemOp(), s.FirstOp()}
}

// FirstOp is the only layer of the first block, where it has one.
func (s *Space) FirstOp() Op {
	b := s.Blocks[0]
	return s.First.at(s.Stem.Width, b.Width, b.Stride/s.Stem.Stride, s.StemOp().OutResolution())
}

// HeadOps are the candidates of the head layer on a connection, in the order of HeadCandidates; on a connection to the final
// 1×1 convolution that alone.
func (s *Space) HeadOps(c Connection) []Op {
	if c.To == len(s.Blocks) {
		return []Op{s.FinalOp(c)}
	}
	ops := make([]Op, len(s.HeadCandidates))
	for i, candidate := range s.HeadCandidates {
		ops[i] = candidate.at(s.Blocks[c.From].Width, s.Blocks[c.To].Width, c.Stride, s.size(c.From))
	}
	return ops
}

// StackOps are the candidates of each stacked layer of a block, in the order of StackCandidates; none where the block has no
// stacked layers.
func (s *Space) StackOps(block int) []Op {
	b := s.Blocks[block]
	if b.Layers == 0 {
		return nil
	}
	ops := make([]Op, len(s.StackCandidates))
	for i, candidate := range s.StackCandidates {
		ops[i] = candidate.at(b.Width, b.Width, 1, s.size(block))
	}
	return ops
}

// FinalOp is the final 1×1 convolution on a connection to it.
func (s *Space) FinalOp(c Connection) Op {
	return Op{Kind: Final, In: s.Blocks[c.From].Width, Out: s.Final.Width, Resolution: s.size(c.From)}
}

// ClassifierOp is the pooling and the linear layer of the super network, behind the final 1×1 convolution.
func (s *Space) ClassifierOp() Op {
	return Op{Kind: Classifier, In: s.Final.Width, Out: s.Classes, Resolution: s.size(len(s.Blocks))}
}

// EndOps are what an architecture ends with that leaves its blocks by a connection: the final 1×1 convolution, if architectures
// have one, and the classifier.
func (s *Space) EndOps(c Connection) []Op {
	if !s.Final.SuperNetworkOnly {
		return []Op{s.FinalOp(c), s.ClassifierOp()}
	}
	return []Op{{Kind: Classifier, In: s.Blocks[c.From].Width, Out: s.Classes, Resolution: s.size(c.From)}}
}

// OpCount is an op and in how many places it stands.
type OpCount struct {
	Op    Op
	Count int
}

// counter counts ops in the order in which they first come.
type counter struct {
	index map[Op]int
	list  []OpCount
}

func (c *counter) add(n int, ops ...Op) {
	if c.index == nil {
		c.index = map[Op]int{}
	}
	for _, op := range ops {
		i, ok := c.index[op]
		if !ok {
			i = len(c.list)
			c.index[op] = i
			c.list = append(c.list, OpCount{Op: op})
		}
		c.list[i].Count += n
	}
}

// Ops lists the distinct ops of the super network in the order of the network, with the number of places where each is a
// candidate, and behind them those that only architectures have: classifiers, where the final 1×1 convolution is left out.
func (s *Space) Ops() []OpCount {
	all := s.superNetwork()
	for _, c := range s.Incoming(len(s.Blocks)) {
		for _, op := range s.EndOps(c) {
			if _, known := all.index[op]; !known {
				all.add(1, op)
			}
		}
	}
	return all.list
}

// superNetwork counts the places of the super network.
func (s *Space) superNetwork() counter {
	var all counter
	all.add(1, s.EntryOps()...)
	for to := 1; to <= len(s.Blocks); to++ {
		for _, c := range s.Incoming(to) {
			all.add(1, s.HeadOps(c)...)
		}
		if to < len(s.Blocks) {
			all.add(s.Blocks[to].Layers, s.StackOps(to)...)
		}
	}
	all.add(1, s.ClassifierOp())
	return all
}

// MultiplyAdds of one image through the super network with every candidate in every place.
func (s *Space) MultiplyAdds() int64 {
	var total int64
	for _, c := range s.superNetwork().list {
		total += int64(c.Count) * c.Op.MultiplyAdds()
	}
	return total
}

// Weights counts the weights of the super network with every candidate: batch norm has none, but for a stem's that is affine.
func (s *Space) Weights() int64 {
	var total int64
	for _, c := range s.superNetwork().list {
		total += int64(c.Count) * c.Op.Weights()
	}
	if s.Stem.Affine {
		total += 2 * int64(s.Stem.Width)
	}
	return total
}
