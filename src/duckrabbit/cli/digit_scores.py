"""`duckrabbit evaluate` on a model of digits: what is drawn and judged, and the tables and plots that are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.markdown import Markdown

from duckrabbit.cli.perform import STOPPED, console, progress
from duckrabbit.data.mnist.fetch import load_or_fetch
from duckrabbit.data.mnist.read import to_range
from duckrabbit.evaluation.digits.classifier import load_classifier
from duckrabbit.evaluation.digits.denoising import compare
from duckrabbit.evaluation.digits.report import Line, as_table, by_digit, evaluate, reference
from duckrabbit.evaluation.settings import Setting
from duckrabbit.files import write_text
from duckrabbit.models.digits.model import load_denoiser
from duckrabbit.models.model import Model
from duckrabbit.report import plots as figures


def diffusion_scores(
    model: Model, settings: Sequence[Setting], count: int, memory: bool, output: Path, *, classes: bool
) -> None:
    """Draw `count` digits in every setting and write scores.md, scores.json and scores.png, after each anew.

    classes: the model can be asked for digits. Ctrl-C leaves the scores of what was finished.
    """
    shown, new = (load_or_fetch("mnist", split, typer.echo) for split in ("train+validation", "test"))
    against = reference(load_classifier()[0], shown, new)
    lines: list[Line] = []
    try:
        with progress(sum(setting.moves(count, classes) for setting in settings)) as advance:
            for line in evaluate(model, against, settings, count, memory=memory, classes=classes, on_move=advance):
                lines.append(line)
                _write(lines, output)
                right = f"accuracy {line.accuracy}, " if line.accuracy else ""
                console.print(f"{len(lines)}/{len(settings)}  {line.setting}: {right}Frechet {line.frechet}")
    except KeyboardInterrupt:
        console.print(f"Stopped after {len(lines)} of {len(settings)} settings; their scores are in {output}.")
        raise typer.Exit(STOPPED) from None
    columns = ("scale", "solver", "steps", *(("accuracy",) if classes else ()), "Frechet")  # what fits a terminal
    Console().print(Markdown(as_table(lines, columns)))


def _write(lines: Sequence[Line], output: Path) -> None:
    write_text(output / "scores.md", "\n".join(filter(None, (as_table(lines), by_digit(lines)))))
    write_text(output / "scores.json", json.dumps([line.to_json() for line in lines], indent=1))
    figures.write(figures.scorecard(lines), output / "scores.png")


def denoiser_scores(folder: Path, data: str, count: int, output: Path) -> None:
    """PSNR and SSIM of a one-step denoiser at every level, and of the best blur: scores.md and scores.png.

    On `count` test pictures of the set named `data`.
    """
    test = load_or_fetch(data, "test", typer.echo)[:count]
    rows = compare(load_denoiser(folder), to_range(test.images, (0.0, 1.0)))
    text = ["| sigma | PSNR / dB | SSIM | best blur / px | its PSNR / dB | its SSIM |", "|" + " --- |" * 6]
    text += [f"| {r.sigma:g} | {r.psnr} | {r.ssim} | {r.blur:g} | {r.blur_psnr} | {r.blur_ssim} |" for r in rows]
    table = "\n".join(text) + "\n"
    write_text(output / "scores.md", table)
    figures.write(figures.denoising_scores(rows), output / "scores.png")
    typer.echo(table)
