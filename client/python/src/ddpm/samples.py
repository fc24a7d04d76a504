"""The samples of a run, as arrays and as pictures."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ddpm.events import Completed, Finished, SampleFailed
from ddpm.v1 import sampling_pb2 as v1

if TYPE_CHECKING:
    from PIL import Image

#: Cells along each side of a picture of points, and the pixels of each.
_CELLS, _CELL_PIXELS = 64, 4


@dataclass(frozen=True, repr=False)
class Samples:
    """Samples in the order in which they were asked for. ``numpy.asarray`` of it is :attr:`values`."""

    #: (n, height, width, channels) of ``uint8`` for images, or (n, channels, height, width) of ``float32`` in the
    #: model's scale; (n, 2) of ``float32`` for points.
    values: np.ndarray
    #: Which samples, of shape (n,).
    indices: np.ndarray
    #: Everything needed to make them again; None if nothing was accepted.
    receipt: v1.Receipt | None = None
    #: What the run took; None if it did not end.
    completed: Completed | None = None
    #: Samples that failed. They are not among the values.
    failed: list[SampleFailed] = field(default_factory=list)

    @property
    def seed(self) -> int | None:
        """The key of all noise."""
        return None if self.receipt is None else self.receipt.seed

    def __repr__(self) -> str:
        name = "" if self.receipt is None else f" of {self.receipt.model}, seed {self.seed}"
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"<Samples: {len(self)}{name}, values {self.values.shape} of {self.values.dtype}{failed}>"

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.values)

    def __getitem__(self, key: Any) -> np.ndarray:
        return self.values[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.values if dtype is None else self.values.astype(dtype)
        return array.copy() if copy else array

    def pil(self) -> list[Image.Image]:
        """Returns images of Pillow, one per sample; of points, one picture of all.

        Raises ImportError if Pillow is not installed.
        """
        try:
            from PIL import Image
        except ImportError:
            raise ImportError("pil() needs Pillow: pip install pillow") from None
        if self.values.ndim == 2:
            return [Image.fromarray(picture(self.values))]
        return [Image.fromarray(np.squeeze(one, -1) if one.shape[-1] == 1 else one) for one in pixels(self.values)]

    def picture(self, columns: int | None = None) -> np.ndarray:
        """Returns one picture of all: a grid of images, or the density of points; see :func:`picture`."""
        return picture(self.values, columns)

    def _repr_png_(self) -> bytes | None:
        return None if len(self) == 0 else png(self.picture())


def pixels(values: np.ndarray) -> np.ndarray:
    """Returns images as (n, height, width, channels) of ``uint8``, whatever their dtype."""
    if values.dtype == np.uint8:
        return values
    scaled = np.nan_to_num(values).transpose(0, 2, 3, 1) * 127.5 + 127.5
    return np.clip(np.round(scaled), 0, 255).astype(np.uint8)


def picture(values: np.ndarray, columns: int | None = None, extent: float | None = None) -> np.ndarray:
    """Returns samples as one picture, (height, width, 3) of ``uint8``.

    Images are laid out in rows, in a square unless ``columns`` says otherwise, and enlarged by a whole factor if they
    are small. Points become their density, from -``extent`` to ``extent`` in both directions: where almost all of
    them are, if it is None.
    """
    if values.ndim == 2:
        return _density(values, extent_of(values) if extent is None else extent)
    if len(values) == 0:
        raise ValueError("there are no samples to show")
    images = pixels(values)
    count, height, width, channels = images.shape
    if channels == 1:
        images = np.repeat(images, 3, axis=3)
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.zeros((rows * columns, height, width, 3), np.uint8)
    sheet[:count] = images[..., :3]
    sheet = sheet.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    scale = max(1, 256 // max(sheet.shape[:2]))
    return sheet.repeat(scale, axis=0).repeat(scale, axis=1)


def extent_of(points: np.ndarray) -> float:
    """Returns how far a picture must reach to show the points, but for a few that are far away."""
    finite = np.abs(points[np.isfinite(points)])
    return 1.25 * float(np.quantile(finite, 0.99)) if finite.size and finite.any() else 1.0


def _density(points: np.ndarray, extent: float) -> np.ndarray:
    reach = [[-extent, extent], [-extent, extent]]
    # Rows of a picture count down, y counts up.
    counts, _, _ = np.histogram2d(-points[:, 1], points[:, 0], bins=_CELLS, range=reach)
    shade = np.log1p(counts) / max(np.log1p(counts).max(), 1e-9)
    grey = (255 * (1 - shade)).astype(np.uint8)
    return np.stack([grey.repeat(_CELL_PIXELS, axis=0).repeat(_CELL_PIXELS, axis=1)] * 3, axis=-1)


def png(image: np.ndarray) -> bytes:
    """Encodes (height, width, 3) of ``uint8`` as a PNG file."""
    height, width, _ = image.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    # Each row begins with its filter: none.
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], axis=1)
    data = zlib.compress(np.ascontiguousarray(rows).tobytes(), 6)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


class Collector:
    """Puts what arrives in the order in which it was asked for."""

    def __init__(self, indices: list[int]) -> None:
        self._indices = indices
        self._values: dict[int, np.ndarray] = {}
        self.failed: list[SampleFailed] = []

    def take(self, event: Any) -> None:
        """Keeps the samples of an event."""
        if isinstance(event, SampleFailed):
            self.failed.append(event)
        elif isinstance(event, Finished):
            self._values.update(zip(event.indices.tolist(), event.values))

    def samples(self, receipt: v1.Receipt | None, completed: Completed | None) -> Samples:
        """Returns what has arrived."""
        found = [index for index in self._indices if index in self._values]
        values = np.stack([self._values[index] for index in found]) if found else np.zeros((0, 0, 0, 0), np.uint8)
        return Samples(values, np.array(found, np.uint64), receipt, completed, self.failed)
