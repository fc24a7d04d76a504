"""Pages of measurements, and the conditions that end them."""

import datetime
import os
import platform
import re
import shlex
import sys
from pathlib import Path

import checkout
import machine
from quiet import QUIET


def footer(known, subjects, rounds, seconds):
    """Returns lines on where and how `subjects`, {(name, size): summary}, were measured."""
    versions = ", ".join(f"{name} {version}" for name, version in known["versions"].items())
    lines = [
        f"* Machine: {known['cpu']}, {known['cores']} cores, {known['memory_gib']} GiB; "
        f"{known['system']}.",
        f"* {known['date']}, commit {known['commit']}: `{known['command']}`; {versions}.",
        f"* Medians of {rounds} figures of {seconds:g} s each, taken in turns; figures "
        f"during which others used more than {100 * QUIET:.0f} % of the machine do not count.",
    ]
    noisy = [" ".join(map(str, key)) for key, row in subjects.items() if row["noisy"]]
    if noisy:
        most = max(row["most_used_by_others"] for row in subjects.values())
        lines.append(f"* **Noisy**: others used up to {100 * most:.0f} % of the machine, and there "
                     f"were too few quiet figures of: {', '.join(noisy)}. These are medians of all.")
    return lines


def write(folder, known, kind, text):
    """Writes the page of this machine and day and returns its path; `kind` ends its name."""
    words = re.sub("[^a-z0-9]+", "-", known["cpu"].lower()).strip("-")
    path = Path(folder) / f"{known['date']}-{words}-{known['cores']}-cores{kind}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    title = f"# {known['cpu']}, {known['cores']} cores, {known['date']}"
    path.write_text(f"{title}\n\n{text}\n")
    return path


def conditions(versions):
    """Returns everything that the figures depend on."""
    import torch

    return {
        "date": datetime.date.today().isoformat(),
        "commit": checkout.commit(),
        "command": shlex.join(["python3", os.path.relpath(sys.argv[0]), *sys.argv[1:]]),
        **machine.describe(),
        "versions": {
            "PyTorch": torch.__version__, "Python": platform.python_version(), **versions,
        },
    }
