"""The cases: what is sampled, on which points, and which packages are asked."""

from cases.adams import adams
from cases.ancestral import ddim, ddpm
from cases.beyond import beyond
from cases.case import SCHEDULES
from cases.dpm import dpm, sde, unipc
from cases.few_steps import few_steps, flow
from cases.karras import dpm_2, euler, heun
from cases.sa_solver import sa_solver

__all__ = ["SCHEDULES", "beyond", "cases"]


def cases():
    """All of them, by family."""
    families = [ddpm, ddim, euler, heun, dpm_2, dpm, sde, unipc, sa_solver, adams, few_steps, flow]
    return [case for family in families for case in family()]
