"""What a case is, and short names for grids and packages."""

from dataclasses import dataclass, field

import grids
from packages import Run

SCHEDULES = {
    "linear": {"kind": "linear", "timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02},
    "cosine": {"kind": "cosine", "timesteps": 1000},
    "short": {"kind": "linear", "timesteps": 100, "beta_start": 1e-3, "beta_end": 0.1},
}
EDM = {"kind": "edm", "sigma_min": 0.002, "sigma_max": 80, "sigma_data": 0.5}
FLOW = {"kind": "flow"}


@dataclass
class Case:
    """One row of the table; `process` is a schedule's name, EDM or FLOW."""

    name: str
    sampler: str
    grid: dict
    grid_name: str
    runs: list = field(default_factory=list)
    process: object = "linear"
    prediction: str = "eps"
    clip: str = "none"
    variance: str = "fixed-small"
    end: object = "data"

    def __post_init__(self):
        self.schedule = SCHEDULES.get(self.process) if isinstance(self.process, str) else None
        if self.schedule:
            self.process = {"kind": "discrete", "schedule": self.process}
        self.noise, self.initial = [], None


def timesteps(values):
    return {"timesteps": [v if v != int(v) else int(v) for v in values]}


def sigmas(values):
    return {"sigmas": values}


# Grids with their names: n evaluations each.
def leading(n, total=1000, offset=0):
    name = f"diffusers leading {n}" + (f", offset {offset}" if offset else "")
    return timesteps(grids.leading(total, n, offset)), name


def trailing(n, total=1000):
    return timesteps(grids.trailing(total, n)), f"diffusers trailing {n}"


def linspace(n):
    return timesteps(grids.linspace(1000, n)), f"diffusers linspace {n}"


def linspace_open(n, total=1000):
    return timesteps(grids.linspace_open(total, n)), f"linspace {n} of diffusers' multistep solvers"


def leading_open(n):
    return timesteps(grids.leading_open(1000, n)), f"leading {n} of diffusers' multistep solvers"


def edm_karras(n):
    return sigmas(grids.karras(0.002, 80.0, n)), f"karras {n}"


def edm_exponential(n):
    return sigmas(grids.exponential(0.002, 80.0, n)), f"exponential {n}"


def own_range(schedule):
    from reference import process_of

    table = process_of(SCHEDULES[schedule]).schedule.sigmas
    return float(table[0]), float(table[-1])


def karras(n, schedule="linear"):
    return sigmas(grids.karras(*own_range(schedule), n)), f"karras {n} on the schedule's range"


def log_snr(n, schedule="linear"):
    return sigmas(
        grids.exponential(*own_range(schedule), n)
    ), f"log-snr {n} on the schedule's range"


def exponential(n, schedule="linear"):
    return sigmas(
        grids.exponential(*own_range(schedule), n)
    ), f"exponential {n} on the schedule's range"


def first_sigma(schedule="linear"):
    """Where diffusers' final_sigmas_type=sigma_min ends."""
    return {"sigma": own_range(schedule)[0]}


# ── packages ──


def diffusers(name, n, **options):
    """A scheduler of diffusers over its own grid of n evaluations."""
    extra = {
        key: options.pop(key)
        for key in (
            "feed network_time step_options agrees remark grid_differs prepare before_step".split()
        )
        if key in options
    }
    return Run(f"diffusers.{name}Scheduler", options, {"num_inference_steps": n}, **extra)


def k_diffusion(name, agrees=True, remark="", **options):
    return Run(f"k-diffusion.sample_{name}", options, agrees=agrees, remark=remark)


UNIT = {"thresholding": True, "sample_max_value": 1.0}
KARRAS = {"use_karras_sigmas": True, "network_time": "sigma"}
LU = {"use_lu_lambdas": True, "network_time": "sigma"}
