"""The two networks: plain 3x3/1x1 convolutions, batch norm and ReLU, chosen for tract on one core.

Both take raw RGB values 0..255; the scale is folded into the first convolution at export, which
is exact at the borders too because only a factor (no offset) is used.
"""

import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional as F

import spec

SCALE = 1.0 / 128.0


class Conv(nn.Module):
    """Convolution, batch norm, ReLU; `fuse` turns it into one convolution with bias."""

    def __init__(self, cin, cout, k=3, s=1, p=None, relu=True):
        super().__init__()
        kh, kw = (k, k) if isinstance(k, int) else k
        p = (kh // 2, kw // 2) if p is None else p
        self.conv = nn.Conv2d(cin, cout, (kh, kw), s, p, bias=False)
        self.bn = nn.BatchNorm2d(cout)
        self.relu = relu

    def forward(self, x):
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        return F.relu(x) if self.relu else x

    def fuse(self, scale=1.0):
        g = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
        conv = nn.Conv2d(
            self.conv.in_channels, self.conv.out_channels, self.conv.kernel_size,
            self.conv.stride, self.conv.padding, bias=True,
        )
        conv.weight.data = self.conv.weight.data * g[:, None, None, None] * scale
        conv.bias.data = self.bn.bias.data - self.bn.running_mean * g
        self.conv, self.bn = conv, None


class Res(nn.Module):
    """Two 3x3 convolutions with a short cut."""

    def __init__(self, c):
        super().__init__()
        self.a = Conv(c, c)
        self.b = Conv(c, c, relu=False)

    def forward(self, x):
        return F.relu(x + self.b(self.a(x)))


class Recogniser(nn.Module):
    """Plate crop [N,3,48,168] -> character logits [N,T,C] and kind logits [N,K]."""

    def __init__(self, c1=16, c2=48, c3=80, c4=128):
        super().__init__()
        self.stem = Conv(3, c1, s=2)
        self.body = nn.Sequential(
            Conv(c1, c1),
            Conv(c1, c2, s=2),
            Res(c2),
            Conv(c2, c3, s=2),
            Res(c3),
            Res(c3),
        )
        self.flat = Conv(c3, c4, k=(6, 1), p=(0, 0))
        self.mix = nn.Sequential(Conv(c4, c4, k=(1, 3)), Conv(c4, c4, k=(1, 3)))
        self.drop = nn.Dropout(0.1)
        self.chars = nn.Conv2d(c4, len(spec.ALPHABET), 1)
        self.kind = nn.Conv2d(2 * c3, len(spec.KINDS), 1)
        self.scale = SCALE

    def forward(self, x):
        x = self.body(self.stem(x * self.scale if self.scale != 1.0 else x))
        y = self.mix(self.flat(x))
        chars = self.chars(self.drop(y)).squeeze(2).transpose(1, 2)
        # Left and right halves apart: what tells 挂, 港 or two lines stands at known sides.
        half = torch.cat([
            F.avg_pool2d(x[..., :7], (6, 7)),
            F.avg_pool2d(x[..., 7:], (6, 14)),
        ], 1)
        return chars, self.kind(half).flatten(1)

    def fuse(self):
        return fuse(self)


class Detector(nn.Module):
    """Frame [N,3,384,512] -> [N,10,48,64]: two plate logits, four corners' offsets in cells."""

    def __init__(self):
        super().__init__()
        self.stem = Conv(3, 8, s=2)
        self.s4 = Conv(8, 16, s=2)
        self.s8 = Conv(16, 32, s=2)
        self.s16 = nn.Sequential(Conv(32, 48, s=2), Conv(48, 48))
        self.s32 = nn.Sequential(Conv(48, 64, s=2), Conv(64, 64), Conv(64, 64), Conv(64, 64))
        self.up16 = nn.ConvTranspose2d(64, 48, 2, 2)
        self.up8 = nn.ConvTranspose2d(48, 32, 2, 2)
        self.last = Conv(32, 32)
        self.out = nn.Conv2d(32, spec.DET_CHANNELS, 1)
        nn.init.constant_(self.out.bias[:2], -5.0)
        self.scale = SCALE

    def forward(self, x):
        x = self.stem(x * self.scale if self.scale != 1.0 else x)
        x8 = self.s8(self.s4(x))
        x16 = self.s16(x8)
        x16 = F.relu(x16 + self.up16(self.s32(x16)))
        x8 = F.relu(x8 + self.up8(x16))
        return self.out(self.last(x8))

    def fuse(self):
        return fuse(self)


def fast_bf16():
    """Whether this processor computes in bf16 by itself; where it is emulated, it takes ten times as long as f32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def fuse(net):
    """Folds batch norms and the input's scale into the convolutions, in place."""
    net.eval()
    for m in net.modules():
        if isinstance(m, Conv) and m.bn is not None:
            m.fuse(net.scale if m is net.stem else 1.0)
    net.scale = 1.0
    return net


def initializers(path):
    """The weights of an exported file, by name."""
    return {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in onnx.load(str(path)).graph.initializer}


def published(net, path, pictures):
    """Gives `net` the weights of an exported file, so that training goes on where only the ONNX was kept.

    Export folded the batch norms away. Each gets back the mean and variance that its convolution has on
    `pictures` [N,3,H,W], with a gain and offset that undo them: the network answers what the file answers.
    """
    weights = initializers(path)
    hooks = []
    for name, m in net.named_modules():
        if isinstance(m, Conv):
            m.conv.weight.data = weights[f"{name}.conv.weight"] / (net.scale if m is net.stem else 1.0)
            hooks.append(m.conv.register_forward_hook(_unfold(m.bn, weights[f"{name}.conv.bias"])))
        elif f"{name}.weight" in weights and not name.endswith(".conv"):
            m.weight.data, m.bias.data = weights[f"{name}.weight"], weights[f"{name}.bias"]
    net.eval()
    with torch.no_grad():
        net(pictures)
    for hook in hooks:
        hook.remove()
    return net


def _unfold(bn, bias):
    """Sets a batch norm from what its convolution gives, so that it only adds `bias`."""
    def hook(_, __, out):
        bn.running_mean = out.mean((0, 2, 3))
        bn.running_var = out.var((0, 2, 3))
        bn.weight.data = torch.sqrt(bn.running_var + bn.eps)
        bn.bias.data = bias + bn.running_mean
    return hook


def flops(net, shape):
    """Multiply-adds times two of one forward pass."""
    net.eval()  # or the pass would change the batch norms' statistics
    total = [0]

    def hook(m, _, out):
        k = m.weight.numel() // (m.weight.shape[0] if isinstance(m, nn.Conv2d) else m.weight.shape[1])
        n = out.numel() * k
        if isinstance(m, nn.ConvTranspose2d):
            n = out.numel() * m.in_channels
        total[0] += 2 * n

    hooks = [m.register_forward_hook(hook) for m in net.modules()
             if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    with torch.no_grad():
        net(torch.zeros(shape))
    for h in hooks:
        h.remove()
    return total[0]
