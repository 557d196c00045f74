"""Draws one plate, seen straight on, at 1 px per mm: RGB picture and each character's centre."""

import pathlib

import cv2
import numpy as np

from . import layouts

# Background, text colour per kind (RGB); jittered for every plate.
COLOURS = {
    "blue": ((0, 50, 165), (245, 245, 245)),
    "yellow": ((245, 190, 20), (20, 20, 20)),
    "yellow_two_line": ((245, 190, 20), (20, 20, 20)),
    "learner": ((245, 190, 20), (20, 20, 20)),
    "green_small": ((70, 200, 120), (20, 20, 20)),
    "green_large": ((60, 195, 110), (20, 20, 20)),
    "black_hk": ((18, 18, 20), (245, 245, 245)),
    "black_macao": ((18, 18, 20), (245, 245, 245)),
    "embassy": ((18, 18, 20), (245, 245, 245)),
    "consular": ((18, 18, 20), (245, 245, 245)),
    "police": ((240, 240, 240), (20, 20, 20)),
    "agricultural": ((10, 105, 60), (245, 245, 245)),
    "temporary": ((190, 215, 235), (20, 20, 20)),
}
BLANKS = {
    "blue": "blue_140", "yellow": "yellow_140", "learner": "yellow_140", "green_small": "green_car_140",
    "green_large": "green_truck_140", "yellow_two_line": "yellow_220", "black_hk": "black_140",
    "black_macao": "black_140", "consular": "black_140", "police": "white_140",
}


def load_blanks(folder):
    """Blank plates by kind, resized to 1 px per mm, RGB float."""
    blanks = {}
    for kind, name in BLANKS.items():
        path = pathlib.Path(folder) / f"{name}.PNG"
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
        w, h = layouts.size(kind)
        image = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
        blanks[kind] = image[..., 2::-1].astype(np.float32)
    return blanks


def _jitter(colour, rng, amount):
    return np.clip(np.array(colour) + rng.normal(0, amount, 3), 0, 255).astype(np.float32)


def _background(kind, rng):
    """Bare plate with the kind's colour, gradients included."""
    w, h = layouts.size(kind)
    base = _jitter(COLOURS[kind][0], rng, 14)
    if kind == "blue":
        base = np.array([rng.uniform(0, 60), rng.uniform(20, 150), rng.uniform(110, 255)], np.float32)
    elif kind in ("yellow", "yellow_two_line", "learner"):
        base = np.array([rng.uniform(205, 255), rng.uniform(150, 225), rng.uniform(0, 130)], np.float32)
    canvas = np.empty((h, w, 3), np.float32)
    canvas[:] = base
    if kind == "green_small":
        t = np.linspace(0, 1, h, dtype=np.float32)[:, None, None] ** rng.uniform(0.7, 1.6)
        canvas = canvas * t + _jitter((235, 250, 240), rng, 8) * (1 - t) + np.zeros((h, w, 1), np.float32)
    elif kind == "temporary":  # fine wavy print
        yy, xx = np.mgrid[:h, :w].astype(np.float32)
        wave = np.sin((yy + 5 * np.sin(xx / rng.uniform(6, 20))) * rng.uniform(0.4, 1.2))
        canvas += wave[..., None] * rng.uniform(2, 14)
    elif kind == "green_large":
        canvas[:, : int(w * rng.uniform(0.27, 0.34))] = _jitter((240, 180, 20), rng, 15)
    return canvas


def _marks(canvas, kind, text, ink, rng):
    """Border line, dot and bolt holes."""
    h, w = canvas.shape[:2]
    colour = tuple(float(v) for v in ink)
    if rng.random() < 0.9:
        inset, thick = int(rng.integers(2, 8)), int(rng.integers(2, 5))
        cv2.rectangle(canvas, (inset, inset), (w - 1 - inset, h - 1 - inset), colour, thick, cv2.LINE_AA)
    point = layouts.dot(kind, text)
    if point and rng.random() < 0.93:
        if kind.startswith("green"):
            cv2.circle(canvas, (int(point[0]), int(point[1])), 14, (60, 110, 90), 3, cv2.LINE_AA)
            cv2.line(canvas, (int(point[0]), 62), (int(point[0]) + 10, 62), (30, 90, 200), 4)
        else:
            cv2.circle(canvas, (round(point[0]), round(point[1])), 5, colour, -1, cv2.LINE_AA)


def bolts(canvas, rng):
    """Bolts or caps in the four slots; they may touch characters."""
    h, w = canvas.shape[:2]
    for x in (0.25, 0.75):
        for y in (0.085, 0.915):
            if rng.random() < 0.75:
                tone = float(rng.choice([30, 70, 120, 180, 230])) + rng.normal(0, 12)
                centre = (int(w * (x + rng.normal(0, 0.008))), int(h * (y + rng.normal(0, 0.015))))
                if rng.random() < 0.3:
                    cv2.ellipse(canvas, centre, (11, 5), 0, 0, 360, (tone,) * 3, -1, cv2.LINE_AA)
                cv2.circle(canvas, centre, int(rng.integers(4, 9)), (tone + rng.normal(0, 25),) * 3, -1, cv2.LINE_AA)


def plate(kind, glyphs, blanks, rng, text=None):
    """Draws a plate. Returns (text, RGB float32 picture, character centres in px [n, 2])."""
    text = text or layouts.sample(kind, rng)
    ink = _jitter(COLOURS[kind][1], rng, 12)
    font = int(rng.integers(0, len(glyphs.fonts))) if rng.random() < 0.25 else -1
    if kind in blanks and rng.random() < 0.3:
        canvas = blanks[kind].copy()
        if rng.random() < 0.6:
            canvas = np.clip(canvas * rng.uniform(0.7, 1.25, 3).astype(np.float32) + rng.normal(0, 12, 3).astype(np.float32), 0, 255)
        canvas = np.ascontiguousarray(canvas, np.float32)
    else:
        canvas = np.ascontiguousarray(_background(kind, rng), np.float32)
        _marks(canvas, kind, text, ink, rng)
    h, w = canvas.shape[:2]
    alpha = np.zeros((h, w), np.uint8)
    red = np.zeros((h, w), np.uint8) if kind == "police" else None
    stroke = rng.choice([-2, -1, 0, 0, 0, 1, 2], p=[0.05, 0.1, 0.2, 0.2, 0.2, 0.15, 0.1])
    centres = []
    for slot in layouts.place(kind, text):
        mask = glyphs.cell(slot.style, slot.char, round(slot.w), round(slot.h), font)
        x, y = round(slot.x), round(slot.y)
        target = red if slot.role == "red" else alpha
        view = target[y:y + mask.shape[0], x:x + mask.shape[1]]
        np.maximum(view, mask[: view.shape[0], : view.shape[1]], out=view)
        centres.append((slot.x + slot.w / 2, slot.y + slot.h / 2))
    if stroke:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (abs(int(stroke)) + 1,) * 2)
        alpha = cv2.dilate(alpha, kernel) if stroke > 0 else cv2.erode(alpha, kernel)
    ink_alpha = alpha.astype(np.float32) / 255
    if rng.random() < 0.25:  # worn paint
        worn = cv2.resize(rng.random((rng.integers(4, 12), rng.integers(8, 30)), np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
        ink_alpha *= np.clip((worn - rng.uniform(0.0, 0.25)) * 4, rng.uniform(0.1, 0.6), 1)
    a = ink_alpha[..., None]
    canvas = canvas * (1 - a) + ink * a
    if red is not None:
        a = (red.astype(np.float32) / 255)[..., None]
        canvas = canvas * (1 - a) + np.array([205, 30, 35], np.float32) * a
    if rng.random() < 0.3:  # embossed edges: light above, shade below each stroke
        edge = cv2.Sobel(alpha, cv2.CV_32F, 0, 1, ksize=3) * (rng.uniform(0.02, 0.09) * (1 if rng.random() < 0.5 else -1))
        canvas += edge[..., None]
    canvas = np.ascontiguousarray(canvas, np.float32)
    bolts(canvas, rng)
    return text, np.clip(canvas, 0, 255), np.array(centres, np.float32)
