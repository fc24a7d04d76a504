"""Measures `ddpm-exporter train`, a process that is paused between its turns."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

# Longest wait for the next line of its log.
PATIENCE_SECONDS = 300

# Pictures per file in CIFAR-10's format.
RECORDS = 2000


class TrainingError(Exception):
    """The exporter ended by itself or logs nothing; the message has the end of its output."""


class Trained:
    """A training run of `ddpm-exporter`. A context manager."""

    def __init__(self, exporter, folder, batch, log_every, *flags):
        """Starts a run in `folder`, which must not exist, and pauses it after its first steps.

        `exporter` is the program, and `flags` are more flags of its `train`. Raises
        TrainingError if it takes no step.
        """
        self._batch = batch
        Path(folder).mkdir()
        self._output, self._log = Path(folder) / "output.txt", Path(folder) / "run/metrics.jsonl"
        self._read = 0
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [str(exporter), "train", "--out", str(self._log.parent), "--batch-size", str(batch),
                 "--log-every", str(log_every), "--sample-every", "0", "--checkpoint-every", "0",
                 "--held-out-every", "0", "--steps", "100000000", *map(str, flags)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
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
        # Its weights are not needed, so it need not save them.
        self._process.kill()
        self._process.wait()

    def items_per_second(self, seconds):
        """Runs it for at least `seconds` between two lines of its log."""
        self._read = len(self._lines())
        self._process.send_signal(signal.SIGCONT)
        # Some steps of the first line were taken before the pause.
        first = last = self._next()
        while last["seconds"] - first["seconds"] < seconds:
            last = self._next()
        self._process.send_signal(signal.SIGSTOP)
        steps = last["step"] - first["step"]
        return steps * self._batch / (last["seconds"] - first["seconds"])

    def _lines(self):
        """Returns the complete lines of the log."""
        return self._log.read_text().split("\n")[:-1] if self._log.is_file() else []

    def _next(self):
        """Waits for the next line of the log and returns it."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            lines = self._lines()
            if len(lines) > self._read:
                self._read += 1
                return json.loads(lines[self._read - 1])
            time.sleep(0.02)
        raise TrainingError(f"ddpm-exporter stopped training: {self._output.read_text()[-2000:]}")


def make_pictures(folder):
    """Writes files in CIFAR-10's binary format: a label and 3,072 bytes per picture, here noise."""
    folder.mkdir()
    for name in [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]:
        records = bytearray(os.urandom(RECORDS * 3073))
        records[::3073] = bytes(label % 10 for label in records[::3073])
        (folder / name).write_bytes(records)
    return folder
