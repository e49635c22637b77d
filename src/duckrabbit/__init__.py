"""duckrabbit: diffusion sampling, guidance, editing and optical illusions.

    import duckrabbit as dr

    model = dr.load("miniature")
    job = dr.anagram(model, {"identity": "a cat", "flip": "a house"}, guidance_scale=7)
    result = dr.run(job, seeds=[180, 181])
    result.save("out")

Names are imported when they are first used, so that `duckrabbit --help` never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckrabbit.diffusion.constraints import KnownBand, KnownPixels
    from duckrabbit.diffusion.levels import CLEAN, NoiseLevel, add_noise
    from duckrabbit.diffusion.plans import Move, course_times, plan_through, start_at, time_travel
    from duckrabbit.diffusion.prediction import Prediction, Query
    from duckrabbit.diffusion.solvers import DDIM, DDPM, SOLVERS, DPMSolverPP2M, Heun
    from duckrabbit.diffusion.streams import Noise
    from duckrabbit.diffusion.trajectory import State, trajectory
    from duckrabbit.errors import UserError
    from duckrabbit.evaluation.classical import best_gaussian_blur, best_median
    from duckrabbit.evaluation.metrics import psnr
    from duckrabbit.guidance.filters import Colour, Grey, HighPass, LowPass
    from duckrabbit.guidance.nodes import CFG, Bands, Clip, Masked, Mean, Prompt, Threshold, Viewed, Weighted
    from duckrabbit.guidance.tree import Guidance, ask_all, lower
    from duckrabbit.guidance.views.shipped import VIEWS, PixelView, parse_view
    from duckrabbit.models.load import load
    from duckrabbit.records.replay import replay
    from duckrabbit.tasks.job import Job, Stage, cost
    from duckrabbit.tasks.masks import as_mask
    from duckrabbit.tasks.pictures import as_picture
    from duckrabbit.tasks.results import Result
    from duckrabbit.tasks.run import run, run_all
    from duckrabbit.tasks.tasks import anagram, denoise, edit, generate, hybrid, inpaint, noise, upscale

_PLACES = {
    "diffusion.constraints": "KnownBand KnownPixels",
    "diffusion.levels": "CLEAN NoiseLevel add_noise",
    "diffusion.plans": "Move course_times plan_through start_at time_travel",
    "diffusion.prediction": "Prediction Query",
    "diffusion.solvers": "DDIM DDPM SOLVERS DPMSolverPP2M Heun",
    "diffusion.streams": "Noise",
    "diffusion.trajectory": "State trajectory",
    "errors": "UserError",
    "evaluation.classical": "best_gaussian_blur best_median",
    "evaluation.metrics": "psnr",
    "guidance.filters": "Colour Grey HighPass LowPass",
    "guidance.nodes": "CFG Bands Clip Masked Mean Prompt Threshold Viewed Weighted",
    "guidance.tree": "Guidance ask_all lower",
    "guidance.views.shipped": "VIEWS PixelView parse_view",
    "models.load": "load",
    "tasks.job": "Job Stage cost",
    "tasks.masks": "as_mask",
    "tasks.pictures": "as_picture",
    "records.replay": "replay",
    "tasks.results": "Result",
    "tasks.run": "run run_all",
    "tasks.tasks": "anagram denoise edit generate hybrid inpaint noise upscale",
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names.split()}

__all__ = sorted(_PLACE_OF)


def __getattr__(name: str) -> object:
    if name not in _PLACE_OF:
        raise AttributeError(f"module 'duckrabbit' has no attribute '{name}'")
    value = getattr(import_module(f"duckrabbit.{_PLACE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACE_OF})
