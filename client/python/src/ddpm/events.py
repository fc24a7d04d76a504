"""What a run tells while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

import numpy as np

from ddpm.errors import DdpmError
from ddpm.v1 import sampling_pb2 as v1


@dataclass(frozen=True)
class Accepted:
    """The request was valid and is queued. The first event of a run."""

    #: Everything needed to make the samples again; ``receipt.seed`` is the key of all noise.
    receipt: v1.Receipt
    #: Network evaluations that one sample costs.
    evals_per_sample: int
    #: Network evaluations of the whole request.
    total_evals: int
    #: Samples of other requests that were before these.
    queue_position: int
    #: Expected seconds until the end, if nothing else arrives.
    eta: float | None

    def __repr__(self) -> str:
        eta = "" if self.eta is None else f", about {self.eta:.2g} s"
        of = f"{self.receipt.model}, seed {self.receipt.seed}, {self.total_evals} evals"
        return f"<Accepted: {of}, {self.queue_position} samples ahead{eta}>"


@dataclass(frozen=True)
class Progress:
    """How far the run is; at most ten times per second."""

    #: Samples that have not begun.
    waiting: int
    #: Samples in the making.
    running: int
    #: Samples that are done, failed ones included.
    done: int
    #: Network evaluations that were done for the open request.
    evals_done: int
    #: Expected seconds until the end.
    eta: float | None


@dataclass(frozen=True)
class Preview:
    """Samples while they form, all of them at the same step."""

    #: ``"x_0"``, the present prediction of the finished sample, or ``"x_t"``, the noisy sample itself.
    kind: str
    #: Steps done, from 1 to ``num_steps``.
    step: int
    #: Steps of the whole run.
    num_steps: int
    #: Standard deviation of the noise left, relative to the whole: 1 is noise, 0 is data.
    noise_level: float
    #: Which samples, of shape (n,).
    indices: np.ndarray
    #: Their values: (n, height, width, channels) of ``uint8`` for images, (n, 2) of ``float32`` for points; with
    #: ``dtype="float32"`` images are (n, channels, height, width).
    values: np.ndarray
    #: Previews that were dropped on the way since the last one, because newer ones had come.
    skipped: int

    def __repr__(self) -> str:
        at = f"step {self.step} of {self.num_steps}, noise {self.noise_level:.3f}"
        return f"<Preview: {self.kind} of {len(self.indices)} samples, {at}, values {self.values.shape}>"


@dataclass(frozen=True)
class Finished:
    """Samples that are done. Each index comes once."""

    #: Which samples, of shape (n,).
    indices: np.ndarray
    #: Their values, as in :class:`Preview`.
    values: np.ndarray

    def __repr__(self) -> str:
        return f"<Finished: {len(self.indices)} samples, values {self.values.shape}>"


@dataclass(frozen=True)
class SampleFailed:
    """A sample that failed; the others go on."""

    index: int
    #: Stable, UPPER_SNAKE: ``NON_FINITE`` or ``ENCODING_FAILED``.
    reason: str
    message: str


@dataclass(frozen=True)
class Interruption:
    """The stream broke; the missing samples will be asked for again."""

    #: Why it broke.
    error: DdpmError
    #: Seconds until the next attempt.
    pause: float
    #: Indices that will be asked for.
    missing: list[int]


@dataclass(frozen=True)
class Completed:
    """The end of a run. The last event; what it took is that of the request that completed it."""

    #: Samples that arrived.
    samples: int
    #: Samples that failed.
    failed: int
    #: Samples that the deadline cut off; see ``on_deadline``.
    unfinished: int
    #: Network evaluations.
    evals: int
    #: Calls of the network that advanced a sample of this run.
    ticks: int
    #: Seconds from acceptance to the first call.
    queue_seconds: float
    #: Seconds in calls of the network, shared ones counted whole.
    compute_seconds: float


Event = Union[Accepted, Progress, Preview, Finished, SampleFailed, Interruption, Completed]
