"""Samplers that have no SPEC text here."""

from cases.case import Case, EDM, KARRAS, diffusers, edm_karras, k_diffusion, karras, linspace_open
from cases.sa_solver import beyond_sa_solver


def beyond():
    """Samplers that have no SPEC text here, and what packages make of them."""
    sde = {"algorithm_type": "sde-dpmsolver++", "solver_order": 3, "solver_type": "heun"}
    sign = (
        "The weight of D2 has (1-e^{-2h}-2h)/(2h)^2 - 1/2 where the formula has + 1/2: it "
        "tends to -1 "
        "instead of 0 as h does."
    )
    yield Case(
        "beyond-sde-dpm++3-linspace-eps",
        "sde-dpm++-3",
        *linspace_open(20),
        [
            diffusers("DPMSolverMultistep", 20, **sde, agrees=False, remark=sign),
            k_diffusion("dpmpp_3m_sde"),
        ],
    )
    yield Case(
        "beyond-sde-dpm++3-edm",
        "sde-dpm++-3",
        *edm_karras(18),
        [k_diffusion("dpmpp_3m_sde")],
        process=EDM,
        prediction="edm",
    )
    churn = dict(s_churn=2.0, s_tmin=0.05, s_tmax=50.0, s_noise=1.003)
    late = "The network is evaluated before the noise is added, at the lower sigma."
    yield Case(
        "beyond-edm-euler-karras-v",
        "edm-euler:s-churn=2,s-tmin=0.05,s-tmax=50,s-noise=1.003",
        *karras(12),
        [
            diffusers("EulerDiscrete", 12, **KARRAS, step_options=churn, agrees=False, remark=late),
            k_diffusion("euler", **churn),
        ],
        prediction="v",
    )
    yield Case(
        "beyond-edm-euler-edm",
        "edm-euler:s-churn=2,s-tmin=0.05,s-tmax=50,s-noise=1.003",
        *edm_karras(18),
        [
            diffusers("EDMEuler", 18, step_options=churn, agrees=False, remark=late),
            k_diffusion("euler", **churn),
        ],
        process=EDM,
        prediction="edm",
    )
    yield from beyond_sa_solver()
