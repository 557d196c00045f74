"""Detector scenes: vehicles, boards and lamps before made-up or real backgrounds, with plates."""

import cv2
import numpy as np
from PIL import Image, ImageDraw

import spec
from . import crops, degrade, layouts, render

W, H = spec.DET_WIDTH, spec.DET_HEIGHT
WORDS = ["禁止入内", "减速慢行", "收费站", "港区专用", "中国石油", "货物运输", "有限公司", "顺丰速运", "自卸", "限速五",
         "JAC", "HOWO", "FAW", "ISUZU", "VOLVO", "SCANIA", "COSCO", "MSC", "400-820-8820", "13805110022",
         "TEU 40FT", "STOP", "05:21:33", "2019-04-11", "L-35", "危险品", "东风", "解放", "重汽", "空车", "1号车道", "ETC"]


def _grey(rng, low=0, high=255, spread=14):
    """A colour near grey, or now and then any colour."""
    if rng.random() < 0.6:
        v = rng.uniform(low, high) + rng.normal(0, spread, 3)
    else:
        v = rng.uniform(low, high, 3)
    return tuple(float(x) for x in np.clip(v, 0, 255))


def paint(rng):
    """A vehicle's body colour: white, black, silver, red, blue, yellow, green ..."""
    table = [(235, 235, 235), (20, 20, 22), (150, 152, 155), (170, 25, 30), (25, 70, 160), (215, 170, 30),
             (30, 110, 70), (90, 92, 95), (200, 90, 30), (60, 150, 200)]
    return tuple(float(x) for x in np.clip(np.array(table[rng.integers(len(table))]) + rng.normal(0, 18, 3), 0, 255))


def texture(rng):
    """A made-up background."""
    canvas = np.empty((H, W, 3), np.float32)
    top, bottom = np.array(_grey(rng), np.float32), np.array(_grey(rng), np.float32)
    t = np.linspace(0, 1, H, dtype=np.float32)[:, None, None]
    canvas[:] = top * (1 - t) + bottom * t
    horizon = int(rng.uniform(0.2, 0.7) * H)
    canvas[horizon:] = np.array(_grey(rng, 20, 170), np.float32)
    for _ in range(int(rng.integers(2, 14))):
        x, y = int(rng.uniform(-40, W)), int(rng.uniform(-40, H))
        w, h = int(rng.uniform(8, 220)), int(rng.uniform(6, 160))
        if rng.random() < 0.7:
            cv2.rectangle(canvas, (x, y), (x + w, y + h), _grey(rng), -1)
        else:
            cv2.ellipse(canvas, (x, y), (w // 2, h // 2), rng.uniform(0, 180), 0, 360, _grey(rng), -1)
    for _ in range(int(rng.integers(0, 8))):
        a = (int(rng.uniform(0, W)), int(rng.uniform(0, H)))
        b = (int(rng.uniform(0, W)), int(rng.uniform(0, H)))
        cv2.line(canvas, a, b, _grey(rng), int(rng.integers(1, 9)), cv2.LINE_AA)
    canvas *= (0.6 + 0.7 * degrade.noise_field(H, W, rng, 8))[..., None]
    if rng.random() < 0.6:
        coarse = rng.standard_normal((H // 2, W // 2), np.float32) * rng.uniform(2, 22)
        canvas += cv2.resize(coarse, (W, H))[..., None]
    return canvas


def bars(canvas, x, y, w, h, rng):
    """A grille, corrugation or louvre."""
    base = _grey(rng, 0, 120)
    cv2.rectangle(canvas, (x, y), (x + w, y + h), base, -1)
    step, tone = int(rng.integers(3, 14)), _grey(rng, 40, 255)
    thick = max(1, step // int(rng.integers(2, 4)))
    if rng.random() < 0.5:
        for i in range(y, y + h, step):
            cv2.line(canvas, (x, i), (x + w, i), tone, thick)
    else:
        for i in range(x, x + w, step):
            cv2.line(canvas, (i, y), (i, y + h), tone, thick)


def vehicle(canvas, rng, x, y, w, h):
    """Front or rear of a truck or car in the box; returns where a plate would hang (cx, cy)."""
    body = paint(rng)
    dark = tuple(c * 0.45 for c in body)
    cv2.rectangle(canvas, (x, y), (x + w, y + h), body, -1)
    front = rng.random() < 0.55
    if front:
        gx, gw = x + int(w * 0.08), int(w * 0.84)
        glass_h = int(h * rng.uniform(0.25, 0.42))
        cv2.rectangle(canvas, (gx, y + int(h * 0.06)), (gx + gw, y + int(h * 0.06) + glass_h), _grey(rng, 5, 90), -1)
        cv2.line(canvas, (gx, y + glass_h), (gx + gw // 3, y + int(h * 0.08)), _grey(rng, 120, 250), int(rng.integers(1, 10)))
        bars(canvas, x + int(w * rng.uniform(0.15, 0.3)), y + int(h * 0.52), int(w * rng.uniform(0.35, 0.6)), int(h * 0.16), rng)
        if rng.random() < 0.7:  # badge
            cv2.circle(canvas, (x + w // 2, y + int(h * 0.57)), max(2, int(w * 0.05)), _grey(rng, 120, 255), int(rng.integers(1, 4)))
        lamp = _grey(rng, 150, 255)
        for side in (0.1, 0.9):
            c = (x + int(w * side), y + int(h * 0.68))
            cv2.ellipse(canvas, c, (max(2, int(w * 0.09)), max(2, int(h * 0.055))), 0, 0, 360, lamp, -1)
            cv2.ellipse(canvas, c, (max(1, int(w * 0.04)), max(1, int(h * 0.03))), 0, 0, 360, _grey(rng, 60, 255), -1)
        cv2.rectangle(canvas, (x, y + int(h * 0.74)), (x + w, y + int(h * 0.95)), dark if rng.random() < 0.6 else _grey(rng), -1)
        bars(canvas, x + int(w * 0.2), y + int(h * 0.88), int(w * 0.6), int(h * 0.06), rng)
    else:
        if rng.random() < 0.6:
            bars(canvas, x, y, w, int(h * 0.75), rng)
        else:
            cv2.line(canvas, (x + w // 2, y), (x + w // 2, y + int(h * 0.75)), dark, 3)
            for f in (0.2, 0.35, 0.65, 0.8):
                cv2.line(canvas, (x + int(w * f), y), (x + int(w * f), y + int(h * 0.75)), _grey(rng, 90, 230), 3)
        cv2.rectangle(canvas, (x, y + int(h * 0.75)), (x + w, y + h), _grey(rng, 0, 110), -1)
        for side in (0.03, 0.82):
            cv2.rectangle(canvas, (x + int(w * side), y + int(h * 0.8)), (x + int(w * (side + 0.15)), y + int(h * 0.9)),
                          (rng.uniform(120, 255), rng.uniform(0, 60), rng.uniform(0, 60)), -1)
        if rng.random() < 0.6:  # red and white reflecting tape
            n, ty, th = int(rng.integers(6, 16)), y + int(h * rng.uniform(0.7, 0.97)), max(2, int(h * 0.025))
            for i in range(n):
                tone = (200.0, 30.0, 30.0) if i % 2 else (235.0, 235.0, 235.0)
                cv2.rectangle(canvas, (x + w * i // n, ty), (x + w * (i + 1) // n, ty + th), tone, -1)
    return x + w * rng.uniform(0.3, 0.7) if rng.random() < 0.4 else x + w * 0.5, y + h * rng.uniform(0.78, 0.92)


class Words:
    """Boards, stickers and painted texts, which are no plates."""

    def __init__(self, glyphs):
        self.masks = []
        for font in glyphs.fonts:
            for word in WORDS:
                box = font.getbbox(word)
                image = Image.new("L", (box[2] + 20, box[3] + 20), 0)
                ImageDraw.Draw(image).text((10, 0), word, font=font, fill=255)
                ink = np.asarray(image)
                ys, xs = np.where(ink > 60)
                ink = ink[max(0, ys.min() - 12):ys.max() + 13, max(0, xs.min() - 12):xs.max() + 13]
                self.masks.append(cv2.resize(ink, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))

    def put(self, canvas, glyphs, rng):
        if rng.random() < 0.25:  # a painted serial without a plate
            text = rng.choice(list(layouts.ALNUM), int(rng.integers(2, 9)))
            mask = np.hstack([glyphs.cell("140", str(c), 45, 90) for c in text])
            mask = cv2.copyMakeBorder(mask, 8, 8, 8, 8, cv2.BORDER_CONSTANT)
            board = False
        else:
            mask = self.masks[rng.integers(len(self.masks))]
            board = rng.random() < 0.55
        h = float(np.exp(rng.uniform(np.log(7), np.log(60))))
        w = min(h * mask.shape[1] / mask.shape[0] * rng.uniform(0.7, 1.2), W * 0.8)
        mask = cv2.resize(mask, (max(4, int(w)), max(4, int(h))), interpolation=cv2.INTER_AREA)
        x, y = int(rng.uniform(0, max(1, W - w))), int(rng.uniform(0, max(1, H - h)))
        roi = canvas[y:y + mask.shape[0], x:x + mask.shape[1]]
        a = (mask[: roi.shape[0], : roi.shape[1]].astype(np.float32) / 255)[..., None]
        ground = roi.copy()
        if board:
            ground[:] = np.array(_grey(rng) if rng.random() < 0.6 else render._jitter(
                render.COLOURS[str(rng.choice(list(render.COLOURS)))][0], rng, 20), np.float32)
        roi[:] = ground * (1 - a) + np.array(_grey(rng), np.float32) * a


def warp_in(canvas, plate_image, corners, rng):
    """Pastes a plate by its corners into the canvas, softly."""
    lo = np.floor(corners.min(0)).astype(int) - 3
    hi = np.ceil(corners.max(0)).astype(int) + 4
    lo, hi = np.maximum(lo, 0), np.minimum(hi, [W, H])
    if (hi - lo).min() < 2:
        return
    width = np.linalg.norm(corners[1] - corners[0])
    ph, pw = plate_image.shape[:2]
    factor = width / pw
    if factor < 0.8:
        plate_image = cv2.resize(plate_image, (max(8, int(pw * factor)), max(4, int(ph * factor))), interpolation=cv2.INTER_AREA)
    ph, pw = plate_image.shape[:2]
    m = cv2.getPerspectiveTransform(crops.UNIT * np.array([pw, ph], np.float32) - 0.5, (corners - lo - 0.5).astype(np.float32))
    size = tuple(int(v) for v in hi - lo)
    alpha = cv2.warpPerspective(np.ones((ph, pw), np.float32), m, size)[..., None]
    roi = canvas[lo[1]:hi[1], lo[0]:hi[0]]
    r = rng.random()
    if r < 0.35:  # holder or shadow around it
        ring = cv2.dilate(alpha, np.ones((3, 3)), iterations=max(1, int(width * rng.uniform(0.01, 0.05)))).reshape(alpha.shape)
        roi[:] = roi * (1 - ring) + np.array(_grey(rng, 0, 90 if r < 0.25 else 255), np.float32) * ring
    roi[:] = roi * (1 - alpha) + cv2.warpPerspective(plate_image, m, size) * alpha


class Scenes:
    """Makes scenes; `photos` are real pictures free of plates: (RGB uint8, quads of former plates)."""

    def __init__(self, glyphs, blanks, photos):
        self.glyphs, self.blanks, self.photos = glyphs, blanks, photos
        self.words = Words(glyphs)
        self.kinds = list(layouts.WEIGHTS)
        weights = np.array([layouts.WEIGHTS[k] for k in self.kinds], float)
        self.weights = weights / weights.sum()

    def plate(self, rng, width, centre):
        kind = str(rng.choice(self.kinds, p=self.weights))
        _, image, _ = render.plate(kind, self.glyphs, self.blanks, rng)
        if rng.random() < 0.2:
            image = degrade.dirt(image, rng)
        if rng.random() < 0.35:
            image = image * rng.uniform(0.35, 1.1)
        pw, ph = layouts.size(kind)
        hard = 1.0 if rng.random() < 0.8 else 2.2
        quad, _ = crops.view(width, width * ph / pw, rng, hard)
        quad = quad - quad.mean(0) + np.asarray(centre, np.float32)
        return np.ascontiguousarray(image, np.float32), quad, int(kind in spec.TWO_LINE_KINDS)

    def photo(self, rng):
        """A piece of a real picture at a random scale, and the quads in it."""
        image, quads = self.photos[rng.integers(len(self.photos))]
        h, w = image.shape[:2]
        fit = min(W / w, H / h)
        scale = fit * float(np.exp(rng.uniform(np.log(0.9), np.log(2.2))))
        angle = rng.normal(0, 4)
        flip = rng.random() < 0.5
        c, s = np.cos(np.radians(angle)) * scale, np.sin(np.radians(angle)) * scale
        m = np.array([[c, -s, 0], [s, c, 0]])
        at = np.array([w * rng.uniform(0.3, 0.7), h * rng.uniform(0.35, 0.75)])
        if len(quads) and rng.random() < 0.7:
            at = quads[0].mean(0) + rng.normal(0, 40, 2) / scale
        m[:, 2] = np.array([W / 2, H / 2]) - m[:, :2] @ at
        out = cv2.warpAffine(image, m, (W, H), flags=cv2.INTER_AREA if scale < 0.7 else cv2.INTER_LINEAR,
                             borderMode=cv2.BORDER_CONSTANT, borderValue=(114, 114, 114)).astype(np.float32)
        quads = [q @ m[:, :2].T + m[:, 2] for q in quads]
        if flip:
            out = np.ascontiguousarray(out[:, ::-1])
            quads = [(np.array([W, 0]) + q * [-1, 1])[[1, 0, 3, 2]] for q in quads]
        return out, [q.astype(np.float32) for q in quads]

    def scene(self, rng):
        """(uint8 RGB [384,512,3], corners [n,4,2], layout [n]: 0 one line, 1 two lines, 2 ignore)."""
        spots = []
        if self.photos and rng.random() < 0.55:
            canvas, quads = self.photo(rng)
            for q in quads:
                spots.append((float(np.linalg.norm(q[1] - q[0])) * rng.uniform(0.8, 1.4), q.mean(0)))
        else:
            canvas = texture(rng)
        if not spots or rng.random() < 0.25:
            for _ in range(int(rng.integers(0, 3))):
                w = float(np.exp(rng.uniform(np.log(90), np.log(560))))
                h = min(w * rng.uniform(0.7, 1.5), 1.9 * H)
                x, y = rng.uniform(-0.2 * w, max(0.0, W - 0.7 * w)), rng.uniform(min(-0.3 * h, H - 0.85 * h), max(-0.3 * h, H - 0.85 * h))
                at = vehicle(canvas, rng, int(x), int(y), int(w), int(h))
                spots.append((w * rng.uniform(0.16, 0.34), at))
        for _ in range(int(rng.choice([0, 1, 2, 4, 8], p=[0.2, 0.25, 0.25, 0.2, 0.1]))):
            self.words.put(canvas, self.glyphs, rng)
        if rng.random() < 0.25:
            spots.append((float(np.exp(rng.uniform(np.log(26), np.log(380)))), (rng.uniform(30, W - 30), rng.uniform(20, H - 20))))
        if rng.random() < 0.12:
            spots = []
        corners, layout = [], []
        for width, centre in spots:
            width = float(np.clip(width, 22, 420))
            image, quad, two = self.plate(rng, width, centre)
            if any(self._near(quad, q) for q in corners):
                continue
            warp_in(canvas, image, quad, rng)
            inside = np.clip(quad, 0, [W, H]).astype(np.float32)
            seen = cv2.contourArea(inside) / max(1.0, cv2.contourArea(quad))
            if seen < 0.15:
                continue
            corners.append(quad)
            layout.append(two if seen > 0.93 else 2)
        for _ in range(int(rng.choice([0, 1], p=[0.85, 0.15]))):  # red boxes mean nothing
            x, y = int(rng.uniform(0, W)), int(rng.uniform(0, H))
            cv2.rectangle(canvas, (x, y), (x + int(rng.uniform(20, 160)), y + int(rng.uniform(15, 90))), (255.0, 0.0, 0.0), int(rng.integers(1, 3)))
        if rng.random() < 0.5:
            canvas = degrade.light(canvas, rng)
        if rng.random() < 0.6:
            canvas = degrade.blur(canvas, rng, 0.6)
        if rng.random() < 0.6:
            canvas = degrade.tone(canvas, rng)
        return degrade.sensor(canvas, rng), np.array(corners, np.float32).reshape(-1, 4, 2), np.array(layout, np.int64)

    @staticmethod
    def _near(a, b):
        reach = (np.ptp(a, 0) + np.ptp(b, 0)) / 2 + 4
        return bool((np.abs(a.mean(0) - b.mean(0)) < reach).all())
