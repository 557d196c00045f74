"""Makes `glyphs.png`, the characters the simulator draws plates with.

Each cell is 90 x 180 pixels (two pixels a millimetre of the 45 x 90 mm character of GA 36-2018),
white ink on black, 16 cells a row, in the order of CHARACTERS. Run with Pillow installed and
Debian's fonts-noto-cjk present: `python make_glyphs.py`.
"""

import pathlib

from PIL import Image, ImageDraw, ImageFont

FONT = "/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc"
SIMPLIFIED = 2  # index of "Noto Sans CJK SC" in the collection
CHARACTERS = (
    "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新"
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ挂学警港澳使领"
)
CELL_W, CELL_H, COLUMNS = 90, 180, 16
# The standard's 1 is a narrow stroke in the middle of its cell; everything else fills the cell.
NARROW = {"1": 0.45, "I": 0.35}


def glyph(font, char):
    """The character's ink, stretched to the cell."""
    canvas = Image.new("L", (600, 600), 0)
    ImageDraw.Draw(canvas).text((100, 50), char, fill=255, font=font)
    ink = canvas.crop(canvas.getbbox())
    width = round(CELL_W * NARROW.get(char, 1.0))
    cell = Image.new("L", (CELL_W, CELL_H), 0)
    cell.paste(ink.resize((width, CELL_H), Image.LANCZOS), ((CELL_W - width) // 2, 0))
    return cell


def main():
    font = ImageFont.truetype(FONT, 400, index=SIMPLIFIED)
    rows = -(-len(CHARACTERS) // COLUMNS)
    atlas = Image.new("L", (COLUMNS * CELL_W, rows * CELL_H), 0)
    for i, char in enumerate(CHARACTERS):
        atlas.paste(glyph(font, char), (i % COLUMNS * CELL_W, i // COLUMNS * CELL_H))
    atlas.save(pathlib.Path(__file__).parent / "glyphs.png", optimize=True)


if __name__ == "__main__":
    main()
