"""From network outputs to plate texts: CTC collapse, then the lawful text that fits best.

The reference for the program's own decoder (`lpr`); numpy only.
"""

import numpy as np

import spec

P, D, L = spec.PROVINCES, spec.DIGITS, spec.LETTERS
S = D + L
ENERGY = "ABCDEFGHJK"
# Slots of allowed characters per kind; `few` limits the letters among the last five to two.
TEMPLATES = [
    ("blue", [P, L + "O"] + [S] * 5, True),
    ("yellow", [P, L + "O"] + [S] * 5, True),
    ("yellow_two_line", [P, L + "O"] + [S] * 5, True),
    ("yellow_two_line", [P, L + "O"] + [S] * 4 + ["挂"], False),
    ("yellow_two_line", [P, L + "O"] + [S] * 4 + ["学"], False),
    ("green_small", [P, L + "O", ENERGY, S] + [D] * 4, False),
    ("green_large", [P, L + "O"] + [D] * 5 + [ENERGY], False),
    ("black_hk", ["粤", "Z"] + [S] * 4 + ["港"], False),
    ("black_macao", ["粤", "Z"] + [S] * 4 + ["澳"], False),
    ("embassy", ["使"] + [D] * 6, False),
    ("embassy", [D] * 6 + ["使"], False),
    ("consular", [P, L + "O"] + [D] * 4 + ["领"], False),
    ("consular", [P] + [D] * 5 + ["领"], False),
    ("police", [P, L + "O"] + [S] * 4 + ["警"], False),
    ("learner", [P, L + "O"] + [S] * 4 + ["学"], False),
    ("agricultural", [P] + [D] * 2 + [S] * 5, False),
]


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def slots(chars):
    """Segments of equal greedy characters in [T,C] logits: one mean probability row each."""
    p = softmax(chars)
    best = p.argmax(1)
    out, i = [], 0
    while i < len(best):
        j = i
        while j < len(best) and best[j] == best[i]:
            j += 1
        if best[i] != spec.BLANK:
            rows = p[i:j]
            out.append(rows[rows[:, best[i]].argmax()])
        i = j
    return out


def fit(rows, allowed, few):
    """Best allowed characters for the rows: (text, probabilities)."""
    picks = []
    for row, chars in zip(rows, allowed):
        index = [spec.INDEX[c] for c in chars]
        k = index[int(np.argmax(row[index]))]
        picks.append((spec.ALPHABET[k], float(row[k])))
    if few:
        letters = [i for i in range(2, 7) if picks[i][0] in L]
        digits = [spec.INDEX[c] for c in D]
        while len(letters) > 2:  # the letter least better than its best digit gives way
            i = min(letters, key=lambda i: picks[i][1] - rows[i][digits].max())
            k = digits[int(np.argmax(rows[i][digits]))]
            picks[i] = (spec.ALPHABET[k], float(rows[i][k]))
            letters.remove(i)
    return picks


def read(chars, kind, two_line=None):
    """(text, kind, per-character probabilities) of the best lawful reading, or None."""
    rows = slots(chars)
    kinds = softmax(kind)
    best = None
    for name, allowed, few in TEMPLATES:
        if len(allowed) != len(rows):
            continue
        if two_line is not None and two_line != (name in spec.TWO_LINE_KINDS):
            continue
        picks = fit(rows, allowed, few)
        score = sum(np.log(p + 1e-9) for _, p in picks) + np.log(kinds[spec.KIND[name]] + 1e-4)
        if best is None or score > best[0]:
            best = (score, "".join(c for c, _ in picks), name, [p for _, p in picks])
    return None if best is None else best[1:]
