package objective

import "math"

// Softmax returns the probabilities of logits. It holds for logits of any finite size.
func Softmax(logits []float64) []float64 {
	p := LogSoftmax(logits)
	for i, v := range p {
		p[i] = math.Exp(v)
	}
	return p
}

// LogSoftmax returns the logarithms of the probabilities of logits.
func LogSoftmax(logits []float64) []float64 {
	highest := math.Inf(-1)
	for _, v := range logits {
		highest = max(highest, v)
	}
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(v - highest)
	}
	normalizer := highest + math.Log(sum)
	p := make([]float64, len(logits))
	for i, v := range logits {
		p[i] = v - normalizer
	}
	return p
}

// SoftmaxGradient turns a gradient with respect to probabilities into one with respect to their logits.
func SoftmaxGradient(probabilities, gradient []float64) []float64 {
	mean := 0.0
	for i, p := range probabilities {
		mean += p * gradient[i]
	}
	g := make([]float64, len(probabilities))
	for i, p := range probabilities {
		g[i] = p * (gradient[i] - mean)
	}
	return g
}
