#!/usr/bin/env python3
"""Python's diffusers and plain onnxruntime read packages as we do.

`make diffusers`, which `make test` runs, imports models of every kind with
target/debug/ddpm-exporter and checks that both read the packages (check_diffusers.py).
"""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".peers"), str(ROOT / "tools")]

import checkout  # noqa: E402

from check_diffusers import check  # noqa: E402
from runner import main  # noqa: E402

FIXTURES = ROOT / "tests/fixtures"


class Diffusers(unittest.TestCase):
    def check(self, source, *flags):
        with tempfile.TemporaryDirectory(prefix="ddpm-diffusers-") as folder:
            package = Path(folder) / Path(source).stem
            subprocess.run(
                [checkout.binary("ddpm-exporter", "debug"), "import", FIXTURES / source, *flags,
                 "--output", package, "--ort-lib", checkout.onnxruntime()],
                check=True, stdout=subprocess.DEVNULL,
            )
            check(package)

    def test_a_network_of_diffusers_comes_back(self):
        self.check("diffusers/ddpm")

    def test_a_flat_folder_with_old_names_comes_back_with_new_ones(self):
        self.check("diffusers/legacy")

    def test_a_network_with_classes_comes_back(self):
        self.check("diffusers/guided")

    def test_odd_sizes_come_back(self):
        self.check("diffusers/odd")

    def test_residual_resampling_comes_back(self):
        self.check("diffusers/resnets")

    def test_a_network_without_attention_in_the_middle_comes_back(self):
        self.check("diffusers/hollow")

    def test_a_checkpoint_of_ddpm_torch_becomes_a_network_of_diffusers(self):
        self.check("checkpoints/ema.pt", "--image-size", "16")


if __name__ == "__main__":
    main()
