"""What becomes of a prompt before a text encoder reads it: rules that each family of models has of its own."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, get_args

from duckrabbit.errors import UserError

Case = Literal["kept", "lowered"]
Cleaning = Literal["none", "strip", "light"]
"""none: as it is typed; strip: without surrounding space; light: what ftfy mends where it is installed, HTML's
names for letters read twice over, then strip."""


@dataclass(frozen=True)
class TextRules:
    """How a family of models reads prompts. Two prompts that are spelled alike are one prompt.

    case, cleaning: what happens to the letters; `length`: tokens of a prompt, padded and cut to it; `masked`:
    whether the network is told which of them are padding, by a boolean mask; `null`: the prompt that says nothing.
    Raises UserError for a case or a cleaning that does not exist, and for a length below 1.
    """

    case: Case = "lowered"
    cleaning: Cleaning = "strip"
    length: int = 77
    masked: bool = False
    null: str = ""

    def __post_init__(self) -> None:
        for name, value, allowed in (("case", self.case, get_args(Case)), ("cleaning", self.cleaning, CLEANINGS)):
            if value not in allowed:
                raise UserError(f"A prompt's {name} is one of {', '.join(allowed)}, not {value!r}.")
        if isinstance(self.length, bool) or not isinstance(self.length, int) or self.length < 1:
            raise UserError(f"A prompt has a length of 1 token or more, not {self.length!r}.")

    def spelled(self, prompt: str) -> str:
        """The prompt as the tokenizer is given it; spelling it again changes nothing.

        Raises UserError for one whose HTML names for letters are nested three deep, where that cannot be.
        """
        cased = prompt.lower() if self.case == "lowered" else prompt
        if self.cleaning != "light":
            return cased.strip() if self.cleaning == "strip" else cased
        if (cleaned := _lightly(cased)) != _lightly(cleaned):
            raise UserError(
                f"The prompt '{prompt[:40]}' has HTML names inside HTML names (&amp;amp;...); write the letters "
                "themselves."
            )
        return cleaned

    def doubt(self, prompt: str) -> str:
        """Why a spelled prompt may be read otherwise than its model's authors read it; "" where it is not."""
        plain = prompt.isascii() and (prompt.isprintable() or not prompt)
        if self.cleaning != "light" or plain or has_ftfy():
            return ""
        return "has letters beyond plain ASCII, which the model's authors tidy with ftfy (pip install ftfy)"

    def to_json(self) -> str:
        """As `read_rules` reads it."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        mask = "with" if self.masked else "without"
        return f"case {self.case}, cleaning {self.cleaning}, {self.length} tokens {mask} a mask"


CLEANINGS = get_args(Cleaning)
IF_RULES = TextRules()
"""Those of DeepFloyd IF, as diffusers' IFPipeline has them with clean_caption=False, and of the miniature."""


def read_rules(text: str) -> TextRules | None:
    """The rules that `to_json` wrote; None for "". Raises UserError where it did not."""
    if not text:
        return None
    try:
        values: Mapping[str, Any] = json.loads(text)
        return TextRules(**values)
    except (ValueError, TypeError) as error:
        raise UserError(f"its rules for text cannot be read ({error})") from None


def has_ftfy() -> bool:
    """Whether ftfy is installed, which mends letters that were decoded wrongly."""
    return find_spec("ftfy") is not None


def _lightly(text: str) -> str:
    """The light cleaning of diffusers' PRXPixelPipeline, which fails without ftfy; here its part is left out then."""
    if has_ftfy():
        text = str(import_module("ftfy").fix_text(text))
    return html.unescape(html.unescape(text)).strip()
