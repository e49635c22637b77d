"""The tabs' functions by name, for programs: /generate, /denoise, ..., /shelf, /delete.

To drop the connection on which an answer is awaited cancels what was asked for. Their parameters are
the forms' fields. A picture is given by its name: send its bytes to /pictures with POST, the answer
holds it.
"""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

import gradio as gr
from gradio.context import LocalContext

from duckrabbit.errors import UserError
from duckrabbit.studio.forms.drawings import Form
from duckrabbit.studio.forms.plain import FORMS, from_plain, to_address
from duckrabbit.studio.queue.asking import CALL
from duckrabbit.studio.queue.desks import Desks
from duckrabbit.studio.shelf.shelf import Item, Shelf


def register(desk: Desks, kept: Shelf) -> None:
    """Add the endpoints to the page that is being built."""
    for form in FORMS.values():
        gr.api(_maker(desk, kept, form), api_name=form.kind, concurrency_limit=None)

    def shelf(most: int = 60) -> list[dict[str, Any]]:
        """What is kept, the newest first."""
        return [describe(item) for item in kept.items(max(0, most))]

    def delete(item: str) -> str:
        """Throw something that was made away."""
        return _in_words(lambda: kept.delete(item)) or f"{item} is deleted."

    for function in (shelf, delete):
        gr.api(function, api_name=function.__name__, concurrency_limit=None)


def describe(item: Item) -> dict[str, Any]:
    """An item as data: where its files are, its settings, its command and its cost."""
    facts = item.facts
    return {
        "item": item.id,
        "title": facts["title"],
        "files": [f"/shelf/{item.id}/{f}" for f in facts["files"] if not f.startswith(("cell-", "strip-"))],
        "settings": {"kind": facts["kind"], **facts["settings"]},
        "address": to_address(item.form),
        "command": facts["command"],
        "seconds": facts["seconds"],
        "network_calls": facts["calls"],
    }


def _maker(desk: Desks, kept: Shelf, kind: type[Form]) -> Any:
    """The endpoint of a form: waits its turn, and returns what was made."""

    async def make(askers: set[str], **values: Any) -> dict[str, Any]:
        try:
            ticket = desk.submit(from_plain(kind.kind, values), askers)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None
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

    hints = get_type_hints(kind)
    names = [f.name for f in fields(kind)]
    caller = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request)
    parameters = [
        inspect.Parameter(
            f.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=inspect.Parameter.empty if f.default is MISSING else _plain(f.default),
            annotation=_api_type(hints[f.name]),
        )
        for f in fields(kind)
    ]
    positional.__name__, positional.__doc__ = kind.kind, kind.__doc__
    positional.__signature__ = inspect.Signature([caller, *parameters], return_annotation=dict[str, Any])  # type: ignore[attr-defined]
    positional.__annotations__ = {p.name: p.annotation for p in (caller, *parameters)} | {"return": dict[str, Any]}
    return positional


def _api_type(hint: Any) -> Any:
    return list[str] if hint == tuple[str, ...] else hint


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _in_words(action: Any) -> str:
    try:
        action()
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from None
    return ""
