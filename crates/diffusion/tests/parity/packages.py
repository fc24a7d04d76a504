"""Runs diffusers and k-diffusion on the same network, points and noise.

Everything is given to them in float64. diffusers keeps tables and rounds states to float32 all the
same; `in_float64` runs its code with every mention of float32 read as float64, which tells rounding
from a difference of method.
"""

import contextlib
import importlib
import math
import re
import sys
import types
from dataclasses import dataclass, field
from importlib.metadata import version

import numpy as np

from network import DIM
from process import Model

UNUSED = ["huggingface_hub", "PIL", "requests", "torchvision", "torchdiffeq", "torchsde"]


class UnusedClass(type):
    """A class of such a module: every name in it is None."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)


class Unused(types.ModuleType):
    """A module that is imported here and never used; every name in it is a class that does nothing."""

    __path__ = []
    __version__ = "99.0"

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name.isupper():
            return ""
        value = UnusedClass(name, (Exception,), {})
        if name == "validate_hf_hub_args":  # a decorator

            def value(function):
                return function

        setattr(self, name, value)
        return value


class Finder:
    """Answers imports of what UNUSED lists, and of anything inside it."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if any(name == unused or name.startswith(unused + ".") for unused in UNUSED):
            return importlib.machinery.ModuleSpec(name, Finder, is_package=True)
        return None

    @staticmethod
    def create_module(spec):
        return Unused(spec.name)

    @staticmethod
    def exec_module(module):
        pass


sys.meta_path.insert(0, Finder)
# k_diffusion's own __init__ imports its models and trainers.
k_diffusion = types.ModuleType("k_diffusion")
k_diffusion.__path__ = importlib.util.find_spec("k_diffusion").submodule_search_locations
sys.modules["k_diffusion"] = k_diffusion

import torch  # noqa: E402
from diffusers.utils import logging  # noqa: E402
from k_diffusion import external, sampling  # noqa: E402

logging.set_verbosity_error()
VERSIONS = {name: version(name) for name in ("diffusers", "k-diffusion", "torch", "numpy", "scipy")}


@dataclass
class Run:
    """One package's answer to a case.

    * `name`: PACKAGE.CLASS or PACKAGE.FUNCTION.
    * `options`: of its constructor or function.
    * `steps`: what set_timesteps is called with.
    * `feed`: what the package is told: the network's "output"; "x_0", after the clip; or "eps", that
      of the clipped x_0. The last two where the package has no clip, or not this prediction.
    * `network_time`: "package", the timestep as the package gives it; "sigma", that of its sigma;
      "left", that of the point which the step leaves; "points", that of the case's point.
    * `step_options`: of step(); `prepare`, `before_step`: what changes the scheduler, and when.
    * `grid_differs`: its points are not the case's, on purpose.
    * `agrees`: what we expect; `remark`: why, if not.
    """

    name: str
    options: dict = field(default_factory=dict)
    steps: dict = field(default_factory=dict)
    feed: str = "output"
    network_time: str = "package"
    step_options: dict = field(default_factory=dict)
    agrees: bool = True
    remark: str = ""
    grid_differs: bool = False
    prepare: object = None
    before_step: object = None


def run(case, process, points, wanted):
    """(output in float64, output as shipped)."""
    library, _, name = wanted.name.partition(".")
    if library == "k-diffusion":
        output = run_k_diffusion(case, process, points, wanted, name)
        return output, output  # it computes in the type of what it is given
    with Noise(case) as noise, noise.in_diffusers(name):
        shipped = run_diffusers(case, process, points, wanted, name)
    with Noise(case) as noise, in_float64(), noise.in_diffusers(name):
        exact = run_diffusers(case, process, points, wanted, name)
    return exact, shipped


# ── noise ──


class Noise:
    """The case's noise, in the order of use. What a package draws beyond it is more noise."""

    def __init__(self, case):
        more = np.random.default_rng(7).standard_normal
        self.queue = iter([*case.noise, *(more(DIM) for _ in range(200))])

    def next(self, like=None):
        return shaped(next(self.queue))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    @contextlib.contextmanager
    def in_diffusers(self, name):
        module = module_of(name)
        if not hasattr(module, "randn_tensor"):
            yield
            return
        original = module.randn_tensor
        module.randn_tensor = lambda *args, **options: self.next()
        try:
            yield
        finally:
            module.randn_tensor = original


def shaped(x):
    """[DIM] as a picture of DIM channels."""
    return torch.tensor(np.asarray(x, dtype=np.float64)).reshape(1, DIM, 1, 1)


def flat(x):
    return x.detach().reshape(-1).to(torch.float64).numpy()


# ── diffusers ──


def module_of(class_name):
    """diffusers' module of a scheduler class."""
    special = {
        "PNDMScheduler": "pndm",
        "IPNDMScheduler": "ipndm",
        "DDPMScheduler": "ddpm",
        "DDIMScheduler": "ddim",
        "DDIMInverseScheduler": "ddim_inverse",
        "LMSDiscreteScheduler": "lms_discrete",
        "LCMScheduler": "lcm",
        "KDPM2DiscreteScheduler": "k_dpm_2_discrete",
        "KDPM2AncestralDiscreteScheduler": "k_dpm_2_ancestral_discrete",
        "UniPCMultistepScheduler": "unipc_multistep",
        "DEISMultistepScheduler": "deis_multistep",
        "DPMSolverMultistepScheduler": "dpmsolver_multistep",
        "EDMDPMSolverMultistepScheduler": "edm_dpmsolver_multistep",
        "EDMEulerScheduler": "edm_euler",
        "SASolverScheduler": "sasolver",
        "CMStochasticIterativeScheduler": "consistency_models",
    }
    words = re.sub("(?<!^)(?=[A-Z])", "_", class_name.removesuffix("Scheduler")).lower()
    return importlib.import_module(
        f"diffusers.schedulers.scheduling_{special.get(class_name, words)}"
    )


class ReadAsFloat64:
    """A module in which float32 is float64."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        return getattr(self._module, "float64" if name == "float32" else name)


@contextlib.contextmanager
def in_float64():
    """Runs diffusers' schedulers with float64 where they say float32."""
    modules = [
        module
        for name, module in sys.modules.items()
        if name.startswith("diffusers.schedulers.scheduling_") and hasattr(module, "torch")
    ]
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    for module in modules:
        module.torch = ReadAsFloat64(torch)
        if hasattr(module, "np"):
            module.np = ReadAsFloat64(np)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
        for module in modules:
            module.torch = torch
            if hasattr(module, "np"):
                module.np = np


PREDICTION_TYPE = {
    "eps": "epsilon",
    "x_0": "sample",
    "v": "v_prediction",
    "flow": "flow_prediction",
}
NO_PREDICTION_TYPE = [
    "IPNDMScheduler",
    "EDMEulerScheduler",
    "EDMDPMSolverMultistepScheduler",
    "CMStochasticIterativeScheduler",
    "FlowMatchEulerDiscreteScheduler",
]


def run_diffusers(case, process, points, wanted, name):
    options = dict(wanted.options)
    if case.process["kind"] == "discrete":
        options = {**schedule_options(case.schedule), **options}
    if name not in NO_PREDICTION_TYPE:
        feeds = {"x_0": "sample", "eps": "epsilon", "output": PREDICTION_TYPE.get(case.prediction)}
        options = {"prediction_type": feeds[wanted.feed], **options}
    if name == "IPNDMScheduler":  # it has a schedule of its own
        options = wanted.options
    scheduler = getattr(module_of(name), name)(**options)
    scheduler.set_timesteps(**wanted.steps)
    if wanted.prepare:
        wanted.prepare(scheduler, points)
    if not wanted.grid_differs:
        check_grid(case, points, scheduler)
    model = Model(process, case.prediction, case.clip)
    exploding = (
        name.startswith(("Euler", "Heun", "KDPM2", "LMS")) and case.process["kind"] == "discrete"
    )
    x = shaped(case.initial)
    if exploding:
        x = x / float(points[0].alpha)
    for position, t in enumerate(scheduler.timesteps):
        if wanted.before_step:
            wanted.before_step(scheduler, position)
        scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        point = point_of(case, process, points, wanted, scheduler, t)
        output = network_output(model, wanted.feed, case, flat(scaled), flat(x), point, exploding)
        x = scheduler.step(shaped_like(output), t, x, **wanted.step_options).prev_sample
    end = points[-1]
    if exploding and not end.is_data:
        x = x * float(end.alpha)
    return flat(x)


def shaped_like(output):
    return torch.tensor(np.asarray(output, dtype=np.float64)).reshape(1, -1, 1, 1)


def schedule_options(schedule):
    names = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
    options = {
        "num_train_timesteps": schedule["timesteps"],
        "beta_schedule": names[schedule["kind"]],
    }
    if schedule["kind"] == "linear":
        options |= {"beta_start": schedule["beta_start"], "beta_end": schedule["beta_end"]}
    return options


def check_grid(case, points, scheduler):
    """That the package visits the case's points."""
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is not None and ("sigmas" in case.grid or case.process["kind"] == "flow"):
        visited = list(dict.fromkeys(float(s) for s in sigmas))
        wanted = [float(p.sigma) for p in points]
        if case.process["kind"] == "flow":
            wanted = [float(p.s) for p in points]
        assert len(visited) == len(wanted), (case.name, visited, wanted)
        assert np.allclose(visited, wanted, rtol=2e-4), (case.name, visited, wanted)
    elif "timesteps" in case.grid:
        timesteps = scheduler.timesteps
        if hasattr(scheduler, "sigmas_interpol"):  # midpoints are between them
            timesteps = timesteps[::2]
        visited = list(dict.fromkeys(float(t) for t in timesteps))
        assert np.allclose(visited, case.grid["timesteps"], rtol=1e-5), (case.name, visited)


def point_of(case, process, points, wanted, scheduler, t):
    """Where the package is when it calls the network: real-valued where it has a sigma."""
    index = scheduler.step_index if hasattr(scheduler, "step_index") else None
    if wanted.network_time == "points":
        return points[index or 0]
    if wanted.network_time == "left":  # the timestep of the point that the step leaves
        down = scheduler.config.num_train_timesteps // scheduler.num_inference_steps
        return process.at_timestep(float(t) - down)
    if case.process["kind"] == "flow":
        return process.at_timestep(1000 * float(scheduler.sigmas[index or 0]))
    if case.process["kind"] == "edm" or wanted.network_time == "sigma":
        return process.at_sigma(sigma_of(scheduler, index or 0))
    return process.at_timestep(float(t))


def sigma_of(scheduler, index):
    """The sigma at which the package calls the network."""
    if hasattr(scheduler, "sigmas_interpol") and not scheduler.state_in_first_order:
        # The ancestral one keeps them an index earlier.
        ancestral = "Ancestral" in type(scheduler).__name__
        return float(scheduler.sigmas_interpol[index - ancestral])
    return float(scheduler.sigmas[index])


def network_output(model, feed, case, scaled, x, point, exploding):
    """What the network (or a wrapper around it) gives to the package."""
    if feed == "output":
        if case.process["kind"] == "edm":  # the package scaled the input itself
            output = model.network(scaled, point.g)
        else:
            output = model.output(scaled, point)
        return output if case.variance.startswith("learned") else output[:DIM]
    state = scaled if exploding else x
    x_0 = model(state, point).x_0
    return x_0 if feed == "x_0" else (state - point.alpha * x_0) / point.s


# ── k-diffusion ──


def run_k_diffusion(case, process, points, wanted, name):
    model = Model(process, case.prediction, case.clip)
    denoise = denoiser(case, process, model)
    sigmas = torch.tensor([float(p.sigma) for p in points], dtype=torch.float64)
    x = shaped(case.initial) / float(points[0].alpha)
    noise = Noise(case)
    options = dict(wanted.options)
    if name.endswith(("_ancestral", "_sde")):
        options["noise_sampler"] = lambda sigma, sigma_next: noise.next()
    churn = Churn(noise, sigmas, options) if "s_churn" in options else None
    original, sampling.torch = sampling.torch, RandnLike(churn)
    try:
        x = getattr(sampling, name)(denoise, x, sigmas, disable=True, **options)
    finally:
        sampling.torch = original
    return flat(x) * float(points[-1].alpha)


class RandnLike:
    """torch, with the case's noise for randn_like."""

    def __init__(self, churn):
        self._churn = churn

    def __getattr__(self, name):
        if name == "randn_like":
            return self._churn or torch.zeros_like
        return getattr(torch, name)


class Churn:
    """sample_heun draws in every step and uses what it drew in those that churn."""

    def __init__(self, noise, sigmas, options):
        low, high = options.get("s_tmin", 0.0), options.get("s_tmax", math.inf)
        self.uses = iter([low <= sigma <= high for sigma in sigmas.tolist()])
        self.noise = noise

    def __call__(self, x):
        return self.noise.next() if next(self.uses) else torch.zeros_like(x)


def denoiser(case, process, model):
    """k-diffusion's own wrapper of the network where it has one, and the clip around it."""

    def inner(x, t):
        time = float(t.reshape(-1)[0])
        g = time / 1000 if case.process["kind"] == "discrete" else time
        return shaped(model.network(flat(x), g)[:DIM])

    if case.process["kind"] == "discrete" and case.prediction in ("eps", "v"):
        kinds = {"eps": external.DiscreteEpsDDPMDenoiser, "v": external.DiscreteVDDPMDenoiser}
        table = torch.tensor(process.schedule.alphas_cumprod.astype(np.float64))
        wrapped = kinds[case.prediction](inner, table, quantize=False)
    else:

        def wrapped(x, sigma):
            point = process.at_sigma(float(sigma.reshape(-1)[0]))
            unclipped = Model(process, case.prediction, "none")
            return shaped(unclipped(flat(x) * point.alpha, point).x_0)

    def denoise(x, sigma):
        x_0 = wrapped(x, sigma)
        if case.clip == "unit":
            return x_0.clamp(-1, 1)
        assert case.clip == "none"
        return x_0

    return denoise
