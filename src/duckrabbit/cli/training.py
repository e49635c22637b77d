"""A training run, watched: a progress line, the loss curve and samples as pictures, ctrl-C."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from accelerate import Accelerator
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from duckrabbit.cli.saying import say
from duckrabbit.cli.training_options import Training
from duckrabbit.errors import UserError
from duckrabbit.files import only_maker
from duckrabbit.folders import runs_folder
from duckrabbit.training.begin import running
from duckrabbit.training.protocols import AnyRecipe, Data
from duckrabbit.training.trainer import Progress as Step
from duckrabbit.training.trainer import Trainer

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

EXPORT_WAIT = 60.0
"""Seconds that a finished run waits for another that writes its model into the same folder."""


def train(
    recipe: AnyRecipe,
    data: Data,
    options: Training,
    show: Callable[[Trainer, Step], None],
    export: Callable[[Path, Path], Path],
    start: Callable[[nn.Module], None] = lambda module: None,
) -> Path | None:
    """Run a recipe, or go on with it; the folder of the finished model, or None where it is not finished.

    show: draw what has been learned into the run's folder. export: write the model of a run's folder
    into a folder. Raises UserError for a precision that does not exist, and where another process trains there.
    """
    folder = run_folder(recipe, options)
    told = partial(say, err=True)
    with running(recipe, data, folder, options.precision, options.checkpoint_seconds, start, told) as trainer:
        watch(trainer, show if options.pictures else None, options)
        step, steps, accelerator = trainer.step, trainer.steps, trainer.accelerator
        del trainer  # what binds the processes goes before the group does
        accelerator.wait_for_everyone()
        accelerator.end_training()
        if not accelerator.is_main_process:
            return None
        if step < steps:
            say(f"Stopped after step {step} of {steps}; the same command goes on from there.")
            return None
        into = options.output or folder / "model"
        with only_maker(into, "give the command again when it is done, and what was trained is written", EXPORT_WAIT):
            return export(folder, into)


def run_folder(recipe: AnyRecipe, options: Training) -> Path:
    """Where the run is kept; a path with a root stays itself."""
    return runs_folder() / (options.run or recipe.name)


R = TypeVar("R", bound="DataclassInstance")


def changed(recipe: R, asked: Mapping[str, Any], **silent: Any) -> R:
    """The recipe with what was asked for, told in its name, and with `silent` changes, which are not.

    What is None or False was not asked for.
    """
    new = {k: v for k, v in asked.items() if v is not None and v is not False and v != getattr(recipe, k)}
    name = getattr(recipe, "name") + "".join(f"-{k.replace('_', '')}{v}" for k, v in new.items())  # noqa: B009
    return replace(recipe, **{**new, **silent, "name": name}) if new or silent else recipe


def watch(trainer: Trainer, show: Callable[[Trainer, Step], None] | None, options: Training) -> None:
    """Train to the end, to ctrl-C or to the time that was given. Only the first process shows anything."""
    main = trainer.accelerator.is_main_process
    board = _board(trainer) if options.tensorboard and main else nullcontext(lambda step: None)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"),
        TimeRemainingColumn(), console=Console(stderr=True), disable=not main,
    )  # fmt: skip
    end = time.perf_counter() + 60 * options.minutes if options.minutes is not None else float("inf")
    with _stop_on_ctrl_c() as stopped, board as log, bar:
        line = bar.add_task(trainer.recipe.name, total=trainer.steps, completed=trainer.step, facts="")
        smooth, before = 0.0, (trainer.step * trainer.recipe.batch, trainer.seconds)
        for step in trainer.run(lambda: _agreed(trainer.accelerator, stopped() or time.perf_counter() > end)):
            log(step)
            smooth = step.loss if smooth == 0 else 0.98 * smooth + 0.02 * step.loss
            rate = (step.images - before[0]) / max(step.seconds - before[1], 1e-9)
            bar.update(line, completed=step.step, facts=f"loss {smooth:.4f}  {rate:.0f} images/s")
            if show and main and trainer.recipe.rests(step.step, trainer.steps_per_epoch):
                show(trainer, step)


def _agreed(accelerator: Accelerator, stop: bool) -> bool:
    """Whether any process is to stop: they have to stop after the same step."""
    if accelerator.num_processes == 1:
        return stop
    votes = torch.tensor(float(stop), device=accelerator.device)
    return bool(accelerator.reduce(votes, reduction="sum") > 0)


@contextmanager
def _stop_on_ctrl_c() -> Iterator[Callable[[], bool]]:
    """Whether ctrl-C was pressed: the first is heard after the step, the second at once."""
    pressed: list[int] = []

    def hear(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(pressed)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _board(trainer: Trainer) -> Iterator[Callable[[Step], None]]:
    """Steps told to it are in TensorBoard's log when it is left; what a run that was killed logged too early is not."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError(
            "TensorBoard is not installed; run `pip install tensorboard`, or leave out the option."
        ) from None
    folder = str(trainer.folder / "tensorboard")
    writer: Any = SummaryWriter(folder, purge_step=trainer.step + 1)  # type: ignore[no-untyped-call]

    def log(step: Step) -> None:
        writer.add_scalar("loss", step.loss, step.step)
        writer.add_scalar("learning rate", step.rate, step.step)

    try:
        yield log
    finally:
        writer.close()
