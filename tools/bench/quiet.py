"""Tells how much of the machine others used while something was measured.

Two threads that wait for each other lose several times more than the share that a third
one takes, so a figure taken beside other load says nothing. Linux only.
"""

import os
from pathlib import Path
from typing import NamedTuple

# Share of the machine that others may have used while a figure was taken.
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
        all: of all cores, idle or not.
        used: by anybody.
        own: by this process and its descendants.
    """

    all: int
    used: int
    own: int

    @classmethod
    def now(cls):
        return cls(*machine_ticks(), own_ticks())

    def used_by_others_since(self, before):
        """A share of all ticks between."""
        total, used, own = (after - then for after, then in zip(self, before))
        # The readings are not of one moment: the difference may come out below 0.
        return max(0, used - own) / max(total, 1)


def machine_ticks():
    """Ticks of all cores since the start: all of them, and those that were used."""
    user, nice, system, idle, iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    # Stolen time is what other machines on the same host took.
    busy = user + nice + system + irq + softirq + steal
    return busy + idle + iowait, busy


def own_ticks():
    """Ticks that this process and its descendants have used, those that ended included."""
    processes = dict(filter(None, map(read_process, Path("/proc").glob("[0-9]*"))))
    own = {os.getpid()}
    grown = True
    while grown:
        children = {pid for pid, (parent, _) in processes.items() if parent in own}
        grown = not children <= own
        own |= children
    return sum(ticks for pid, (_, ticks) in processes.items() if pid in own)


def read_process(folder):
    """A process's number, its parent's, and its ticks with those of children it waited for."""
    try:
        stat = (folder / "stat").read_text()
    except OSError:
        return None  # it has just ended
    # The name, in parentheses, may hold anything.
    fields = stat[stat.rindex(")") + 2:].split()
    return int(folder.name), (int(fields[1]), sum(map(int, fields[11:15])))
