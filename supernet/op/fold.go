package op

import (
	"fmt"
	"math"

	"densenas/supernet/space"
)

// Fold turns the affine training form's parameters and running statistics into the inference form's: each batch norm's
// scale goes into the weights before it, the rest into a bias. Params holds the flat values of [TrainingParameters] with
// affine batch norm, statistics the packed values described at [Statistics].
func Fold(o space.Op, params [][]float32, statistics []float32) ([][]float32, error) {
	want := TrainingParameters(o, true)
	if len(params) != len(want) {
		return nil, fmt.Errorf("fold %s: %d parameters, want %d", o.Key(), len(params), len(want))
	}
	for i, p := range want {
		if len(params[i]) != p.Size() {
			return nil, fmt.Errorf("fold %s: %s has %d values, want %d", o.Key(), p.Name, len(params[i]), p.Size())
		}
	}
	cs := convolutions(o)
	if len(cs) == 0 {
		return params, nil
	}
	if n := StatisticsSize(o); len(statistics) != n {
		return nil, fmt.Errorf("fold %s: %d statistics, want %d", o.Key(), len(statistics), n)
	}
	var out [][]float32
	for i, c := range cs {
		scale, offset := params[len(cs)+2*i], params[len(cs)+2*i+1]
		mean, variance := statistics[:c.out], statistics[c.out:2*c.out]
		statistics = statistics[2*c.out:]
		factor, bias := make([]float64, c.out), make([]float32, c.out)
		for k := range factor {
			factor[k] = float64(scale[k]) / math.Sqrt(float64(variance[k])+Epsilon)
			bias[k] = float32(float64(offset[k]) - float64(mean[k])*factor[k])
		}
		// The last axis of every weight is the output channel.
		weight := make([]float32, len(params[i]))
		for k, v := range params[i] {
			weight[k] = float32(float64(v) * factor[k%c.out])
		}
		out = append(out, weight, bias)
	}
	return out, nil
}

// StatisticsSize returns the number of packed batch statistics of o: twice the channels of its batch norms.
func StatisticsSize(o space.Op) int {
	n := 0
	for _, w := range NormWidths(o) {
		n += 2 * w
	}
	return n
}
