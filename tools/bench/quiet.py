"""Measures how much of the machine other processes use during a measurement.

Two threads that wait for each other lose several times the share that a third one takes,
so a figure taken beside other load is worthless. Linux only.
"""

import os
from pathlib import Path
from typing import NamedTuple

# Largest share of the machine that others may use while a figure is taken.
QUIET = 0.05


def watched(work, *arguments):
    """Runs `work`; returns its result, and the share of the machine's time in [0, 1]
    that went to processes other than this one and its descendants."""
    before = Ticks.now()
    result = work(*arguments)
    return result, Ticks.now().used_by_others_since(before)


class Ticks(NamedTuple):
    """Processor time since the machine's start, in ticks of single cores.

    Attributes:
        all: of all cores, busy or idle.
        used: by any process.
        own: by this process and its descendants.
    """

    all: int
    used: int
    own: int

    @classmethod
    def now(cls):
        return cls(*machine_ticks(), own_ticks())

    def used_by_others_since(self, before):
        """Returns the share of all ticks since `before` that others used."""
        total, used, own = (after - then for after, then in zip(self, before))
        # The readings are not simultaneous, so the difference may be negative.
        return max(0, used - own) / max(total, 1)


def machine_ticks():
    """Returns the ticks of all cores since the start: all, and those in use."""
    user, nice, system, idle, iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    # Stolen time went to other machines on the same host.
    busy = user + nice + system + irq + softirq + steal
    return busy + idle + iowait, busy


def own_ticks():
    """Returns the ticks of this process and its descendants, including ended ones."""
    processes = dict(filter(None, map(read_process, Path("/proc").glob("[0-9]*"))))
    own = {os.getpid()}
    grown = True
    while grown:
        children = {pid for pid, (parent, _) in processes.items() if parent in own}
        grown = not children <= own
        own |= children
    return sum(ticks for pid, (_, ticks) in processes.items() if pid in own)


def read_process(folder):
    """Returns a process's id, its parent's, and its ticks with those of reaped children."""
    try:
        stat = (folder / "stat").read_text()
    except OSError:
        return None  # it has just ended
    # The name, in parentheses, may contain anything.
    fields = stat[stat.rindex(")") + 2:].split()
    return int(folder.name), (int(fields[1]), sum(map(int, fields[11:15])))
