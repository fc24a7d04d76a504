#!/usr/bin/env python3
"""Trains on real digits here and in PyTorch, with five seeds each, and compares: `make seeds`.

Both sides train the same network from weights of the same distribution, with the settings
below; only the settings are shared, so each side draws its own weights, batches, noise and
timesteps. One program then evaluates the averaged weights of both: their loss on the test
digits at fixed timesteps and noise, and the Fréchet distance between samples drawn from
fixed noise and the training digits (`ddpm-exporter eval`, with its small extractor).

The table goes to standard output, progress to standard error.
"""

import argparse
import gzip
import json
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / ".peers"), str(HERE.parent)]

import checkout  # noqa: E402
import page  # noqa: E402
from rounds import progress  # noqa: E402

DIGITS = checkout.ROOT / "tests/fixtures/digits"
BATCH, LR, WARMUP, DECAY, T = 64, 1e-3, 50, 0.99, 1000
HIDDEN, GROUPS, MULTIPLIERS, BLOCKS, ATTENTION = 32, 8, (1, 2), 1, (False, True)
SAMPLES, EVALS = 500, 10
SIDES = "ddpm-exporter", "PyTorch"


def main():
    args = arguments()
    with tempfile.TemporaryDirectory(prefix="ddpm-seeds-") as scratch:
        rows = {side: [] for side in SIDES}
        for seed in range(1, args.seeds + 1):
            here = train_with_exporter(Path(scratch), seed, args.steps)
            there = train_with_pytorch(seed, args.steps)
            for side, weights in zip(SIDES, (here, there)):
                rows[side].append(evaluate(weights, Path(scratch)))
                loss, distance = rows[side][-1]
                progress(f"seed {seed}, {side}: loss {loss:.5f}, Fréchet distance {distance:.4f}")
    print(table(rows, args))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="runs of each side [5]")
    parser.add_argument("--steps", type=int, default=300, help="steps of each run [300]")
    args = parser.parse_args()
    if args.seeds < 2 or args.steps < 1:
        parser.error("--seeds must be at least 2, and --steps at least 1")
    return args


def exporter(*arguments):
    command = [str(checkout.binary("ddpm-exporter", "release")), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: `ddpm-exporter {arguments[0]}` failed: {done.stderr[-2000:]}")
    return done.stdout


def train_with_exporter(scratch, seed, steps):
    """Returns the averaged weights of a run of `ddpm-exporter train`."""
    from safetensors.torch import load_file

    run = scratch / f"run-{seed}"
    exporter(
        "train", "--data", f"mnist:{DIGITS}", "--no-labels", "--out", run, "--device", "cpu",
        "--seed", seed, "--steps", steps, "--batch-size", BATCH, "--lr", LR, "--warmup", WARMUP,
        "--ema-decay", DECAY, "--hid-channels", HIDDEN, "--num-groups", GROUPS,
        "--ch-multipliers", ",".join(map(str, MULTIPLIERS)), "--num-res-blocks", BLOCKS,
        "--apply-attn", ",".join(str(level).lower() for level in ATTENTION), "--drop-rate", 0,
        "--timesteps", T, "--held-out", 0, "--no-flip", "--sample-every", 0,
        "--checkpoint-every", 0, "--no-export")
    return load_file(next((run / "checkpoints").glob("step-*")) / "ema.safetensors")


def train_with_pytorch(seed, steps):
    """Returns the averaged weights of a PyTorch loop like the reference's."""
    import torch

    from loops import Loop

    torch.manual_seed(seed)
    network = initialised()
    loop = Loop(network, digits("train"), betas(), batch=BATCH, lr=LR, warmup=WARMUP, tuned=False,
                flips=False, decay=DECAY)
    for _ in range(steps):
        loop.step()
    return loop.averages


def network():
    import unet

    unet.GROUPS = GROUPS
    return unet.UNet(1, HIDDEN, MULTIPLIERS, BLOCKS, ATTENTION)


def initialised():
    """Makes a network with the reference's initial weights: Xavier, nearly 0 where a branch ends."""
    import torch

    net = network()
    for name, module in net.named_modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            last = name.endswith(("conv2", "project_out")) or name == "out_conv.2"
            torch.nn.init.xavier_uniform_(module.weight, gain=math.sqrt(1e-10) if last else 1.0)
            torch.nn.init.zeros_(module.bias)
    return net


def betas():
    import torch

    return torch.linspace(1e-4, 0.02, T, dtype=torch.float64)


def digits(part):
    """Reads the pictures of a file in MNIST's format, u8 [N, 1, 8, 8]."""
    import torch

    name = {"train": "train", "test": "t10k"}[part]
    raw = gzip.decompress((DIGITS / f"{name}-images-idx3-ubyte.gz").read_bytes())
    count, height, width = (int.from_bytes(raw[i:i + 4], "big") for i in (4, 8, 12))
    return torch.frombuffer(bytearray(raw[16:]), dtype=torch.uint8).view(count, 1, height, width)


def evaluate(weights, scratch):
    """Returns the loss on the test digits and the Fréchet distance to the training digits."""
    import numpy
    import torch

    net = network()
    net.load_state_dict(weights)
    net.eval()
    bar = torch.cumprod(1.0 - betas(), 0)
    random = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        loss = fixed_loss(net, bar, random)
        samples = ddim(net, bar, torch.randn(SAMPLES, 1, 8, 8, generator=random))
    pixels = ((samples.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    numpy.save(scratch / "samples.npy", pixels.permute(0, 2, 3, 1).numpy())
    report = json.loads(exporter("eval", scratch / "samples.npy", "--against", f"mnist:{DIGITS}",
                                 "--measures", "frechet", "--device", "cpu", "--json",
                                 "--ort-lib", checkout.onnxruntime()))
    return loss, report["frechet_distance"]


def fixed_loss(net, bar, random, repeats=4):
    """Returns the mean squared error of eps on the test digits, each at `repeats` fixed timesteps."""
    import torch

    x_0 = digits("test").float() / 127.5 - 1.0
    total = 0.0
    for _ in range(repeats):
        t = torch.randint(T, (len(x_0),), generator=random)
        noise = torch.randn(x_0.shape, generator=random)
        alpha, sigma = (scale[t].float().view(-1, 1, 1, 1) for scale in (bar.sqrt(), (1 - bar).sqrt()))
        total += (net(alpha * x_0 + sigma * noise, t) - noise).square().mean().item()
    return total / repeats


def ddim(net, bar, x):
    """Samples with DDIM (Song et al. 2021, equation 12 with eta = 0), clipping x_0 to [-1, 1]."""
    import torch

    times = torch.linspace(T - 1, 0, EVALS).round().long().tolist()
    for t, after in zip(times, times[1:] + [None]):
        alpha, sigma = bar[t].sqrt().item(), (1 - bar[t]).sqrt().item()
        x_0 = ((x - sigma * net(x, torch.full((len(x),), t))) / alpha).clamp(-1, 1)
        if after is None:
            return x_0
        eps = (x - alpha * x_0) / sigma
        x = bar[after].sqrt().item() * x_0 + (1 - bar[after]).sqrt().item() * eps


def table(rows, args):
    known = page.conditions({})
    lines = [f"{args.seeds} seeds each, {args.steps} steps of {BATCH} digits.", "",
             "| | loss on the test digits | Fréchet distance |", "|---|--:|--:|"]
    for side in SIDES:
        cells = [f"{mean:.5f} ± {error:.5f}" for mean, error in map(mean_and_error, zip(*rows[side]))]
        lines.append(f"| {side} | {' | '.join(cells)} |")
    (ours, theirs), cells = ([list(zip(*rows[side])) for side in SIDES]), []
    for mine, other in zip(ours, theirs):
        (mean, error), (against, its) = mean_and_error(mine), mean_and_error(other)
        both = math.hypot(error, its)
        cells.append(f"{100 * (mean / against - 1):+.2f} %, {(mean - against) / both:+.2f} standard errors")
    lines += [f"| difference | {' | '.join(cells)} |", "",
              f"* Means ± standard errors. {known['cpu']}, {known['cores']} cores; {known['date']}, commit "
              f"{known['commit']}: `{known['command']}`; PyTorch {known['versions']['PyTorch']}."]
    return "\n".join(lines)


def mean_and_error(values):
    return statistics.mean(values), statistics.stdev(values) / math.sqrt(len(values))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
