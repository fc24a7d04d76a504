"""The samplers as their papers print them.

A sampler is a function of

* `model`: called with a state and a point, it predicts x_0; `model.noise()` draws;
* `points`: those at which the network is evaluated, latest first, then the point where the last
  interval ends;
* `x`: the state at the first point, in the process's own coordinates;
* the options of its SPEC text, underscores for dashes.

It returns the state at the last point. Nothing here is shared with the samplers under test, and
nothing is a table of coefficients: where a paper has an integral, it is integrated numerically.
"""

from formulas.adams import deis, ipndm, lms, pndm
from formulas.consistency import consistency, lcm
from formulas.ddim import ddim, ddim_inverse
from formulas.ddpm import ddpm
from formulas.dpm import (
    dpm_plus_plus,
    dpm_plus_plus_2s_ancestral,
    dpm_plus_plus_3_corrected,
    dpm_solver_2,
    dpm_solver_2_ancestral,
    sde_dpm_plus_plus,
    sde_dpm_plus_plus_3,
)
from formulas.flow import flow_euler
from formulas.karras import edm_euler, edm_heun, euler, euler_ancestral, heun, restart
from formulas.sa_solver import sa_solver, sa_solver_as_diffusers
from formulas.unipc import unipc

SAMPLERS = {
    "ddpm": ddpm,
    "ddim": ddim,
    "ddim-inverse": ddim_inverse,
    "euler": euler,
    "euler-ancestral": euler_ancestral,
    "heun": heun,
    "edm-heun": edm_heun,
    "restart": restart,
    "dpm2": dpm_solver_2,
    "dpm2-ancestral": dpm_solver_2_ancestral,
    "dpm++": dpm_plus_plus,
    "dpm++-3-corrected": dpm_plus_plus_3_corrected,
    "sde-dpm++": sde_dpm_plus_plus,
    "dpm++2s-ancestral": dpm_plus_plus_2s_ancestral,
    "unipc": unipc,
    "sa-solver": sa_solver,
    "deis": deis,
    "ipndm": ipndm,
    "lms": lms,
    "pndm": pndm,
    "consistency": consistency,
    "lcm": lcm,
    "flow-euler": flow_euler,
    # Without a SPEC text of ours: only to show what packages do.
    "sde-dpm++-3": sde_dpm_plus_plus_3,
    "edm-euler": edm_euler,
    "sa-solver-as-diffusers": sa_solver_as_diffusers,
}


def parse(spec):
    """The function and options that a text `name[:key=value,...]` stands for."""
    name, _, rest = spec.partition(":")
    options = {}
    for pair in filter(None, rest.split(",")):
        key, value = pair.split("=")
        options[key.replace("-", "_")] = value_of(value)
    return SAMPLERS[name], options


def value_of(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text, text)
