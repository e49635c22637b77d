"""Spelling: requests as plain data and as a command line, and back.

This is the one place where what a person typed, sent or wrote into a file becomes a request. Text is
read as on the command line wherever it comes from, so `"5,20"` and `[5, 20]` are the same steps.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from inspect import get_annotations
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from duckrabbit.errors import UserError
from duckrabbit.models.cards import split_recast
from duckrabbit.tasks.arguments import refuse_unknown, shown
from duckrabbit.tasks.requests import REQUESTS, Request
from duckrabbit.tasks.vocabulary import Option

_BOUNDS = {"ge": "{} or more", "gt": "more than {}", "le": "at most {}", "lt": "less than {}"}


@dataclass(frozen=True)
class Field:
    """A field of a request: its name, how it is told, its default (MISSING where there is none) and its type.

    `kind` is the type of the value, or of each of several. `several`: any number of them; `listed`:
    typed as one word with commas, as numbers and choices are (texts are typed one by one instead).
    """

    name: str
    option: Option
    default: Any
    kind: type
    choices: tuple[str, ...]
    several: bool
    listed: bool

    @property
    def one_by_one(self) -> bool:
        """Whether there may be several, each typed by itself: texts, in which a comma means nothing."""
        return self.several and not self.listed

    @property
    def never_empty(self) -> bool:
        """Whether none of several would bring a default back that was not asked for."""
        return self.several and self.default not in ((), None, MISSING)

    @property
    def flag(self) -> str:
        """What it is typed as; "" where its place says what it is."""
        return "" if self.option.metavar else self.option.flag or f"--{self.name.replace('_', '-')}"


@lru_cache(maxsize=64)
def fields_of(verb: str) -> tuple[Field, ...]:
    """The fields of a kind of request by their panels, in each what is its own before what it shares."""
    kind = REQUESTS[verb]
    hints = get_type_hints(kind, include_extras=True)
    made = [_field(f.name, f.default, hints[f.name]) for f in fields(kind)]
    panels = ["", *dict.fromkeys(f.option.panel for f in made if f.option.panel)]
    rank = {name: -k for k, base in enumerate(reversed(kind.__mro__)) for name in get_annotations(base)}
    return tuple(sorted(made, key=lambda f: (panels.index(f.option.panel), not f.option.metavar, rank[f.name])))


def _field(name: str, default: Any, hint: Any) -> Field:
    option = next(extra for extra in hint.__metadata__ if isinstance(extra, Option))
    bare = _bare(hint)
    parts = get_args(bare) if get_origin(bare) is tuple else ()
    element = _bare(parts[0]) if parts else bare
    choices = get_args(element) if get_origin(element) is Literal else ()
    kind = str if choices else element
    several = parts[-1:] == (Ellipsis,)
    return Field(name, option, default, kind, choices, several, bool(parts) and (kind is not str or bool(choices)))


def _bare(hint: Any) -> Any:
    """A type without what is said about it, and without None."""
    while get_origin(hint) in (Annotated, Union, UnionType):
        parts = [part for part in get_args(hint) if part is not NoneType]
        hint = parts[0]
    return hint


def request_of(verb: str, values: Mapping[str, Any], typed: bool = False) -> Request:
    """The request of a verb from plain values: of a form, a row of a file, JSON, or (`typed`) a command line.

    Raises UserError, in the words of the command line where it was typed, for a verb or an option
    that there is not, for one that is missing, and for values that it does not take.
    """
    if verb not in REQUESTS:
        raise UserError(f"There is no request '{verb}'; there is {', '.join(REQUESTS)}.")
    known = {f.name: f for f in fields_of(verb)}
    refuse_unknown(values, known)
    given = {name: value_of(verb, known[name], value, typed) for name, value in values.items()}
    for name, f in known.items():
        if f.default is MISSING and name not in given:
            raise UserError(f"{verb} needs {_named(f, typed)}: {f.option.help[0].lower()}{f.option.help[1:]}")
    made: Request = REQUESTS[verb](**given)
    return made


def value_of(verb: str, f: Field, value: Any, typed: bool = False) -> Any:
    """A value that an option of a request takes, read from plain data. Raises UserError for what it does not take."""
    from pydantic import ValidationError

    if f.never_empty and value in ([], ()):
        raise UserError(f"{_named(f, typed)} takes one value or more, and there is none.")
    try:
        return _adapters(verb)[f.name].validate_python(_read(f, value, typed))
    except ValidationError as errors:
        raise UserError(_sentence(f, errors.errors()[0], typed)) from None


@lru_cache(maxsize=16)
def _adapters(verb: str) -> dict[str, Any]:
    from pydantic import TypeAdapter

    hints = get_type_hints(REQUESTS[verb], include_extras=True)
    return {f.name: TypeAdapter(hints[f.name]) for f in fields_of(verb)}


def read_requests(path: str | Path) -> list[Request]:
    """The requests in a file of JSON lines, each {"verb": ..., option: value, ...}; empty lines are passed over.

    Raises UserError, for all rows that are none at once, with their numbers.
    """
    made, wrong = [], []
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a file of requests ({error}); it holds a JSON object in each line.") from None
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line or "null")
            if row is not None and not isinstance(row, dict):
                raise UserError(f"A row is a JSON object, not {shown(row)}.")
            made += [request_of(str(row.pop("verb", "")), row)] if row is not None else []
        except (UserError, ValueError) as error:
            wrong.append(f"row {number}: {error}")
    if wrong:
        raise UserError(f"{path} is not as it should be. {' '.join(wrong[:10])}")
    return made


def row_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a row for `read_requests`: its verbs, their options, bounds and sentences.

    It knows values as JSON has them; a row may have them as they are typed, too.
    """
    kinds = [_schema(verb) for verb in REQUESTS]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A request", "oneOf": kinds}


def _schema(verb: str) -> dict[str, Any]:
    from pydantic import TypeAdapter

    made = TypeAdapter(REQUESTS[verb]).json_schema()
    for f in fields_of(verb):
        made["properties"][f.name] |= {"minItems": 1} if f.never_empty else {}
    return {
        **made,
        "description": (REQUESTS[verb].__doc__ or "").partition("\n")[0],
        "properties": {"verb": {"const": verb}, **made["properties"]},
        "required": ["verb", *made.get("required", [])],
        "additionalProperties": False,
    }


def _read(f: Field, value: Any, typed: bool) -> Any:
    """A value as it is to be validated: comma lists taken apart, paths with their ~ opened."""
    if f.listed and isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
        if f.kind in (int, float) and not all(_is_number(part, f.kind) for part in value):
            few = "numbers with commas between them, as in 5,20,100" if f.several else "numbers with commas between"
            raise UserError(f"{_named(f, typed)} takes {few}; not '{','.join(value)}'.")
    elif (f.listed and not isinstance(value, list | tuple | NoneType)) or (f.several and isinstance(value, str)):
        value = [value]
    if f.kind in (int, float) and any(isinstance(v, bool) for v in (value if isinstance(value, list) else [value])):
        raise UserError(f"{_named(f, typed)} is a number, not {shown(value)}.")
    if f.kind is Path and isinstance(value, str):
        with suppress(RuntimeError):  # the ~name of nobody is a name like any other, as it is for a shell
            return Path(value).expanduser()
        return Path(value)
    return tuple(value) if isinstance(value, list) else value


def _is_number(text: str, kind: type) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _named(f: Field, typed: bool) -> str:
    return f.name if not typed else f.flag or f.option.metavar


def _sentence(f: Field, error: Any, typed: bool) -> str:
    """What pydantic found, in a sentence."""
    name, given = _named(f, typed), error["input"]
    given = given if isinstance(given, str) and _is_number(given, float) else shown(given)
    bounds = [words.format(error["ctx"][key]) for key, words in _BOUNDS.items() if key in error.get("ctx", {})]
    if f.choices:
        return f"{name} takes {', '.join(f.choices)}; not {given}."
    if bounds:
        return f"{name} is {'a whole number of ' * (f.kind is int)}{bounds[0]}, not {given}."
    if error["type"] in ("too_short", "too_long", "missing"):
        return f"{name} takes another number of values, with commas between them; not {given}."
    what = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}.get(f.kind, "a path")
    return f"{name} is {what}, not {given}."


def own_names(request: Request) -> Iterator[tuple[str, str]]:
    """What a request names that may be one's own: (kind, name) of each, of views that are joined each by itself."""
    for f in fields_of(request.verb):
        value = getattr(request, f.name)
        if kind := f.option.names:
            for text in value if f.several else filter(None, (value,)):
                parts = text.split("+") if kind == "view" else [text]
                named = (part.strip() for part in parts)
                yield from ((kind, split_recast(name)[0] if kind == "model" else name) for name in named)


def to_plain(request: Request) -> dict[str, Any]:
    """What a request says that is not so by default, as JSON-able data; `request_of` reads it."""
    return {f.name: _plain(getattr(request, f.name)) for f in _said(request)}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return str(value) if isinstance(value, Path) else value


def command_of(request: Request) -> str:
    """The command line that makes the same."""
    return shlex.join(["duckrabbit", *to_argv(request)])


def to_argv(request: Request) -> list[str]:
    """The arguments of the command: what is typed by flag, then what is known by its place."""
    places = [w for f in _said(request) if not f.flag for w in _words(f, getattr(request, f.name))]
    flags = [part for f in _said(request) if f.flag for part in _flagged(f, getattr(request, f.name))]
    dashes = ["--"] if any(word.startswith("-") for word in places) else []
    return [request.verb, *flags, *dashes, *places]


def _said(request: Request) -> Iterator[Field]:
    for f in fields_of(request.verb):
        if f.default is MISSING or getattr(request, f.name) != f.default:
            yield f


def _words(f: Field, value: Any) -> list[str]:
    return [word(v) for v in value] if f.one_by_one else [word(value)]


def _flagged(f: Field, value: Any) -> Iterator[str]:
    if f.kind is bool:
        yield f.flag
        return
    for word in _words(f, value):
        yield from [f"{f.flag}={word}"] if word.startswith("-") else [f.flag, word]


def word(value: Any) -> str:
    """A value as it is typed: several with commas between them, numbers whole and no longer than they need to be."""
    if isinstance(value, list | tuple):
        return ",".join(word(v) for v in value)
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
