"""Euler, Heun and what grew from them."""

import grids
from cases.case import (
    Case,
    EDM,
    KARRAS,
    diffusers,
    edm_exponential,
    edm_karras,
    exponential,
    first_sigma,
    k_diffusion,
    karras,
    leading,
    sigmas,
    trailing,
)


def euler():
    grid = karras(12)
    for prediction in ("eps", "v"):
        yield Case(
            f"euler-karras-{prediction}",
            "euler",
            *grid,
            [diffusers("EulerDiscrete", 12, **KARRAS), k_diffusion("euler")],
            prediction=prediction,
        )
    yield Case(
        "euler-karras-x0-clip",
        "euler",
        *grid,
        [diffusers("EulerDiscrete", 12, **KARRAS, feed="x_0"), k_diffusion("euler")],
        prediction="x_0",
        clip="unit",
    )
    yield Case(
        "euler-trailing-eps-clip",
        "euler",
        *trailing(10),
        [
            diffusers("EulerDiscrete", 10, timestep_spacing="trailing", feed="x_0"),
            k_diffusion("euler"),
        ],
        clip="unit",
    )
    yield Case(
        "euler-exponential-v",
        "euler",
        *exponential(10),
        [
            diffusers("EulerDiscrete", 10, use_exponential_sigmas=True, network_time="sigma"),
            k_diffusion("euler"),
        ],
        prediction="v",
    )
    yield Case(
        "euler-to-sigma-min-eps",
        "euler",
        *trailing(10),
        [
            diffusers(
                "EulerDiscrete", 10, timestep_spacing="trailing", final_sigmas_type="sigma_min"
            )
        ],
        end=first_sigma(),
    )
    yield Case(
        "euler-edm",
        "euler",
        *edm_karras(18),
        [diffusers("EDMEuler", 18), k_diffusion("euler")],
        process=EDM,
        prediction="edm",
    )
    yield Case(
        "euler-edm-exponential",
        "euler",
        *edm_exponential(15),
        [diffusers("EDMEuler", 15, sigma_schedule="exponential"), k_diffusion("euler")],
        process=EDM,
        prediction="edm",
    )
    yield Case(
        "euler-ancestral-leading-eps",
        "euler-ancestral",
        *leading(15),
        [
            diffusers("EulerAncestralDiscrete", 15, timestep_spacing="leading"),
            k_diffusion("euler_ancestral"),
        ],
    )
    yield Case(
        "euler-ancestral-trailing-v-clip",
        "euler-ancestral",
        *trailing(20),
        [
            diffusers("EulerAncestralDiscrete", 20, timestep_spacing="trailing", feed="eps"),
            k_diffusion("euler_ancestral"),
        ],
        prediction="v",
        clip="unit",
    )
    yield Case(
        "euler-ancestral-karras-half-eps",
        "euler-ancestral:eta=0.5,s-noise=1.003",
        *karras(12),
        [k_diffusion("euler_ancestral", eta=0.5, s_noise=1.003)],
    )
    yield Case(
        "euler-ancestral-edm",
        "euler-ancestral",
        *edm_karras(15),
        [k_diffusion("euler_ancestral")],
        process=EDM,
        prediction="edm",
    )


def heun():
    yield Case(
        "heun-karras-eps",
        "heun",
        *karras(8),
        [diffusers("HeunDiscrete", 8, **KARRAS), k_diffusion("heun")],
    )
    yield Case(
        "heun-trailing-v-clip",
        "heun",
        *trailing(10),
        [
            diffusers("HeunDiscrete", 10, timestep_spacing="trailing", clip_sample=True),
            k_diffusion("heun"),
        ],
        prediction="v",
        clip="unit",
    )
    yield Case(
        "heun-trailing-x0",
        "heun",
        *trailing(8),
        [diffusers("HeunDiscrete", 8, timestep_spacing="trailing"), k_diffusion("heun")],
        prediction="x_0",
    )
    yield Case(
        "heun-edm", "heun", *edm_karras(18), [k_diffusion("heun")], process=EDM, prediction="edm"
    )
    yield Case(
        "heun-edm-to-sigma",
        "heun",
        sigmas(grids.karras(0.002, 80.0, 10)[:-1]),
        "karras 10 without its last",
        [k_diffusion("heun")],
        process=EDM,
        prediction="edm",
        end={"sigma": grids.karras(0.002, 80.0, 10)[-1]},
    )
    churn = dict(s_churn=40.0, s_tmin=0.05, s_tmax=50.0, s_noise=1.003)
    text = "edm-heun:s-churn=40,s-tmin=0.05,s-tmax=50,s-noise=1.003"
    yield Case(
        "edm-heun-edm",
        text,
        *edm_karras(18),
        [k_diffusion("heun", **churn)],
        process=EDM,
        prediction="edm",
    )
    yield Case(
        "edm-heun-edm-clip",
        text,
        *edm_karras(32),
        [k_diffusion("heun", **churn)],
        process=EDM,
        prediction="edm",
        clip="unit",
    )
    little = dict(s_churn=2.0, s_tmin=0.05, s_tmax=20.0, s_noise=1.0)
    yield Case(
        "edm-heun-karras-eps",
        "edm-heun:s-churn=2,s-tmin=0.05,s-tmax=20,s-noise=1",
        *karras(12),
        [k_diffusion("heun", **little)],
    )
    yield Case(
        "edm-heun-no-churn-edm",
        "edm-heun:s-churn=0",
        *edm_karras(10),
        [k_diffusion("heun")],
        process=EDM,
        prediction="edm",
    )
    restart = "restart:t-min=0.05,t-max=0.3,steps=4,repeats=2"
    yield Case("restart-edm", restart, *edm_karras(18), process=EDM, prediction="edm")
    yield Case("restart-karras-eps", restart, *karras(12))
    yield Case(
        "restart-edm-dynamic",
        "restart:t-min=0.5,t-max=2,steps=3,repeats=3",
        *edm_karras(12),
        process=EDM,
        prediction="edm",
        clip="dynamic:0.9:3",
    )


def dpm_2():
    yield Case(
        "dpm2-karras-eps",
        "dpm2",
        *karras(8),
        [diffusers("KDPM2Discrete", 8, **KARRAS), k_diffusion("dpm_2")],
    )
    yield Case(
        "dpm2-trailing-v",
        "dpm2",
        *trailing(10),
        [diffusers("KDPM2Discrete", 10, timestep_spacing="trailing"), k_diffusion("dpm_2")],
        prediction="v",
    )
    yield Case(
        "dpm2-leading-eps-clip",
        "dpm2",
        *leading(12),
        [
            diffusers("KDPM2Discrete", 12, timestep_spacing="leading", feed="eps"),
            k_diffusion("dpm_2"),
        ],
        clip="unit",
    )
    yield Case(
        "dpm2-exponential-x0",
        "dpm2",
        *exponential(10),
        [k_diffusion("dpm_2")],
        prediction="x_0",
    )
    yield Case(
        "dpm2-edm", "dpm2", *edm_karras(18), [k_diffusion("dpm_2")], process=EDM, prediction="edm"
    )
    yield Case(
        "dpm2-edm-to-sigma",
        "dpm2",
        sigmas(grids.karras(0.002, 80.0, 10)[:-1]),
        "karras 10 without its last",
        [k_diffusion("dpm_2")],
        process=EDM,
        prediction="edm",
        end={"sigma": grids.karras(0.002, 80.0, 10)[-1]},
    )
    yield Case(
        "dpm2-ancestral-karras-eps",
        "dpm2-ancestral",
        *karras(10),
        [diffusers("KDPM2AncestralDiscrete", 10, **KARRAS), k_diffusion("dpm_2_ancestral")],
    )
    yield Case(
        "dpm2-ancestral-trailing-v-clip",
        "dpm2-ancestral",
        *trailing(12),
        [
            diffusers("KDPM2AncestralDiscrete", 12, timestep_spacing="trailing", feed="eps"),
            k_diffusion("dpm_2_ancestral"),
        ],
        prediction="v",
        clip="unit",
    )
    half = dict(eta=0.5, s_noise=1.003)
    yield Case(
        "dpm2-ancestral-karras-half-eps",
        "dpm2-ancestral:eta=0.5,s-noise=1.003",
        *karras(12),
        [k_diffusion("dpm_2_ancestral", **half)],
    )
    yield Case(
        "dpm2-ancestral-none-v",
        "dpm2-ancestral:eta=0",
        *karras(12),
        [k_diffusion("dpm_2_ancestral", eta=0.0)],
        prediction="v",
    )
    yield Case(
        "dpm2-ancestral-edm",
        "dpm2-ancestral",
        *edm_karras(15),
        [k_diffusion("dpm_2_ancestral")],
        process=EDM,
        prediction="edm",
    )
