"""Pictures from outside: looked at before they are decoded, shrunk, and kept under a name of our own."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from PIL import Image

from duckrabbit.app.studio.shelf import Shelf
from duckrabbit.errors import UserError
from duckrabbit.files import Atomic
from duckrabbit.tasks.pictures import open_picture, write_png

MOST_BYTES = 20 * 2**20
MOST_PIXELS = 40_000_000
WIDEST = 1024
"""Pictures are kept so wide at most; every model looks at less."""
_one_at_a_time = threading.Lock()


def take(shelf: Shelf, content: bytes) -> str:
    """Keep an uploaded picture and return its name, the hash of its pixels.

    Its header is read first, so that nothing large is decoded; one picture is decoded at a time.
    Its text and other data are not kept. Raises UserError for what is no picture, or too large.
    """
    if len(content) > MOST_BYTES:
        raise UserError(too_many_bytes())
    if not content:
        raise UserError("The upload is empty; choose a picture.")
    with _one_at_a_time:
        incoming = shelf.inputs / ".incoming"
        with Atomic(incoming) as temporary:
            temporary.write_bytes(content)
            small = _small(temporary)
        incoming.unlink()
    name = hashlib.sha256(f"{small.size}".encode() + small.tobytes()).hexdigest()[:24] + ".png"
    if not (shelf.inputs / name).exists():
        write_png(small, shelf.inputs / name)
        shelf.make_room()
    return name


def too_many_bytes() -> str:
    """The sentence for a file that is too large."""
    return f"The file is larger than {MOST_BYTES // 2**20} MB; shrink the picture first."


def _small(path: Path) -> Image.Image:
    """The middle square, which is all that models look at, on white, in 8-bit RGB."""
    image = open_picture(path, name="The upload", most=MOST_PIXELS)
    side, (width, height) = min(image.size), image.size
    left, top = (width - side) // 2, (height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    if image.mode.startswith(("I", "F")):
        image = image.point(lambda v: v / 257).convert("L") if image.mode.startswith("I") else image.convert("L")
    rgba = image.convert("RGBA")
    paper = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(paper, rgba).convert("RGB")
