"""Running for people: progress, dry runs, a folder for the results, and a stop that leaves things whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from duckrabbit.cli.options import Common
from duckrabbit.diffusion.trajectory import State
from duckrabbit.errors import UserError
from duckrabbit.files import Atomic
from duckrabbit.report.figures import Extras, Figure, Run
from duckrabbit.report.films import write_gif, write_transition
from duckrabbit.report.pages import write_page
from duckrabbit.report.sheet import draw_sheet
from duckrabbit.tasks import timing as speed
from duckrabbit.tasks.job import Job, cost
from duckrabbit.tasks.pictures import write_png
from duckrabbit.tasks.plain import draw
from duckrabbit.tasks.results import Result, save_result
from duckrabbit.tasks.run import OnState, run

console = Console(stderr=True, highlight=False)
SHEET = "duckrabbit-sheet"
"""The text chunk of a contact sheet: the records of all that is on it, as a JSON list."""
STOPPED = 130
"""The exit code of a run that ctrl-C has stopped."""


Performer = Callable[[Common, Sequence[Job], Callable[[Run], Figure], Extras], None]
"""What carries out a command: (options, its jobs, its figure, what else is written)."""
_performer: ContextVar[Performer | None] = ContextVar("performer", default=None)


@contextmanager
def performed_by(performer: Performer) -> Iterator[None]:
    """Within this context commands hand over what they would run to `performer`, in this thread only."""
    token = _performer.set(performer)
    try:
        yield
    finally:
        _performer.reset(token)


def perform(common: Common, jobs: Sequence[Job], figure: Callable[[Run], Figure], extras: Extras | None = None) -> None:
    """Carry out a command: on the terminal, or by whoever has asked for it with `performed_by`.

    Runs what `figure` asks for and writes it; with --dry-run, tells what `jobs` would cost instead.
    """
    (_performer.get() or _on_terminal)(common, jobs, figure, extras or Extras())


def _on_terminal(common: Common, jobs: Sequence[Job], figure: Callable[[Run], Figure], extras: Extras) -> None:
    seeds = common.seeds
    if common.dry_run:
        tell(jobs, len(seeds))
        return
    folder = prepare_folder(common)
    if not common.quiet:
        for note in notes_of(jobs):
            typer.echo(note, err=True)
    moves = sum(len(stage.plan) for job in jobs for stage in job.stages)
    try:
        with progress(moves, quiet=common.quiet) as advance:
            made = figure(runner(lambda job, _: advance(job.title), common.micro_batch, folder))
        write_figure(made, folder, extras)
    except KeyboardInterrupt:
        if not common.quiet:
            console.print(f"Stopped. What was finished is in {folder}.")
        raise typer.Exit(STOPPED) from None
    finally:
        with suppress(OSError):
            folder.rmdir()  # where nothing was written; a folder with files in it stays
    if common.quiet:
        return
    if made.results:
        seconds = sum(r.seconds for r in made.results)
        pictures = sum(len(r.seeds) for r in made.results)
        console.print(f"{pictures} picture{'s' * (pictures != 1)} in {seconds:.1f} s")
    typer.echo(str(folder / "sheet.png"))


def runner(on_move: Callable[[Job, State], None], micro_batch: int | None, folder: Path | None) -> Run:
    """How a job is run: `on_move` sees every state, each finished result is saved at once."""
    count = 0

    def run_one(job: Job, seeds: Sequence[int], on_state: OnState | None) -> Result:
        nonlocal count

        def watch(position: int, state: State) -> None:
            on_move(job, state)
            if on_state is not None:
                on_state(position, state)

        result = run(job, seeds, micro_batch=micro_batch, on_state=watch)
        speed.learn(result)
        count += 1
        if folder is not None:
            save_result(result, folder, f"{count:02d}")
        return result

    return run_one


@contextmanager
def progress(total: int, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """A bar over so many moves; call what it yields with a word after each. Only people are shown one."""
    if not console.is_terminal:
        yield lambda word: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task("", total=total)

        def advance(word: str) -> None:
            bar.update(task, advance=1, description=word[:40])

        yield advance


def prepare_folder(common: Common) -> Path:
    """The folder to write to, tried out before anything runs. Raises UserError where it cannot be."""
    if common.out is not None and common.out.exists() and not common.out.is_dir():
        raise UserError(f"--out {common.out} is a file; give a folder.")
    folder = common.out or _next_folder(common.command)
    with Atomic(folder / ".writable"):
        pass
    (folder / ".writable").unlink()
    return folder


def write_figure(figure: Figure, folder: Path, extras: Extras) -> None:
    """Write all of a figure but its results, the sheet last."""
    for name, frames in figure.films.items():
        pictures = [np.asarray(Image.fromarray(f).resize((256, 256), Image.Resampling.NEAREST)) for f in frames]
        write_gif(pictures, folder / f"{name}.gif", [80] * (len(pictures) - 1) + [1500])
    for name, frames in figure.ways.items():
        for film in extras.ways:
            write_transition(frames, folder / f"{name}.{film}")
    for name, page in figure.pages.items():
        for kind in extras.pages:
            write_page(page, folder / f"{name}.{kind}")
    records = json.dumps([result.record for result in figure.results], ensure_ascii=False)
    write_png(draw_sheet(figure.sheet), folder / "sheet.png", {SHEET: records})


def tell(jobs: Sequence[Job], count: int) -> None:
    """Print each job's tree, its network calls and questions, its notes, and about how long it takes."""
    seconds: float | None = 0.0
    for job in jobs:
        typer.echo(f"{job.title} ({job.model.card.name}, {job.model.device}, {job.model.dtype})")
        for stage, price in zip(job.stages, cost(job), strict=True):
            facts = job.model.stages[stage.index]
            if not stage.asks:
                to = stage.plan[-1].to
                typer.echo(f"  {facts.size} px, {to.alpha:.3f} of the picture and {to.sigma:.3f} of noise, no network")
                continue
            end = stage.plan[-1].to
            levels = f"t = {stage.plan[0].at.t:g} to {'clean' if end.sigma == 0 else f'{end.t:g}'}"
            typer.echo(f"  stage {stage.index + 1}: {facts.size} px, {price.moves} moves, {levels}, {stage.solver!r}")
            typer.echo(draw(stage.guidance, 2))
            typer.echo(
                f"    {price.calls} network calls, at most {price.questions} questions each, "
                f"{price.pictures * count} pictures through the network for {count} seed{'s' * (count != 1)}"
            )
            guess = speed.estimate(job.model, stage.index, price.pictures * count)
            seconds = None if guess is None or seconds is None else seconds + guess
    for note in notes_of(jobs):
        typer.echo(note)
    about = "unknown; it is learned from the first run" if seconds is None else f"about {seconds:.0f} s"
    typer.echo(f"estimated time: {about}")


def notes_of(jobs: Sequence[Job]) -> list[str]:
    """What was done to the pictures that the jobs were given, each sentence once."""
    return list(dict.fromkeys(note for job in jobs for note in job.notes.values()))


def _next_folder(command: str) -> Path:
    number = 1
    while (folder := Path("out") / f"{command}-{number:03d}").exists():
        number += 1
    return folder
