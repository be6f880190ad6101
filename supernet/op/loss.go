package op

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// CrossEntropy returns the mean cross entropy of logits [batch, classes] against labels [batch] (class numbers) over the
// images where mask [batch] is one, the number of those whose largest logit is their label, and the gradient of the loss
// by the logits. Smoothing spreads that share of a label's weight over all classes: 0 for none. Where several devices run the
// graph, loss and number are those of all their images, and the gradient is that of this loss by a device's own logits.
func CrossEntropy(logits, labels, mask *Node, smoothing float64) (loss, correct, gradient *Node) {
	dtype := logits.DType()
	batch, classes := logits.Shape().Dimensions[0], logits.Shape().Dimensions[1]
	shifted := Sub(logits, ReduceAndKeep(logits, ReduceMax, 1))
	logProbabilities := Sub(shifted, Log(ReduceAndKeep(Exp(shifted), ReduceSum, 1)))
	hot := OneHot(labels, classes, dtype)
	target := AddScalar(MulScalar(hot, 1-smoothing), smoothing/float64(classes))
	share := Reshape(Div(mask, total(ReduceAllSum(mask))), batch, 1)
	loss = Neg(total(ReduceAllSum(Mul(share, Mul(target, logProbabilities)))))
	gradient = Mul(share, Sub(Exp(logProbabilities), target))
	right := Equal(ArgMax(logits, 1, dtypes.Int32), ConvertDType(labels, dtypes.Int32))
	correct = total(ReduceAllSum(Mul(ConvertDType(right, dtype), mask)))
	return loss, correct, gradient
}
