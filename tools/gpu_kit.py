#!/usr/bin/env python3
"""Makes gpu-kit/: what checks and measures this project on a machine with a GPU, in small files.

    python3 tools/gpu_kit.py [--arch N…] [--piece-mib N]

The folder holds ONNX Runtime and our programs as compressed archives in pieces, the scripts, a
manifest with the pieces' digests, and `run`, which does the rest there (docs/gpu.md). An archive
whose files have not changed is taken over from the gpu-kit/ before. Needs the release binaries,
which `make gpu-kit` builds first.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import checkout
import dist

sys.path.append(str(checkout.ROOT / "tools/gpu_kit"))

import pieces  # noqa: E402
from fatbin import FatBinaryError, keep_architectures  # noqa: E402

KIT = checkout.ROOT / "gpu-kit"

# H100 and H200.
HOPPER = 90

# ONNX Runtime for one architecture fills less than two of them.
PIECE_MIB = 36
MOST_PIECE_MIB = 60

# Scripts of other folders that the kit needs.
SCRIPTS = (
    "serving.py", "dist/benchmark.py", "dist/checks.py", "dist/programs.py", "bench/eager.py",
    "bench/loops.py", "bench/machine.py", "bench/quiet.py", "bench/tensors.py",
    "bench/trained.py", "bench/unet.py",
)

# What stays in the folder when it is made again.
FINDINGS = "results"


def main():
    args = arguments()
    manifest = make(KIT, "release", args.arch, args.piece_mib << 20, preset=6)
    files = [piece for archive in manifest["archives"] for piece in archive["pieces"]]
    size = sum(piece["bytes"] for piece in files)
    print(f"{KIT.name}/: {size / 2**20:.0f} MiB in {len(files)} pieces; copy it to a machine with "
          "a GPU and start ./run there")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--arch", type=int, nargs="+", default=[HOPPER], metavar="N",
                        help="GPU architectures to keep code for, such as 80 90 [90: H100, H200]")
    parser.add_argument("--piece-mib", type=int, default=PIECE_MIB, metavar="N",
                        help=f"size of a piece, at most {MOST_PIECE_MIB} [{PIECE_MIB}]")
    args = parser.parse_args()
    if not 1 <= args.piece_mib <= MOST_PIECE_MIB:
        parser.error(f"--piece-mib is from 1 to {MOST_PIECE_MIB}, got {args.piece_mib}")
    return args


def make(kit, profile, architectures, limit, preset):
    """Makes a kit from binaries of `profile` and returns its manifest.

    `limit` is the size of a piece in bytes, `preset` xz's.
    """
    with dist.assembled(kit) as new:
        archives = []
        for name, copy in (("onnxruntime", copy_onnxruntime), ("programs", copy_programs)):
            with tempfile.TemporaryDirectory(prefix=".pack-", dir=new) as folder:
                copy(Path(folder), profile, architectures)
                archives.append(archive(Path(folder), kit, new, name, limit, preset))
        manifest = {
            "commit": checkout.commit(), "onnxruntime": version(checkout.onnxruntime()),
            "profile": profile, "architectures": architectures if cuda_library() else [],
            "archives": archives,
        }
        (new / "kit.json").write_text(json.dumps(manifest, indent=1) + "\n")
        copy_scripts(new)
        if (kit / FINDINGS).exists():
            (kit / FINDINGS).rename(new / FINDINGS)
    return manifest


def cuda_library():
    """Returns the library with ONNX Runtime's machine code for GPUs; None in the CPU build."""
    library = checkout.onnxruntime().with_name("libonnxruntime_providers_cuda.so")
    return library if library.is_file() else None


def copy_onnxruntime(folder, _profile, architectures):
    dist.copy_runtime(folder / "lib")
    library = cuda_library()
    if library is None:
        return
    try:
        kept, zeroed = keep_architectures(folder / "lib" / library.name, architectures)
    except FatBinaryError as error:
        raise SystemExit(f"error: {error}") from None
    progress(f"{library.name}: {kept >> 20} MiB of machine code kept, {zeroed >> 20} MiB zeroed")


def copy_programs(folder, profile, _architectures):
    dist.copy_programs(folder / "bin", profile)
    dist.copy_models(folder / "models")


def archive(folder, before, new, name, limit, preset):
    """Packs a folder into `new`, or takes its archive over from the kit before."""
    known = archive_before(before, name)
    if known and known["contents"] == pieces.digest(folder) and is_cut(known, limit):
        if pieces.take_over(before, known, new):
            progress(f"{name}: as before")
            return known
    progress(f"{name}: compressing")
    return pieces.pack(folder, new, name, limit, preset)


def is_cut(archive, limit):
    """Returns whether an archive is in pieces of `limit` bytes."""
    *full, last = (piece["bytes"] for piece in archive["pieces"])
    return last <= limit and all(size == limit for size in full)


def archive_before(kit, name):
    try:
        archives = json.loads((kit / "kit.json").read_text())["archives"]
    except FileNotFoundError:
        return None
    return next((archive for archive in archives if archive["name"] == name), None)


def copy_scripts(new):
    tools, scripts = checkout.ROOT / "tools", new / "scripts"
    scripts.mkdir()
    for path in [tools / name for name in SCRIPTS] + sorted(tools.glob("gpu_kit/*.py")):
        shutil.copy2(path, scripts)
    shutil.copy2(tools / "gpu_kit/run", new)


def version(library):
    """Returns the version in the name of a library, such as 1.31.1 of libx.so.1.31.1."""
    return library.name.partition(".so.")[2] or "unknown"


def progress(text):
    print(f"gpu-kit: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
