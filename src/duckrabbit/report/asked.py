"""What a request shows: its figure, and the runs that it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from duckrabbit.errors import UserError
from duckrabbit.report import figures
from duckrabbit.report.choosing import anagram_viewings, choose, first_stage
from duckrabbit.report.figures import Figure, Run
from duckrabbit.report.hybrids import hybrid_figure, hybrid_viewings
from duckrabbit.report.learning import learning
from duckrabbit.report.lettering import one_line
from duckrabbit.tasks.asking import Asked, subject_of, times_of, views_of
from duckrabbit.tasks.components import subjects_of
from duckrabbit.tasks.job import Job, canvas
from duckrabbit.tasks.pictures import Picture, resize
from duckrabbit.tasks.requests import (
    Anagram,
    Curves,
    Denoise,
    Edit,
    Generate,
    Hybrid,
    Inpaint,
    Noise,
    Request,
    Upscale,
    prompts_of,
)
from duckrabbit.tasks.results import Result

FEW = 5
"""The most prompts that a list of what was made spells out."""
Illusions = Callable[[Run, Sequence[int], Mapping[int, str]], Figure]


def figure_of(request: Request, asked: Asked, run: Run) -> Figure:
    """Run what a request has asked for and lay it out; `run` is how each job is run."""
    figure: Figure = _FIGURES[request.verb](request, asked, run)
    return figure


def planned(request: Request, jobs: Sequence[Job]) -> list[tuple[Job, int]]:
    """The jobs that will run, each with its number of pictures. Raises UserError where fewer are tried than kept."""
    count, tried = getattr(request, "count", 1), getattr(request, "judge", None)
    if tried is None:
        return [(job, count) for job in jobs]
    if tried < count:
        raise UserError(f"--judge {tried} tries fewer seeds than --count {count} keeps; try more.")
    return [(first_stage(job), tried) for job in jobs] + [(job, count) for job in jobs if len(job.stages) > 1]


def _picture(asked: Asked) -> Picture:
    assert asked.picture is not None
    return asked.picture


def _comparison(request: Generate, asked: Asked, run: Run) -> Figure:
    variants = len(asked.jobs) // max(1, len(request.prompts))
    return figures.comparison(run, asked.jobs, request.seeds, "From pure noise", min(variants, figures.ACROSS))


def _edits(request: Edit, asked: Asked, run: Run) -> Figure:
    subject = subject_of(request)
    title = f"SDEdit: {subject}" if isinstance(subject, str) else "SDEdit"
    return figures.edits(run, _picture(asked), asked.jobs, request.seeds, title)


def _inpainted(request: Inpaint, asked: Asked, run: Run) -> Figure:
    pixels, white = _picture(asked).pixels, asked.mask
    assert white is not None
    given = [(pixels, "the picture"), (pixels * (1 - white) + white * 0.5, "grey is made anew")]
    title = f"Inpainting: {asked.jobs[0].title}"
    return figures.before_and_after(run, given, asked.jobs[0], request.seeds, title, request.views)


def _enlarged(request: Upscale, asked: Asked, run: Run) -> Figure:
    given = [(resize(_picture(asked).pixels, canvas(asked.jobs[0])), "the picture")]
    return figures.before_and_after(run, given, asked.jobs[0], request.seeds, "Enlarged", request.views)


def _forward(request: Noise, asked: Asked, run: Run) -> Figure:
    return figures.forward_process(run, _picture(asked), asked.jobs, request.seed)


def _denoised(request: Denoise, asked: Asked, run: Run) -> Figure:
    times = times_of(request, asked.jobs[0].model)
    return figures.denoising(run, _picture(asked), asked.jobs, times, request.seed)


def _learned(request: Curves, asked: Asked, run: Run) -> Figure:
    return learning(request.models)


def _anagram(request: Anagram, asked: Asked, run: Run) -> Figure:
    prompts = views_of(request.prompts, request.views)

    def figure(run: Run, seeds: Sequence[int], words: Mapping[int, str]) -> Figure:
        return figures.illusion(run, asked.jobs[0], prompts, seeds, "Visual anagram", _extras(request), words)

    return _chosen(request, asked.jobs[0], run, figure, lambda: anagram_viewings(asked.jobs[0], prompts))


def _hybrid(request: Hybrid, asked: Asked, run: Run) -> Figure:
    family, subjects = request.family, subjects_of(request)
    told = [request.image.name if subject is None and request.image else subject or "" for subject in subjects]

    def figure(run: Run, seeds: Sequence[int], words: Mapping[int, str]) -> Figure:
        return hybrid_figure(run, asked.jobs[0], family, told, seeds, _extras(request), words)

    return _chosen(request, asked.jobs[0], run, figure, lambda: hybrid_viewings(family, subjects))


def _chosen(request: Anagram | Hybrid, job: Job, run: Run, figure: Illusions, viewings: Callable[[], Any]) -> Figure:
    """The figure of the seeds that were asked for, or of the best of those tried, as the judge reads them."""
    if request.judge is None:
        return figure(run, request.seeds, {})
    tried = replace(request, count=request.judge).seeds
    choice = choose(run, job, viewings(), tried, request.count)
    return figure(choice.run, choice.seeds, choice.words)


def _extras(request: Anagram | Hybrid) -> figures.Extras:
    return figures.Extras(request.animate, request.print)


def described(request: Request) -> str:
    """A request in its own words, for a list of what was made."""
    prompts = prompts_of(request)
    return f"{prompts[0]} to {prompts[-1]}" if len(prompts) > FEW else " | ".join(prompts) or request.verb


def notes_of(jobs: Iterable[Job | Result]) -> list[str]:
    """What there is to know of jobs and results, each sentence once and in one line."""
    return list(dict.fromkeys(one_line(note) for job in jobs for note in job.notes.values()))


_FIGURES: dict[str, Any] = {
    "generate": _comparison,
    "edit": _edits,
    "inpaint": _inpainted,
    "upscale": _enlarged,
    "noise": _forward,
    "denoise": _denoised,
    "anagram": _anagram,
    "hybrid": _hybrid,
    "curves": _learned,
}
