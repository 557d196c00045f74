"""The simulator's labelled frames (`cargo run --release -p portgate-ingest --example dump_frames`).

Invented plates on drawn vehicles: what the demonstration shows, and more truck fronts and rears.
"""

import csv
import pathlib

import numpy as np

import real


def frames(folder):
    """Yields (RGB picture, corners [4,2], text, kind); no text where the lane is empty."""
    folder = pathlib.Path(folder)
    with open(folder / "labels.tsv", encoding="utf-8") as f:
        for r in csv.DictReader(f, delimiter="\t"):
            image = real.read(folder / r["file"])
            if not r["plate"]:
                yield image, np.zeros((4, 2), np.float32), "", ""
                continue
            corners = np.array([[float(r[f"x{i}"]), float(r[f"y{i}"])] for i in range(4)], np.float32)
            yield image, corners, r["plate"], r["kind"]
