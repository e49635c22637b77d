"""What a drawing is called: articles, phrases for a style, and captions that vary from one reading to the next."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from duckrabbit.data.drawings.drawings import Drawings
from duckrabbit.data.drawings.sources import families

TEMPLATES = (
    ("{a_style} of {thing}", 60),
    ("{thing}, {style}", 15),
    ("{thing} as {a_style}", 10),
    ("{thing}", 15),
)
"""How a caption may be put, and how often in a hundred. The last names no style: any will do."""

_UNCOUNTABLE = (
    "people men women hair rice bread bacon sushi butter salt ice fire water fog money news luggage hands children "
    "feet lips sand popcorn honey jeans tofu teeth corn cheese chocolate beer garlic broccoli spaghetti pasta cutlery "
    "lightning yarn ramen bowling tennis milk wine lava music mail mice sheaves smoke dust snow rain"
)
_PROPER = (
    "aries taurus gemini cancer leo virgo libra scorpio sagittarius capricorn aquarius pisces ophiuchus christmas "
    "saturn santa"
)
_PROPER_STARTS = ("mount ", "planet earth", "santa claus", "mrs. ", "tanabata")
_HEAD_ENDS = re.compile(
    r",| (?:with|of|in|on|and|at|without|behind|facing|holding|playing|lifting|wearing|from|under|over) "
)
_A = re.compile(r"uni|use|ufo|eu|ewe|one\b|one-|once|uku|uto")
_AN = re.compile(r"[aeiou]|hour|heir|honest|hono|x-|8\b")


def with_article(name: str) -> str:
    """A name as English puts it after "of": "an owl", "a bunch of grapes", "scissors", "mount fuji"."""
    head = _HEAD_ENDS.split(name)[0].split()
    last = head[-1] if head else name
    plural = last == "skis" or (last.endswith("s") and not last.endswith(("ss", "us", "is")))
    if (
        plural
        or last in _UNCOUNTABLE.split()
        or name in _PROPER.split()
        or name.startswith(_PROPER_STARTS)
        or "o'clock" in name
    ):
        return name
    if name.split()[0] in ("the", "a", "an", "no", "one", "two", "some", "men", "women", "people"):
        return name
    return f"an {name}" if _AN.match(name) and not _A.match(name) else f"a {name}"


def plain_caption(style: str, subject: str, detail: str = "") -> str:
    """The caption that is stored: "a glossy emoji of an owl". detail: what follows the subject, "with dark skin"."""
    return f"{with_article(style)} of {with_article(subject)}{' ' if detail else ''}{detail}"


def phrases(style: str) -> tuple[str, ...]:
    """What a style may be called, the words of the style first."""
    return next((f.phrases for f in families().values() if f.style == style), (style,))


def caption(drawings: Drawings, row: int, generator: torch.Generator) -> str:
    """A caption of one drawing, sampled, so that words other than the stored ones are seen with it.

    Its subject or, half the time where it has any, one of its keywords; the words of its style or, half the time,
    another phrase for it; put in one of TEMPLATES. The tone of skin is always said.
    """
    style, subject = drawings.styles[row], drawings.subjects[row]
    detail = drawings.captions[row].rpartition(subject)[2]
    name = _first_or_other((subject, *drawings.keywords[row]), generator)
    said = _first_or_other(phrases(style), generator)
    draw = int(torch.randint(sum(weight for _, weight in TEMPLATES), (), generator=generator))
    for template, weight in TEMPLATES:
        draw -= weight
        if draw < 0:
            return template.format(style=said, a_style=with_article(said), thing=with_article(name) + detail)
    raise AssertionError("the weights of TEMPLATES end before their sum")


def _first_or_other(names: Sequence[str], generator: torch.Generator) -> str:
    """The first, or with probability 1/2 one of the others, each as likely."""
    if len(names) == 1 or int(torch.randint(2, (), generator=generator)) == 0:
        return names[0]
    return names[1 + int(torch.randint(len(names) - 1, (), generator=generator))]
