"""The UNet of ddpm-torch in PyTorch, written independently of the exporter's.

Module names are those of the reference's checkpoints, so that the same weights fit
both. The defaults are its network for CIFAR-10.
"""

import math

import torch
from torch import nn
from torch.nn import functional

GROUPS = 32
EPS = 1e-6


def norm(width):
    return nn.GroupNorm(GROUPS, width, eps=EPS)


class ResBlock(nn.Module):
    """Two convolutions, conditioned on the time in between, and a shortcut."""

    def __init__(self, inputs, outputs, time_width, dropout):
        super().__init__()
        self.dropout = dropout
        self.norm1 = norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.fc = nn.Linear(time_width, outputs)
        self.norm2 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, time):
        h = self.conv1(functional.silu(self.norm1(x)))
        h = h + self.fc(functional.silu(time))[:, :, None, None]
        h = functional.dropout(functional.silu(self.norm2(h)), self.dropout, self.training)
        return self.skip(x) + self.conv2(h)


class Attention(nn.Module):
    """Single-head self-attention over all pixels, and a shortcut."""

    def __init__(self, width):
        super().__init__()
        self.norm = norm(width)
        self.project_in = nn.Conv2d(width, 3 * width, 1)
        self.project_out = nn.Conv2d(width, width, 1)

    def forward(self, x, _time):
        batch, width, height, columns = x.shape
        qkv = self.project_in(self.norm(x)).flatten(2).transpose(1, 2).unsqueeze(1)
        h = functional.scaled_dot_product_attention(*qkv.chunk(3, dim=-1))
        h = h.squeeze(1).transpose(1, 2).reshape(batch, width, height, columns)
        return x + self.project_out(h)


class Block(nn.ModuleList):
    """A residual block and attention."""

    def forward(self, x, time):
        for part in self:
            x = part(x, time)
        return x


class Resample(nn.Sequential):
    """A change of size, which ignores the time."""

    def forward(self, x, _time):
        return super().forward(x)


def downsample(width):
    # For even sizes, TensorFlow's "SAME" puts its one row and column of zeros at the end.
    return Resample(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(width, width, 3, stride=2))


def upsample(width):
    return Resample(nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1))


class UNet(nn.Module):
    """Predicts the training target for x_t, [B, channels, H, W], and t, [B]."""

    def __init__(self, channels=3, hidden=128, multipliers=(1, 2, 2, 2), blocks=2,
                 attention=(False, True, False, False), dropout=0.0):
        super().__init__()
        self.dropout = dropout
        self.hidden, self.time_width = hidden, 4 * hidden
        self.embed = nn.Sequential(
            nn.Linear(hidden, self.time_width), nn.SiLU(),
            nn.Linear(self.time_width, self.time_width),
        )
        self.in_conv = nn.Conv2d(channels, hidden, 3, padding=1)
        levels = [
            (f"level_{i}", hidden * multiplier, with_attention)
            for i, (multiplier, with_attention) in enumerate(zip(multipliers, attention))
        ]
        self.downsamples, skips = self._down_levels(levels, blocks)
        bottom = skips[-1]
        self.middle = Block([
            self._res(bottom, bottom), Attention(bottom), self._res(bottom, bottom)
        ])
        self.upsamples = self._up_levels(levels, blocks, skips)
        self.out_conv = nn.Sequential(norm(hidden), nn.SiLU(), nn.Conv2d(hidden, channels, 3, padding=1))

    def _down_levels(self, levels, blocks):
        """Returns the levels, and the width of every output including in_conv's."""
        down, skips = nn.ModuleDict(), [self.hidden]
        for name, width, with_attention in levels:
            down[name] = nn.ModuleList()
            for _ in range(blocks):
                down[name].append(self._block(skips[-1], width, with_attention))
                skips.append(width)
            if name != levels[-1][0]:
                down[name].append(downsample(width))
                skips.append(width)
        return down, skips

    def _up_levels(self, levels, blocks, skips):
        """Returns the levels, smallest first; each block takes one of the `skips`, last first."""
        up, below, skips = nn.ModuleDict(), skips[-1], list(skips)
        for name, width, with_attention in reversed(levels):
            up[name] = nn.ModuleList()
            for _ in range(blocks + 1):
                up[name].append(self._block(below + skips.pop(), width, with_attention))
                below = width
            if name != levels[0][0]:
                up[name].append(upsample(width))
        return up

    def _block(self, inputs, outputs, with_attention):
        res = self._res(inputs, outputs)
        return Block([res, Attention(outputs)]) if with_attention else res

    def _res(self, inputs, outputs):
        return ResBlock(inputs, outputs, self.time_width, self.dropout)

    def forward(self, x, t):
        # A network in bf16 has its embedding in bf16 too.
        time = self.embed(sinusoids(t, self.hidden).to(self.in_conv.weight.dtype))
        skips = [self.in_conv(x)]
        for stages in self.downsamples.values():
            for stage in stages:
                skips.append(stage(skips[-1], time))
        h = self.middle(skips[-1], time)
        for stages in self.upsamples.values():
            for stage in stages:
                if not isinstance(stage, Resample):
                    h = torch.cat([h, skips.pop()], dim=1)
                h = stage(h, time)
        return self.out_conv(h)


def sinusoids(t, width):
    """Returns sines, then cosines, of t at `width` / 2 frequencies from 1 down to 1/10000."""
    half = width // 2
    frequencies = torch.exp(
        torch.arange(half, device=t.device) * (-math.log(10_000) / (half - 1))
    )
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
