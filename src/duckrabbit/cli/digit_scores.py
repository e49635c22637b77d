"""`duckrabbit evaluate` on a model of digits: what is drawn and judged, and the tables and plots that are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer
from matplotlib.figure import Figure
from rich.console import Console
from rich.markdown import Markdown

from duckrabbit.cli.perform import STOPPED, console, progress
from duckrabbit.cli.saying import say
from duckrabbit.data.mnist.read import to_range
from duckrabbit.data.sets import load_or_fetch
from duckrabbit.evaluation.digits.denoising import compare
from duckrabbit.evaluation.digits.scores import BATCH, DIGITS, asked, evaluate, mnist
from duckrabbit.evaluation.sampling import Sampler, Setting
from duckrabbit.evaluation.scorecard import EACH, Scorecard
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
    against = mnist(say)
    card = Scorecard()
    try:
        with progress(Sampler(model, BATCH).price(settings, asked(count, classes)[0]).moves) as advance:
            lines = evaluate(model, against, settings, count, memory=memory, classes=classes, on_move=advance)
            for setting, line in zip(settings, lines, strict=True):
                card = Scorecard((*card.lines, line))
                tables = [card.table(columns) for columns in _columns(classes)]
                _write(card, tables, figures.digit_score_panels(card.lines), output)
                right = f"accuracy {line['accuracy']}, " if classes else ""
                console.print(f"{len(card.lines)}/{len(settings)}  {setting}: {right}Frechet {line['Frechet']}")
    except KeyboardInterrupt:
        say(f"Stopped after {len(card.lines)} of {len(settings)} settings; their scores are in {output}.", err=True)
        raise typer.Exit(STOPPED) from None
    Console().print(Markdown(card.table((*AT, *FOUND[not classes : 2]))))  # what fits a terminal


AT, FOUND = ("solver", "steps", "scale"), ("accuracy", "Frechet", "KID", "memorised")


def _columns(classes: bool) -> list[tuple[str, ...]]:
    return [(*AT, "pictures", *FOUND[not classes :], EACH), *([(*AT, *DIGITS)] if classes else [])]


def _write(card: Scorecard, tables: Sequence[str], drawn: Figure, output: Path) -> None:
    """The report in the folder `output`: scores.md, scores.json and scores.png."""
    write_text(output / "scores.md", "\n".join(tables))
    write_text(output / "scores.json", json.dumps(card.to_json(), indent=1, allow_nan=False))
    figures.write(drawn, output / "scores.png")


def denoiser_scores(folder: Path, data: str, count: int, output: Path) -> None:
    """PSNR and SSIM of a one-step denoiser at every level, and of the best blur: scores.md, scores.json, scores.png.

    On `count` test pictures of the set named `data`.
    """
    test = load_or_fetch(data, "test", say)[:count]
    card = compare(load_denoiser(folder), to_range(test.images, (0.0, 1.0)))
    _write(card, [card.table()], figures.denoising_scores(card.lines), output)
    say(card.table())
