"""A client of ddpm.v1: draws samples from diffusion models, and shows them while they form.

    from ddpm import Client

    samples = Client("127.0.0.1:50051").sample("glyphs", 16, steps=20)
    samples.values.shape   # (16, 16, 16, 3)
    samples.pil()          # images of Pillow; a notebook shows the samples by themselves
"""

from ddpm.aio import AsyncClient, AsyncStream
from ddpm.client import Client, Stream
from ddpm.errors import (
    Damaged,
    DdpmError,
    DeadlineError,
    Interrupted,
    InvalidRequest,
    ModelNotFound,
    OtherBuild,
    ProtocolError,
    Refused,
    RequestError,
    Unreachable,
    Violation,
)
from ddpm.events import Accepted, Completed, Event, Finished, Interruption, Preview, Progress, SampleFailed
from ddpm.request import samplers
from ddpm.samples import Samples

__version__ = "0.1.0"

__all__ = [
    "Accepted",
    "AsyncClient",
    "AsyncStream",
    "Client",
    "Completed",
    "Damaged",
    "DdpmError",
    "DeadlineError",
    "Event",
    "Finished",
    "Interrupted",
    "Interruption",
    "InvalidRequest",
    "ModelNotFound",
    "OtherBuild",
    "Preview",
    "Progress",
    "ProtocolError",
    "Refused",
    "RequestError",
    "SampleFailed",
    "Samples",
    "Stream",
    "Unreachable",
    "Violation",
    "samplers",
]
