"""The parts that measure PyTorch: `pytorch` beside the server, `train` beside the exporter."""

import contextlib
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from kit import PartError
from trained import Trained, TrainingError, make_pictures

EAGER, COMPILED = "eager", "torch.compile"

# Share of a part's time in which all must get ready. Compiling takes most of it, on many cores.
READY_SHARE = 0.6


class PeerError(Exception):
    """PyTorch cannot be measured; the message has the last line that it wrote."""


FAULTS = (PeerError, TrainingError, OSError)


def pytorch(kit, part):
    """Measures PyTorch's evaluations per second on the weights that the server serves."""
    kit.servers.stop()
    batches, package = kit.size.batches, kit.random_package()

    def peer(name, *batches):
        return Peer(kit, name, kind="evals", package=str(package), batches=batches)

    with Subjects(part, "evals_per_second") as subjects:
        subjects.add(EAGER, batches, lambda: peer(EAGER, *batches))
        if kit.device == "cuda":
            # Each size is compiled for itself, and all at the same time.
            for batch in batches:
                subjects.add(COMPILED, [batch], lambda batch=batch: peer(COMPILED, batch))
        else:
            part.leave_out(COMPILED, "no GPU")
        subjects.measure(kit.size.rounds, kit.size.turn)


def train(kit, part):
    """Measures training steps of the exporter and of loops in PyTorch, in turns."""
    kit.servers.stop()
    batch = kit.size.training_batch

    def peer(name):
        return Peer(kit, name, kind="loop", batches=[batch])

    with Subjects(part, "images_per_second") as subjects:
        subjects.add(EAGER, [batch], lambda: peer(EAGER))
        if kit.device == "cuda":
            subjects.add(COMPILED, [batch], lambda: peer(COMPILED))
        else:
            part.leave_out(COMPILED, "no GPU")
        # Last, since it gets ready while it is started.
        subjects.add("ddpm-exporter", [batch], lambda: Exporter(kit))
        subjects.measure(kit.size.rounds, kit.size.turn)


class Subjects:
    """What is measured in turns. A context manager that ends all of it."""

    def __init__(self, part, unit):
        """`unit` names the figure in the rows of the part's findings."""
        self._part, self._unit = part, unit
        self._rows = part.found.setdefault("rows", [])
        self._subjects, self._faults, self._begin = [], [], time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for subject in self._subjects:
            subject.running.close()

    def add(self, name, batches, start):
        """Starts something that is measured at each of these batches."""
        subject = Subject(name, batches, contextlib.ExitStack())
        self._subjects.append(subject)
        self._try(subject, lambda: subject.start(start))

    def measure(self, rounds, seconds):
        """Measures everything `rounds` times, in turns, once all of it is ready.

        What fails is left out. Raises PartError in the end if something did.
        """
        end = self._begin + READY_SHARE * self._part.limit
        for subject in list(self._subjects):
            self._try(subject, lambda: subject.process.wait_until_ready(end - time.monotonic()))
        for _ in range(rounds):
            for subject in list(self._subjects):
                self._try(subject, lambda: self._take(subject, seconds))
        if self._faults:
            raise PartError("; ".join(self._faults))

    def _take(self, subject, seconds):
        for batch in subject.batches:
            figure = subject.process.per_second(batch, seconds)
            row = self._row(subject.name, batch)
            row["figures"].append(figure)
            row[self._unit] = statistics.median(row["figures"])
            self._part.save()
            self._part.note(f"{subject.name}, batch {batch}: {figure:.1f} per second")

    def _row(self, name, batch):
        for row in self._rows:
            if (row["subject"], row["batch"]) == (name, batch):
                return row
        self._rows.append({"subject": name, "batch": batch, "figures": []})
        return self._rows[-1]

    def _try(self, subject, work):
        """Does something with a subject, which is ended and left out if it fails."""
        try:
            work()
        except FAULTS as error:
            self._faults.append(f"{subject}: {error}")
            self._part.note(f"{subject} failed: {error}")
            self._subjects.remove(subject)
            subject.running.close()


class Subject:
    """Something that is measured, at some batches."""

    def __init__(self, name, batches, running):
        self.name, self.batches, self.running = name, batches, running

    def __str__(self):
        return f"{self.name}, batch {', '.join(map(str, self.batches))}"

    def start(self, start):
        self.process = self.running.enter_context(start())


class Exporter(Trained):
    """Our trainer."""

    def __init__(self, kit):
        pictures = make_pictures(kit.scratch("cifar10"))
        super().__init__(
            kit.programs.folder / "bin/ddpm-exporter", kit.scratch("exporter"),
            kit.size.training_batch, kit.size.log_every, "--device", kit.device,
            "--preset", "cifar10", "--data", f"cifar10:{pictures}", "--flip",
            "--precision", "bf16", *kit.size.network.for_training(),
        )

    def wait_until_ready(self, _seconds):
        """It is ready once it is started."""

    def per_second(self, _batch, seconds):
        return self.items_per_second(seconds)


class Peer:
    """A process of peer.py. A context manager."""

    def __init__(self, kit, name, **settings):
        """Starts it, as EAGER or COMPILED."""
        settings |= {"device": kit.device, "compiled": name == COMPILED,
                     "network": kit.size.network.for_pytorch()}
        self._record, self._output = kit.record, kit.scratch(f"peer-{id(self)}.txt")
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("peer.py"), json.dumps(settings)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True,
                # With it end the processes in which PyTorch compiles.
                start_new_session=True,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended by itself
        self._process.wait()
        self._record.log(f"output of PyTorch:\n{self._output.read_text(errors='replace')}")

    def wait_until_ready(self, seconds):
        """Raises PeerError if it is not ready in time, or ends: it checks what it computes."""
        if not select.select([self._process.stdout], [], [], max(seconds, 0))[0]:
            raise PeerError(f"it was not ready after {100 * READY_SHARE:.0f} % of the part's time")
        self._read()

    def per_second(self, batch, seconds):
        try:
            self._process.stdin.write(f"{batch} {seconds}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # reading says why
        return self._read()["per_second"]

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            lines = self._output.read_text(errors="replace").strip().splitlines() or ["nothing"]
            raise PeerError(f"PyTorch ended with exit code {self._process.returncode} and said "
                            f"{lines[-1]!r}; log.txt has the rest")
        return json.loads(line)
