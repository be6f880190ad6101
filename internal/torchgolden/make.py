#!/usr/bin/env python3
"""Computes testdata/golden.json with PyTorch: two architecture steps and then three weight steps of the super network of
testdata/space.yaml, with everything that they start from.

    python3 make.py

Needs torch and numpy. What is random is rounded to two digits, so that the file is small; PyTorch computes in float64.
Tensors are laid out as densenas lays them out: 1x1 convolutions and the classifier [in, out], depthwise convolutions
[kernel, kernel, channels], the stem [kernel, kernel, in, out], images [batch, rows, columns, channels]."""
import json
import math
import pathlib
import re

import torch
from torch.nn import functional as F

FOLDER = pathlib.Path(__file__).parent / 'testdata'
SPACE = json.loads((FOLDER / 'space.yaml').read_text())  # YAML that is JSON
SGD = {'rate': 0.1, 'momentum': 0.9, 'weight_decay': 4e-4}
ADAM = {'rate': 0.02, 'beta1': 0.5, 'beta2': 0.999, 'weight_decay': 1e-3}
NORM_MOMENTUM, EPSILON = 0.1, 1e-3
BASE, FACTOR = 15.0, 0.15
BATCH = 6


def random(*dims, deviation=1.0):
    """Normal numbers of two decimals, as float32 has them."""
    return (100 * deviation * torch.randn(dims, dtype=torch.float64)).round().div(100).float().double()


def connections():
    """For every block from the second on, and the final convolution: its (predecessor, index among the predecessor's
    outgoing connections, stride), the nearest predecessor first."""
    blocks, used, out = SPACE['blocks'], [0] * len(SPACE['blocks']), []
    for to in range(1, len(blocks) + 1):
        incoming = []
        for i in range(to - 1, max(to - 1 - SPACE['forward'], -1), -1):
            final = to == len(blocks)
            stage = SPACE['final']['stage'] if final else blocks[to]['stage']
            stride = 1 if final else blocks[to]['stride'] // blocks[i]['stride']
            if stage - blocks[i]['stage'] <= 1 and stride <= 2:
                incoming.append((i, used[i], stride))
                used[i] += 1
        out.append(incoming)
    return out


class Convolution:
    """A convolution without bias, batch norm without scale and offset, and ReLU6 or not."""
    nearest = math.inf  # that any input of a ReLU6 came to one of its two kinks

    def __init__(self, name, dims, deviation, relu=True):
        self.name, self.relu = name, relu
        self.weight = random(*dims, deviation=deviation).requires_grad_()
        self.mean = torch.zeros(dims[-1], dtype=torch.float64)
        self.variance = torch.ones(dims[-1], dtype=torch.float64)

    def __call__(self, x, stride=1):
        w, groups = self.weight, 1
        if w.dim() == 2:
            kernel = w.t()[:, :, None, None]
        elif w.dim() == 3:
            kernel, groups = w.permute(2, 0, 1)[:, None], w.shape[2]
        else:
            kernel = w.permute(3, 2, 0, 1)
        x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2, groups=groups)
        x = F.batch_norm(x, self.mean, self.variance, training=True, momentum=NORM_MOMENTUM, eps=EPSILON)
        if not self.relu:
            return x
        Convolution.nearest = min(Convolution.nearest, x.abs().min().item(), (x - 6).abs().min().item())
        return F.relu6(x)


class MBConv:
    def __init__(self, place, candidate, cin, cout, stride):
        kernel, expansion = map(int, re.fullmatch(r'mbconv_k(\d)_t(\d)', candidate).groups())
        mid, self.stride, self.shortcut = cin * expansion, stride, stride == 1 and cin == cout
        self.convolutions = []
        if expansion > 1:
            self.convolutions.append(Convolution(f'{place}/expand', (cin, mid), math.sqrt(2 / cin)))
        self.convolutions += [Convolution(f'{place}/depthwise', (kernel, kernel, mid), math.sqrt(2) / kernel),
                              Convolution(f'{place}/project', (mid, cout), math.sqrt(2 / mid), relu=False)]

    def __call__(self, x):
        y = x
        for c in self.convolutions:
            y = c(y, self.stride if c.weight.dim() == 3 else 1)
        return x + y if self.shortcut else y


class Skip:
    convolutions = []

    def __call__(self, x):
        return x


class Supernet:
    def __init__(self):
        blocks, stem, width = SPACE['blocks'], SPACE['stem'], SPACE['final']['width']
        self.ops = {}  # by place, in no particular order
        self.stem = Convolution('stem/weight', (stem['kernel'], stem['kernel'], SPACE['channels'], stem['width']), 0.4)
        self.first = MBConv('first', SPACE['first'], stem['width'], blocks[0]['width'], 1)
        *incoming, tails = connections()
        self.incoming, self.tails = incoming, tails
        self.heads = [[[self.op(f'block{j}/connection{n}', c, blocks[i]['width'], blocks[j]['width'], s) for c in SPACE['head']]
                       for n, (i, _, s) in enumerate(edges)] for j, edges in enumerate(incoming, start=1)]
        self.stacks = [[[self.op(f'block{j}/layer{n}', c, blocks[j]['width'], blocks[j]['width'], 1) for c in SPACE['stack']]
                        for n in range(blocks[j]['layers'])] for j in range(1, len(blocks))]
        self.finals = [Convolution(f'final/connection{n}/weight', (blocks[i]['width'], width), 0.5)
                       for n, (i, _, _) in enumerate(tails)]
        self.weight = random(width, SPACE['classes'], deviation=0.5).requires_grad_()
        self.bias = random(1, SPACE['classes'], deviation=0.1).requires_grad_()

    def op(self, place, candidate, cin, cout, stride):
        if candidate == 'skip':
            return Skip()
        op = MBConv(f'{place}/{candidate}', candidate, cin, cout, stride)
        self.ops[f'{place}/{candidate}'] = op
        return op

    def norms(self):
        """The convolutions of each operation that has batch norm, by its place."""
        out = {'stem': [self.stem], 'first': self.first.convolutions}
        out.update((place, op.convolutions) for place, op in self.ops.items())
        out.update((f'final/connection{n}', [c]) for n, c in enumerate(self.finals))
        return out

    def parameters(self):
        out = {c.name: c.weight for cs in self.norms().values() for c in cs}
        return out | {'classifier/weight': self.weight, 'classifier/weight.bias': self.bias}

    def __call__(self, x, step):
        """Runs what a step has sampled. What an output is multiplied with is kept in step.factors."""
        outputs = [self.first(self.stem(x))]
        for j, edges in enumerate(self.incoming):
            y = 0.0
            for n, (i, out, _) in enumerate(edges):
                y = y + self.mixed(outputs[i], self.heads[j][n], step, ('head', j, n), step.beta[i][out])
            for n, ops in enumerate(self.stacks[j]):
                y = self.mixed(y, ops, step, ('stack', j, n), 1.0)
            outputs.append(y)
        y = 0.0
        for n, (i, out, _) in enumerate(self.tails):
            y = y + step.factor(('final', n), step.beta[i][out]) * self.finals[n](outputs[i])
        return y.mean((2, 3)) @ self.weight + self.bias

    @staticmethod
    def mixed(x, ops, step, place, scale):
        kind, j, n = place
        y = 0.0
        for k, (candidate, weight) in enumerate(zip(step.picks[kind][j][n], step.weights[kind][j][n])):
            y = y + step.factor((kind, j, n, k), scale * weight) * ops[candidate](x)
        return y


class Logits:
    """The architecture parameters, 'beta', 'alpha_head' and 'alpha_stack', each a list (of lists) of rows."""

    def __init__(self, net):
        def row(n):
            return random(n, deviation=0.7).requires_grad_()
        outgoing = [0] * len(SPACE['blocks'])
        for edges in [*net.incoming, net.tails]:
            for i, _, _ in edges:
                outgoing[i] += 1
        self.beta = [row(n) for n in outgoing]
        self.head = [[row(len(SPACE['head'])) for _ in edges] for edges in net.incoming]
        self.stack = [[row(len(SPACE['stack'])) for _ in layers] for layers in net.stacks]

    def rows(self):
        return [*self.beta, *sum(self.head, []), *sum(self.stack, [])]

    def numbers(self, of=lambda row: row):
        def row(r):
            return numbers(of(r), digits=9)  # steps are differences of logits
        return {'beta': [row(r) for r in self.beta], 'alpha_head': [[row(r) for r in b] for b in self.head],
                'alpha_stack': [[row(r) for r in b] for b in self.stack]}


class Step:
    """What a step samples: count candidates of every layer without replacement, mixed by the softmax of their logits."""

    def __init__(self, logits, count):
        self.factors = {}
        self.beta = [F.softmax(r, -1) for r in logits.beta]
        self.picks, self.weights = {}, {}
        for kind, blocks in ('head', logits.head), ('stack', logits.stack):
            self.picks[kind] = [[torch.multinomial(F.softmax(r, -1), count).tolist() for r in b] for b in blocks]
            self.weights[kind] = [[F.softmax(r[p], -1) for r, p in zip(b, q)] for b, q in zip(blocks, self.picks[kind])]

    def factor(self, place, value):
        if value.requires_grad:
            value.retain_grad()
        self.factors[place] = value
        return value

    def numbers(self):
        def layers(kind):
            return [[[{'candidate': c, 'weight': number(w)} for c, w in zip(*layer)] for layer in zip(*block)]
                    for block in zip(self.picks[kind], self.weights[kind])]
        return {'head': layers('head'), 'stack': layers('stack'), 'beta': [numbers(r) for r in self.beta]}

    def products(self):
        """The derivatives by the factors."""
        def layers(kind):
            return [[[number(self.factors[kind, j, n, k].grad) for k in range(len(layer))] for n, layer in enumerate(block)]
                    for j, block in enumerate(self.picks[kind])]
        final = [number(v.grad) for place, v in self.factors.items() if place[0] == 'final']
        return {'head': layers('head'), 'stack': layers('stack'), 'final': final}


class Costs:
    """Latencies in ms, and the chained cost: what the rest of the network behind a block takes, from the last to the first."""

    def __init__(self, net):
        def latencies(n):
            return (10 + 90 * torch.rand(n, dtype=torch.float64)).round() / 100
        self.stem_and_first, self.classifier, self.call = 0.5, 0.2, 0.01
        self.head = [[latencies(len(SPACE['head'])) for _ in edges] for edges in net.incoming]
        self.stack = [[latencies(len(SPACE['stack'])) for _ in layers] for layers in net.stacks]
        self.final = latencies(len(net.tails))

    def chained(self, net, logits):
        n = len(SPACE['blocks'])
        behind, total = [0.0] * (n + 1), 0.0
        for block in range(n - 1, -1, -1):
            total = 0.0
            for to, edges in enumerate([*net.incoming, net.tails], start=1):
                for k, (i, out, _) in enumerate(edges):
                    if i == block:
                        head = self.final[k] if to == n else F.softmax(logits.head[to - 1][k], -1) @ self.head[to - 1][k]
                        total = total + F.softmax(logits.beta[i], -1)[out] * (head + behind[to])
            behind[block] = total
            if block > 0:
                for a, ms in zip(logits.stack[block - 1], self.stack[block - 1]):
                    behind[block] = behind[block] + F.softmax(a, -1) @ ms
        return self.stem_and_first + total + self.classifier + self.call

    def numbers(self):
        return {'stem_and_first_ms': self.stem_and_first, 'head_ms': [[numbers(r) for r in b] for b in self.head],
                'stack_ms': [[numbers(r) for r in b] for b in self.stack], 'final_ms': numbers(self.final),
                'classifier_ms': self.classifier, 'call_ms': self.call}


def rescale(before, after, picks):
    """Puts the exp-sum of what was sampled back to what it was."""
    for kind in 'head', 'stack':
        for old, new, chosen in zip(before[kind], getattr(after, kind), picks[kind]):
            for a, b, p in zip(old, new, chosen):
                b[p] += torch.log(a[p].exp().sum() / b[p].exp().sum())


def number(x, digits=6):
    x = float(x.detach())
    return float(f'{x:.{digits}g}') if abs(x) > 1e-12 else 0.0


def numbers(x, digits=6):
    return [number(v, digits) for v in x.flatten()]


def architecture_step(net, logits, costs, adam, x, y):
    for p in net.parameters().values():
        p.requires_grad_(False)
    adam.zero_grad()
    step = Step(logits, 2)
    answers = net(x, step)
    loss, cost = F.cross_entropy(answers, y), costs.chained(net, logits)
    (loss + FACTOR * torch.log(cost) / math.log(BASE)).backward()
    before = {'head': [[r.detach().clone() for r in b] for b in logits.head],
              'stack': [[r.detach().clone() for r in b] for b in logits.stack]}
    gradient = logits.numbers(lambda r: r.grad)
    adam.step()
    with torch.no_grad():
        rescale(before, logits, step.picks)
    return {'choice': step.numbers(), 'loss': number(loss), 'correct': int((answers.argmax(1) == y).sum()), 'products': step.products(),
            'cost_ms': number(cost), 'gradient': gradient, 'after': logits.numbers()}


def weight_step(net, logits, sgd, x, y, first):
    for p in net.parameters().values():
        p.requires_grad_(True)
    sgd.zero_grad()
    step = Step(logits, 1)
    answers = net(x, step)
    loss = F.cross_entropy(answers, y)
    loss.backward()
    gradients = {name: numbers(p.grad) for name, p in net.parameters().items() if p.grad is not None}
    sgd.step()
    # Of each batch norm its means, then its variances.
    running = {f'{place}/running': sum((numbers(c.mean) + numbers(c.variance) for c in cs), [])
               for place, cs in net.norms().items() if cs[0].name in gradients}
    out = {'choice': step.numbers(), 'loss': number(loss), 'correct': int((answers.argmax(1) == y).sum())}
    # The losses of the steps behind the first show whether it, and momentum, were right.
    return out | {'gradients': gradients, 'running': running} if first else out


def text(value, indent=0):
    """JSON with a line for every member of an object and every step, and other lists in one line."""
    inner = ' ' * (indent + 1)
    if isinstance(value, list) and isinstance(value[0], dict) and 'choice' in value[0]:
        brackets, lines = '[]', [text(v, indent + 1) for v in value]
    elif isinstance(value, dict):
        brackets, lines = '{}', [f'{json.dumps(k)}: {text(v, indent + 1)}' for k, v in value.items()]
    else:
        return json.dumps(value)
    return brackets[0] + '\n' + ',\n'.join(inner + line for line in lines) + '\n' + ' ' * indent + brackets[1]


def steps(seed):
    torch.manual_seed(seed)
    net = Supernet()
    logits, costs = Logits(net), Costs(net)
    images = random(BATCH, SPACE['resolution'], SPACE['resolution'], SPACE['channels'])
    labels = torch.arange(BATCH) % SPACE['classes']
    out = {
        'kind': 'densenas.torchgolden', 'schema_version': 1, 'torch': torch.__version__.split('+')[0],
        'images': numbers(images), 'labels': labels.tolist(),
        'weights': {name: numbers(p) for name, p in net.parameters().items()},
        'sgd': SGD, 'norm_momentum': NORM_MOMENTUM, 'adam': ADAM, 'base': BASE, 'factor': FACTOR,
        'costs': costs.numbers(), 'logits': logits.numbers(),
    }
    adam = torch.optim.Adam(logits.rows(), ADAM['rate'], (ADAM['beta1'], ADAM['beta2']), weight_decay=ADAM['weight_decay'])
    sgd = torch.optim.SGD(net.parameters().values(), SGD['rate'], SGD['momentum'], weight_decay=SGD['weight_decay'])
    x = images.permute(0, 3, 1, 2)
    # Only weight steps may move the running statistics.
    statistics = [(c, c.mean.clone(), c.variance.clone()) for cs in net.norms().values() for c in cs]
    out['architecture_steps'] = [architecture_step(net, logits, costs, adam, x, labels) for _ in range(2)]
    for c, mean, variance in statistics:
        c.mean.copy_(mean)
        c.variance.copy_(variance)
    out['weight_steps'] = [weight_step(net, logits, sgd, x, labels, first=n == 0) for n in range(3)]
    return out


def main():
    for seed in range(1, 1000):
        Convolution.nearest = math.inf
        out = steps(seed)
        # Nearer to a kink, rounding in float32 would decide about a whole element of a gradient.
        if Convolution.nearest > 5e-6:
            (FOLDER / 'golden.json').write_text(text(out) + '\n')
            return
    raise SystemExit('no seed keeps away from the kinks of ReLU6')


if __name__ == '__main__':
    main()
