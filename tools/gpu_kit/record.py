"""What a run found, on disk after each finding, so that a killed run loses nothing.

The folder of a run holds

    results.json   the conditions, and of each part its outcome and what it found
    table.md       the same as tables for docs/benchmarks
    log.txt        what happened, with what failed programs wrote

A part is "ok", "failed", "not run" or, while it runs and after a kill, "running".
"""

import datetime
import json
import os
import sys
import time
from pathlib import Path

import table


class Record:
    """The findings of one run.

    Attributes:
        found: what results.json holds.
    """

    def __init__(self, folder, conditions, names):
        """Begins a record of the parts `names` in a folder; `conditions` is what is known."""
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._log = (self._folder / "log.txt").open("w", buffering=1)
        self.found = {**conditions, "started": now(), "parts": [
            {"name": name, "outcome": "not run", "reason": "the run ended before", "seconds": 0.0}
            for name in names
        ]}
        self.write()

    @property
    def log_file(self):
        """The open log, for the output of programs."""
        return self._log

    def part(self, name):
        return Part(self, next(part for part in self.found["parts"] if part["name"] == name))

    def outcomes(self):
        """Returns {part: outcome}."""
        return {part["name"]: part["outcome"] for part in self.found["parts"]}

    def note(self, text):
        """Writes a line to the log and for people who watch."""
        print(text, file=sys.stderr, flush=True)
        self.log(text)

    def log(self, text):
        self._log.write(f"{now()} {text}\n")

    def write(self):
        self._whole("results.json", json.dumps(self.found, indent=1, ensure_ascii=False) + "\n")
        self._whole("table.md", table.markdown(self.found))

    def _whole(self, name, text):
        """Writes a file of which nobody sees a half."""
        new = self._folder / f".{name}"
        new.write_text(text)
        os.replace(new, self._folder / name)


class Part:
    """The findings of one part.

    Attributes:
        found: a dictionary to put findings into; call `save` after each.
        limit: the seconds that the part may take, once it began.
    """

    def __init__(self, record, entry):
        self._record, self._entry = record, entry
        self.found = entry.setdefault("found", {})

    def begin(self, limit):
        self.limit, self._begin = limit, time.monotonic()
        self._put("running", "", limit_seconds=round(limit, 1))
        self._record.note(f"{self._entry['name']}: at most {limit:.0f} s")

    def end(self, outcome, reason=""):
        """Ends the part that began."""
        seconds = time.monotonic() - self._begin
        self._put(outcome, reason, seconds=round(seconds, 1))
        self._tell(f"{outcome} after {seconds:.1f} s", reason)

    def skip(self, reason):
        """Says why the part is not run."""
        self._put("not run", reason)
        self._tell("not run", reason)

    def leave_out(self, what, reason):
        """Says why something of the part is not run."""
        self.found.setdefault("not_run", {})[what] = reason
        self.save()
        self.note(f"{what}: not run: {reason}")

    def save(self):
        self._record.write()

    def note(self, text):
        self._record.note(f"{self._entry['name']}: {text}")

    def _put(self, outcome, reason, **more):
        self._entry.update(outcome=outcome, reason=reason, **more)
        self._record.write()

    def _tell(self, what, reason):
        self._record.note(f"{self._entry['name']}: {what}" + (f": {reason}" if reason else ""))


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
