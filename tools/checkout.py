"""Paths in a checkout."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def binary(name, profile):
    """Returns the path of a built program; `profile` is "debug" or "release"."""
    path = target_folder() / profile / name
    if not path.is_file():
        flag = " --release" if profile == "release" else ""
        raise SystemExit(f"error: {path} is not built: run `cargo build{flag} --bin {name}`")
    return path


def target_folder():
    """Returns Cargo's target folder, which the user's settings may move."""
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"]
    answer = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return Path(json.loads(answer.stdout)["target_directory"])


def onnxruntime():
    """Returns the ONNX Runtime library of ORT_DYLIB_PATH or of `make setup-server`."""
    own = os.environ.get("ORT_DYLIB_PATH")
    if own:
        return Path(own)
    return ROOT / ".runtime/onnxruntime/capi/libonnxruntime.so.1.31.1"


def commit():
    """Returns the commit of the checkout, with a mark if files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return answer.stdout.strip() or "unknown"
