"""ONNX Runtime's side of the networks' times: one thread, the same files, the same grey input.

Lines in: model, channels, height, width, runs, parted by tabs; lines out: JSON, first
`{"version": ...}`, then `{"seconds": [...]}` for each line in, one number a run. Loading and the
first runs of a model are not timed.
"""

import json
import sys
import time

import numpy as np
import onnxruntime as ort

print(json.dumps({"version": ort.__version__}), flush=True)
sessions = {}
for line in sys.stdin:
    path, *numbers = line.split("\t")
    channels, height, width, runs = map(int, numbers)
    image = np.full((1, channels, height, width), 114, np.float32)
    if path not in sessions:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        sessions[path] = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for _ in range(5):
            sessions[path].run(None, {"image": image})
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        sessions[path].run(None, {"image": image})
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": seconds}), flush=True)
