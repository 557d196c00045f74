"""Trains the plate detector on made-up scenes and (`--real`) the toll-lane pictures beside them.

    python train_detector.py --cache DIR --steps N [--real SHARE --data DIR] [--start FILE]

Resumable like train_recogniser.py. Heat maps by the focal loss of CenterNet, corners by an L1
relative to the plate's size at the cells around its centre.
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
from plategen import degrade

BATCH = 16
H, W, S = spec.DET_HEIGHT, spec.DET_WIDTH, spec.DET_STRIDE
ROWS, COLS = H // S, W // S


class Scenes:
    """Generated scenes from the chunk files."""

    def __init__(self, folder):
        self.parts = []
        for path in sorted(folder.glob("?????.npz")):
            if int(path.stem) < 9000:
                self.parts.append(dict(np.load(path)))

    def draw(self, rng):
        return self.get(int(rng.integers(len(self.parts))), rng)

    def get(self, part, rng, index=None):
        d = self.parts[part]
        i = int(rng.integers(len(d["ends"]))) if index is None else index
        start = 0 if i == 0 else d["ends"][i - 1]
        image = cv2.imdecode(d["jpegs"][start:d["ends"][i]], cv2.IMREAD_COLOR)[..., ::-1]
        own = d["owner"] == i
        if index is None:
            return turned(image, d["corners"][own], d["layout"][own], rng)
        return image, d["corners"][own], d["layout"][own]


def turned(image, quads, layouts, rng):
    """The scene nearer, farther and askew, up to 45 degrees: each of its drawings serves often."""
    if rng.random() < 0.3:
        return image, quads, layouts
    scale = float(np.exp(rng.uniform(np.log(0.55), np.log(1.6))))
    angle = rng.normal(0, 4) if rng.random() < 0.8 else rng.uniform(-45, 45)
    at = quads[int(rng.integers(len(quads)))].mean(0) if len(quads) and rng.random() < 0.6 else np.array([W, H]) / 2
    m = cv2.getRotationMatrix2D((float(at[0]), float(at[1])), float(angle), scale)
    m[:, 2] += np.array([W, H]) * rng.uniform(0.25, 0.75, 2) - at
    if scale < 0.8:
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        m2 = m.copy()
        m2[:, :2] /= scale
        out = cv2.warpAffine(small, m2, (W, H), borderMode=cv2.BORDER_CONSTANT, borderValue=(114, 114, 114))
    else:
        out = cv2.warpAffine(image, m, (W, H), borderMode=cv2.BORDER_CONSTANT, borderValue=(114, 114, 114))
    quads = (quads @ m[:, :2].T + m[:, 2]).astype(np.float32).reshape(-1, 4, 2)
    keep, kinds = [], []
    for q, k in zip(quads, layouts):
        seen = cv2.contourArea(np.clip(q, 0, [W, H]).astype(np.float32)) / max(1.0, cv2.contourArea(q))
        if seen < 0.1:
            continue
        width = np.linalg.norm(q[1] - q[0])
        keep.append(q)
        kinds.append(k if seen > 0.93 and width > 15 else 2)
    return out, np.array(keep, np.float32).reshape(-1, 4, 2), np.array(kinds, np.int64)


class Photos:
    """Toll-lane pictures (mark painted over, plate in place), the simulator's frames (`sim`) and
    pictures without plates."""

    def __init__(self, data, prepared, held_out, sim=None):
        self.items = []
        for e in real.toll(data, prepared):
            if e["fold"] != held_out and e["corners"] is not None:
                image = real.read(pathlib.Path(prepared) / e["clean"])
                self.items.append((image, e["corners"][None], [0]))
        self.toll = len(self.items)
        for image, corners, text, kind in simulated.frames(sim) if sim else ():
            f = min(1.0, 900 / image.shape[1])
            image = cv2.resize(image, None, fx=f, fy=f, interpolation=cv2.INTER_AREA)
            quads = corners[None] * f if text else np.zeros((0, 4, 2), np.float32)
            self.items.append((image, quads, [int(kind in spec.TWO_LINE_KINDS)]))
        self.simulated = len(self.items)
        for path in sorted((pathlib.Path(data) / "no-plate").glob("*.jpg")):
            self.items.append((real.read(path), np.zeros((0, 4, 2), np.float32), []))

    def draw(self, rng):
        n, r = len(self.items), rng.random()
        if r < 0.1:
            pick = rng.integers(self.simulated, n)
        elif r < 0.4 and self.simulated > self.toll:
            pick = rng.integers(self.toll, self.simulated)
        else:
            pick = rng.integers(self.toll)
        image, quads, kinds = self.items[pick]
        h, w = image.shape[:2]
        fit = min(W / w, H / h)
        if rng.random() < 0.3:  # as the program sees it
            m = np.array([[fit, 0, 0.5 * fit - 0.5], [0, fit, 0.5 * fit - 0.5]])
            scale = fit
        else:
            scale = fit * float(np.exp(rng.uniform(np.log(0.6), np.log(2.5))))
            if len(quads):
                width = np.linalg.norm(quads[0][1] - quads[0][0])
                scale = float(np.clip(scale, 18 / width, 380 / width))
            a = np.radians(rng.normal(0, 5) if rng.random() < 0.85 else rng.uniform(-45, 45))
            c, s = np.cos(a) * scale, np.sin(a) * scale
            m = np.array([[c, -s, 0], [s, c, 0]]) * np.array([[float(np.exp(rng.normal(0, 0.06)))], [1.0]])
            m[:, :2] = m[:, :2] @ np.array([[1, rng.normal(0, 0.06)], [rng.normal(0, 0.03), 1]])
            at = quads[0].mean(0) if len(quads) else np.array([w, h]) * rng.uniform(0.3, 0.7, 2)
            to = np.array([W, H]) * rng.uniform(0.15, 0.85, 2)
            m[:, 2] = to - m[:, :2] @ at
        out = cv2.warpAffine(image, m, (W, H), flags=cv2.INTER_AREA if scale < 0.6 else cv2.INTER_LINEAR,
                             borderMode=cv2.BORDER_CONSTANT, borderValue=(114, 114, 114))
        if scale < 0.6:  # warpAffine does not average: shrink first
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            m2 = m.copy()
            m2[:, :2] /= scale
            out = cv2.warpAffine(small, m2, (W, H), borderMode=cv2.BORDER_CONSTANT, borderValue=(114, 114, 114))
        quads = quads @ m[:, :2].T + m[:, 2]
        out = out.astype(np.float32)
        if rng.random() < 0.3:
            out = degrade.light(out, rng)
        if rng.random() < 0.3:
            out = degrade.blur(out, rng, 0.5)
        if rng.random() < 0.6:
            out = degrade.tone(out, rng)
        layout = []
        for q, two in zip(quads, kinds):
            q = q.astype(np.float32)
            seen = cv2.contourArea(np.clip(q, 0, [W, H]).astype(np.float32)) / max(1.0, cv2.contourArea(q))
            layout.append(two if seen > 0.93 else 2)
        return degrade.sensor(out, rng), quads.astype(np.float32), np.array(layout, np.int64)


def targets(quads, layouts):
    """Heat map [2,R,C], weight [R,C] of the heat loss, corners [8,R,C], corner weight [R,C]."""
    heat = np.zeros((2, ROWS, COLS), np.float32)
    care = np.ones((ROWS, COLS), np.float32)
    corner = np.zeros((8, ROWS, COLS), np.float32)
    weight = np.zeros((ROWS, COLS), np.float32)
    gy, gx = np.mgrid[:ROWS, :COLS] + 0.5
    best = np.zeros((ROWS, COLS), np.float32)
    for q, k in zip(quads / S, layouts):
        cx, cy = q.mean(0)
        wide = np.linalg.norm(q[1] - q[0])
        high = np.linalg.norm(q[3] - q[0])
        if k == 2:
            near = (np.abs(gx - cx) < wide * 0.6 + 1) & (np.abs(gy - cy) < high * 0.7 + 1)
            care[near] = 0
            continue
        sx, sy = max(0.55, 0.07 * wide), max(0.55, 0.10 * high)
        g = np.exp(-((gx - cx) ** 2 / (2 * sx * sx) + (gy - cy) ** 2 / (2 * sy * sy))).astype(np.float32)
        g[g < 0.02] = 0
        r, c = int(np.clip(cy, 0, ROWS - 1)), int(np.clip(cx, 0, COLS - 1))
        g[r, c] = 1.0
        heat[k] = np.maximum(heat[k], g)
        mine = (g > 0.25) & (g > best)
        best[mine] = g[mine]
        for i, (x, y) in enumerate(q):
            corner[2 * i][mine] = x - gx[mine]
            corner[2 * i + 1][mine] = y - gy[mine]
        weight[mine] = g[mine] / (0.06 * high + 0.12)
    return heat, care, corner, weight


def loss_of(out, heat, care, corner, weight):
    """Focal heat loss and relative corner L1."""
    out = out.float()
    logit = out[:, :2]
    p = logit.sigmoid().clamp(1e-5, 1 - 1e-5)
    hit = (heat == 1).float()
    positive = -F.logsigmoid(logit) * (1 - p) ** 2 * hit
    negative = -F.logsigmoid(-logit) * p ** 2 * (1 - heat) ** 4 * (1 - hit)
    care = care[:, None]
    n = hit.sum().clamp(min=1)
    focal = (positive.sum() + (negative * care).sum()) / n
    error = F.smooth_l1_loss(out[:, 2:], corner, reduction="none", beta=0.05).sum(1)
    corners = (error * weight).sum() / weight.gt(0).sum().clamp(min=1) / 8
    return focal, corners


def decode(out, threshold):
    """Plates of one output [10,R,C] (numpy): (score, layout, corners [4,2] in input pixels)."""
    score = 1 / (1 + np.exp(-out[:2]))
    found = []
    both = score.max(0)
    peak = cv2.dilate(both, np.ones((3, 3))) == both
    for r, c in zip(*np.where(peak & (both > threshold))):
        q = (out[2:, r, c].reshape(4, 2) + [c + 0.5, r + 0.5]) * S
        found.append((float(both[r, c]), int(score[1, r, c] > score[0, r, c]), q.astype(np.float32)))
    found.sort(key=lambda f: -f[0])
    kept = []
    for f in found:
        if all(overlap(f[2], k[2]) < 0.3 for k in kept):
            kept.append(f)
    return kept


def overlap(a, b):
    """Intersection over the smaller of two upright boxes around the quads."""
    lo, hi = np.maximum(a.min(0), b.min(0)), np.minimum(a.max(0), b.max(0))
    inter = np.prod(np.clip(hi - lo, 0, None))
    return inter / max(1e-6, min(np.prod(np.ptp(a, 0)), np.prod(np.ptp(b, 0))))


def validate(net, scenes):
    """Recall, false finds, layout errors and corner error (share of the plate's height)."""
    net.eval()
    hit = total = false = wrong = 0
    errors = []
    with torch.no_grad():
        for image, quads, layouts in scenes:
            x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
            found = decode(net(x)[0].numpy(), 0.35)
            used = set()
            for q, k in zip(quads, layouts):
                if k == 2:
                    used.update(i for i, f in enumerate(found) if overlap(f[2], q) > 0.2)
                    continue
                total += 1
                best = [i for i, f in enumerate(found) if overlap(f[2], q) > 0.5]
                if best:
                    hit += 1
                    used.update(best)
                    f = found[best[0]]
                    wrong += f[1] != k
                    errors.append(np.linalg.norm(f[2] - q, axis=1).mean() / np.linalg.norm(q[3] - q[0]))
            false += len(found) - len(used & set(range(len(found))))
    net.train()
    e = np.array(errors) if errors else np.array([9.0])
    return f"recall {hit}/{total} false {false} layout wrong {wrong} corner error median {np.median(e):.3f} p90 {np.quantile(e, 0.9):.3f}"


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--cache", type=pathlib.Path, required=True)
    ap.add_argument("--steps", type=int, required=True)
    ap.add_argument("--stage", default="synthetic")
    ap.add_argument("--start", type=pathlib.Path, help="weights to start from: a checkpoint, or an exported .onnx")
    ap.add_argument("--lr", type=float, default=2e-3)
    ap.add_argument("--real", type=float, default=0.0, help="share of real pictures in a batch")
    ap.add_argument("--data")
    ap.add_argument("--sim", help="folder of the simulator's labelled frames")
    ap.add_argument("--fold", type=int, default=real.HELD_OUT, help="fold held out")
    ap.add_argument("--all-folds", action="store_true", help="hold nothing out")
    ap.add_argument("--seed", type=int, default=11)
    args = ap.parse_args()
    cv2.setNumThreads(1)
    torch.manual_seed(args.seed)
    net = nets.Detector().to(memory_format=torch.channels_last)
    ema = nets.Detector()
    opt = torch.optim.AdamW(net.parameters(), lr=args.lr, weight_decay=0.01)
    state_path = args.cache / f"detector-{args.stage}.state"
    step = 0
    if state_path.exists():
        s = torch.load(state_path, map_location="cpu", weights_only=False)
        net.load_state_dict(s["net"]); ema.load_state_dict(s["ema"]); opt.load_state_dict(s["opt"])
        step = s["step"]
    elif args.start:
        if args.start.suffix == ".onnx":
            rng, some = np.random.default_rng(args.seed), Scenes(args.cache / "scenes")
            seen = np.stack([some.draw(rng)[0] for _ in range(64)])
            nets.published(ema, args.start, torch.from_numpy(seen).permute(0, 3, 1, 2).float())
            w = ema.state_dict()
        else:
            w = torch.load(args.start, map_location="cpu")["ema"]
        net.load_state_dict(w); ema.load_state_dict(w)
    else:
        ema.load_state_dict(net.state_dict())
    scenes = Scenes(args.cache / "scenes")
    held = Scenes(args.cache / "scenes")
    last = len(held.parts) - 1
    scenes.parts = scenes.parts[:last]  # the newest chunk measures
    check = [held.get(last, None, i) for i in range(min(300, len(held.parts[last]["ends"])))]
    photos = Photos(args.data, args.cache / "toll", -1 if args.all_folds else args.fold, args.sim) if args.real else None
    fresh = args.start is None
    fast_bf16 = nets.fast_bf16()
    began, shown = time.time(), np.zeros(2)
    while step < args.steps:
        rng = np.random.default_rng([args.seed, step])
        n_real = round(BATCH * args.real)
        drawn = [scenes.draw(rng) for _ in range(BATCH - n_real)] + [photos.draw(rng) for _ in range(n_real)]
        x = torch.from_numpy(np.stack([d[0] for d in drawn])).permute(0, 3, 1, 2)
        x = x.contiguous(memory_format=torch.channels_last).float()
        x = (x * (1 + 0.12 * torch.randn(len(x), 3, 1, 1))).clamp_(0, 255)
        t = [torch.from_numpy(np.stack(a)) for a in zip(*(targets(d[1], d[2]) for d in drawn))]
        warm = min(1.0, (step + 1) / 200)
        for group in opt.param_groups:
            group["lr"] = float(args.lr * warm * (0.5 + 0.5 * np.cos(np.pi * step / args.steps)) + 1e-6)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bf16):
            out = net(x)
        focal, corners = loss_of(out, *t)
        opt.zero_grad()
        (focal + 0.7 * corners).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        opt.step()
        step += 1
        keep = min(0.998, step / (step + 20)) if fresh else 0.998
        with torch.no_grad():
            for a, b in zip(ema.state_dict().values(), net.state_dict().values()):
                a.lerp_(b, 1 - keep) if a.dtype.is_floating_point else a.copy_(b)
        shown += [focal.item(), corners.item()]
        if step % 100 == 0:
            print(f"{step} focal {shown[0] / 100:.3f} corners {shown[1] / 100:.3f} {time.time() - began:.0f}s", flush=True)
            shown[:] = 0
        if step % 100 == 0 or step == args.steps:
            torch.save({"net": net.state_dict(), "ema": ema.state_dict(), "opt": opt.state_dict(), "step": step}, state_path)
            torch.save({"ema": ema.state_dict(), "step": step}, args.cache / "detector.pt")
        if step % 500 == 0 or step == args.steps:
            print(step, validate(ema, check), flush=True)


if __name__ == "__main__":
    main()
