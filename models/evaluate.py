"""Measures the exported networks on the real photographs with ONNX Runtime (one thread).

    python evaluate.py --data DIR [--made FILE] [--sim DIR] [--failures DIR]

Sets: crops-road (whole picture = plate), toll-lanes (whole frames, with the drawn mark and with
it painted over), street-scenes (labelled plate among those read; never trained on), no-plate.
Pictures of the fold held out (by the hash of the plate text; `--fold`, 0) never train; their share is
shown apart.
`--made` measures a chunk of the plate generator (of a number never trained on), `--sim` the
simulator's labelled frames (of a seed never trained on), each per kind. `--once` leaves out the
second look that refines the corners. `--failures` writes the names of the files misread.
"""

import argparse
import collections
import json
import pathlib
import time

import cv2
import numpy as np
import onnxruntime as ort

import decode
import real
import simulated
import spec
import train_detector
from plategen import crops

HERE = pathlib.Path(__file__).parent
MIN_CONFIDENCE = 0.5


def wilson(right, n, z=1.96):
    """Wilson interval of a share."""
    if n == 0:
        return 0.0, 1.0
    p = right / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half


class Reader:
    """The exported networks as the program uses them."""

    def __init__(self, folder=HERE):
        manifest = json.loads((folder / "manifest.json").read_text())
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        load = lambda part: ort.InferenceSession(str(folder / manifest[part]["file"]), options, providers=["CPUExecutionProvider"])
        self.detector, self.recogniser = load("detector"), load("recogniser")
        self.threshold = manifest["detector"]["threshold"]
        self.refine_width = manifest["detector"]["refine_width"]

    def find(self, image, again=True):
        """Plates in a frame: (score, two lines?, corners), corners refined by a second look."""
        found = self._whole(image)
        return [self._closer(image, f) for f in found] if again else found

    def _closer(self, image, found):
        """Looks again with the plate in the middle at a good size; keeps the first look if lost."""
        score, two, quad = found
        f = self.refine_width / max(4.0, np.linalg.norm(quad[1] - quad[0]))
        half = np.array([spec.DET_WIDTH, spec.DET_HEIGHT]) / 2 / f
        lo = np.floor(quad.mean(0) - half).astype(int)
        hi = np.ceil(quad.mean(0) + half).astype(int)
        lo, hi = np.maximum(lo, 0), np.minimum(hi, [image.shape[1], image.shape[0]])
        if (hi - lo).min() < 8:
            return found
        for _, t, q in self._whole(image[lo[1]:hi[1], lo[0]:hi[0]]):
            if train_detector.overlap(q + lo, quad) > 0.5:
                return score, t, (q + lo).astype(np.float32)
        return found

    def _whole(self, image):
        h, w = image.shape[:2]
        f = min(spec.DET_WIDTH / w, spec.DET_HEIGHT / h)
        small = cv2.resize(image, (min(spec.DET_WIDTH, round(w * f)), min(spec.DET_HEIGHT, round(h * f))),
                           interpolation=cv2.INTER_AREA if f < 1 else cv2.INTER_LINEAR)
        canvas = np.full((spec.DET_HEIGHT, spec.DET_WIDTH, 3), 114, np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small
        out = self.detector.run(None, {"image": canvas.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        return [(s, k, q / f) for s, k, q in train_detector.decode(out, self.threshold)]

    def crop(self, picture, two_line=None):
        """Reads one recogniser input (uint8 [48,168,3])."""
        x = picture.transpose(2, 0, 1)[None].astype(np.float32)
        chars, kind = self.recogniser.run(None, {"image": x})
        return decode.read(chars[0], kind[0], two_line)

    def frame(self, image, again=True):
        """All plates read in a frame: (text, kind, lowest character probability, corners)."""
        out = []
        for _, two, quad in self.find(image, again):
            got = self.crop(rectify(image, quad, bool(two)), bool(two))
            if got and min(got[2]) >= MIN_CONFIDENCE:
                out.append((got[0], got[1], min(got[2]), quad))
        return out


def rectify(image, quad, two):
    """Rectifies from the frame; a large plate is first shrunk to about 280 px by averaging."""
    width = max(np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[2] - quad[3]))
    f = min(1.0, 280 / max(1.0, width))
    if f < 0.8:
        pad = np.array([0.15 * width, 0.15 * width])
        lo = np.maximum(np.floor(quad.min(0) - pad), 0).astype(int)
        hi = np.minimum(np.ceil(quad.max(0) + pad), [image.shape[1], image.shape[0]]).astype(int)
        if (hi - lo).min() < 4:
            return crops.rectify(image, quad, two)
        roi = image[lo[1]:hi[1], lo[0]:hi[0]]
        image = cv2.resize(roi, None, fx=f, fy=f, interpolation=cv2.INTER_AREA)
        quad = (quad - lo) * f
    return crops.rectify(image, quad, two)


class Score:
    def __init__(self, name):
        self.name, self.all, self.bad = name, [], []

    def add(self, right, held, colour, file):
        self.all.append((bool(right), held, colour))
        if not right:
            self.bad.append(file)

    def show(self):
        def line(label, rows):
            n, k = len(rows), sum(r[0] for r in rows)
            lo, hi = wilson(k, n)
            return f"{label} {k}/{n} = {k / max(1, n):.3f} [{lo:.3f}, {hi:.3f}]"

        text = f"{self.name}: " + line("all", self.all)
        held = [r for r in self.all if r[1]]
        if held and len(held) < len(self.all):
            text += "; " + line("held-out fold", held)
        for colour in sorted({r[2] for r in self.all if r[2]}):
            rows = [r for r in self.all if r[2] == colour]
            if len(rows) < len(self.all):
                text += "; " + line(colour, rows)
        print(text, flush=True)


def made(reader, path):
    """Per kind on generated samples, provinces apart, and which characters are taken for which."""
    d = np.load(path)
    province, confused = Score("made-up plates, province"), collections.Counter()
    score = Score("made-up plates, normal and hard mixed")
    for image, labels, kind in zip(d["images"], d["labels"], d["kinds"]):
        name = spec.KINDS[kind]
        got = reader.crop(image, name in spec.TWO_LINE_KINDS)
        want = "".join(spec.ALPHABET[c] for c in labels if c)
        score.add(got and got[0] == want, False, name, "")
        if want[0] in spec.PROVINCES:
            province.add(got and got[0][0] == want[0], False, "", "")
        if got and len(got[0]) == len(want):
            confused.update(w + "→" + g for w, g in zip(want, got[0]) if w != g)
    score.show()
    province.show()
    print("most confused: " + ", ".join(f"{pair} {n}" for pair, n in confused.most_common(15)))


def simulated_frames(reader, folder, again):
    """Per kind on the simulator's frames, and plates read where there is none."""
    score, empty, false = Score("simulator's frames"), 0, 0
    for image, _, text, kind in simulated.frames(folder):
        got = reader.frame(image, again)
        if not text:
            empty += 1
            false += bool(got)
            continue
        score.add(any(p[0] == text for p in got), False, kind, "")
    score.show()
    print(f"simulator's empty lanes: {false} of {empty} with a read plate")


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", type=pathlib.Path, required=True)
    ap.add_argument("--models", type=pathlib.Path, default=HERE)
    ap.add_argument("--made", type=pathlib.Path)
    ap.add_argument("--sim", type=pathlib.Path)
    ap.add_argument("--fold", type=int, default=real.HELD_OUT, help="fold that did not train")
    ap.add_argument("--first", type=int, help="only so many pictures of each set")
    ap.add_argument("--once", action="store_true")
    ap.add_argument("--failures", type=pathlib.Path)
    args = ap.parse_args()
    cv2.setNumThreads(1)
    reader = Reader(args.models)

    score = Score("crops-road")
    for r in real.rows(args.data, "crops-road")[: args.first]:
        image = cv2.resize(real.read(args.data / r["file"]), (spec.WIDTH, spec.HEIGHT), interpolation=cv2.INTER_LINEAR)
        got = reader.crop(image, False)
        score.add(got and got[0] == r["plate"], r["fold"] == args.fold, "", r["file"])
    score.show()
    scores = [score]

    marked, clean, found = Score("toll-lanes as they are"), Score("toll-lanes, mark painted over"), Score("toll-lanes, plate found")
    for r in real.rows(args.data, "toll-lanes")[: args.first]:
        image = real.read(args.data / r["file"])
        plain = real.unmark(image, r["mark"])
        held = r["fold"] == args.fold
        marked.add(any(p[0] == r["plate"] for p in reader.frame(image, not args.once)), held, r["colour"], r["file"])
        clean.add(any(p[0] == r["plate"] for p in reader.frame(plain, not args.once)), held, r["colour"], r["file"])
        x0, y0, x1, y1 = r["mark"]
        box = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)
        found.add(any(train_detector.overlap(q, box) > 0.6 for _, _, q in reader.find(plain, not args.once)), held, r["colour"], r["file"])
    for s in (marked, clean, found):
        s.show()
    scores += [marked, clean]

    score, reads, elapsed = Score("street-scenes"), 0, []
    for r in real.rows(args.data, "street-scenes")[: args.first]:
        image = real.read(args.data / r["file"])
        began = time.perf_counter()
        got = reader.frame(image, not args.once)
        elapsed.append(time.perf_counter() - began)
        reads += len(got)
        score.add(any(p[0] == r["plate"] for p in got), False, "", r["file"])
    score.show()
    print(f"street-scenes: {reads} plates read; a frame without decoding takes {np.median(elapsed) * 1e3:.1f} ms (median, one thread)")
    scores.append(score)

    files = sorted((args.data / "no-plate").glob("*.jpg"))
    wrong = sum(bool(reader.frame(real.read(f), not args.once)) for f in files)
    print(f"no-plate: {wrong} of {len(files)} pictures with a read plate")

    if args.made:
        made(reader, args.made)
    if args.sim:
        simulated_frames(reader, args.sim, not args.once)
    if args.failures:
        args.failures.mkdir(parents=True, exist_ok=True)
        for s in scores:
            (args.failures / (s.name.split(",")[0].replace(" ", "-") + ("-clean" if "," in s.name else "") + ".txt")).write_text("\n".join(s.bad))


if __name__ == "__main__":
    main()
