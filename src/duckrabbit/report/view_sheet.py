"""Views, told in words and shown on a picture."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import partial

import numpy as np
from torch import Tensor

from duckrabbit.diffusion.prediction import View
from duckrabbit.guidance.views.between import between
from duckrabbit.guidance.views.shipped import VIEW_WORDS, VIEWS, parse_view
from duckrabbit.registry import known
from duckrabbit.report.figures import Extras, Figure, array
from duckrabbit.report.films import Kind, transition
from duckrabbit.report.sheet import Cell, Row, Sheet
from duckrabbit.tasks.pictures import to_model_size, to_pixels

SIDE = 192
"""Pixels of a side that views are shown at: what is cut in 3, 4, 8, 32 and 64 fits."""
ABREAST = 5


def told(specs: Sequence[str]) -> list[tuple[str, str]]:
    """Each of the views, all that are shipped by default, with its options and its first sentence."""
    return [(spec, _words(spec)) for spec in specs or _names()]


def view_figure(picture: Tensor, specs: Sequence[str], film: Kind | None = None) -> Figure:
    """A picture (1, 3, S, S) in [0, 1] through each of the views, all that are shipped by default; films of the way."""
    x = 2 * to_model_size(picture, (SIDE, SIDE)) - 1
    views = {spec: parse_view(spec) for spec in specs or _names()}
    cells = [Cell(_seen(view, x), spec) for spec, view in views.items()]
    rows = tuple(Row(tuple(cells[k : k + ABREAST])) for k in range(0, len(cells), ABREAST))
    ways = {_stem(spec): transition(array((x + 1) / 2), partial(between, view)) for spec, view in views.items() if film}
    return Figure(Sheet(rows, "Views"), ways=ways, extras=Extras((film,) if film else ()))


def _names() -> list[str]:
    """The views that have a name of their own, those of installed packages too."""
    return [name for name in known("view") if name.isidentifier()]


def _seen(view: View, x: Tensor) -> np.ndarray:
    pixels: np.ndarray = to_pixels(view(x), (-1.0, 1.0))[0].numpy()
    return pixels


def _stem(spec: str) -> str:
    """The name of a view's film."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in spec)


def _words(spec: str) -> str:
    view = parse_view(spec)
    sentence = VIEW_WORDS.get(spec) or " ".join(
        (inspect.getdoc(view) or "A view of your own.").split("\n\n")[0].split()
    )
    options = [p for p in inspect.signature(VIEWS[spec]).parameters if p != "size"] if spec in VIEWS else []
    return f"{sentence} Options: {', '.join(options)}." if options else sentence
