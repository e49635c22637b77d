"""Figures of hybrids: the picture looked at so that each component shows, the same looks for the judge, films."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn.functional import interpolate

from duckrabbit.errors import UserError
from duckrabbit.guidance.components import COMPONENTS
from duckrabbit.guidance.filters import Grey, moved, taps_at
from duckrabbit.guidance.views.between import WHITE, faded, walked_away
from duckrabbit.report.figures import NO_EXTRAS, Extras, Figure, Run, array, arrays, as_array, imprint, seed_label
from duckrabbit.report.films import transition
from duckrabbit.report.lettering import one_line
from duckrabbit.report.print_pages import print_page
from duckrabbit.report.sheet import Cell, Row, Sheet
from duckrabbit.tasks.job import Job
from duckrabbit.tasks.results import Result
from duckrabbit.values import Size

if TYPE_CHECKING:
    from duckrabbit.evaluation.drawings.readings import Viewing

NEAR = 256
"""The pixels across of a picture seen from near."""
DISTANCES = {"near": 1, "half way": 4, "far": 8}
"""How many times smaller a picture is drawn that is seen from so far."""
ABREAST = 8
"""The most pictures side by side."""


def shaken(x: Tensor, u: float = 1.0, kernel: int = 7) -> Tensor:
    """Pictures (B, C, H, W) in [-1, 1] as if they had moved along the diagonal, on white; u from 0, still, to 1.

    At u = 1 they have moved by `kernel` pixels of 64.
    """
    taps = 1 + 2 * round(u * (taps_at(kernel, x) - 1) / 2)
    return moved(x - WHITE, taps) + WHITE


def greyed(x: Tensor, u: float = 1.0) -> Tensor:
    """Pictures (B, C, H, W) without their colour at u = 1, with it at 0."""
    return faded(x, Grey()(x), u)


def shrunk(x: Tensor, times: int, most: int) -> Tensor:
    """Pictures (B, C, H, W) so many times smaller, and of `most` pixels at most, each the mean of what it covers."""
    side = max(4, min(x.shape[-1] // times, most))
    return interpolate(x, (side, side), mode="area")


def hybrid_viewings(family: str, subjects: Sequence[str | None]) -> list[tuple[Viewing, str]]:
    """How the judge looks at a hybrid to see each component, with its prompt.

    Raises UserError where a component is a picture's, or nothing parts the components.
    """
    from duckrabbit.evaluation.drawings.readings import from_afar

    if family not in COMPONENTS:
        raise UserError(f"The prompts of the family {family} are all seen at once; leave out --judge.")
    told = [subject for subject in subjects if subject is not None]
    if len(told) < len(subjects):
        raise UserError("The judge reads prompts, and a band of this hybrid is a picture; leave out --judge.")
    seen: dict[str, Sequence[Viewing]] = {
        "low-high": (_plain, from_afar),
        "triple": (_plain, partial(shrunk, times=2, most=32), partial(shrunk, times=4, most=16)),
        "colour": (_plain, greyed),
        "motion": (_plain, shaken),
    }
    return list(zip(seen[family], told, strict=True))


def hybrid_figure(
    run: Run,
    job: Job,
    family: str,
    told: Sequence[str],
    seeds: Sequence[int],
    extras: Extras = NO_EXTRAS,
    words: Mapping[int, str] | None = None,
) -> Figure:
    """A hybrid of each seed, seen so that each component shows; `told` says what each is, `words` of some seeds.

    By size: the picture large, and ever smaller, as if one stepped back. By colour and by motion: beside it without
    its colour, and shaken. A composition is one picture.
    """
    result = run(job, seeds, None)
    told = [one_line(words) for words in told]
    looks = [component.seen for component in COMPONENTS.get(family, ())]
    captions = [f"{look}: {subject}" for look, subject in zip(looks, told, strict=True)] if looks else []
    lines = captions or [" + ".join(told)]
    if family in ("low-high", "triple"):
        rows = [_stepping_back(result, b, dict(zip(looks, captions, strict=True))) for b in range(len(seeds))]
        labels = [f"seed {seed_label(seed, words)}" if len(seeds) > 1 or words else "" for seed in seeds]
    else:
        seen: dict[str, tuple[Viewing, ...]] = {"colour": (_plain, greyed), "motion": (_plain, _blur_of(job))}
        rows, labels = _side_by_side(result, seen.get(family, (_plain,)), lines, seeds, words)
    ways, pages = {}, {}
    for picture, seed in zip(arrays(result), seeds, strict=True):
        if extras.ways and family in _WAYS:
            name, way = _WAYS[family]
            ways[f"{name}-seed{seed}"] = transition(picture, way if family != "motion" else _blur_of(job))
        if extras.pages:
            pages[f"print-seed{seed}"] = print_page(picture, lines, imprint(job, seed))
    sheet = Sheet(tuple(Row(cells, label) for cells, label in zip(rows, labels, strict=True)), "Hybrid image")
    return Figure(sheet, (result,), ways=ways, pages=pages, extras=extras)


_WAYS: dict[str, tuple[str, Callable[[Tensor, float], Tensor]]] = {
    "low-high": ("walking", walked_away),
    "triple": ("walking", walked_away),
    "colour": ("fading", greyed),
    "motion": ("shaking", shaken),
}
"""The film of a family: its name, and the way from the plain look to the last one."""


def _stepping_back(result: Result, b: int, captions: Mapping[str, str]) -> tuple[Cell, ...]:
    """A picture from near, and from each distance on the way to far; `captions` by where one stands."""
    large = _enlarged(result.images[b : b + 1], NEAR)
    cells = []
    for times in (1, 2, 4, 8):
        stands = next((place for place, smaller in DISTANCES.items() if smaller == times), "")
        side = large if times == 1 else interpolate(large, _at(large, NEAR // times), mode="area")
        cells.append(Cell(as_array(side, result), captions.get(stands, ""), exact=True))
    return tuple(cells)


def _side_by_side(
    result: Result,
    looks: Sequence[Viewing],
    captions: Sequence[str],
    seeds: Sequence[int],
    words: Mapping[int, str] | None,
) -> tuple[list[tuple[Cell, ...]], list[str]]:
    """Each picture in every look, several seeds a row, and what is said of each row."""
    unit, rows, labels = result.unit, [], []
    abreast = max(1, ABREAST // len(looks))
    for first in range(0, len(seeds), abreast):
        chosen = range(first, min(first + abreast, len(seeds)))
        cells = [
            Cell(array((look(2 * unit[b : b + 1] - 1) + 1) / 2), caption)
            for b in chosen
            for look, caption in zip(looks, captions, strict=True)
        ]
        rows.append(tuple(cells))
        labels.append("seed " + ", ".join(seed_label(seeds[b], words) for b in chosen))
    return rows, labels


def _blur_of(job: Job) -> Callable[..., Tensor]:
    """How a job's picture is shaken: as far as its family was told."""
    kernel = (job.request or {}).get("kernel")
    return shaken if kernel is None else partial(shaken, kernel=int(kernel))


def _plain(x: Tensor) -> Tensor:
    return x


def _at(x: Tensor, width: int) -> Size:
    """The size of `x` when it is so wide."""
    return max(1, round(x.shape[-2] * width / x.shape[-1])), width


def _enlarged(x: Tensor, width: int) -> Tensor:
    return x if x.shape[-1] >= width else interpolate(x, _at(x, width), mode="bicubic", antialias=False)
