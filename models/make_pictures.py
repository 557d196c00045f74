"""Writes cut-out plates of the generator as files with labels, for `portgate evaluate`.

    python make_pictures.py --glyphs DIR --blanks DIR --out DIR --setting normal|hard [--number N]

Seeds are never those of training. `labels.tsv` holds the kind as `colour`, so that the program's
figures come per kind; every kind and, within it, every province equally often.
"""

import argparse
import pathlib

import cv2
import numpy as np

from plategen import crops, glyphs, layouts, render

SEED = 2036


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--glyphs", required=True)
    ap.add_argument("--blanks", required=True)
    ap.add_argument("--out", type=pathlib.Path, required=True)
    ap.add_argument("--setting", choices=["normal", "hard"], required=True)
    ap.add_argument("--number", type=int, default=2600)
    args = ap.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([SEED, int(args.setting == "hard")])
    g, b = glyphs.Glyphs(args.glyphs), render.load_blanks(args.blanks)
    kinds = list(layouts.WEIGHTS)
    lines = ["file\tplate\tcolour"]
    for i in range(args.number):
        kind = kinds[i % len(kinds)]
        text, image = crops.picture(g, b, rng, kind, args.setting == "normal")
        cv2.imwrite(str(args.out / f"{i:05d}.png"), image[..., ::-1])
        lines.append(f"{i:05d}.png\t{text}\t{kind}")
    (args.out / "labels.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
