package space

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What net_config text leaves unsaid.
const (
	netConfigResolution = 224
	netConfigChannels   = 3
	netConfigClasses    = 1000
	maxNetConfig        = 1 << 20 // bytes
)

// ParseNetConfig reads the text form of the published implementation of DenseNAS: blocks separated by |, each
//
//	[[channels in, channels out], 'head', ['stacked', …], number of stacked, stride of the head]
//
// with candidates such as 'mbconv_k3_t6', 'basic_block' and, stacked, 'skip_connect', and last [[channels in, channels out],
// 'conv1_1'] for the final 1×1 convolution, which is left out behind a basic block. The stem is a 3×3 convolution with stride 2
// whose width is the first block's input, with ReLU before a basic block and ReLU6 before another. Resolution 224, three channels
// and 1000 classes are assumed; WithResolution, WithChannels and WithClasses change them. Spaces may stand
// between the parts; errors give the position as a count of bytes from 1.
func ParseNetConfig(text string) (*Architecture, error) {
	if len(text) > maxNetConfig {
		return nil, fmt.Errorf("net_config text of %d bytes, allowed are at most %d", len(text), maxNetConfig)
	}
	p := &netConfigParser{text: text}
	a, err := p.network()
	if err != nil {
		return nil, fmt.Errorf("net_config text, character %d: %w", p.at+1, err)
	}
	if err := a.Check(); err != nil {
		return nil, fmt.Errorf("net_config text: %w", err)
	}
	return a, nil
}

// netConfigParser walks the text; at is where the next token, or the error, is.
type netConfigParser struct {
	text string
	at   int
}

func (p *netConfigParser) network() (*Architecture, error) {
	a := &Architecture{Resolution: netConfigResolution, Channels: netConfigChannels, Classes: netConfigClasses}
	width := 0 // that the layer before gives
	for block := 0; ; block++ {
		start := p.at
		final, layers, err := p.block(block)
		if err != nil {
			return nil, err
		}
		in := layers[0].Op.In
		if block == 0 {
			if final {
				p.at = start
				return nil, errors.New("expected a block before 'conv1_1'")
			}
			width = in
			a.Layers = append(a.Layers, Layer{NoBlock, Op{Kind: Stem, Kernel: 3, In: a.Channels, Out: in, Stride: 2, Activation: netConfigActivation(layers[0].Op)}})
		}
		if in != width {
			p.at = start
			return nil, fmt.Errorf("the block takes %d channels, but the one before gives %d", in, width)
		}
		width = layers[0].Op.Out
		if len(a.Layers)+len(layers) >= MaxNetworkLayers {
			p.at = start
			return nil, fmt.Errorf("more than %d layers", MaxNetworkLayers)
		}
		a.Layers = append(a.Layers, layers...)
		if final {
			break
		}
		if p.space(); p.at == len(p.text) && endsWithoutFinal(layers) {
			break
		}
		if err := p.expect('|'); err != nil {
			return nil, err
		}
	}
	if p.space(); p.at < len(p.text) {
		return nil, errors.New("text after 'conv1_1'; it is the last")
	}
	a.Layers = append(a.Layers, Layer{NoBlock, Op{Kind: Classifier, In: width, Out: a.Classes}})
	a.resolve()
	return a, nil
}

// block reads one block, or the final convolution.
func (p *netConfigParser) block(number int) (final bool, layers []Layer, err error) {
	if err := p.expect('[', '['); err != nil {
		return false, nil, err
	}
	in, err := p.number(1, MaxWidth)
	if err != nil {
		return false, nil, err
	}
	if err := p.expect(','); err != nil {
		return false, nil, err
	}
	out, err := p.number(1, MaxWidth)
	if err != nil {
		return false, nil, err
	}
	if err := p.expect(']', ','); err != nil {
		return false, nil, err
	}
	start := p.at
	head, err := p.name()
	if err != nil {
		return false, nil, err
	}
	if head == "conv1_1" {
		return true, []Layer{{NoBlock, Op{Kind: Final, In: in, Out: out}}}, p.expect(']')
	}
	candidate, err := netConfigCandidate(head)
	if err != nil || candidate.Kind == Skip {
		p.at = start
		return false, nil, fmt.Errorf("unknown head %.40q, allowed are mbconv_kK_tT (such as mbconv_k3_t6) and basic_block, and conv1_1 at the end", head)
	}
	if err := p.expect(','); err != nil {
		return false, nil, err
	}
	stack, err := p.stack()
	if err != nil {
		return false, nil, err
	}
	if err := p.expect(','); err != nil {
		return false, nil, err
	}
	if _, err := p.number(len(stack), len(stack)); err != nil {
		return false, nil, fmt.Errorf("the number of stacked layers: %w", err)
	}
	if err := p.expect(','); err != nil {
		return false, nil, err
	}
	stride, err := p.number(1, 2)
	if err != nil {
		return false, nil, err
	}
	layers = append(layers, Layer{number, candidate.at(in, out, stride, 0)})
	for _, c := range stack {
		layers = append(layers, Layer{number, c.at(out, out, 1, 0)})
	}
	return false, layers, p.expect(']')
}

// stack reads the list of stacked candidates.
func (p *netConfigParser) stack() ([]Candidate, error) {
	if err := p.expect('['); err != nil {
		return nil, err
	}
	var stack []Candidate
	for p.space(); !strings.HasPrefix(p.text[p.at:], "]"); {
		if len(stack) > 0 {
			if err := p.expect(','); err != nil {
				return nil, err
			}
		}
		p.space()
		start := p.at
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		c, err := netConfigCandidate(name)
		if err == nil && len(stack) == MaxNetworkLayers {
			err = fmt.Errorf("more than %d stacked layers", MaxNetworkLayers)
		}
		if err != nil {
			p.at = start
			return nil, err
		}
		stack = append(stack, c)
		p.space()
	}
	return stack, p.expect(']')
}

func (p *netConfigParser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

func (p *netConfigParser) expect(tokens ...byte) error {
	for _, token := range tokens {
		p.space()
		if p.at == len(p.text) {
			return fmt.Errorf("the text ends, expected %q", token)
		}
		if p.text[p.at] != token {
			return fmt.Errorf("found %q, expected %q", p.text[p.at], token)
		}
		p.at++
	}
	return nil
}

// number reads decimal digits.
func (p *netConfigParser) number(low, high int) (int, error) {
	p.space()
	rest := p.text[p.at:]
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	if digits == "" {
		return 0, errors.New("expected a number")
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < low || n > high {
		if low == high {
			return 0, fmt.Errorf("is %.20s, expected %d as listed", digits, low)
		}
		return 0, fmt.Errorf("%.20s is out of range, allowed is %d to %d", digits, low, high)
	}
	p.at += len(digits)
	return n, nil
}

// name reads a name in single or double quotes.
func (p *netConfigParser) name() (string, error) {
	p.space()
	rest := p.text[p.at:]
	if rest == "" || rest[0] != '\'' && rest[0] != '"' {
		return "", errors.New("expected a name in quotes")
	}
	length := strings.IndexByte(rest[1:], rest[0])
	if length < 0 {
		return "", errors.New("the quotes are never closed")
	}
	p.at += length + 2
	return rest[1 : 1+length], nil
}

// netConfigActivation is the activation of the stem before a network's first layer.
func netConfigActivation(first Op) Activation {
	if first.Kind == Basic {
		return ReLU
	}
	return ReLU6
}

// endsWithoutFinal says whether text may end behind a block: where the head is a basic block.
func endsWithoutFinal(block []Layer) bool { return block[0].Op.Kind == Basic }

// netConfigNames are the candidates with another name in the text than elsewhere.
var netConfigNames = map[Kind]string{Skip: "skip_connect", Basic: "basic_block"}

func netConfigCandidate(name string) (Candidate, error) {
	for kind, text := range netConfigNames {
		switch name {
		case text:
			return Candidate{Kind: kind}, nil
		case string(kind):
			return Candidate{}, fmt.Errorf("%s is written '%s' here", kind, text)
		}
	}
	return ParseCandidate(name)
}

func netConfigName(o Op) string {
	if name, ok := netConfigNames[o.Kind]; ok {
		return name
	}
	return candidateOf(o).String()
}

// NetConfig is the text that ParseNetConfig reads. It leaves out resolution, channels, classes, name, space and prediction. A
// stem or an end that the text does not mean cannot be written in it.
func (a *Architecture) NetConfig() (string, error) {
	if err := a.Check(); err != nil {
		return "", err
	}
	if stem := a.Layers[0].Op; stem.Kernel != 3 || stem.Stride != 2 {
		return "", fmt.Errorf("net_config text always means a 3×3 stem with stride 2, this one is %d×%d with stride %d; write it as JSON",
			stem.Kernel, stem.Kernel, stem.Stride)
	}
	if a.Layers[0].Op.Activation != netConfigActivation(a.Layers[1].Op) {
		return "", errors.New("net_config text always means a stem with ReLU before a basic block and with ReLU6 before another, this one has the other; write it as JSON")
	}
	var blocks []string
	layers := a.Layers[1 : len(a.Layers)-1]
	for len(layers) > 0 {
		head := layers[0]
		if head.Op.Kind == Final {
			blocks = append(blocks, fmt.Sprintf("[[%d, %d], 'conv1_1']", head.Op.In, head.Op.Out))
			break
		}
		if head.Op.Kind == Skip {
			return "", errors.New("net_config text has no skip as a block's first layer; write it as JSON")
		}
		n := slices.IndexFunc(layers, func(l Layer) bool { return l.Block != head.Block })
		if n < 0 {
			if n = len(layers); !endsWithoutFinal(layers) {
				return "", errors.New("net_config text has a final 1×1 convolution behind all but basic blocks, this network has none; write it as JSON")
			}
		}
		var stack []string
		for _, l := range layers[1:n] {
			stack = append(stack, "'"+netConfigName(l.Op)+"'")
		}
		blocks = append(blocks, fmt.Sprintf("[[%d, %d], '%s', [%s], %d, %d]", head.Op.In, head.Op.Out, netConfigName(head.Op),
			strings.Join(stack, ", "), len(stack), head.Op.Stride))
		layers = layers[n:]
	}
	return strings.Join(blocks, "|"), nil
}

func candidateOf(o Op) Candidate { return Candidate{o.Kind, o.Kernel, o.Expansion} }
