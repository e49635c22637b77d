"""`train`: a recipe of digits from its name to a finished model, in one call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator

from duckrabbit.data.mnist.fetch import load_or_fetch
from duckrabbit.folders import runs_folder
from duckrabbit.training.digits.export import export
from duckrabbit.training.digits.recipes import find_recipe
from duckrabbit.training.speed import fastest
from duckrabbit.training.trainer import Progress, Trainer


def train(
    recipe: str = "fast-class",
    data: str = "mnist",
    folder: str | Path | None = None,
    *,
    minutes: float | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> Path | None:
    """Train a model of digits from scratch, or go on with it; the finished model's folder, None where it is not.

    recipe: "fast-class", "fast-time", "fast-denoiser", "cs180-class", ... data: "mnist" or "fashion-mnist",
    fetched once. folder: where the run is kept, with its checkpoints; in the runs' folder by default, so
    that `load(recipe)` finds the model. minutes: stop after so long; the same call goes on. on_step: told of
    every step and its loss. Raises UserError for a recipe or data that there are not, and for a run of another.
    """
    chosen = replace(find_recipe(recipe), data=data)
    pictures = load_or_fetch(data, "train+validation")
    where = Path(folder).expanduser() if folder is not None else runs_folder() / chosen.name
    accelerator = Accelerator()
    speed = fastest(accelerator.device.type)
    end = time.perf_counter() + 60 * minutes if minutes is not None else float("inf")
    trainer = Trainer(chosen, pictures, where, accelerator, speed)
    for step in trainer.run(lambda: time.perf_counter() > end):
        if on_step is not None:
            on_step(step)
    return export(where, where / "model", pictures) if trainer.step == trainer.steps else None
