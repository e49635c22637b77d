"""A training run, watched: a progress line, the loss curve and samples as pictures, ctrl-C."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
import typer
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from duckrabbit.cli.training_options import Training
from duckrabbit.errors import UserError
from duckrabbit.files import only_writer
from duckrabbit.folders import runs_folder
from duckrabbit.training.protocols import AnyRecipe, Data
from duckrabbit.training.run import read_identity
from duckrabbit.training.speed import Precision, Speed, fastest, keep_memory
from duckrabbit.training.trainer import BUSY, Trainer
from duckrabbit.training.trainer import Progress as Step

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def processes() -> PartialState:
    """The processes that train together, one or several. Unless told that they are on CPUs, such find no other."""
    return PartialState(cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()))


def choose_speed(precision: str, folder: Path, device: str) -> Speed:
    """The precision asked for; for "auto" that of the run in `folder`, or else the fastest here.

    Of several processes the first one chooses.
    """
    if precision != "auto":
        return Speed(cast("Precision", precision))
    try:
        speed = Speed(read_identity(folder)["precision"])
    except KeyError:
        speed = fastest(device)
    return cast("Speed", broadcast_object_list([speed])[0])


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
    if options.precision not in ("auto", "no", "bf16"):
        raise UserError(f"There is no precision '{options.precision}'; choose auto, no or bf16.")
    keep_memory()
    torch.backends.cudnn.benchmark = True  # on a GPU: convolutions are timed, and the fastest kernel taken
    folder = run_folder(recipe, options)
    with alone_in(folder):
        speed = choose_speed(options.precision, folder, processes().device.type)
        accelerator = Accelerator(cpu=processes().device.type == "cpu", mixed_precision=speed.precision)
        trainer = Trainer(recipe, data, folder, accelerator, speed, options.checkpoint_seconds, start)
        watch(trainer, show if options.pictures else None, options)
        step, steps = trainer.step, trainer.steps
        del trainer  # what binds the processes goes before the group does
        accelerator.wait_for_everyone()
        accelerator.end_training()
        if not accelerator.is_main_process:
            return None
        if step < steps:
            typer.echo(f"Stopped after step {step} of {steps}; the same command goes on from there.")
            return None
        return export(folder, options.output or folder / "model")


def alone_in(folder: Path) -> AbstractContextManager[None]:
    """A context in which no other run writes into the folder of a run; its first process holds it for all of them."""
    return only_writer(folder, BUSY) if processes().is_main_process else nullcontext()


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


def _agreed(accelerator: Accelerator, wish: bool) -> bool:
    """Whether any process wishes it: they have to stop after the same step."""
    if accelerator.num_processes == 1:
        return wish
    wishes = torch.tensor(float(wish), device=accelerator.device)
    return bool(accelerator.reduce(wishes, reduction="sum") > 0)


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
