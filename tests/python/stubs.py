"""Python stubs of proto/ddpm/v1, generated when this module is imported.

They are generated from the .proto files every time, as by a user who has nothing else
of this project.
"""

import atexit
import importlib.resources
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[2] / "proto"


def generate():
    """Writes the stubs into a folder that lasts as long as this process, and returns it."""
    folder = tempfile.TemporaryDirectory(prefix="ddpm-stubs-")
    atexit.register(folder.cleanup)
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    files = [str(file) for file in sorted(PROTO.glob("ddpm/v1/*.proto"))]
    flags = ["-I", str(PROTO), "-I", str(well_known)]
    outputs = ["--python_out", folder.name, "--grpc_python_out", folder.name]
    if protoc.main(["protoc", *flags, *outputs, *files]) != 0:
        raise SystemExit(f"error: protoc rejected the files in {PROTO}; see its message above")
    return folder.name


sys.path.insert(0, generate())

from ddpm.v1 import (  # noqa: E402  (generated just above)
    model_pb2 as models,
    model_pb2_grpc as models_grpc,
    sampling_pb2 as sampling,
    sampling_pb2_grpc as sampling_grpc,
    server_pb2 as server,
    server_pb2_grpc as server_grpc,
)

__all__ = ["models", "models_grpc", "sampling", "sampling_grpc", "server", "server_grpc"]
