"""What generator, networks, export and evaluation agree on: sizes, alphabet, kinds, regions.

`export.py` writes these values to `manifest.json`, which is what the program reads.
"""

PROVINCES = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新"
DIGITS = "0123456789"
# GA 36-2018 uses neither I nor O in serials; O stands only directly after the province.
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
SUFFIXES = "港澳学警挂领使"

BLANK = 0
# Index 0 is the blank of the CTC-style output; character k of ALPHABET has index k.
ALPHABET = "-" + PROVINCES + DIGITS + LETTERS + "O" + SUFFIXES
INDEX = {c: i for i, c in enumerate(ALPHABET)}

KINDS = [
    "blue",
    "yellow",
    "yellow_two_line",
    "green_small",
    "green_large",
    "black_hk",
    "black_macao",
    "embassy",
    "consular",
    "police",
    "learner",
    "agricultural",
    "temporary",
]
KIND = {k: i for i, k in enumerate(KINDS)}
TWO_LINE_KINDS = ("yellow_two_line", "agricultural")

# Recogniser: input [1, 3, HEIGHT, WIDTH], one output column per COLUMN pixels.
HEIGHT, WIDTH, COLUMN = 48, 168, 8
COLUMNS = WIDTH // COLUMN
MAX_CHARS = 8

# Regions of the plate (fractions of its width and height, by the four corners) that fill the
# recogniser's input: one region for one line, two side by side for two lines.
ONE_LINE = {"x": [-0.03, 1.03], "y": [-0.06, 1.06], "left": 0, "width": WIDTH}
TWO_LINE = [
    {"x": [0.18, 0.82], "y": [-0.03, 0.40], "left": 0, "width": 56},
    {"x": [-0.03, 1.03], "y": [0.36, 1.03], "left": 56, "width": 112},
]

# Detector: input [1, 3, DET_HEIGHT, DET_WIDTH], output [1, DET_CHANNELS, /8, /8].
DET_HEIGHT, DET_WIDTH, DET_STRIDE = 384, 512, 8
DET_CHANNELS = 10


def regions(two_line):
    """The regions that fill the recogniser's input for this layout."""
    return TWO_LINE if two_line else [ONE_LINE]
