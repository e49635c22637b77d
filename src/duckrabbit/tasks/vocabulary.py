"""The vocabulary of requests: how an option is told and typed, and what several kinds of requests share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from annotated_types import Ge, Le

from duckrabbit.models.cards import DEFAULT

N = TypeVar("N", int, float)
MODEL, SAMPLING, OUTPUT = "Model", "Sampling", "Output"
MOST = 10_000
"""The most pictures of one request; more is a slip of the finger."""


@dataclass(frozen=True)
class Option:
    """How people are told of an option, and type it.

    help: a sentence. panel: the heading it stands under; "" for those of the task itself. flag: what
    it is typed as, its name by default; a `metavar` instead, where its place on the line says what it is.
    label: its short name on a page. names: the kind of thing that it names, of the registry.
    """

    help: str
    panel: str = ""
    flag: str = ""
    metavar: str = ""
    label: str = ""
    names: str = ""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """The sentence, in the JSON schema."""
        made: dict[str, Any] = handler(schema)
        return {**made, "description": self.help}


class OrInfinite:
    """Marks a number that may be infinite: JSON has that only as text, "inf"."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """The number, or that text."""
        return {"anyOf": [handler(schema), {"const": "inf"}]}


Several = tuple[N, ...]
"""Numbers, typed with commas between them; several make a comparison. None given is an empty tuple."""
Prompts = Annotated[
    tuple[str, ...], Option("What to make; again with --view for an anagram.", flag="--prompt", label="What is it?")
]
Views = Annotated[
    tuple[str, ...],
    Option(
        "How a further prompt is seen: flip, rotate_90, negate, my_view.py:MyView, ...", flag="--view", names="view"
    ),
]
Picture = Annotated[Path, Option("A photo, a web picture, a drawing; its middle is used.", metavar="IMAGE")]
Scale = Annotated[float | None, Option("How strongly to follow the prompt; 1 means no guidance.", SAMPLING)]
GuidanceCurve = Annotated[
    str | None,
    Option("Instead of --guidance-scale: SCALE@SHARE,... by the share of noise, 1 to 0, as in 7@0.8,1@0.2.", SAMPLING),
]
Steps = Annotated[int | None, Ge(1), Option("Steps of stage I.", SAMPLING)]
WalkTimes = Annotated[
    Several[float],
    Option("Instead of --steps and --spacing: the times of stage I, as in 999,700,400,100.", SAMPLING, flag="--times"),
]
WalkSigmas = Annotated[
    Several[float],
    Option("The same by noise, as sigma / alpha: 80,10,2,0.5.", SAMPLING, flag="--sigmas"),
]
Stage = Annotated[int | None, Ge(1), Option("Stop after this stage; all by default.", SAMPLING)]
Preset = Annotated[
    Literal["cs180", "cs180-2024", "cs180-2025", "cs180-2026"] | None,
    Option("A course's levels, scale and solver, without clipping: cs180-2024 (or cs180), -2025, -2026.", SAMPLING),
]
Judged = Annotated[
    int | None, Ge(1), Le(MOST), Option("Try so many seeds, and keep the --count that the judge reads best.")
]
Films = Annotated[tuple[Literal["mp4", "gif"], ...], Option("Write the way to each view too, as mp4, gif or mp4,gif.")]
Pages = Annotated[
    tuple[Literal["pdf", "png"], ...],
    Option("Write an A4 page to print too, the picture large: pdf, png or pdf,png.", flag="--print"),
]
Times = Annotated[
    Several[float],
    Option("Times of the model's schedule; its quarters by default, as in 250,500,750.", flag="--t", label="Noise, t"),
]
Sigmas = Annotated[
    Several[float],
    Option("Instead of --t: the noise on a picture from 0 to 1, as in 0.2,0.5.", label="Noise, sigma"),
]


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # never made itself
class Request:
    """What a person asks for. `verb` is the command that it is, and its kind everywhere else."""

    verb: ClassVar[str] = ""


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # never made itself
class Made(Request):
    """What all requests hold by which a model makes pictures."""

    model: Annotated[
        str,
        Option(
            "A name (see `duckrabbit models list`), a run, a folder, a hub id, or FILE.py:NAME.",
            MODEL,
            label="Model",
            names="model",
        ),
    ] = DEFAULT
    size: Annotated[
        str | None,
        Option("WIDTHxHEIGHT of what stage I makes, as in 96x64; the model's own by default.", SAMPLING),
    ] = None
    device: Annotated[str | None, Option("cuda, mps or cpu; the best there is by default.", MODEL)] = None
    seed: Annotated[int, Ge(0), Le(2**64 - 1 - MOST), Option("The first seed.", SAMPLING, label="Seed")] = 180

    @property
    def seeds(self) -> list[int]:
        """Consecutive seeds."""
        return list(range(self.seed, self.seed + getattr(self, "count", 1)))


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # never made itself
class Sampled(Made):
    """What all requests hold for which a network is asked."""

    prompt_file: Annotated[
        Path | None, Option("Encoded prompts (see `duckrabbit prompts encode`).", MODEL, flag="--prompts")
    ] = None
    dtype: Annotated[str | None, Option("float32, bfloat16 or float16; what suits the device.", MODEL)] = None
    micro_batch: Annotated[int | None, Ge(1), Option("At most so many pictures in the network at once.", MODEL)] = None
    negative_prompt: Annotated[str | None, Option("What to be guided away from.", SAMPLING, label="Away from")] = None
    interval: Annotated[
        tuple[float, Annotated[float, OrInfinite()]] | None,
        Option("Guide only at these noise levels, LOW,HIGH in sigma / alpha; HIGH may be inf.", SAMPLING),
    ] = None
    solver: Annotated[
        str | None,
        Option(
            "ddpm, ddpm-small, ddpm-large, ddim:eta=0.5, euler-a, heun:churn=0.1, dpm++, sde-dpm++, dpm++-2s, "
            "dpm++-3m, unipc:order=3 or FILE.py:NAME.",
            SAMPLING,
            label="Solver",
            names="solver",
        ),
    ] = None
    spacing: Annotated[
        str | None,
        Option(
            "How the steps are spread: leading, trailing, linspace, leading-open, linspace-open, karras, exponential, "
            "log-snr, flow-euler, flow-dpm, flow-unipc or FILE.py:NAME.",
            SAMPLING,
            names="schedule",
        ),
    ] = None
    guidance: Annotated[
        str | None,
        Option(
            "Another way to guide than cfg: rescaled:phi=0.7, apg:eta=0.2,radius=15 or FILE.py:NAME.",
            SAMPLING,
            names="guidance",
        ),
    ] = None
    constraint: Annotated[
        str | None, Option("A rule of your own for every state: FILE.py:NAME.", SAMPLING, names="constraint")
    ] = None


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # never made itself
class Staged(Sampled):
    """What all requests hold that may run a second stage."""

    count: Annotated[
        int, Ge(1), Le(MOST), Option("How many pictures, of consecutive seeds.", SAMPLING, label="Pictures")
    ] = 1
    steps_stage2: Annotated[int | None, Ge(1), Option("Steps of stage II.", SAMPLING)] = None
    guidance_scale_stage2: Annotated[float | None, Option("The guidance scale of stage II.", SAMPLING)] = None
    noise_level: Annotated[
        int | None, Ge(0), Option("How much noise stage II takes on the small picture, as a time.", SAMPLING)
    ] = None


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # never made itself
class FromNoise(Staged):
    """What all requests hold that walk through every stage, in one way."""

    guidance_scale: Scale = None
    guidance_curve: GuidanceCurve = None
    steps: Steps = None
    times: WalkTimes = ()
    sigmas: WalkSigmas = ()
    stage: Stage = None
    preset: Preset = None


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # never made itself
class Illusion(FromNoise):
    """What illusions hold besides."""

    animate: Films = ()
    print: Pages = ()
    judge: Judged = None
