"""A training run, watched: a progress line, the loss curve and samples as pictures, ctrl-C."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from duckrabbit.errors import UserError
from duckrabbit.training.data import Pictures
from duckrabbit.training.loop import METRICS, RECIPE, Trainer, read_metrics
from duckrabbit.training.loop import Progress as Step
from duckrabbit.training.speed import Precision, Speed, fastest


def choose_speed(precision: str, folder: Path, device: str) -> Speed:
    """The precision asked for; for "auto" that of the run in `folder`, or else the fastest here."""
    if precision != "auto":
        return Speed(cast("Precision", precision))
    try:
        return Speed(json.loads((folder / RECIPE).read_text(encoding="utf-8"))["precision"])
    except (OSError, ValueError, KeyError):
        return fastest(device)


def watch(trainer: Trainer, data: Pictures, *, pictures: bool, tensorboard: bool) -> bool:
    """Train to the end, or to ctrl-C; True at the end. Only the first process shows anything."""
    main = trainer.accelerator.is_main_process
    board = _board(trainer.folder) if tensorboard and main else lambda step: None
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"),
        TimeRemainingColumn(), console=Console(stderr=True), disable=not main,
    )  # fmt: skip
    with _stop_on_ctrl_c() as stopped, bar:
        line = bar.add_task(trainer.recipe.name, total=trainer.steps, completed=trainer.step, facts="")
        smooth, before = 0.0, (trainer.step * trainer.recipe.batch, trainer.seconds)
        for step in trainer.run(stopped):
            board(step)
            smooth = step.loss if smooth == 0 else 0.98 * smooth + 0.02 * step.loss
            rate = (step.images - before[0]) / max(step.seconds - before[1], 1e-9)
            bar.update(line, completed=step.step, facts=f"loss {smooth:.4f}  {rate:.0f} images/s")
            if pictures and main and step.step % trainer.steps_per_epoch == 0:
                _draw(trainer, data, step.epoch)
    return trainer.step == trainer.steps


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


def _draw(trainer: Trainer, data: Pictures, epoch: int) -> None:
    """Write curve.png, and samples-EPOCH.png, into the run's folder."""
    from duckrabbit.app import training_figures as figures
    from duckrabbit.evaluation.sampling import Setting, draw_classes, draw_free
    from duckrabbit.models.digits import load_denoiser, load_digits
    from duckrabbit.training.export import export

    folder, recipe = trainer.folder, trainer.recipe
    figures.write(figures.loss_curve({recipe.name: read_metrics(folder / METRICS)}), folder / "curve.png")
    trainer.save()
    model = export(folder, folder / "preview", data)
    path = folder / f"samples-{epoch:03d}.png"
    if recipe.goal == "picture":
        figures.write(
            figures.denoising_results({f"epoch {epoch}": load_denoiser(model)}, data[-5:], recipe.sigma), path
        )
        return
    setting = Setting(5.0 if recipe.task == "class" else 1.0, "ddim", 20)
    digits = load_digits(model)
    drawn = draw_classes(digits, 40, setting)[0] if recipe.task == "class" else draw_free(digits, 40, setting)
    figures.write(figures.digit_grid(drawn, f"{recipe.name} after epoch {epoch}"), path)


def _board(folder: Path) -> Callable[[Step], None]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError(
            "TensorBoard is not installed; run `pip install tensorboard`, or leave out the option."
        ) from None
    writer: Any = SummaryWriter(str(folder / "tensorboard"))  # type: ignore[no-untyped-call]

    def log(step: Step) -> None:
        writer.add_scalar("loss", step.loss, step.step)
        writer.add_scalar("learning rate", step.rate, step.step)

    return log
