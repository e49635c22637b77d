"""A search, watched: a bar of the budget, a page at the end, and a stop that leaves things whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from duckrabbit.cli.perform import STOPPED, console, progress
from duckrabbit.cli.saying import say
from duckrabbit.evaluation.drawings.judge import load_judge
from duckrabbit.evaluation.search.search import Found, Heard, Search, Wanted, begin, subjects_of
from duckrabbit.files import only_writer, write_text
from duckrabbit.models.load import load
from duckrabbit.report.search_page import draw_winners, rows_of, search_page
from duckrabbit.report.write import runner

BUSY = "wait for it, or search in another folder (--out)"
PARTS = 1000
"""The bar counts thousandths of the budget."""


@dataclass(frozen=True)
class Asked:
    """What a person has asked for: words for subjects, a budget in seconds."""

    words: Sequence[str]
    style: str
    view: str
    budget: float
    keep: int
    fresh: int
    steps: int | None
    seed: int


def carry_out(
    asked: Asked, name: str, where: tuple[str | None, str | None, Path | None], out: Path, quiet: bool
) -> None:
    """Search, show the winners, write the page; with ctrl-C, of what is known by then."""
    device, dtype, judge_file = where
    judge, _ = load_judge(judge_file)
    subjects = subjects_of(asked.words, judge)
    model = load(name, device=device, dtype=dtype)
    steps = asked.steps or model.stages[0].steps
    wanted = Wanted(subjects, asked.style, asked.view, asked.keep, asked.fresh, steps, asked.seed)
    with only_writer(out, BUSY):
        search = begin(model, judge, wanted, out)
        stopped = False
        try:
            with _bar(quiet) as heard:
                found = search.go_on(asked.budget, heard)
        except KeyboardInterrupt:
            stopped, found = True, search.winners()
        _write(search, found, out, draw=not stopped)
    if not quiet:
        _tell(search, found)
    say(f"Stopped. What is known is in {out}; the same command goes on." if stopped else str(out / "index.html"))
    if stopped:
        raise typer.Exit(STOPPED)


@contextmanager
def _bar(quiet: bool) -> Iterator[Heard]:
    with progress(PARTS, quiet=quiet) as advance:
        before = 0

        def heard(words: str, share: float) -> None:
            nonlocal before
            now = min(PARTS, round(share * PARTS))
            advance(words, now - before)
            before = now

        yield heard


def _write(search: Search, found: Sequence[Found], out: Path, draw: bool) -> None:
    for old in out.glob("winner-*.png"):
        old.unlink()
    if draw:
        with console.status("Drawing the winners") if console.is_terminal else _nothing():
            draw_winners(search, found, runner(lambda job, state: None, None, None), out)
    write_text(out / "index.html", search_page(search, found, out))


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _tell(search: Search, found: Sequence[Found]) -> None:
    if not found:
        tried = len(search.journal.tallies)
        say(f"{tried} pairs were tried and none verified yet; search on with a larger --budget.")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    head, rows = rows_of(search, found)
    for heading in head:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)
