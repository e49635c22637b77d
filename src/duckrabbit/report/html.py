"""Pages as HTML: one file with its style and its pictures inside it, so that nothing is fetched.

Texts are given as they are and escaped here; a body is HTML already.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

_KINDS = {".png": "image/png", ".gif": "image/gif"}


def page(title: str, body: str) -> str:
    """A whole page of that title around its `body`."""
    style = files("duckrabbit.report").joinpath("page.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body><main>
{body}
</main></body>
</html>
"""


def figure(path: Path, alt: str, caption: str = "") -> str:
    """The picture in `path`, a PNG or a GIF, with what it is for those who do not see it, and a caption."""
    below = f'<figcaption class="soft">{escape(caption)}</figcaption>' if caption else ""
    source = data_url(path.read_bytes(), _KINDS[path.suffix])
    return f'<figure><img alt="{escape(alt)}" src="{source}">{below}</figure>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: the names of its columns, and its rows."""
    return f"<table>{_row('th', head)}{''.join(_row('td', row) for row in rows)}</table>"


def data_url(content: bytes, kind: str) -> str:
    """An address that holds a file of that media type: "data:image/png;base64,..." (RFC 2397)."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
