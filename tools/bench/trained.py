"""Measures `ddpm-exporter train`: a process that stands still between its turns."""

import json
import signal
import subprocess
import time
from pathlib import Path

import checkout

# How long the next line of its log may take.
PATIENCE_SECONDS = 300


class TrainingError(Exception):
    """The exporter ended by itself, or is silent; the text says what it said last."""


class Trained:
    """A training run of `ddpm-exporter`. A context manager."""

    def __init__(self, folder, batch, log_every, *flags):
        """Starts a run in `folder`, which must not exist, and pauses it after its first steps.

        Raises TrainingError if there are none.
        """
        self._batch = batch
        Path(folder).mkdir()
        self._said, self._log = Path(folder) / "said.txt", Path(folder) / "run/metrics.jsonl"
        self._read = 0
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [str(checkout.binary("ddpm-exporter", "release")), "train", "--device", "cpu",
                 "--out", str(self._log.parent), "--batch-size", str(batch),
                 "--log-every", str(log_every), "--sample-every", "0", "--checkpoint-every", "0",
                 "--held-out-every", "0", "--steps", "100000000", *map(str, flags)],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )
        try:
            self._next()
            self._process.send_signal(signal.SIGSTOP)
        except BaseException:
            self._process.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Nobody wants what it learned, so it need not save it.
        self._process.kill()
        self._process.wait()

    def items_per_second(self, seconds):
        """Lets it train for at least `seconds` between two lines of its log."""
        self._read = len(self._lines())
        self._process.send_signal(signal.SIGCONT)
        # Steps of the first line were in part taken before the pause.
        first = last = self._next()
        while last["seconds"] - first["seconds"] < seconds:
            last = self._next()
        self._process.send_signal(signal.SIGSTOP)
        steps = last["step"] - first["step"]
        return steps * self._batch / (last["seconds"] - first["seconds"])

    def _lines(self):
        """The whole lines of the log."""
        return self._log.read_text().split("\n")[:-1] if self._log.is_file() else []

    def _next(self):
        """The next line of the log, when it is there."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            lines = self._lines()
            if len(lines) > self._read:
                self._read += 1
                return json.loads(lines[self._read - 1])
            time.sleep(0.02)
        raise TrainingError(f"ddpm-exporter trains no more; it said: {self._said.read_text()[-2000:]}")
