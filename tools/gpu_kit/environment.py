"""The variables with which programs find what PyTorch brought along, and nothing else."""

import importlib.metadata
import importlib.util
import os
import platform
from pathlib import Path

# What the loader of our programs, and Python's packages, should be of.
PACKAGES = ("torch", "triton", "nvidia-cuda-runtime", "nvidia-cudnn-cu13", "nvidia-cublas")

# Where tools are, if nothing says so.
PATHS = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/cuda/bin", "/usr/local/nvidia/bin")


def prepare(work):
    """Sets the variables of this process for the programs that it starts."""
    for name in list(os.environ):
        # They name another ONNX Runtime, another device, other limits.
        if name.startswith("DDPM_") or name == "ORT_DYLIB_PATH":
            del os.environ[name]
    paths = os.environ.get("PATH", "").split(":")
    os.environ["PATH"] = ":".join(filter(None, [*paths, *PATHS]))
    others = os.environ.get("LD_LIBRARY_PATH", "")
    os.environ["LD_LIBRARY_PATH"] = ":".join(filter(None, [*map(str, libraries()), others]))
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("HOME", str(work))
    # torch.compile's results stay in the work folder. Several compile at the same time.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(work / "compiled")
    os.environ["TRITON_CACHE_DIR"] = str(work / "compiled/triton")
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "4"


def libraries():
    """Returns the folders of libtorch, and of CUDA beside it, from the installed packages."""
    return [folder / "lib" for folder in package_folders("torch")] + [
        library for folder in package_folders("nvidia") for library in sorted(folder.glob("*/lib"))
    ]


def package_folders(name):
    """Returns where Python finds a package: nowhere, or in several places for parts of one."""
    found = importlib.util.find_spec(name)
    return [Path(folder) for folder in found.submodule_search_locations or []] if found else []


def versions():
    """Returns the versions of Python and of the packages that are installed."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass  # the table shows what is there
    return found
