#!/usr/bin/env python3
"""Makes dist/: a folder that runs on a machine without Rust or network.

It is assembled in a temporary folder and renamed at the end, so dist/ is never
partial. Needs the release binaries, which `make dist` builds first.
"""

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import checkout

DIST = checkout.ROOT / "dist"

PROGRAMS = ("ddpm-server", "ddpm", "ddpm-exporter")

# Where the packaged exporter looks for libtorch after LD_LIBRARY_PATH: a folder of dist/ that the
# user may fill or link.
RUNPATH = b"$ORIGIN/../lib"


def main():
    with assembled(DIST) as new:
        copy_programs(new / "bin")
        copy_runtime(new / "lib")
        copy_models(new / "models")
        copy_docs_and_checks(new)
    size = sum(file.stat().st_size for file in DIST.rglob("*") if file.is_file())
    print(f"{DIST.name}/: {size / 2**20:.0f} MiB; copy it anywhere and run ./smoke-test there")


@contextlib.contextmanager
def assembled(folder):
    """Gives a new folder that takes the place of `folder` at the end of the block, or never."""
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        new.rename(folder)


def copy_programs(folder, profile="release"):
    folder.mkdir(parents=True)
    for name in PROGRAMS:
        # The script that first checks for libtorch takes the exporter's name.
        target = folder / (name if name != "ddpm-exporter" else "ddpm-exporter.real")
        run("strip", "-o", target, checkout.binary(name, profile))
    set_runpath(folder / "ddpm-exporter.real")
    shutil.copy2(checkout.ROOT / "tools/dist/ddpm-exporter", folder)


def set_runpath(file):
    """Replaces the build folder in a program's RUNPATH, in place."""
    listing = run("readelf", "--wide", "--dynamic", file).stdout
    found = re.search(r"\((?:RUN|R)PATH\).*\[(.*)\]", listing)
    if not found:
        raise SystemExit(f"error: {file.name} has no RUNPATH; crates/torch/link.rs should set one")
    old = found[1].encode() + b"\0"
    program = file.read_bytes()
    if program.count(old) != 1 or len(old) <= len(RUNPATH):
        raise SystemExit(f"error: the RUNPATH of {file.name} cannot be replaced: {found[1]}")
    file.write_bytes(program.replace(old, RUNPATH.ljust(len(old), b"\0")))


def copy_runtime(folder):
    """Copies ONNX Runtime and its providers (CUDA's with DEVICE=cuda)."""
    folder.mkdir()
    library = checkout.onnxruntime()
    shutil.copy2(library, folder)
    for provider in library.parent.glob("libonnxruntime_providers_*.so"):
        if "tensorrt" not in provider.name:
            shutil.copy2(provider, folder)
    for notice in ("LICENSE", "ThirdPartyNotices.txt"):
        source = library.parent.parent / notice
        if source.is_file():
            shutil.copy2(source, folder / f"onnxruntime-{notice}")


def copy_models(folder):
    """Copies the embedded models, as packages to inspect, verify and measure."""
    for package in sorted(checkout.ROOT.glob("models/*/ddpm.json")):
        shutil.copytree(package.parent, folder / package.parent.name)


def copy_docs_and_checks(folder):
    for name in ("README.md", "smoke-test", "benchmark.py", "gpu-check", "checks.py",
                 "programs.py"):
        shutil.copy2(checkout.ROOT / "tools/dist" / name, folder)
    shutil.copy2(checkout.ROOT / "tools/serving.py", folder)
    for licence in checkout.ROOT.glob("LICENSE-*"):
        shutil.copy2(licence, folder)


def run(*command):
    try:
        return subprocess.run([str(word) for word in command], check=True, text=True,
                              stdout=subprocess.PIPE)
    except FileNotFoundError:
        raise SystemExit(f"error: {command[0]} is missing: on Debian and Ubuntu, "
                         "`apt install binutils`.") from None
    except subprocess.CalledProcessError:
        raise SystemExit(f"error: {command[0]} failed; see its message above") from None


if __name__ == "__main__":
    sys.exit(main())
