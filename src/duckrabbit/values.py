"""Values: what a caller hands in, as plain numbers and text, or a sentence that says what is wrong.

NumPy's and torch's scalars are numbers like any other; True is none, and no number is guessed from text.
"""

from __future__ import annotations

import numbers
import operator
from math import isfinite
from pathlib import Path
from typing import Any

from duckrabbit.errors import UserError

Size = tuple[int, int]
"""(height, width) of a picture, in pixels."""


def whole(name: str, value: object, least: int | None = None, most: int | None = None) -> int:
    """`value` as an int from `least` to `most`. Raises UserError for all else, True and 5.0 among it."""
    number = as_whole(value)
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        bounds = f" from {least} to {most}" if most is not None else "" if least is None else f" of {least} or more"
        raise UserError(f"{name} is a whole number{bounds}, not {shown(value)}.")
    return number


def number(name: str, value: object, finite: bool = True) -> float:
    """`value` as a float. Raises UserError for text and True, and where it is to be `finite`, for NaN and infinity."""
    plain = _scalar(value)
    try:
        made = float(plain) if isinstance(plain, numbers.Real) and not isinstance(plain, bool) else None
    except OverflowError:
        made = None
    if made is None or (finite and not isfinite(made)):
        raise UserError(f"{name} is a {'finite ' * finite}number, not {shown(value)}.")
    return made


def text(name: str, value: object) -> str:
    """`value`, a text. Raises UserError where it is none, or holds bytes that are no text."""
    if not isinstance(value, str):
        raise UserError(f"{name} is a text, not {shown(value)}.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UserError(f"{name} holds bytes that are no text ({ascii(value)[:60]}); type it in UTF-8.") from None
    return value


def shown(value: object) -> str:
    """A value, short enough for a sentence."""
    words = " ".join(repr(value).split())
    return words if len(words) <= 60 else f"{words[:57]}..."


def as_path(name: str, value: object) -> Path:
    """`value` as a path. Raises UserError for what is neither text nor a path."""
    if not isinstance(value, str | Path):
        raise UserError(f"{name} is named by its path, not by {shown(value)}.")
    return Path(value)


def as_whole(value: object) -> int | None:
    """`value` as an int, where it is a whole number; else None."""
    plain = _scalar(value)
    if isinstance(plain, bool) or bool(getattr(plain, "ndim", False)):
        return None
    try:
        return operator.index(plain)
    except (TypeError, ValueError):
        return None


def _scalar(value: Any) -> Any:
    """The Python number in an array or a tensor without dimensions; any other value as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 and callable(getattr(value, "item", None)) else value


def words_of(size: Size) -> str:
    """A size as people write it: width x height."""
    return f"{size[1]} x {size[0]}"
