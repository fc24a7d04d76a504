"""What a run of the benchmark found, with its conditions."""

import datetime
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

import checkout
from quiet import QUIET

# Evaluations that one picture costs by the model's default sampler.
STEPS = 50

COLUMNS = ("batch", "PyTorch, NCHW", "PyTorch, channels_last", "server", "server ÷ PyTorch",
           f"pictures/s, {STEPS} steps", "overhead",
           "kernel and noise")


class Report:
    """Medians of quiet figures; where there were too few, of all, and it says so."""

    def __init__(self, taken, args, versions):
        """`taken` is {(name, batch): [(figures, share that others used)]}, `versions` the server's."""
        self._rounds, self._seconds = args.rounds, args.seconds
        self._subjects = {key: self._summary(rows) for key, rows in taken.items()}
        self._conditions = conditions(versions)

    def _summary(self, rows):
        quiet = [figures for figures, others in rows if others <= QUIET]
        enough = len(quiet) >= self._rounds
        used = quiet if enough else [figures for figures, _ in rows]
        median = {name: statistics.median(figures[name] for figures in used) for name in used[0]}
        return median | {"noisy": not enough, "figures": len(used), "discarded": len(rows) - len(used),
                         "most_used_by_others": max(others for _, others in rows)}

    def json(self):
        rows = [{"subject": name, "batch": batch, **figures}
                for (name, batch), figures in self._subjects.items()]
        return json.dumps({**self._conditions, "rounds": self._rounds,
                           "seconds": self._seconds, "rows": rows}, indent=2)

    def markdown(self):
        batches = sorted({batch for name, batch in self._subjects if name == "server"})
        lines = [
            "Evaluations of the network a second, fp32: DDPM's UNet for CIFAR-10 (35.7 M parameters, "
            "12.4 GFLOP an evaluation).", "",
            "| " + " | ".join(COLUMNS) + " |", "|" + "--:|" * len(COLUMNS),
            *map(self._row, batches), "", *self._toys(), "", *self._footer(),
        ]
        return "\n".join(lines)

    def _row(self, batch):
        nchw, last, server = (
            self._subjects[name, batch] for name in ("nchw", "channels_last", "server")
        )
        best = max(nchw["evals_per_second"], last["evals_per_second"])
        cells = (
            str(batch),
            *(f"{figures['evals_per_second']:.1f}" for figures in (nchw, last, server)),
            f"{server['evals_per_second'] / best:.2f}",
            f"{server['evals_per_second'] / STEPS:.3f}",
            f"{100 * server['overhead']:.1f} %",
            f"{100 * server['kernel']:.1f} %",
        )
        return "| " + " | ".join(cells) + " |"

    def _toys(self):
        return [
            f"The embedded toy, {count} points together: {figures['evals_per_second']:,.0f} evals/s, "
            f"{figures['samples_per_second']:,.0f} points/s, {figures['evals_per_call']:.0f} evals a "
            f"call, overhead {100 * figures['overhead']:.1f} %, kernel and noise "
            f"{100 * figures['kernel']:.1f} %."
            for (name, count), figures in self._subjects.items() if name == "toy"
        ]

    def _footer(self):
        known = self._conditions
        versions = ", ".join(f"{name} {version}" for name, version in known["versions"].items())
        lines = [
            f"* Machine: {known['cpu']}, {known['cores']} cores, {known['memory_gib']} GiB; "
            f"{known['system']}.",
            f"* {known['date']}, commit {known['commit']}: `{known['command']}`; {versions}.",
            f"* Medians of {self._rounds} figures of {self._seconds:g} s each, taken in turns; figures "
            f"during which others used more than {100 * QUIET:.0f} % of the machine do not count.",
        ]
        noisy = [f"{name} {batch}" for (name, batch), row in self._subjects.items() if row["noisy"]]
        if noisy:
            most = max(row["most_used_by_others"] for row in self._subjects.values())
            lines.append(f"* **Noisy**: others used up to {100 * most:.0f} % of the machine, and there "
                         f"were too few quiet figures of: {', '.join(noisy)}. These are medians of all.")
        return lines

    def write(self, folder):
        """Writes the page of this machine and day, and returns its path."""
        known = self._conditions
        words = re.sub("[^a-z0-9]+", "-", known["cpu"].lower()).strip("-")
        page = Path(folder) / f"{known['date']}-{words}-{known['cores']}-cores.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        title = f"# {known['cpu']}, {known['cores']} cores, {known['date']}"
        page.write_text(f"{title}\n\n{self.markdown()}\n")
        return page


def conditions(versions):
    """Everything that the figures depend on."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "command": shlex.join(["python3", os.path.relpath(sys.argv[0]), *sys.argv[1:]]),
        "cpu": cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30),
        "system": f"Linux {platform.release()}",
        "versions": {
            "PyTorch": torch.__version__, "Python": platform.python_version(), **versions,
        },
    }


def cpu():
    text = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def commit():
    command = ["git", "-C", str(checkout.ROOT), "describe", "--always", "--dirty"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return answer.stdout.strip() or "unknown"
