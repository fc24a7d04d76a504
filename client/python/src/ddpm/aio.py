"""The client for asyncio: as :mod:`ddpm.client`, with ``await`` and ``async for``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

import grpc
import grpc.aio

from ddpm import request as requests
from ddpm.client import CHANNEL_OPTIONS, UNARY_SECONDS, StreamState, address, labels, left, note
from ddpm.errors import DdpmError, Interrupted, from_rpc
from ddpm.events import Event
from ddpm.retry import Backoff
from ddpm.run import Run
from ddpm.samples import Collector, Samples
from ddpm.v1 import model_pb2 as models_v1
from ddpm.v1 import model_pb2_grpc, sampling_pb2_grpc, server_pb2_grpc
from ddpm.v1 import sampling_pb2 as v1
from ddpm.v1 import server_pb2 as server_v1


class AsyncClient:
    """A connection to a server; arguments as of :class:`ddpm.Client`. Make it inside of the loop that uses it."""

    def __init__(self, target: str | None = None, *, patience: float = 300.0, channel: Any = None) -> None:
        self.target = address(target) if channel is None else target or "the channel's target"
        self.patience = patience
        self._channel = channel or grpc.aio.insecure_channel(self.target, options=CHANNEL_OPTIONS)
        self._sampling = sampling_pb2_grpc.SamplingServiceStub(self._channel)
        self._models = model_pb2_grpc.ModelServiceStub(self._channel)
        self._server = server_pb2_grpc.ServerServiceStub(self._channel)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; open streams end."""
        await self._channel.close()

    async def models(self) -> list[models_v1.Model]:
        """As :meth:`ddpm.Client.models`."""
        return list((await self._call(self._models.ListModels, models_v1.ListModelsRequest())).models)

    async def model(self, name: str, version: str = "") -> models_v1.Model:
        """As :meth:`ddpm.Client.model`."""
        request = models_v1.GetModelRequest(model=name, version=version)
        return (await self._call(self._models.GetModel, request)).model

    async def server_info(self) -> server_v1.GetServerInfoResponse:
        """As :meth:`ddpm.Client.server_info`."""
        return await self._call(self._server.GetServerInfo, server_v1.GetServerInfoRequest())

    async def estimate(self, model: str, count: int | None = None, **settings: Any) -> v1.EstimateResponse:
        """As :meth:`ddpm.Client.estimate`."""
        return await self._call(self._sampling.Estimate, await self._request(model, count, settings))

    async def compile(self, model: str, count: int | None = None, **settings: Any) -> v1.CompileResponse:
        """As :meth:`ddpm.Client.compile`."""
        message = v1.CompileRequest(request=await self._request(model, count, settings))
        return await self._call(self._sampling.Compile, message)

    async def stream(
        self,
        model: str,
        count: int | None = None,
        *,
        indices: Iterable[int] | None = None,
        timeout: float | None = None,
        accept_other_build: bool = False,
        classes: Sequence[int | str] = (),
        **settings: Any,
    ) -> AsyncStream:
        """As :meth:`ddpm.Client.stream`: ``async for event in await client.stream(…)``."""
        order = None if indices is None else list(indices)
        request = await self._request(model, count, {"indices": order, "classes": classes, **settings})
        run = Run(request, order=order, accept_other_build=accept_other_build)
        return AsyncStream(self._sampling.Generate, run, Backoff(self.patience), self.target, timeout)

    async def sample(self, model: str, count: int | None = None, **settings: Any) -> Samples:
        """As :meth:`ddpm.Client.sample`."""
        async with await self.stream(model, count, **settings) as stream:
            return await stream.collect()

    async def _request(self, model: str, count: int | None, settings: dict[str, Any]) -> v1.GenerateRequest:
        classes = settings.pop("classes", ())
        if any(isinstance(label, str) for label in classes):
            classes = labels(await self.model(model, settings.get("version", "")), classes)
        return requests.build(model, count, classes=classes, **settings)

    async def _call(self, method: Callable[..., Any], message: Any) -> Any:
        try:
            return await method(message, timeout=UNARY_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, opened=False, target=self.target) from None


class AsyncStream(StreamState):
    """The events of a run, as :class:`ddpm.Stream`."""

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._close.is_set() or self._run.completed is not None:
                raise StopAsyncIteration
            try:
                await self._advance()
            except DdpmError as error:
                self._failed(error)
        return self._events.popleft()

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def collect(self) -> Samples:
        """As :meth:`ddpm.Stream.collect`."""
        collector = Collector(self._run.indices)
        try:
            async for event in self:
                collector.take(event)
        except DdpmError as error:
            error.partial = collector.samples(self.receipt, None)
            raise
        return collector.samples(self.receipt, self._run.completed)

    async def _advance(self) -> None:
        if self._call is None:
            await asyncio.sleep(max(0.0, self._next_attempt - time.monotonic()))
            # A stream that was closed meanwhile asks for nothing more.
            if self._close.is_set():
                return
            self._backoff.begins(time.monotonic())
            self._call = self._generate(self._run.next_request(), timeout=left(self._deadline))
        opened = self._run.opened
        try:
            message = await self._call.read()
        except asyncio.CancelledError:
            # Whoever stops waiting cancels the call; the next read asks for what is missing.
            self._call = None
            if self._close.is_set():
                return
            raise
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, opened=opened, target=self._target) from None
        if message is grpc.aio.EOF:
            raise Interrupted("the stream ended before it was complete")
        self._events.extend(note(self._backoff, self._run.take(message)))
