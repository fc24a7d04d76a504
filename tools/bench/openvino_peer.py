"""Measures OpenVINO on the portable graph of a package, computed in bf16."""

import time
from pathlib import Path

import numpy as np
import openvino
from safetensors.numpy import load_file

# bf16 keeps eight bits: sums of its roundings through the network. Root mean square of the
# difference, relative to the outputs'.
TOLERANCE = 5e-2


class DifferenceError(Exception):
    """OpenVINO does not compute what the exporter's network does."""


class OpenVino:
    """The portable graph in bf16, on all cores, each call as fast as it can be."""

    def __init__(self, package):
        """Compiles the graph and compares it with the package's golden outputs.

        Raises DifferenceError if they differ by more than bf16 explains.
        """
        package = Path(package)
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16", "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
        }
        core = openvino.Core()
        self._graph = core.compile_model(package / "unet/model.onnx", "CPU", settings)
        self.difference = self._check(load_file(package / "testdata/golden.safetensors"))

    def _check(self, golden):
        """Returns the root mean square of the difference, relative to the outputs'."""
        wanted = golden["out_sample"]
        got = self._graph({"sample": golden["sample"], "timestep": golden["timestep"]})[0]
        difference = float(np.sqrt(np.mean((got - wanted) ** 2) / np.mean(wanted ** 2)))
        # Written so that a NaN fails too.
        if not difference <= TOLERANCE:
            raise DifferenceError(
                f"OpenVINO differs from the golden outputs by {difference:.1e} of their size, "
                f"more than {TOLERANCE:.0e}"
            )
        return difference

    def evals_per_second(self, batch, seconds):
        """Evaluates `batch` samples repeatedly for at least `seconds`."""
        random = np.random.default_rng(1)
        inputs = {
            "sample": random.standard_normal((batch, 3, 32, 32)).astype(np.float32),
            "timestep": np.full(batch, 500.0, np.float32),
        }
        self._graph(inputs)
        calls, begin = 0, time.perf_counter()
        while calls == 0 or time.perf_counter() - begin < seconds:
            self._graph(inputs)
            calls += 1
        return calls * batch / (time.perf_counter() - begin)


def version():
    return openvino.__version__.partition("-")[0]
