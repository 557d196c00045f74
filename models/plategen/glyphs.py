"""Glyph masks per style: the standard's own (read from a folder) and an open font's.

Styles are `140` (one-line plates), `220_up`/`220_down` (the two lines) and `green`. A mask is
uint8, 255 where there is ink, and fills its character's cell.
"""

import pathlib

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import spec

# (file, index of the simplified Chinese face, glyphs stretched over the whole cell?)
FONTS = [
    ("/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc", 2, True),
    ("/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc", 2, False),
    ("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc", 2, False),
]

def _read(path):
    data = np.frombuffer(path.read_bytes(), np.uint8)
    return 255 - cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


class Glyphs:
    """Masks at 1 px per mm, in the cell's size, with a cache."""

    def __init__(self, folder):
        self.raw = {}
        for path in sorted(pathlib.Path(folder).glob("*.jpg")):
            style, _, rest = path.stem.partition("_")
            where, _, char = rest.rpartition("_")
            mask = _read(path)
            if style == "220" and where:
                self.raw[f"220_{where}", char] = mask
            elif style == "220":
                self.raw["220_down" if char.isdigit() else "220_up", char] = mask
            else:
                self.raw[style, char] = mask
        if not self.raw:
            raise FileNotFoundError(f"no glyphs in {folder}")
        self.fonts = []
        self.stretched = []
        for path, face, stretched in FONTS:
            if pathlib.Path(path).exists():
                self.fonts.append(ImageFont.truetype(path, 160, index=face))
                self.stretched.append(stretched)
        if not self.fonts:  # without it other pictures would be drawn, and nobody told
            raise FileNotFoundError(f"no open font at {FONTS[0][0]}: install Noto Sans CJK (Debian: fonts-noto-cjk)")
        self.cells = {}

    def cell(self, style, char, width, height, font=-1):
        """The character's mask in a cell; `font` -1 is the standard's typeface."""
        key = (style, char, width, height, font)
        if key not in self.cells:
            if font >= 0:
                mask = self._drawn(char, width, height, self.fonts[font], self.stretched[font])
            else:
                mask = self._standard(style, char)
                mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
            self.cells[key] = mask
        return self.cells[key]

    def _standard(self, style, char):
        char = "0" if char == "O" else char
        for s in (style, "140"):
            if (s, char) in self.raw:
                return self.raw[s, char]
        raise KeyError(f"no glyph for {char} in {style}")

    @staticmethod
    def _drawn(char, width, height, font, stretched):
        """A font's glyph: the full height of the cell, squeezed to at most its width."""
        image = Image.new("L", (260, 300), 0)
        ImageDraw.Draw(image).text((30, 20), char, font=font, fill=255)
        ink = np.asarray(image)
        ys, xs = np.where(ink > 60)
        ink = ink[ys.min():ys.max() + 1, xs.min():xs.max() + 1]
        wide = ord(char) > 127 or (stretched and char != "1")
        w = width if wide else min(width, max(6, round(ink.shape[1] * height / ink.shape[0] * 0.72)))
        ink = cv2.resize(ink, (w, height), interpolation=cv2.INTER_AREA)
        cell = np.zeros((height, width), np.uint8)
        left = (width - w) // 2
        cell[:, left:left + w] = ink
        return cell
