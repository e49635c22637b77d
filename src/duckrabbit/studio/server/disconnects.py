"""Seeing that a visitor has gone: the connection on which an answer was awaited is dropped before its end."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from duckrabbit.studio.queue.asking import CALL

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
_STREAM = re.compile(r"/gradio_api/call/(?:v2/)?[^/]+/([^/]+)")
_DIRECT = re.compile(r"/gradio_api/(run|api)/.*")


def awaited(scope: Scope, path: str) -> str:
    """The name of whoever awaits what is made on this connection; empty where nothing is.

    A page's stream has its session in the address, a program's the event; a call that is answered directly
    gets a name of its own.
    """
    if scope["method"] == "POST":
        return secrets.token_hex(8) if _DIRECT.fullmatch(path) else ""
    if path == "/gradio_api/queue/data":
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        return query.get("session_hash", [""])[0]
    found = _STREAM.fullmatch(path)
    return found[1] if found else ""


async def answer(
    app: App, scope: Scope, receive: Receive, send: Send, name: str, abandon: Callable[[str], None]
) -> None:
    """Have `app` answer whoever is called `name`, and call `abandon(name)` as soon as they are gone before its end."""
    heard: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
    whole = False

    async def sending(message: MutableMapping[str, Any]) -> None:
        nonlocal whole
        whole = whole or (message["type"] == "http.response.body" and not message.get("more_body"))
        await send(message)

    async def watch() -> None:
        while True:
            message = await receive()
            heard.put_nowait(message)
            if message["type"] == "http.disconnect":
                break
        if not whole:
            abandon(name)

    async def hear() -> MutableMapping[str, Any]:
        message = await heard.get()
        if message["type"] == "http.disconnect":
            heard.put_nowait(message)  # whoever asks again is told again
        return message

    watching = asyncio.ensure_future(watch())
    token = CALL.set(name if scope["method"] == "POST" else "")
    try:
        await app(scope, hear, sending)
    finally:
        CALL.reset(token)
        watching.cancel()
