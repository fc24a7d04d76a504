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
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from serving import Server, ServerError, end_on_signals

FOLDER = Path(__file__).resolve().parent


class MeasureError(Exception):
    """A run could not be measured; the message says why."""


def main():
    end_on_signals()
    args = arguments()
    with tempfile.TemporaryDirectory(prefix="ddpm-benchmark-") as scratch:
        with start(args, Path(scratch) / "server.log") as server:
            device = status(server)["device"]["name"]
            rows = [
                measure(server, args.model, batch, args.seconds, scratch) for batch in args.batches
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
    flags = ["--listen", "127.0.0.1:0", "--device", args.device]
    flags += ["--max-batch", str(max(args.batches)), "--spin"]
    flags += ["--models", args.models] if args.models else []
    return Server(FOLDER / "bin/ddpm-server", *flags, log=log)


def status(server):
    """Returns the status of the server, as `ddpm status --json` prints it."""
    return json.loads(client(server, "status"))


def measure(server, model, batch, seconds, scratch):
    """Measures one row: `batch` samples together, with steps for about `seconds`."""
    # The first run warms up this batch size, the second estimates its speed.
    sample(server, model, batch, 2, scratch)
    rough, wall = sample(server, model, batch, 5, scratch)
    steps = max(5, min(most_steps(server, model), int(seconds / wall * rough["ticks"])))
    done, wall = sample(server, model, batch, steps, scratch)
    return {
        "batch": batch,
        "evals_per_call": done["evals"] / done["ticks"],
        "steps": steps,
        "ms_per_call": 1000 * done["compute_seconds"] / done["ticks"],
        "evals_per_second_in_network": done["evals"] / done["compute_seconds"],
        "evals_per_second_served": done["evals"] / wall,
    }


def most_steps(server, model):
    return json.loads(client(server, "models", model))["timesteps"]


def sample(server, model, batch, steps, scratch):
    """Runs one request; returns its `completed` event and its duration in seconds."""
    begin = time.monotonic()
    report = client(
        server, "sample", model, "--count", str(batch), "--seed", "1", "--sampler", "ddim",
        "--steps", str(steps), "--format", "npy", "--no-grid", "--out", str(scratch),
    )
    wall = time.monotonic() - begin
    return json.loads(report)["completed"], wall


def client(server, *words):
    command = [FOLDER / "bin/ddpm", "--server", server.url, "--json", *words]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if answer.returncode != 0:
        raise MeasureError(f"ddpm {words[0]} failed: {answer.stderr.strip()}")
    return answer.stdout


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
    except (MeasureError, ServerError) as error:
        sys.exit(f"error: {error}")
