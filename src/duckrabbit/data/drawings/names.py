"""What an emoji is called: its subject, other names for it, and how the icons of a family are matched to it.

Labels are those of Unicode's CLDR (in emojibase), replaced by everyday words where subjects.toml has
some. Other names are those of subjects.toml, or else the shortcodes that people type (in emojibase),
where they belong to one emoji and are not the name of another.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from duckrabbit.data.drawings.packages import Archive
from duckrabbit.errors import UserError

TONES = ("light", "medium light", "medium", "medium dark", "dark")
_TONE_CODES = {"1f3fb": 0, "1f3fc": 1, "1f3fd": 2, "1f3fe": 3, "1f3ff": 4}
_SHORTCODES = ("cldr", "emojibase", "iamcal", "github", "joypixels")
_NO_PICTURES = {"flags", "component", "alphanum", "keycap", "gender", "subdivision-flag", "country-flag"}
"""Groups and subgroups that show no thing: letters, flags, signs of gender, loose hair and tones."""
_SUFFIX = re.compile(r"-(?:(light|medium-light|medium|medium-dark|dark)(?:-skin-tone)?|tone([1-5]))$")
_WORDS = re.compile(r"(?!.*\b(?:female|male|ja|u)\b)[a-z][a-z ]{3,}")
MOST = 2
"""An emoji has at most so many other names from its shortcodes."""


@dataclass(frozen=True)
class Emoji:
    """What a drawing shows. order: its place, common subjects first."""

    code: str
    subject: str
    keywords: tuple[str, ...]
    common: bool
    order: int


@dataclass(frozen=True)
class Names:
    """Emoji by code point and by squashed name; those that show no thing are None."""

    by_code: Mapping[str, Emoji | None]
    by_name: Mapping[str, str] = field(repr=False)

    def find(self, icon: str, codes: Sequence[str], names: Mapping[str, str]) -> tuple[Emoji, tuple[int, ...]] | None:
        """The emoji of an icon and its tones of skin: by code points, by the family's own `names`, or by its name.

        None where there is none, where it shows no thing, or where the family's names have "" for it.
        """
        if names.get(icon) == "":
            return None
        for code in codes:
            base, tones = split_tone(code)
            if base in self.by_code:
                return _known(self.by_code[base], tones)
        stem, tones = icon, ()
        while (match := _SUFFIX.search(stem)) and squash(stem) not in self.by_name:
            tone = TONES.index(match[1].replace("-", " ")) if match[1] else int(match[2]) - 1
            stem, tones = stem[: match.start()], (tone, *tones)
        for name in (names.get(icon, stem), re.sub(r"-\d+$", "", stem)):
            if known := self.by_name.get(squash(name)):
                return _known(self.by_code[known], tones)
        return None


def _known(emoji: Emoji | None, tones: tuple[int, ...]) -> tuple[Emoji, tuple[int, ...]] | None:
    return None if emoji is None else (emoji, tones)


@lru_cache(maxsize=1)
def vocabulary() -> Mapping[str, tuple[str, ...]]:
    """The common subjects: what people say, and other names, by CLDR label."""
    return {label: tuple(names) for label, names in _subjects()["common"].items()}


@lru_cache(maxsize=1)
def held_out_names() -> Mapping[str, str]:
    """Names that no caption holds, and the subject of each: "puppy" is a dog. For judging text encoders."""
    return dict(_subjects()["held_out_names"])


def read_names(emojibase: Archive) -> Names:
    """The names of all emoji."""
    entries = emojibase.json("en/data.json")
    messages = emojibase.json("en/messages.json")
    groups = {g["order"]: g["key"] for g in messages["groups"]}
    subgroups = {g["order"]: g["key"] for g in messages["subgroups"]}
    shortcodes = _shortcodes(emojibase)
    others = _other_names(entries, shortcodes)
    common = {label: i for i, label in enumerate(vocabulary())}
    by_code: dict[str, Emoji | None] = {}
    for entry in entries:
        code, label = bare(entry["hexcode"]), clean_label(entry["label"])
        place = {groups.get(entry.get("group")), subgroups.get(entry.get("subgroup"))}
        if place & (_NO_PICTURES | {None}) or "-thirty" in label or label.startswith("family with"):
            by_code[code] = None
            continue
        said = vocabulary().get(label, (label,))
        order = common.get(label, len(common) + entry["order"])
        keywords = said[1:] if label in common else others.get(code, ())
        by_code[code] = Emoji(code, said[0], tuple(keywords), label in common, order)
    return Names(by_code, _by_name(entries, shortcodes))


def _by_name(entries: list[dict[str, Any]], shortcodes: Mapping[str, set[str]]) -> dict[str, str]:
    """Code points by every name there is; where two emoji share one, labels go before names of Unicode."""
    found: dict[str, str] = {}
    for entry in entries:
        found.setdefault(squash(entry["label"]), bare(entry["hexcode"]))
    codes = sorted(set(found.values()))
    for code in codes:
        if "-" not in code:
            found.setdefault(squash(unicodedata.name(chr(int(code, 16)), "")), code)
    for code in codes:
        for name in sorted(shortcodes.get(code, ())):
            found.setdefault(squash(name), code)
    return found


def _other_names(entries: list[dict[str, Any]], shortcodes: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """The shortcodes of each emoji, by code point, that are words and name nothing else; the shortest first."""
    taken = {squash(clean_label(entry["label"])) for entry in entries}
    taken |= {squash(name) for names in vocabulary().values() for name in names}
    unheard = re.compile(rf"\b(?:{'|'.join(held_out_names())})s?\b")
    owners = Counter(name for names in shortcodes.values() for name in names)

    def good(name: str) -> bool:
        single = owners[name] == 1 and squash(name) not in taken
        return single and bool(_WORDS.fullmatch(name)) and not unheard.search(name)

    return {code: sorted(filter(good, names), key=lambda n: (len(n), n))[:MOST] for code, names in shortcodes.items()}


def _shortcodes(emojibase: Archive) -> dict[str, set[str]]:
    """The names that people type for an emoji, by its code point, without tones of skin."""
    found: dict[str, set[str]] = defaultdict(set)
    for source in _SHORTCODES:
        for code, names in emojibase.json(f"en/shortcodes/{source}.json").items():
            base, tones = split_tone(code)
            if not tones:
                found[base] |= {n.replace("_", " ") for n in ([names] if isinstance(names, str) else names)}
    return found


def read_subjects(chosen: str) -> set[str] | None:
    """The labels or subjects of --subjects: None for "all", the common ones, or the lines of a file.

    Raises UserError for a file that is not there or empty.
    """
    if chosen == "all":
        return None
    if chosen == "common":
        return {names[0] for names in vocabulary().values()}
    try:
        lines = Path(chosen).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        raise UserError(
            f"{chosen} is no text file; --subjects takes all, common, or a file of a subject a line."
        ) from (None)
    subjects = {line.strip().lower() for line in lines if line.strip() and not line.startswith("#")}
    if not subjects:
        raise UserError(f"{chosen} names no subject; write one on each line.")
    said = {names[0] for names in vocabulary().values()}
    return {subject if subject in said else vocabulary().get(subject, (subject,))[0] for subject in subjects}


def clean_label(label: str) -> str:
    """A CLDR label as words: "man: blond hair" is "man with blond hair"."""
    label = re.sub(r"[“”⊛]", "", label.replace("’", "'")).lower().strip()
    head, colon, rest = label.partition(": ")
    if not colon:
        return label
    if head == "kiss":
        return "kissing " + rest.replace(", ", " and ")
    if head == "couple with heart":
        return f"{head}, {rest.replace(', ', ' and ')}"
    if rest == "bald":
        return f"bald {head}"
    return f"{head} {rest}" if rest.startswith("facing") else f"{head} with {rest.replace(', facing', ' facing')}"


def split_tone(code: str) -> tuple[str, tuple[int, ...]]:
    """Code points joined by hyphens, as those of the emoji and its tones of skin."""
    parts = bare(code).split("-")
    return "-".join(p for p in parts if p not in _TONE_CODES), tuple(_TONE_CODES[p] for p in parts if p in _TONE_CODES)


def bare(code: str) -> str:
    """Code points in lower case, without those that choose between text and picture."""
    return "-".join(p for p in code.lower().split("-") if p not in ("fe0f", "fe0e"))


def squash(name: str) -> str:
    """A name without anything but its letters and digits, so that spellings meet."""
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKD", name).lower())


def _subjects() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("duckrabbit.data.drawings").joinpath("subjects.toml").read_text(encoding="utf-8"))
