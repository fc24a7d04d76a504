"""The cases: what is sampled, on which points, and which packages are asked."""

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
    return sigmas(grids.exponential(*own_range(schedule), n)), f"log-snr {n} on the schedule's range"


def exponential(n, schedule="linear"):
    return sigmas(grids.exponential(*own_range(schedule), n)), f"exponential {n} on the schedule's range"


def first_sigma(schedule="linear"):
    """Where diffusers' final_sigmas_type=sigma_min ends."""
    return {"sigma": own_range(schedule)[0]}


def cases():
    """All of them, by family."""
    families = [ddpm, ddim, euler, heun, dpm, sde, unipc, adams, few_steps, flow]
    return [case for family in families for case in family()]


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


# ── families ──


def ddpm():
    grid = leading(20)
    own = {"clip_sample": False, "timestep_spacing": "leading"}
    clip = {"clip_sample": True, "timestep_spacing": "leading"}
    yield Case("ddpm-eps", "ddpm", *grid, [diffusers("DDPM", 20, **own)])
    yield Case("ddpm-eps-clip", "ddpm", *grid, [diffusers("DDPM", 20, **clip)], clip="unit")
    yield Case(
        "ddpm-large-eps-clip", "ddpm:variance=fixed-large", *grid,
        [diffusers("DDPM", 20, variance_type="fixed_large", **clip)],
        clip="unit", variance="fixed-large",
    )
    yield Case("ddpm-v", "ddpm", *grid, [diffusers("DDPM", 20, **own)], prediction="v")
    yield Case("ddpm-x0-clip", "ddpm", *grid, [diffusers("DDPM", 20, **clip)], prediction="x_0", clip="unit")
    yield Case(
        "ddpm-eps-dynamic", "ddpm", *grid,
        [diffusers("DDPM", 20, thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=3.0, **own)],
        clip="dynamic:0.9:3",
    )
    yield Case(
        "ddpm-learned-range-eps", "ddpm:variance=learned-range", *leading(10),
        [diffusers("DDPM", 10, variance_type="learned_range", **own)], variance="learned-range",
    )
    yield Case(
        "ddpm-learned-range-v-clip", "ddpm:variance=learned-range", *leading(25),
        [diffusers("DDPM", 25, variance_type="learned_range", **clip)],
        prediction="v", clip="unit", variance="learned-range",
    )
    yield Case(
        "ddpm-learned-eps", "ddpm:variance=learned", *leading(10),
        [diffusers(
            "DDPM", 10, variance_type="learned", **own, agrees=False,
            remark="`learned` reads the network's variance channels as the variance itself and takes the "
            "root of it, NaN where they are negative; in Ho's code and ours they are its logarithm.",
        )],
        variance="learned",
    )
    yield Case(
        "ddpm-trailing-eps-clip", "ddpm", *trailing(10),
        [diffusers("DDPM", 10, clip_sample=True, timestep_spacing="trailing")], clip="unit",
    )
    yield Case(
        "ddpm-large-trailing-eps-clip", "ddpm:variance=fixed-large", *trailing(10),
        [diffusers(
            "DDPM", 10, variance_type="fixed_large", clip_sample=True, timestep_spacing="trailing",
            agrees=False,
            remark="Noise is left out at t = 0, not in the last step: a grid whose last timestep is 99 gets "
            "noise of deviation sqrt(1 - alphas_cumprod[99]) on the finished sample.",
        )],
        clip="unit", variance="fixed-large",
    )
    yield Case(
        "ddpm-linspace-eps-clip", "ddpm", *linspace(12),
        [diffusers("DDPM", 12, clip_sample=True, timestep_spacing="linspace")], clip="unit",
    )
    yield Case(
        "ddpm-cosine-v-clip", "ddpm", *leading(20), [diffusers("DDPM", 20, **clip)],
        process="cosine", prediction="v", clip="unit",
    )
    full = leading(100, total=100)
    yield Case(
        "ddpm-full-eps-clip", "ddpm", *full, [diffusers("DDPM", 100, **clip)], process="short", clip="unit",
    )
    yield Case(
        "ddpm-full-large-eps", "ddpm:variance=fixed-large", *full,
        [diffusers("DDPM", 100, variance_type="fixed_large", **own)],
        process="short", variance="fixed-large",
    )
    yield Case("ddpm-full-mean", "ddpm", *full, process="short", prediction="mean")
    yield Case(
        "ddpm-full-large-mean-clip", "ddpm:variance=fixed-large", *full,
        process="short", prediction="mean", clip="unit", variance="fixed-large",
    )


def ddim():
    own = {"clip_sample": False, "timestep_spacing": "leading"}
    clip = {"clip_sample": True, "timestep_spacing": "leading"}
    eta = {"step_options": {"eta": 0.5}}
    recompute = {"step_options": {"use_clipped_model_output": True}}
    grid = leading(10)
    yield Case("ddim-eps", "ddim", *grid, [diffusers("DDIM", 10, **own)])
    yield Case("ddim-v", "ddim", *grid, [diffusers("DDIM", 10, **own)], prediction="v")
    yield Case("ddim-x0", "ddim", *grid, [diffusers("DDIM", 10, **own)], prediction="x_0")
    yield Case(
        "ddim-eps-clip-keep", "ddim:clip-rule=keep-eps", *grid, [diffusers("DDIM", 10, **clip)], clip="unit"
    )
    yield Case("ddim-eps-clip-recompute", "ddim", *grid, [diffusers("DDIM", 10, **clip, **recompute)], clip="unit")
    yield Case(
        "ddim-v-clip-keep", "ddim:clip-rule=keep-eps", *grid, [diffusers("DDIM", 10, **clip)],
        prediction="v", clip="unit",
    )
    yield Case(
        "ddim-x0-clip-recompute", "ddim:clip-rule=recompute-eps", *leading(15),
        [diffusers("DDIM", 15, **clip, **recompute)], prediction="x_0", clip="unit",
    )
    yield Case("ddim-eta-half-eps", "ddim:eta=0.5", *leading(20), [diffusers("DDIM", 20, **own, **eta)])
    yield Case(
        "ddim-eta-half-eps-clip-keep", "ddim:eta=0.5,clip-rule=keep-eps", *leading(20),
        [diffusers("DDIM", 20, **clip, **eta)], clip="unit",
    )
    yield Case(
        "ddim-eta-one-v-clip-recompute", "ddim:eta=1,clip-rule=recompute-eps", *leading(20),
        [diffusers(
            "DDIM", 20, **clip, step_options={"eta": 1.0, "use_clipped_model_output": True}
        )],
        prediction="v", clip="unit",
    )
    yield Case(
        "ddim-eps-dynamic-keep", "ddim:clip-rule=keep-eps", *grid,
        [diffusers("DDIM", 10, **own, thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=3.0)],
        clip="dynamic:0.9:3",
    )
    yield Case(
        "ddim-trailing-eps", "ddim", *trailing(10),
        [diffusers("DDIM", 10, clip_sample=False, timestep_spacing="trailing")],
    )
    yield Case(
        "ddim-offset-eps", "ddim", *leading(10, offset=1),
        [diffusers(
            "DDIM", 10, **own, steps_offset=1,
        )],
    )
    yield Case(
        "ddim-linspace-eps", "ddim", *linspace(10),
        [diffusers(
            "DDIM", 10, clip_sample=False, timestep_spacing="linspace", agrees=False,
            remark="Every step goes T // n = 100 timesteps down, but the grid's points are 111 apart: the state "
            "is at another noise level than the network is told next.",
        )],
    )
    yield Case(
        "ddim-trailing-uneven-eps", "ddim", *trailing(30),
        [diffusers(
            "DDIM", 30, clip_sample=False, timestep_spacing="trailing", agrees=False,
            remark="Every step goes T // n = 33 timesteps down, but the grid's points are 33 or 34 apart, and the "
            "last step ends at t = 0 instead of the data.",
        )],
    )
    yield Case(
        "ddim-cosine-v-clip", "ddim", *trailing(20),
        [diffusers("DDIM", 20, clip_sample=True, timestep_spacing="trailing", **recompute)],
        process="cosine", prediction="v", clip="unit",
    )
    yield Case("ddim-quarters-eps", "ddim", timesteps([900.25, 640.5, 300.75, 80.125]), "explicit, between timesteps")

    def from_the_second(scheduler, points):
        """We start at the earliest listed point; the package starts at the data."""
        scheduler.timesteps = scheduler.timesteps[1:]

    wrong_time = (
        "The network is evaluated at the state it leaves, but told the timestep it goes to."
    )
    inverse = dict(clip_sample=False, timestep_spacing="leading", grid_differs=True, prepare=from_the_second)
    for prediction in ("eps", "v"):
        yield Case(
            f"ddim-inverse-{prediction}", "ddim-inverse", *leading(10),
            [
                diffusers("DDIMInverse", 10, **inverse, agrees=False, remark=wrong_time),
                diffusers(
                    "DDIMInverse", 10, **inverse, network_time="left",
                    remark="With the network told the timestep of the point that the step leaves.",
                ),
            ],
            prediction=prediction,
        )


def euler():
    grid = karras(12)
    for prediction in ("eps", "v"):
        yield Case(
            f"euler-karras-{prediction}", "euler", *grid,
            [diffusers("EulerDiscrete", 12, **KARRAS), k_diffusion("euler")], prediction=prediction,
        )
    yield Case(
        "euler-karras-x0-clip", "euler", *grid,
        [diffusers("EulerDiscrete", 12, **KARRAS, feed="x_0"), k_diffusion("euler")],
        prediction="x_0", clip="unit",
    )
    yield Case(
        "euler-trailing-eps-clip", "euler", *trailing(10),
        [diffusers("EulerDiscrete", 10, timestep_spacing="trailing", feed="x_0"), k_diffusion("euler")],
        clip="unit",
    )
    yield Case(
        "euler-exponential-v", "euler", *exponential(10),
        [diffusers("EulerDiscrete", 10, use_exponential_sigmas=True, network_time="sigma"), k_diffusion("euler")],
        prediction="v",
    )
    yield Case(
        "euler-to-sigma-min-eps", "euler", *trailing(10),
        [diffusers("EulerDiscrete", 10, timestep_spacing="trailing", final_sigmas_type="sigma_min")],
        end=first_sigma(),
    )
    yield Case(
        "euler-edm", "euler", *edm_karras(18), [diffusers("EDMEuler", 18), k_diffusion("euler")],
        process=EDM, prediction="edm",
    )
    yield Case(
        "euler-edm-exponential", "euler", *edm_exponential(15),
        [diffusers("EDMEuler", 15, sigma_schedule="exponential"), k_diffusion("euler")],
        process=EDM, prediction="edm",
    )
    yield Case(
        "euler-ancestral-leading-eps", "euler-ancestral", *leading(15),
        [diffusers("EulerAncestralDiscrete", 15, timestep_spacing="leading"), k_diffusion("euler_ancestral")],
    )
    yield Case(
        "euler-ancestral-trailing-v-clip", "euler-ancestral", *trailing(20),
        [
            diffusers("EulerAncestralDiscrete", 20, timestep_spacing="trailing", feed="eps"),
            k_diffusion("euler_ancestral"),
        ],
        prediction="v", clip="unit",
    )
    yield Case(
        "euler-ancestral-karras-half-eps", "euler-ancestral:eta=0.5,s-noise=1.003", *karras(12),
        [k_diffusion("euler_ancestral", eta=0.5, s_noise=1.003)],
    )
    yield Case(
        "euler-ancestral-edm", "euler-ancestral", *edm_karras(15), [k_diffusion("euler_ancestral")],
        process=EDM, prediction="edm",
    )


def heun():
    yield Case(
        "heun-karras-eps", "heun", *karras(8),
        [diffusers("HeunDiscrete", 8, **KARRAS), k_diffusion("heun")],
    )
    yield Case(
        "heun-trailing-v-clip", "heun", *trailing(10),
        [diffusers("HeunDiscrete", 10, timestep_spacing="trailing", clip_sample=True), k_diffusion("heun")],
        prediction="v", clip="unit",
    )
    yield Case(
        "heun-trailing-x0", "heun", *trailing(8),
        [diffusers("HeunDiscrete", 8, timestep_spacing="trailing"), k_diffusion("heun")], prediction="x_0",
    )
    yield Case("heun-edm", "heun", *edm_karras(18), [k_diffusion("heun")], process=EDM, prediction="edm")
    yield Case(
        "heun-edm-to-sigma", "heun", sigmas(grids.karras(0.002, 80.0, 10)[:-1]), "karras 10 without its last",
        [k_diffusion("heun")], process=EDM, prediction="edm", end={"sigma": grids.karras(0.002, 80.0, 10)[-1]},
    )
    churn = dict(s_churn=40.0, s_tmin=0.05, s_tmax=50.0, s_noise=1.003)
    text = "edm-heun:s-churn=40,s-tmin=0.05,s-tmax=50,s-noise=1.003"
    yield Case("edm-heun-edm", text, *edm_karras(18), [k_diffusion("heun", **churn)], process=EDM, prediction="edm")
    yield Case(
        "edm-heun-edm-clip", text, *edm_karras(32), [k_diffusion("heun", **churn)],
        process=EDM, prediction="edm", clip="unit",
    )
    little = dict(s_churn=2.0, s_tmin=0.05, s_tmax=20.0, s_noise=1.0)
    yield Case(
        "edm-heun-karras-eps", "edm-heun:s-churn=2,s-tmin=0.05,s-tmax=20,s-noise=1", *karras(12),
        [k_diffusion("heun", **little)],
    )
    yield Case(
        "edm-heun-no-churn-edm", "edm-heun:s-churn=0", *edm_karras(10), [k_diffusion("heun")],
        process=EDM, prediction="edm",
    )
    restart = "restart:t-min=0.05,t-max=0.3,steps=4,repeats=2"
    yield Case("restart-edm", restart, *edm_karras(18), process=EDM, prediction="edm")
    yield Case("restart-karras-eps", restart, *karras(12))
    yield Case(
        "restart-edm-clip", "restart:t-min=0.5,t-max=2,steps=3,repeats=3", *edm_karras(12),
        process=EDM, prediction="edm", clip="unit",
    )


FACTOR = (
    "Printed as in the papers' code; D2 has half the weight of the exact integral: see dpm++-3-corrected."
)


def dpm():
    own = {"lower_order_final": False}
    yield Case(
        "dpm++1-linspace-eps", "dpm++:order=1", *linspace_open(10),
        [diffusers("DPMSolverMultistep", 10, solver_order=1)],
    )
    yield Case(
        "dpm++2-linspace-eps", "dpm++", *linspace_open(10), [diffusers("DPMSolverMultistep", 10), k_diffusion("dpmpp_2m")]
    )
    yield Case(
        "dpm++2-linspace-v-clip", "dpm++:order=2", *linspace_open(10),
        [diffusers("DPMSolverMultistep", 10, **UNIT), k_diffusion("dpmpp_2m")], prediction="v", clip="unit",
    )
    yield Case(
        "dpm++2-heun-trailing-eps", "dpm++:order=2,form=heun", *trailing(20),
        [diffusers("DPMSolverMultistep", 20, solver_type="heun", timestep_spacing="trailing")],
    )
    yield Case(
        "dpm++2-heun-leading-x0-clip", "dpm++:order=2,form=heun", *leading_open(12),
        [diffusers("DPMSolverMultistep", 12, solver_type="heun", timestep_spacing="leading", **UNIT)],
        prediction="x_0", clip="unit",
    )
    yield Case(
        "dpm++2-karras-eps", "dpm++:order=2", *karras(12),
        [diffusers("DPMSolverMultistep", 12, **KARRAS), k_diffusion("dpmpp_2m")],
    )
    yield Case(
        "dpm++2-log-snr-v", "dpm++:order=2", *log_snr(12),
        [diffusers("DPMSolverMultistep", 12, **LU), k_diffusion("dpmpp_2m")], prediction="v",
    )
    yield Case(
        "dpm++2-dynamic-eps", "dpm++:order=2", *linspace_open(10),
        [diffusers(
            "DPMSolverMultistep", 10, thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=3.0
        )],
        clip="dynamic:0.9:3",
    )
    yield Case(
        "dpm++2-to-sigma-min-eps", "dpm++:order=2", *linspace_open(20),
        [diffusers("DPMSolverMultistep", 20, final_sigmas_type="sigma_min"), k_diffusion("dpmpp_2m")],
        end=first_sigma(),
    )
    yield Case(
        "dpm++2-cosine-v-clip", "dpm++:order=2", *trailing(15),
        [diffusers("DPMSolverMultistep", 15, timestep_spacing="trailing", **UNIT), k_diffusion("dpmpp_2m")],
        process="cosine", prediction="v", clip="unit",
    )
    yield Case(
        "dpm++3-linspace-eps", "dpm++:order=3", *linspace_open(20),
        [diffusers("DPMSolverMultistep", 20, solver_order=3, remark=FACTOR)],
    )
    yield Case(
        "dpm++3-heun-linspace-eps", "dpm++:order=3,form=heun", *linspace_open(20),
        [diffusers("DPMSolverMultistep", 20, solver_order=3, solver_type="heun", remark=FACTOR),
         k_diffusion("dpmpp_3m_sde", eta=0.0, remark=FACTOR)],
    )
    yield Case(
        "dpm++3-heun-log-snr-v-clip", "dpm++:order=3,form=heun", *log_snr(15),
        [diffusers("DPMSolverMultistep", 15, solver_order=3, solver_type="heun", **LU, **UNIT, remark=FACTOR),
         k_diffusion("dpmpp_3m_sde", eta=0.0, remark=FACTOR)],
        prediction="v", clip="unit",
    )
    yield Case(
        "dpm++3-short-eps", "dpm++:order=3", *linspace_open(10),
        [diffusers("DPMSolverMultistep", 10, solver_order=3, **own, remark=FACTOR)],
    )
    yield Case(
        "dpm++3-lowered-eps", "dpm++:order=3,lower-order-final=true", *linspace_open(10),
        [diffusers("DPMSolverMultistep", 10, solver_order=3, remark=FACTOR)],
    )
    yield Case(
        "dpm++2-lowered-to-sigma-min-x0", "dpm++:order=2,lower-order-final=true", *linspace_open(10),
        [diffusers("DPMSolverMultistep", 10, final_sigmas_type="sigma_min")],
        prediction="x_0", end=first_sigma(),
    )
    yield Case(
        "dpm++2-edm", "dpm++:order=2", *edm_karras(12),
        [diffusers("EDMDPMSolverMultistep", 12), k_diffusion("dpmpp_2m")], process=EDM, prediction="edm",
    )
    yield Case(
        "dpm++3-edm", "dpm++:order=3", *edm_karras(18),
        [diffusers("EDMDPMSolverMultistep", 18, solver_order=3, remark=FACTOR)],
        process=EDM, prediction="edm",
    )
    yield Case(
        "dpm++3-heun-edm", "dpm++:order=3,form=heun", *edm_karras(18),
        [diffusers("EDMDPMSolverMultistep", 18, solver_order=3, solver_type="heun", remark=FACTOR),
         k_diffusion("dpmpp_3m_sde", eta=0.0, remark=FACTOR)],
        process=EDM, prediction="edm",
    )
    wrong = dict(agrees=False, remark="The printed (3M): D2 has half the weight of the exact integral.")
    yield Case(
        "dpm++3-corrected-log-snr-eps", "dpm++-3-corrected", *log_snr(15),
        [diffusers("DPMSolverMultistep", 15, solver_order=3, **LU, **wrong)],
    )
    yield Case(
        "dpm++3-corrected-edm", "dpm++-3-corrected", *edm_karras(18),
        [k_diffusion("dpmpp_3m_sde", eta=0.0, **wrong)], process=EDM, prediction="edm",
    )
    yield Case("dpm++3-corrected-linspace-v-clip", "dpm++-3-corrected", *linspace_open(10), prediction="v", clip="unit")


def sde():
    sde = {"algorithm_type": "sde-dpmsolver++"}
    yield Case(
        "sde-dpm++1-linspace-eps", "sde-dpm++:order=1", *linspace_open(15),
        [diffusers("DPMSolverMultistep", 15, solver_order=1, **sde)],
    )
    yield Case(
        "sde-dpm++2-linspace-eps", "sde-dpm++", *linspace_open(15),
        [diffusers("DPMSolverMultistep", 15, **sde), k_diffusion("dpmpp_2m_sde")],
    )
    yield Case(
        "sde-dpm++2-karras-v-clip", "sde-dpm++:order=2,form=midpoint", *karras(12),
        [diffusers("DPMSolverMultistep", 12, **sde, **KARRAS, **UNIT), k_diffusion("dpmpp_2m_sde")],
        prediction="v", clip="unit",
    )
    yield Case(
        "sde-dpm++2-heun-trailing-x0", "sde-dpm++:order=2,form=heun", *trailing(20),
        [diffusers("DPMSolverMultistep", 20, solver_type="heun", timestep_spacing="trailing", **sde),
         k_diffusion("dpmpp_2m_sde", solver_type="heun")],
        prediction="x_0",
    )
    yield Case(
        "sde-dpm++2-half-edm", "sde-dpm++:order=2,eta=0.5", *edm_karras(15),
        [k_diffusion("dpmpp_2m_sde", eta=0.5)], process=EDM, prediction="edm",
    )
    yield Case(
        "sde-dpm++2-heun-edm", "sde-dpm++:order=2,form=heun,eta=1", *edm_karras(15),
        [diffusers("EDMDPMSolverMultistep", 15, solver_type="heun", **sde),
         k_diffusion("dpmpp_2m_sde", solver_type="heun")],
        process=EDM, prediction="edm",
    )
    yield Case(
        "sde-dpm++2-none-eps", "sde-dpm++:order=2,eta=0", *karras(12), [k_diffusion("dpmpp_2m_sde", eta=0.0)]
    )


def unipc():
    def no_lowering_but_the_last(scheduler, position):
        """UniPC's own lowering also takes the last step but one down; here only the last is of order 1."""
        last = position == len(scheduler.timesteps) - 1
        scheduler.register_to_config(lower_order_final=last)

    only_last = {"lower_order_final": False, "before_step": no_lowering_but_the_last}
    for order in (1, 2, 3):
        for variant, prediction, clip in (("bh2", "eps", "none"), ("bh1", "v", "none"), ("bh2", "x_0", "unit")):
            clip_option = UNIT if clip == "unit" else {}
            broken = variant == "bh1"
            remark = (
                "NaN: with final_sigmas_type=zero the last step has h = infinity, and bh1 multiplies "
                "B(h) = -h = -infinity by the 0 that stands for the missing history."
            )
            yield Case(
                f"unipc{order}-{variant}-linspace-{prediction.replace('_', '')}{'-clip' * (clip == 'unit')}",
                f"unipc:order={order},variant={variant}", *linspace_open(12),
                [diffusers(
                    "UniPCMultistep", 12, solver_order=order, solver_type=variant, **clip_option, **only_last,
                    agrees=not broken, remark=remark if broken else "",
                )],
                prediction=prediction, clip=clip,
            )
    yield Case(
        "unipc3-lowered-linspace-eps", "unipc:order=3,variant=bh2,lower-order-final=true", *linspace_open(10),
        [diffusers("UniPCMultistep", 10, solver_order=3)],
    )
    yield Case(
        "unipc2-karras-eps", "unipc:order=2,variant=bh2", *karras(10), [diffusers("UniPCMultistep", 10, **KARRAS)]
    )
    for order, variant in ((2, "bh1"), (3, "bh1"), (3, "bh2")):
        yield Case(
            f"unipc{order}-{variant}-to-sigma-min-v", f"unipc:order={order},variant={variant}", *linspace_open(10),
            [diffusers(
                "UniPCMultistep", 10, solver_order=order, solver_type=variant, lower_order_final=False,
                final_sigmas_type="sigma_min",
            )],
            prediction="v", end=first_sigma(),
        )
    yield Case(
        "unipc2-trailing-cosine-v-clip", "unipc:order=2,variant=bh2", *trailing(12),
        [diffusers("UniPCMultistep", 12, timestep_spacing="trailing", **UNIT)],
        process="cosine", prediction="v", clip="unit",
    )
    yield Case("unipc3-edm", "unipc:order=3,variant=bh2", *edm_karras(12), process=EDM, prediction="edm")
    yield Case("unipc2-bh1-edm", "unipc:order=2,variant=bh1", *edm_karras(12), process=EDM, prediction="edm")


def adams():
    to_min = {"end": first_sigma()}
    own = {"lower_order_final": False}
    yield Case("deis1-linspace-eps", "deis:order=1", *linspace_open(10), [diffusers("DEISMultistep", 10, solver_order=1, **own)], **to_min)
    yield Case("deis2-linspace-eps", "deis:order=2", *linspace_open(10), [diffusers("DEISMultistep", 10, solver_order=2, **own)], **to_min)
    yield Case("deis3-linspace-eps", "deis:order=3", *linspace_open(15), [diffusers("DEISMultistep", 15, solver_order=3)], **to_min)
    yield Case(
        "deis3-linspace-v-clip", "deis:order=3", *linspace_open(10),
        [diffusers("DEISMultistep", 10, solver_order=3, **own, **UNIT)], prediction="v", clip="unit", **to_min,
    )
    yield Case(
        "deis2-trailing-x0", "deis:order=2", *trailing(20),
        [diffusers("DEISMultistep", 20, timestep_spacing="trailing")], prediction="x_0", **to_min,
    )
    yield Case("deis3-karras-eps", "deis:order=3", *karras(12))
    yield Case("deis2-edm", "deis:order=2", *edm_karras(12), process=EDM, prediction="edm")

    def on_our_points(scheduler, points):
        """IPNDMScheduler has a schedule of its own, t to (cos, sin); its method takes any."""
        import torch

        scheduler.alphas = torch.tensor([float(p.alpha) for p in points])
        scheduler.betas = torch.tensor([float(p.s) for p in points])
        scheduler.timesteps = torch.arange(len(points) - 1).flip(0)

    moved = dict(prepare=on_our_points, grid_differs=True, network_time="points")
    remark = (
        "Its own process is t -> (cos, sin) of a squared sine, with a network that predicts v; alphas, betas "
        "and timesteps were replaced by those of this case."
    )
    yield Case(
        "ipndm4-trailing-v", "ipndm", *trailing(10), [diffusers("IPNDM", 10, **moved, remark=remark)], prediction="v"
    )
    yield Case(
        "ipndm4-karras-v", "ipndm:order=4", *karras(12), [diffusers("IPNDM", 12, **moved, remark=remark)], prediction="v"
    )
    for order in (1, 2, 3):
        yield Case(f"ipndm{order}-trailing-eps", f"ipndm:order={order}", *trailing(10))
    yield Case("ipndm4-edm", "ipndm:order=4", *edm_karras(10), process=EDM, prediction="edm")
    yield Case("ipndm3-edm-clip", "ipndm:order=3", *edm_karras(10), process=EDM, prediction="edm", clip="unit")

    plms = dict(skip_prk_steps=True, set_alpha_to_one=True, timestep_spacing="leading")
    yield Case("pndm-leading-eps", "pndm", *leading(10), [diffusers("PNDM", 10, **plms)])
    yield Case("pndm-leading-20-eps", "pndm", *leading(20), [diffusers("PNDM", 20, **plms)])
    yield Case(
        "pndm-trailing-eps", "pndm", *trailing(10), [diffusers("PNDM", 10, **{**plms, "timestep_spacing": "trailing"})]
    )
    yield Case(
        "pndm-leading-v", "pndm", *leading(10),
        [diffusers(
            "PNDM", 10, **plms, agrees=False,
            remark="Past outputs are averaged as v and turned into eps at the present timestep only; the method "
            "averages noise predictions.",
        )],
        prediction="v",
    )
    yield Case("pndm-leading-eps-clip", "pndm", *leading(12), clip="unit")
    for order in (1, 2, 3, 4):
        yield Case(
            f"lms{order}-karras-{'v' if order % 2 else 'eps'}", f"lms:order={order}", *karras(12),
            [
                diffusers("LMSDiscrete", 12, **KARRAS, step_options={"order": order}),
                k_diffusion("lms", order=order),
            ],
            prediction="v" if order % 2 else "eps",
        )
    yield Case(
        "lms4-trailing-x0-clip", "lms", *trailing(15),
        [diffusers("LMSDiscrete", 15, timestep_spacing="trailing", feed="x_0"), k_diffusion("lms")],
        prediction="x_0", clip="unit",
    )
    yield Case("lms4-edm", "lms:order=4", *edm_karras(18), [k_diffusion("lms", order=4)], process=EDM, prediction="edm")


def few_steps():
    # Karras et al.'s grid of 40 points from 80 down to 0.002, of which the scheduler takes some.
    for n, clip in ((1, "none"), (2, "unit"), (4, "none")):
        values = [sigma_of_forty(k, n) for k in range(n)]
        yield Case(
            f"consistency-{n}-precondition-edm{'-clip' * (clip == 'unit')}",
            "consistency:sigma-min=0.002,precondition=consistency",
            sigmas(values), f"diffusers consistency models {n} of 40",
            [diffusers("CMStochasticIterative", n, clip_denoised=clip == "unit", grid_differs=True)],
            process=EDM, prediction="edm", clip=clip,
        )
    yield Case("consistency-3-edm", "consistency", sigmas([80.0, 0.821, 0.3]), "explicit", process=EDM, prediction="edm")
    yield Case(
        "consistency-2-karras-v", "consistency:sigma-min=0.002", *karras(3), prediction="v", clip="unit"
    )

    for n, prediction, clip in ((4, "eps", "none"), (4, "v", "unit"), (8, "x_0", "none"), (1, "v", "none")):
        picked = lcm_timesteps(n)
        yield Case(
            f"lcm-{n}-{prediction.replace('_', '')}{'-clip' * (clip == 'unit')}", "lcm",
            timesteps(picked), f"diffusers LCM {n} of 50",
            [diffusers("LCM", n, beta_schedule="linear", beta_start=1e-4, beta_end=0.02, clip_sample=clip == "unit")],
            prediction=prediction, clip=clip,
        )


def sigma_of_forty(k, n):
    """What CMStochasticIterativeScheduler visits: every (40 // n)-th of 40."""
    ramp = k * (40 // n) / 39
    low, high = 0.002 ** (1 / 7), 80.0 ** (1 / 7)
    return (high + ramp * (low - high)) ** 7


def lcm_timesteps(n):
    """Every (50/n)-th of the 50 timesteps 19, 39, ..., 999, latest first."""
    fifty = [20 * k - 1 for k in range(50, 0, -1)]
    return [fifty[int(50 * k / n)] for k in range(n)]


def flow():
    def flow_match(n, shift):
        from numpy import linspace

        return Run(
            "diffusers.FlowMatchEulerDiscreteScheduler", {"shift": float(shift)},
            {"sigmas": linspace(1, 1 / n, n)},
        )

    for n, shift in ((4, 1), (10, 1), (10, 3)):
        yield Case(
            f"flow-euler-{n}-shift-{shift}", "flow-euler", timesteps(grids.flow(n, shift)),
            f"flow {n}, shift {shift}", [flow_match(n, shift)], process=FLOW, prediction="flow",
        )
    yield Case(
        "flow-euler-10-clip", "flow-euler", timesteps(grids.flow(10)), "flow 10", process=FLOW,
        prediction="flow", clip="unit",
    )
    yield Case("flow-euler-discrete-trailing-v", "flow-euler", *trailing(10), prediction="v")
    yield Case("flow-euler-discrete-karras-eps", "flow-euler", *karras(12), prediction="eps")
    for name, text, scheduler, options in (
        ("dpm++2-flow", "dpm++:order=2", "DPMSolverMultistep", {}),
        ("unipc2-flow", "unipc:order=2,variant=bh2", "UniPCMultistep", {}),
    ):
        values = grids.flow_open(12) if scheduler.startswith("DPM") else grids.flow_unipc(12)
        yield Case(
            name, text, timesteps(values), "diffusers use_flow_sigmas 12",
            [diffusers(scheduler, 12, use_flow_sigmas=True, prediction_type="flow_prediction", **options)],
            process=FLOW, prediction="flow",
        )
