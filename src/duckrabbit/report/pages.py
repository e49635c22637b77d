"""Print sheets: the picture large on an A4 page of 300 dots an inch, with its prompts under it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
from PIL import Image, ImageDraw

from duckrabbit.errors import UserError
from duckrabbit.report.sheet import INK, PAPER, SOFT, enlarge, font
from duckrabbit.tasks.pictures import Atomic

Kind = Literal["pdf", "png"]
DPI = 300
PAGE = (2480, 3508)
"""A4 upright at 300 dpi."""
SIDE = 2008
"""The picture's width in dots, 170 mm."""


def print_kinds(text: str | None) -> tuple[Kind, ...]:
    """The formats of --print, "pdf" or "pdf,png". Raises UserError for others."""
    named = [part.strip() for part in (text or "").split(",") if part.strip()]
    if any(name not in get_args(Kind) for name in named) or (text is not None and not named):
        raise UserError(f"--print takes pdf, png or pdf,png; not '{text}'.")
    return cast("tuple[Kind, ...]", tuple(dict.fromkeys(named)))


def print_page(picture: np.ndarray, lines: list[str], small: str = "") -> Image.Image:
    """The page: the picture (uint8, square) with square pixels, a line for each prompt, a small line at the foot."""
    page = Image.new("RGB", PAGE, PAPER)
    large = Image.fromarray(enlarge(picture, SIDE))
    left, top = (PAGE[0] - large.width) // 2, 320
    page.paste(large, (left, top))
    pen = ImageDraw.Draw(page)
    y = top + large.height + 110
    for line in lines:
        size = next((s for s in (64, 52, 42, 34) if pen.textlength(line, font(s)) <= SIDE), 28)
        pen.text((PAGE[0] / 2, y), line, INK, font(size), anchor="ma")
        y += round(size * 1.6)
    pen.text((PAGE[0] / 2, PAGE[1] - 180), small, SOFT, font(30), anchor="ma")
    return page


def write_page(page: Image.Image, path: Path) -> None:
    """As PDF or PNG, by the suffix of `path`, both of which know that it is 300 dpi."""
    with Atomic(path) as temporary:
        if path.suffix == ".pdf":
            page.save(temporary, format="PDF", resolution=DPI)
        else:
            page.save(temporary, format="PNG", dpi=(DPI, DPI))
