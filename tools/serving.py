"""Starts and stops a ddpm-server as a child process.

Uses only the standard library, because the demo, the tests of other languages and
the checks of a copied folder share this file.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

# What the server prints on standard output once it accepts requests.
READY = "listening on http://"

# Loading checks every model against its golden outputs, which takes a while for large
# ones.
START_SECONDS = 180

# Longer than the time that the server gives accepted requests to finish.
DRAIN_SECONDS = 60


def end_on_signals():
    """Makes SIGTERM and SIGHUP unwind this process, so that no server outlives it."""
    def end(number, _frame):
        print(f"ended by {signal.Signals(number).name}", file=sys.stderr)
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


class ServerError(Exception):
    """The server did not start, or ended by itself; the message says why."""


class Server:
    """A running ddpm-server on its own address.

    As a context manager, it is drained at the end of the block.

    Attributes:
        address: its address, such as "127.0.0.1:50051".
        url: the address as the client's --server takes it.
        log: its log file.
    """

    def __init__(self, binary, *flags, log):
        """Starts `binary` with `flags` and waits until it accepts requests.

        Raises ServerError with the end of the log if it does not.
        """
        self.log = Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._ready = threading.Event()
        self.address = None
        with self.log.open("wb") as stderr:
            # In a new session, so that Ctrl-C reaches only us and `stop` passes it on once. A second
            # signal would make the server exit without draining.
            self._process = subprocess.Popen(
                [str(binary), *flags],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                # The log is a file.
                env={**os.environ, "NO_COLOR": "1"},
                start_new_session=True,
            )
        threading.Thread(target=self._read_stdout, daemon=True).start()
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    @property
    def url(self):
        return f"http://{self.address}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Drains the server and returns its exit code; kills it if it hangs."""
        self._signal(signal.SIGTERM)
        try:
            return self._process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"the server did not drain within {DRAIN_SECONDS} s") from None
        except KeyboardInterrupt:
            # Interrupted twice: give up accepted requests.
            self._signal(signal.SIGTERM)
            return self._process.wait(DRAIN_SECONDS)

    def pause(self):
        """Suspends the server, so that it takes nothing from whoever else is measured."""
        self._signal(signal.SIGSTOP)

    def resume(self):
        """Lets a suspended server go on."""
        self._signal(signal.SIGCONT)

    def kill(self):
        """Kills the server."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def wait(self):
        """Waits until the server ends by itself, then raises ServerError."""
        self._process.wait()
        raise self._ended()

    def _signal(self, number):
        if self._process.poll() is None:
            self._process.send_signal(number)

    def _read_stdout(self):
        """Reads to the end, so that the server never blocks on its output."""
        with self._process.stdout as lines:
            for line in lines:
                if line.startswith(READY):
                    self.address = line[len(READY):].strip()
                    self._ready.set()
        self._ready.set()

    def _wait_until_ready(self):
        if not self._ready.wait(START_SECONDS):
            raise ServerError(f"the server was not ready after {START_SECONDS} s\n{self._tail()}")
        if self.address is None:
            self._process.wait()
            raise self._ended()

    def _ended(self):
        code = self._process.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended by itself with exit code {code}"
        return ServerError(f"the server {how}\n{self._tail()}")

    def _tail(self):
        lines = self.log.read_text(errors="replace").splitlines()[-12:]
        return "\n".join([f"the end of {self.log}:", *(f"    {line}" for line in lines)])
