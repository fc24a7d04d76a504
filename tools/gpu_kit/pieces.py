"""Archives in pieces: a folder, compressed, in files that are small enough to be carried.

An archive is described by a dictionary, which the kit's manifest holds:

    name      of the archive; its pieces are NAME.tar.xz.00, NAME.tar.xz.01, …
    contents  SHA-256 of the folder: of every path, mode and file
    bytes     of the folder's files
    pieces    [{"file": name, "bytes": size, "sha256": digest}], in order

A piece is compared with its digest before any of its bytes are used, and a folder appears whole
or not at all.
"""

import hashlib
import io
import lzma
import os
import tarfile
import tempfile
from pathlib import Path


class PieceError(Exception):
    """A piece is missing or damaged; the message says which and what to do."""


def pack(folder, out, name, limit, preset):
    """Compresses `folder` into pieces of at most `limit` bytes in `out`; returns the archive.

    `preset` is xz's: 0 is fast, 9 is small.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    writer = PieceWriter(out, f"{name}.tar.xz", limit)
    with writer, lzma.open(writer, "wb", preset=preset) as compressed:
        with tarfile.open(fileobj=compressed, mode="w|") as archive:
            for path in files:
                archive.add(path, str(path.relative_to(folder)), filter=without_origin)
    size = sum(path.stat().st_size for path in files)
    return {"name": name, "contents": digest(folder), "bytes": size, "pieces": writer.pieces}


def without_origin(entry):
    """Leaves out who made a file and when, so that the same files make the same pieces."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def digest(folder):
    """Returns the SHA-256 of a folder's files, with their paths and modes, in hex."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            runs = bool(path.stat().st_mode & 0o100)
            with path.open("rb") as file:
                of_file = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{path.relative_to(folder)}\0{runs}\0{of_file}\n".encode())
    return whole.hexdigest()


def unpack(folder, archives, target):
    """Unpacks archives whose pieces lie in `folder` into `target`, which they replace.

    Raises PieceError if a piece is missing or damaged; `target` is then as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=target.parent) as scratch:
        new = Path(scratch) / "new"
        for archive in archives:
            with PieceReader(folder, archive["pieces"]) as pieces, lzma.open(pieces) as data:
                with tarfile.open(fileobj=data, mode="r|") as tar:
                    tar.extractall(new, filter="data")
        if target.exists():
            target.rename(Path(scratch) / "old")
        new.rename(target)


def take_over(old, archive, new):
    """Puts the pieces of `archive` into another folder too, if all are whole.

    Returns whether they are.
    """
    try:
        for piece in archive["pieces"]:
            read_piece(old, piece)
    except PieceError:
        return False
    for piece in archive["pieces"]:
        os.link(old / piece["file"], new / piece["file"])
    return True


def read_piece(folder, piece):
    """Returns the bytes of a piece. Raises PieceError unless they are those of its digest."""
    path = Path(folder) / piece["file"]
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise PieceError(f"{path} is missing: copy the whole folder") from None
    if hashlib.sha256(data).hexdigest() != piece["sha256"]:
        raise PieceError(
            f"{path} is damaged: it has {len(data):,} bytes of {piece['bytes']:,} and another "
            "SHA-256 than when it was made; copy it again"
        )
    return data


class PieceWriter(io.RawIOBase):
    """A stream into files of at most `limit` bytes.

    Attributes:
        pieces: what was written, complete once the stream is closed.
    """

    def __init__(self, folder, name, limit):
        self.pieces = []
        self._folder, self._name, self._limit = Path(folder), name, limit
        self._buffer = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self._buffer += data
        while len(self._buffer) >= self._limit:
            self._put(self._buffer[:self._limit])
            del self._buffer[:self._limit]
        return len(data)

    def close(self):
        if not self.closed and self._buffer:
            self._put(self._buffer)
            self._buffer = bytearray()
        super().close()

    def _put(self, data):
        file = f"{self._name}.{len(self.pieces):02}"
        (self._folder / file).write_bytes(data)
        self.pieces.append({
            "file": file, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
        })


class PieceReader(io.RawIOBase):
    """The stream that was written in pieces. Reading raises PieceError at a damaged one."""

    def __init__(self, folder, pieces):
        self._folder, self._pieces = Path(folder), iter(pieces)
        self._rest = memoryview(b"")

    def readable(self):
        return True

    def readinto(self, buffer):
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(read_piece(self._folder, piece))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
