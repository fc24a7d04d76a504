"""Measures the order of the multistep formulas: how the error falls when steps are halved.

    PYTHONPATH=.peers python3 diffusion/tests/parity/convergence.py

It shows that the printed third-order step of DPM-Solver++ is of second order, and that of
dpm++-3-corrected of third. Steps grow from a thousandth, so that the low-order warm-up does not show.
"""

import numpy as np

from formulas import parse
from network import DIM
from process import Edm, Model

START, END = -np.log(5.0), -np.log(0.3)  # lambda


def points(process, count):
    """An even grid in lambda of `count` intervals, whose first is reached by doubling steps."""
    h = (END - START) / count
    ramp = h * 2.0 ** np.arange(-10, 1)
    lams = np.concatenate([[START], START + ramp, START + h * np.arange(2, count + 1)])
    return [process.at_sigma(np.exp(-lam)) for lam in lams]


def run(sampler, count):
    process = Edm(0.5)
    function, options = parse(sampler)
    x = 5 * np.random.default_rng(1).standard_normal(DIM)
    return function(Model(process, "edm", "none"), points(process, count), x, **options)


def main():
    truth = run("dpm++-3-corrected", 4096)
    samplers = ["dpm++:order=1", "dpm++:order=2", "dpm++:order=3,form=heun", "dpm++-3-corrected"]
    samplers += [
        "unipc:order=2",
        "unipc:order=3",
        "deis:order=2",
        "deis:order=3",
        "lms:order=3",
        "lms:order=4",
    ]
    counts = [20, 40, 80, 160]
    for sampler in samplers:
        errors = [np.max(np.abs(run(sampler, count) - truth)) for count in counts]
        orders = [np.log2(a / b) for a, b in zip(errors, errors[1:])]
        print(
            f"{sampler:26}", *(f"{e:.1e}" for e in errors), " orders", *(f"{o:.2f}" for o in orders)
        )


if __name__ == "__main__":
    main()
