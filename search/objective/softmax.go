package objective

import (
	"math"

	"densenas/supernet/space"
)

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

// PathProbabilities returns the probabilities of a block's outgoing connections from its logits, by the space's temperature.
func PathProbabilities(s *space.Space, logits []float64) []float64 {
	scaled := make([]float64, len(logits))
	for i, v := range logits {
		scaled[i] = v / s.Temperature()
	}
	return Softmax(scaled)
}

// PathGradient turns a gradient with respect to [PathProbabilities] into one with respect to their logits.
func PathGradient(s *space.Space, probabilities, gradient []float64) []float64 {
	g := SoftmaxGradient(probabilities, gradient)
	for i := range g {
		g[i] /= s.Temperature()
	}
	return g
}
