"""Linear multistep methods."""

import grids
from cases.case import (
    Case,
    EDM,
    KARRAS,
    UNIT,
    diffusers,
    edm_karras,
    first_sigma,
    k_diffusion,
    karras,
    leading,
    linspace_open,
    own_range,
    sigmas,
    trailing,
)


def adams():
    to_min = {"end": first_sigma()}
    own = {"lower_order_final": False}
    yield Case(
        "deis1-linspace-eps",
        "deis:order=1",
        *linspace_open(10),
        [diffusers("DEISMultistep", 10, solver_order=1, **own)],
        **to_min,
    )
    yield Case(
        "deis2-linspace-eps",
        "deis:order=2",
        *linspace_open(10),
        [diffusers("DEISMultistep", 10, solver_order=2, **own)],
        **to_min,
    )
    yield Case(
        "deis3-linspace-eps",
        "deis:order=3",
        *linspace_open(15),
        [diffusers("DEISMultistep", 15, solver_order=3)],
        **to_min,
    )
    yield Case(
        "deis3-linspace-v-clip",
        "deis:order=3",
        *linspace_open(10),
        [diffusers("DEISMultistep", 10, solver_order=3, **own, **UNIT)],
        prediction="v",
        clip="unit",
        **to_min,
    )
    yield Case(
        "deis2-trailing-x0",
        "deis:order=2",
        *trailing(20),
        [diffusers("DEISMultistep", 20, timestep_spacing="trailing")],
        prediction="x_0",
        **to_min,
    )
    yield Case("deis3-karras-eps", "deis:order=3", *karras(12))
    values = grids.karras(*own_range("linear"), 12)
    yield Case(
        "deis3-karras-to-sigma-min-eps",
        "deis:order=3",
        sigmas(values[:-1]),
        "karras 12 without its last",
        [
            diffusers(
                "DEISMultistep",
                12,
                solver_order=3,
                **own,
                **KARRAS,
                grid_differs=True,
                remark="Its list of sigmas ends with the last one twice: the twelfth "
                "evaluation changes nothing.",
            )
        ],
        end={"sigma": values[-1]},
    )
    yield Case("deis2-edm", "deis:order=2", *edm_karras(12), process=EDM, prediction="edm")

    def on_our_points(scheduler, points):
        """IPNDMScheduler has a schedule of its own, t to (cos, sin); its method takes any."""
        import torch

        scheduler.alphas = torch.tensor([float(p.alpha) for p in points])
        scheduler.betas = torch.tensor([float(p.s) for p in points])
        scheduler.timesteps = torch.arange(len(points) - 1).flip(0)

    moved = dict(prepare=on_our_points, grid_differs=True, network_time="points")
    remark = (
        "Its own process is t -> (cos, sin) of a squared sine, with a network that predicts "
        "v; alphas, betas "
        "and timesteps were replaced by those of this case."
    )
    yield Case(
        "ipndm4-trailing-v",
        "ipndm",
        *trailing(10),
        [diffusers("IPNDM", 10, **moved, remark=remark)],
        prediction="v",
    )
    yield Case(
        "ipndm4-karras-v",
        "ipndm:order=4",
        *karras(12),
        [diffusers("IPNDM", 12, **moved, remark=remark)],
        prediction="v",
    )
    for order in (1, 2, 3):
        yield Case(f"ipndm{order}-trailing-eps", f"ipndm:order={order}", *trailing(10))
    yield Case("ipndm4-edm", "ipndm:order=4", *edm_karras(10), process=EDM, prediction="edm")
    yield Case(
        "ipndm3-edm-clip",
        "ipndm:order=3",
        *edm_karras(10),
        process=EDM,
        prediction="edm",
        clip="unit",
    )

    plms = dict(skip_prk_steps=True, set_alpha_to_one=True, timestep_spacing="leading")
    yield Case("pndm-leading-eps", "pndm", *leading(10), [diffusers("PNDM", 10, **plms)])
    yield Case("pndm-leading-20-eps", "pndm", *leading(20), [diffusers("PNDM", 20, **plms)])
    yield Case(
        "pndm-trailing-eps",
        "pndm",
        *trailing(10),
        [diffusers("PNDM", 10, **{**plms, "timestep_spacing": "trailing"})],
    )
    yield Case(
        "pndm-leading-v",
        "pndm",
        *leading(10),
        [
            diffusers(
                "PNDM",
                10,
                **plms,
                agrees=False,
                remark="Past outputs are averaged as v and turned into eps at the present "
                "timestep only; the method "
                "averages noise predictions.",
            )
        ],
        prediction="v",
    )
    yield Case("pndm-leading-eps-clip", "pndm", *leading(12), clip="unit")
    for order in (1, 2, 3, 4):
        yield Case(
            f"lms{order}-karras-{'v' if order % 2 else 'eps'}",
            f"lms:order={order}",
            *karras(12),
            [
                diffusers("LMSDiscrete", 12, **KARRAS, step_options={"order": order}),
                k_diffusion("lms", order=order),
            ],
            prediction="v" if order % 2 else "eps",
        )
    yield Case(
        "lms4-trailing-x0-clip",
        "lms",
        *trailing(15),
        [diffusers("LMSDiscrete", 15, timestep_spacing="trailing", feed="x_0"), k_diffusion("lms")],
        prediction="x_0",
        clip="unit",
    )
    yield Case(
        "lms4-edm",
        "lms:order=4",
        *edm_karras(18),
        [k_diffusion("lms", order=4)],
        process=EDM,
        prediction="edm",
    )
