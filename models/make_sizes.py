"""Writes frames with real plates of chosen widths, and of chosen angles, for recall by plate size
and by turn with `portgate evaluate`.

    python make_sizes.py --data DIR --prepared DIR --out DIR [--each N]

Toll-lane pictures (drawn mark painted over) are scaled until the plate has the width, and laid at
a random place in a grey frame of 1600x1200 or 4096x3072. One folder a frame size, made of
photographs: it stays outside the repository. `labels.tsv` holds the width as `colour`. The folder
`turned` holds the same pictures at 1600x1200, the plate 200 px wide, turned about its centre to
either side; there `colour` is the angle.
"""

import argparse
import pathlib

import cv2
import numpy as np

import real

FRAMES = [(1600, 1200), (4096, 3072)]
WIDTHS = [60, 80, 100, 150, 200, 300, 400, 600]
ANGLES = [0, 10, 20, 30, 45]


def write(folder, size, made, rng):
    """Frames of one size with labels: `made` gives (name, entry, plate's width, degrees,
    class, folder of the prepared pictures)."""
    w, h = size
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["file\tplate\tcolour\tmark_x0_y0_x1_y1"]
    for name, e, width, degrees, group, prepared in made:
        image, quad = real.read(prepared / e["clean"]), e["corners"]
        f = width / np.linalg.norm(quad[1] - quad[0])
        image = cv2.resize(image, None, fx=f, fy=f, interpolation=cv2.INTER_AREA if f < 1 else cv2.INTER_CUBIC)
        # A window of the frame's size that holds the plate.
        centre = quad.mean(0) * f
        to = np.array([w, h]) * rng.uniform(0.3, 0.7, 2)
        if degrees:
            m = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), degrees, 1.0)
            m[:, 2] += to - centre
            frame = cv2.warpAffine(image, m, (w, h), flags=cv2.INTER_LINEAR, borderValue=(114, 114, 114))
            corners = quad * f @ m[:, :2].T + m[:, 2]
        else:
            shift = np.round(to - centre).astype(int)
            frame = np.full((h, w, 3), 114, np.uint8)
            x0, y0 = np.maximum(shift, 0)
            x1, y1 = np.minimum(shift + [image.shape[1], image.shape[0]], [w, h])
            frame[y0:y1, x0:x1] = image[y0 - shift[1]:y1 - shift[1], x0 - shift[0]:x1 - shift[0]]
            corners = quad * f + shift
        lo, hi = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
        cv2.imwrite(str(folder / name), frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        lines.append(f"{name}\t{e['plate']}\t{group}\t{lo[0]} {lo[1]} {hi[0]} {hi[1]}")
    (folder / "labels.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", required=True)
    ap.add_argument("--prepared", type=pathlib.Path, required=True)
    ap.add_argument("--out", type=pathlib.Path, required=True)
    ap.add_argument("--each", type=int, default=30)
    args = ap.parse_args()
    entries = [e for e in real.toll(args.data, args.prepared) if e["corners"] is not None]
    rng = np.random.default_rng(7)
    some = lambda: (entries[i] for i in rng.permutation(len(entries))[: args.each])
    for w, h in FRAMES:
        made = ((f"{width:03d}-{n:02d}.jpg", e, width, 0, f"{width:03d} px", args.prepared)
                for width in WIDTHS for n, e in enumerate(some()))
        write(args.out / f"{w}x{h}", (w, h), made, rng)
    made = ((f"{angle:02d}-{n:02d}.jpg", e, 200, angle * (1 if n % 2 else -1), f"{angle:02d} degrees", args.prepared)
            for angle in ANGLES for n, e in enumerate(some()))
    write(args.out / "turned", FRAMES[0], made, rng)


if __name__ == "__main__":
    main()
