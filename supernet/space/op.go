package space

import "fmt"

// Kind says what an operation is.
type Kind string

// The operations that networks are made of.
const (
	Stem       Kind = "stem"       // k×k convolution on the image, batch norm, ReLU6 or ReLU
	MBConv     Kind = "mbconv"     // inverted residual of MobileNetV2: 1×1 expansion (where above 1), k×k depthwise, 1×1 projection
	Basic      Kind = "basic"      // residual of ResNet: two 3×3 convolutions; what they add to is projected, 1×1, where sizes change; ReLU
	Skip       Kind = "skip"       // the identity
	Final      Kind = "final"      // 1×1 convolution before the pooling, batch norm, ReLU6
	Classifier Kind = "classifier" // global average pool and a linear layer with bias
)

// Activation is what follows the batch norm of a stem. Other kinds have their own always.
type Activation string

// The activations.
const (
	ReLU6 Activation = ""
	ReLU  Activation = "relu"
)

// BasicKernel is the side of both convolutions of a Basic.
const BasicKernel = 3

// Bounds of an operation's fields. They keep every count within int64 and every size that a file can ask for within reason.
const (
	MaxWidth      = 8192
	MaxResolution = 1024
	MaxClasses    = 65536
	MaxExpansion  = 8
)

// Op is one operation with all that decides its graph, its weights' shapes and its latency: at once the recipe of the graph,
// the key of the table and the unit of sampling. It is comparable. Fields that a kind does not use are zero: Kernel is used
// by Stem and MBConv, Expansion by MBConv, Stride by Stem, MBConv, Basic and Skip (always 1), Activation by Stem.
type Op struct {
	Kind       Kind
	Kernel     int // side of the k×k convolution: 3, 5 or 7; 1 too in a stem
	Expansion  int // the depthwise convolution of MBConv works on In·Expansion channels
	In, Out    int // channels; Out of a Classifier is the number of classes
	Stride     int // 1 or 2
	Resolution int // side of the square input, before the stride
	Activation Activation
}

// Check reports the first field that is out of its range.
func (o Op) Check() error {
	bound := func(field string, value, low, high int) error {
		if value < low || value > high {
			return fmt.Errorf("%s is %d, allowed is %d to %d", field, value, low, high)
		}
		return nil
	}
	unused := func(field string, value int) error {
		if value != 0 {
			return fmt.Errorf("%s is %d, but %s has none", field, value, o.Kind)
		}
		return nil
	}
	kernel, expansion, stride := unused("kernel", o.Kernel), unused("expansion", o.Expansion), unused("stride", o.Stride)
	var activation error
	if o.Activation != ReLU6 {
		activation = fmt.Errorf("activation is %.40q, but %s has its own", o.Activation, o.Kind)
	}
	widest := MaxWidth
	switch o.Kind {
	case Stem:
		kernel, stride = checkKernel(o.Kernel, 1), bound("stride", o.Stride, 1, 2)
		activation = o.Activation.check()
	case MBConv:
		kernel, stride = checkKernel(o.Kernel, 3), bound("stride", o.Stride, 1, 2)
		expansion = bound("expansion", o.Expansion, 1, MaxExpansion)
	case Basic:
		stride = bound("stride", o.Stride, 1, 2)
	case Skip:
		stride = bound("stride", o.Stride, 1, 1)
		if o.In != o.Out {
			return fmt.Errorf("a skip from %d to %d channels: it cannot change the width", o.In, o.Out)
		}
	case Final:
	case Classifier:
		widest = MaxClasses
	default:
		return fmt.Errorf("unknown op %q, known are %s, %s, %s, %s, %s, %s", o.Kind, Stem, MBConv, Basic, Skip, Final, Classifier)
	}
	for _, err := range []error{kernel, expansion, stride, activation, bound("channels in", o.In, 1, MaxWidth),
		bound("channels out", o.Out, 1, widest), bound("resolution", o.Resolution, 1, MaxResolution)} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (a Activation) check() error {
	if a != ReLU6 && a != ReLU {
		return fmt.Errorf("activation is %.40q, allowed is %s; without one it is ReLU6", a, ReLU)
	}
	return nil
}

func checkKernel(k, low int) error {
	if k < low || k > 7 || k%2 == 0 {
		if low == 1 {
			return fmt.Errorf("kernel is %d, allowed are 1, 3, 5 and 7", k)
		}
		return fmt.Errorf("kernel is %d, allowed are 3, 5 and 7", k)
	}
	return nil
}

// OutResolution is the side of the output's feature map: the input's divided by the stride, rounded up, because convolutions
// pad with kernel/2 on each side. A Classifier's is 1.
func (o Op) OutResolution() int {
	switch {
	case o.Kind == Classifier:
		return 1
	case o.Stride > 1:
		return (o.Resolution + o.Stride - 1) / o.Stride
	}
	return o.Resolution
}

// Shortcut says whether the op adds its input as it is to its output, a Basic before its last ReLU.
func (o Op) Shortcut() bool {
	return (o.Kind == MBConv || o.Kind == Basic) && o.Stride == 1 && o.In == o.Out
}

// MultiplyAdds counts the multiplications of convolutions and linear layers for one image. Batch norm, activations, shortcuts
// and the pooling are not counted, as in the literature.
func (o Op) MultiplyAdds() int64 {
	in, out, mid := int64(o.In), int64(o.Out), int64(o.mid())
	kernel := int64(o.Kernel) * int64(o.Kernel)
	before := int64(o.Resolution) * int64(o.Resolution)
	after := int64(o.OutResolution()) * int64(o.OutResolution())
	switch o.Kind {
	case Stem:
		return kernel * in * out * after
	case MBConv:
		n := (kernel*mid + mid*out) * after
		if o.Expansion > 1 {
			n += in * mid * before
		}
		return n
	case Basic:
		return o.Weights() * after // every weight meets every position of the output
	case Final:
		return in * out * before
	case Classifier:
		return in * out
	}
	return 0
}

// Weights counts the numbers that training moves when batch norm is not affine, as in a super network: those of convolutions
// and linear layers, and the classifier's bias.
func (o Op) Weights() int64 {
	in, out, mid := int64(o.In), int64(o.Out), int64(o.mid())
	kernel := int64(o.Kernel) * int64(o.Kernel)
	switch o.Kind {
	case Stem:
		return kernel * in * out
	case MBConv:
		n := kernel*mid + mid*out
		if o.Expansion > 1 {
			n += in * mid
		}
		return n
	case Basic:
		n := BasicKernel * BasicKernel * (in*out + out*out)
		if !o.Shortcut() {
			n += in * out
		}
		return n
	case Final:
		return in * out
	case Classifier:
		return in*out + out
	}
	return 0
}

// Parameters counts the weights with batch norm's scale and offset, as in a derived network.
func (o Op) Parameters() int64 {
	normalized := 0
	switch o.Kind {
	case Stem, Final:
		normalized = o.Out
	case MBConv:
		normalized = o.mid() + o.Out
		if o.Expansion > 1 {
			normalized += o.mid()
		}
	case Basic:
		normalized = 2 * o.Out
		if !o.Shortcut() {
			normalized += o.Out
		}
	}
	return o.Weights() + 2*int64(normalized)
}

// mid is the width of MBConv's depthwise convolution.
func (o Op) mid() int { return o.In * o.Expansion }
