"""Recogniser samples: a plate as a camera sees it, rectified by imperfect corners."""

import cv2
import numpy as np

import spec
from . import degrade, layouts, render

# Size of the plate's quadrilateral in what the one-line region shows of it.
ONE_LINE_INNER = np.array([1 / (spec.ONE_LINE["x"][1] - spec.ONE_LINE["x"][0]),
                           1 / (spec.ONE_LINE["y"][1] - spec.ONE_LINE["y"][0])], np.float32)
UNIT = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)


def rectify(image, corners, two_line, flags=cv2.INTER_LINEAR):
    """Fills the recogniser's input from the regions of the quadrilateral `corners` [4, 2]."""
    out = np.empty((spec.HEIGHT, spec.WIDTH, 3), np.uint8)
    for region in spec.regions(two_line):
        h = to_input(corners, region)
        out[:, region["left"]:region["left"] + region["width"]] = cv2.warpPerspective(
            image, h, (region["width"], spec.HEIGHT), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return out


def to_input(corners, region):
    """Homography from picture pixels to the region's own pixels."""
    h = cv2.getPerspectiveTransform(np.asarray(corners, np.float32), UNIT)
    (x0, x1), (y0, y1) = region["x"], region["y"]
    sx, sy = region["width"] / (x1 - x0), spec.HEIGHT / (y1 - y0)
    # Pixel i covers [i, i+1): its centre is at i + 0.5.
    fit = np.array([[sx, 0, -x0 * sx - 0.5], [0, sy, -y0 * sy - 0.5], [0, 0, 1]])
    return fit @ h


def centres_in_input(points, corners, two_line, top):
    """x of character centres in the recogniser's input; the first `top` stand in the upper line."""
    xs = []
    for i, p in enumerate(points):
        region = spec.regions(two_line)[0 if not two_line or i < top else 1]
        q = to_input(corners, region) @ np.array([p[0], p[1], 1.0])
        xs.append(q[0] / q[2] + 0.5 + region["left"])
    return np.array(xs, np.float32)


def top_count(kind, text):
    """Characters in the upper line."""
    return {"yellow_two_line": 2, "agricultural": 3}.get(kind, len(text))


def jitter(corners, rng, amount=1.0):
    """The detector's error: shift, scale, turn of the whole and an error of each corner."""
    corners = np.asarray(corners, np.float32)
    right, down = corners[1] - corners[0], corners[3] - corners[0]
    side = np.stack([right / np.linalg.norm(right), down / np.linalg.norm(down)])
    height = np.linalg.norm(down)
    width = np.linalg.norm(right)
    s = amount * (1.0 if rng.random() < 0.8 else 2.0)
    own = rng.normal(0, 1, (4, 2)) * np.array([0.010 * width, 0.028 * height]) * s
    shift = rng.normal(0, 1, 2) * np.array([0.012 * width, 0.03 * height]) * s
    centre = corners.mean(0)
    scale = np.exp(rng.normal([0.01, 0.03], [0.02, 0.05]) * s)
    local = (corners - centre) @ np.linalg.inv(side)
    local = local * scale + own + shift
    return (centre + local @ side).astype(np.float32)


def upright(corners, rng):
    """A cut by an upright box that may be too tight: what others' detectors hand over."""
    lo, hi = corners.min(0), corners.max(0)
    height = np.linalg.norm(corners[3] - corners[0])
    slack = max(0.0, hi[1] - lo[1] - height)  # what slant adds to the box
    cut = slack * rng.uniform(0, 0.6) / 2
    box = np.array([[lo[0], lo[1] + cut], [hi[0], lo[1] + cut], [hi[0], hi[1] - cut], [lo[0], hi[1] - cut]])
    return jitter(box, rng, 0.6)


def surroundings(h, w, rng):
    """What is around a plate: bumper, frame, shade."""
    base = rng.uniform(0, 255) if rng.random() < 0.6 else rng.uniform(0, 60)
    canvas = np.empty((h, w, 3), np.float32)
    canvas[:] = (base + rng.normal(0, 14, 3)).astype(np.float32)
    if rng.random() < 0.6:
        canvas *= (0.5 + degrade.noise_field(h, w, rng, 5))[..., None]
    for _ in range(int(rng.integers(0, 5))):
        tone = tuple(float(v) for v in np.clip(rng.uniform(0, 255) + rng.normal(0, 20, 3), 0, 255))
        y = int(rng.uniform(0, h))
        if rng.random() < 0.7:
            cv2.line(canvas, (0, y), (w, int(y + rng.normal(0, 4))), tone, int(rng.integers(1, 8)), cv2.LINE_AA)
        else:
            x = int(rng.uniform(0, w))
            cv2.line(canvas, (x, 0), (int(x + rng.normal(0, 4)), h), tone, int(rng.integers(1, 5)), cv2.LINE_AA)
    return canvas


def view(width, height, rng, hard=1.0):
    """Corners of a plate `width` px wide seen at an angle, in a picture just large enough."""
    q = UNIT * np.array([width, height], np.float32)
    q = q - q.mean(0)
    yaw, pitch, roll = rng.normal(0, [0.30, 0.18, 0.08]) * hard
    k = rng.uniform(0.1, 0.7) / width  # perspective strength
    x, y = q[:, 0], q[:, 1]
    z = x * np.sin(yaw) + y * np.sin(pitch)
    x, y = x * np.cos(yaw), y * np.cos(pitch)
    d = 1 + z * k
    x, y = x / d, y / d
    c, s = np.cos(roll), np.sin(roll)
    x, y = x * c - y * s, x * s + y * c
    x = x + y * rng.normal(0, 0.08) * hard  # shear
    y = y + x * rng.normal(0, 0.05) * hard
    q = np.stack([x, y], 1).astype(np.float32)
    margin = np.array([0.18 * width, 0.35 * height], np.float32)
    size = q.max(0) - q.min(0) + 2 * margin
    return q - q.min(0) + margin, (int(size[0]) + 1, int(size[1]) + 1)


def camera(plate_image, rng, normal=False):
    """A plate put into a small camera picture. Returns (uint8 RGB, corners)."""
    ph, pw = plate_image.shape[:2]
    width = float(np.exp(rng.uniform(np.log(100 if normal else 60), np.log(280))))
    corners, (w, h) = view(width, width * ph / pw * rng.uniform(0.9, 1.1), rng, 0.6 if normal else 1.0)
    if width < pw * 0.75:
        plate_image = cv2.resize(plate_image, (max(8, int(width)), max(4, int(width * ph / pw))), interpolation=cv2.INTER_AREA)
    ph, pw = plate_image.shape[:2]
    m = cv2.getPerspectiveTransform(UNIT * np.array([pw, ph], np.float32) - 0.5, corners - 0.5)
    scene = surroundings(h, w, rng)
    alpha = cv2.warpPerspective(np.ones((ph, pw), np.float32), m, (w, h))[..., None]
    if rng.random() < 0.2:  # a frame around the plate
        ring = cv2.dilate(alpha, np.ones((3, 3)), iterations=int(rng.integers(1, 4)))
        ring = ring.reshape(h, w, 1)
        scene = scene * (1 - ring) + np.float32(rng.choice([20, 60, 160, 220])) * ring
    image = scene * (1 - alpha) + cv2.warpPerspective(plate_image, m, (w, h)) * alpha
    if normal:
        return degrade.ordinary(image, rng), corners
    image = degrade.light(image, rng)
    image = degrade.blur(image, rng, min(1.0, width / 130))
    image = degrade.tone(image, rng)
    return degrade.sensor(image, rng), corners


def draw(glyphs, blanks, rng, kind=None, often=layouts.WEIGHTS):
    """A plate, seen straight on, of any kind: (kind, text, RGB picture, character centres)."""
    kinds = list(often)
    weights = np.array([often[k] for k in kinds], float)
    kind = kind or str(rng.choice(kinds, p=weights / weights.sum()))
    return kind, *render.plate(kind, glyphs, blanks, rng)


def picture(glyphs, blanks, rng, kind, normal):
    """A plate cut out by corners as good as the detector's, as a file would hold it, for measuring:
    (text, uint8 RGB). `normal`: ordinary light and angles, else all the training's hardships."""
    _, text, image, _ = draw(glyphs, blanks, rng, kind)
    if not normal:
        image = worn(image, rng)
    seen, corners = camera(np.ascontiguousarray(image, np.float32), rng, normal)
    corners = jitter(corners, rng, 0.7)
    w, h = layouts.size(kind)
    width = min(240.0, 108 * w / h, np.linalg.norm(corners[1] - corners[0]))
    size = (round(width), round(width * h / w))
    m = cv2.getPerspectiveTransform(corners.astype(np.float32) - 0.5, UNIT * np.array(size, np.float32) - 0.5)
    return text, cv2.warpPerspective(seen, m, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def samples(glyphs, blanks, rng, kind=None, views=3, often=layouts.WEIGHTS):
    """Views of one plate: (uint8 [48,168,3], labels [8], centres [8], kind) each."""
    kind, text, image, points = draw(glyphs, blanks, rng, kind, often)
    return [_view(kind, text, image, points, rng) for _ in range(views)]


def worn(image, rng):
    """Dirt on one plate in five, something in front of one in twenty."""
    if rng.random() < 0.2:
        image = degrade.dirt(image, rng)
    if rng.random() < 0.05:
        image = degrade.cover(image, rng)
    return image


def _view(kind, text, image, points, rng):
    image = worn(image, rng)
    size = np.array(layouts.size(kind), np.float32)
    picture, corners = camera(np.ascontiguousarray(image, np.float32), rng)
    to_picture = cv2.getPerspectiveTransform(UNIT * size, corners)
    points = cv2.perspectiveTransform(points[None], to_picture)[0]
    two = kind in spec.TWO_LINE_KINDS
    seen = jitter(corners, rng)
    if not two and rng.random() < 0.15:  # a crop by an upright box, not rectified
        seen = upright(corners, rng)
    out = rectify(picture, seen, two, cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC)
    xs = centres_in_input(points, seen, two, top_count(kind, text))
    labels = np.zeros(spec.MAX_CHARS, np.int64)
    centres = np.full(spec.MAX_CHARS, -100, np.float32)
    labels[: len(text)] = [spec.INDEX[c] for c in text]
    centres[: len(text)] = xs
    return out, labels, centres, spec.KIND[kind]
