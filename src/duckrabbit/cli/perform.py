"""Running for people: progress, dry runs, a folder for the results, and a stop that leaves things whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from duckrabbit.cli.options import Output
from duckrabbit.cli.saying import say
from duckrabbit.errors import UserError
from duckrabbit.files import only_writer, try_to_write
from duckrabbit.registry import define
from duckrabbit.report.asked import figure_of, notes_of, planned
from duckrabbit.report.lettering import one_line
from duckrabbit.report.write import runner, write_figure
from duckrabbit.tasks import timing
from duckrabbit.tasks.asking import ask
from duckrabbit.tasks.job import Job, cost, sized_facts
from duckrabbit.tasks.plain import draw
from duckrabbit.tasks.requests import Request
from duckrabbit.tasks.spelling import own_names
from duckrabbit.values import words_of

console = Console(stderr=True, highlight=False)
STOPPED = 130
"""The exit code of a run that ctrl-C has stopped."""


def perform(request: Request, output: Output) -> None:
    """Carry out a request on the terminal: run it and write its figure; with --dry-run, tell what it would cost."""
    for kind, name in own_names(request):
        define(kind, name)
    asked = ask(request)
    plan = planned(request, asked.jobs)
    if output.dry_run:
        tell(plan)
        return
    notes = notes_of(asked.jobs)
    for note in notes if not output.quiet else ():
        say(note, err=True)
    if not output.quiet:
        tell_needs([job for job, _ in plan])
    micro_batch = getattr(request, "micro_batch", None)
    moves = sum(len(stage.plan) for job, _ in plan for stage in job.stages)
    folder = prepare_folder(output.out, request.verb)
    before = _pictures_in(folder)
    try:
        with (
            only_writer(folder),
            progress(moves, quiet=output.quiet) as advance,
        ):
            made = figure_of(request, asked, runner(lambda job, _: advance(job.title), micro_batch, folder))
            sheet = write_figure(made, folder)
    except KeyboardInterrupt:
        if not output.quiet:
            say(_stopped(folder, _pictures_in(folder) - before), err=True)
        raise typer.Exit(STOPPED) from None
    finally:
        with suppress(OSError):
            folder.rmdir()  # where nothing was written; a folder with files in it stays
    if output.quiet:
        return
    for note in notes_of(made.results):
        if note not in notes:
            say(note, err=True)
    if made.results:
        seconds = sum(r.seconds for r in made.results)
        pictures = sum(len(r.seeds) for r in made.results)
        console.print(f"{pictures} picture{'s' * (pictures != 1)} in {seconds:.1f} s")
    say(str(sheet))


def _pictures_in(folder: Path) -> int:
    return len(list(folder.glob("[0-9][0-9]-*.png")))


def _stopped(folder: Path, kept: int) -> str:
    """What a stop has left: so many pictures, without a sheet, or nothing."""
    if not kept:
        return "Stopped. Nothing was finished, so nothing was kept."
    return f"Stopped. {kept} finished picture{'s are' if kept != 1 else ' is'} in {folder}; there is no sheet of them."


@contextmanager
def progress(total: int | None, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """A bar; what it yields is called with a word, how much is done with it (1), and of how much in all, if it is new.

    Only people are shown one.
    """
    if not console.is_terminal:
        yield lambda word, done=1, of=None: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task("", total=total)

        def advance(word: str, done: int = 1, of: int | None = total) -> None:
            bar.update(task, advance=done, total=of, description=one_line(word)[:40])

        yield advance


def prepare_folder(out: Path | None, verb: str) -> Path:
    """The folder to write to, tried out before anything runs. Raises UserError where it cannot be."""
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file; give a folder.")
    folder = out or _next_folder(verb)
    try_to_write(folder)
    return folder


def tell(plan: Sequence[tuple[Job, int]]) -> None:
    """Print what each job, with its number of pictures, asks and costs, and about how long it takes."""
    seconds: float | None = 0.0
    for job, pictures in plan:
        say(f"{one_line(job.title)} ({job.model.card.name}, {job.model.device}, {job.model.dtype})")
        for stage, price in zip(job.stages, cost(job), strict=True):
            facts = sized_facts(job.model, stage)
            if not stage.asks:
                to = stage.plan[-1].to
                share = f"{to.alpha:.3f} of the picture and {to.sigma:.3f} of noise"
                say(f"  {words_of(facts.size)} px, {share}, no network")
                continue
            end = stage.plan[-1].to
            levels = f"t = {stage.plan[0].at.t:g} to {'clean' if end.sigma == 0 else f'{end.t:g}'}"
            say(
                f"  stage {stage.index + 1}: {words_of(facts.size)} px, {price.moves} moves, {levels}, {stage.solver!r}"
            )
            say(draw(stage.guidance, 2))
            say(
                f"    {price.calls} network calls, at most {price.questions} questions each, "
                f"{price.pictures * pictures} pictures through the network for {pictures} seed{'s' * (pictures != 1)}"
            )
            guess = timing.estimate(job.model, stage.index, price.pictures * pictures, stage.size)
            seconds = None if guess is None or seconds is None else seconds + guess
    for note in notes_of([job for job, _ in plan]):
        say(note)
    tell_needs([job for job, _ in plan], err=False)
    about = "unknown; it is learned from the first run" if seconds is None else f"about {seconds:.0f} s"
    say(f"estimated time: {about}")


def tell_needs(jobs: Sequence[Job], err: bool = True) -> None:
    """Say what weights that are not small take of memory and time, before they are loaded."""
    needs = {job.model.card.name: timing.need_of(job.model) for job in jobs}
    for name, need in needs.items():
        if need is not None:
            say(f"{name}: {need}", err=err)


def _next_folder(verb: str) -> Path:
    """A new folder out/VERB-NNN; commands that begin at once get one each. Where none can be made, its path."""
    for number in count(1):
        folder = Path("out") / f"{verb}-{number:03d}"
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            continue
        except OSError:
            break
    return folder
