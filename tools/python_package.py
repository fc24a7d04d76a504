#!/usr/bin/env python3
"""Builds the Python client: an sdist of client/python, and a wheel from that sdist alone.

    python3 tools/python_package.py FOLDER

Prints the paths of both. The packages of tests/python/requirements.txt, in .peers/, do the work.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def build(folder):
    """Builds into a folder and returns the paths of the sdist and the wheel. Prints what failed, and exits, if one does."""
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ddpm-package-") as scratch:
        # Building leaves files beside the sources.
        source = Path(scratch) / "client" / "python"
        shutil.copytree(ROOT / "client/python", source, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "proto/ddpm", Path(scratch) / "proto" / "ddpm")
        sdist = run("build_sdist", source, folder)
        with tarfile.open(sdist) as archive:
            archive.extractall(scratch, filter="data")
        wheel = run("build_wheel", Path(scratch) / sdist.name.removesuffix(".tar.gz"), folder)
    return sdist, wheel


def run(hook, source, folder):
    """Runs a hook of the build backend (PEP 517) in a folder of sources."""
    script = f"from setuptools import build_meta; print(build_meta.{hook}({str(folder)!r}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".peers")}
    done = subprocess.run([sys.executable, "-c", script], cwd=source, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: {hook} failed in {source}\n{done.stdout}{done.stderr}")
    return folder / done.stdout.split()[-1]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for path in build(sys.argv[1]):
        print(path)
