"""The UNet of ddpm-torch in PyTorch, written apart from the exporter's.

Names of modules are those of the reference's checkpoints, so that the same weights
fit both. The defaults are its network for CIFAR-10.
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
    """Two convolutions, told the time between them, around a shortcut."""

    def __init__(self, inputs, outputs, time_width):
        super().__init__()
        self.norm1 = norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.fc = nn.Linear(time_width, outputs)
        self.norm2 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, time):
        h = self.conv1(functional.silu(self.norm1(x)))
        h = h + self.fc(functional.silu(time))[:, :, None, None]
        return self.skip(x) + self.conv2(functional.silu(self.norm2(h)))


class Attention(nn.Module):
    """Self-attention of one head over all pixels, around a shortcut."""

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
    """A change of size, which needs no time."""

    def forward(self, x, _time):
        return super().forward(x)


def block(inputs, outputs, time_width, with_attention):
    res = ResBlock(inputs, outputs, time_width)
    return Block([res, Attention(outputs)]) if with_attention else res


def downsample(width):
    # Even sizes: TensorFlow's "SAME" puts its one row and column of zeros at the end.
    return Resample(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(width, width, 3, stride=2))


def upsample(width):
    return Resample(nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1))


class UNet(nn.Module):
    """Predicts what is asked of it for x_t, [B, channels, H, W], and t, [B]."""

    def __init__(self, channels=3, hidden=128, multipliers=(1, 2, 2, 2), blocks=2,
                 attention=(False, True, False, False)):
        super().__init__()
        self.hidden, time_width = hidden, 4 * hidden
        widths = [hidden * multiplier for multiplier in multipliers]
        self.embed = nn.Sequential(
            nn.Linear(hidden, time_width), nn.SiLU(), nn.Linear(time_width, time_width)
        )
        self.in_conv = nn.Conv2d(channels, hidden, 3, padding=1)
        self.downsamples, self.upsamples = nn.ModuleDict(), nn.ModuleDict()
        skips, inputs = [hidden], hidden
        for level, width in enumerate(widths):
            stages = nn.ModuleList()
            for _ in range(blocks):
                stages.append(block(inputs, width, time_width, attention[level]))
                inputs = width
                skips.append(width)
            if level + 1 < len(widths):
                stages.append(downsample(width))
                skips.append(width)
            self.downsamples[f"level_{level}"] = stages
        self.middle = Block([
            ResBlock(inputs, inputs, time_width), Attention(inputs),
            ResBlock(inputs, inputs, time_width),
        ])
        for level, width in reversed(list(enumerate(widths))):
            stages = nn.ModuleList()
            for _ in range(blocks + 1):
                stages.append(block(inputs + skips.pop(), width, time_width, attention[level]))
                inputs = width
            if level > 0:
                stages.append(upsample(width))
            self.upsamples[f"level_{level}"] = stages
        self.out_conv = nn.Sequential(norm(inputs), nn.SiLU(), nn.Conv2d(inputs, channels, 3, padding=1))

    def forward(self, x, t):
        time = self.embed(sinusoids(t, self.hidden))
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
    """Sines and then cosines of t at `width` / 2 frequencies from 1 down to 1/10000."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half) * (-math.log(10_000) / (half - 1)))
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
