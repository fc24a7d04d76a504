#!/usr/bin/env python3
"""ONNX's checker and Python's onnxruntime read the graphs of a package as we do.

`make diffusers`, which `make test` runs, adds graphs to the embedded glyphs with
target/debug/ddpm-exporter; this checks what comes out.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".peers"), str(ROOT / "tools")]

# onnxruntime reports to its vendor unless this is set before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import checkout  # noqa: E402
import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402

from runner import main  # noqa: E402


class Graphs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="ddpm-graphs-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.package = Path(cls.folder.name) / "glyphs"
        subprocess.run(
            [checkout.binary("ddpm-exporter", "debug"), "convert", ROOT / "models/glyphs",
             "--output", cls.package, "--graphs", "cuda,int8", "--data", "glyphs:500",
             "--int8-samples", "100", "--force-int8", "--no-cache",
             "--ort-lib", checkout.onnxruntime()],
            check=True, stdout=subprocess.DEVNULL,
        )
        cls.manifest = json.loads((cls.package / "ddpm.json").read_text())

    def variant(self, name):
        return next(v for v in self.manifest["variants"] if v["graph"] == name)

    def load(self, path):
        return onnx.load(self.package / path)

    def test_the_checker_accepts_every_graph(self):
        for path in ["unet/model.onnx"] + [v["path"] for v in self.manifest["variants"]]:
            with self.subTest(path):
                # The full check infers shapes, and knows no contributed operators.
                onnx.checker.check_model(self.load(path), full_check="cuda" not in path)

    def test_onnxruntime_reproduces_the_golden_outputs_of_the_graphs_for_cpus(self):
        int8 = self.variant("int8")
        for path, golden, allowed in [
            ("unet/model.onnx", self.manifest["golden"], 1e-4),
            (int8["path"], int8["golden"], int8["tolerance"]),
        ]:
            with self.subTest(path):
                tensors = load_file(self.package / golden)
                want = tensors.pop("out_sample")
                session = onnxruntime.InferenceSession(self.package / path)
                got = session.run(None, tensors)[0]
                off = np.sqrt(((got - want) ** 2).mean() / (want**2).mean())
                self.assertLess(off, allowed)

    def test_every_convolution_but_the_first_and_the_last_runs_on_integers(self):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(self.package / "optimised.onnx")
        onnxruntime.InferenceSession(self.package / self.variant("int8")["path"], options)
        kinds = Counter(node.op_type for node in self.load("optimised.onnx").graph.node)
        written = Counter(node.op_type for node in self.load("unet/model.int8.onnx").graph.node)
        self.assertEqual(kinds["QLinearConv"], written["Conv"] - 2)

    def test_every_result_of_the_graph_for_cuda_has_a_type_and_a_shape(self):
        graph = self.load(self.variant("cuda")["path"]).graph
        described = {info.name for info in [*graph.value_info, *graph.output]}
        for node in graph.node:
            self.assertLessEqual(set(node.output), described, node.name)

    def test_the_graph_for_cuda_moves_axes_at_its_ends_alone(self):
        graph = self.load(self.variant("cuda")["path"]).graph
        kinds = [node.op_type for node in graph.node]
        self.assertEqual(kinds.count("Transpose"), 2)
        inside = kinds[kinds.index("NhwcConv"):len(kinds) - 1 - kinds[::-1].index("NhwcConv")]
        self.assertNotIn("Transpose", inside)


if __name__ == "__main__":
    main()
