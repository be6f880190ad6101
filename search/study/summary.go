package study

// Summary is what the results of a study say. Accuracies are shares, 0 to 1.
type Summary struct {
	Groups []GroupSummary `json:"groups"`
	// Ranking compares the held-out accuracy inside the first search's super network with that of the network trained from scratch, over
	// all networks that have both; absent below two.
	Ranking *Correlation `json:"ranking,omitempty"`
}

// GroupSummary describes the networks of a group. Its sample are the networks, each with the mean over its trainings; where there is one network
// alone, its trainings, so that its interval says nothing of other networks.
type GroupSummary struct {
	Group     Group   `json:"group"`
	Networks  int     `json:"networks"`
	Trainings int     `json:"trainings"`
	LatencyMS float64 `json:"latency_ms"` // mean of the predictions
	HeldOut   Mean    `json:"held_out"`
	Test      Mean    `json:"test"`
	// Gain over the random networks, on the test images; absent of these themselves.
	Gain *Gain `json:"gain,omitempty"`
}

// Gain is a difference of accuracy, and what it is relative to the mean that it is a gain over, which is taken as known.
type Gain struct {
	Difference
	Relative           float64   `json:"relative"`
	RelativeInterval   *Interval `json:"relative_interval,omitempty"`
	RelativeDetectable *float64  `json:"relative_detectable,omitempty"`
}

func gainOf(of, over Mean) *Gain {
	d := DifferenceOf(of, over)
	g := &Gain{Difference: d, Relative: d.Mean / over.Mean}
	if d.Interval != nil {
		detectable := *d.Detectable / over.Mean
		g.RelativeInterval, g.RelativeDetectable = &Interval{d.Interval.Low / over.Mean, d.Interval.High / over.Mean}, &detectable
	}
	return g
}

// accuracies are those of the trainings.
func (n *Network) accuracies(of func(Trained) Score) []float64 {
	var all []float64
	for _, t := range n.Trainings {
		all = append(all, of(t).Accuracy())
	}
	return all
}

func heldOut(t Trained) Score { return t.HeldOut }
func test(t Trained) Score    { return t.Test }

// sample of a group.
func sample(networks []Network, of func(Trained) Score) []float64 {
	if len(networks) == 1 {
		return networks[0].accuracies(of)
	}
	var all []float64
	for i := range networks {
		all = append(all, MeanOf(networks[i].accuracies(of)).Mean)
	}
	return all
}

// In lists the networks of a group.
func (r *Results) In(g Group) []Network {
	var all []Network
	for _, n := range r.Networks {
		if n.Group == g {
			all = append(all, n)
		}
	}
	return all
}

// Summary computes what the results say.
func (r *Results) Summary() *Summary {
	s := new(Summary)
	var random Mean
	if networks := r.In(GroupRandom); len(networks) > 0 {
		random = MeanOf(sample(networks, test))
	}
	for _, group := range Groups {
		networks := r.In(group)
		if len(networks) == 0 {
			continue
		}
		g := GroupSummary{Group: group, Networks: len(networks), HeldOut: MeanOf(sample(networks, heldOut)), Test: MeanOf(sample(networks, test))}
		for _, n := range networks {
			g.Trainings += len(n.Trainings)
			g.LatencyMS += n.LatencyMS / float64(len(networks))
		}
		if group != GroupRandom && random.Mean > 0 {
			g.Gain = gainOf(g.Test, random)
		}
		s.Groups = append(s.Groups, g)
	}
	var inside, scratch []float64
	for i := range r.Networks {
		if n := &r.Networks[i]; n.Inside != nil {
			inside, scratch = append(inside, n.Inside.Accuracy()), append(scratch, MeanOf(n.accuracies(heldOut)).Mean)
		}
	}
	if len(inside) > 1 {
		c := CorrelationOf(inside, scratch, r.Ranking)
		s.Ranking = &c
	}
	return s
}
