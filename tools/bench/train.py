#!/usr/bin/env python3
"""Measures `ddpm-exporter train` beside loops in PyTorch, on the CPU: `make bench-train`.

All train the same networks on data of the same size, in turns, in one run. The table
goes to standard output, progress to standard error. docs/benchmarks/README.md explains
the figures.
"""

import argparse
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / ".peers"), str(HERE.parent)]

import checkout  # noqa: E402
import page  # noqa: E402
from rounds import measure, progress, summary  # noqa: E402
from trained import RECORDS, Trained, TrainingError, make_pictures  # noqa: E402

PICTURES, POINTS = "CIFAR-10 network", "toy"
SIZES = ((PICTURES, 8), (PICTURES, 16), (POINTS, 1000))

# The loops: whether they update all tensors at once, and whether channels come last.
LOOPS = {
    "as the reference": (False, False),
    "tuned, NCHW": (True, False),
    "tuned, channels_last": (True, True),
}


def main():
    args = arguments()
    # When ended from outside, end the trainers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        import torch
    except ImportError as error:
        sys.exit(f"error: {error}; run `make bench-train`, which fetches missing packages")
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory(prefix="ddpm-bench-") as scratch, ExitStack() as running:
        subjects = list_subjects(Path(scratch), running, args)
        taken = measure(subjects, args.rounds)
    rows = {key: summary(figures, args.rounds) for key, figures in taken.items()}
    text = table(rows, page.conditions({}), args)
    print(text)
    if args.write:
        path = page.write(checkout.ROOT / "docs/benchmarks", page.conditions({}), "-training", text)
        progress(f"wrote {path}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="figures of each kind [5]")
    parser.add_argument("--seconds", type=float, default=8.0, help="duration of a figure [8]")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="threads of both sides [one per core]")
    parser.add_argument("--batch", type=int, choices=[batch for _, batch in SIZES],
                        help="measure only the network with this batch size")
    parser.add_argument("--write", action="store_true", help="write a page in docs/benchmarks too")
    args = parser.parse_args()
    if args.rounds < 1 or args.threads < 1 or not 0 < args.seconds <= 60:
        parser.error("--rounds and --threads must be at least 1, and --seconds above 0 and at most 60")
    return args


def sizes(args):
    return [size for size in SIZES if args.batch in (None, size[1])]


def list_subjects(scratch, running, args):
    """Returns the subjects: {(name, network, batch): a function that returns figures}."""
    pictures = make_pictures(scratch / "cifar10")
    subjects = {}
    for network, batch in sizes(args):
        for name, (tuned, channels_last) in LOOPS.items():
            if network == POINTS and channels_last:
                continue
            subjects[name, network, batch] = in_pytorch(network, batch, tuned, channels_last)
        trained = running.enter_context(Trained(
            checkout.binary("ddpm-exporter", "release"), scratch / f"{batch}", batch,
            1 if network == PICTURES else 10, "--device", "cpu", "--threads", args.threads,
            *(("--preset", "cifar10", "--data", f"cifar10:{pictures}", "--flip")
              if network == PICTURES else
              ("--data", "gaussian8", "--hid-channels", "128", "--timesteps", "100",
               "--beta-start", "0.001", "--beta-end", "0.2", "--lr", "1e-3", "--warmup", "0"))))
        subjects["ddpm-exporter", network, batch] = trained.items_per_second
    return {key: figure(subject, args.seconds) for key, subject in subjects.items()}


def figure(items_per_second, seconds):
    return lambda: {"items_per_second": items_per_second(seconds)}


def in_pytorch(network, batch, tuned, channels_last):
    import torch

    from decoder import Decoder
    from loops import Loop
    from unet import UNet

    def betas(first, last, count):
        return torch.linspace(first, last, count, dtype=torch.float64)

    if network == PICTURES:
        data = torch.randint(0, 256, (5 * RECORDS, 3, 32, 32), dtype=torch.uint8)
        net, schedule, lr, warmup = UNet(dropout=0.1), betas(1e-4, 0.02, 1000), 2e-4, 5000
    else:
        data, net = torch.randn(100_000, 2), Decoder()
        schedule, lr, warmup = betas(0.001, 0.2, 100), 1e-3, 0
    loop = Loop(net, data, schedule, batch=batch, lr=lr, warmup=warmup, tuned=tuned,
                channels_last=channels_last)
    return loop.items_per_second


def table(rows, known, args):
    """Formats the page: items per second, and the exporter's relative to the loops'."""
    lines = [
        "Training steps, fp32, in items per second: loss, backward, clipping, Adam, moving average.", "",
        "| network | batch | " + " | ".join(f"PyTorch {name}" for name in LOOPS)
        + " | ddpm-exporter | ÷ reference | ÷ best tuned |",
        "|---|--:|" + "--:|" * (len(LOOPS) + 3),
    ]
    for network, batch in sizes(args):
        speeds = {name: rows[name, network, batch]["items_per_second"]
                  for name in LOOPS if (name, network, batch) in rows}
        ours = rows["ddpm-exporter", network, batch]["items_per_second"]
        tuned = max(speed for name, speed in speeds.items() if name != "as the reference")
        cells = [network, str(batch)]
        cells += [number(speeds[name]) if name in speeds else "–" for name in LOOPS]
        cells += [f"{number(ours)}", f"{ours / speeds['as the reference']:.2f}", f"{ours / tuned:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *page.footer(known, rows, args.rounds, args.seconds)])


def number(speed):
    return f"{speed:,.0f}" if speed >= 1000 else f"{speed:.2f}"


if __name__ == "__main__":
    try:
        main()
    except TrainingError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
