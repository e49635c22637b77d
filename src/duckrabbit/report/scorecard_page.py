"""The scorecard as a sheet of samples, a plot and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duckrabbit.evaluation.drawings.scores import REAL
from duckrabbit.evaluation.sampling import Setting
from duckrabbit.evaluation.scorecard import Line, Scorecard
from duckrabbit.models.model import Card
from duckrabbit.report.html import figure, page, table
from duckrabbit.report.sheet import Cell, Row, Sheet, enlarge

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

ACROSS, CELL = 10, 128


def sheet_of(pictures: Tensor, prompts: Sequence[str], ranks: Sequence[int], name: str, setting: Setting) -> Sheet:
    """Pictures (N, 3, S, S), 0 to 1, ten in a row, each with its prompt and the place the judge gives its subject."""
    from duckrabbit.tasks.pictures import to_pixels

    shown = [enlarge(p.numpy(), CELL) for p in to_pixels(pictures, (0.0, 1.0))]
    cells = [
        Cell(pixels, f"{prompt}\nno. {rank}", exact=True)
        for pixels, prompt, rank in zip(shown, prompts, ranks, strict=True)
    ]
    rows = [Row(tuple(cells[k : k + ACROSS])) for k in range(0, len(cells), ACROSS)]
    title = f"{name}: {len(prompts)} samples, none left out"
    first, five = (sum(rank <= k for rank in ranks) for k in (1, 5))
    note = (
        f"{setting}. Prompts drawn with seed 0; picture k from seed k. The number is the place that the "
        f"judge gives the subject among all it knows: first {first} times of {len(ranks)}, among five {five} times."
    )
    return Sheet(tuple(rows), title, (note,))


def panels(lines: Sequence[Line]) -> Figure:
    """Subject, style and Frechet distance against the guidance scale; a line for each solver and number of steps.

    What drawings get is a dashed line.
    """
    from duckrabbit.report.plots import score_panels

    shown = {"subject among the first five": "among five", "style": "style", "Frechet distance": "Frechet"}
    drawn = score_panels([line for line in lines if line.at["solver"] != REAL], shown, "scale")
    for line in lines:
        if line.at["solver"] == REAL:
            for axes, name in zip(drawn.axes, shown.values(), strict=True):
                axes.axhline(line[name].value, color="0.5", linestyle="--", linewidth=1)
                axes.annotate("drawings", (0.99, line[name].value), xycoords=("axes fraction", "data"), ha="right",
                              va="bottom", fontsize=8, color="0.4")  # fmt: skip
    return drawn


def scorecard_page(card: Card, scores: Scorecard, about: Mapping[str, Any], folder: Path) -> str:
    """The report as one HTML file with its pictures inside it."""
    head, rows = scores.rows()
    pictures = "".join(
        figure(folder / name, words)
        for name, words in (("scores.png", "Scores over guidance scales"), ("sheet.png", "Samples"))
        if (folder / name).exists()
    )
    judged = about["judge"]
    accuracy = ", ".join(f"{k} {100 * v:.1f} %" for k, v in judged.get("accuracy", {}).items())
    body = f"""<h1>Scorecard of {escape(card.title)}</h1>
<p>A judge that learned from drawings says what it sees in pictures made for prompts: which of its subjects, in which
style. "Apart" are pairs of a style and a subject that the training drawings hold only apart (a model that learned from
other drawings may have seen them together). Every score has its
95 % interval. The first line is what the judge says of held-out drawings, which no model can be expected to beat;
distances are in its features and depend on the number of pictures. "Repeated": the share of pictures nearer to a
training drawing than all but 1 % of held-out drawings are; "nearness": how far the nearest training drawing is,
over the same for held-out drawings.</p>
{table(head, rows)}
{pictures}
<p class="soft">The judge itself: {escape(accuracy) or "its accuracy is not known"}
(sha256 {escape(str(judged["sha256"])[:16])}).</p>
<p class="soft">Model: {escape(card.licence)}. {escape(card.attribution)}</p>"""
    return page(f"duckrabbit scorecard: {card.name}", body)
