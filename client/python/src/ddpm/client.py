"""The client. Its calls wait; :mod:`ddpm.aio` has the same for asyncio."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any

import grpc

from ddpm import request as requests
from ddpm.errors import DdpmError, DeadlineError, Interrupted, from_rpc
from ddpm.events import Completed, Event, Finished, Interruption, SampleFailed
from ddpm.retry import Backoff
from ddpm.run import Run
from ddpm.samples import Collector, Samples
from ddpm.v1 import model_pb2 as models_v1
from ddpm.v1 import model_pb2_grpc, sampling_pb2_grpc, server_pb2_grpc
from ddpm.v1 import sampling_pb2 as v1
from ddpm.v1 import server_pb2 as server_v1

#: Where a server listens unless it is told otherwise.
DEFAULT_TARGET = "127.0.0.1:50051"

#: Seconds that calls without a stream may take.
UNARY_SECONDS = 30.0

#: Options of the channel: events may hold a few MiB, and a connection that is gone is noticed.
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Our own pauses decide when to try again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


def address(target: str | None) -> str:
    """Returns the address of a target: ``host:port``, ``http://host:port``, or None for ``$DDPM_SERVER`` or the default."""
    target = target or os.environ.get("DDPM_SERVER") or DEFAULT_TARGET
    if target.startswith("https://"):
        raise ValueError("https:// is not supported yet: pass a channel of grpc with its credentials")
    target = target.removeprefix("http://").rstrip("/")
    bare = ":" not in target or target.endswith("]")
    return f"{target}:50051" if bare else target


class Client:
    """A connection to a server.

    * ``target``: its address, such as ``127.0.0.1:50051``; ``$DDPM_SERVER`` or the default address if it is None.
    * ``patience``: seconds that a run goes on without an open stream while a server restarts, drains or is full; 0:
      a stream that breaks is an error.
    * ``channel``: a channel of grpc to use instead, with credentials of its own.
    """

    def __init__(self, target: str | None = None, *, patience: float = 300.0, channel: grpc.Channel | None = None) -> None:
        self.target = address(target) if channel is None else target or "the channel's target"
        self.patience = patience
        self._channel = channel or grpc.insecure_channel(self.target, options=CHANNEL_OPTIONS)
        self._sampling = sampling_pb2_grpc.SamplingServiceStub(self._channel)
        self._models = model_pb2_grpc.ModelServiceStub(self._channel)
        self._server = server_pb2_grpc.ServerServiceStub(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; open streams end."""
        self._channel.close()

    def models(self) -> list[models_v1.Model]:
        """Returns the models that the server has, by name."""
        return list(self._call(self._models.ListModels, models_v1.ListModelsRequest()).models)

    def model(self, name: str, version: str = "") -> models_v1.Model:
        """Returns one model. Raises :class:`ddpm.ModelNotFound`."""
        return self._call(self._models.GetModel, models_v1.GetModelRequest(model=name, version=version)).model

    def server_info(self) -> server_v1.GetServerInfoResponse:
        """Returns the server's version, device, limits and load."""
        return self._call(self._server.GetServerInfo, server_v1.GetServerInfoRequest())

    def estimate(self, model: str, count: int | None = None, **settings: Any) -> v1.EstimateResponse:
        """Says what a request would cost and when it would be done, without running it; arguments as of :meth:`stream`."""
        return self._call(self._sampling.Estimate, self._request(model, count, settings))

    def compile(self, model: str, count: int | None = None, **settings: Any) -> v1.CompileResponse:
        """Returns the rows that a request would run; arguments as of :meth:`stream`."""
        message = v1.CompileRequest(request=self._request(model, count, settings))
        return self._call(self._sampling.Compile, message)

    def stream(
        self,
        model: str,
        count: int | None = None,
        *,
        indices: Iterable[int] | None = None,
        timeout: float | None = None,
        accept_other_build: bool = False,
        classes: Sequence[int | str] = (),
        **settings: Any,
    ) -> Stream:
        """Starts a run and returns its events: previews and samples as they come.

        * ``count``: how many samples, or ``indices``: which.
        * ``seed``: key of all noise, from 0 to 2^64 - 1; the server picks one if it is None.
        * ``classes``: labels or names; the sample of index i gets ``classes[i % len(classes)]``.
        * ``sampler``: its name, such as ``"ddim"``, or ``("ddim", {"eta": 0.5})``, or a ``v1.Sampler``.
        * ``steps``, ``grid``, ``clip``: as ``"karras"``, ``"unit"``; the model's defaults if they are None.
        * ``guidance``, ``guidance_interval``: scale, and the sigmas (least, most) between which it acts.
        * ``images`` and ``strength``: samples start from these, noised to that share of the steps. An image is
          (height, width, channels) of ``uint8``, or floats in the model's scale and layout.
        * ``states``: floats that samples start from as they are.
        * ``inpaint``: (image, mask); the mask is True where the image is known.
        * ``dtype``: ``"uint8"`` or ``"float32"``.
        * ``previews``: show every so many steps. ``show``: ``"x_0"``, ``"x_t"`` or ``"both"``. ``watch``: indices to show.
          ``every_preview``: have the run wait for the reader, rather than drop previews that it did not take in time.
        * ``priority``: ``"batch"``, ``"normal"`` or ``"interactive"``. ``strict``: promise equal bits.
        * ``graph``: the form in which the network is computed, such as ``"int8"``; ``client.models()`` lists them.
        * ``timeout``: seconds for the whole run. ``on_deadline="return_finished"``: end with what is done by then.
        * ``accept_other_build``: after a restart, take samples of another build, whose last bits may differ.
        * ``base``: a ``v1.GenerateRequest`` with anything else.

        Raises :class:`ddpm.RequestError` at once for arguments that are wrong by themselves; reading the events raises
        what the server says of the others.
        """
        order = None if indices is None else list(indices)
        request = self._request(model, count, {"indices": order, "classes": classes, **settings})
        run = Run(request, order=order, accept_other_build=accept_other_build)
        return Stream(self._sampling.Generate, run, Backoff(self.patience), self.target, timeout)

    def sample(self, model: str, count: int | None = None, **settings: Any) -> Samples:
        """Draws samples and returns them; arguments as of :meth:`stream`.

        A sample that fails alone is no error, see :attr:`Samples.failed`. An error has what had arrived in ``partial``,
        and in ``missing`` what to ask for.
        """
        with self.stream(model, count, **settings) as stream:
            return stream.collect()

    def _request(self, model: str, count: int | None, settings: dict[str, Any]) -> v1.GenerateRequest:
        classes = settings.pop("classes", ())
        if any(isinstance(label, str) for label in classes):
            classes = labels(self.model(model, settings.get("version", "")), classes)
        return requests.build(model, count, classes=classes, **settings)

    def _call(self, method: Callable[..., Any], message: Any) -> Any:
        try:
            return method(message, timeout=UNARY_SECONDS)
        except grpc.RpcError as error:
            raise from_rpc(error, opened=False, target=self.target) from None


def labels(model: models_v1.Model, classes: Sequence[int | str]) -> list[int]:
    """Returns the labels of classes that may be names."""
    names = list(model.class_names)
    for name in classes:
        if isinstance(name, str) and name not in names:
            known = ", ".join(names) or "none"
            raise requests.RequestError(f"classes: {model.name} has no class {name!r}; it has {known}")
    return [names.index(label) if isinstance(label, str) else label for label in classes]


class StreamState:
    """What the streams of both clients know of a run."""

    def __init__(
        self, generate: Callable[..., Any], run: Run, backoff: Backoff, target: str, timeout: float | None
    ) -> None:
        self._generate, self._run, self._backoff, self._target = generate, run, backoff, target
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._call: Any = None
        self._events: deque[Event] = deque()
        self._next_attempt = 0.0
        # Set from any thread; ends the pause before an attempt.
        self._close = threading.Event()

    @property
    def receipt(self) -> v1.Receipt | None:
        """Everything needed to make the samples again; None before the first event."""
        return self._run.receipt

    @property
    def completed(self) -> Completed | None:
        """What the run took; None before its end."""
        return self._run.completed

    @property
    def missing(self) -> list[int]:
        """Indices that have neither arrived nor failed."""
        return self._run.missing

    def close(self) -> None:
        """Ends the run; the server stops computing it before its next call of the network."""
        self._close.set()
        if self._call is not None:
            self._call.cancel()

    def _failed(self, error: DdpmError) -> None:
        """Plans the next attempt, or raises the error."""
        # Closing breaks the stream too.
        if self._close.is_set():
            return
        if self._call is not None:
            self._call.cancel()
            self._call = None
        try:
            interruption = after(error, self._run, self._backoff, self._deadline)
        except DdpmError:
            self._close.set()
            raise
        self._next_attempt = time.monotonic() + interruption.pause
        self._events.append(interruption)


class Stream(StreamState):
    """The events of a run, in order: an iterator, and a context manager that ends the run.

    It survives broken streams and restarts of the server: what is missing is asked for again, see
    :class:`ddpm.Interruption`.
    """

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while not self._events:
            if self._close.is_set() or self._run.completed is not None:
                raise StopIteration
            try:
                self._advance()
            except DdpmError as error:
                self._failed(error)
        return self._events.popleft()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def collect(self) -> Samples:
        """Reads to the end and returns the samples that came meanwhile."""
        collector = Collector(self._run.indices)
        try:
            for event in self:
                collector.take(event)
        except DdpmError as error:
            error.partial = collector.samples(self.receipt, None)
            raise
        return collector.samples(self.receipt, self._run.completed)

    def _advance(self) -> None:
        """Reads one event of the open stream, or opens one."""
        now = time.monotonic()
        if self._call is None:
            # A stream that is closed meanwhile asks for nothing more.
            if self._close.wait(max(0.0, self._next_attempt - now)):
                return
            self._backoff.begins(time.monotonic())
            self._call = self._generate(self._run.next_request(), timeout=left(self._deadline))
        opened = self._run.opened
        try:
            message = next(self._call)
        except StopIteration:
            raise Interrupted("the stream ended before it was complete") from None
        except grpc.RpcError as error:
            raise from_rpc(error, opened=opened, target=self._target) from None
        self._events.extend(note(self._backoff, self._run.take(message)))


def left(deadline: float | None) -> float | None:
    """Returns the seconds until a deadline. Raises :class:`ddpm.DeadlineError` if it is over."""
    if deadline is None:
        return None
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise DeadlineError(grpc.StatusCode.DEADLINE_EXCEEDED, "the time is over", "DEADLINE_PASSED")
    return seconds


def note(backoff: Backoff, events: list[Event]) -> list[Event]:
    """Tells the back-off what has arrived."""
    now = time.monotonic()
    if any(isinstance(event, (Finished, SampleFailed)) for event in events):
        backoff.progressed()
    backoff.heard(now)
    return events


def after(error: DdpmError, run: Run, backoff: Backoff, deadline: float | None) -> Interruption:
    """Returns when to try again. Raises the error if that would not help."""
    pause = backoff.pause(error, time.monotonic())
    error.missing = run.missing
    if pause is None or (deadline is not None and time.monotonic() + pause >= deadline):
        raise error
    return Interruption(error=error, pause=pause, missing=run.missing)
