"""Looks for `confidence_odds`: what the program's confidences must be multiplied by (as odds) to mean what they say.

    python calibrate.py --portgate FILE --models DIR SET...

A SET is a labelled folder (`labels.tsv` in or beside it). The program reads every picture with DIR's models; the
plates fall into two halves by the hash of their text. For each factor: how many reads at 0.90 or more are wrong, and
how many of the right ones get there. `taken` names the factor nearest to the present one that keeps both targets
(fewer than 1 in 200 wrong, 95 % there) on each half apart, or else the one that misses least.
"""

import argparse
import csv
import hashlib
import json
import pathlib
import subprocess

import cv2

CROP_MAX = (260, 110)  # as `portgate evaluate` takes a picture for a cut-out plate
SURE = 0.9


def labels(folder):
    """Picture -> plate of a labelled folder."""
    own = folder / "labels.tsv"
    with open(own if own.exists() else folder.parent / "labels.tsv", encoding="utf-8") as f:
        rows = list(csv.DictReader(f, delimiter="\t"))
    base = folder if own.exists() else folder.parent
    return {str(base / r["file"]): r["plate"] for r in rows if (base / r["file"]).parent == folder and r["plate"]}


def read(portgate, models, files, crop):
    """Picture -> (text, confidence) of each plate the program reads in it."""
    if not files:
        return {}
    out = subprocess.run([portgate, "read", "--models", str(models), *(["--crop"] if crop else []), *files],
                         capture_output=True, text=True, check=False).stdout
    return {j["file"]: [(p["text"], p["confidence"]) for p in j.get("plates") or []] for j in map(json.loads, out.splitlines())}


def distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def reads(portgate, models, folder):
    """(half, right, confidence) of the labelled plate of every picture where it was read at all."""
    want = labels(folder)
    small = []
    for path in want:
        h, w = cv2.imread(path).shape[:2]
        small.append(w <= CROP_MAX[0] and h <= CROP_MAX[1])
    files = list(want)
    got = read(portgate, models, [f for f, s in zip(files, small) if s], True)
    got |= read(portgate, models, [f for f, s in zip(files, small) if not s], False)
    out = []
    for f, plate in want.items():
        plate = plate.replace("·", "")
        near = min(got.get(f, []), key=lambda p: distance(p[0], plate), default=None)
        if near is not None and distance(near[0], plate) <= 3:
            half = int(hashlib.sha256(plate.encode()).hexdigest(), 16) // 5 % 2
            out.append((half, near[0] == plate, near[1]))
    return out


def count(rows, factor):
    """(wrong and sure, sure, right and sure, right) with all odds multiplied by `factor`."""
    sure = [(right, factor * p / (1 - p + factor * p) >= SURE if p < 1 else True) for _, right, p in rows]
    return (sum(s and not r for r, s in sure), sum(s for _, s in sure), sum(s and r for r, s in sure), sum(r for r, _ in sure))


def miss(rows, factor):
    """By how much the two targets are missed; 0 where both are kept."""
    wrong, sure, right_sure, right = count(rows, factor)
    return max(0.0, wrong / max(1, sure) / 0.005 - 1) + max(0.0, 0.95 - right_sure / max(1, right)) / 0.05


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--portgate", required=True)
    ap.add_argument("--models", type=pathlib.Path, required=True)
    ap.add_argument("sets", nargs="+", type=pathlib.Path)
    args = ap.parse_args()
    odds = json.loads((args.models / "manifest.json").read_text())["recogniser"]["confidence_odds"]
    sets = {folder: reads(args.portgate, args.models, folder) for folder in args.sets}
    rows = [r for part in sets.values() for r in part]
    halves = [[r for r in rows if r[0] == h] for h in (0, 1)]
    factors = [2 ** (i / 8) for i in range(-20, 21)]
    for f in factors:
        counts = [count(h, f) for h in halves]
        print(f"{odds * f:6.3f} " + "  ".join(f"{c[0]} of {c[1]} wrong, {c[2] / max(1, c[3]):.4f} of the right" for c in counts))
    taken = min(factors, key=lambda f: (sum(miss(h, f) for h in halves), abs(f - 1)))
    print(f"taken {odds * taken:.3f} (now {odds})")
    for folder, part in sets.items():
        for f in dict.fromkeys((1.0, taken)):
            wrong, sure, right_sure, right = count(part, f)
            print(f"{odds * f:6.3f} {folder.name}: {wrong} of {sure} wrong, {right_sure} of {right} = {right_sure / max(1, right):.4f}")


if __name__ == "__main__":
    main()
