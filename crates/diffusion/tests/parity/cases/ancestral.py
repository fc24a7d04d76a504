"""Ancestral sampling and DDIM."""

from cases.case import Case, diffusers, leading, linspace, timesteps, trailing


def ddpm():
    grid = leading(20)
    own = {"clip_sample": False, "timestep_spacing": "leading"}
    clip = {"clip_sample": True, "timestep_spacing": "leading"}
    yield Case("ddpm-eps", "ddpm", *grid, [diffusers("DDPM", 20, **own)])
    yield Case("ddpm-eps-clip", "ddpm", *grid, [diffusers("DDPM", 20, **clip)], clip="unit")
    yield Case(
        "ddpm-large-eps-clip",
        "ddpm:variance=fixed-large",
        *grid,
        [diffusers("DDPM", 20, variance_type="fixed_large", **clip)],
        clip="unit",
        variance="fixed-large",
    )
    yield Case("ddpm-v", "ddpm", *grid, [diffusers("DDPM", 20, **own)], prediction="v")
    yield Case(
        "ddpm-x0-clip",
        "ddpm",
        *grid,
        [diffusers("DDPM", 20, **clip)],
        prediction="x_0",
        clip="unit",
    )
    yield Case(
        "ddpm-eps-dynamic",
        "ddpm",
        *grid,
        [
            diffusers(
                "DDPM",
                20,
                thresholding=True,
                dynamic_thresholding_ratio=0.9,
                sample_max_value=3.0,
                **own,
            )
        ],
        clip="dynamic:0.9:3",
    )
    yield Case(
        "ddpm-learned-range-eps",
        "ddpm:variance=learned-range",
        *leading(10),
        [diffusers("DDPM", 10, variance_type="learned_range", **own)],
        variance="learned-range",
    )
    yield Case(
        "ddpm-learned-range-v-clip",
        "ddpm:variance=learned-range",
        *leading(25),
        [diffusers("DDPM", 25, variance_type="learned_range", **clip)],
        prediction="v",
        clip="unit",
        variance="learned-range",
    )
    yield Case(
        "ddpm-learned-eps",
        "ddpm:variance=learned",
        *leading(10),
        [
            diffusers(
                "DDPM",
                10,
                variance_type="learned",
                **own,
                agrees=False,
                remark="`learned` reads the network's variance channels as the variance "
                "itself and takes the "
                "root of it, NaN where they are negative; in Ho's code and ours they are its "
                "logarithm.",
            )
        ],
        variance="learned",
    )
    yield Case(
        "ddpm-trailing-eps-clip",
        "ddpm",
        *trailing(10),
        [diffusers("DDPM", 10, clip_sample=True, timestep_spacing="trailing")],
        clip="unit",
    )
    yield Case(
        "ddpm-large-trailing-eps-clip",
        "ddpm:variance=fixed-large",
        *trailing(10),
        [
            diffusers(
                "DDPM",
                10,
                variance_type="fixed_large",
                clip_sample=True,
                timestep_spacing="trailing",
                agrees=False,
                remark="Noise is left out at t = 0, not in the last step: a grid whose last "
                "timestep is 99 gets "
                "noise of deviation sqrt(1 - alphas_cumprod[99]) on the finished sample.",
            )
        ],
        clip="unit",
        variance="fixed-large",
    )
    yield Case(
        "ddpm-linspace-eps-clip",
        "ddpm",
        *linspace(12),
        [diffusers("DDPM", 12, clip_sample=True, timestep_spacing="linspace")],
        clip="unit",
    )
    yield Case(
        "ddpm-cosine-v-clip",
        "ddpm",
        *leading(20),
        [diffusers("DDPM", 20, **clip)],
        process="cosine",
        prediction="v",
        clip="unit",
    )
    full = leading(100, total=100)
    yield Case(
        "ddpm-full-eps-clip",
        "ddpm",
        *full,
        [diffusers("DDPM", 100, **clip)],
        process="short",
        clip="unit",
    )
    yield Case(
        "ddpm-full-large-eps",
        "ddpm:variance=fixed-large",
        *full,
        [diffusers("DDPM", 100, variance_type="fixed_large", **own)],
        process="short",
        variance="fixed-large",
    )
    yield Case("ddpm-full-mean", "ddpm", *full, process="short", prediction="mean")
    yield Case(
        "ddpm-full-large-mean-clip",
        "ddpm:variance=fixed-large",
        *full,
        process="short",
        prediction="mean",
        clip="unit",
        variance="fixed-large",
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
        "ddim-eps-clip-keep",
        "ddim:clip-rule=keep-eps",
        *grid,
        [diffusers("DDIM", 10, **clip)],
        clip="unit",
    )
    yield Case(
        "ddim-eps-clip-recompute",
        "ddim",
        *grid,
        [diffusers("DDIM", 10, **clip, **recompute)],
        clip="unit",
    )
    yield Case(
        "ddim-v-clip-keep",
        "ddim:clip-rule=keep-eps",
        *grid,
        [diffusers("DDIM", 10, **clip)],
        prediction="v",
        clip="unit",
    )
    yield Case(
        "ddim-x0-clip-recompute",
        "ddim:clip-rule=recompute-eps",
        *leading(15),
        [diffusers("DDIM", 15, **clip, **recompute)],
        prediction="x_0",
        clip="unit",
    )
    yield Case(
        "ddim-eta-half-eps", "ddim:eta=0.5", *leading(20), [diffusers("DDIM", 20, **own, **eta)]
    )
    yield Case(
        "ddim-eta-half-eps-clip-keep",
        "ddim:eta=0.5,clip-rule=keep-eps",
        *leading(20),
        [diffusers("DDIM", 20, **clip, **eta)],
        clip="unit",
    )
    yield Case(
        "ddim-eta-one-v-clip-recompute",
        "ddim:eta=1,clip-rule=recompute-eps",
        *leading(20),
        [
            diffusers(
                "DDIM", 20, **clip, step_options={"eta": 1.0, "use_clipped_model_output": True}
            )
        ],
        prediction="v",
        clip="unit",
    )
    yield Case(
        "ddim-eps-dynamic-keep",
        "ddim:clip-rule=keep-eps",
        *grid,
        [
            diffusers(
                "DDIM",
                10,
                **own,
                thresholding=True,
                dynamic_thresholding_ratio=0.9,
                sample_max_value=3.0,
            )
        ],
        clip="dynamic:0.9:3",
    )
    yield Case(
        "ddim-trailing-eps",
        "ddim",
        *trailing(10),
        [diffusers("DDIM", 10, clip_sample=False, timestep_spacing="trailing")],
    )
    yield Case(
        "ddim-offset-eps",
        "ddim",
        *leading(10, offset=1),
        [diffusers("DDIM", 10, **own, steps_offset=1)],
    )
    yield Case(
        "ddim-linspace-eps",
        "ddim",
        *linspace(10),
        [
            diffusers(
                "DDIM",
                10,
                clip_sample=False,
                timestep_spacing="linspace",
                agrees=False,
                remark="Every step goes T // n = 100 timesteps down, but the grid's points "
                "are 111 apart: the state "
                "is at another noise level than the network is told next.",
            )
        ],
    )
    yield Case(
        "ddim-trailing-uneven-eps",
        "ddim",
        *trailing(30),
        [
            diffusers(
                "DDIM",
                30,
                clip_sample=False,
                timestep_spacing="trailing",
                agrees=False,
                remark="Every step goes T // n = 33 timesteps down, but the grid's points "
                "are 33 or 34 apart.",
            )
        ],
    )
    yield Case(
        "ddim-cosine-v-clip",
        "ddim",
        *trailing(20),
        [diffusers("DDIM", 20, clip_sample=True, timestep_spacing="trailing", **recompute)],
        process="cosine",
        prediction="v",
        clip="unit",
    )
    yield Case(
        "ddim-quarters-eps",
        "ddim",
        timesteps([900.25, 640.5, 300.75, 80.125]),
        "explicit, between timesteps",
    )

    def from_the_second(scheduler, points):
        """We start at the earliest listed point; the package starts at the data."""
        scheduler.timesteps = scheduler.timesteps[1:]

    wrong_time = (
        "The network is evaluated at the state it leaves, but told the timestep it goes to."
    )
    inverse = dict(
        clip_sample=False, timestep_spacing="leading", grid_differs=True, prepare=from_the_second
    )
    for prediction in ("eps", "v"):
        yield Case(
            f"ddim-inverse-{prediction}",
            "ddim-inverse",
            *leading(10),
            [
                diffusers("DDIMInverse", 10, **inverse, agrees=False, remark=wrong_time),
                diffusers(
                    "DDIMInverse",
                    10,
                    **inverse,
                    network_time="left",
                    remark="With the network told the timestep of the point that the step leaves.",
                ),
            ],
            prediction=prediction,
        )
