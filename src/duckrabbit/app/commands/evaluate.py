"""The commands `evaluate` and `curves`: how good a trained model of digits is, with intervals, and how it got there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from duckrabbit.app.options import find_model, numbers, with_examples
from duckrabbit.errors import UserError

if TYPE_CHECKING:
    from duckrabbit.evaluation.report import Line
    from duckrabbit.evaluation.sampling import Setting
    from duckrabbit.models.model import Model


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    for function in (evaluate, curves):
        app.command(help=with_examples(function))(function)


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="mnist-class, mnist-denoiser, a folder, or a run.")],
    guidance_scale: Annotated[str, typer.Option(help="`1,2,5` compares three; 1 is no guidance.")] = "1,2,5",
    solver: Annotated[str, typer.Option(help="`dpm++,ddim` compares two.")] = "dpm++",
    steps: Annotated[str, typer.Option(help="`10,20` compares two.")] = "20",
    count: Annotated[int, typer.Option(min=20, help="Pictures for each setting.")] = 2000,
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu; the best there is by default.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32; bfloat16 is twice as fast on some chips.")] = None,
    memory: Annotated[bool, typer.Option("--memory/--no-memory", help="Look for repeated training pictures.")] = True,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A folder for the table, the data and the plot.")
    ] = Path("out/evaluate"),
) -> None:
    """Judge a model of digits by the classifier that comes with duckrabbit.

    A diffusion model: accuracy, Frechet distance and KID in the classifier's features, repeated
    training pictures. A denoiser: PSNR and SSIM at every noise level, against the best blur. All
    settings use the same seeds.

    **Examples**

        duckrabbit evaluate mnist-class
        duckrabbit evaluate runs/fast-class/model --solver dpm++,ddpm-large --steps 20 --guidance-scale 2
    """
    from duckrabbit.models.cards import folder_of
    from duckrabbit.models.digits import DigitsConfig

    folder = folder_of(find_model(model))
    output.mkdir(parents=True, exist_ok=True)
    conditioning = DigitsConfig.read(folder).network.conditioning
    if conditioning == "none":
        _denoiser(folder, count, output)
        return
    if conditioning == "time":
        raise UserError(f"{model} has no classes to be right about; evaluate a class-conditioned model.")
    from duckrabbit.evaluation.sampling import Setting
    from duckrabbit.models.load import load

    names = [name.strip() for name in solver.split(",")]
    settings = [
        Setting(scale, name, n)
        for name in names
        for n in numbers(steps, "--steps", int)
        for scale in numbers(guidance_scale, "--guidance-scale", float)
    ]
    _diffusion(load(find_model(model), device=device, dtype=dtype), settings, count, memory, output)


def curves(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Names, folders of trained models, or names of runs.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="The folder to write to; a new one by default.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Draw how the loss fell while models of digits were trained; of a run that is not finished, so far.

    **Examples**

        duckrabbit curves mnist-class
        duckrabbit curves fast-class cs180-class
    """
    from duckrabbit.app.learning import learning
    from duckrabbit.app.options import Common
    from duckrabbit.app.perform import perform

    logs = {name: _log_folder(name) for name in models}
    perform(Common(out=out, quiet=quiet, command="curves"), [], lambda run: learning(logs))


def _log_folder(name: str) -> Path:
    """The folder with the log of a model's training. Raises UserError where there is none."""
    from duckrabbit.models.load import digits_folder
    from duckrabbit.training.folders import runs_folder
    from duckrabbit.training.loop import METRICS

    for folder in (digits_folder(name), Path(name).expanduser(), runs_folder() / name):
        if folder is not None and (folder / METRICS).is_file() and (folder / METRICS).stat().st_size:
            return folder
    raise UserError(f"There is no log of a training for '{name}'; name a model of digits, its folder, or a run.")


def _diffusion(model: Model, settings: Sequence[Setting], count: int, memory: bool, output: Path) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    from duckrabbit.app import training_figures as figures
    from duckrabbit.evaluation.classifier import load_classifier
    from duckrabbit.evaluation.report import as_table, evaluate, reference
    from duckrabbit.training.data import load
    from duckrabbit.training.folders import data_folder

    folder = data_folder("mnist")
    shown, new = load("mnist", "train+validation", folder), load("mnist", "test", folder)
    against = reference(load_classifier()[0], shown, new)
    lines: list[Line] = []
    console = Console(stderr=True)
    for line in evaluate(model, against, settings, count, memory=memory):
        lines.append(line)
        setting = line.setting
        done = f"{setting.solver}, {setting.steps} steps, scale {setting.scale:g}"
        console.print(f"{len(lines)}/{len(settings)}  {done}: accuracy {line.accuracy}, Frechet {line.frechet}")
    table = as_table(lines)
    (output / "scores.md").write_text(table, encoding="utf-8")
    (output / "scores.json").write_text(json.dumps([line.to_json() for line in lines], indent=1), encoding="utf-8")
    figures.write(figures.scorecard(lines), output / "scores.png")
    Console().print(Markdown(table))


def _denoiser(folder: Path, count: int, output: Path) -> None:
    from duckrabbit.app import training_figures as figures
    from duckrabbit.evaluation.denoising import compare
    from duckrabbit.models.digits import load_denoiser
    from duckrabbit.training.data import load, to_range
    from duckrabbit.training.folders import data_folder

    test = load("mnist", "test", data_folder("mnist"))[:count]
    rows = compare(load_denoiser(folder), to_range(test.images, (0.0, 1.0)))
    text = ["| sigma | PSNR / dB | SSIM | best blur / px | its PSNR / dB | its SSIM |", "|" + " --- |" * 6]
    text += [f"| {r.sigma:g} | {r.psnr} | {r.ssim} | {r.blur:g} | {r.blur_psnr} | {r.blur_ssim} |" for r in rows]
    table = "\n".join(text) + "\n"
    (output / "scores.md").write_text(table, encoding="utf-8")
    figures.write(figures.denoising_scores(rows), output / "scores.png")
    typer.echo(table)
