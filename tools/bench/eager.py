#!/usr/bin/env python3
"""Measures PyTorch eager on the weights of a package.

    ddpm-exporter random --network cifar10 --with-weights --output PACKAGE
    PYTHONPATH=.peers python3 tools/bench/eager.py PACKAGE

First checks the network against the package's golden outputs. Prints one JSON document:
evaluations of one sample per second, fp32, for each batch size in both memory formats.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from quiet import watched
from tensors import load_file
from unet import UNet

FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}

# Relative to the size of the outputs. In fp32 the largest difference, as in the server's golden
# gate; in bf16, which keeps eight bits, the root mean square: sums of its roundings.
TOLERANCE = 1e-4
HALF_TOLERANCE = 5e-2

# Seconds of calls between two looks at the clock, each of which waits for the device.
STRETCH = 0.05


class GoldenError(Exception):
    """The network does not compute what the exporter's does."""


class Eager:
    """The package's network in one memory format, on one device in one type."""

    def __init__(self, package, memory_format, device="cpu", dtype=torch.float32, compiled=False,
                 **network):
        """Loads the weights and checks them.

        The network is the CIFAR-10 one unless its settings are given, as to UNet, and `compiled`
        by torch.compile if asked, with its calls recorded and replayed on a GPU. Raises
        GoldenError if the outputs differ from the package's, and PyTorch's own error if the
        weights belong to another network.
        """
        self._format, self._like = FORMATS[memory_format], {"device": device, "dtype": dtype}
        self._compiled = compiled
        golden = load_file(Path(package) / "testdata/golden.safetensors")
        self._shape = golden["sample"].shape[1:]
        self._network = UNet(**network)
        self._network.load_state_dict(load_file(Path(package) / "weights.safetensors"))
        self._network.eval().to(device, dtype).to(memory_format=self._format)
        self.difference = self._check(golden)
        if compiled:
            self._network = torch.compile(self._network, mode="reduce-overhead")

    @torch.inference_mode()
    def _check(self, golden):
        """Returns the difference from the golden outputs, relative to their size."""
        x = golden["sample"].to(**self._like).to(memory_format=self._format)
        t = golden["timestep"].to(self._like["device"])
        wanted = golden["out_sample"]
        off = self._network(x, t).float().cpu() - wanted
        exact = self._like["dtype"] == torch.float32
        size = off.abs().max() if exact else off.square().mean().sqrt()
        tolerance = TOLERANCE if exact else HALF_TOLERANCE
        difference = float(size / wanted.square().mean().sqrt())
        # Written so that a NaN fails too.
        if not difference <= tolerance:
            raise GoldenError(
                f"PyTorch differs from the golden outputs by {difference:.1e} of their size, "
                f"more than {tolerance:.0e}"
            )
        return difference

    def evals_per_second(self, batch, seconds):
        """Evaluates `batch` samples repeatedly for at least `seconds`."""
        x = torch.randn(batch, *self._shape).to(**self._like).to(memory_format=self._format)
        t = torch.full((batch,), 500.0, device=self._like["device"])
        with torch.no_grad() if self._compiled else torch.inference_mode():
            once = self._warm_up(x, t)
            stretch = max(1, int(STRETCH / once))
            calls, begin = 0, time.perf_counter()
            while calls == 0 or time.perf_counter() - begin < seconds:
                self._calls(x, t, stretch)
                calls += stretch
            return calls * batch / (time.perf_counter() - begin)

    def _warm_up(self, x, t):
        """Returns the seconds of a call as those that follow will be."""
        # A compiled network is compiled, recorded and replayed first.
        for _ in range(4 if self._compiled else 1):
            self._calls(x, t, 1)
        return self._calls(x, t, 1)

    def _calls(self, x, t, count):
        """Makes calls and returns the seconds until the device has done the last."""
        begin = time.perf_counter()
        for _ in range(count):
            self._network(x, t)
        if x.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("package", help="a package of the CIFAR-10 network, with its weights")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8, 16], metavar="B")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each kind [5]")
    parser.add_argument("--seconds", type=float, default=2.0, help="duration of a measurement [2]")
    args = parser.parse_args()

    networks = {name: Eager(args.package, name) for name in FORMATS}
    rows = {(name, batch): [] for name in networks for batch in args.batches}
    for _ in range(args.rounds):
        for (name, batch), measured in rows.items():
            measured.append(watched(networks[name].evals_per_second, batch, args.seconds))
    print(json.dumps({
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "golden_difference": {name: network.difference for name, network in networks.items()},
        "rows": [
            {
                "memory_format": name,
                "batch": batch,
                "evals_per_second": statistics.median(value for value, _ in measured),
                "others": max(others for _, others in measured),
            }
            for (name, batch), measured in rows.items()
        ],
    }, indent=2))


if __name__ == "__main__":
    main()
