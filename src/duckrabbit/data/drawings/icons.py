"""The drawings of a package that are taken, each with what it shows: icons of an Iconify set, or pictures."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from duckrabbit.data.drawings.names import TONES, Emoji, Names
from duckrabbit.data.drawings.packages import Archive
from duckrabbit.data.drawings.sources import Family

_COLOURED = re.compile(r"\b(?:black|white|red|blue|green|yellow|orange|purple|brown|grey|pink|golden) \w")
_GENDERED = re.compile(r"(man|woman|men|women)\b")


@dataclass(frozen=True)
class Icon:
    """A drawing before it is rendered. content: an SVG document as text, or a picture file as bytes."""

    family: Family
    name: str
    emoji: Emoji
    tone: int | None
    content: str | bytes

    @property
    def detail(self) -> str:
        """What a caption says after the subject."""
        return "" if self.tone is None else f"with {TONES[self.tone]} skin"

    @property
    def keywords(self) -> tuple[str, ...]:
        """Other names of the subject; without those that name a colour, where the family has none."""
        words = self.emoji.keywords
        return tuple(w for w in words if not _COLOURED.search(w)) if self.family.colourless else words


def read_icons(family: Family, archive: Archive, names: Names, subjects: set[str] | None) -> list[Icon]:
    """The drawings of a family that are taken, common subjects first.

    subjects: only these, all if None. Left out are what shows no thing (flags, letters, keycaps), what cannot be
    named, and a second drawing of a subject, unless the family draws variants. People come as drawn by default and
    in one tone of skin, which differs from subject to subject.
    """
    found = []
    for name, codes, content in _contents(family, archive):
        known = names.find(name, codes, family.names)
        if known and _wanted(family, *known) and (subjects is None or known[0].subject in subjects):
            found.append(Icon(family, name, known[0], known[1][0] if known[1] else None, content))
    found.sort(key=lambda icon: (icon.emoji.order, icon.tone is not None, len(icon.name), icon.name))
    drawn: Counter[tuple[str, int | None]] = Counter()
    taken = []
    for icon in found:
        drawn[icon.emoji.code, icon.tone] += 1
        if drawn[icon.emoji.code, icon.tone] <= family.variants:
            taken.append(icon)
    return taken


def _wanted(family: Family, emoji: Emoji, tones: tuple[int, ...]) -> bool:
    if family.colourless and (tones or _COLOURED.search(emoji.subject)):
        return False
    if not tones:
        return True
    chosen = int(hashlib.sha256(emoji.code.encode()).hexdigest(), 16) % len(TONES)
    return set(tones) == {chosen} and not _GENDERED.match(emoji.subject)


def _contents(family: Family, archive: Archive) -> Iterator[tuple[str, list[str], str | bytes]]:
    """Name, code points if the package tells them, and content of each drawing."""
    if family.pictures:
        for path in archive.names(family.pictures):
            name = path.rpartition("/")[2].partition(".")[0]
            yield name, [name], archive.read(path)
        return
    icons = archive.json("icons.json")
    codes = defaultdict(list)
    for code, name in archive.json("chars.json").items():
        codes[name].append(code)
    for name, icon in icons["icons"].items():
        if not icon.get("hidden"):
            yield name, codes[name], svg(icons, icon)


def svg(icons: dict[str, Any], icon: dict[str, Any]) -> str:
    """An icon of an Iconify set as an SVG document with a square view box, the drawing in its middle."""
    left, top = (icon.get(key, icons.get(key, 0)) for key in ("left", "top"))
    width, height = (icon.get(key, icons.get(key, 16)) for key in ("width", "height"))
    side = max(width, height)
    box = f"{left - (side - width) / 2:g} {top - (side - height) / 2:g} {side} {side}"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{side}" height="{side}" viewBox="{box}" color="#000">{icon["body"]}</svg>'
    )
