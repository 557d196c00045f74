"""Real photographs: lists, folds by plate text, the drawn mark painted over, plate corners.

    python real.py --data DIR --out DIR [--sheet FILE]

Prepares the toll-lane pictures (mark removed, corners found by colour) into a cache folder, whose
`labels.tsv` lets `portgate evaluate` read them as a set of their own. Plates are personal data: the
prepared pictures keep the sources' numbers as names, and the folder stays outside the repository.
"""

import argparse
import csv
import hashlib
import json
import pathlib

import cv2
import numpy as np

import spec
from plategen import crops

FOLDS = 5
HELD_OUT = 0


def fold(text):
    """Fold of a plate text: a plate's pictures all lie in one fold."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % FOLDS


def read(path):
    """RGB picture."""
    return cv2.imdecode(np.frombuffer(pathlib.Path(path).read_bytes(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1].copy()


def rows(data, folder):
    """Label rows of one folder: file, plate, colour, mark (or None), fold."""
    out = []
    with open(pathlib.Path(data) / "labels.tsv", encoding="utf-8") as f:
        for r in csv.DictReader(f, delimiter="\t"):
            if r["file"].startswith(folder + "/"):
                mark = [int(v) for v in (r["mark_x0_y0_x1_y1"] or "").split()]
                out.append({"file": r["file"], "plate": r["plate"], "colour": r["colour"],
                            "mark": mark or None, "fold": fold(r["plate"])})
    return out


def unmark(image, mark):
    """Paints over the red mark (box and the label bar on it)."""
    x0, y0, x1, y1 = mark
    h, w = image.shape[:2]
    bar = 16  # the label bar's height; the box hangs below it
    around = np.zeros((h, w), np.uint8)
    cv2.rectangle(around, (x0, y0 + bar), (x1, y1), 1, 9)
    around[max(0, y0 - 4):y0 + bar + 5, max(0, x0 - 4):x0 + (x1 - x0) * 6 // 10] = 1
    r, g, b = (image[..., i].astype(int) for i in range(3))
    red = ((r > 140) & (g < 90) & (b < 90) & (r - np.maximum(g, b) > 80)).astype(np.uint8) & around
    lines = np.zeros((h, w), np.uint8)  # the box's lines themselves, whatever JPEG made of them
    cv2.rectangle(lines, (x0, y0 + bar), (x1, y1), 1, 3)
    mask = cv2.dilate(red, np.ones((5, 5))) | (lines & cv2.dilate(red, np.ones((9, 9))))
    return cv2.inpaint(image, mask, 4, cv2.INPAINT_TELEA)


def _line(points, axis):
    """Robust line through edge points: other = a * along + b, outliers trimmed."""
    along, other = points[:, 1 - axis], points[:, axis]
    keep = np.ones(len(points), bool)
    for _ in range(8):
        if keep.sum() < 6:
            return None
        a, b = np.polyfit(along[keep], other[keep], 1)
        residual = np.abs(other - (a * along + b))
        limit = max(1.0, 1.8 * np.median(residual[keep]))
        keep = residual <= limit
    return a, b


def find_corners(image, mark, colour):
    """Corners TL, TR, BR, BL by colour inside the mark, or None where that is not reliable."""
    x0, y0, x1, y1 = mark
    y0 += 16
    pad = 4
    roi = image[y0 + pad:y1 - pad, x0 + pad:x1 - pad]
    hsv = cv2.cvtColor(roi, cv2.COLOR_RGB2HSV)
    best = None
    limits = ([((98, s, 45), (130, 255, 255)) for s in (140, 110, 80)] if colour == "blue"
              else [((12, s, 90), (38, 255, 255)) for s in (110, 80, 55)])
    for low, high in limits:
        mask = cv2.inRange(hsv, low, high)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((max(3, roi.shape[0] // 7), max(3, roi.shape[1] // 12))))
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((roi.shape[0] // 6, roi.shape[1] // 8)))
        n, lab, stats, _ = cv2.connectedComponentsWithStats(mask)
        if n < 2:
            continue
        k = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        x, y, w, h, area = stats[k]
        if w < 0.35 * roi.shape[1] or w > 0.97 * roi.shape[1] or not 1.8 < w / h < 5.5:
            continue
        quad = _quad(lab == k, x, y, w, h)
        if quad is None:
            continue
        fill = area / max(1.0, cv2.contourArea(quad))
        length = lambda a, b: float(np.linalg.norm(quad[a] - quad[b]))
        aspect = (length(0, 1) + length(3, 2)) / (length(0, 3) + length(1, 2))
        score = abs(np.log(aspect / 3.3)) + abs(1 - fill)
        if best is None or score < best[0]:
            best = (score, quad)
    if best is None or best[0] > 0.45:
        return None
    quad = best[1] + np.array([x0 + pad, y0 + pad], np.float32)
    grow = (0.012, 0.035) if colour == "blue" else (0.004, 0.015)
    unit = np.array([[-grow[0], -grow[1]], [1 + grow[0], -grow[1]], [1 + grow[0], 1 + grow[1]], [-grow[0], 1 + grow[1]]], np.float32)
    m = cv2.getPerspectiveTransform(crops.UNIT, quad)
    return cv2.perspectiveTransform(unit[None], m)[0]


def _quad(mask, x, y, w, h):
    cols = np.arange(x + w // 8, x + w - w // 8)
    rws = np.arange(y + h // 4, y + h - h // 4)
    if len(cols) < 10 or len(rws) < 6:
        return None
    sub = mask[:, cols]
    top = np.stack([cols, sub.argmax(0)], 1).astype(float)
    bottom = np.stack([cols, mask.shape[0] - 1 - sub[::-1].argmax(0) + 1], 1).astype(float)
    sub = mask[rws]
    left = np.stack([sub.argmax(1), rws], 1).astype(float)
    right = np.stack([mask.shape[1] - 1 - sub[:, ::-1].argmax(1) + 1, rws], 1).astype(float)
    t, b, l, r = _line(top, 1), _line(bottom, 1), _line(left, 0), _line(right, 0)
    if None in (t, b, l, r):
        return None
    if abs(l[0] - r[0]) > 0.12:  # one side followed something else: take the steeper for both
        lean = min(l[0], r[0], key=abs)
        l, r = ((lean, np.median(p[:, 0] - lean * p[:, 1])) for p in (left, right))
    if abs(t[0] - b[0]) > 0.05:
        lean = (t[0] + b[0]) / 2
        t, b = ((lean, np.median(p[:, 1] - lean * p[:, 0])) for p in (top, bottom))

    def cross(hor, ver):
        # y = a x + b and x = c y + d
        yy = (hor[0] * ver[1] + hor[1]) / (1 - hor[0] * ver[0])
        return [ver[0] * yy + ver[1], yy]

    return np.array([cross(t, l), cross(t, r), cross(b, r), cross(b, l)], np.float32)


def prepare(data, out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    entries = []
    for r in rows(data, "toll-lanes"):
        image = read(pathlib.Path(data) / r["file"])
        clean = unmark(image, r["mark"])
        corners = find_corners(clean, r["mark"], r["colour"])
        name = pathlib.Path(r["file"]).stem + ".png"
        cv2.imwrite(str(out / name), clean[..., ::-1])
        entries.append({"file": r["file"], "clean": name, "fold": r["fold"], "mark": r["mark"], "colour": r["colour"],
                        "corners": None if corners is None else corners.tolist()})
    (out / "toll.json").write_text(json.dumps(entries))
    lines = ["file\tplate\tcolour\tmark_x0_y0_x1_y1"]
    for e, r in zip(entries, rows(data, "toll-lanes")):
        lines.append(f"{e['clean']}\t{r['plate']}\t{r['colour']}\t{' '.join(map(str, r['mark']))}")
    (out / "labels.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return entries


def toll(data, prepared):
    """Toll-lane entries with their plate text joined from the label file."""
    texts = {r["file"]: r["plate"] for r in rows(data, "toll-lanes")}
    entries = json.loads((pathlib.Path(prepared) / "toll.json").read_text())
    for e in entries:
        e["plate"] = texts[e["file"]]
        e["corners"] = None if e["corners"] is None else np.array(e["corners"], np.float32)
    return entries


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", required=True)
    ap.add_argument("--out", required=True)
    ap.add_argument("--sheet", help="contact sheet of the rectified plates, to look at")
    args = ap.parse_args()
    entries = prepare(args.data, args.out)
    print(f"{sum(e['corners'] is not None for e in entries)} of {len(entries)} with corners")
    if args.sheet:
        tiles = []
        for e in entries:
            image = read(pathlib.Path(args.out) / e["clean"])
            if e["corners"] is None:
                x0, y0, x1, y1 = e["mark"]
                tile = cv2.resize(image[y0:y1, x0:x1], (spec.WIDTH, spec.HEIGHT)) // 2
            else:
                tile = crops.rectify(image, np.array(e["corners"], np.float32), False)
            tiles.append(cv2.copyMakeBorder(tile, 1, 1, 1, 1, cv2.BORDER_CONSTANT))
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 8)
        cv2.imwrite(args.sheet, np.vstack([np.hstack(tiles[i:i + 8]) for i in range(0, len(tiles), 8)])[..., ::-1])


if __name__ == "__main__":
    main()
