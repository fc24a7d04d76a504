"""SA-Solver."""

from cases.case import (
    Case,
    EDM,
    KARRAS,
    UNIT,
    diffusers,
    edm_karras,
    first_sigma,
    karras,
    linspace_open,
    trailing,
)

MOMENT = (
    "With two predictions, also in the warm-up, its first moment is h^2/2, the limit as h -> 0, "
    "for the exact integral: beyond-sa-solver* has its weights, and agrees."
)
TO_DATA = "tau_func constant; the last sigma 1e-12 for the data, where its lambda has no end."


def package(n, predictor, corrector, tau, end="data", **options):
    """diffusers' scheduler. Its own grid ends at the first sigma of the schedule, where it adds
    noise too; like ours, it ends at the data here, unless `end` is another, and its last step is of
    order 1 then."""

    def prepare(scheduler, points):
        scheduler.tau_func = lambda t: tau
        if end == "data":
            scheduler.sigmas[-1] = 1e-12

    def before_step(scheduler, position):
        last = end == "data" and position == len(scheduler.timesteps) - 1
        if not options.get("lower_order_final"):
            scheduler.register_to_config(lower_order_final=last)
        if corrector == 0:
            scheduler.last_sample = None  # so nothing is corrected

    return diffusers(
        "SASolver",
        n,
        **{
            "predictor_order": predictor,
            "corrector_order": max(corrector, 1),
            "lower_order_final": False,
            "prepare": prepare,
            "before_step": before_step,
            "remark": TO_DATA,
        }
        | options,
    )


def sa_solver():
    wrong = dict(agrees=False, remark=MOMENT)
    yield Case(
        "sa-solver1-linspace-eps",
        "sa-solver:predictor-order=1,corrector-order=1",
        *linspace_open(12),
        [package(12, 1, 1, 1)],
    )
    yield Case(
        "sa-solver1-none-trailing-v-clip",
        "sa-solver:predictor-order=1,corrector-order=0,tau=0.5",
        *trailing(12),
        [package(12, 1, 0, 0.5, timestep_spacing="trailing", **UNIT)],
        prediction="v",
        clip="unit",
    )
    yield Case(
        "sa-solver1-ode-to-sigma-min-x0",
        "sa-solver:predictor-order=1,corrector-order=1,tau=0",
        *linspace_open(12),
        [package(12, 1, 1, 0, "sigma_min", remark="tau_func constant.")],
        prediction="x_0",
        end=first_sigma(),
    )
    yield Case(
        "sa-solver2-linspace-eps",
        "sa-solver",
        *linspace_open(12),
        [package(12, 2, 2, 1, **wrong)],
    )
    yield Case(
        "sa-solver3-4-karras-x0-clip",
        "sa-solver:predictor-order=3,corrector-order=4,tau=0.6",
        *karras(12),
        [package(12, 3, 4, 0.6, **KARRAS, **UNIT, **wrong)],
        prediction="x_0",
        clip="unit",
    )
    yield Case(
        "sa-solver3-lowered-linspace-eps",
        "sa-solver:predictor-order=3,corrector-order=3,lower-order-final=true",
        *linspace_open(10),
        [package(10, 3, 3, 1, lower_order_final=True, **wrong)],
    )
    yield Case(
        "sa-solver3-4-ode-to-sigma-min-v",
        "sa-solver:predictor-order=3,corrector-order=4,tau=0",
        *linspace_open(10),
        [package(10, 3, 4, 0, "sigma_min", **wrong)],
        prediction="v",
        end=first_sigma(),
    )
    yield Case(
        "sa-solver1-3-lowered-ode-to-sigma-min-eps",
        "sa-solver:predictor-order=1,corrector-order=3,tau=0,lower-order-final=true",
        *linspace_open(10),
        end=first_sigma(),
    )
    yield Case(
        "sa-solver3-none-edm",
        "sa-solver:predictor-order=3,corrector-order=0",
        *edm_karras(12),
        process=EDM,
        prediction="edm",
    )
    yield Case(
        "sa-solver3-1-edm",
        "sa-solver:predictor-order=3,corrector-order=1,tau=1.4",
        *edm_karras(15),
        process=EDM,
        prediction="edm",
    )
    yield Case("sa-solver2-edm", "sa-solver", *edm_karras(12), process=EDM, prediction="edm")


def beyond_sa_solver():
    """diffusers' weights, which show that they are all that it differs in."""
    yield Case(
        "beyond-sa-solver2-linspace-eps",
        "sa-solver-as-diffusers",
        *linspace_open(12),
        [package(12, 2, 2, 1)],
    )
    yield Case(
        "beyond-sa-solver3-4-karras-x0-clip",
        "sa-solver-as-diffusers:predictor-order=3,corrector-order=4,tau=0.6",
        *karras(12),
        [package(12, 3, 4, 0.6, **KARRAS, **UNIT)],
        prediction="x_0",
        clip="unit",
    )
    yield Case(
        "beyond-sa-solver3-lowered-linspace-eps",
        "sa-solver-as-diffusers:predictor-order=3,corrector-order=3,lower-order-final=true",
        *linspace_open(10),
        [package(10, 3, 3, 1, lower_order_final=True)],
    )
    yield Case(
        "beyond-sa-solver3-4-ode-to-sigma-min-v",
        "sa-solver-as-diffusers:predictor-order=3,corrector-order=4,tau=0",
        *linspace_open(10),
        [package(10, 3, 4, 0, "sigma_min", remark="tau_func constant.")],
        prediction="v",
        end=first_sigma(),
    )
