"""The command `train`: a denoiser, a diffusion model of digits, or the classifier that judges them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duckrabbit.app.options import with_examples
from duckrabbit.errors import UserError

if TYPE_CHECKING:
    from duckrabbit.training.recipes import Recipe, Task

Preset = Annotated[str, typer.Option(help="fast (ours), cs180 (the course's, exactly) or cs180-flow.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's; the decay is stretched with it.")]
Seed = Annotated[int | None, typer.Option(help="Another start, order and noise.")]
Data = Annotated[str, typer.Option(help="mnist or fashion-mnist; see `duckrabbit data fetch`.")]
Run = Annotated[str | None, typer.Option(help="The run's name, or a path; PRESET-TASK by default.")]
PrecisionName = Annotated[str, typer.Option(help="auto (measured), no (float32) or bf16.")]
Every = Annotated[float, typer.Option(min=0, help="Seconds between checkpoints.")]
Drawn = Annotated[bool, typer.Option("--pictures/--no-pictures", help="Loss curve and samples after each epoch.")]
Board = Annotated[bool, typer.Option("--tensorboard", help="Also log for TensorBoard (pip install tensorboard).")]
Out = Annotated[Path | None, typer.Option("--output", "-o", help="Where the finished model goes; RUN/model.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    group = typer.Typer(
        no_args_is_help=True, help="Train models from scratch; a run goes on where it was.", rich_markup_mode="markdown"
    )
    commands: dict[str, Callable[..., None]] = {
        "denoiser": train_denoiser,
        "time": train_time,
        "class": train_class,
        "classifier": train_classifier,
    }
    for name, function in commands.items():
        group.command(name, help=with_examples(function))(function)
    app.add_typer(group, name="train")


def train_denoiser(
    preset: Preset = "fast",
    epochs: Epochs = None,
    sigma: Annotated[float | None, typer.Option(min=0, help="The noise to train with; 0.5 in the course.")] = None,
    pure_noise: Annotated[bool, typer.Option("--pure-noise", help="Show it noise alone (section 1.2.3).")] = False,
    seed: Seed = None,
    data: Data = "mnist",
    run: Run = None,
    precision: PrecisionName = "auto",
    checkpoint_seconds: Every = 120.0,
    pictures: Drawn = True,
    tensorboard: Board = False,
    output: Out = None,
) -> None:
    """Train a U-Net to remove noise in one step.

    **Examples**

        duckrabbit train denoiser
        duckrabbit train denoiser --preset cs180
        duckrabbit train denoiser --pure-noise --epochs 1
    """
    recipe = _recipe("denoiser", preset, epochs=epochs, seed=seed, data=data, sigma=sigma, pure_noise=pure_noise)
    _train(recipe, run, precision, checkpoint_seconds, pictures, tensorboard, output)


def train_time(
    preset: Preset = "fast",
    epochs: Epochs = None,
    seed: Seed = None,
    data: Data = "mnist",
    run: Run = None,
    precision: PrecisionName = "auto",
    checkpoint_seconds: Every = 120.0,
    pictures: Drawn = True,
    tensorboard: Board = False,
    output: Out = None,
) -> None:
    """Train a diffusion model that draws digits of its own choice.

    **Examples**

        duckrabbit train time
        duckrabbit train time --preset cs180-flow --run my-flow
    """
    recipe = _recipe("time", preset, epochs=epochs, seed=seed, data=data)
    _train(recipe, run, precision, checkpoint_seconds, pictures, tensorboard, output)


def train_class(
    preset: Preset = "fast",
    epochs: Epochs = None,
    seed: Seed = None,
    data: Data = "mnist",
    run: Run = None,
    precision: PrecisionName = "auto",
    checkpoint_seconds: Every = 120.0,
    pictures: Drawn = True,
    tensorboard: Board = False,
    output: Out = None,
) -> None:
    """Train a diffusion model that is told which digit to draw.

    Kill it when you like: the same command goes on from the last checkpoint, and ends with the same
    weights. Several processes: `accelerate launch`, or `torchrun` on CPUs, with `-m duckrabbit.app.cli`.

    **Examples**

        duckrabbit train class
        duckrabbit train class --preset cs180 --run exact
        accelerate launch --multi_gpu -m duckrabbit.app.cli train class
    """
    recipe = _recipe("class", preset, epochs=epochs, seed=seed, data=data)
    _train(recipe, run, precision, checkpoint_seconds, pictures, tensorboard, output)


def train_classifier(
    epochs: Annotated[int, typer.Option(min=1, help="About two minutes each on one core.")] = 9,
    seed: Annotated[int, typer.Option(help="Another start, order and distortion.")] = 180,
    data: Data = "mnist",
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("classifier.safetensors"),
) -> None:
    """Train the judge of digits: chosen on the validation set, tested once.

    **Examples**

        duckrabbit train classifier -o my-judge.safetensors
    """
    import torch

    from duckrabbit.evaluation import classifier as judge
    from duckrabbit.training.fetch import load_or_fetch
    from duckrabbit.training.speed import keep_memory

    keep_memory()
    train, validation, test = (load_or_fetch(data, split, typer.echo) for split in ("train", "validation", "test"))
    torch.manual_seed(seed)
    model = judge.Classifier()
    log = []
    for epoch in judge.train_classifier(model, train, validation, epochs=epochs, seed=seed):
        typer.echo(f"epoch {epoch.epoch}/{epochs}  loss {epoch.loss:.4f}  validation {100 * epoch.validation:.2f} %")
        log.append(epoch._asdict())
    judge.save_classifier(model, output, {})
    kept, _ = judge.load_classifier(output)  # what is tested is what was written, in half precision
    right = judge.accuracy(kept, test)
    facts = {"data": data, "epochs": epochs, "seed": seed, "validation": judge.accuracy(kept, validation), "log": log}
    judge.save_classifier(model, output, {**facts, "test": right})
    typer.echo(f"{100 * right:.2f} % of the test set is judged right; written to {output}.")


def _recipe(task: Task, preset: str, **changes: object) -> Recipe:
    """The preset for the task, with what was asked for changed; its name tells that it is no longer the preset."""
    from dataclasses import replace

    from duckrabbit.training.recipes import find_recipe

    recipe = find_recipe(f"{preset}-{task}")
    asked: dict[str, Any] = {k: v for k, v in changes.items() if v not in (None, False) and v != getattr(recipe, k)}
    if "epochs" in asked:
        asked["snapshots"] = tuple(range(1, asked["epochs"] + 1))
    suffix = "".join(f"-{k.replace('_', '')}{v}" for k, v in asked.items() if k != "snapshots")
    return replace(recipe, **{**asked, "name": recipe.name + suffix}) if asked else recipe


def _train(
    recipe: Recipe,
    run: str | None,
    precision: str,
    checkpoint_seconds: float,
    pictures: bool,
    tensorboard: bool,
    output: Path | None,
) -> None:
    from accelerate import Accelerator, PartialState

    from duckrabbit.app.training import choose_speed, watch
    from duckrabbit.training.export import export
    from duckrabbit.training.fetch import load_or_fetch
    from duckrabbit.training.folders import runs_folder
    from duckrabbit.training.loop import Trainer
    from duckrabbit.training.speed import keep_memory

    if precision not in ("auto", "no", "bf16"):
        raise UserError(f"There is no precision '{precision}'; choose auto, no or bf16.")
    keep_memory()
    folder = runs_folder() / (run or recipe.name)  # a path with a root stays itself
    data = load_or_fetch(recipe.data, "train+validation", typer.echo)
    speed = choose_speed(precision, folder, PartialState().device.type)
    accelerator = Accelerator(mixed_precision=speed.precision)
    trainer = Trainer(recipe, data, folder, accelerator, speed, checkpoint_seconds)
    finished = watch(trainer, data, pictures=pictures, tensorboard=tensorboard)
    if not accelerator.is_main_process:
        return
    if not finished:
        typer.echo(f"Stopped after step {trainer.step} of {trainer.steps}; the same command goes on from there.")
        return
    into = export(folder, output or folder / "model", data)
    typer.echo(f"The model is in {into}. Judge it with: duckrabbit evaluate {into}")
