"""A client of ddpm.v1 in Python, as a developer in another language would write it.

It knows only the .proto files of the server.
"""

import struct

import grpc

from stubs import models_grpc, sampling, sampling_grpc, server, server_grpc


class Client:
    """The services of one server."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        self.sampling = sampling_grpc.SamplingServiceStub(self.channel)
        self.models = models_grpc.ModelServiceStub(self.channel)
        self.server = server_grpc.ServerServiceStub(self.channel)

    def close(self):
        self.channel.close()

    def generate(self, **request):
        """Runs a request to its end and returns everything it sent."""
        return Run(self.sampling.Generate(sampling.GenerateRequest(**request)))

    def start(self, **request):
        """Starts a request and returns its stream of events."""
        return self.sampling.Generate(sampling.GenerateRequest(**request))

    def load(self):
        """Returns the load of the server."""
        return self.server.GetServerInfo(server.GetServerInfoRequest()).load


class Run:
    """Everything that one request sent.

    Attributes:
        events: all events, in order.
        accepted, completed: the first and the last event.
        samples: {index: bytes}.
        sha256: {index: digest}, as the server sent it.
        previews: [(kind, step, {index: bytes})], in order.
    """

    def __init__(self, stream):
        self.events = list(stream)
        self.accepted = self.events[0].accepted
        self.completed = self.events[-1].completed
        self.samples, self.sha256, self.previews = {}, {}, []
        for event in self.events:
            kind = event.WhichOneof("event")
            if kind == "samples":
                self._add_samples(event.samples)
            elif kind == "previews":
                self._add_previews(event.previews)

    def kinds(self):
        return [event.WhichOneof("event") for event in self.events]

    def _add_samples(self, message):
        self.samples.update(unpack(message.packed))
        self.sha256.update(zip(message.packed.indices, message.sha256))

    def _add_previews(self, message):
        for preview in message.previews:
            self.previews.append((preview.kind, preview.step, unpack(preview.packed)))


def unpack(packed):
    """Returns {index: bytes} of a `Packed`."""
    count = len(packed.indices)
    lengths = packed.lengths or [len(packed.data) // count] * count
    ends = [sum(lengths[: i + 1]) for i in range(count)]
    return {
        index: packed.data[end - length : end]
        for index, length, end in zip(packed.indices, lengths, ends)
    }


def floats(data):
    """Returns the elements of a FORMAT_RAW_F32 sample."""
    return struct.unpack(f"<{len(data) // 4}f", data)
