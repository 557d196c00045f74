"""What cameras, weather and dirt do to a plate. Pictures are RGB float32 0..255."""

import cv2
import numpy as np


def noise_field(h, w, rng, cells=6):
    """Smooth random field 0..1."""
    coarse = rng.random((int(rng.integers(2, cells + 1)), int(rng.integers(2, 2 * cells))), np.float32)
    return np.clip(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC), 0, 1)


def dirt(image, rng):
    """Mud, dust and splashes on the plate itself."""
    h, w = image.shape[:2]
    field = noise_field(h, w, rng, 10)
    amount = np.clip((field - rng.uniform(0.5, 0.85)) * rng.uniform(1.5, 6), 0, rng.uniform(0.3, 0.85))
    colour = np.array([110, 95, 75], np.float32) * rng.uniform(0.4, 1.7) + rng.normal(0, 10, 3)
    return image * (1 - amount[..., None]) + np.clip(colour, 0, 255).astype(np.float32) * amount[..., None]


def cover(image, rng):
    """Something partly in front: a bar, a rope, a leaf, a shadow's edge."""
    h, w = image.shape[:2]
    tone = tuple(float(v) for v in rng.uniform(0, 255, 3))
    a = (int(rng.uniform(0, w)), int(rng.uniform(-0.2, 1.2) * h))
    b = (int(a[0] + rng.normal(0, 0.4) * w), int(rng.uniform(-0.2, 1.2) * h))
    out = image.copy()
    cv2.line(out, a, b, tone, int(max(1, h * rng.uniform(0.01, 0.06))), cv2.LINE_AA)
    return out


def light(image, rng):
    """Shade, gradient, glare and shadow edges."""
    h, w = image.shape[:2]
    r = rng.random()
    if r < 0.35:
        field = noise_field(h, w, rng, 3)
        image = image * (rng.uniform(0.4, 0.9) + rng.uniform(0.2, 0.8) * field)[..., None]
    elif r < 0.5:  # a hard shadow's edge
        t = np.linspace(-1, 1, w, dtype=np.float32)[None] * rng.normal(0, 1) + \
            np.linspace(-1, 1, h, dtype=np.float32)[:, None] * rng.normal(0, 1) + rng.normal(0, 0.6)
        image = image * np.where(t > 0, 1.0, rng.uniform(0.35, 0.8))[..., None].astype(np.float32)
    elif r < 0.65:  # glare
        cx, cy = rng.uniform(0, w), rng.uniform(0, h)
        s = rng.uniform(0.08, 0.4) * w
        yy, xx = np.ogrid[:h, :w]
        spot = np.exp(-((xx - cx) ** 2 + (yy - cy) ** 2) / (2 * s * s)).astype(np.float32)
        image = image + (spot * rng.uniform(40, 200))[..., None]
    return image


def tone(image, rng):
    """Exposure, contrast, colour casts, night infrared."""
    r = rng.random()
    if r < 0.10:  # infrared: grey, the plate's colour by its reflectance only
        weights = rng.dirichlet([1.5, 1.5, 1.5]).astype(np.float32)
        grey = image @ weights
        if rng.random() < 0.15:
            grey = 255 - grey
        image = np.repeat(grey[..., None], 3, 2)
        image = image * (1 + rng.normal(0, 0.03, 3).astype(np.float32))
    elif r < 0.55:
        image = image * np.exp(rng.normal(0, 0.16, 3)).astype(np.float32) + rng.normal(0, 10, 3).astype(np.float32)
    elif r < 0.70:  # strong casts: sodium lamps, pink whites, green nights
        image = image * rng.uniform(0.45, 1.25, 3).astype(np.float32) + rng.uniform(-10, 40, 3).astype(np.float32)
    elif r < 0.75:  # faded to grey
        grey = image.mean(2, keepdims=True)
        image = grey + (image - grey) * rng.uniform(0.2, 0.7)
    mean = float(image.mean())
    contrast = float(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.15:
        contrast *= rng.uniform(0.3, 0.7)
    gain = float(np.exp(rng.normal(0, 0.25))) if rng.random() < 0.9 else rng.uniform(0.2, 0.5)
    image = ((image - mean) * contrast + mean) * gain + rng.normal(0, 8)
    if rng.random() < 0.25:
        image = 255 * (np.clip(image, 0, 255) / 255) ** float(np.exp(rng.normal(0, 0.3)))
    spread = float(image.std())
    if spread < 9:  # black in black teaches nothing
        mean = float(image.mean())
        image = (image - mean) * (rng.uniform(9, 30) / (spread + 1e-3)) + max(mean, 10.0)
    return image


def blur(image, rng, strength=1.0):
    """Out of focus or moving, in camera pixels."""
    r = rng.random()
    if r < 0.4:
        sigma = abs(rng.normal(0, 1.0)) * strength
        if sigma > 0.25:
            image = cv2.GaussianBlur(image, (0, 0), sigma)
    elif r < 0.6:
        n = int(rng.integers(2, 3 + round(6 * strength)))
        kernel = np.zeros((n, n), np.float32)
        angle = rng.uniform(0, np.pi)
        c = (n - 1) / 2
        d = np.array([np.cos(angle), np.sin(angle)]) * c
        cv2.line(kernel, tuple(np.round(c - d).astype(int).tolist()), tuple(np.round(c + d).astype(int).tolist()), 1.0, 1)
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    if rng.random() < 0.15:  # the camera's own sharpening
        image = image + (image - cv2.GaussianBlur(image, (0, 0), 1.2)) * rng.uniform(0.3, 1.5)
    return image


def sensor(image, rng):
    """Noise and JPEG; returns uint8."""
    if rng.random() < 0.5:
        sigma = abs(rng.normal(0, 7))
        image = image + rng.standard_normal(image.shape, np.float32) * sigma
    image = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.55:
        quality = int(rng.integers(22, 95))
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return image


def ordinary(image, rng):
    """What a well-kept lane camera does by day: the generator's normal setting. Returns uint8."""
    h, w = image.shape[:2]
    if rng.random() < 0.3:
        image = image * (0.75 + 0.35 * noise_field(h, w, rng, 3))[..., None]
    sigma = abs(rng.normal(0, 0.5))
    if sigma > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    image = image * np.exp(rng.normal(0, 0.06, 3)).astype(np.float32)
    mean = float(image.mean())
    image = ((image - mean) * float(np.exp(rng.normal(0, 0.12))) + mean) * float(np.exp(rng.normal(-0.05, 0.15)))
    image = image + rng.standard_normal(image.shape, np.float32) * abs(rng.normal(0, 3))
    image = np.clip(image, 0, 255).astype(np.uint8)
    quality = int(rng.integers(60, 96))
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
