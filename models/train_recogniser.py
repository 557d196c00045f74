"""Trains the recogniser on synthetic crops, then (`--real`) on real ones beside them.

    python train_recogniser.py --cache DIR --steps N [--real --data DIR] [--from FILE]

Resumable: every 50 steps the state goes to `<cache>/recogniser-<stage>.state`; a finished stage
leaves `<cache>/recogniser.pt`, which export.py reads. Per-column cross-entropy from the known
character centres gets it going; CTC joins later and settles the columns in between.
"""

import argparse
import pathlib
import time

import cv2
import numpy as np
import torch
from torch.nn import functional as F

import nets
import real
import simulated
import spec
import station
from plategen import crops, degrade

BATCH = 128
# A stage may draw the made-up plates in these shares of kinds, not as the chunks hold them: what still lacks most
# comes oftenest; likewise the provinces that were read worst.
FOCUS = {
    "first": ({
        "agricultural": 17, "temporary": 12, "green_large": 13, "green_small": 13, "yellow_two_line": 13, "blue": 10,
        "yellow": 9, "learner": 4, "consular": 4, "police": 2, "black_hk": 1, "black_macao": 1, "embassy": 1,
    }, {"陕": 2.0, "豫": 1.5, "赣": 1.5, "辽": 1.5, "鲁": 1.3, "川": 1.3, "琼": 1.3, "湘": 1.3}),
    "last": ({
        "agricultural": 17, "green_small": 13, "yellow_two_line": 13, "green_large": 11, "temporary": 11, "blue": 9,
        "learner": 8, "yellow": 7, "consular": 5, "police": 2, "black_hk": 2, "black_macao": 1, "embassy": 1,
    }, {"陕": 2.0, "豫": 1.8, "辽": 1.6, "川": 1.6, "冀": 1.5, "晋": 1.4, "赣": 1.3, "渝": 1.3, "鲁": 1.3, "湘": 1.2}),
}
# 皖 stands on 97 % of the road crops: seen that often, it is what the reader guesses when a province is blurred.
ROAD_ANHUI = 0.6
# Share of the toll station's cut-out plates among the photographs.
STATION = 0.4


class Chunks:
    """Synthetic samples from all chunk files present; looks for new ones now and then."""

    def __init__(self, folder, focus=None):
        self.folder, self.names, self.parts, self.focus = folder, set(), [], focus
        self.refresh()

    def refresh(self):
        for path in sorted(self.folder.glob("?????.npz")):
            if path.name not in self.names and int(path.stem) < 9000:
                d = np.load(path)
                self.parts.append((d["images"], d["labels"], d["centres"], d["kinds"]))
                self.names.add(path.name)
        kinds = np.concatenate([p[3] for p in self.parts])
        weight = np.ones(len(kinds))
        if self.focus:
            kinds_often, provinces_often = FOCUS[self.focus]
            share = np.array([kinds_often[k] for k in spec.KINDS], float)
            weight = (share / np.maximum(1, np.bincount(kinds, minlength=len(share))))[kinds]
            often = np.ones(len(spec.ALPHABET))
            for char, factor in provinces_often.items():
                often[spec.INDEX[char]] = factor
            weight *= often[np.concatenate([p[1][:, 0] for p in self.parts])]
        self.up_to = np.cumsum(weight)
        self.first = np.cumsum([0] + [len(p[3]) for p in self.parts])

    def batch(self, rng, n):
        out = [[], [], [], []]
        for i in np.searchsorted(self.up_to, rng.random(n) * self.up_to[-1], side="right"):
            p = int(np.searchsorted(self.first, i, side="right")) - 1
            for o, a in zip(out, self.parts[p]):
                o.append(a[i - self.first[p]])
        return [np.stack(o) for o in out]


class Real:
    """Real crops of the folds that may train, and the simulator's plates if there are any (`sim`:
    a folder of its labelled frames) and the toll station's (`stationed`: station.py's folder), freshly
    distorted at every draw."""

    def __init__(self, data, prepared, held_out, sim=None, stationed=None):
        self.items = []
        for r in real.rows(data, "crops-road"):
            if r["fold"] == held_out:
                continue
            image = real.read(pathlib.Path(data) / r["file"])
            self.items.append((image, None, r["plate"], "blue", ROAD_ANHUI if r["plate"][0] == "皖" else 1.0))
        for e in real.toll(data, prepared):
            if e["fold"] == held_out or e["corners"] is None:
                continue
            image = real.read(pathlib.Path(prepared) / e["clean"])
            x0, y0, x1, y1 = e["mark"]
            pad = 30
            left, top = max(0, x0 - pad), max(0, y0 - pad)
            self.items.append((image[top:y1 + pad, left:x1 + pad].copy(), e["corners"] - [left, top], e["plate"], e["colour"], 2.0))
        if stationed:
            items = list(station.items(stationed, held_out))
            scale = STATION / (1 - STATION) * sum(i[4] for i in self.items) / sum(i[3] for i in items)
            self.items += [(image, None, text, kind, weight * scale) for image, text, kind, weight in items]
        if sim:
            frames = list(simulated.frames(sim))
            share = 0.35 * sum(i[4] for i in self.items) / 0.65 / max(1, len(frames))
            for image, corners, text, kind in frames:
                if not text:
                    continue
                lo = np.maximum(np.floor(corners.min(0) - 25), 0).astype(int)
                hi = np.ceil(corners.max(0) + 25).astype(int)
                self.items.append((image[lo[1]:hi[1], lo[0]:hi[0]].copy(), corners - lo, text, kind, share))
        weights = np.array([i[4] for i in self.items])
        self.p = weights / weights.sum()

    def draw(self, rng):
        image, corners, text, kind, _ = self.items[rng.choice(len(self.items), p=self.p)]
        image = image.astype(np.float32)
        if corners is None:  # a tight crop; the program reads it whole
            h, w = image.shape[:2]
            corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
            inner = crops.ONE_LINE_INNER  # so that the input shows about the whole crop
            corners = (corners - corners.mean(0)) * inner + corners.mean(0)
            lean = 0.0 if rng.random() < 0.5 else rng.normal(0, 0.15)  # cut by a box, the plate leans
            corners = corners + np.array([[0, lean], [0, -lean], [0, -lean], [0, lean]], np.float32) * h
            seen = crops.jitter(corners, rng, 0.7)
        else:
            seen = crops.jitter(corners, rng, 1.0)
        if rng.random() < 0.5:
            scale = float(np.clip(np.linalg.norm(corners[1] - corners[0]), 94, None))
            factor = max(70.0, rng.uniform(0.35, 1.0) * scale) / scale
            if factor < 0.9 or scale > 280:
                factor = min(factor, 280 / scale)
                size = (max(8, round(image.shape[1] * factor)), max(8, round(image.shape[0] * factor)))
                seen = seen * (np.array(size) / [image.shape[1], image.shape[0]])
                image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        if rng.random() < 0.4:
            image = degrade.blur(image, rng, 0.5)
        if rng.random() < 0.3:
            image = degrade.light(image, rng)
        if rng.random() < 0.6:
            image = degrade.tone(image, rng)
        picture = degrade.sensor(image, rng)
        labels = np.zeros(spec.MAX_CHARS, np.int64)
        labels[: len(text)] = [spec.INDEX[c] for c in text]
        centres = np.full(spec.MAX_CHARS, np.nan, np.float32)  # unknown: CTC only
        return crops.rectify(picture, seen, kind in spec.TWO_LINE_KINDS), labels, centres, spec.KIND[kind]

    def batch(self, rng, n):
        return [np.stack([np.asarray(v) for v in col]) for col in zip(*(self.draw(rng) for _ in range(n)))]


def columns(labels, centres):
    """Per-column targets: a character within 4 px of its centre, blank beyond 5.5, else ignored. Two equal characters
    so close that no column between them need be blank (an agricultural plate's upper digits, green plates, lower lines)
    take the columns beside the one between them, which is blank: without it CTC reads one."""
    t = torch.arange(spec.COLUMNS) * spec.COLUMN + spec.COLUMN / 2
    d = (centres[:, None, :] - t[None, :, None]).abs()
    d = torch.where(labels[:, None, :] > 0, d, torch.full_like(d, 1e3))
    unknown = torch.isnan(d).any(2)
    near, which = torch.nan_to_num(d, nan=1e3).min(2)
    target = torch.gather(labels, 1, which)
    target = torch.where(near <= 4.0, target, torch.where(near > 5.5, torch.zeros_like(target), torch.full_like(target, -1)))
    target = torch.where(unknown, torch.full_like(target, -1), target)
    close = (labels[:, 1:] > 0) & (labels[:, 1:] == labels[:, :-1]) & (centres.diff(dim=1) < 2.5 * spec.COLUMN)
    for row, i in close.nonzero().tolist():
        middle = int((centres[row, i] + centres[row, i + 1]) / 2 // spec.COLUMN)
        if 0 < middle < spec.COLUMNS - 1:
            target[row, middle - 1:middle + 2] = torch.tensor([1, 0, 1]) * labels[row, i]
    return target


def greedy(logits):
    """CTC collapse of [N,T,C] logits; texts."""
    out = []
    for row in logits.argmax(2).tolist():
        out.append("".join(spec.ALPHABET[c] for i, c in enumerate(row) if c and (i == 0 or c != row[i - 1])))
    return out


def validate(net, cache):
    """Greedy exact-match share on a chunk never trained on, per kind."""
    path = cache / "crops" / "09000.npz"
    if not path.exists():
        return "no validation chunk"
    d = np.load(path)
    net.eval()
    right = {}
    with torch.no_grad():
        for i in range(0, min(2000, len(d["labels"])), 250):
            x = torch.from_numpy(d["images"][i:i + 250]).permute(0, 3, 1, 2).float()
            chars, kind = net(x)
            for text, lab, k, kp in zip(greedy(chars), d["labels"][i:i + 250], d["kinds"][i:i + 250], kind.argmax(1).tolist()):
                want = "".join(spec.ALPHABET[c] for c in lab if c)
                s = right.setdefault(spec.KINDS[k], [0, 0, 0])
                s[0] += text == want
                s[1] += kp == k
                s[2] += 1
    net.train()
    total = [sum(v[j] for v in right.values()) for j in range(3)]
    return f"all {total[0] / total[2]:.3f} kind {total[1] / total[2]:.3f} | " + " ".join(
        f"{k} {v[0] / v[2]:.2f}" for k, v in right.items())


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--cache", type=pathlib.Path, required=True)
    ap.add_argument("--steps", type=int, required=True)
    ap.add_argument("--stage", default="synthetic")
    ap.add_argument("--start", type=pathlib.Path, help="weights to start from: a checkpoint, or an exported .onnx")
    ap.add_argument("--lr", type=float, default=2.5e-3)
    ap.add_argument("--real", type=float, default=0.0, help="share of real crops in a batch")
    ap.add_argument("--data", help="folder of the real photographs")
    ap.add_argument("--sim", help="folder of the simulator's labelled frames")
    ap.add_argument("--station", help="folder of the toll station's labelled crops (station.py)")
    ap.add_argument("--fold", type=int, default=real.HELD_OUT, help="fold held out")
    ap.add_argument("--all-folds", action="store_true", help="hold nothing out")
    ap.add_argument("--focus", choices=list(FOCUS), help="draw what lacks most oftenest")
    ap.add_argument("--stop", type=int, help="end at this step of the --steps that the rate is planned for")
    ap.add_argument("--seed", type=int, default=7)
    args = ap.parse_args()
    torch.manual_seed(args.seed)
    net = nets.Recogniser().to(memory_format=torch.channels_last)
    ema = nets.Recogniser()
    opt = torch.optim.AdamW(net.parameters(), lr=args.lr, weight_decay=0.02)
    state_path = args.cache / f"recogniser-{args.stage}.state"
    step = 0
    if state_path.exists():
        s = torch.load(state_path, map_location="cpu", weights_only=False)
        net.load_state_dict(s["net"]); ema.load_state_dict(s["ema"]); opt.load_state_dict(s["opt"])
        step = s["step"]
    elif args.start:
        if args.start.suffix == ".onnx":
            some = Chunks(args.cache / "crops", args.focus).batch(np.random.default_rng(args.seed), 512)[0]
            nets.published(ema, args.start, torch.from_numpy(some).permute(0, 3, 1, 2).float())
            w = ema.state_dict()
        else:
            w = torch.load(args.start, map_location="cpu")["ema"]
        net.load_state_dict(w); ema.load_state_dict(w)
    else:
        ema.load_state_dict(net.state_dict())
    data = Chunks(args.cache / "crops", args.focus)
    photos = Real(args.data, args.cache / "toll", -1 if args.all_folds else args.fold, args.sim, args.station) if args.real else None
    fresh = args.start is None
    fast_bf16 = nets.fast_bf16()
    began, shown = time.time(), 0.0
    last = min(args.steps, args.stop or args.steps)
    while step < last:
        rng = np.random.default_rng([args.seed, step])
        n_real = round(BATCH * args.real)
        batch = data.batch(rng, BATCH - n_real)
        if n_real:
            batch = [np.concatenate(p) for p in zip(batch, photos.batch(rng, n_real))]
        x, labels, centres, kinds = (torch.from_numpy(a) for a in batch)
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last).float()
        gain = 1 + 0.15 * torch.randn(len(x), 3, 1, 1)
        x = (x * gain + 8 * torch.randn(len(x), 3, 1, 1)).clamp_(0, 255)
        warm = min(1.0, (step + 1) / min(200, 0.1 * args.steps))
        for group in opt.param_groups:
            group["lr"] = float(args.lr * warm * (0.5 + 0.5 * np.cos(np.pi * step / args.steps)) + 1e-6)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bf16):
            chars, kind = net(x)
        chars, kind = chars.float(), kind.float()
        target = columns(labels, centres)
        loss = torch.zeros(())
        if (target >= 0).any():
            loss = F.cross_entropy(chars.reshape(-1, chars.shape[2]), target.reshape(-1), ignore_index=-1)
        if not fresh or step > 0.25 * args.steps:
            ctc = F.ctc_loss(chars.log_softmax(2).transpose(0, 1), labels, torch.full((len(x),), spec.COLUMNS),
                             (labels > 0).sum(1), zero_infinity=True)
            loss = loss + 0.3 * ctc
        loss = loss + 0.1 * F.cross_entropy(kind, kinds)
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        opt.step()
        step += 1
        keep = min(0.998, step / (step + 20)) if fresh or args.steps < 1000 else 0.998
        with torch.no_grad():
            for a, b in zip(ema.state_dict().values(), net.state_dict().values()):
                a.lerp_(b, 1 - keep) if a.dtype.is_floating_point else a.copy_(b)
        shown += loss.item()
        if step % 100 == 0:
            print(f"{step} loss {shown / 100:.4f} {time.time() - began:.0f}s chunks {len(data.parts)}", flush=True)
            shown = 0.0
            data.refresh()
        if step % 50 == 0 or step == last:
            torch.save({"net": net.state_dict(), "ema": ema.state_dict(), "opt": opt.state_dict(), "step": step}, state_path)
            torch.save({"ema": ema.state_dict(), "step": step}, args.cache / "recogniser.pt")
        if step % 500 == 0 or step == last:
            print(step, validate(ema, args.cache), flush=True)


if __name__ == "__main__":
    main()
