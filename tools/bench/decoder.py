"""The toy network of ddpm-torch in PyTorch, written independently of the exporter's.

The defaults are its network for points: 67,074 parameters.
"""

import torch
from torch import nn
from torch.nn import functional

from unet import sinusoids

SLOPE = 0.02


class TemporalLayer(nn.Module):
    """A residual MLP of two layers, conditioned on the time."""

    def __init__(self, width):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, width, bias=False)
        self.norm2 = nn.LayerNorm(width)
        self.fc2 = nn.Linear(width, width, bias=False)
        self.enc = nn.Linear(width, width)

    def forward(self, h, time):
        update = self.fc1(functional.leaky_relu(self.norm1(h), SLOPE)) + self.enc(time)
        return h + self.fc2(functional.leaky_relu(self.norm2(update), SLOPE))


class Decoder(nn.Module):
    """Predicts the training target for points x_t, [B, features], and t, [B]."""

    def __init__(self, features=2, width=128, layers=3):
        super().__init__()
        self.width = width
        self.t_proj = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(SLOPE))
        self.in_fc = nn.Linear(features, width, bias=False)
        # One layer, applied repeatedly.
        self.temp_fc = nn.ModuleList([TemporalLayer(width)] * layers)
        self.out_norm = nn.LayerNorm(width)
        self.out_fc = nn.Linear(width, features)

    def forward(self, x, t):
        time = self.t_proj(sinusoids(t, self.width))
        h = self.in_fc(x)
        for layer in self.temp_fc:
            h = layer(h, time)
        return self.out_fc(self.out_norm(h))
