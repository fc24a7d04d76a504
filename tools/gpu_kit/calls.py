"""Calls of the server over gRPC-web, with the standard library alone.

gRPC-web over HTTP/1.1 is what browsers speak: the body is frames of a flag, a length and a
message, and the last frame holds the status. The server treats such calls as any other. Messages
are taken apart by the numbers of their fields in proto/ddpm/v1, which never change.
"""

import http.client
import struct
import urllib.parse

FRAME = struct.Struct(">BI")
TRAILERS = 0x80


class CallError(Exception):
    """A call failed; the message has the server's."""


class Calls:
    """A connection to a server. A context manager."""

    def __init__(self, address, seconds):
        """Connects to an address such as "127.0.0.1:50051"; `seconds` is the longest silence."""
        self._address = address
        self._connection = http.client.HTTPConnection(address, timeout=seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()

    def samplers(self, model):
        """Returns {name: whether it encodes pictures} of the samplers that a model can run."""
        answer, = self.messages("ModelService/GetModel", field(1, model))
        described = first(answer, 1)
        infos = [value for number, value in fields(described) if number == 20]
        return {first(info, 1).decode(): bool(first(info, 5, 0)) for info in infos}

    def generate(self, model, graph, seed, steps):
        """Draws one sample by DDIM and returns the number of its evaluations."""
        sampler = field(2, b"")  # ddim
        request = (field(1, model) + field(3, 1) + field(5, seed) + field(7, sampler)
                   + field(8, steps) + field(24, graph))
        events = self.messages("SamplingService/Generate", request)
        completed = first(events[-1], 7)
        if (first(completed, 1, 0), first(completed, 2, 0)) != (1, 0):
            raise CallError(f"the server at {self._address} did not finish a sample; see its log")
        return first(completed, 4, 0)

    def messages(self, method, request):
        """Makes a call and returns the messages of its answer."""
        answer, data = self._post(f"/ddpm.v1.{method}", FRAME.pack(0, len(request)) + request)
        status, messages = dict(answer.headers), []
        for flag, part in frames(data):
            if flag & TRAILERS:
                status |= dict(line.split(":", 1) for line in part.decode().splitlines())
            else:
                messages.append(part)
        code = status.get("grpc-status", "").strip()
        if answer.status != 200 or code != "0" or not messages:
            said = urllib.parse.unquote(status.get("grpc-message", "nothing").strip())
            raise CallError(f"{method} ended with HTTP status {answer.status} and gRPC status "
                            f"{code or 'unknown'}; the server said: {said}")
        return messages

    def _post(self, path, body):
        headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
        try:
            self._connection.request("POST", path, body, headers)
            answer = self._connection.getresponse()
            return answer, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise CallError(f"POST {path} at {self._address} failed: {error}") from None


def frames(data):
    """Returns an iterator over the flags and contents of the frames of a body."""
    while data:
        flag, length = FRAME.unpack_from(data)
        yield flag, data[FRAME.size:FRAME.size + length]
        data = data[FRAME.size + length:]


def field(number, value):
    """Encodes a field of a message: a number of at least 0, a text, or a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def fields(message):
    """Returns an iterator over the numbers and values of a message: numbers, or bytes."""
    at = 0
    while at < len(message):
        key, at = read_varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = read_varint(message, at)
        else:
            length, at = read_varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = message[at:at + length], at + length
        yield number, value


def first(message, wanted, default=b""):
    """Returns the value of a field, or `default` if the message lacks it."""
    return next((value for number, value in fields(message) if number == wanted), default)


def read_varint(message, at):
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at
