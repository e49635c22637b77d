"""The tabs' functions by name, for programs: /generate, /denoise, ..., /shelf, /delete.

To drop the connection on which an answer is awaited cancels what was asked for. Their parameters are
the forms' fields. A picture is given by its name: send its bytes to /pictures with POST, the answer
holds it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from duckrabbit.errors import UserError
from duckrabbit.registry import known
from duckrabbit.studio.forms.kinds import KINDS, Kind
from duckrabbit.studio.forms.plain import form_of, settings_of, to_address
from duckrabbit.studio.queue.asking import CALL
from duckrabbit.studio.queue.desks import Desks
from duckrabbit.studio.shelf.shelf import Item, Shelf
from duckrabbit.tasks.requests import REQUESTS, Request
from duckrabbit.tasks.spelling import Field


def register(desk: Desks, kept: Shelf) -> None:
    """Add the endpoints to the page that is being built."""
    for kind in KINDS.values():
        about = _about(REQUESTS[kind.verb], settings_of(kind.name))
        gr.api(_maker(desk, kept, kind), api_name=kind.name, api_description=about, concurrency_limit=None)

    def shelf(most: int = 60) -> list[dict[str, Any]]:
        """What is kept, the newest first."""
        return [describe(item) for item in kept.items(max(0, most))]

    def delete(item: str) -> str:
        """Throw something that was made away."""
        with _in_words():
            kept.delete(item)
        return f"{item} is deleted."

    for function in (shelf, delete):
        gr.api(function, api_name=function.__name__, concurrency_limit=None)


def describe(item: Item) -> dict[str, Any]:
    """An item as data: where its files are, its settings, its command, what there is to know of it and its cost."""
    facts = item.facts
    return {
        "item": item.id,
        "title": facts["title"],
        "files": [f"/shelf/{item.id}/{f}" for f in facts["files"] if not f.startswith(("cell-", "strip-"))],
        "settings": {"kind": facts["kind"], **facts["settings"]},
        "address": to_address(facts["kind"], facts["settings"]),
        "command": facts["command"],
        "notes": facts.get("notes", []),
        "seconds": facts["seconds"],
        "network_calls": facts["calls"],
    }


def _maker(desk: Desks, kept: Shelf, kind: Kind) -> Any:
    """The endpoint of a form: waits its turn, and returns what was made."""

    async def make(askers: set[str], **values: Any) -> dict[str, Any]:
        with _in_words():
            ticket = desk.submit(form_of(kind.name, values), askers)
        try:
            while not ticket.finished:
                await asyncio.sleep(0.05)
        finally:
            desk.stop(ticket.id)  # where the call is cancelled
        item = kept.get(ticket.item) if ticket.item else None
        if item is None:
            raise gr.Error(ticket.sentence or "It was deleted before it could be shown.", print_exception=False)
        return describe(item)

    async def positional(request: gr.Request, *values: Any) -> dict[str, Any]:
        askers = {CALL.get(), str(request.session_hash), str(LocalContext.event_id.get(None))} - {"", "None"}
        return await make(askers, **dict(zip(names, values)))

    settings = settings_of(kind.name)
    names = [f.name for f in settings]
    caller = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request)
    parameters = [
        inspect.Parameter(f.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=_api_type(f))
        for f in settings
    ]
    positional.__name__ = kind.name
    positional.__signature__ = inspect.Signature([caller, *parameters], return_annotation=dict[str, Any])  # type: ignore[attr-defined]
    positional.__annotations__ = {p.name: p.annotation for p in (caller, *parameters)} | {"return": dict[str, Any]}
    return positional


def _about(request: type[Request], settings: Sequence[Field]) -> str:
    """What an endpoint makes, and each of its parameters."""
    parameters = "\n".join(f"{f.name}: {f.option.help}{_there(f)}" for f in settings)
    return f"{(request.__doc__ or '').splitlines()[0]}\n\n{parameters}"


def _there(f: Field) -> str:
    """What can be named here, where a setting names something; which models there are, the menu says."""
    if f.option.names in ("", "model"):
        return ""
    return f" Here there is {', '.join(known(f.option.names)) or 'none'}."


def _api_type(f: Field) -> Any:
    """A setting's type: numbers with commas between them may be given as a text or as a list of them."""
    if f.several or f.listed:
        return (list[f.kind] | f.kind | str | None) if f.listed else list[str] | None  # type: ignore[name-defined]
    return (str if f.kind is Path else f.kind) | None


@contextmanager
def _in_words() -> Iterator[None]:
    """What cannot be done, in the sentence that Gradio hands on."""
    try:
        yield
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from None
