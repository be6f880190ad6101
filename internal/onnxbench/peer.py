"""Times operations in ONNX Runtime from Python for onnxbench: python3 peer.py PEER.py THREADS

PEER.py has OPS, a list of (resolution, channels in, channels out, kernel, expansion, stride), in_onnxruntime(batch, *op, threads), which
makes a call of such an operation, and median_ms(call, seconds). OPS goes to standard output as JSON; then each line on standard input,
"INDEX SECONDS", is answered by a median in ms.
"""
import importlib.util
import json
import sys
import types

try:
    import torch  # noqa: F401
except ImportError:  # the peer may compare with it too, which is not asked for here
    torch = types.ModuleType('torch')
    torch.nn = types.ModuleType('torch.nn')
    sys.modules.update({'torch': torch, 'torch.nn': torch.nn})

path, threads = sys.argv[1], int(sys.argv[2])
spec = importlib.util.spec_from_file_location('peer', path)
peer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(peer)
print(json.dumps(peer.OPS), flush=True)
calls = {}
for line in sys.stdin:
    index, seconds = line.split()
    index = int(index)
    if index not in calls:
        calls[index] = peer.in_onnxruntime(1, *peer.OPS[index], threads)
    print(peer.median_ms(calls[index], float(seconds)), flush=True)
