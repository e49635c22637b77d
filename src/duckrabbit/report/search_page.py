"""What a search has found, as a page: ranked, with intervals, each with the command that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from duckrabbit.evaluation.metrics import share
from duckrabbit.evaluation.search.search import Found, Search
from duckrabbit.report.figures import Run, illusion
from duckrabbit.report.html import figure, page, table
from duckrabbit.report.sheet import draw_sheet
from duckrabbit.tasks.pictures import write_png
from duckrabbit.tasks.requests import Anagram
from duckrabbit.tasks.spelling import command_of
from duckrabbit.tasks.tasks import generate

SHOWN = 3
"""So many seeds of each winner are drawn, those that read best."""


def draw_winners(search: Search, found: Sequence[Found], run: Run, folder: Path) -> None:
    """A sheet of each winner, through all stages, on its best fresh seeds: folder/winner-01.png and so on."""
    for number, one in enumerate(found, 1):
        prompts = search.wanted.prompts(one.couple)
        seeds = best_seeds(one)
        ranks = dict(zip(one.verified.seeds, one.verified.ranks, strict=True))
        words = {seed: f"read as no. {ranks[seed][0]} and no. {ranks[seed][1]}" for seed in seeds}
        job = generate(search.model, prompts, steps=search.wanted.steps)
        made = illusion(run, job, prompts, seeds, " | ".join(one.couple), words=words)
        write_png(draw_sheet(made.sheet), folder / f"winner-{number:02d}.png")


def best_seeds(found: Found) -> list[int]:
    """The fresh seeds of a winner with the largest alignment, the best first."""
    trial = found.verified
    order = sorted(zip(trial.alignments, trial.seeds, strict=True), reverse=True)
    return [seed for _, seed in order[:SHOWN]]


def command_for(search: Search, found: Found) -> str:
    """The command that makes a winner's best picture."""
    wanted, upright_and_turned = search.wanted, tuple(search.wanted.prompts(found.couple).values())
    request = Anagram(
        prompts=upright_and_turned,
        views=(wanted.view,),
        model=search.model.card.name,
        seed=found.best,
        steps=wanted.steps,
    )
    return command_of(request)


def rows_of(search: Search, found: Sequence[Found]) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the table of winners."""
    head = ["", "upright", f"through {search.wanted.view}", "read both ways, fresh seeds", "95 % interval", "alignment"]
    rows = []
    for number, one in enumerate(found, 1):
        hits = one.verified.read()
        score = share(sum(hits), len(hits))
        interval = f"{100 * score.low:.0f} to {100 * score.high:.0f} %"
        rows.append([str(number), *one.couple, f"{sum(hits)} of {len(hits)}", interval, f"{one.alignment:.2f}"])
    return head, rows


def search_page(search: Search, found: Sequence[Found], folder: Path) -> str:
    """The page as one HTML file; the sheets in `folder` lie inside it."""
    wanted, tallies = search.wanted, search.journal.tallies
    pictures = sum(tally.tried for tally in tallies.values()) + sum(
        len(trial.seeds) for trial in search.journal.verified.values()
    )
    sections = []
    for number, one in enumerate(found, 1):
        sheet = folder / f"winner-{number:02d}.png"
        shown = figure(sheet, " and ".join(one.couple)) if sheet.is_file() else ""
        sections.append(
            f"<section><h2>{number}. {escape(one.couple[0])} | {escape(one.couple[1])}</h2>{shown}"
            f"<pre>{escape(command_for(search, one))}</pre></section>"
        )
    head, rows = rows_of(search, found)
    body = f"""<h1>Two things in one picture, through {escape(wanted.view)}</h1>
<p>Of {len(wanted.subjects)} subjects as {escape(wanted.style)}s, {len(tallies)} pairs were tried in {pictures} pictures
of stage I; the best third climbed from rung to rung, and {len(search.journal.verified)} were verified on seeds that
nothing was chosen by. A seed is read both ways where the judge's first guess, among all that it knows, is right
upright and in the view.</p>
{table(head, rows)}
{"".join(sections)}"""
    return page("duckrabbit search", body)
