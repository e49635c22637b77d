"""The options that the commands of `train` share, spelled once; see options.command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

_RUN, _RECIPE = "Run", "Recipe"


def _option(*names: str, panel: str, text: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


@dataclass(frozen=True)
class Training:
    """The options of every run, as typed. `command` is what is trained: "class", "text", ..."""

    run: Annotated[
        str | None, _option("--run", panel=_RUN, text="The run's name, or a path; that of its recipe by default.")
    ] = None
    minutes: Annotated[
        float | None, _option("--minutes", panel=_RUN, text="Stop after so long; the same command goes on.", min=0)
    ] = None
    precision: Annotated[str, _option("--precision", panel=_RUN, text="auto (measured), no (float32) or bf16.")] = (
        "auto"
    )
    checkpoint_seconds: Annotated[
        float, _option("--checkpoint-seconds", panel=_RUN, text="Seconds between checkpoints.", min=0)
    ] = 120.0
    pictures: Annotated[
        bool, _option("--pictures/--no-pictures", panel=_RUN, text="Loss curve and samples while it trains.")
    ] = True
    tensorboard: Annotated[
        bool, _option("--tensorboard", panel=_RUN, text="Also log for TensorBoard (pip install tensorboard).")
    ] = False
    output: Annotated[
        Path | None, _option("--output", "-o", panel=_RUN, text="Where the finished model goes; RUN/model.")
    ] = None
    seed: Annotated[int | None, _option("--seed", panel=_RECIPE, text="Another start, order and noise.")] = None
    command: str = ""


@dataclass(frozen=True)
class DigitTraining(Training):
    """The options of a run on digits."""

    preset: Annotated[
        str,
        _option(
            "--preset", panel=_RECIPE, text="fast (ours), cs180 (the course's, exactly), cs180-flow, or cs180-YEAR."
        ),
    ] = "fast"
    epochs: Annotated[
        int | None,
        _option("--epochs", panel=_RECIPE, text="Instead of the recipe's; the decay is stretched with it.", min=1),
    ] = None
    decay: Annotated[
        str | None,
        _option("--decay", panel=_RECIPE, text="Of the learning rate: constant, exponential or cosine; the recipe's."),
    ] = None
    ema: Annotated[
        float | None,
        _option("--ema", panel=_RECIPE, text="Average the weights, as 0.998; 0 for none.", min=0, max=0.99999),
    ] = None
    data: Annotated[
        str,
        _option("--data", panel=_RECIPE, text="mnist, fashion-mnist, svhn or cifar-10; see `duckrabbit data fetch`."),
    ] = "mnist"


@dataclass(frozen=True)
class CascadeTraining(Training):
    """The options of a run of either stage of a cascade."""

    start: Annotated[
        Path | None, _option("--start", panel=_RECIPE, text="A folder of this stage whose weights to begin with.")
    ] = None
    images: Annotated[
        int | None, _option("--images", panel=_RECIPE, text="Pictures to see, instead of the recipe's.", min=1)
    ] = None
    batch: Annotated[
        int | None, _option("--batch", panel=_RECIPE, text="Pictures a step, instead of the recipe's.", min=1)
    ] = None
    rate: Annotated[
        float | None, _option("--rate", panel=_RECIPE, text="The highest learning rate, instead of the recipe's.")
    ] = None
    times: Annotated[
        float | None,
        _option("--times", panel=_RECIPE, text="How times are spread: above 1, those with more noise more often."),
    ] = None
    data: Annotated[
        str | None,
        _option("--data", panel=_RECIPE, text="A folder of drawings, or its name; see `duckrabbit data build`."),
    ] = None


@dataclass(frozen=True)
class JudgeTraining(Training):
    """The options of a run of either judge."""

    precision: Annotated[str, _option("--precision", panel=_RUN, text="no (float32), bf16 or auto (measured).")] = "no"
    epochs: Annotated[
        int | None, _option("--epochs", panel=_RECIPE, text="Passes over the pictures, instead of the recipe's.", min=1)
    ] = None
