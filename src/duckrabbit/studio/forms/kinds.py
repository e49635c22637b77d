"""What each place of the page asks for: a kind of request, with what the studio allows of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duckrabbit.errors import UserError
from duckrabbit.tasks.arguments import refuse_empty
from duckrabbit.tasks.components import subjects_of
from duckrabbit.tasks.requests import Anagram, Hybrid, Inpaint, Made, Request, prompts_of
from duckrabbit.tasks.spelling import command_of

MOST_PICTURES, MOST_STEPS, LONGEST_PROMPT, MOST_COMPARED = 16, 1000, 500, 10
INPUT = re.compile(r"[0-9a-f]{24}\.png")
"""The name of a picture that was given to the studio."""
INPUTS = "inputs"
"""The folder of those pictures on the shelf, from where the command that is shown is typed."""
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Kind:
    """A place on the page: its name, the verb of the request that it makes, its tab.

    `live`: the setting that runs it as soon as its slider is let go. Without a tab it is for programs only.
    """

    name: str
    verb: str
    tab: str = ""
    live: str = ""

    @property
    def of_digits(self) -> bool:
        """Whether its model is one of digits."""
        return self.tab == "digits"


KINDS = {
    kind.name: kind
    for kind in (
        Kind("generate", "generate", "create"),
        Kind("denoise", "denoise", "denoise", live="t"),
        Kind("edit", "edit", "edit"),
        Kind("inpaint", "inpaint", "inpaint"),
        Kind("anagram", "anagram", "illusions"),
        Kind("hybrid", "hybrid", "illusions"),
        Kind("factorized", "hybrid", "illusions"),
        Kind("digits", "generate", "digits"),
        Kind("one_step", "denoise", "digits", live="sigma"),
        Kind("from_t", "denoise", "digits", live="t"),
        Kind("digit_anagram", "anagram", "digits"),
        Kind("curves", "curves", "digits"),
        Kind("upscale", "upscale"),
        Kind("noise", "noise"),
    )
}
"""All kinds by their names."""


@dataclass(frozen=True)
class Form:
    """A request by the kind of its place. Pictures are named as in the shelf's folder: inputs/NAME."""

    kind: str
    request: Request

    @property
    def model(self) -> str:
        """The model that is asked for; of several, the first."""
        request: Any = self.request
        return str(request.model) if isinstance(request, Made) else str(request.models[0])

    def command(self) -> str:
        """The command line as it is typed in the shelf's folder."""
        return command_of(self.request)

    def pictures(self) -> dict[str, str]:
        """The names of the pictures it was given, by the settings that hold them."""
        given = {name: getattr(self.request, name, None) for name in ("image", "mask")}
        return {name: Path(path).name for name, path in given.items() if path is not None}

    def check(self) -> None:
        """Raises UserError for what the studio does not allow, whoever asks."""
        request: Any = self.request
        if not 1 <= getattr(request, "count", 1) <= MOST_PICTURES:
            raise UserError(f"The studio makes 1 to {MOST_PICTURES} pictures at once, not {request.count}.")
        if (getattr(request, "judge", None) or 0) > MOST_PICTURES:
            raise UserError(f"The studio tries 1 to {MOST_PICTURES} seeds at once, not {request.judge}.")
        for name in ("steps", "steps_stage2"):
            given = getattr(request, name, None)
            if any(steps > MOST_STEPS for steps in (given if isinstance(given, tuple) else [given or 1])):
                raise UserError(f"The number of steps is from 1 to {MOST_STEPS}, not {given}.")
        if not getattr(request, "seed", 0) < 2**53:
            raise UserError(f"A seed is a whole number from 0 to 2^53, not {request.seed}.")
        if max(getattr(request, "resample", 1), getattr(request, "jump", 1) / 5) > 20:
            raise UserError("RePaint goes back 1 to 100 moves, 1 to 20 times.")
        for value in vars(request).values():
            _check_value(value)
        for prompt in prompts_of(request):
            refuse_empty(prompt)
        for view in getattr(request, "views", ()):
            _check_view(view)
        self._check_pictures()
        if isinstance(request, Hybrid):
            subjects_of(request)

    def _check_pictures(self) -> None:
        for path in (getattr(self.request, name, None) for name in ("image", "mask")):
            if path is not None and (path.parent != Path(INPUTS) or not INPUT.fullmatch(path.name)):
                raise UserError("A picture is named by what the studio called it when it was uploaded.")
        if isinstance(self.request, Inpaint) and self.request.mask is None and self.request.box is None:
            raise UserError("Paint over the part of the picture that is to be made anew.")
        if isinstance(self.request, Anagram) and not 2 <= len(self.request.prompts) <= 5:
            raise UserError("An anagram takes two to five prompts, each after the first with its view.")


def _check_view(view: str) -> None:
    """Raises UserError for a view that is not known here: never is a file run."""
    from duckrabbit.guidance.views.shipped import parse_view

    parse_view(view)


def _check_value(value: Any) -> None:
    if isinstance(value, tuple) and len(value) > MOST_COMPARED:
        raise UserError(f"The studio takes at most {MOST_COMPARED} values of a setting; leave some out.")
    for text in _texts(value):
        if len(text) > LONGEST_PROMPT:
            raise UserError(f"A text is at most {LONGEST_PROMPT} characters long; shorten it.")
        if "\0" in text:
            raise UserError("A text holds a character that cannot be typed; type it anew.")


def _texts(value: Any) -> Iterator[str]:
    yield from (v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, str))
