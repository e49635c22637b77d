"""The gallery's page: one file, with its pictures inside it."""

from __future__ import annotations

import io
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

from duckrabbit.gallery.experiments import Experiment
from duckrabbit.models.cards import DEFAULT
from duckrabbit.models.model import Card
from duckrabbit.report.html import data_url, figure, page
from duckrabbit.tasks.samples import CREDITS
from duckrabbit.tasks.spelling import fields_of


@dataclass(frozen=True)
class Shown:
    """An experiment that has run: its folder and how long it took, or the sentence why it did not."""

    experiment: Experiment
    folder: Path
    seconds: float
    failure: str = ""


def given_to(experiment: Experiment, chosen: Mapping[str, str]) -> dict[str, str]:
    """Those of the options `chosen` for the gallery that the experiment's command takes."""
    if experiment.stamp:
        return {}
    known = {field.flag for field in fields_of(experiment.arguments[0])}
    return {name: value for name, value in chosen.items() if f"--{name}" in known}


def command_line(experiment: Experiment, chosen: Mapping[str, str]) -> str:
    """The command as it is typed in the gallery's folder `pictures`; `chosen` as in build.

    A path is told by its last part: where it lies on this machine is nobody's business.
    """
    own = given_to(experiment, chosen)
    given = {k: Path(v).name if Path(v).is_absolute() else v for k, v in own.items() if (k, v) != ("model", DEFAULT)}
    return shlex.join(("duckrabbit", *experiment.arguments, *(p for k, v in given.items() for p in (f"--{k}", v))))


def render(
    card: Card, shown: Sequence[Shown], total: int, chosen: Mapping[str, str], asked: Mapping[str, str] | None = None
) -> str:
    """The page as HTML; `total` is how many experiments there are in all, `chosen` what all commands got.

    asked: what a year's page asks for, by number; a table of it then takes the place of the contents.
    """
    contents = "".join(f'<a href="#{s.experiment.key}">{escape(s.experiment.section)}</a>' for s in shown)
    contents = _answers(shown, asked) if asked else f"<nav>{contents}</nav>"
    sections = "".join(_section(s, chosen) for s in shown)
    spent = sum(s.seconds for s in shown)
    paths = sorted(Path(v).name for v in chosen.values() if Path(v).is_absolute())
    where = f"; <code>{escape(', '.join(paths))}</code> stands for where that lies" if paths else ""
    missing = "" if len(shown) == total else f" {total - len(shown)} experiments are still to run: start it again."
    body = f"""<h1>A diffusion model, taken apart</h1>
<p>Every experiment of Part A on <b>{escape(card.title)}</b>, and of Part B on models trained from scratch on
handwritten digits, made in {spent:.0f} s.{missing}
Each command can be typed as it stands in the folder <code>pictures</code> beside this page{where}.</p>
{contents}
{sections}
{_licences(card)}"""
    return page(f"duckrabbit gallery: {card.name}", body)


def _answers(shown: Sequence[Shown], asked: Mapping[str, str]) -> str:
    """A row for each number of a year's page, with what it asks for and the figures that show it."""
    rows = []
    for number, words in asked.items():
        links = [
            f'<a href="#{s.experiment.key}">{escape(s.experiment.section.rpartition(": ")[2])}</a>'
            for s in shown
            if number in s.experiment.answers
        ]
        rows.append(f"<tr><td>{number}</td><td>{escape(words)}</td><td>{', '.join(links)}</td></tr>")
    return f"<table><tr><th>no.</th><th>asked for</th><th>figures</th></tr>{''.join(rows)}</table>"


def _section(shown: Shown, chosen: Mapping[str, str]) -> str:
    experiment = shown.experiment
    equations = "".join(
        f'<img class="equation" alt="{escape(line.strip("$"))}" src="{_equation(line)}">'
        for line in experiment.equation.splitlines()
    )
    if shown.failure:
        body = f"<p><b>Not made:</b> {escape(shown.failure)}</p>"
    else:
        body = figure(shown.folder / "sheet.png", experiment.section)
        films = "".join(figure(film, film.stem, film.stem) for film in sorted(shown.folder.glob("*.gif")))
        body += f'<div class="films">{films}</div>' if films else ""
    return f"""<section id="{experiment.key}">
<h2>{escape(experiment.section)}</h2>
<p>{escape(experiment.text)}</p>
{equations}
<pre>{escape(command_line(experiment, chosen))}</pre>
{body}
<p class="soft">{shown.seconds:.1f} s</p>
</section>"""


def _licences(card: Card) -> str:
    credits = "".join(f"<li><code>{escape(name)}</code>: {escape(text)}</li>" for name, text in CREDITS.items())
    link = f' (<a href="{escape(card.licence_url)}">licence</a>)' if card.licence_url else ""
    return f"""<section id="licences">
<h2>Licences</h2>
<p>Model {escape(card.name)}: {escape(card.licence)}{link}. {escape(card.attribution)}
Pictures made with it may be used and sold as far as that licence allows; those of the models that come with duckrabbit
are yours.</p>
<p>Digits: MNIST by Y. LeCun, C. Cortes and C. Burges, CC BY-SA 3.0.</p>
<p>Drawings: part of duckrabbit, Apache-2.0. Photographs:</p>
<ul>{credits}</ul>
</section>"""


@lru_cache(maxsize=64)
def _equation(text: str) -> str:
    """An equation drawn by matplotlib's mathtext, as SVG."""
    from matplotlib import rc_context
    from matplotlib.mathtext import math_to_image

    buffer = io.BytesIO()
    with rc_context(
        {"mathtext.fontset": "cm", "svg.fonttype": "path", "svg.hashsalt": "duckrabbit", "savefig.transparent": True}
    ):
        math_to_image(text, buffer, format="svg", dpi=72, prop=_size())
    return data_url(buffer.getvalue(), "image/svg+xml")


def _size() -> Any:
    from matplotlib.font_manager import FontProperties

    return FontProperties(size=17)
