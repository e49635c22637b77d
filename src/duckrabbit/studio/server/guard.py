"""The guard before the page: what it does not let through, nothing behind it ever sees.

It asks for the password, knows which host it is, reads uploads itself (bounded in bytes, their
header looked at before anything is decoded), serves the shelf's files, writes every message to Gradio
anew (`messages`), and closes the ways by which a page server of Gradio reads or fetches files.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_to_bytes, urlsplit

import anyio.to_thread
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from duckrabbit.errors import UserError
from duckrabbit.studio.server.disconnects import App, Receive, Scope, Send, answer, awaited
from duckrabbit.studio.server.messages import ANSWERS, rewritten
from duckrabbit.studio.server.proxies import Front
from duckrabbit.studio.shelf.shelf import Shelf
from duckrabbit.studio.shelf.uploads import MOST_BYTES, take, too_many_bytes

MOST_TEXT = 100_000
"""Bytes of any other request; settings are short."""
CLOSED = ("/upload", "/file=", "/file/", "/proxy=", "/stream/", "/component_server", "/deep_link", "/vibe")
"""Gradio's ways to files and to other servers; the studio uses none of them."""
LOCAL = ("127.0.0.1", "localhost", "::1", "[::1]")
_PROXY = "Behind a proxy, name it with --trusted-proxy and have it send X-Forwarded-Host; see docs/studio.md."
HEADERS = {
    "content-security-policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


@dataclass
class Guard:
    """ASGI middleware. `password` empty asks for none; `local`: only names of this machine are answered.

    `front` is what stands before it; `abandon` is called with the name of whoever drops a connection on
    which they awaited something.
    """

    app: App
    shelf: Shelf
    password: str = ""
    local: bool = True
    abandon: Callable[[str], None] = lambda name: None
    front: Front = field(default_factory=Front)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand the request on with its body bounded."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        scope, believed = self.front.original(scope)
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope.get("headers", [])}
        refusal = self._refusal(scope, headers, self.local and not believed)
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # neither the page nor the API has one
            return
        guarded = _with_headers(send)
        response = refusal or await self._answer(scope, receive, headers)
        if response is not None:
            await response(scope, receive, guarded)
            return
        if scope["method"] in ("GET", "HEAD"):
            await self._handed(scope, receive, guarded)
            return
        body = _Body(receive, MOST_TEXT)
        content = await body.read()
        if content is None:
            await _refuse(413, "The request is too long; settings are short texts.")(scope, receive, guarded)
            return
        try:
            message = rewritten(scope["path"], content)
        except UserError as error:
            await _refuse(400, str(error))(scope, receive, guarded)
            return
        await self._handed(_holding(scope, message), body.again(message), guarded)

    async def _handed(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = awaited(scope, scope["path"])
        if name:
            await answer(self.app, self.front.below(scope), receive, send, name, self.abandon)
        else:
            await self.app(self.front.below(scope), receive, send)

    def _refusal(self, scope: Scope, headers: dict[str, str], local: bool) -> Response | None:
        host = headers.get("host", "")
        if local and _name(host) not in LOCAL:
            return _refuse(403, f"The studio answers on this machine only; open it as http://127.0.0.1. {_PROXY}")
        origin = headers.get("origin")
        if origin and scope.get("method") not in ("GET", "HEAD") and urlsplit(origin).netloc != host:
            return _refuse(403, f"Another page may not use the studio. {_PROXY}")
        if self.password and not _knows(headers.get("authorization", ""), self.password):
            return PlainTextResponse(
                "The studio asks for its password; any name will do.",
                401,
                {"www-authenticate": 'Basic realm="duckrabbit studio", charset="UTF-8"'},
            )
        path = unquote(unquote(scope["path"]))
        deep = b"deep_link" in unquote_to_bytes(scope.get("query_string", b""))
        shut = deep or any(word in path for word in CLOSED) or "\\" in path or "/../" in path
        return _refuse(404, "There is nothing here.") if shut else None

    async def _answer(self, scope: Scope, receive: Receive, headers: dict[str, str]) -> Response | None:
        if not scope["path"]:
            query = scope.get("query_string", b"").decode("latin-1")
            return RedirectResponse(f"{self.front.root}/" + (f"?{query}" if query else ""), 308)
        parts = scope["path"].strip("/").split("/")
        if parts[0] == "shelf":
            path = self.shelf.file(parts[1], parts[2]) if len(parts) == 3 else None
            return FileResponse(path) if path else _refuse(404, "There is nothing of that name on the shelf.")
        if parts == ["pictures"]:
            if scope["method"] != "POST":
                return _refuse(405, "Send a picture's bytes with POST.")
            asked = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
            return await self._upload(receive, headers, asked.get("fit") == "whole", asked.get("on", ""))
        if scope["method"] in ("GET", "HEAD"):
            return None
        if not ANSWERS.fullmatch(scope["path"]):
            return _refuse(404, "There is nothing here that takes a message.")
        return None if scope["method"] == "POST" else _refuse(405, "Send messages with POST.")

    async def _upload(self, receive: Receive, headers: dict[str, str], whole: bool, on: str) -> Response:
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > MOST_BYTES:
            return _refuse(413, too_many_bytes())
        content = await _Body(receive, MOST_BYTES).read()
        if content is None:
            return _refuse(413, too_many_bytes())
        try:
            kept = await anyio.to_thread.run_sync(take, self.shelf, content, whole, on)
        except UserError as error:
            return _refuse(400, str(error))
        return JSONResponse({"name": kept.name, "width": kept.width, "height": kept.height})


class _Body:
    """A request's body, read to a bound."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most = receive, most

    async def read(self) -> bytes | None:
        """The body; None where it is longer than the bound, or never came to its end."""
        content = bytearray()
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                return None
            content += message.get("body", b"")
            if len(content) > self._most:
                return None
            if not message.get("more_body"):
                return bytes(content)

    def again(self, content: bytes) -> Receive:
        """A receive that gives the body once more, and then what comes after it."""
        given = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal given
            if given:
                return await self._receive()
            given = True
            return {"type": "http.request", "body": content, "more_body": False}

        return receive


def _holding(scope: Scope, message: bytes) -> Scope:
    """The scope of a request with that message as its body, whatever its headers said of the one it had."""
    body_headers = (b"content-type", b"content-length", b"content-encoding", b"transfer-encoding")
    others = [(k, v) for k, v in scope["headers"] if k.lower() not in body_headers]
    ours = [(b"content-type", b"application/json"), (b"content-length", str(len(message)).encode())]
    return {**scope, "headers": [*others, *ours]}


def _with_headers(send: Send) -> Send:
    extra = [(k.encode(), v.encode()) for k, v in HEADERS.items()]

    async def wrapped(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *extra]
        await send(message)

    return wrapped


def _knows(authorization: str, password: str) -> bool:
    kind, _, coded = authorization.partition(" ")
    try:
        given = base64.b64decode(coded, validate=True).decode("utf-8").partition(":")[2]
    except ValueError:
        return False
    return kind.lower() == "basic" and hmac.compare_digest(given.encode(), password.encode())


def _name(host: str) -> str:
    return host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host


def _refuse(status: int, sentence: str) -> Response:
    return Response(json.dumps({"error": sentence}), status, media_type="application/json")
