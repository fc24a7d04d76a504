"""Makes the stubs of ddpm.v1 when a wheel is built, and puts the .proto files into the sdist.

The .proto files are those of the checkout; in an sdist, which has no checkout around it, its own copy.
"""

import importlib.resources
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
COPY = HERE / "proto" / "ddpm" / "v1"
CHECKOUT = HERE.parent.parent / "proto" / "ddpm" / "v1"


def contract():
    """Returns the folder of the .proto files."""
    for folder in (CHECKOUT, COPY):
        if (folder / "sampling.proto").is_file():
            return folder
    raise SystemExit(f"error: no sampling.proto in {CHECKOUT} or {COPY}; build from a checkout or from an sdist")


class BuildStubs(build_py):
    """Writes the stubs beside the modules that use them."""

    def run(self):
        super().run()
        from grpc_tools import protoc

        target = Path(self.build_lib)
        well_known = importlib.resources.files("grpc_tools") / "_proto"
        own = HERE / "proto"
        for root, files, flags in (
            (contract().parents[1], sorted(contract().glob("*.proto")), ["--grpc_python_out", "--pyi_out", "--python_out"]),
            (own, [own / "ddpm" / "_status.proto"], ["--python_out"]),
        ):
            outputs = [f"{flag}={target}" for flag in flags]
            arguments = ["protoc", f"-I{root}", f"-I{well_known}", *outputs, *map(str, files)]
            if protoc.main(arguments) != 0:
                raise SystemExit(f"error: protoc rejected the files in {root}; see its message above")
        (target / "ddpm" / "v1" / "__init__.py").write_text('"""Stubs of the contract, made from its .proto files."""\n')


class SdistWithContract(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        shutil.copytree(contract(), Path(base_dir) / "proto" / "ddpm" / "v1", dirs_exist_ok=True)
        shutil.copy(HERE / "proto" / "ddpm" / "_status.proto", Path(base_dir) / "proto" / "ddpm")


setup(cmdclass={"build_py": BuildStubs, "sdist": SdistWithContract})
