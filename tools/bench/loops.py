"""Training loops in PyTorch, to compare the exporter's with.

Each takes the step of Ho et al. 2020, algorithm 1, as the exporter does: a batch of a data
set in memory, flips, noise, q_sample, mean squared error, backward, gradient clipping, Adam
with warm-up, an exponential moving average of the weights, reading the loss.
"""

import time

import torch
from torch import nn
from torch.nn import functional


class Loop:
    """A network and the state that a step changes."""

    def __init__(self, network, data, betas, *, batch, lr, warmup, tuned, channels_last=False,
                 flips=True, decay=0.9999, device="cpu", autocast=None, compiled=False):
        """`data` is [N, …]: u8 for pictures, f32 for points. `flips` mirrors half of the pictures.

        With `tuned`, Adam and the average update all tensors in one call; without, they are
        those of the reference: stock Adam, and one average update per tensor. The network
        computes in the type `autocast` where PyTorch's list allows it, and is `compiled` by
        torch.compile if asked.
        """
        self._batch, self._flips, self._decay = batch, flips, decay
        self._device, self._autocast = torch.device(device), autocast
        self._data = data.to(self._device)
        self._order = torch.empty(0, dtype=torch.int64, device=self._device)
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._network = network.train().to(self._device, memory_format=self._format)
        self._forward = torch.compile(self._network) if compiled else self._network
        bar = torch.cumprod(1.0 - betas.to(self._device), 0)
        self._alpha, self._sigma = bar.sqrt().float(), (1.0 - bar).sqrt().float()
        self._adam = torch.optim.Adam(network.parameters(), lr=lr, fused=tuned or None)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._adam, lambda step: min((step + 1) / warmup, 1.0) if warmup else 1.0)
        self._average = average_at_once if tuned else average_each
        self._parameters = dict(network.named_parameters())
        self.averages = {name: p.detach().clone() for name, p in self._parameters.items()}
        self._steps = 0

    def step(self):
        """Takes a step and returns its loss."""
        x_0, noise, t = self._draw()
        shape = (-1,) + (1,) * (x_0.dim() - 1)
        x_t = self._alpha[t].view(shape) * x_0 + self._sigma[t].view(shape) * noise
        self._adam.zero_grad()
        loss = functional.mse_loss(self._predict(x_t, t), noise)
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        self._adam.step()
        self._schedule.step()
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._average(self.averages, self._parameters, 1.0 - decay)
        self._steps += 1
        return loss.item()

    def _predict(self, x_t, t):
        if self._autocast is None:
            return self._forward(x_t, t)
        with torch.autocast(self._device.type, self._autocast):
            prediction = self._forward(x_t, t)
        return prediction.float()

    def _draw(self):
        if len(self._order) < self._batch:
            self._order = torch.randperm(len(self._data), device=self._device)
        items, self._order = self._order[:self._batch], self._order[self._batch:]
        x_0 = self._data[items]
        if x_0.dtype == torch.uint8:
            x_0 = x_0.float() / 127.5 - 1.0
            if self._flips:
                flips = torch.rand(self._batch, device=self._device) < 0.5
                x_0 = torch.where(flips[:, None, None, None], x_0.flip(-1), x_0)
            x_0 = x_0.contiguous(memory_format=self._format)
        noise = torch.randn_like(x_0)
        return x_0, noise, torch.randint(len(self._alpha), (self._batch,), device=self._device)

    def items_per_second(self, seconds):
        """Takes steps for at least `seconds`."""
        self.step()
        steps, begin = 0, time.perf_counter()
        while steps == 0 or time.perf_counter() - begin < seconds:
            self.step()
            steps += 1
        return steps * self._batch / (time.perf_counter() - begin)


@torch.no_grad()
def average_each(averages, parameters, weight):
    for name, parameter in parameters.items():
        averages[name] += weight * (parameter - averages[name])


@torch.no_grad()
def average_at_once(averages, parameters, weight):
    torch._foreach_lerp_(list(averages.values()), list(parameters.values()), weight)
