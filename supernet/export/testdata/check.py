"""Checks exported networks without any code of densenas: check.py FOLDER...

A folder holds model.onnx, tensors.safetensors (the same weights alone) and case.safetensors with the tensors "input" and
"output", what densenas computes of it. Its metadata names the layers' operations.

  1. onnx.checker, with all checks: shapes are inferred and must be those that the file says.
  2. ONNX's reference evaluator, in numpy, computes the output of the model.
  3. The network is computed from the weights alone, by what PyTorch's Conv2d, BatchNorm2d (in evaluation), ReLU6,
     AdaptiveAvgPool2d(1) and Linear are documented to compute, in float64.

Needs the packages onnx and numpy. Prints one line per folder, and fails with the first difference.
"""

import json
import struct
import sys

import numpy
import onnx
import onnx.reference

TOLERANCE = 1e-4


def read_tensors(path):
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = numpy.frombuffer(body[begin:end], "<f4").reshape(entry["shape"])
    return tensors, metadata


def conv2d(x, weight, bias, stride, padding, groups):
    """Cross-correlation of x [n, c, h, w] with weight [out, c/groups, k, k], zeros around x."""
    n, channels, height, width = x.shape
    out, per_group, k, _ = weight.shape
    x = numpy.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows = (height + 2 * padding - k) // stride + 1
    columns = (width + 2 * padding - k) // stride + 1
    y = numpy.zeros((n, out, rows, columns))
    for group in range(groups):
        inputs = slice(group * per_group, (group + 1) * per_group)
        outputs = slice(group * (out // groups), (group + 1) * (out // groups))
        for i in range(k):
            for j in range(k):
                patch = x[:, inputs, i : i + (rows - 1) * stride + 1 : stride, j : j + (columns - 1) * stride + 1 : stride]
                y[:, outputs] += numpy.einsum("nchw,oc->nohw", patch, weight[outputs, :, i, j])
    return y if bias is None else y + bias[None, :, None, None]


def batch_norm(x, t, prefix, epsilon):
    scale = t[prefix + "weight"] / numpy.sqrt(t[prefix + "running_var"] + epsilon)
    shift = t[prefix + "bias"] - t[prefix + "running_mean"] * scale
    return x * scale[None, :, None, None] + shift[None, :, None, None]


def relu(x):
    return numpy.maximum(x, 0)


def relu6(x):
    return numpy.clip(x, 0, 6)


def linear(x):
    return x


def layer(x, name, op, t):
    def convolution(part, stride, padding, groups, behind):
        prefix = name + "." + (part + "." if part else "")
        y = conv2d(x, t[prefix + "weight"], t.get(prefix + "bias"), stride, padding, groups)
        if prefix + "norm.weight" in t:
            y = batch_norm(y, t, prefix + "norm.", 1e-3)
        return behind(y)

    kind = op["kind"]
    if kind == "skip":
        return x
    if kind == "stem":
        return convolution("", op["stride"], op["kernel"] // 2, 1, relu if op["activation"] == "relu" else relu6)
    if kind == "final":
        return convolution("", 1, 0, 1, relu6)
    if kind == "classifier":
        return x.mean(axis=(2, 3)) @ t[name + ".weight"].T + t[name + ".bias"]
    before, alike = x, op["stride"] == 1 and op["in"] == op["out"]
    if kind == "basic":
        beside = x if alike else convolution("shortcut", op["stride"], 0, 1, linear)
        x = convolution("first", op["stride"], 1, 1, relu)
        x = convolution("second", 1, 1, 1, linear)
        return relu(x + beside)
    if op["expansion"] > 1:
        x = convolution("expand", 1, 0, 1, relu6)
    x = convolution("depthwise", op["stride"], op["kernel"] // 2, x.shape[1], relu6)
    x = convolution("project", 1, 0, 1, linear)
    return x + before if alike else x


def compare(what, got, want):
    if got.shape != want.shape:
        sys.exit(f"{what}: shape {got.shape}, densenas gives {want.shape}")
    difference = numpy.abs(got - want).max() / max(1, numpy.abs(want).max())
    if not difference <= TOLERANCE:
        sys.exit(f"{what}: differs from densenas by {difference:g}, allowed is {TOLERANCE:g}")
    return difference


def check(folder):
    model = onnx.load(folder + "/model.onnx")
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    if inferred.graph.output != model.graph.output:
        sys.exit(f"{folder}: the output's shape is inferred otherwise: {inferred.graph.output}")

    case, metadata = read_tensors(folder + "/case.safetensors")
    x, want = case["input"], case["output"]
    evaluator = onnx.reference.ReferenceEvaluator(model)
    reference = compare(folder + ", ONNX's reference evaluator", evaluator.run(None, {"input": x})[0], want)

    tensors, _ = read_tensors(folder + "/tensors.safetensors")
    weights = {name: value.astype(numpy.float64) for name, value in tensors.items()}
    y = x.astype(numpy.float64)
    for entry in json.loads(metadata["layers"]):
        y = layer(y, entry["name"], entry, weights)
    arithmetic = compare(folder + ", PyTorch's arithmetic", y, want)
    print(f"{folder}: {len(model.graph.node)} nodes; differs by {reference:.1e} in the reference evaluator, {arithmetic:.1e} in PyTorch's arithmetic")


for argument in sys.argv[1:]:
    check(argument)
