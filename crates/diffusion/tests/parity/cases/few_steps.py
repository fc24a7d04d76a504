"""Consistency models and straight paths."""

import grids
from cases.case import Case, EDM, FLOW, diffusers, karras, sigmas, timesteps, trailing
from packages import Run


def few_steps():
    # Karras et al.'s grid of 40 points from 80 down to 0.002, of which the scheduler takes some.
    for n, clip in ((1, "none"), (2, "unit"), (4, "none")):
        values = [sigma_of_forty(k, n) for k in range(n)]
        yield Case(
            f"consistency-{n}-precondition-edm{'-clip' * (clip == 'unit')}",
            "consistency:sigma-min=0.002,precondition=consistency",
            sigmas(values),
            f"diffusers consistency models {n} of 40",
            [
                diffusers(
                    "CMStochasticIterative", n, clip_denoised=clip == "unit", grid_differs=True
                )
            ],
            process=EDM,
            prediction="edm",
            clip=clip,
        )
    yield Case(
        "consistency-3-edm",
        "consistency",
        sigmas([80.0, 0.821, 0.3]),
        "explicit",
        process=EDM,
        prediction="edm",
    )
    yield Case(
        "consistency-2-karras-v",
        "consistency:sigma-min=0.002",
        *karras(3),
        prediction="v",
        clip="unit",
    )

    for n, prediction, clip in (
        (4, "eps", "none"),
        (4, "v", "unit"),
        (8, "x_0", "none"),
        (1, "v", "none"),
    ):
        picked = lcm_timesteps(n)
        yield Case(
            f"lcm-{n}-{prediction.replace('_', '')}{'-clip' * (clip == 'unit')}",
            "lcm",
            timesteps(picked),
            f"diffusers LCM {n} of 50",
            [
                diffusers(
                    "LCM",
                    n,
                    beta_schedule="linear",
                    beta_start=1e-4,
                    beta_end=0.02,
                    clip_sample=clip == "unit",
                )
            ],
            prediction=prediction,
            clip=clip,
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
            "diffusers.FlowMatchEulerDiscreteScheduler",
            {"shift": float(shift)},
            {"sigmas": linspace(1, 1 / n, n)},
        )

    for n, shift in ((4, 1), (10, 1), (10, 3)):
        yield Case(
            f"flow-euler-{n}-shift-{shift}",
            "flow-euler",
            timesteps(grids.flow(n, shift)),
            f"flow {n}, shift {shift}",
            [flow_match(n, shift)],
            process=FLOW,
            prediction="flow",
        )
    yield Case(
        "flow-euler-10-clip",
        "flow-euler",
        timesteps(grids.flow(10)),
        "flow 10",
        process=FLOW,
        prediction="flow",
        clip="unit",
    )
    yield Case("flow-euler-discrete-trailing-v", "flow-euler", *trailing(10), prediction="v")
    yield Case("flow-euler-discrete-karras-eps", "flow-euler", *karras(12), prediction="eps")
    for name, text, scheduler, options in (
        ("dpm++2-flow", "dpm++:order=2", "DPMSolverMultistep", {}),
        ("unipc2-flow", "unipc:order=2,variant=bh2", "UniPCMultistep", {}),
    ):
        values = grids.flow_open(12) if scheduler.startswith("DPM") else grids.flow_unipc(12)
        yield Case(
            name,
            text,
            timesteps(values),
            "diffusers use_flow_sigmas 12",
            [
                diffusers(
                    scheduler,
                    12,
                    use_flow_sigmas=True,
                    prediction_type="flow_prediction",
                    **options,
                )
            ],
            process=FLOW,
            prediction="flow",
        )
