"""Makes the detector's training scenes in numbered chunks (resumable).

    python make_scenes.py --glyphs DIR --blanks DIR --data DIR --cache DIR --chunks N

Backgrounds: made-up ones, and the allowed real pictures with plate and mark painted over
(`no-plate`, `toll-lanes` of the folds that may train). Chunk k depends on (seed, k) only.
"""

import argparse
import multiprocessing
import os
import pathlib

import cv2
import numpy as np

import real
from plategen import glyphs, render, scene

PER_CHUNK = int(os.environ.get("PER_CHUNK", 500))


def photos(data, prepared, held_out):
    """Real pictures without plates: (RGB, quads where plates were)."""
    out = []
    for path in sorted((pathlib.Path(data) / "no-plate").glob("*.jpg")):
        image = real.read(path)
        scale = min(1.0, 1000 / max(image.shape))
        out.append((cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), []))
    for e in real.toll(data, prepared):
        if e["fold"] == held_out or e["corners"] is None:
            continue
        image = real.read(pathlib.Path(prepared) / e["clean"])
        scale = min(1.0, 1000 / max(image.shape))
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        quad = e["corners"] * scale
        mask = np.zeros(image.shape[:2], np.uint8)
        big = quad.mean(0) + (quad - quad.mean(0)) * [1.12, 1.35]
        cv2.fillPoly(mask, [np.round(big).astype(np.int32)], 1)
        out.append((cv2.inpaint(image, mask, 3, cv2.INPAINT_TELEA), [quad]))
    return out


def chunk(job):
    args, index = job
    path = args.cache / "scenes" / f"{index:05d}.npz"
    if path.exists():
        return
    cv2.setNumThreads(1)
    rng = np.random.default_rng([args.seed, index])
    maker = scene.Scenes(glyphs.Glyphs(args.glyphs), render.load_blanks(args.blanks),
                         photos(args.data, args.cache / "toll", -1 if args.all_folds else args.fold))
    jpegs, ends, corners, layout, owner = [], [], [], [], []
    total = 0
    for n in range(PER_CHUNK):
        image, c, l = maker.scene(rng)
        data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 93])[1].ravel()
        jpegs.append(data)
        total += len(data)
        ends.append(total)
        corners.append(c)
        layout.append(l)
        owner.append(np.full(len(l), n))
    part = path.with_suffix(".part.npz")
    np.savez(part, jpegs=np.concatenate(jpegs), ends=np.array(ends), corners=np.concatenate(corners),
             layout=np.concatenate(layout), owner=np.concatenate(owner))
    part.rename(path)
    print(path.name, flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--glyphs", required=True)
    ap.add_argument("--blanks", required=True)
    ap.add_argument("--data", required=True)
    ap.add_argument("--cache", type=pathlib.Path, required=True)
    ap.add_argument("--chunks", type=int, default=20)
    ap.add_argument("--first", type=int, default=0)
    ap.add_argument("--workers", type=int, default=2)
    ap.add_argument("--fold", type=int, default=real.HELD_OUT, help="fold held out")
    ap.add_argument("--all-folds", action="store_true", help="hold nothing out")
    ap.add_argument("--seed", type=int, default=36)
    args = ap.parse_args()
    (args.cache / "scenes").mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool(args.workers) as pool:
        list(pool.imap_unordered(chunk, [(args, i) for i in range(args.first, args.first + args.chunks)]))


if __name__ == "__main__":
    main()
