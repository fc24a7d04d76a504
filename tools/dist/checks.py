"""What shows that the programs of a folder compute the same on two devices.

`gpu-check` and the GPU kit share it. Uses only the standard library.
"""

import array
import json
import sys
import time
from pathlib import Path

from programs import ProgramError
from serving import ServerError

# Exit code of a program that checks and finds something wrong.
CHECK_FAILED = 6

# Largest difference between two devices, in the samples' scale of -1 to 1, or relative to samples
# that are larger. Single evaluations agree to about 1e-5; ten steps of a network that was never
# trained amplify that.
TOLERANCE = 1e-2

# Largest root mean square of the difference between samples of the graph for CUDA, which is fp16,
# and those of the portable one, relative to the latter's. Rounding every result of the embedded
# glyphs to fp16, on the CPU, moves samples of 50 rows by 4e-4 to 6e-3, whatever the sampler.
HALF_TOLERANCE = 5e-2


class CheckError(Exception):
    """A check failed; the message says why."""


class Checks:
    """Runs checks in order and keeps their outcomes.

    Attributes:
        rows: [(name, outcome, remark)]; the outcome is "ok", "FAILED" or "not run".
    """

    def __init__(self, added=lambda: None):
        """`added` is called after each outcome."""
        self.rows = []
        self._added = added

    def run(self, name, check, *arguments):
        """Returns the check's result, or None if it failed or an argument is None."""
        if any(argument is None for argument in arguments):
            return self.skip(name, "a check that it depends on failed")
        print(f"… {name}", file=sys.stderr, flush=True)
        try:
            result, remark = check(*arguments)
        except (CheckError, ServerError, ProgramError, OSError) as error:
            return self._add(name, "FAILED", str(error))
        self._add(name, "ok", remark)
        return result

    def skip(self, name, reason):
        """Notes why a check is not run, and returns None."""
        return self._add(name, "not run", reason)

    def failed(self):
        """Returns the names of the checks that failed."""
        return [name for name, outcome, _ in self.rows if outcome == "FAILED"]

    def table(self):
        """Formats one line per check; reasons of several lines follow the table."""
        width = max((len(name) for name, _, _ in self.rows), default=0)
        lines = [
            f"{name:{width}}  {outcome:7}  {(remark.splitlines() or [''])[0]}"
            for name, outcome, remark in self.rows
        ]
        for name, _, remark in self.rows:
            if "\n" in remark:
                lines += ["", f"{name}:", remark]
        return "\n".join(lines)

    def _add(self, name, outcome, remark):
        self.rows.append((name, outcome, remark))
        self._added()


def train(programs, run, device, data, steps, *flags):
    """Trains glyphs for a few steps. Returns the folder of the run, and a remark."""
    begin = time.monotonic()
    programs.exporter(
        "train", "--data", data, "--out", run, "--steps", steps, "--lr", "1e-3",
        "--warmup", "20", "--sample-every", "0", "--device", device, "--no-export", *flags,
    )
    return run, f"{steps} steps in {time.monotonic() - begin:.0f} s"


def export(programs, package, run, device):
    """Writes the package of a run and verifies it. Returns its folder, and a remark."""
    programs.exporter("export", run, "--output", package, "--name", package.name)
    programs.exporter("verify", package, "--check-device", device)
    return package, "libtorch and ONNX Runtime agree with the golden outputs"


def make_random(programs, package, network, *flags):
    """Writes a network with random weights. Returns the folder of its package, and a remark.

    The weights are random because a network trained for a few steps outputs almost nothing and
    would agree with anything.
    """
    programs.exporter(
        "random", "--network", network, "--spread", "0.2", "--seed", "1", "--output", package,
        *flags,
    )
    return package, "weights of spread 0.2"


def draw(programs, server, model, out, *flags):
    """Draws samples into an array. Returns its elements, and the report of the run."""
    drawing = Drawing(programs, server, model, out, *flags)
    try:
        return drawing.finish()
    finally:
        drawing.end()


class Drawing:
    """A client of its own that draws samples into an array."""

    def __init__(self, programs, server, model, out, *flags):
        self._running = programs.start(
            "ddpm", "sample", model, "--format", "npy", "--no-grid", "--out", out, *flags,
            "--server", server.url, "--json",
        )

    def finish(self):
        """Returns the elements of the array, and the report of the run."""
        report = json.loads(self._running.output())
        files = [file["path"] for file in report["files"] if file["kind"] == "array"]
        return read_npy(files[0]), report

    def end(self):
        """Kills the client if it still draws."""
        self._running.end()


def read_npy(path):
    """Reads the elements of a little-endian f32 array file of version 1."""
    data = Path(path).read_bytes()
    if data[:8] != b"\x93NUMPY\x01\x00" or b"'<f4'" not in data[:128]:
        raise CheckError(f"{path} is not an array of f32")
    elements = array.array("f")
    elements.frombytes(data[10 + int.from_bytes(data[8:10], "little"):])
    return elements


def compare(got, want):
    """Checks samples of the portable graph. Returns their largest difference, and a remark."""
    check_lengths(got, want)
    largest = max(abs(a - b) for a, b in zip(got, want)) / max(1.0, rms(want))
    # A NaN may hide behind the largest number.
    largest = largest if all(a == a for a in got) else float("nan")
    remark = f"largest difference {largest:.1e}, rms of the samples {rms(want):.2f}"
    # Written so that a NaN fails too.
    if not largest <= TOLERANCE:
        raise CheckError(f"{remark}; at most {TOLERANCE:.0e} is allowed")
    return largest, remark


def compare_half(got, want):
    """Checks samples of the graph for CUDA. Returns the share that differs, and a remark."""
    check_lengths(got, want)
    share = rms([a - b for a, b in zip(got, want)]) / rms(want)
    remark = f"differs by {share:.1e} of the samples' rms"
    # Written so that a NaN fails too.
    if not share <= HALF_TOLERANCE:
        raise CheckError(f"{remark}; at most {HALF_TOLERANCE:.0e} is allowed")
    return share, remark


def check_lengths(got, want):
    if len(got) != len(want):
        raise CheckError(f"{len(got)} elements instead of {len(want)}")


def rms(elements):
    return (sum(element * element for element in elements) / len(elements)) ** 0.5
