"""Measures several subjects in turns, and keeps the quiet figures."""

import statistics
import sys

from quiet import QUIET, watched

# Most figures to discard per kept one, before the run uses noisy ones.
PATIENCE = 3


def measure(subjects, rounds):
    """Measures all subjects, {(name, size, …): function}, in turns until each has `rounds` quiet
    figures. Returns {key: [(figures, share of the machine used by others)]}."""
    for key, subject in subjects.items():
        progress(f"warming up {', '.join(map(str, key))}")
        subject()
    taken = {key: [] for key in subjects}
    for number in range(1, rounds * (1 + PATIENCE) + 1):
        for key, subject in subjects.items():
            if sum(others <= QUIET for _, others in taken[key]) < rounds:
                taken[key].append(watched(subject))
        quiet = min(sum(others <= QUIET for _, others in rows) for rows in taken.values())
        progress(f"round {number}: {quiet} of {rounds} quiet figures of each")
        if quiet == rounds:
            break
    return taken


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def summary(rows, rounds):
    """Returns medians of the quiet `rows`, or of all, marked as noisy, if too few are quiet."""
    quiet = [figures for figures, others in rows if others <= QUIET]
    enough = len(quiet) >= rounds
    used = quiet if enough else [figures for figures, _ in rows]
    median = {name: statistics.median(figures[name] for figures in used) for name in used[0]}
    return median | {"noisy": not enough, "figures": len(used), "discarded": len(rows) - len(used),
                     "most_used_by_others": max(others for _, others in rows)}
