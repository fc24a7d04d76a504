#!/usr/bin/env python3
"""Compares samples of int8 graphs with those of fp32, for several networks and seeds:
`make int8-quality`.

Trains each network with each seed, exports it, and makes its int8 graph, which draws
samples in both graphs and compares their Fréchet distances from the data, as
`ddpm-exporter convert` does before it writes such a graph. What would be refused is
written here all the same, and listed.

The table goes to standard output, a line per model to standard error. A folder (--work)
keeps what was done: run again with more seeds, or after an interruption, and only the
rest is computed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / ".peers"), str(HERE.parent)]

import checkout  # noqa: E402

DIGITS = f"mnist:{checkout.ROOT / 'tests/fixtures/digits'}"
GLYPHS = "glyphs:20000"
NETWORK = ("--ch-multipliers", "1,2", "--batch-size", "64", "--lr", "1e-3", "--warmup", "200")

# What a network learns from, and what it predicts.
NETWORKS = {
    "glyphs, eps": (GLYPHS, "--prediction", "eps"),
    "glyphs, v": (GLYPHS, "--prediction", "v", "--beta-schedule", "cosine"),
    "glyphs, EDM": (GLYPHS, "--process", "edm"),
    "digits, eps": (DIGITS, "--no-labels", "--no-flip"),
}


def main():
    args = arguments()
    with tempfile.TemporaryDirectory(prefix="ddpm-int8-") as scratch:
        work = Path(args.work or scratch)
        work.mkdir(parents=True, exist_ok=True)
        found = {name: [] for name in NETWORKS}
        for seed in range(1, args.seeds + 1):
            for name in NETWORKS:
                quality = measure(work, name, seed, args)
                found[name].append(quality)
                progress(f"{name}, seed {seed}: {quality['frechet_ratio']:.3f}, "
                         f"up to {quality['upper']:.3f}, one evaluation "
                         f"{100 * quality['relative_error']:.1f} %")
        print(table(found, args))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="trained models of each network [5]")
    parser.add_argument("--steps", type=int, default=3000, help="steps of each training [3000]")
    parser.add_argument("--samples", type=int, default=10000, help="of each graph [10000]")
    parser.add_argument("--work", help="folder for models and results [a temporary one]")
    args = parser.parse_args()
    if min(args.seeds, args.steps) < 1 or not 100 <= args.samples <= 100_000:
        parser.error("--seeds and --steps must be at least 1, --samples in 100 to 100000")
    return args


def measure(work, name, seed, args):
    """Returns the quality of one int8 graph, as its package states it."""
    run = work / f"{name.replace(', ', '-')}-{args.steps}-{seed}"
    result = run.with_name(f"{run.name}-{args.samples}.json")
    data, *flags = NETWORKS[name]
    if not result.exists():
        package = run / "package"
        if not package.exists():
            train(run, ("--data", data, *flags), seed, args.steps)
            exporter("export", run, "--output", package, "--graphs", "portable", "--no-weights")
        judged = run / f"int8-{args.samples}"
        exporter("convert", package, "--graphs", "int8", "--data", data, "--force-int8",
                 "--int8-samples", args.samples, "--output", judged, "--force")
        manifest = json.loads((judged / "ddpm.json").read_text())
        (quality,) = (entry["quality"] for entry in manifest["variants"])
        # Whole or not at all: an interrupted run goes on from what is there.
        written = result.with_suffix(".part")
        written.write_text(json.dumps(quality))
        written.rename(result)
    return json.loads(result.read_text())


def train(run, flags, seed, steps):
    if any((run / "checkpoints").glob("step-*")):
        exporter("train", "--resume", run)
        return
    exporter("train", *flags, *NETWORK, "--out", run, "--seed", seed, "--steps", steps,
             "--held-out", 0, "--sample-every", 0, "--device", "cpu", "--no-export")


def exporter(*arguments):
    command = [str(checkout.binary("ddpm-exporter", "release")), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: `ddpm-exporter {arguments[0]}` failed: {done.stderr[-2000:]}")


def table(found, args):
    lines = [
        f"Fréchet distance from the data of {args.samples:,} samples in int8, divided by that of "
        f"fp32's of the same seeds; {args.steps:,} training steps, {args.seeds} seeds.", "",
        "| network | median ratio | ratios | largest upper end of 95 % | refused "
        "| one evaluation |",
        "|---|--:|---|--:|--:|--:|",
    ]
    for name, models in found.items():
        ratios = [quality["frechet_ratio"] for quality in models]
        errors = [100 * quality["relative_error"] for quality in models]
        sampler = models[0]["sampler"]
        refused = sum(not quality["passed"] for quality in models)
        lines.append(
            f"| {name}; {sampler} | {statistics.median(ratios):.3f} | "
            f"{', '.join(f'{ratio:.3f}' for ratio in ratios)} | "
            f"{max(quality['upper'] for quality in models):.3f} | {refused} | "
            f"{min(errors):.1f} to {max(errors):.1f} % |")
    return "\n".join(lines)


def progress(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
