"""The solvers that come with duckrabbit, by name."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from duckrabbit.diffusion.solvers.ancestral import DDIM, DDPM
from duckrabbit.diffusion.solvers.dpm import DPMSolverPP2M, DPMSolverPP2S, DPMSolverPP3M
from duckrabbit.diffusion.solvers.heun import Heun
from duckrabbit.diffusion.solvers.solver import Solver
from duckrabbit.diffusion.solvers.unipc import UniPC
from duckrabbit.errors import UserError
from duckrabbit.registry import find, numbered, table

SOLVERS: dict[str, Solver] = table("solver")
SOLVERS |= {
    "ddpm": DDPM("learned"),
    "ddpm-small": DDPM("small"),
    "ddpm-large": DDPM("large"),
    "ddim": DDIM(),
    "heun": Heun(),
    "dpm++": DPMSolverPP2M(),
    "sde-dpm++": DPMSolverPP2M(eta=1.0),
    "dpm++-2s": DPMSolverPP2S(),
    "dpm++-3m": DPMSolverPP3M(),
    "unipc": UniPC(),
    "euler-a": DDIM(eta=1.0),
}
"""The solvers by the names that commands and records use."""


BY_ESTIMATES = (DPMSolverPP2M, DPMSolverPP2S, DPMSolverPP3M, UniPC)
"""They begin where a stage's `lambda_min` says: before, an estimate of x0 says too little to lean on."""


def find_solver(spec: str) -> Solver:
    """A solver by its name in SOLVERS, its numbers after a colon: "ddim", "ddim:eta=0.5".

    Raises UserError for a name or a number that there is not.
    """
    name, numbers = numbered(spec, SOLVERS)
    solver: Any = find("solver", name)
    if numbers is None:
        return solver  # type: ignore[no-any-return]
    try:
        if numbers and set(numbers) <= _numbers_of(solver):
            return replace(solver, **numbers)  # type: ignore[no-any-return]
    except (TypeError, ValueError):
        pass
    raise UserError(f"The solver {name} cannot be set to '{spec.partition(':')[2]}'; as an example, ddim:eta=0.5.")


def _numbers_of(solver: Any) -> set[str]:
    """The fields of a solver that are numbers."""
    values = {f.name: getattr(solver, f.name) for f in fields(solver)}
    return {name for name, value in values.items() if isinstance(value, int | float) and not isinstance(value, bool)}
