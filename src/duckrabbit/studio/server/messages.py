"""What may be said to Gradio: plain JSON, read once, and written anew before it is handed on.

Gradio takes an object among the values for a file, and copies or fetches what it names. No field of the
studio is an object, so none is let through, however it is spelled. What is handed on is what was read
here, in ASCII and with a type and a length of our own: nobody behind can read it otherwise.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from duckrabbit.errors import UserError

MOST_DEPTH = 8
"""Lists within lists; the page's own are one deep."""
MOST_INTEGER = 2**63
ANSWERS = re.compile(r"/gradio_api/(queue/join|(run|api|call|call/v2)/[A-Za-z0-9_]+/?|cancel|reset/?)")
"""The paths that take a message; all others are shut."""
BY_NAME = "/gradio_api/call/v2/"
"""Here the top level holds the endpoint's parameters by their names."""


def rewritten(path: str, content: bytes) -> bytes:
    """The message to `path`, written anew. Raises UserError where it is not plain JSON, or holds what it may not."""
    message = read(content)
    if not isinstance(message, dict):
        raise UserError('Send a JSON object, such as {"data": [...]}.')
    for key, value in message.items():
        fits = _flat if path.startswith(BY_NAME) else _KINDS.get(key)
        if fits is None or not fits(value):
            raise UserError(
                f"'{key[:40]}' cannot hold this: settings are texts and numbers. "
                "Send a picture's bytes to /pictures, and give its name."
            )
    return json.dumps(message, ensure_ascii=True, allow_nan=False).encode("ascii")


def read(content: bytes) -> Any:
    """JSON in UTF-8 that everybody reads alike.

    Raises UserError for bytes that are no such text, keys that are given twice, numbers beyond 64 bits, NaN,
    half a surrogate pair, and what is nested too deeply.
    """
    try:
        text = content.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_number, parse_float=_number, parse_int=_integer
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise UserError("The request is nested too deeply.") from None
    except ValueError as error:
        raise UserError(f"The request is not plain JSON in UTF-8: {str(error)[:100]}.") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key is given twice")
    return made


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large, or none")
    return number


def _integer(text: str) -> int:
    number = int(text)
    if not -MOST_INTEGER <= number < MOST_INTEGER:
        raise ValueError("a number is too large")
    return number


def _flat(value: Any, depth: int = MOST_DEPTH) -> bool:
    """Whether there is no object in it, and no list too deep."""
    if isinstance(value, list):
        return depth > 0 and all(_flat(each, depth - 1) for each in value)
    return not isinstance(value, dict)


def _event(value: Any) -> bool:
    """Whether it is what the page tells of an event: nothing, the tab that was opened, or the item to delete."""
    if not isinstance(value, dict):
        return value is None
    return {key: type(each) for key, each in value.items()} in ({"value": str, "index": int}, {"item": str})


def _of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: value is None or type(value) in kinds


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "data": lambda value: isinstance(value, list) and _flat(value),
    "event_data": _event,
    **dict.fromkeys(("session_hash", "event_id"), _of(str)),
    **dict.fromkeys(("fn_index", "trigger_id"), _of(int)),
    **dict.fromkeys(("simple_format", "batched"), _of(bool)),
}
"""What Gradio's page sends, key by key, and of which kind."""
