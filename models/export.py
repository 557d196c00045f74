"""Exports checkpoints to ONNX, checks them against PyTorch and writes `manifest.json`.

    python export.py --cache DIR [--out DIR] [--init] [--mean SHARE:FILE ...] [--only NAME]

`--init` exports freshly initialised networks (their shapes only), where a checkpoint is missing. `--mean` makes the
recogniser of the weights of several, which went apart from one start (Wortsman et al. 2022, Model soups): checkpoints
in the cache or exported files. `--only` exports one of the two; the other file stays as it lies.
"""

import argparse
import hashlib
import json
import pathlib

import numpy as np
import onnx
import onnxruntime as ort
import torch

import nets
import spec

HERE = pathlib.Path(__file__).parent
THRESHOLD = 0.35
# A second look with the plate this many pixels wide and in the middle gives much better corners.
REFINE_WIDTH = 160
# Odds of each character's confidence are multiplied by this: reads settled by several cuts together are right
# oftener than they say. Chosen on one half of all pictures, measured on the other (recogniser.md).
CONFIDENCE_ODDS = 1.588


def export(net, path, shape, outputs):
    """Writes `net` with batch norms folded; returns the largest difference to PyTorch."""
    net.eval()
    torch.manual_seed(1)
    x = torch.rand(shape) * 255
    with torch.no_grad():
        want = net(x)
        net.fuse()
    torch.onnx.export(net, (x,), str(path), input_names=["image"], output_names=outputs,
                      opset_version=13, do_constant_folding=True, dynamo=False)
    model = onnx.load(str(path))
    model.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    got = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"image": x.numpy()})
    want = want if isinstance(want, tuple) else (want,)
    return max(float(np.abs(a - b.numpy()).max()) for a, b in zip(got, want))


def load(net, checkpoint, init):
    if checkpoint.exists():
        net.load_state_dict(torch.load(checkpoint, map_location="cpu")["ema"])
    elif not init:
        raise SystemExit(f"{checkpoint} is missing: train first, or pass --init")
    return net


def folded(path):
    """The recogniser of a checkpoint or an exported file, batch norms folded."""
    net = nets.Recogniser()
    if path.suffix == ".onnx":
        weights = nets.initializers(path)
        net.fuse().load_state_dict({name: weights[name] for name in net.state_dict()})
        return net
    net.load_state_dict(torch.load(path, map_location="cpu")["ema"])
    return net.fuse()


def mean(cache, shares):
    """The recogniser whose folded weights are the mean of those named, each `SHARE:FILE`."""
    parts = [(float(share), folded(cache / name).state_dict()) for share, name in (s.split(":", 1) for s in shares)]
    whole = sum(share for share, _ in parts)
    net = nets.Recogniser().fuse()
    net.load_state_dict({name: sum(share / whole * w[name] for share, w in parts) for name in net.state_dict()})
    return net


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--cache", type=pathlib.Path, required=True, help="folder of the checkpoints")
    ap.add_argument("--out", type=pathlib.Path, default=HERE)
    ap.add_argument("--init", action="store_true")
    ap.add_argument("--mean", nargs="+", metavar="SHARE:FILE")
    ap.add_argument("--only", choices=["detector", "recogniser"])
    args = ap.parse_args()
    torch.manual_seed(0)
    jobs = {
        "detector": (nets.Detector(), (1, 3, spec.DET_HEIGHT, spec.DET_WIDTH), ["out"]),
        "recogniser": (nets.Recogniser(), (1, 3, spec.HEIGHT, spec.WIDTH), ["chars", "kind"]),
    }
    hashes = {}
    for name, (net, shape, outputs) in jobs.items():
        path = args.out / f"{name}.onnx"
        if args.only not in (None, name):
            hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            continue
        net = mean(args.cache, args.mean) if args.mean and name == "recogniser" else load(net, args.cache / f"{name}.pt", args.init)
        mflop = nets.flops(net, shape) / 1e6
        error = export(net, path, shape, outputs)
        hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{name}: {mflop:.0f} MFLOP, {path.stat().st_size / 1e6:.2f} MB, "
              f"largest difference to PyTorch {error:.2e}, sha256 {hashes[name]}")
        if error > 5e-3:
            raise SystemExit(f"{name}: the exported network differs from PyTorch's")
    (args.out / "manifest.json").write_text(json.dumps(manifest(hashes), ensure_ascii=False, indent=2) + "\n")


def manifest(hashes):
    return {
        "version": 1,
        "detector": {
            "file": "detector.onnx",
            "sha256": hashes["detector"],
            "input": [3, spec.DET_HEIGHT, spec.DET_WIDTH],
            "stride": spec.DET_STRIDE,
            "threshold": THRESHOLD,
            "refine_width": REFINE_WIDTH,
            "channels": ["one_line", "two_line", "tl_x", "tl_y", "tr_x", "tr_y", "br_x", "br_y", "bl_x", "bl_y"],
            "note": "input RGB 0..255, the frame scaled by one factor to fit, at the top left, the rest filled "
                    "with 114; logits (sigmoid) at cell (row, column), peaks are 3x3 maxima; a corner's x in "
                    "input pixels is (column + 0.5 + offset) * stride, y likewise with the row; corners in the "
                    "plate's reading order",
        },
        "recogniser": {
            "file": "recogniser.onnx",
            "sha256": hashes["recogniser"],
            "input": [3, spec.HEIGHT, spec.WIDTH],
            "columns": spec.COLUMNS,
            "alphabet": spec.ALPHABET,
            "kinds": spec.KINDS,
            "confidence_odds": CONFIDENCE_ODDS,
            "note": "input RGB 0..255; chars [1, columns, alphabet] logits, index 0 is the blank; kind [1, kinds] logits",
        },
        "one_line": {"regions": [spec.ONE_LINE]},
        "two_line": {
            "regions": spec.TWO_LINE,
            "note": "regions fill the recogniser's input side by side: input pixel (u, v) of a region shows the "
                    "plate's point x0 + (u - left + 0.5) / width * (x1 - x0), y0 + (v + 0.5) / 48 * (y1 - y0), in "
                    "fractions of the quadrilateral of the four corners (projective)",
        },
    }


if __name__ == "__main__":
    main()
