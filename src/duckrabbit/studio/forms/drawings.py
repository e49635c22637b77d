"""What each tab asks for, as frozen values: the same in the page, its address, the API and on the shelf.

A form becomes the arguments of a command, so the studio runs the very command line that it shows.
"""

from __future__ import annotations

import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from duckrabbit.cli.options import refuse_empty
from duckrabbit.errors import UserError
from duckrabbit.models.cards import DEFAULT

MOST_PICTURES, MOST_STEPS, LONGEST_PROMPT = 16, 1000, 500
INPUT = re.compile(r"[0-9a-f]{24}\.png")
"""The name of a picture that was given to the studio."""


@dataclass(frozen=True, kw_only=True)
class Form(ABC):
    """What all tabs share; None is what the model wants.

    `kind` is its name, `verb` the command that it becomes, `tab` where it is made; `live` is the
    setting that runs it as soon as its slider is let go. `computes`: whether it takes a device.
    """

    kind: ClassVar[str] = ""
    verb: ClassVar[str] = ""
    tab: ClassVar[str] = ""
    live: ClassVar[str] = ""
    computes: ClassVar[bool] = True
    model: str = DEFAULT
    negative_prompt: str = ""
    guidance_scale: float | None = None
    steps: int | None = None
    solver: str = ""
    seed: int = 180
    count: int = 1

    @abstractmethod
    def own(self, inputs: str) -> list[str]:
        """The arguments of this tab; `inputs` goes before the names of pictures."""

    def title(self) -> str:
        """What it is, in its own words."""
        words = [v for name in ("prompt", "prompts", "near", "far") for v in listed(getattr(self, name, "")) if v]
        return " | ".join(words) or self.tab

    def arguments(self, inputs: str = "inputs/") -> list[str]:
        """The command's arguments. Raises UserError for what no tab allows."""
        self.check()
        shared: list[str] = []
        if self.model != DEFAULT:
            shared += ["--model", self.model]
        if self.negative_prompt.strip():
            shared += ["--negative-prompt", self.negative_prompt.strip()]
        if self.guidance_scale is not None:
            shared += ["--guidance-scale", f"{self.guidance_scale:g}"]
        if self.steps is not None:
            shared += ["--steps", str(self.steps)]
        if self.solver:
            shared += ["--solver", self.solver]
        shared += ["--seed", str(self.seed)]
        if self.count != 1:
            shared += ["--count", str(self.count)]
        return [self.verb, *shared, *self.own(inputs)]

    def command(self) -> str:
        """The command line as it is typed in the shelf's folder."""
        return shlex.join(["duckrabbit", *self.arguments()])

    def check(self) -> None:
        """Raises UserError for numbers beyond the studio's limits, and for prompts that are none."""
        if not 1 <= self.count <= MOST_PICTURES:
            raise UserError(f"The studio makes 1 to {MOST_PICTURES} pictures at once, not {self.count}.")
        if self.steps is not None and not 1 <= self.steps <= MOST_STEPS:
            raise UserError(f"The number of steps is from 1 to {MOST_STEPS}, not {self.steps}.")
        if not 0 <= self.seed < 2**53:
            raise UserError(f"A seed is a whole number of 0 or more, not {self.seed}.")
        for value in _strings(self):
            if len(value) > LONGEST_PROMPT:
                raise UserError(f"A text is at most {LONGEST_PROMPT} characters long; shorten it.")
            if "\0" in value:
                raise UserError("A text holds a character that cannot be typed; type it anew.")

    def pictures(self) -> list[str]:
        """The names of the pictures it was given."""
        return [str(getattr(self, f.name)) for f in fields(self) if f.name in ("image", "mask")]


@dataclass(frozen=True, kw_only=True)
class Create(Form):
    """A picture from noise."""

    kind, verb, tab = "generate", "generate", "create"
    prompt: str = ""

    def own(self, inputs: str) -> list[str]:
        """The prompt."""
        return positional(self.prompt)


@dataclass(frozen=True, kw_only=True)
class Denoise(Form):
    """A picture noised to time t, and the ways to take the noise away."""

    kind, verb, tab = "denoise", "denoise", "denoise"
    live = "t"
    image: str = ""
    t: int = 500
    prompt: str = ""

    def own(self, inputs: str) -> list[str]:
        """The picture and the time."""
        told = ["--prompt", self.prompt.strip()] if self.prompt.strip() else []
        return [picture_path(self.image, inputs), "--t", str(self.t), *told]


@dataclass(frozen=True, kw_only=True)
class Edit(Form):
    """A picture noised by several strengths and brought back."""

    kind, verb, tab = "edit", "edit", "edit"
    image: str = ""
    prompt: str = ""
    strength: str = "0.3,0.45,0.6,0.75,0.9"

    def own(self, inputs: str) -> list[str]:
        """The picture, the strengths, and what to make of it."""
        told = ["--prompt", self.prompt.strip()] if self.prompt.strip() else []
        if self.strength.count(",") > 9:
            raise UserError("A filmstrip has at most ten strengths; leave some out.")
        return [picture_path(self.image, inputs), "--strength", self.strength, *told]


@dataclass(frozen=True, kw_only=True)
class Inpaint(Form):
    """The white part of a mask made anew."""

    kind, verb, tab = "inpaint", "inpaint", "inpaint"
    image: str = ""
    mask: str = ""
    invert: bool = False
    prompt: str = ""
    jump: int = 1
    resample: int = 1

    def own(self, inputs: str) -> list[str]:
        """The picture, the mask and RePaint's numbers."""
        if not self.mask:
            raise UserError("Paint over the part of the picture that is to be made anew.")
        if not (1 <= self.jump <= 100 and 1 <= self.resample <= 20):
            raise UserError("RePaint goes back 1 to 100 moves, 1 to 20 times.")
        told = ["--prompt", self.prompt.strip()] if self.prompt.strip() else []
        back = ["--jump", str(self.jump), "--resample", str(self.resample)] if self.resample > 1 else []
        turned = ["--invert"] if self.invert else []
        return [picture_path(self.image, inputs), picture_path(self.mask, inputs), *turned, *told, *back]


@dataclass(frozen=True, kw_only=True)
class Anagram(Form):
    """A picture that is another thing through each view; the first prompt is upright."""

    kind, verb, tab = "anagram", "anagram", "illusions"
    prompts: tuple[str, ...] = ()
    views: tuple[str, ...] = ("rotate_180",)

    def own(self, inputs: str) -> list[str]:
        """The views and the prompts, with films and a page to print."""
        if not 2 <= len(self.prompts) <= 5:
            raise UserError("An anagram takes two to five prompts, each after the first with its view.")
        from duckrabbit.guidance.views.shipped import parse_view

        for view in self.views:
            parse_view(view)  # a shipped view, never a file to run
        looks = [part for view in self.views for part in ("--view", view)]
        return [*looks, "--animate", "mp4,gif", "--print", "pdf", *positional(*self.prompts)]


@dataclass(frozen=True, kw_only=True)
class Hybrid(Form):
    """A picture that is one thing from near and another from afar; `image` takes the place of `far`."""

    kind, verb, tab = "hybrid", "hybrid", "illusions"
    near: str = ""
    far: str = ""
    image: str = ""
    sigma: float = 2.0

    def own(self, inputs: str) -> list[str]:
        """Both prompts, or the picture, with films and a page to print."""
        refuse_empty(self.near)
        far = ["--image", picture_path(self.image, inputs)] if self.image else ["--low", self.far]
        width = [] if self.sigma == 2 else ["--sigma", f"{self.sigma:g}"]
        return ["--high", self.near, *far, *width, "--animate", "mp4,gif", "--print", "pdf"]


def _strings(form: Form) -> Iterator[str]:
    for f in fields(form):
        yield from [v for v in listed(getattr(form, f.name)) if isinstance(v, str)]


def listed(value: Any) -> tuple[Any, ...]:
    """The values of a setting: of one that holds several, all."""
    return value if isinstance(value, tuple) else (value,)


def positional(*prompts: str) -> list[str]:
    """Prompts as arguments; what begins with a dash is no option."""
    for prompt in prompts:
        refuse_empty(prompt)
    return [*(["--"] if any(p.startswith("-") for p in prompts) else []), *prompts]


def picture_path(name: str, inputs: str) -> str:
    """Where a picture of that name lies. Raises UserError for names that the studio has not given."""
    if not name:
        raise UserError("Choose a picture first: upload, paste or draw one, or take one of those below.")
    if not INPUT.fullmatch(name):
        raise UserError("A picture is named by what the studio called it when it was uploaded.")
    return f"{inputs}{name}"
