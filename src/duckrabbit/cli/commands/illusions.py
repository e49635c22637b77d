"""Commands that make illusions: anagram, hybrid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from duckrabbit.cli.commands.pictures import views_of
from duckrabbit.cli.options import Common, command, refuse_empty
from duckrabbit.errors import UserError

if TYPE_CHECKING:
    from duckrabbit.evaluation.drawings.readings import Look
    from duckrabbit.report.figures import Extras, Figure, Run
    from duckrabbit.tasks.job import Job

Animate = Annotated[
    str | None, typer.Option("--animate", help="Write the way to each view too, as mp4, gif or mp4,gif.")
]
Print = Annotated[
    str | None, typer.Option("--print", help="Write an A4 page to print too, the picture large: pdf, png or pdf,png.")
]

Tried = Annotated[
    int | None,
    typer.Option("--judge", min=1, help="Try so many seeds, and keep the --count that the judge reads best."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    for function in (anagram, hybrid):
        command(app)(function)


def anagram(
    prompts_: Annotated[list[str], typer.Argument(metavar="PROMPT PROMPT...", help="What each view shows.")],
    view: Annotated[
        list[str] | None, typer.Option("--view", help="The view of each further prompt, in their order: flip, ...")
    ] = None,
    animate: Animate = None,
    print_: Print = None,
    judge: Tried = None,
    *,
    common: Common,
) -> None:
    """Make a picture that is another thing when it is turned, flipped or shuffled.

    **Examples**

        duckrabbit anagram "a glossy emoji of a rabbit face" "a glossy emoji of a duck" --view rotate_90
        duckrabbit anagram "a cat" "a dog" "an owl" --view rotate_90 --view rotate_180 --count 8
        duckrabbit anagram "a glossy emoji of a penguin" "a glossy emoji of a rocket" --view rotate_180 --animate mp4
        duckrabbit anagram "a flat emoji of fire" "a flat emoji of a rose" --view rotate_180 --judge 32 --count 4
    """
    from duckrabbit.cli.choosing import anagram_looks
    from duckrabbit.report.figures import illusion
    from duckrabbit.tasks.tasks import anagram as task

    prompts = views_of(prompts_, view or ["flip"])
    job = task(common.load(), prompts, **common.options())
    extras = extras_of(animate, print_)

    def figure(run: Run, seeds: Sequence[int], words: Mapping[int, str]) -> Figure:
        return illusion(run, job, prompts, seeds, "Visual anagram", extras, words)

    _perform(common, job, figure, extras, judge, lambda: anagram_looks(job, prompts))


def hybrid(
    high: Annotated[str, typer.Option(help="What it is from near.")],
    low: Annotated[str | None, typer.Option(help="What it is from afar.")] = None,
    image: Annotated[Path | None, typer.Option(help="Instead of --low: a picture whose low frequencies stay.")] = None,
    kernel: Annotated[int, typer.Option(help="Taps of the low pass, in pixels at 64 px.")] = 33,
    sigma: Annotated[float, typer.Option(help="Its width, in pixels at 64 px.")] = 2.0,
    animate: Animate = None,
    print_: Print = None,
    judge: Tried = None,
    *,
    common: Common,
) -> None:
    """Make a picture that is one thing from near and another from afar.

    **Examples**

        duckrabbit hybrid --low "a flat emoji of a skull" --high "a flat emoji of a rose" --count 4
        duckrabbit hybrid --image portrait.jpg --high "a 3d render of a castle"
    """
    from duckrabbit.cli.choosing import hybrid_looks
    from duckrabbit.report.figures import near_and_far
    from duckrabbit.tasks.tasks import hybrid as task

    for words in (low, high):
        if words is not None:
            refuse_empty(words)
    job = task(common.load(), low, high, image=image, kernel=kernel, sigma=sigma, **common.options())
    far, extras = low or (image.name if image else ""), extras_of(animate, print_)

    def figure(run: Run, seeds: Sequence[int], words: Mapping[int, str]) -> Figure:
        return near_and_far(run, job, high, far, seeds, "Hybrid image", extras, words)

    _perform(common, job, figure, extras, judge, lambda: hybrid_looks(high, low))


def _perform(
    common: Common,
    job: Job,
    figure: Callable[[Run, Sequence[int], Mapping[int, str]], Figure],
    extras: Extras,
    tried: int | None,
    looks: Callable[[], list[tuple[Look, str]]],
) -> None:
    """Carry out an illusion with the seeds asked for, or with the best of `tried` ones, as the judge reads them.

    figure: of the run, the seeds, and words for some of them. Raises UserError where fewer are tried than kept.
    """
    from duckrabbit.cli.choosing import choose, first_stage
    from duckrabbit.cli.perform import perform

    if tried is None:
        perform(common, [job], lambda run: figure(run, common.seeds, {}), extras)
        return
    if tried < common.count:
        raise UserError(f"--judge {tried} tries fewer seeds than --count {common.count} keeps; try more.")
    seeds, views, trial = replace(common, count=tried).seeds, looks(), first_stage(job)

    def chosen(run: Run) -> Figure:
        choice = choose(run, job, views, seeds, common.count)
        return figure(choice.run, choice.seeds, choice.words)

    if common.dry_run:
        perform(replace(common, count=tried), [trial], chosen, extras)
    if not common.dry_run or len(job.stages) > 1:
        perform(common, [job] if common.dry_run or len(job.stages) == 1 else [trial, job], chosen, extras)


def extras_of(animate: str | None, print_: str | None) -> Extras:
    """What --animate and --print ask for. Raises UserError for formats that there are not."""
    from duckrabbit.report.figures import Extras
    from duckrabbit.report.films import kinds
    from duckrabbit.report.pages import print_kinds

    return Extras(kinds(animate), print_kinds(print_))
