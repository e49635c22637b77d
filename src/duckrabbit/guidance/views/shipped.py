"""The views that come with duckrabbit, by name, and how a name is read.

To add one: write a frozen dataclass with the three methods of `View`, anywhere, and name it as
"my_view.py:MyView"; or enter it below. Nothing else needs to change; `duckrabbit check --view
NAME` tells whether it is one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from duckrabbit.diffusion.prediction import View
from duckrabbit.errors import UserError
from duckrabbit.guidance.views.columns import Skew, Spiral
from duckrabbit.guidance.views.jigsaw import Jigsaw
from duckrabbit.guidance.views.pixels import Compose, Flip, Identity, Negate, Permute, Rotate
from duckrabbit.guidance.views.turned import Halves, Hinge, InnerCircle, Rings, TurnedTiles
from duckrabbit.registry import known, table
from duckrabbit.values import Size, text


def _pixel_permutation(size: Size, grid: int | None = None, seed: int = 0) -> View:
    return Permute(grid or (size[0] if size[0] == size[1] else size), seed)


VIEWS: dict[str, Callable[..., View]] = table("view")
VIEWS |= {
    "identity": Identity,
    "flip_vertical": lambda: Flip(-2),
    "flip_horizontal": lambda: Flip(-1),
    "rotate_90": lambda: Rotate(1),
    "rotate_180": lambda: Rotate(2),
    "rotate_270": lambda: Rotate(3),
    "negate": Negate,
    "patch_permutation": Permute,
    "pixel_permutation": _pixel_permutation,
    "tile_rotation": TurnedTiles,
    "inner_circle": InnerCircle,
    "rings": Rings,
    "square_hinge": Hinge,
    "jigsaw": Jigsaw,
    "halves": lambda: Halves(-1),
    "halves_vertical": lambda: Halves(-2),
    "skew": Skew,
    "spiral": Spiral,
}
"""Views by name; a maker with a parameter `size` is given (height, width) of the first stage's pictures."""

VIEW_ALIASES = {"flip": "flip_vertical"}
VIEW_WORDS = {
    "identity": "The picture as it is.",
    "flip_vertical": "Mirrored, upside down.",
    "flip_horizontal": "Mirrored, left for right.",
    "rotate_90": "Turned a quarter counter-clockwise; a square picture.",
    "rotate_180": "Turned upside down.",
    "rotate_270": "Turned a quarter clockwise; a square picture.",
    "patch_permutation": "Cut in grid x grid tiles, shuffled by the seed; tiles keep their orientation.",
    "pixel_permutation": "Every pixel of the first stage a tile of its own, shuffled by the seed.",
    "halves": "The left and the right half change places.",
    "halves_vertical": "The upper and the lower half change places.",
}
"""What those views do of which several are made by one class; of all others, the class says it."""


def parse_view(spec: str, size: int | Size = 64) -> View:
    """A view from its name, "flip" or "rotate_90+negate" or "patch_permutation:grid=4,seed=7".

    Only names are looked up, and nothing is run: a view of your own, "my_view.py:MyView", is known
    once `registry.define` has read its file. `size` is that of the first stage's pictures, (height, width) or the
    side of a square. Options are numbers. Raises UserError, with the names that exist, for an unknown view or
    option.
    """
    sides = (size, size) if isinstance(size, int) else size
    parts = [_parse_one(part.strip(), sides) for part in text("A view", spec).split("+")]
    return parts[0] if len(parts) == 1 else Compose(tuple(parts))


def _parse_one(spec: str, size: Size) -> View:
    views = known("view")
    name, _, options = (spec, "", "") if spec in views else spec.partition(":")
    name = VIEW_ALIASES.get(name, name)
    if name not in views:
        there = ", ".join([*views, *VIEW_ALIASES])
        raise UserError(f"There is no view '{name}'. Views: {there}; join two with +, as in rotate_90+negate.")
    parameters = inspect.signature(views[name]).parameters
    allowed = [p for p in parameters if p != "size"]
    values: dict[str, float | Size] = {}
    for option in filter(None, (part.strip() for part in options.split(","))):
        key, _, value = option.partition("=")
        if key in values:
            raise UserError(f"The view {name} is told its {key} twice; once is enough.")
        if key not in allowed:
            takes = f"takes {', '.join(allowed)}" if allowed else "takes no options"
            raise UserError(f"The view {name} has no option '{key}'; it {takes}.")
        fraction = isinstance(parameters[key].default, float)
        try:
            values[key] = float(value) if fraction else int(value)
        except ValueError:
            kind = "number" if fraction else "whole number"
            raise UserError(f"The option {key} of {name} is a {kind}, not '{value}'.") from None
    if "size" in parameters:
        values["size"] = size
    made: View = views[name](**values)
    return made
