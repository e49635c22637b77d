"""What all pages that the package writes share: one file, without anything fetched."""

from __future__ import annotations

import base64
from pathlib import Path


def inline(path: Path, kind: str) -> str:
    """A file as an address that holds it: "data:image/png;base64,..."."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
