"""Solvers: what a solver is, those that come with duckrabbit, and their names."""

from duckrabbit.diffusion.solvers.ancestral import DDIM, DDPM
from duckrabbit.diffusion.solvers.dpm import DPM_SOLVERS, DPMSolverPP2M, DPMSolverPP2S, DPMSolverPP3M
from duckrabbit.diffusion.solvers.heun import Heun
from duckrabbit.diffusion.solvers.shipped import SOLVERS, find_solver
from duckrabbit.diffusion.solvers.solver import Memory, NoiseSource, Solver, Step, level_between, on_schedule

__all__ = [
    "DDIM",
    "DDPM",
    "DPM_SOLVERS",
    "SOLVERS",
    "DPMSolverPP2M",
    "DPMSolverPP2S",
    "DPMSolverPP3M",
    "Heun",
    "Memory",
    "NoiseSource",
    "Solver",
    "Step",
    "find_solver",
    "level_between",
    "on_schedule",
]
