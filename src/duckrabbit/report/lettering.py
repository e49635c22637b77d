"""Text for people: made harmless for a terminal, and set in pictures in whatever script it is written.

The rule for a user's words, wherever they are drawn or printed: white space, line ends too, is one space; other
control characters, overrides of the writing direction and halves of surrogate pairs are shown as escapes,
ESC as a backslash and x1b. Nothing that is typed can move the cursor, break a line or hide what stands beside it.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from PIL import ImageDraw, ImageFont

MOST = 1000
"""Letters of one text that are drawn; what is beyond is an ellipsis."""
_DIRECTIONS = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
"""The embeddings, overrides and isolates of the writing direction."""
_IGNORABLE = {"Cf", "Mn"}
"""Categories (joiners, variation selectors, accents) that are left out where no font has them."""


def printable(text: str) -> str:
    """`text` with its line ends, and every other character that would command a terminal as an escape."""
    return "".join(c if c == "\n" or not _commands(c) else _escape(c) for c in text)


def one_line(text: str) -> str:
    """`text` in one line: white space is one space, what would command a terminal an escape."""
    return printable(" ".join(text.split()))


def _commands(c: str) -> bool:
    return unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _DIRECTIONS


def _escape(c: str) -> str:
    return c.encode("unicode_escape", "surrogatepass").decode("ascii")


@lru_cache(maxsize=64)
def font(size: int, bold: bool = False, path: str = "") -> ImageFont.FreeTypeFont:
    """The font in the file `path`; DejaVu Sans, which matplotlib carries, where none is named."""
    return ImageFont.truetype(path or _dejavu(bold), size)


def text_width(text: str, size: int, bold: bool = False) -> float:
    """How wide a line is, in pixels."""
    return sum(face.getlength(part) for part, face in _runs(text, size, bold))


def write(
    pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, ink: str, size: int, *, bold: bool = False
) -> None:
    """Draw a line with its upper left corner at `at`, each character in a font that has it."""
    x, y = at
    base = y + font(size, bold).getmetrics()[0]
    for part, face in _runs(text, size, bold):
        pen.text((x, base), part, ink, face, anchor="ls")
        x += face.getlength(part)


def wrap(text: str, size: int, room: float, *, bold: bool = False) -> list[str]:
    """`text` in lines at most `room` pixels wide, parted at its line ends and spaces; a longer word is parted too.

    Of more than MOST letters the rest is an ellipsis.
    """
    if len(text) > MOST:
        text = text[: MOST - 1].rstrip() + "…"
    lines = []
    for part in printable(text).split("\n"):
        line = ""
        for word in part.split():
            longer = f"{line} {word}" if line else word
            if text_width(longer, size, bold) <= room:
                line = longer
                continue
            lines += [line] if line else []
            *full, line = _pieces(word, size, room, bold)
            lines += full
        lines += [line] if line else []
    return lines


def shortened(text: str, size: int, room: float) -> str:
    """`text` with an ellipsis at its end, taking as many letters from it as it needs to be `room` wide."""
    while text and text_width(text + "…", size) > room:
        text = text[:-1]
    return text.rstrip() + "…"


def _pieces(word: str, size: int, room: float, bold: bool) -> list[str]:
    """A word in pieces at most `room` wide, one letter at least each."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and text_width(pieces[-1] + letter, size, bold) > room:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _runs(text: str, size: int, bold: bool) -> list[tuple[str, ImageFont.FreeTypeFont]]:
    """The line in runs of one font each. What no font has is told by its code points, as in [U+4E00 U+732B]."""
    runs: list[tuple[str, ImageFont.FreeTypeFont]] = []
    for path, group in groupby(text, lambda c: _font_of(c, bold)):
        letters = "".join(group)
        if path is None:
            codes = " ".join(f"U+{ord(c):04X}" for c in letters if unicodedata.category(c) not in _IGNORABLE)
            letters, path = (f"[{codes}]" if codes else ""), ""
        if letters:
            runs.append((letters, font(size, bold, path)))
    return runs


@lru_cache(maxsize=4096)
def _font_of(c: str, bold: bool) -> str | None:
    """The file of a font that has `c`: "" for DejaVu Sans, else the first installed one; None where none has it."""
    if ord(c) in _letters(_dejavu(bold)):
        return ""
    return next((path for path in installed() if ord(c) in _letters(path)), None)


@lru_cache(maxsize=1)
def installed() -> tuple[str, ...]:
    """The files of the fonts on this machine, sans before serif, upright and regular ones first."""
    from matplotlib.font_manager import findSystemFonts

    def rank(path: str) -> tuple[int, str]:
        name = Path(path).name.lower()
        odd = ("serif" in name, "mono" in name, "italic" in name or "oblique" in name, "bold" in name)
        return 2 * sum(odd) - ("regular" in name), path

    return tuple(sorted(findSystemFonts(), key=rank))


@lru_cache(maxsize=512)
def _letters(path: str) -> frozenset[int]:
    """The code points that a font draws at every size; none of a font that is not readable."""
    from matplotlib.ft2font import FT2Font

    try:
        face = FT2Font(path)
        return frozenset(face.get_charmap()) if "SCALABLE" in str(face.face_flags) else frozenset()
    except (OSError, RuntimeError, ValueError):
        return frozenset()


def _dejavu(bold: bool) -> str:
    from matplotlib import get_data_path

    return f"{get_data_path()}/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf"
