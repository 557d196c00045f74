"""Writes frames with real plates of chosen widths, for recall by plate size with `portgate evaluate`.

    python make_sizes.py --data DIR --prepared DIR --out DIR [--each N]

Toll-lane pictures (drawn mark painted over) are scaled until the plate has the width, and laid at
a random place in a grey frame of 1600x1200 or 4096x3072. One folder a frame size, made of
photographs: it stays outside the repository. `labels.tsv` holds the width as `colour`.
"""

import argparse
import pathlib

import cv2
import numpy as np

import real

FRAMES = [(1600, 1200), (4096, 3072)]
WIDTHS = [60, 80, 100, 150, 200, 300, 400, 600]


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", required=True)
    ap.add_argument("--prepared", type=pathlib.Path, required=True)
    ap.add_argument("--out", type=pathlib.Path, required=True)
    ap.add_argument("--each", type=int, default=30)
    args = ap.parse_args()
    entries = [e for e in real.toll(args.data, args.prepared) if e["corners"] is not None]
    rng = np.random.default_rng(7)
    for w, h in FRAMES:
        folder = args.out / f"{w}x{h}"
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["file\tplate\tcolour\tmark_x0_y0_x1_y1"]
        for width in WIDTHS:
            for n, pick in enumerate(rng.permutation(len(entries))[: args.each]):
                e = entries[pick]
                image, quad = real.read(args.prepared / e["clean"]), e["corners"]
                f = width / np.linalg.norm(quad[1] - quad[0])
                image = cv2.resize(image, None, fx=f, fy=f, interpolation=cv2.INTER_AREA if f < 1 else cv2.INTER_CUBIC)
                # A window of the frame's size that holds the plate.
                centre = quad.mean(0) * f
                to = np.array([w, h]) * rng.uniform(0.3, 0.7, 2)
                shift = np.round(to - centre).astype(int)
                frame = np.full((h, w, 3), 114, np.uint8)
                x0, y0 = np.maximum(shift, 0)
                x1, y1 = np.minimum(shift + [image.shape[1], image.shape[0]], [w, h])
                frame[y0:y1, x0:x1] = image[y0 - shift[1]:y1 - shift[1], x0 - shift[0]:x1 - shift[0]]
                corners = quad * f + shift
                lo, hi = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
                name = f"{width:03d}-{n:02d}.jpg"
                cv2.imwrite(str(folder / name), frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
                lines.append(f"{name}\t{e['plate']}\t{width:03d} px\t{lo[0]} {lo[1]} {hi[0]} {hi[1]}")
        (folder / "labels.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
