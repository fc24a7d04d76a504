#!/usr/bin/env python3
"""Measures the server beside PyTorch and OpenVINO, on the CPU: `make bench`.

All evaluate one network of CIFAR-10's size with the same random weights, in turns, in
one run: the server in its portable and its int8 graph, PyTorch eager in fp32, OpenVINO in
bf16. The embedded toy shows the server's overhead. Two more servers keep samples in the
memory of ONNX Runtime (`--samples-on device`).
docs/benchmarks/README.md explains the figures. The table goes to standard output,
progress to standard error.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / ".peers"), str(HERE.parent)]

import checkout  # noqa: E402
from serving import ServerError  # noqa: E402

from report import Report  # noqa: E402
from rounds import measure, progress  # noqa: E402

NETWORK = "cifar10"
# Every graph that runs on a CPU.
GRAPHS = ("portable", "int8")
BATCHES = (1, 4, 8, 16)
POINTS = 1000


def main():
    args = arguments()
    # When ended from outside, end the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        # Imported here because PyTorch takes seconds, which --help should not.
        from eager import FORMATS, Eager
        from openvino_peer import OpenVino
        from openvino_peer import version as openvino_version
        from served import Served
    except ImportError as error:
        sys.exit(f"error: {error}; run `make bench`, which fetches missing packages")
    with tempfile.TemporaryDirectory(prefix="ddpm-bench-") as scratch:
        package = make_package(Path(scratch))
        progress("loading the network into PyTorch, into OpenVINO and into four servers")
        peers = {name: Eager(package, name) for name in FORMATS}
        peers["openvino"] = OpenVino(package)
        flags = ("--models", package.parent, "--max-batch", max(BATCHES))
        more = ("--graphs", ",".join(GRAPHS))
        bound = ("--samples-on", "device")

        def served(name, *words):
            return Served(Path(scratch) / f"{name}.log", *words)

        with served("unet", *flags, *more) as unet, served("toy") as toy, \
                served("bound-unet", *flags, *bound) as bound_unet, \
                served("bound-toy", *bound) as bound_toy:
            subjects = list_subjects(peers, unet, toy, args.seconds)
            subjects |= list_bound(bound_unet, bound_toy, args.seconds)
            versions = {**unet.versions(), "OpenVINO": openvino_version()}
            report = Report(measure(subjects, args.rounds), args, versions)
    print(report.json() if args.json else report.markdown())
    if args.write:
        progress(f"wrote {report.write(checkout.ROOT / 'docs/benchmarks')}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="figures of each kind [5]")
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of a figure [3]")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--write", action="store_true", help="write a page in docs/benchmarks too")
    args = parser.parse_args()
    if args.rounds < 1 or not 0 < args.seconds <= 60:
        parser.error("--rounds must be at least 1, and --seconds above 0 and at most 60")
    return args


def make_package(scratch):
    """Makes a package of random weights, with an int8 graph, that PyTorch can also read."""
    package = scratch / "models" / f"{NETWORK}-random"
    package.parent.mkdir()
    progress(f"making {package.name}")
    subprocess.run(
        [checkout.binary("ddpm-exporter", "release"), "random", "--network", NETWORK, "--spread",
         "0.2", "--seed", "1", "--with-weights", "--graphs", "int8", "--output", package,
         "--ort-lib", checkout.onnxruntime()],
        check=True, stdout=subprocess.DEVNULL,
    )
    return package


def list_subjects(peers, unet, toy, seconds):
    """Returns the subjects: {key: a function that returns a dictionary of figures}."""
    def in_peer(name, batch):
        return lambda: {"evals_per_second": peers[name].evals_per_second(batch, seconds)}

    def in_server(graph, batch):
        return lambda: unet.measure(seconds, sample_count=batch, graph=graph, **request())

    subjects = {}
    for batch in BATCHES:
        subjects |= {(name, batch): in_peer(name, batch) for name in peers}
        subjects |= {(graph, batch): in_server(graph, batch) for graph in GRAPHS}
    subjects["toy", POINTS] = lambda: toy.measure(seconds, model="toy", sample_count=POINTS, seed=1)
    return subjects


def list_bound(unet, toy, seconds):
    """Returns the subjects of the servers that keep samples on the device."""
    subjects = {
        ("bound", batch): lambda batch=batch: unet.measure(
            seconds, sample_count=batch, **request())
        for batch in BATCHES
    }
    subjects["bound toy", POINTS] = lambda: toy.measure(
        seconds, model="toy", sample_count=POINTS, seed=1)
    return subjects


def request():
    """Returns a short request to the network: `seconds` determines how many are made."""
    from served import ddim

    return {"model": f"{NETWORK}-random", "sampler": ddim(), "num_steps": 10, "seed": 1}


if __name__ == "__main__":
    try:
        main()
    except ServerError as error:
        sys.exit(f"error: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {Path(error.cmd[0]).name} failed; see its message above")
    except KeyboardInterrupt:
        sys.exit(130)
