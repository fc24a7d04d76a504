"""Zeroes the machine code in a library that is for other GPUs than those wanted.

nvcc puts the code of a source file into a *fat binary*: a header, then an entry for each
architecture, which is a header and its code.

    header   magic u32, version u16, bytes of this header u16, bytes of all entries u64
    entry    kind u16, version u16, bytes of its header u32, bytes of its code u64, …
             and at byte 28 the architecture u32: 90 for compute capability 9.0

The driver takes the entry for its GPU and reads the code of no other. The headers stay, so the
library has the same layout; zeros compress to nearly nothing.
"""

import mmap
import struct
from typing import NamedTuple

MAGIC = 0xBA55ED50
VERSION = 1

HEADER = struct.Struct("<IHHQ")
ENTRY = struct.Struct("<HHIQ")
ARCHITECTURE = struct.Struct("<I")
ARCHITECTURE_AT = 28


class FatBinaryError(Exception):
    """A library cannot be stripped; the message says why."""


class Entry(NamedTuple):
    """The code for one architecture: the bytes from `begin` to `end` of the file."""

    architecture: int
    begin: int
    end: int


def keep_architectures(path, wanted):
    """Zeroes, in place, the code that is for none of the `wanted` architectures.

    Returns the bytes of code that are kept and that were zeroed. Raises FatBinaryError, and
    changes nothing, if a fat binary has another layout or an architecture is missing.
    """
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as image:
        entries = list(find_entries(image))
        found = {entry.architecture for entry in entries}
        missing = set(wanted) - found
        if missing:
            raise FatBinaryError(
                f"{path.name} has no code for {spell(missing)}; it has some for "
                f"{spell(found) or 'no GPU'}"
            )
        sizes = {True: 0, False: 0}
        for architecture, begin, end in entries:
            keeps = architecture in wanted
            sizes[keeps] += end - begin
            if not keeps:
                image[begin:end] = bytes(end - begin)
    return sizes[True], sizes[False]


def find_entries(image):
    """Returns an iterator over the entries of all fat binaries in the bytes of a library."""
    magic = struct.pack("<I", MAGIC)
    at = image.find(magic)
    while at >= 0:
        # The same four bytes may stand anywhere by chance, also too near the end.
        size = entries_size(image, at)
        if size is not None:
            first = at + HEADER.size
            yield from entries_between(image, first, first + size)
        at = image.find(magic, at + (4 if size is None else HEADER.size + size))


def entries_size(image, at):
    """Returns the bytes of all entries of the fat binary at `at`, or None if there is none."""
    if at + HEADER.size > len(image):
        return None
    _, version, header, size = HEADER.unpack_from(image, at)
    is_one = (version, header) == (VERSION, HEADER.size) and at + HEADER.size + size <= len(image)
    return size if is_one else None


def entries_between(image, begin, end):
    while begin < end:
        if begin + ARCHITECTURE_AT + ARCHITECTURE.size > end:
            raise FatBinaryError(f"the fat binary that ends at byte {end} has half an entry")
        _, _, header, size = ENTRY.unpack_from(image, begin)
        (architecture,) = ARCHITECTURE.unpack_from(image, begin + ARCHITECTURE_AT)
        code = begin + header
        if header < ARCHITECTURE_AT + ARCHITECTURE.size or code + size > end:
            raise FatBinaryError(f"the entry at byte {begin} is longer than its fat binary")
        yield Entry(architecture, code, code + size)
        begin = code + size


def spell(architectures):
    """Spells architectures as compute capabilities: 9.0 for 90."""
    return ", ".join(f"{number // 10}.{number % 10}" for number in sorted(architectures))
