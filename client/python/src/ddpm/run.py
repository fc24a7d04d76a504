"""A run as a state machine: what to ask for next, and what each event means. No I/O.

A run may need several requests, if a stream breaks. The reader of its events sees one run: one ``Accepted``, one
``Completed``, each index once, and progress over the whole.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator

import numpy as np

from ddpm import request as requests
from ddpm.errors import Damaged, ProtocolError
from ddpm.events import Accepted, Completed, Event, Finished, Preview, Progress, SampleFailed
from ddpm.v1 import sampling_pb2 as v1

_DTYPES = {v1.FORMAT_RAW_U8: np.dtype("u1"), v1.FORMAT_RAW_F32: np.dtype("<f4")}
_KINDS = {v1.PREVIEW_KIND_X_0: "x_0", v1.PREVIEW_KIND_X_T: "x_t"}


class Run:
    """The state of one run.

    * ``order``: the indices in the order of the result; None: ascending.
    * ``accept_other_build``: whether samples of another build may complete it, though their last bits may differ.
    """

    def __init__(
        self, request: v1.GenerateRequest, *, order: list[int] | None = None, accept_other_build: bool = False
    ) -> None:
        self._request = request
        self._accept_other_build = accept_other_build
        #: All indices of the run, in the order in which they were asked for.
        self.indices = requests.indices_of(request) if order is None else order
        #: Everything needed to make the samples again; None before the first ``Accepted``.
        self.receipt: v1.Receipt | None = None
        self.completed: Completed | None = None
        self._settled: set[int] = set()
        self._settled_before = 0
        self._asked: set[int] = set()
        self._sequence = 0
        self._opened = False
        self._parts: dict[int, bytearray] = {}
        self._samples = self._failed = 0

    @property
    def opened(self) -> bool:
        """Whether the open stream has told its first event."""
        return self._opened

    @property
    def missing(self) -> list[int]:
        """Indices that have neither arrived nor failed."""
        return [index for index in self.indices if index not in self._settled]

    def next_request(self) -> v1.GenerateRequest:
        """Returns the request for what is missing."""
        request = v1.GenerateRequest()
        request.CopyFrom(self._request)
        missing = self.missing
        self._asked = set(missing)
        self._sequence, self._opened, self._parts = 0, False, {}
        self._settled_before = len(self._settled)
        if self.receipt is None:
            return request
        request.index_ranges.CopyFrom(requests.ranges(missing))
        request.seed = self.receipt.seed
        request.expect.model_digest = self.receipt.model_digest
        request.expect.program_digest = self.receipt.program_digest
        # By name, wherever it goes on: another replica may choose another graph.
        request.graph = request.expect.graph = self.receipt.graph
        if not self._accept_other_build:
            request.expect.fingerprint = self.receipt.fingerprint
        return request

    def take(self, event: v1.GenerateEvent) -> list[Event]:
        """Returns what an event of the stream means for the run.

        Raises :class:`ProtocolError` or :class:`Damaged`.
        """
        if event.sequence != self._sequence:
            raise ProtocolError(f"the server violates ddpm.v1: got event {event.sequence} instead of {self._sequence}")
        self._sequence += 1
        kind = event.WhichOneof("event")
        if kind is None:
            raise ProtocolError("got an event of a kind that this client does not know: install a newer one")
        if self._opened == (kind == "accepted"):
            raise ProtocolError("the server violates ddpm.v1: `accepted` must come first, and once")
        read = {
            "accepted": self._accepted,
            "progress": self._progress,
            "previews": self._previews,
            "samples": self._finished,
            "sample_error": self._sample_error,
            "completed": self._completed,
        }
        return list(read[kind](getattr(event, kind)))

    def _accepted(self, message: v1.Accepted) -> Iterator[Event]:
        self._opened = True
        if self.receipt is not None:
            return
        self.receipt = message.receipt
        yield Accepted(
            receipt=message.receipt,
            evals_per_sample=message.evals_per_sample,
            total_evals=message.total_evals,
            queue_position=message.queue_position,
            eta=_seconds(message.eta) if message.HasField("eta") else None,
        )

    def _progress(self, message: v1.Progress) -> Iterator[Event]:
        yield Progress(
            waiting=message.samples_waiting,
            running=message.samples_running,
            done=self._settled_before + message.samples_done,
            evals_done=message.evals_done,
            eta=_seconds(message.eta) if message.HasField("eta") else None,
        )

    def _previews(self, message: v1.Previews) -> Iterator[Event]:
        skipped = message.skipped
        for preview in message.previews:
            if preview.kind not in _KINDS:
                raise ProtocolError("got a preview of a kind that this client does not know: install a newer one")
            yield Preview(
                kind=_KINDS[preview.kind],
                step=preview.step,
                num_steps=preview.num_steps,
                noise_level=preview.noise_level,
                indices=_indices(preview.packed.indices),
                values=_stack(preview.packed, _cut(preview.packed)),
                skipped=skipped,
            )
            skipped = 0

    def _whole_samples(self, message: v1.Samples) -> list[bytes]:
        """Returns the bytes of each sample that this event completes."""
        packed = message.packed
        if len(message.sha256) != len(packed.indices):
            raise ProtocolError("the server violates ddpm.v1: the number of digests is not that of the samples")
        if not message.total_bytes:
            return _cut(packed)
        if len(packed.indices) != 1:
            raise ProtocolError("the server violates ddpm.v1: a part of a sample comes with another one")
        index = packed.indices[0]
        part = self._parts.setdefault(index, bytearray())
        if len(part) != message.offset or not packed.data:
            raise ProtocolError(f"the server violates ddpm.v1: a part of sample {index} is missing")
        part += packed.data
        if len(part) < message.total_bytes:
            return []
        return [bytes(self._parts.pop(index))]

    def _finished(self, message: v1.Samples) -> Iterator[Event]:
        pieces = self._whole_samples(message)
        if not pieces:
            return
        packed = message.packed
        for index, piece, digest in zip(packed.indices, pieces, message.sha256):
            if hashlib.sha256(piece).digest() != digest:
                raise Damaged(f"sample {index} arrived damaged: its SHA-256 does not match")
        values = _stack(packed, pieces)
        # Only now: whatever is wrong above, all of them can be asked for again.
        for index in packed.indices:
            self._settle(index)
        self._samples += len(pieces)
        yield Finished(indices=_indices(packed.indices), values=values)

    def _sample_error(self, message: v1.SampleError) -> Iterator[Event]:
        self._settle(message.index)
        self._failed += 1
        yield SampleFailed(index=message.index, reason=message.reason, message=message.message)

    def _completed(self, message: v1.Completed) -> Iterator[Event]:
        if len(self.missing) != message.unfinished:
            raise ProtocolError("the server violates ddpm.v1: the run ended before all samples had come")
        self.completed = Completed(
            samples=self._samples,
            failed=self._failed,
            unfinished=message.unfinished,
            evals=message.evals,
            ticks=message.ticks,
            queue_seconds=_seconds(message.queue_time),
            compute_seconds=_seconds(message.compute_time),
        )
        yield self.completed

    def _settle(self, index: int) -> None:
        if index not in self._asked or index in self._settled:
            raise ProtocolError(f"the server violates ddpm.v1: sample {index} was not asked for, or came twice")
        self._settled.add(index)


def _seconds(duration: object) -> float:
    return duration.seconds + duration.nanos / 1e9  # type: ignore[attr-defined]


def _indices(indices: Iterable[int]) -> np.ndarray:
    return np.array(indices, dtype=np.uint64)


def _cut(packed: v1.Packed) -> list[bytes]:
    """Cuts the data into one piece per index."""
    count = len(packed.indices)
    if count == 0:
        raise ProtocolError("the server violates ddpm.v1: packed data without samples")
    lengths = list(packed.lengths) or [len(packed.data) // count] * count
    if len(lengths) != count or sum(lengths) != len(packed.data):
        raise ProtocolError("the server violates ddpm.v1: packed data has another length than its samples")
    ends = np.cumsum(lengths)
    return [packed.data[end - length : end] for end, length in zip(ends, lengths)]


def _stack(packed: v1.Packed, pieces: list[bytes]) -> np.ndarray:
    """Returns samples as one array."""
    dtype = _DTYPES.get(packed.format)
    if dtype is None:
        raise ProtocolError(f"format {packed.format} is not an array: pass dtype='uint8' or 'float32'")
    shape = tuple(packed.shape)
    if any(len(piece) != math.prod(shape) * dtype.itemsize for piece in pieces):
        raise ProtocolError(f"the server violates ddpm.v1: a sample has not the shape {shape}")
    return np.frombuffer(b"".join(pieces), dtype=dtype).reshape(len(pieces), *shape)
