#!/usr/bin/env python3
"""Fills a folder with many small pictures, to see that work on them takes time in proportion.

Needs only Python. The same arguments always make the same files; 100,000 take about ten seconds.

  tools/many_pictures.py /tmp/many --count 100000
  tools/many_pictures.py /tmp/messy --classes 500 --sizes 200 --duplicates 10 --broken 10
"""

import argparse
import hashlib
from pathlib import Path
import struct
import sys
import zlib

# Files of one folder, where there are no classes.
PER_FOLDER = 1000


def main():
    arguments = parse()
    if arguments.folder.exists() and any(arguments.folder.iterdir()):
        sys.exit(f"{arguments.folder} is not empty; name a new folder")
    folders = set()
    for number in range(arguments.count):
        path = arguments.folder / place(number, arguments.classes)
        if path.parent not in folders:
            folders.add(path.parent)
            path.parent.mkdir(parents=True)
        path.write_bytes(content(number, arguments))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="new folder")
    number = {"type": int, "metavar": "N"}
    parser.add_argument("--count", default=100_000, **number, help="files [default: 100000]")
    parser.add_argument("--size", default=16, **number, help="smallest side in pixels [default: 16]")
    parser.add_argument("--sizes", default=1, **number, help="different sizes [default: 1]")
    parser.add_argument("--classes", default=0, **number, help="folders that are classes [default: 0]")
    parser.add_argument("--duplicates", default=0, **number, help="pictures of 100 equal to another")
    parser.add_argument("--broken", default=0, **number, help="files of 100 that are cut short")
    return parser.parse_args()


def place(number, classes):
    """Returns the path of a picture below the folder."""
    folder = f"class {number % classes:04}" if classes else f"{number // PER_FOLDER:04}"
    return f"{folder}/{number:06}.png"


def content(number, arguments):
    """Returns the bytes of a file."""
    if number % 100 < arguments.duplicates:
        number %= 100
    side = arguments.size + number % arguments.sizes
    picture = png(side, str(number).encode())
    is_broken = number % 100 >= 100 - arguments.broken
    return picture[: len(picture) // 2] if is_broken else picture


def png(side, seed):
    """Encodes side × side pixels of noise: RGB with 8 bits."""
    row = 3 * side
    noise = hashlib.shake_128(seed).digest(side * row)
    # Each row begins with its filter: 0 for none.
    rows = b"".join(b"\0" + noise[at : at + row] for at in range(0, len(noise), row))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, body) for name, body in parts)


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


if __name__ == "__main__":
    main()
