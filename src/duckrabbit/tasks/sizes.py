"""Sizes: what of a picture a run makes, from what a person says of it."""

from __future__ import annotations

from collections.abc import Sequence

from duckrabbit.errors import UserError
from duckrabbit.models.model import Model, StageFacts, sized
from duckrabbit.values import Size, as_whole, shown, whole


def stages_at(model: Model, size: str | int | Size | None) -> tuple[StageFacts, ...]:
    """The facts of a model's stages where the first makes pictures of `size`; None: its own.

    Raises UserError for what is no size, and for one that the model cannot make.
    """
    if size is None:
        return model.stages
    return sized(model.stages, _size(size), model.card.name)


def other_than_own(model: Model, stage: int, facts: StageFacts) -> Size | None:
    """The size in a stage's facts, None where it is the model's own: what a job's stage holds."""
    return None if facts.size == model.stages[stage].size else facts.size


def _size(given: object) -> Size:
    """(height, width) of "96x64", width x height, of one number, a square's side, or of itself."""
    parts: Sequence[object] = (given,)
    if isinstance(given, str):
        sides = [part.strip() for part in given.lower().replace("×", "x").split("x")]
        parts = [int(side) for side in reversed(sides) if side.isascii() and side.isdigit() and len(side) < 7]
        parts = parts if len(parts) == len(sides) else ()
    elif isinstance(given, tuple | list):
        parts = given if len(given) == 2 else ()
    elif as_whole(given) is None:
        parts = ()
    if len(parts) not in (1, 2):
        raise UserError(f"A size is WIDTHxHEIGHT in pixels, as in 96x64, or the side of a square, not {shown(given)}.")
    height, width = (whole("A picture's side", side, 1) for side in (parts[0], parts[-1]))
    return height, width
