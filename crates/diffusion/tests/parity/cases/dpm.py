"""DPM-Solver++ as ODE and SDE, and UniPC."""

from cases.case import (
    Case,
    EDM,
    KARRAS,
    LU,
    UNIT,
    diffusers,
    edm_karras,
    first_sigma,
    k_diffusion,
    karras,
    leading_open,
    linspace_open,
    log_snr,
    trailing,
)


FACTOR = "As printed: D2 has half the weight of the exact integral, see dpm++-3-corrected."


def dpm():
    own = {"lower_order_final": False}
    yield Case(
        "dpm++1-linspace-eps",
        "dpm++:order=1",
        *linspace_open(10),
        [diffusers("DPMSolverMultistep", 10, solver_order=1)],
    )
    yield Case(
        "dpm++2-linspace-eps",
        "dpm++",
        *linspace_open(10),
        [diffusers("DPMSolverMultistep", 10), k_diffusion("dpmpp_2m")],
    )
    yield Case(
        "dpm++2-linspace-v-clip",
        "dpm++:order=2",
        *linspace_open(10),
        [diffusers("DPMSolverMultistep", 10, **UNIT), k_diffusion("dpmpp_2m")],
        prediction="v",
        clip="unit",
    )
    yield Case(
        "dpm++2-heun-trailing-eps",
        "dpm++:order=2,form=heun",
        *trailing(20),
        [diffusers("DPMSolverMultistep", 20, solver_type="heun", timestep_spacing="trailing")],
    )
    yield Case(
        "dpm++2-heun-leading-x0-clip",
        "dpm++:order=2,form=heun",
        *leading_open(12),
        [
            diffusers(
                "DPMSolverMultistep", 12, solver_type="heun", timestep_spacing="leading", **UNIT
            )
        ],
        prediction="x_0",
        clip="unit",
    )
    yield Case(
        "dpm++2-karras-eps",
        "dpm++:order=2",
        *karras(12),
        [
            diffusers("DPMSolverMultistep", 12, **KARRAS),
            k_diffusion("dpmpp_2m"),
            diffusers(
                "DPMSolverMultistep",
                12,
                use_karras_sigmas=True,
                grid_differs=True,
                agrees=False,
                remark="With the network told the scheduler's own timesteps: rounded, while "
                "its sigmas are not.",
            ),
        ],
    )
    yield Case(
        "dpm++2-log-snr-v",
        "dpm++:order=2",
        *log_snr(12),
        [diffusers("DPMSolverMultistep", 12, **LU), k_diffusion("dpmpp_2m")],
        prediction="v",
    )
    yield Case(
        "dpm++2-dynamic-eps",
        "dpm++:order=2",
        *linspace_open(10),
        [
            diffusers(
                "DPMSolverMultistep",
                10,
                thresholding=True,
                dynamic_thresholding_ratio=0.9,
                sample_max_value=3.0,
            )
        ],
        clip="dynamic:0.9:3",
    )
    yield Case(
        "dpm++2-to-sigma-min-eps",
        "dpm++:order=2",
        *linspace_open(20),
        [
            diffusers("DPMSolverMultistep", 20, final_sigmas_type="sigma_min"),
            k_diffusion("dpmpp_2m"),
        ],
        end=first_sigma(),
    )
    yield Case(
        "dpm++2-cosine-v-clip",
        "dpm++:order=2",
        *trailing(15),
        [
            diffusers("DPMSolverMultistep", 15, timestep_spacing="trailing", **UNIT),
            k_diffusion("dpmpp_2m"),
        ],
        process="cosine",
        prediction="v",
        clip="unit",
    )
    yield Case(
        "dpm++3-linspace-eps",
        "dpm++:order=3",
        *linspace_open(20),
        [diffusers("DPMSolverMultistep", 20, solver_order=3, remark=FACTOR)],
    )
    yield Case(
        "dpm++3-heun-linspace-eps",
        "dpm++:order=3,form=heun",
        *linspace_open(20),
        [
            diffusers("DPMSolverMultistep", 20, solver_order=3, solver_type="heun", remark=FACTOR),
            k_diffusion("dpmpp_3m_sde", eta=0.0, remark=FACTOR),
        ],
    )
    yield Case(
        "dpm++3-heun-log-snr-v-clip",
        "dpm++:order=3,form=heun",
        *log_snr(15),
        [
            diffusers(
                "DPMSolverMultistep",
                15,
                solver_order=3,
                solver_type="heun",
                **LU,
                **UNIT,
                remark=FACTOR,
            ),
            k_diffusion("dpmpp_3m_sde", eta=0.0, remark=FACTOR),
        ],
        prediction="v",
        clip="unit",
    )
    yield Case(
        "dpm++3-short-eps",
        "dpm++:order=3",
        *linspace_open(10),
        [diffusers("DPMSolverMultistep", 10, solver_order=3, **own, remark=FACTOR)],
    )
    yield Case(
        "dpm++3-lowered-eps",
        "dpm++:order=3,lower-order-final=true",
        *linspace_open(10),
        [diffusers("DPMSolverMultistep", 10, solver_order=3, remark=FACTOR)],
    )
    yield Case(
        "dpm++2-lowered-to-sigma-min-x0",
        "dpm++:order=2,lower-order-final=true",
        *linspace_open(10),
        [diffusers("DPMSolverMultistep", 10, final_sigmas_type="sigma_min")],
        prediction="x_0",
        end=first_sigma(),
    )
    yield Case(
        "dpm++2-edm",
        "dpm++:order=2",
        *edm_karras(12),
        [diffusers("EDMDPMSolverMultistep", 12), k_diffusion("dpmpp_2m")],
        process=EDM,
        prediction="edm",
    )
    yield Case(
        "dpm++3-edm",
        "dpm++:order=3",
        *edm_karras(18),
        [diffusers("EDMDPMSolverMultistep", 18, solver_order=3, remark=FACTOR)],
        process=EDM,
        prediction="edm",
    )
    yield Case(
        "dpm++3-heun-edm",
        "dpm++:order=3,form=heun",
        *edm_karras(18),
        [
            diffusers(
                "EDMDPMSolverMultistep", 18, solver_order=3, solver_type="heun", remark=FACTOR
            ),
            k_diffusion("dpmpp_3m_sde", eta=0.0, remark=FACTOR),
        ],
        process=EDM,
        prediction="edm",
    )
    wrong = dict(
        agrees=False, remark="The printed (3M): D2 has half the weight of the exact integral."
    )
    yield Case(
        "dpm++3-corrected-log-snr-eps",
        "dpm++-3-corrected",
        *log_snr(15),
        [diffusers("DPMSolverMultistep", 15, solver_order=3, **LU, **wrong)],
    )
    yield Case(
        "dpm++3-corrected-edm",
        "dpm++-3-corrected",
        *edm_karras(18),
        [k_diffusion("dpmpp_3m_sde", eta=0.0, **wrong)],
        process=EDM,
        prediction="edm",
    )
    yield Case(
        "dpm++3-corrected-linspace-v-clip",
        "dpm++-3-corrected",
        *linspace_open(10),
        prediction="v",
        clip="unit",
    )


def sde():
    sde = {"algorithm_type": "sde-dpmsolver++"}
    yield Case(
        "sde-dpm++1-linspace-eps",
        "sde-dpm++:order=1",
        *linspace_open(15),
        [diffusers("DPMSolverMultistep", 15, solver_order=1, **sde)],
    )
    yield Case(
        "sde-dpm++2-linspace-eps",
        "sde-dpm++",
        *linspace_open(15),
        [diffusers("DPMSolverMultistep", 15, **sde), k_diffusion("dpmpp_2m_sde")],
    )
    yield Case(
        "sde-dpm++2-karras-v-clip",
        "sde-dpm++:order=2,form=midpoint",
        *karras(12),
        [diffusers("DPMSolverMultistep", 12, **sde, **KARRAS, **UNIT), k_diffusion("dpmpp_2m_sde")],
        prediction="v",
        clip="unit",
    )
    yield Case(
        "sde-dpm++2-heun-trailing-x0",
        "sde-dpm++:order=2,form=heun",
        *trailing(20),
        [
            diffusers(
                "DPMSolverMultistep", 20, solver_type="heun", timestep_spacing="trailing", **sde
            ),
            k_diffusion("dpmpp_2m_sde", solver_type="heun"),
        ],
        prediction="x_0",
    )
    yield Case(
        "sde-dpm++2-half-edm",
        "sde-dpm++:order=2,eta=0.5",
        *edm_karras(15),
        [k_diffusion("dpmpp_2m_sde", eta=0.5)],
        process=EDM,
        prediction="edm",
    )
    yield Case(
        "sde-dpm++2-heun-edm",
        "sde-dpm++:order=2,form=heun,eta=1",
        *edm_karras(15),
        [
            diffusers("EDMDPMSolverMultistep", 15, solver_type="heun", **sde),
            k_diffusion("dpmpp_2m_sde", solver_type="heun"),
        ],
        process=EDM,
        prediction="edm",
    )
    yield Case(
        "sde-dpm++2-none-eps",
        "sde-dpm++:order=2,eta=0",
        *karras(12),
        [k_diffusion("dpmpp_2m_sde", eta=0.0)],
    )
    yield Case(
        "dpm++2s-ancestral-karras-eps",
        "dpm++2s-ancestral",
        *karras(10),
        [k_diffusion("dpmpp_2s_ancestral")],
    )
    yield Case(
        "dpm++2s-ancestral-trailing-v-clip",
        "dpm++2s-ancestral",
        *trailing(12),
        [k_diffusion("dpmpp_2s_ancestral")],
        prediction="v",
        clip="unit",
    )
    yield Case(
        "dpm++2s-ancestral-karras-half-x0",
        "dpm++2s-ancestral:eta=0.5,s-noise=1.003",
        *karras(12),
        [k_diffusion("dpmpp_2s_ancestral", eta=0.5, s_noise=1.003)],
        prediction="x_0",
    )
    yield Case(
        "dpm++2s-ancestral-none-eps",
        "dpm++2s-ancestral:eta=0",
        *linspace_open(12),
        [k_diffusion("dpmpp_2s_ancestral", eta=0.0)],
    )
    yield Case(
        "dpm++2s-ancestral-edm",
        "dpm++2s-ancestral",
        *edm_karras(15),
        [k_diffusion("dpmpp_2s_ancestral")],
        process=EDM,
        prediction="edm",
    )


def unipc():
    def no_lowering_but_the_last(scheduler, position):
        """UniPC's own lowering also takes the last step but one down; here only the last is of order 1."""
        last = position == len(scheduler.timesteps) - 1
        scheduler.register_to_config(lower_order_final=last)

    only_last = {"lower_order_final": False, "before_step": no_lowering_but_the_last}
    for order in (1, 2, 3):
        clipped = "v" if order == 1 else "x_0"
        for variant, prediction, clip in (
            ("bh2", "eps", "none"),
            ("bh1", "v", "none"),
            ("bh2", clipped, "unit"),
        ):
            clip_option = UNIT if clip == "unit" else {}
            broken = variant == "bh1"
            remark = (
                "NaN: with final_sigmas_type=zero the last step has h = infinity, and bh1 "
                "multiplies "
                "B(h) = -h = -infinity by the 0 that stands for the missing history."
            )
            yield Case(
                f"unipc{order}-{variant}-linspace-{prediction.replace('_', '')}{'-clip' * (clip == 'unit')}",
                f"unipc:order={order},variant={variant}",
                *linspace_open(12),
                [
                    diffusers(
                        "UniPCMultistep",
                        12,
                        solver_order=order,
                        solver_type=variant,
                        **clip_option,
                        **only_last,
                        agrees=not broken,
                        remark=remark
                        if broken
                        else "lower_order_final set for the last step only.",
                    )
                ],
                prediction=prediction,
                clip=clip,
            )
    yield Case(
        "unipc3-lowered-linspace-eps",
        "unipc:order=3,variant=bh2,lower-order-final=true",
        *linspace_open(10),
        [diffusers("UniPCMultistep", 10, solver_order=3)],
    )
    yield Case(
        "unipc2-karras-eps",
        "unipc:order=2,variant=bh2",
        *karras(10),
        [diffusers("UniPCMultistep", 10, **KARRAS)],
    )
    for order, variant in ((2, "bh1"), (3, "bh1"), (3, "bh2")):
        yield Case(
            f"unipc{order}-{variant}-to-sigma-min-v",
            f"unipc:order={order},variant={variant}",
            *linspace_open(10),
            [
                diffusers(
                    "UniPCMultistep",
                    10,
                    solver_order=order,
                    solver_type=variant,
                    lower_order_final=False,
                    final_sigmas_type="sigma_min",
                )
            ],
            prediction="v",
            end=first_sigma(),
        )
    yield Case(
        "unipc2-trailing-cosine-v-clip",
        "unipc:order=2,variant=bh2",
        *trailing(12),
        [diffusers("UniPCMultistep", 12, timestep_spacing="trailing", **UNIT)],
        process="cosine",
        prediction="v",
        clip="unit",
    )
    yield Case(
        "unipc3-edm", "unipc:order=3,variant=bh2", *edm_karras(12), process=EDM, prediction="edm"
    )
    yield Case(
        "unipc2-bh1-edm",
        "unipc:order=2,variant=bh1",
        *edm_karras(12),
        process=EDM,
        prediction="edm",
    )
