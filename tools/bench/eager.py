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
from safetensors.torch import load_file

from quiet import watched
from unet import UNet

FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}

# As in the server's golden gate: relative to the size of the outputs.
TOLERANCE = 1e-4


class GoldenError(Exception):
    """The network does not compute what the exporter's does."""


class Eager:
    """The package's network in one memory format, on the CPU."""

    def __init__(self, package, memory_format):
        """Loads the weights and checks them.

        Raises GoldenError if the outputs differ from the package's, and PyTorch's own
        error if the weights belong to another network.
        """
        self._format = FORMATS[memory_format]
        self._network = UNet()
        self._network.load_state_dict(load_file(Path(package) / "weights.safetensors"))
        self._network.eval().to(memory_format=self._format)
        self.difference = self._check(load_file(Path(package) / "testdata/golden.safetensors"))

    @torch.inference_mode()
    def _check(self, golden):
        """Returns the largest difference from the golden outputs, relative to their size."""
        x = golden["sample"].to(memory_format=self._format)
        wanted = golden["out_sample"]
        rms = wanted.square().mean().sqrt()
        difference = float((self._network(x, golden["timestep"]) - wanted).abs().max() / rms)
        # Written so that a NaN fails too.
        if not difference <= TOLERANCE:
            raise GoldenError(
                f"PyTorch differs from the golden outputs by {difference:.1e} of their size, "
                f"more than {TOLERANCE:.0e}"
            )
        return difference

    @torch.inference_mode()
    def evals_per_second(self, batch, seconds):
        """Evaluates `batch` samples repeatedly for at least `seconds`."""
        x = torch.randn(batch, 3, 32, 32).to(memory_format=self._format)
        t = torch.full((batch,), 500.0)
        self._network(x, t)
        calls, begin = 0, time.perf_counter()
        while calls == 0 or time.perf_counter() - begin < seconds:
            self._network(x, t)
            calls += 1
        return calls * batch / (time.perf_counter() - begin)


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
