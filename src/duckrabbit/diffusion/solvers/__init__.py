"""Solvers: what a solver is, those that come with duckrabbit, and their names."""

from duckrabbit.diffusion.solvers.ancestral import DDIM, DDPM
from duckrabbit.diffusion.solvers.dpm import DPMSolverPP2M, DPMSolverPP2S, DPMSolverPP3M
from duckrabbit.diffusion.solvers.heun import Heun
from duckrabbit.diffusion.solvers.shipped import BY_ESTIMATES, SOLVERS, find_solver
from duckrabbit.diffusion.solvers.solver import Memory, NoiseSource, Past, Solver, Step, level_between, on_schedule
from duckrabbit.diffusion.solvers.unipc import UniPC

__all__ = [
    "BY_ESTIMATES",
    "DDIM",
    "DDPM",
    "SOLVERS",
    "DPMSolverPP2M",
    "DPMSolverPP2S",
    "DPMSolverPP3M",
    "Heun",
    "Memory",
    "NoiseSource",
    "Past",
    "Solver",
    "Step",
    "UniPC",
    "find_solver",
    "level_between",
    "on_schedule",
]
