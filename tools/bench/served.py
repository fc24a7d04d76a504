"""Measures a model through the server, over gRPC with previews on."""

import sys
from pathlib import Path

import checkout
from serving import Server

sys.path.append(str(checkout.ROOT / "tests/python"))

from client import Client  # noqa: E402
from stubs import sampling, server  # noqa: E402


class Served:
    """A server and its client. A context manager."""

    def __init__(self, log, *flags):
        """Starts ddpm-server on the CPU with `flags`."""
        self._server = Server(
            checkout.binary("ddpm-server", "release"),
            "--listen", "127.0.0.1:0", "--device", "cpu",
            "--ort-lib", str(checkout.onnxruntime()), *map(str, flags),
            log=Path(log),
        )
        self._client = Client(self._server.address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.close()
        self._server.stop()

    def versions(self):
        """Returns the versions of the server and of ONNX Runtime."""
        info = self._client.server.GetServerInfo(server.GetServerInfoRequest())
        return {"ddpm-server": info.version, "ONNX Runtime": info.onnxruntime_version}

    def measure(self, seconds, **request):
        """Repeats the request until samples were active for `seconds`.

        All numbers are differences of the server's own counters, so start-up and
        decoding in this process do not count:

            evals_per_second     evals / time with samples active
            samples_per_second   samples / time with samples active
            overhead             1 - time inside the session's run / time with samples active
            kernel               time of the device's calls outside the session's run: inputs,
                                 kernel and noise / time of the device's calls
            evals_per_call       evals / calls of the network
        """
        before, samples = self._client.load(), 0
        while True:
            samples += self._run(request)
            after = self._client.load()
            active = seconds_between(before.active_time, after.active_time)
            if active >= seconds:
                break
        evals, calls = after.evals - before.evals, after.ticks - before.ticks
        inside = seconds_between(before.busy_time, after.busy_time)
        kernel = seconds_between(before.kernel_time, after.kernel_time)
        return {
            "evals_per_second": evals / active,
            "samples_per_second": samples / active,
            "overhead": 1.0 - inside / active,
            "kernel": kernel / (inside + kernel),
            "evals_per_call": evals / calls,
        }

    def _run(self, request):
        """Runs one request, reading every preview, and returns its number of samples."""
        preview = sampling.PreviewOptions(every_steps=1)
        for event in self._client.start(preview=preview, **request):
            pass
        return event.completed.samples


def ddim():
    return sampling.Sampler(ddim=sampling.Ddim())


def seconds_between(before, after):
    return (after.ToNanoseconds() - before.ToNanoseconds()) / 1e9
