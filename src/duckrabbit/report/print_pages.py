"""Print sheets: the picture large on an A4 page of 300 dots an inch, with its prompts under it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from duckrabbit.files import Atomic
from duckrabbit.report.lettering import one_line, shortened, text_width, wrap, write
from duckrabbit.report.sheet import INK, PAPER, SOFT, enlarge

Kind = Literal["pdf", "png"]
DPI = 300
PAGE = (2480, 3508)
"""A4 upright at 300 dpi."""
SIDE = 2008
"""The picture's longer side in dots, 170 mm."""
LINE = 1.6
"""From line to line, in sizes of the letters."""


def print_page(picture: np.ndarray, lines: list[str], small: str = "") -> Image.Image:
    """The page: the picture (uint8) with square pixels, a line for each prompt, a small line at the foot."""
    page = Image.new("RGB", PAGE, PAPER)
    height, width = picture.shape[:2]
    large = Image.fromarray(enlarge(picture, round(SIDE * width / max(height, width))))
    left, top = (PAGE[0] - large.width) // 2, 320
    page.paste(large, (left, top))
    pen = ImageDraw.Draw(page)
    y, foot = top + large.height + 110, PAGE[1] - 180
    size, shown = _fitted(lines, foot - 60 - y)
    for part in shown:
        for line in part:
            write(pen, ((PAGE[0] - text_width(line, size)) / 2, y), line, INK, size)
            y += round(size * LINE)
        y += size // 2 if any(len(part) > 1 for part in shown) else 0
    small = one_line(small)
    write(pen, ((PAGE[0] - text_width(small, 30)) / 2, foot), small, SOFT, 30)
    return page


def _fitted(texts: list[str], room: float) -> tuple[int, list[list[str]]]:
    """The largest size at which each text has one line, or else few, and the lines of each, in `room` dots.

    What does not fit at the smallest size ends in an ellipsis.
    """
    texts = [one_line(text) for text in texts]
    for size, most in ((64, 1), (52, 1), (42, 1), (34, 1), (42, 3), (34, 5), (28, 9)):
        parts = [wrap(text, size, SIDE) for text in texts]
        height = sum(len(part) for part in parts) * size * LINE + len(parts) * (size / 2 if most > 1 else 0)
        if all(len(part) <= most for part in parts) and height <= room:
            return size, parts
    count = max(1, int((room / max(1, len(texts)) - size / 2) / (size * LINE)))
    return size, [
        part if len(part) <= count else [*part[: count - 1], shortened(part[count - 1], size, SIDE)] for part in parts
    ]


def write_page(page: Image.Image, path: Path) -> None:
    """As PDF or PNG, by the suffix of `path`, both of which know that it is 300 dpi."""
    with Atomic(path) as temporary:
        if path.suffix == ".pdf":
            page.save(temporary, format="PDF", resolution=DPI)
        else:
            page.save(temporary, format="PNG", dpi=(DPI, DPI))
