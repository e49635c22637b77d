"""Pictures from outside: looked at before they are decoded, shrunk, and kept under a name of our own."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import NamedTuple

import numpy as np
from PIL import Image

from duckrabbit.errors import UserError
from duckrabbit.files import write_text
from duckrabbit.studio.shelf.shelf import Shelf
from duckrabbit.tasks.colours import in_8_bits
from duckrabbit.tasks.masks import check_alike
from duckrabbit.tasks.pictures import write_png
from duckrabbit.tasks.reading import decode_picture

MOST_BYTES = 20 * 2**20
MOST_PIXELS = 40_000_000
WIDEST = 1024
"""Pictures are kept so wide at most; every model looks at less."""
GONE = "The picture is no longer there; upload it again."
_one_at_a_time = threading.Lock()


class Kept(NamedTuple):
    """A picture that was kept: its name, the hash of its pixels, and the size it came in."""

    name: str
    width: int
    height: int


class Given(NamedTuple):
    """What a kept square is of: the whole size of the picture, upright, and whether all of it is there, bordered."""

    width: int
    height: int
    whole: bool


def take(shelf: Shelf, content: bytes, whole: bool = False, on: str = "") -> Kept:
    """Keep an uploaded picture as a square: its middle, or, `whole`, all of it with a border.

    Its header is read first, so that nothing large is decoded; one picture is decoded at a time.
    Its text and other data are not kept; what is clear stays so, since it may be a mask.
    `on`: it is a mask painted on the kept picture of that name, and belongs to what that is a square of.
    Raises UserError for what is no picture, or too large, and for what was painted on no square or none that is there.
    """
    if len(content) > MOST_BYTES:
        raise UserError(too_many_bytes())
    if not content:
        raise UserError("The upload is empty; choose a picture.")
    with _one_at_a_time:
        image = decode_picture(content, "The upload", MOST_PIXELS)
        given = _painted(shelf, on, image) if on else Given(*image.size, whole and image.width != image.height)
        small = _small(image, whole)
        facts = json.dumps(given)
        digest = hashlib.sha256(f"{small.size}{small.mode}{facts}".encode() + small.tobytes())
        name = digest.hexdigest()[:24] + ".png"
        if (shelf.inputs / name).exists():
            (shelf.inputs / name).touch()  # given again, it is new again
        else:
            write_text(shelf.size(name), facts)
            write_png(small, shelf.inputs / name)
            shelf.make_room()
    return Kept(name, *image.size)


def check_mask(shelf: Shelf, mask: str, picture: str) -> None:
    """Raises UserError where a kept mask is not of a kept picture's whole size, or was not made square like it."""
    of, to = _given(shelf, mask), _given(shelf, picture)
    if of is None or to is None:  # kept before that was written down
        return
    check_alike(of[:2], to[:2])
    if of.whole != to.whole:
        ways = {True: "framed", False: "cut to its middle"}
        raise UserError(f"The mask was {ways[of.whole]} and the picture {ways[to.whole]}; give both in the same way.")


def _given(shelf: Shelf, name: str) -> Given | None:
    """What a kept picture is a square of; None where nothing is written down that can be read."""
    try:
        return Given(*json.loads(shelf.size(name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _painted(shelf: Shelf, on: str, mask: Image.Image) -> Given | None:
    """What the picture is a square of that a mask was painted on. Raises UserError as `take` does."""
    if shelf.file("inputs", on) is None:
        raise UserError(GONE)
    if mask.width != mask.height:
        raise UserError(f"A mask is painted on a picture as it is shown, square; not {mask.width} x {mask.height}.")
    return _given(shelf, on)


def too_many_bytes() -> str:
    """The sentence for a file that is too large."""
    return f"The file is larger than {MOST_BYTES // 2**20} MB; shrink the picture first."


def _small(image: Image.Image, whole: bool) -> Image.Image:
    """A square of WIDEST px at most, in 8-bit RGB, or RGBA with white where it is clear; see `take`."""
    if not whole:
        side, (width, height) = min(image.size), image.size
        left, top = (width - side) // 2, (height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    image = in_8_bits(image)
    image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    if image.mode == "RGBA":
        clear = image.getchannel("A").point(lambda alpha: 255 * (alpha == 0))
        image.paste((255, 255, 255, 0), mask=clear)  # what was cut out is not kept
    return image if image.width == image.height else _bordered(image)


def _bordered(image: Image.Image) -> Image.Image:
    """The picture in the middle of a square, each of both bars in the mean colour of the edge it lies at."""
    pixels = np.asarray(image)
    across = image.width > image.height
    edges = (pixels[0], pixels[-1]) if across else (pixels[:, 0], pixels[:, -1])
    first, last = (tuple(int(v) for v in edge.mean(axis=0).round()) for edge in edges)
    side = max(image.size)
    square = Image.new(image.mode, (side, side), first)
    square.paste(last, (0, side // 2, side, side) if across else (side // 2, 0, side, side))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
