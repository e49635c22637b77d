"""Commands whose options are the fields of a value: of a request, or of the options that runs of training share."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from duckrabbit.errors import UserError
from duckrabbit.tasks.requests import REQUESTS, Request
from duckrabbit.tasks.spelling import Field, fields_of
from duckrabbit.tasks.vocabulary import OUTPUT

T = TypeVar("T", int, float, str)
_EMPTY = inspect.Parameter.empty


@dataclass(frozen=True)
class Output:
    """Where a request's results go, and what is said meanwhile: the terminal's own options."""

    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="The folder to write to, beside what is there; a new one under out/ by default.",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only tell what would run, and what it would cost.", rich_help_panel=OUTPUT),
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.", rich_help_panel=OUTPUT)] = False


def request_command(app: typer.Typer, kind: type[Any], perform: Callable[[Request, Output], None]) -> None:
    """Register a kind of request as a command: its fields and those of Output are the options."""
    from duckrabbit.tasks.spelling import request_of

    own = [_typed(f) for f in fields_of(kind.verb)]
    idle = _idle(kind.verb)

    def run(**values: Any) -> None:
        output = Output(**{f.name: values.pop(f.name) for f in fields(Output)})
        given = {name: value for name, value in values.items() if value is not None}
        for name in idle.keys() & given.keys():
            raise UserError(f"`{kind.verb}` takes no {idle[name]}: it would change nothing. Leave it out.")
        perform(request_of(kind.verb, given, typed=True), output)

    _register(app, kind.verb, kind, [*own, *map(_hidden, idle.items()), *_parameters(Output)], run)


def _idle(verb: str) -> dict[str, str]:
    """The options that other kinds of requests share and this one has not: their names and flags."""
    own = {f.name for f in fields_of(verb)}
    shared = [f for other in REQUESTS for f in fields_of(other) if f.option.panel]
    return {f.name: f.flag for f in shared if f.name not in own}


def _hidden(idle: tuple[str, str]) -> inspect.Parameter:
    name, flag = idle
    annotation: Any = Annotated[str | None, typer.Option(flag, hidden=True)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _typed(f: Field) -> inspect.Parameter:
    """A field as Typer takes it: as text, which the request reads. What is not given stays None."""
    kind: Any = bool if f.kind is bool else list[str] if f.one_by_one else str
    about: dict[str, Any] = {
        "help": _with_default(f),
        "metavar": f.option.metavar or (None if f.kind is bool else _metavar(f)),
    }
    made = (
        typer.Argument(**about)
        if f.option.metavar
        else typer.Option(f.flag, **about, rich_help_panel=f.option.panel or None)
    )
    needed = f.default is MISSING
    annotation: Any = Annotated[kind if needed else kind | None, made]
    return inspect.Parameter(
        f.name, inspect.Parameter.KEYWORD_ONLY, default=_EMPTY if needed else None, annotation=annotation
    )


def _with_default(f: Field) -> str:
    plain = f.default not in (MISSING, None, ()) and not isinstance(f.default, tuple)
    return f"{f.option.help} [default: {f.default}]" if plain else f.option.help


def _metavar(f: Field) -> str:
    names = {int: "INTEGER", float: "FLOAT", Path: "PATH"}
    if f.choices:
        return "|".join(f.choices)
    return f"{names.get(f.kind, 'TEXT')}{',...' * f.listed}"


def command(app: typer.Typer, name: str, shared: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function (..., common) as a command with the fields of `shared` as further options."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(function, include_extras=True)
        own = [p for p in inspect.signature(function).parameters.values() if p.name != "common"]
        parameters = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in own]
        options = _parameters(shared)

        def run(**values: Any) -> None:
            chosen = {p.name: values.pop(p.name) for p in options}
            function(**values, common=shared(**chosen, command=name))

        _register(app, name, function, [*parameters, *options], run)
        return function

    return decorate


def _parameters(shared: type[Any]) -> list[inspect.Parameter]:
    """The fields of a dataclass as keyword parameters, `command` left out."""
    types = get_type_hints(shared, include_extras=True)
    return [
        inspect.Parameter(
            f.name, inspect.Parameter.KEYWORD_ONLY,
            default=_EMPTY if f.default is MISSING else f.default, annotation=types[f.name],
        )
        for f in fields(shared)
        if f.name != "command"
    ]  # fmt: skip


def _register(
    app: typer.Typer, name: str, about: Any, parameters: list[inspect.Parameter], run: Callable[..., None]
) -> None:
    run.__name__, run.__doc__ = name, about.__doc__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    app.command(name, help=with_examples(about))(run)


def with_examples(about: Any) -> str:
    """The docstring as help text, its indented examples fenced: Typer strips the indent of the last paragraphs."""
    text = inspect.getdoc(about) or ""
    return re.sub(r"(?m)((?:^ {4}.*\n?)+)", lambda block: f"```text\n{inspect.cleandoc(block[0])}\n```\n", text)


def numbers(text: str, name: str, kind: Callable[[str], T]) -> list[T]:
    """A comma list as values. Raises UserError with an example."""
    try:
        values = [kind(part.strip()) for part in text.split(",")]
        if all(isinstance(v, str) or math.isfinite(v) for v in values):
            return values
    except ValueError:
        pass
    raise UserError(f"{name} takes numbers with commas between them, as in 5,20,100; not '{text}'.")
