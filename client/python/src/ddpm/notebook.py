"""Denoising in a notebook, while it happens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ddpm.client import Stream
from ddpm.events import Accepted, Completed, Event, Finished, Interruption, Preview, Progress
from ddpm.samples import Collector, Samples, extent_of, picture, png


class _Canvas:
    """The latest picture of each sample, in the order in which they were asked for."""

    def __init__(self, indices: Iterable[int]) -> None:
        self._places = {index: place for place, index in enumerate(indices)}
        self._values: np.ndarray | None = None
        self._extent = 0.0

    def put(self, indices: np.ndarray, values: np.ndarray) -> None:
        if self._values is None:
            self._values = np.zeros((len(self._places), *values.shape[1:]), values.dtype)
        self._values[[self._places[index] for index in indices.tolist()]] = values
        if values.ndim == 2:
            # The plane should seldom move under the points.
            extent = extent_of(self._values)
            if not 0.6 * self._extent <= extent <= self._extent:
                self._extent = extent

    def png(self) -> bytes | None:
        return None if self._values is None else png(picture(self._values, extent=self._extent))


def watch(stream: Stream) -> Samples:
    """Shows a run while it goes on, and returns its samples.

    Start the stream with ``previews=1``, or only finished samples are shown. Outside of a notebook nothing is shown.
    """
    from IPython.display import DisplayHandle, Image

    picture_at, line_at = DisplayHandle(), DisplayHandle()
    collector, canvas = Collector(stream.missing), _Canvas(stream.missing)
    line_at.display({"text/plain": "waiting …"}, raw=True)
    shown = False
    for event in stream:
        collector.take(event)
        line = tell(event)
        if line:
            line_at.update({"text/plain": line}, raw=True)
        if not isinstance(event, (Preview, Finished)):
            continue
        canvas.put(event.indices, event.values)
        image = Image(data=canvas.png(), format="png")
        if shown:
            picture_at.update(image)
        else:
            picture_at.display(image)
        shown = True
    return collector.samples(stream.receipt, stream.completed)


def tell(event: Event) -> str:
    """Returns a line about an event; empty if there is nothing to say."""
    described: dict[type, Any] = {
        Accepted: lambda one: f"{one.queue_position} samples are before these",
        Progress: lambda one: f"{one.done} done, {one.running} running" + (f", {one.eta:.1f} s left" if one.eta else ""),
        Preview: lambda one: f"step {one.step} of {one.num_steps}",
        Interruption: lambda one: f"the stream broke; trying again in {one.pause:.1f} s",
        Completed: lambda one: f"{one.samples} samples, {one.evals} evaluations, {one.compute_seconds:.1f} s in the network",
    }
    tells = described.get(type(event))
    return tells(event) if tells else ""
