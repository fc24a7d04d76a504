"""Writes cases.json: see README.md.

    PYTHONPATH=.peers python3 diffusion/tests/parity/reference.py [NAME ...]

With names, runs only the cases whose names contain one of them, prints, and writes nothing.
"""

import copy
import json
import math
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np

from network import DIM, Network
from process import Discrete, Edm, Flow, Model, Schedule, data

warnings.filterwarnings("ignore")
TOLERANCE = 1e-9  # between a formula and a package's code in float64


def process_of(description, real=np.float64):
    """A process from its description, or from that of a discrete one's schedule."""
    kind = description["kind"]
    if kind == "edm":
        return Edm(description["sigma_data"], real)
    if kind == "flow":
        return Flow(real)
    return Discrete(Schedule(**description, real=real))


def points_of(case, process):
    """The points where the network is evaluated, and the end."""
    if "timesteps" in case.grid:
        points = [process.at_timestep(t) for t in case.grid["timesteps"]]
    else:
        points = [process.at_sigma(sigma) for sigma in case.grid["sigmas"]]
    end = data(process.real) if case.end == "data" else process.at_sigma(case.end["sigma"])
    return [*points, end]


def run_formula(case, real=np.float64):
    """The case by its paper's formula; fixes the case's initial state and noise the first time."""
    from formulas import parse

    process = process_of(case.schedule or case.process, real)
    points = points_of(case, process)
    random = np.random.default_rng(zlib.crc32(case.name.encode()))
    if case.initial is None:
        case.initial = start(case, points, random)
    model = Model(process, case.prediction, case.clip, random.standard_normal, list(case.noise))
    sampler, options = parse(case.sampler)
    result = sampler(model, points, np.array(case.initial).astype(real), **options)
    case.noise = model.used_noise
    case.evaluations = len(model.evaluated)
    return result, process, points


def start(case, points, random):
    """A state as the process has it at its first point, a little wide, so that clips act."""
    x_0, eps = random.uniform(-1, 1, DIM), random.standard_normal(DIM)
    point = points[-2] if case.sampler == "ddim-inverse" else points[0]
    return 2 * (float(point.alpha) * x_0 + float(point.s) * eps)


def answer(case):
    """The case's entry in the file."""
    from packages import VERSIONS, run

    formula, process, points = run_formula(case)
    exact, _, _ = run_formula(case, np.longdouble)
    check_clip(case, formula)
    packages = []
    for wanted in case.runs:
        in_float64, shipped = run(case, process, points, wanted)
        difference = distance(in_float64, formula)
        entry = {
            "name": wanted.name,
            "version": VERSIONS[wanted.name.partition(".")[0]],
            "options": wanted.options | wanted.step_options,
            "fed": wanted.feed,
            "output": numbers(in_float64),
            "difference": difference,
            "difference_as_shipped": distance(shipped, formula),
            "agrees": difference is not None and difference <= TOLERANCE,
            "remark": wanted.remark,
        }
        packages.append(entry)
        if entry["agrees"] != wanted.agrees:
            print(f"UNEXPECTED {case.name}: {wanted.name} {entry}", file=sys.stderr)
    return {
        "name": case.name,
        "sampler": case.sampler,
        "process": case.process,
        "prediction": case.prediction,
        "variance": case.variance,
        "clip": case.clip,
        "grid": case.grid,
        "end": case.end,
        "grid_name": case.grid_name,
        "evaluations": case.evaluations,
        "initial": numbers(case.initial),
        "noise": [numbers(z) for z in case.noise],
        "formula": numbers(formula),
        "rounding": float(np.max(np.abs(exact - formula))),
        "packages": packages,
    }


def check_clip(case, result):
    """A clip must act, and must leave something that is not at its bounds."""
    if case.clip == "none" or case.prediction == "mean":
        return
    unclipped, _, _ = run_formula(replace(case, clip="none"))
    effect = np.max(np.abs(unclipped - result))
    if effect < 1e-4 or np.sum(np.abs(result) < 1) < 2:
        print(f"UNEXPECTED {case.name}: the clip changes {effect:.0e}: {result}", file=sys.stderr)


def replace(case, **changes):
    other = copy.copy(case)
    for name, value in changes.items():
        setattr(other, name, value)
    return other


def distance(a, b):
    """The largest absolute difference; None where it is not a number."""
    largest = float(np.max(np.abs(np.asarray(a) - np.asarray(b))))
    return largest if math.isfinite(largest) else None


def text(difference):
    return "NaN" if difference is None else f"{difference:.0e}"


def numbers(values):
    """Floats for the file; None where there is no number."""
    return [float(v) if math.isfinite(v) else None for v in values]


def main(names):
    import cases
    import grids
    from packages import VERSIONS

    everything = [*cases.cases(), *cases.beyond()]
    chosen = [c for c in everything if not names or any(name in c.name for name in names)]
    assert len({case.name for case in chosen}) == len(chosen), "names are unique"
    entries = []
    for case in chosen:
        entry = answer(case)
        entries.append(entry)
        found = [
            f"{p['name'].split('.')[1]} {text(p['difference'])} / {text(p['difference_as_shipped'])}"
            + ("" if p["agrees"] else " DISAGREES")
            for p in entry["packages"]
        ]
        print(f"{case.name:36} {entry['rounding']:.1e}  {'  '.join(found)}")
    if names:
        return
    reference = {
        "versions": VERSIONS,
        "network": Network().to_json(),
        "schedules": cases.SCHEDULES,
        "cases": [entry for entry in entries if not entry["name"].startswith("beyond-")],
        "beyond": [entry for entry in entries if entry["name"].startswith("beyond-")],
        "grids": grids.expected(cases.SCHEDULES, process_of),
    }
    write(reference, Path(__file__).with_name("cases.json"))
    compared = sum(any(p["agrees"] for p in e["packages"]) for e in entries)
    print(f"{len(entries)} cases, {compared} of them agree with a package")


def write(reference, path):
    """One case or grid a line, so that a change shows as one."""
    parts = []
    for key, value in reference.items():
        if isinstance(value, list):
            lines = ",\n  ".join(json.dumps(entry, allow_nan=False) for entry in value)
            parts.append(f" {json.dumps(key)}: [\n  {lines}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    sys.modules["reference"] = sys.modules["__main__"]
    main(sys.argv[1:])
