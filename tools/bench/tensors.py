"""Reads safetensors files with PyTorch alone.

The format: the length of a JSON document, the document, then the tensors' bytes. The document has
each tensor's type, shape, and place among those bytes.
"""

import json
from pathlib import Path

import torch

TYPES = {"F32": torch.float32, "F16": torch.float16, "I64": torch.int64}


def load_file(path):
    """Returns the tensors of a file, {name: tensor}, on the CPU."""
    data = bytearray(Path(path).read_bytes())
    first = 8 + int.from_bytes(data[:8], "little")
    entries = json.loads(data[8:first])
    entries.pop("__metadata__", None)
    return {name: tensor(data, first, **entry) for name, entry in entries.items()}


def tensor(data, first, dtype, shape, data_offsets):
    begin, end = data_offsets
    kind = TYPES[dtype]
    values = torch.frombuffer(
        data, dtype=kind, offset=first + begin, count=(end - begin) // kind.itemsize
    )
    return values.reshape(shape)
