#!/usr/bin/env python3
"""Measures the network evaluations per second of the server in this folder.

For each batch size, one request asks for that number of samples, so that each call of
the network advances all of them. The columns are

    in the network   evals / time in calls of the network
    served           evals / time from the request to its last file

Uses only the standard library. Measure on an otherwise idle machine.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from programs import ProgramError, Programs
from serving import ServerError, end_on_signals

PROGRAMS = Programs(Path(__file__).resolve().parent)


def main():
    end_on_signals()
    args = arguments()
    with tempfile.TemporaryDirectory(prefix="ddpm-benchmark-") as scratch:
        with start(args, Path(scratch) / "server.log") as server:
            device = PROGRAMS.ask(server, "status")["device"]["name"]
            rows = [
                measure(PROGRAMS, server, args.model, batch, args.seconds, scratch)
                for batch in args.batches
            ]
    if args.json:
        print(json.dumps({"model": args.model, "device": device, "rows": rows}, indent=2))
    else:
        print(f"{args.model} on {device}")
        print(table(rows))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", default="glyphs", help="name of the model [glyphs]")
    parser.add_argument("--models", metavar="DIR", help="packages to serve [the embedded ones]")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N [auto]")
    parser.add_argument("--batches", type=batch_sizes, default=[1, 8, 64, 256], metavar="B,B,…",
                        help="samples in flight together [1,8,64,256]")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one run [5]")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


def batch_sizes(text):
    sizes = [int(word) for word in text.split(",")]
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError("a batch holds at least one sample")
    return sizes


def start(args, log):
    flags = ["--device", args.device, "--max-batch", max(args.batches), "--spin"]
    flags += ["--models", args.models] if args.models else []
    return PROGRAMS.serve(*flags, log=log)


def measure(programs, server, model, batch, seconds, scratch, *flags):
    """Measures one row: `batch` samples together, with steps for about `seconds`.

    `flags` are more flags of `ddpm sample`.
    """
    def run(steps):
        return sample(programs, server, model, batch, steps, scratch, *flags)

    # The first run warms up this batch size, the second estimates its speed.
    run(2)
    rough, wall = run(5)
    most_steps = programs.ask(server, "models", model)["timesteps"]
    steps = max(5, min(most_steps, int(seconds / wall * rough["ticks"])))
    done, wall = run(steps)
    return {
        "batch": batch,
        "evals_per_call": done["evals"] / done["ticks"],
        "steps": steps,
        "ms_per_call": 1000 * done["compute_seconds"] / done["ticks"],
        "evals_per_second_in_network": done["evals"] / done["compute_seconds"],
        "evals_per_second_served": done["evals"] / wall,
    }


def sample(programs, server, model, count, steps, scratch, *flags):
    """Runs one request; returns its `completed` event and its duration in seconds."""
    begin = time.monotonic()
    report = programs.ask(
        server, "sample", model, "--count", count, "--seed", 1, "--sampler", "ddim",
        "--steps", steps, "--format", "npy", "--no-grid", "--out", scratch, *flags,
    )
    return report["completed"], time.monotonic() - begin


def table(rows):
    """Formats the rows as a Markdown table."""
    lines = ["| batch | ms per call | evals/s in the network | evals/s served |", "|--:|--:|--:|--:|"]
    for row in rows:
        lines.append(
            f"| {row['evals_per_call']:.0f} | {row['ms_per_call']:.2f} "
            f"| {row['evals_per_second_in_network']:.1f} | {row['evals_per_second_served']:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        main()
    except (ProgramError, ServerError) as error:
        sys.exit(f"error: {error}")
