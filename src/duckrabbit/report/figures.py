"""Figures: the results of jobs, laid out so that the point can be seen.

A figure is made by a function of (run, model, what to show); the commands write it to a folder, the
gallery puts it on its page. `run` is how a job is run: with a progress bar, or from a cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PIL import Image
from torch import Tensor

from duckrabbit.diffusion.prediction import View
from duckrabbit.diffusion.schedules import FlowSchedule
from duckrabbit.diffusion.trajectory import State
from duckrabbit.guidance.views.between import between
from duckrabbit.guidance.views.pixels import Identity
from duckrabbit.guidance.views.shipped import parse_view
from duckrabbit.report.denoised import Look, by_filters, noised, scores, velocity_rows
from duckrabbit.report.films import Kind as FilmKind
from duckrabbit.report.films import transition
from duckrabbit.report.lettering import one_line
from duckrabbit.report.print_pages import Kind as PageKind
from duckrabbit.report.print_pages import print_page
from duckrabbit.report.sheet import Cell, Row, Sheet
from duckrabbit.tasks.job import Job, canvas, stage_facts, value_range
from duckrabbit.tasks.pictures import Source, read_picture, to_model_size, to_pixels, to_range
from duckrabbit.tasks.results import Result
from duckrabbit.tasks.run import OnState
from duckrabbit.tasks.settings import level_words
from duckrabbit.values import Size

ACROSS = 8
"""The most states of a film side by side."""
Run = Callable[[Job, Sequence[int], OnState | None], Result]


@dataclass(frozen=True)
class Extras:
    """What an illusion is written as besides its sheet: films of the way to its views, pages to print."""

    ways: tuple[FilmKind, ...] = ()
    pages: tuple[PageKind, ...] = ()


NO_EXTRAS = Extras()


@dataclass(frozen=True, eq=False)
class Figure:
    """A sheet, the results in it, and what else is written, by name: films as GIFs.

    A film is a list of frames uint8 (H, W, 3). `ways` are the frames from a picture to its view,
    written there and back in the formats of `extras`, and `pages` are to be printed.
    """

    sheet: Sheet
    results: tuple[Result, ...] = ()
    films: dict[str, list[np.ndarray]] = field(default_factory=dict)
    ways: dict[str, list[np.ndarray]] = field(default_factory=dict)
    pages: dict[str, Image.Image] = field(default_factory=dict)
    extras: Extras = NO_EXTRAS


def comparison(run: Run, jobs: Sequence[Job], seeds: Sequence[int], title: str, abreast: int = 1) -> Figure:
    """One row for a job, one column for a seed; so many jobs `abreast` in a row where each makes one picture."""
    results = [run(job, seeds, None) for job in jobs]
    if len(seeds) == 1 and abreast > 1 and all(len(result.stage_images) == 1 for result in results):
        cells = [Cell(arrays(result)[0], result.job.title) for result in results]
        across = [tuple(cells[k : k + abreast]) for k in range(0, len(cells), abreast)]
        return Figure(Sheet(tuple(Row(row) for row in across), title), tuple(results))
    rows = []
    for result in results:
        for k, images in enumerate(result.stage_images[:-1]):
            pictures = [as_array(x, result) for x in images.split(1)]
            rows.append(Row(_by_seed(pictures, seeds), f"{result.job.title}: stage {k + 1}"))
        rows.append(Row(_by_seed(arrays(result), seeds), result.job.title))
    return Figure(Sheet(tuple(rows), title), tuple(results))


def edits(run: Run, source: Source, jobs: Sequence[Job], seeds: Sequence[int], title: str) -> Figure:
    """A row for each seed: the results of all jobs, then the picture they began with."""
    results = [run(job, seeds, None) for job in jobs]
    size, channels = _shape(results[0])
    picture = Cell(array(to_model_size(_seen(source, size), size, channels)), "the picture")
    rows = []
    for b, seed in enumerate(seeds):
        made = tuple(Cell(arrays(r)[b], r.job.title) for r in results)
        rows.append(Row((*made, picture), f"seed {seed}" if len(seeds) > 1 else ""))
    return Figure(Sheet(tuple(rows), title), tuple(results))


def before_and_after(
    run: Run,
    before: Sequence[tuple[Tensor, str]],
    job: Job,
    seeds: Sequence[int],
    title: str,
    views: Sequence[str] = (),
) -> Figure:
    """One row: what the job was given, pictures (1, 3, S, S) in [0, 1] with words, and each seed's result.

    A result that reads in several `views` is shown through each, in a row of its own.
    """
    result = run(job, seeds, None)
    size, channels = _shape(result)
    given = [
        Cell(array(to_model_size(picture, min(size, _size(picture)), channels)), words) for picture, words in before
    ]
    rows = [Row((*given, *_by_seed(arrays(result), seeds)))]
    for name in views:
        view = parse_view(name, canvas(job))
        pictures = [_through(result, b, view) for b in range(len(seeds))]
        rows.append(Row(_by_seed(pictures, seeds), f"through {name}"))
    return Figure(Sheet(tuple(rows), title), (result,))


def forward_process(run: Run, source: Source, jobs: Sequence[Job], seed: int) -> Figure:
    """The picture, and what the forward process makes of it at each time."""
    results = [run(job, [seed], None) for job in jobs]
    facts = stage_facts(jobs[0])
    picture = to_model_size(_seen(source, facts.size), facts.size, facts.channels)
    cells = [Cell(array(picture), "the picture")]
    for result in results:
        at = result.job.stages[0].plan[-1].to
        cells.append(Cell(arrays(result)[0], f"{level_words(facts, at.t)}\nα = {at.alpha:.3f}, σ = {at.sigma:.3f}"))
    return Figure(Sheet((Row(tuple(cells)),), "The forward process"), tuple(results))


def denoising(run: Run, source: Source, jobs: Sequence[Job], times: Sequence[float], seed: int) -> Figure:
    """Noised to each time: best blur and median, one step, iterative; and the iterative states.

    `jobs` are the ways to take the noise away again, the same for every time: in one step and, unless the
    model is a one-step denoiser, step by step. All see the same noise. PSNR in dB and SSIM are against
    the picture at the model's size.
    """
    facts, ways = stage_facts(jobs[0]), len(jobs) // len(times)
    picture = to_model_size(_seen(source, facts.size), facts.size, facts.channels)
    rows, results, films, looks = [], [], {}, list[Look]()
    for k, t in enumerate(times):
        cells, states = by_filters(facts, picture, t, seed), list[State]()
        for job in jobs[k * ways : (k + 1) * ways]:
            states.clear()
            result = run(job, [seed], lambda _, state, keep=states: keep.append(state))  # type: ignore[misc]
            moves = len(job.stages[0].plan)
            words = "one step" if job.title.startswith("one-step") else f"iterative, {moves} moves"
            cells.append(Cell(arrays(result)[0], f"{words}\n{scores(result.unit, picture)}"))
            results.append(result)
            if job.title.startswith("one-step"):
                x, x0 = noised(facts, picture, t, seed), to_range(picture, facts.value_range)
                looks.append(Look(level_words(facts, t), x, x0, result.images))
        rows.append(Row((*cells, Cell(array(picture), "the picture"))))
        if ways > 1:
            walked = [(t, noised(facts, picture, t, seed)), *((state.at.t, state.x) for state in states)]
            frames = [(at, to_pixels(x, facts.value_range)[0].numpy()) for at, x in walked]
            films[f"denoise-t{t:g}".replace(".", "_")] = [pixels for _, pixels in frames]
            rows += _filmstrip(frames, t) if t == max(times) else []
    if isinstance(facts.schedule, FlowSchedule):
        rows += velocity_rows(looks, facts.value_range)
    return Figure(Sheet(tuple(rows), "Taking noise away"), tuple(results), films)


def _filmstrip(frames: Sequence[tuple[float, np.ndarray]], t: float) -> list[Row]:
    """Every fifth of the frames (their time, their pixels), the one that the walk begins with first, and the last."""
    shown = [*frames[::5], *([frames[-1]] if (len(frames) - 1) % 5 else [])]
    strip = [Cell(p, "clean" if at < 0 else f"t = {at:g}") for at, p in shown]
    rows = -(-len(strip) // ACROSS)
    across = -(-len(strip) // rows)
    parts = [strip[k : k + across] for k in range(0, len(strip), across)]
    return [Row(tuple(part), "" if k else f"every fifth state from t = {t:g}") for k, part in enumerate(parts)]


def illusion(
    run: Run,
    job: Job,
    prompts: dict[str, str],
    seeds: Sequence[int],
    title: str,
    extras: Extras = Extras(),
    words: Mapping[int, str] | None = None,
) -> Figure:
    """For each seed the picture seen through every view, each under its prompt; some seeds a row.

    `words` are said of some seeds.
    """
    result = run(job, seeds, None)
    prompts = {spec: one_line(prompt) for spec, prompt in prompts.items()}
    views = {spec: parse_view(spec, canvas(job)) for spec in prompts}
    abreast = max(1, 8 // len(prompts))
    rows = []
    for first in range(0, len(seeds), abreast):
        chosen = range(first, min(first + abreast, len(seeds)))
        cells = [
            Cell(_through(result, b, view), f"{prompts[name]}\n({name})")
            for b in chosen
            for name, view in views.items()
        ]
        rows.append(Row(tuple(cells), "seed " + ", ".join(seed_label(seeds[b], words) for b in chosen)))
    ways, pages = {}, {}
    lines = [prompt if spec == "identity" else f"{prompt} ({spec})" for spec, prompt in prompts.items()]
    turning = [view for view in views.values() if not isinstance(view, Identity)]
    for picture, seed in zip(arrays(result), seeds, strict=True):
        if extras.ways:
            for k, view in enumerate(turning):
                ways[_numbered("turning", seed, k, len(turning))] = transition(picture, partial(between, view))
        if extras.pages:
            pages[f"print-seed{seed}"] = print_page(picture, lines, imprint(job, seed))
    return Figure(Sheet(tuple(rows), title), (result,), ways=ways, pages=pages, extras=extras)


def _by_seed(pictures: Sequence[np.ndarray], seeds: Sequence[int]) -> tuple[Cell, ...]:
    return tuple(Cell(picture, f"seed {seed}") for picture, seed in zip(pictures, seeds, strict=True))


def _seen(source: Source, size: Size) -> Tensor:
    """What is seen of a picture at a model's `size`, (1, 3, H, W) in [0, 1]."""
    return read_picture(source).shaped(size).pixels


def array(picture: Tensor) -> np.ndarray:
    """A picture (1, C, H, W) in [0, 1] as uint8 (H, W, 3)."""
    return to_pixels(picture, (0.0, 1.0))[0].numpy()


def arrays(result: Result) -> list[np.ndarray]:
    """The pictures of a result as uint8 (H, W, 3)."""
    return list(result.pixels.numpy())


def seed_label(seed: int, words: Mapping[int, str] | None) -> str:
    """A seed, with what is said of it."""
    return f"{seed} ({words[seed]})" if words and seed in words else str(seed)


def _numbered(name: str, seed: int, k: int, of: int) -> str:
    return f"{name}-seed{seed}" if of == 1 else f"{name}-{k + 1}-seed{seed}"


def imprint(job: Job, seed: int) -> str:
    """What a page to print says of where its picture comes from."""
    return f"duckrabbit, {job.model.card.name}, seed {seed}"


def _through(result: Result, b: int, view: View) -> np.ndarray:
    return as_array(view(result.images[b : b + 1]), result)


def as_array(x: Tensor, result: Result) -> np.ndarray:
    """A picture (1, C, H, W) in the range of a result as uint8 (H, W, 3)."""
    return to_pixels(x, value_range(result.job))[0].numpy()


def _shape(result: Result) -> tuple[Size, int]:
    """((height, width), channels) of a result's pictures."""
    return _size(result.images), result.images.shape[1]


def _size(x: Tensor) -> Size:
    return x.shape[-2], x.shape[-1]
