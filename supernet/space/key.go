package space

import (
	"fmt"
	"strconv"
	"strings"
)

// keyFields are the letters of an op's fields in the order in which a key gives them.
var keyFields = map[Kind]string{Stem: "kiosr", MBConv: "ktiosr", Basic: "iosr", Skip: "iosr", Final: "ior", Classifier: "ior"}

// field addresses the field of an op that a letter of its key stands for.
func (o *Op) field(letter byte) *int {
	switch letter {
	case 'k':
		return &o.Kernel
	case 't':
		return &o.Expansion
	case 'i':
		return &o.In
	case 'o':
		return &o.Out
	case 's':
		return &o.Stride
	default: // 'r'
		return &o.Resolution
	}
}

// Key is the op's signature as text, for example mbconv_k3_t6_i16_o24_s2_r112: kernel, expansion, channels in and out, stride
// and the input's resolution; before them a stem's activation where it is not ReLU6, as in stem_relu_k3_i3_o32_s2_r224. Two ops have the same key only if they are equal.
func (o Op) Key() string {
	var b strings.Builder
	b.WriteString(string(o.Kind))
	if o.Activation != ReLU6 {
		fmt.Fprintf(&b, "_%s", o.Activation)
	}
	letters := keyFields[o.Kind]
	for i := range len(letters) {
		fmt.Fprintf(&b, "_%c%d", letters[i], *o.field(letters[i]))
	}
	return b.String()
}

// ParseKey reads what Key writes, and only that. The op is checked.
func ParseKey(key string) (Op, error) {
	kind, rest, _ := strings.Cut(key, "_")
	o := Op{Kind: Kind(kind)}
	letters, ok := keyFields[o.Kind]
	if !ok {
		return Op{}, fmt.Errorf("key %.80q: unknown op %.40q, known are %s, %s, %s, %s, %s, %s", key, kind, Stem, MBConv, Basic, Skip, Final, Classifier)
	}
	if fields, found := strings.CutPrefix(rest, string(ReLU)+"_"); found {
		rest, o.Activation = fields, ReLU
	}
	parts := strings.Split(rest, "_")
	for i := range len(letters) {
		if i >= len(parts) || parts[i] == "" || parts[i][0] != letters[i] {
			return Op{}, fmt.Errorf("key %.80q: field %d must be %q and a number; the form is %s", key, i+1, letters[i:i+1], keyForm(o.Kind))
		}
		n, err := strconv.Atoi(parts[i][1:])
		if err != nil {
			return Op{}, fmt.Errorf("key %.80q: %.20q is not a number in reach; the form is %s", key, parts[i][1:], keyForm(o.Kind))
		}
		*o.field(letters[i]) = n
	}
	if err := o.Check(); err != nil {
		return Op{}, fmt.Errorf("key %.80q: %w", key, err)
	}
	if o.Key() != key { // trailing fields, signs, leading zeros
		return Op{}, fmt.Errorf("key %.80q: written otherwise than %s", key, o.Key())
	}
	return o, nil
}

func keyForm(k Kind) string {
	form := string(k)
	for _, letter := range keyFields[k] {
		form += "_" + string(letter) + "N"
	}
	return form
}

// Keys are the keys of the network's ops in their order, with spaces between, of which [ParseKeys] makes a network that computes the same.
func (a *Architecture) Keys() string {
	keys := make([]string, len(a.Layers))
	for i, l := range a.Layers {
		keys[i] = l.Op.Key()
	}
	return strings.Join(keys, " ")
}

// ParseKeys reads what [Architecture.Keys] writes. The network is checked; it has no name, is of no space, and each layer has a block of
// its own, as keys do not say more.
func ParseKeys(keys string) (*Architecture, error) {
	words := strings.Split(keys, " ")
	if len(words) > MaxNetworkLayers {
		return nil, fmt.Errorf("%d keys, allowed are at most %d", len(words), MaxNetworkLayers)
	}
	a := &Architecture{}
	block := 0
	for _, word := range words {
		op, err := ParseKey(word)
		if err != nil {
			return nil, err
		}
		layer := Layer{NoBlock, op}
		if op.Kind == MBConv || op.Kind == Basic || op.Kind == Skip {
			layer.Block = block
			block++
		}
		a.Layers = append(a.Layers, layer)
	}
	first, last := a.Layers[0].Op, a.Layers[len(a.Layers)-1].Op
	a.Resolution, a.Channels, a.Classes = first.Resolution, first.In, last.Out
	return a, a.Check()
}
