"""A toll station's cut-out plates, which came without labels, as labelled pictures.

    python station.py --data DIR --program PORTGATE --out DIR

`crops-unlabelled` holds plates of one station, those of yellow ones with their colours inverted. The program
reads each picture as it lies and with its colours inverted; what both readings agree on surely is its label.
Whatever else is used was looked at by eye: `station.tsv` names the pictures that serve as read (`as read`),
those whose reading is mended (`0=浙`: the first character is 浙), and those that do not serve (`out`: cut off,
unreadable, doubtful, no plate). Of the sure ones the province was looked at in every picture; what was read below 0.5
serves nobody. No whole text of a plate stands in that list; the labels lie in the folder written here, outside the repository.

The folder holds each picture twice, as it lies (blue) and inverted (yellow): a labelled folder for
`portgate evaluate`, and training pictures for `train_recogniser.py --station`.
"""

import argparse
import collections
import csv
import json
import pathlib
import subprocess

import cv2

import real

SURE = 0.9


def verdicts():
    """What was said of a picture by eye, by its file name."""
    with open(pathlib.Path(__file__).with_name("station.tsv"), encoding="utf-8") as f:
        return {r["file"]: r["verdict"] for r in csv.DictReader(f, delimiter="\t")}


def read(program, folder):
    """The program's best reading of each picture: file name → (text, confidence)."""
    out = subprocess.run([program, "read", "--crop", folder], stdout=subprocess.PIPE, text=True, check=False)
    lines = [json.loads(line) for line in out.stdout.splitlines()]
    return {pathlib.Path(r["file"]).name: max(((p["text"], p["confidence"]) for p in r.get("plates") or []),
                                              key=lambda p: p[1], default=("", 0.0)) for r in lines}


def text(verdict, one, other):
    """The label, or none where the picture does not serve."""
    best = max(one, other, key=lambda r: r[1])
    if verdict is None:
        return best[0] if one[0] == other[0] and best[1] >= SURE else None
    if verdict == "out":
        return None
    chars = list(best[0])
    for change in verdict.split() if "=" in verdict else []:
        at, char = change.split("=")
        if int(at) >= len(chars):
            return None
        chars[int(at)] = char
    return "".join(chars) or None


def items(folder, held_out):
    """Training pictures of the prepared folder: (RGB, text, kind, weight). Plates of the fold held out are left
    out; a plate counts as much with one picture as with twenty, 浙, of which most are, 0.6 times."""
    with open(pathlib.Path(folder) / "labels.tsv", encoding="utf-8") as f:
        rows = list(csv.DictReader(f, delimiter="\t"))
    count = collections.Counter(r["plate"] for r in rows)
    for r in rows:
        if real.fold(r["plate"]) != held_out:
            weight = (0.6 if r["plate"][0] == "浙" else 1.0) / count[r["plate"]]
            yield real.read(pathlib.Path(folder) / r["file"]), r["plate"], r["colour"], weight


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", type=pathlib.Path, required=True)
    ap.add_argument("--program", default="portgate", help="the program; the models it is built with read")
    ap.add_argument("--out", type=pathlib.Path, required=True)
    args = ap.parse_args()
    inverted = args.out / "inverted"
    inverted.mkdir(parents=True, exist_ok=True)
    files = sorted((args.data / "crops-unlabelled").glob("*.png"))
    for path in files:
        picture = cv2.imread(str(path))
        cv2.imwrite(str(args.out / path.name), picture)
        cv2.imwrite(str(inverted / path.name), 255 - picture)
    one, other = read(args.program, args.data / "crops-unlabelled"), read(args.program, inverted)
    said, kept = verdicts(), []
    for path in files:
        label = text(said.get(path.name), one.get(path.name, ("", 0.0)), other.get(path.name, ("", 0.0)))
        if label:
            kept += [(path.name, label, "blue"), (f"inverted/{path.name}", label, "yellow")]
        else:
            (args.out / path.name).unlink()
            (inverted / path.name).unlink()
    with open(args.out / "labels.tsv", "w", encoding="utf-8") as f:
        f.write("file\tplate\tcolour\n")
        f.writelines("\t".join(row) + "\n" for row in kept)
    provinces = collections.Counter(label[0] for label in {label for _, label, _ in kept})
    print(f"{len(kept) // 2} of {len(files)} pictures; plates by province: {provinces.most_common()}")


if __name__ == "__main__":
    main()
