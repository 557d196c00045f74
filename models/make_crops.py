"""Makes the recogniser's synthetic training set in numbered chunks (resumable).

    python make_crops.py --glyphs DIR --blanks DIR --out DIR --chunks N [--first K] [--often KINDS] [--workers 2]

Chunk k depends on (seed, k) and on `--often` only, which draws the kinds that are seldom otherwise or were
still read worst after a stage of training (`layouts.OFTEN`).
"""

import argparse
import multiprocessing
import os
import pathlib

import cv2
import numpy as np

import spec
from plategen import crops, glyphs, layouts, render

PER_CHUNK = int(os.environ.get("PER_CHUNK", 4000))


def chunk(job):
    args, index = job
    path = args.out / f"{index:05d}.npz"
    if path.exists():
        return
    cv2.setNumThreads(1)
    rng = np.random.default_rng([args.seed, index])
    g, b = glyphs.Glyphs(args.glyphs), render.load_blanks(args.blanks)
    images = np.empty((PER_CHUNK, spec.HEIGHT, spec.WIDTH, 3), np.uint8)
    labels = np.zeros((PER_CHUNK, spec.MAX_CHARS), np.int64)
    centres = np.empty((PER_CHUNK, spec.MAX_CHARS), np.float32)
    kinds = np.empty(PER_CHUNK, np.int64)
    often = layouts.OFTEN[args.often]
    n = 0
    while n < PER_CHUNK:
        for sample in crops.samples(g, b, rng, views=min(3, PER_CHUNK - n), often=often):
            images[n], labels[n], centres[n], kinds[n] = sample
            n += 1
    part = path.with_suffix(".part.npz")
    np.savez(part, images=images, labels=labels, centres=centres, kinds=kinds)
    part.rename(path)
    print(path.name, flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--glyphs", required=True)
    ap.add_argument("--blanks", required=True)
    ap.add_argument("--out", type=pathlib.Path, required=True)
    ap.add_argument("--chunks", type=int, default=40)
    ap.add_argument("--first", type=int, default=0)
    ap.add_argument("--workers", type=int, default=2)
    ap.add_argument("--often", choices=list(layouts.OFTEN), default="usual")
    ap.add_argument("--seed", type=int, default=36)
    args = ap.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    jobs = [(args, i) for i in range(args.first, args.first + args.chunks)]
    with multiprocessing.Pool(args.workers) as pool:
        list(pool.imap_unordered(chunk, jobs))


if __name__ == "__main__":
    main()
