"""Texts and layouts of each plate kind by GA 36-2018 (millimetres).

`sample(kind, rng)` gives a lawful text; `place(kind, text)` says where each character stands.
"""

from dataclasses import dataclass

import spec

ALNUM = spec.DIGITS + spec.LETTERS


@dataclass
class Slot:
    """One character's cell in millimetres, its glyph style and its colour's role."""

    char: str
    x: float
    y: float
    w: float
    h: float
    style: str
    role: str = "text"


# How often each kind is drawn; a gate meets blue and yellow most, the rest must be known too.
WEIGHTS = {
    "blue": 22, "yellow": 18, "yellow_two_line": 20, "green_small": 10, "green_large": 8,
    "black_hk": 3, "black_macao": 2, "embassy": 3, "consular": 3, "police": 4, "learner": 3,
    "agricultural": 5, "temporary": 1,
}
# For chunks that make up for what the weights above draw too seldom to be learnt.
RARE = {
    "temporary": 26, "agricultural": 24, "green_large": 12, "green_small": 10, "learner": 8, "consular": 8,
    "yellow_two_line": 6, "police": 3, "black_hk": 1, "black_macao": 1, "embassy": 1,
}
# For chunks of what was still read worst after those.
FOCUS = {"agricultural": 38, "temporary": 28, "green_large": 15, "green_small": 13, "yellow_two_line": 6}
# And after those.
LAST = {
    "agricultural": 28, "green_small": 17, "learner": 14, "green_large": 12, "yellow_two_line": 10, "consular": 10,
    "temporary": 9,
}
OFTEN = {"usual": WEIGHTS, "rare": RARE, "focus": FOCUS, "last": LAST}
SIZES = {
    "yellow_two_line": (440, 220), "agricultural": (300, 165), "temporary": (220, 140),
    "green_small": (480, 140), "green_large": (480, 140),
}


def size(kind):
    """Width and height of the plate in millimetres."""
    return SIZES.get(kind, (440, 140))


def _digits(rng, n):
    return "".join(rng.choice(list(spec.DIGITS), n))


def _serial(rng, n):
    """A serial of digits with at most two letters, as issued; letters oftener than on the road, or
    each would be seen ten times less than a digit and taken for one."""
    text = list(_digits(rng, n))
    for i in rng.permutation(n)[: rng.choice([0, 1, 2], p=[0.2, 0.3, 0.5])]:
        text[i] = rng.choice(list(spec.LETTERS))
    return "".join(text)


def _office(rng):
    """Province and issuing office's letter; every province equally often."""
    letter = "O" if rng.random() < 0.01 else rng.choice(list(spec.LETTERS))
    return rng.choice(list(spec.PROVINCES)) + letter


def sample(kind, rng):
    if kind in ("blue", "yellow", "temporary"):
        return _office(rng) + _serial(rng, 5)
    if kind == "yellow_two_line":
        if rng.random() < 0.6:
            return _office(rng) + _serial(rng, 4) + ("挂" if rng.random() < 0.93 else "学")
        return _office(rng) + _serial(rng, 5)
    if kind == "green_small":
        second = rng.choice(list(ALNUM)) if rng.random() < 0.4 else _digits(rng, 1)
        first = rng.choice(list("DF" * 6 + "ABCEGHJK"))
        return _office(rng) + first + second + _digits(rng, 4)
    if kind == "green_large":
        return _office(rng) + _digits(rng, 5) + rng.choice(list("DF" * 6 + "ABCEGHJK"))
    if kind == "black_hk":
        return "粤Z" + _serial(rng, 4) + "港"
    if kind == "black_macao":
        return "粤Z" + _serial(rng, 4) + "澳"
    if kind == "embassy":
        return "使" + _digits(rng, 6) if rng.random() < 0.6 else _digits(rng, 6) + "使"
    if kind == "consular":
        if rng.random() < 0.6:
            return _office(rng) + _digits(rng, 4) + "领"
        return rng.choice(list(spec.PROVINCES)) + _digits(rng, 5) + "领"
    if kind == "police":
        return _office(rng) + _serial(rng, 4) + "警"
    if kind == "learner":
        return _office(rng) + _serial(rng, 4) + "学"
    if kind == "agricultural":
        return rng.choice(list(spec.PROVINCES)) + _digits(rng, 2) + _serial(rng, 5)
    raise ValueError(kind)


def _row(text, xs, y, w, h, style):
    return [Slot(c, x, y, w, h, style) for c, x in zip(text, xs)]


def dot(kind, text):
    """Where the separating dot stands (centre x, y), or None."""
    if kind == "yellow_two_line":
        return 220, 45
    if kind in ("green_small", "green_large"):
        return 139, 70
    if kind == "embassy":
        return (248.5 if text[0] == "使" else 191.5), 70
    if kind == "consular" and text[1].isdigit():
        return 77, 70
    if kind in ("agricultural", "temporary"):
        return None
    return 134.5, 70


def place(kind, text):
    """The cell of each character, in reading order."""
    if kind in ("green_small", "green_large"):
        xs = [15.5, 69.5] + [163.5 + 52 * i for i in range(6)]
        slots = _row(text, xs, 25, 43, 90, "green")
        slots[0].w = slots[1].w = 45
        return slots
    if kind == "yellow_two_line":
        return _row(text[:2], [110, 250], 15, 80, 60, "220_up") + _row(
            text[2:], [27.5 + 80 * i for i in range(5)], 90, 65, 110, "220_down")
    if kind == "agricultural":
        top = [Slot(text[0], 72, 12, 46, 42, "220_up")]
        top += _row(text[1:3], [140, 186], 12, 40, 42, "220_down")
        return top + _row(text[3:], [22 + 53 * i for i in range(5)], 66, 44, 82, "220_down")
    if kind == "temporary":  # paper behind the windscreen
        return _row(text, [12 + 28.5 * i for i in range(7)], 44, 25, 52, "140")
    gap_after = 2
    if kind == "embassy":
        gap_after = 4 if text[0] == "使" else 3
    elif kind == "consular" and text[1].isdigit():
        gap_after = 1
    x, slots = 15.5, []
    for i, c in enumerate(text):
        slots.append(Slot(c, x, 25, 45, 90, "140"))
        x += 45 + (34 if i + 1 == gap_after else 12)
    if kind == "police":
        slots[-1].role = "red"
    return slots
