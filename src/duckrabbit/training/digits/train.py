"""`train`: a recipe of digits from its name to a finished model, in one call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from duckrabbit.data.sets import load_or_fetch
from duckrabbit.folders import runs_folder
from duckrabbit.training.begin import running
from duckrabbit.training.digits.export import export
from duckrabbit.training.digits.recipe import find_recipe
from duckrabbit.training.trainer import Progress


def train(
    recipe: str = "fast-class",
    data: str = "mnist",
    folder: str | Path | None = None,
    *,
    minutes: float | None = None,
    precision: str = "auto",
    on_step: Callable[[Progress], None] | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Path | None:
    """Train a model of digits from scratch, or go on with it; the finished model's folder, None where it is not.

    recipe: "fast-class", "fast-time", "fast-denoiser", "cs180-class", ... data: "mnist", "fashion-mnist", "svhn" or
    "cifar-10", fetched once. folder: where the run is kept, with its checkpoints; in the runs' folder by default, so
    that `load(recipe)` finds the model. minutes: stop after so long; the same call goes on. precision: "no"
    (float32), "bf16", or "auto", the fastest here. on_step: told of every step and its loss. report: told of what is
    fetched, and of a run that goes on with other processes than before. Raises UserError for a recipe, data or a
    precision that there are not, and for a run of another.
    """
    chosen = replace(find_recipe(recipe), data=data)
    pictures = load_or_fetch(data, "train+validation", report)
    where = Path(folder).expanduser() if folder is not None else runs_folder() / chosen.name
    end = time.perf_counter() + 60 * minutes if minutes is not None else float("inf")
    with running(chosen, pictures, where, precision, report=report) as trainer:
        for step in trainer.run(lambda: time.perf_counter() > end):
            if on_step is not None:
                on_step(step)
        finished = trainer.step == trainer.steps and trainer.accelerator.is_main_process
        return export(where, where / "model", pictures) if finished else None
