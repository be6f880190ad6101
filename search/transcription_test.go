package search

import (
	"math"
	"math/rand/v2"
	"testing"

	"densenas/supernet"
	"densenas/supernet/space"
)

// transcription is the architecture step of the method (Fang et al., CVPR 2020) on the logits of one row,
// word for word: exponentials without care for their range.
type transcription struct {
	before, after []float64 // logits
	gradient      []float64 // of the whole loss
	first, second []float64 // Adam's means, before the step
	picks         []int     // what was sampled: none for beta
}

func share(logits []float64, of int) float64 {
	sum := 0.0
	for _, a := range logits {
		sum += math.Exp(a)
	}
	return math.Exp(logits[of]) / sum
}

// sampleTwo draws by p_i = exp(a_i)/Σ_k exp(a_k), and then by p_i/(1 − p of the first) among the others.
func sampleTwo(logits []float64, r *rand.Rand) []int {
	if len(logits) == 1 {
		return []int{0}
	}
	pick := func(taken int) int {
		left := 1.0
		if taken >= 0 {
			left -= share(logits, taken)
		}
		u, sum := r.Float64(), 0.0
		last := -1
		for i := range logits {
			if i == taken {
				continue
			}
			if sum += share(logits, i) / left; u < sum {
				return i
			}
			last = i
		}
		return last
	}
	first := pick(-1)
	return []int{first, pick(first)}
}

// step moves the logits by Adam, and then adds log(Σ exp before / Σ exp after), over what was sampled, to what was sampled.
func (c *transcription) step(o AdamOptions, steps int) {
	for i, g := range c.gradient {
		g += o.WeightDecay * c.before[i]
		m := o.Beta1*c.first[i] + (1-o.Beta1)*g
		v := o.Beta2*c.second[i] + (1-o.Beta2)*g*g
		mHat, vHat := m/(1-math.Pow(o.Beta1, float64(steps))), v/(1-math.Pow(o.Beta2, float64(steps)))
		c.after = append(c.after, c.before[i]-o.Rate*mHat/(math.Sqrt(vHat)+1e-8))
	}
	if len(c.picks) == 0 {
		return
	}
	before, after := 0.0, 0.0
	for _, i := range c.picks {
		before += math.Exp(c.before[i])
		after += math.Exp(c.after[i])
	}
	for _, i := range c.picks {
		c.after[i] += math.Log(before / after)
	}
}

// Two architecture steps of random spaces, logits and losses come to the logits of the transcription. The gradient of the
// cost, which has tests of its own, is taken over.
func TestArchitectureStepsEqualATranscription(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 11))
		in := randomSpace(t, r)
		s := &Search{Space: in, Objectives: []Objective{latency(randomCosts(in, r))}, Engine: &fakeEngine{space: in, slope: 1, seed: 1}, Options: good()}
		s.Options.Seed, s.Options.Adam.Rate = seed, 0.05
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		s.state.Parameters = randomParameters(in, r, 1.5)
		for steps := 1; steps <= 2; steps++ {
			want := transcribe(t, s, steps)
			batch := supernet.Batch{Images: make([]float32, 4), Labels: make([]int32, 4), Valid: 4}
			if _, err := s.architectureStep(batch); err != nil {
				t.Fatal(err)
			}
			for i, got := range flatten(s.state.Parameters) {
				if math.Abs(got-want[i]) > 1e-9*(1+math.Abs(want[i])) {
					t.Fatalf("case %d, step %d: logit %d is %.12g, want %.12g", seed, steps, i, got, want[i])
				}
			}
		}
	}
}

// transcribe returns the logits behind the next architecture step of s, which it leaves as it is.
func transcribe(t *testing.T, s *Search, steps int) []float64 {
	t.Helper()
	p := s.state.Parameters
	var pcg rand.PCG
	if err := pcg.UnmarshalBinary(s.state.Random); err != nil {
		t.Fatal(err)
	}
	r := rand.New(&pcg)
	cost, gradient := s.Objectives[0].Costs.Chained(p)
	rows := map[*float64]*transcription{} // by the row's first logit
	factor := s.Objectives[0].Factor / (cost * math.Log(s.Objectives[0].Base))
	each(p, []*space.Parameters{gradient, s.state.Adam.First, s.state.Adam.Second}, func(row []float64, others [][]float64) {
		c := &transcription{before: append([]float64(nil), row...), first: others[1], second: others[2]}
		for _, g := range others[0] {
			c.gradient = append(c.gradient, factor*g)
		}
		rows[&row[0]] = c
	})

	// Sample, and mix what is sampled by the shares that it has of itself.
	choice := &supernet.Choice{}
	temperature := 1.0 // of beta alone
	if s.Space.PathTemperature > 0 {
		temperature = s.Space.PathTemperature
	}
	for i, logits := range p.Beta {
		choice.Beta = append(choice.Beta, nil)
		var divided []float64
		for _, v := range logits {
			divided = append(divided, v/temperature)
		}
		for k := range divided {
			choice.Beta[i] = append(choice.Beta[i], share(divided, k))
		}
	}
	sample := func(layers [][]float64) (mixed [][]supernet.Pick) {
		for _, logits := range layers {
			c := rows[&logits[0]]
			c.picks = sampleTwo(logits, r)
			var chosen []float64
			for _, i := range c.picks {
				chosen = append(chosen, logits[i])
			}
			var picks []supernet.Pick
			for k, i := range c.picks {
				picks = append(picks, supernet.Pick{Candidate: i, Weight: share(chosen, k)})
			}
			mixed = append(mixed, picks)
		}
		return mixed
	}
	for j := range p.AlphaHead {
		choice.Head = append(choice.Head, sample(p.AlphaHead[j]))
		choice.Stack = append(choice.Stack, sample(p.AlphaStack[j]))
	}

	// Differentiate the loss by the logits: d share_k / d a_i = share_k · ([i = k] − share_i).
	_, products := syntheticLoss(s.Space, choice, 1)
	chain := func(c *transcription, places []int, shares, derivatives []float64) {
		for x, i := range places {
			for k := range places {
				same := 0.0
				if x == k {
					same = 1
				}
				c.gradient[i] += derivatives[k] * shares[k] * (same - shares[x])
			}
		}
	}
	mixed := func(logits []float64, picks []supernet.Pick, derivatives []float64) {
		var shares []float64
		for _, pick := range picks {
			shares = append(shares, pick.Weight)
		}
		chain(rows[&logits[0]], rows[&logits[0]].picks, shares, derivatives)
	}
	byBeta := make([][]float64, len(p.Beta))
	for i := range byBeta {
		byBeta[i] = make([]float64, len(p.Beta[i]))
	}
	for j := range p.AlphaHead {
		for _, in := range s.Space.Incoming(j + 1) {
			probability := choice.Beta[in.From][in.Outgoing]
			var derivatives []float64
			for k, pick := range choice.Head[j][in.Incoming] {
				product := products.Head[j][in.Incoming][k]
				derivatives = append(derivatives, probability*product)
				byBeta[in.From][in.Outgoing] += pick.Weight * product
			}
			mixed(p.AlphaHead[j][in.Incoming], choice.Head[j][in.Incoming], derivatives)
		}
		for l := range p.AlphaStack[j] {
			mixed(p.AlphaStack[j][l], choice.Stack[j][l], products.Stack[j][l])
		}
	}
	for _, in := range s.Space.Incoming(len(s.Space.Blocks)) {
		byBeta[in.From][in.Outgoing] += products.Final[in.Incoming]
	}
	for i, logits := range p.Beta {
		var all []int
		for k := range logits {
			all = append(all, k)
			byBeta[i][k] /= temperature
		}
		chain(rows[&logits[0]], all, choice.Beta[i], byBeta[i])
	}

	var after []float64
	each(p, nil, func(row []float64, _ [][]float64) {
		c := rows[&row[0]]
		c.step(s.Options.Adam, steps)
		after = append(after, c.after...)
	})
	return after
}
