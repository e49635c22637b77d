"""Requests: everything that a person can ask for, each option spelled once.

A request is one frozen value. From its fields come the command line's options, the studio's fields
and its HTTP schema, a row of a batch file, and what a record keeps; `spelling` reads and writes it,
`asking` makes jobs of it. Nothing heavy is imported here, so that `--help` is quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from annotated_types import Ge, Gt, Le, MinLen

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
    label: its short name on a page.
    """

    help: str
    panel: str = ""
    flag: str = ""
    metavar: str = ""
    label: str = ""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """The sentence, in the JSON schema."""
        made: dict[str, Any] = handler(schema)
        return {**made, "description": self.help}


Several = tuple[N, ...]
"""Numbers, typed with commas between them; several make a comparison. None given is an empty tuple."""
Prompts = Annotated[
    tuple[str, ...], Option("What to make; again with --view for an anagram.", flag="--prompt", label="What is it?")
]
Views = Annotated[
    tuple[str, ...],
    Option("How a further prompt is seen: flip, rotate_90, negate, my_view.py:MyView, ...", flag="--view"),
]
Picture = Annotated[Path, Option("A photo, a web picture, a drawing; its middle square is used.", metavar="IMAGE")]
Scale = Annotated[float | None, Option("How strongly to follow the prompt; 1 means no guidance.", SAMPLING)]
Steps = Annotated[int | None, Ge(1), Option("Steps of stage I.", SAMPLING)]
Stage = Annotated[int | None, Ge(1), Option("Stop after this stage; all by default.", SAMPLING)]
Preset = Annotated[
    Literal["cs180"] | None, Option("cs180: the course's levels, scale and seed; no clipping.", SAMPLING)
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


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person asks for. `verb` is the command that it is, and its kind everywhere else."""

    verb: ClassVar[str] = ""


@dataclass(frozen=True, kw_only=True)
class Made(Request):
    """What all requests hold by which a model makes pictures."""

    model: Annotated[
        str, Option("A name (see `duckrabbit models list`), a run, a folder, or a hub id.", MODEL, label="Model")
    ] = DEFAULT
    device: Annotated[str | None, Option("cuda, mps or cpu; the best there is by default.", MODEL)] = None
    seed: Annotated[int, Ge(0), Le(2**64 - 1 - MOST), Option("The first seed.", SAMPLING, label="Seed")] = 180

    @property
    def seeds(self) -> list[int]:
        """Consecutive seeds."""
        return list(range(self.seed, self.seed + getattr(self, "count", 1)))


@dataclass(frozen=True, kw_only=True)
class Noise(Made):
    """Show the forward process: a picture with ever more noise.

    **Examples**

        duckrabbit noise photo.jpg --t 250,500,750
        duckrabbit noise photo.jpg --sigma 0.2,0.5,1
    """

    verb = "noise"
    image: Picture
    t: Times = ()
    sigma: Sigmas = ()


@dataclass(frozen=True, kw_only=True)
class Sampled(Made):
    """What all requests hold for which a network is asked."""

    prompt_file: Annotated[
        Path | None, Option("Encoded prompts (see `duckrabbit prompts encode`).", MODEL, flag="--prompts")
    ] = None
    dtype: Annotated[str | None, Option("float32, bfloat16 or float16; what suits the device.", MODEL)] = None
    micro_batch: Annotated[int | None, Ge(1), Option("At most so many pictures in the network at once.", MODEL)] = None
    negative_prompt: Annotated[str | None, Option("What to be guided away from.", SAMPLING, label="Away from")] = None
    interval: Annotated[
        tuple[float, float] | None,
        Option("Guide only at these noise levels, LOW,HIGH in sigma / alpha; HIGH may be inf.", SAMPLING),
    ] = None
    solver: Annotated[
        str | None,
        Option("ddpm, ddpm-small, ddpm-large, ddim, ddim:eta=0.5, heun, dpm++ or sde-dpm++.", SAMPLING, label="Solver"),
    ] = None
    spacing: Annotated[
        Literal["leading", "trailing", "linspace"] | None, Option("How the steps are spread.", SAMPLING)
    ] = None


@dataclass(frozen=True, kw_only=True)
class Denoise(Sampled):
    """Noise a picture, and take the noise away: by blur, by median, in one step, step by step.

    **Examples**

        duckrabbit denoise photo.jpg --t 250,500,750
        duckrabbit denoise photo.jpg --t 690 --preset cs180
        duckrabbit denoise digit.png --model mnist-denoiser --sigma 0.5
    """

    verb = "denoise"
    image: Picture
    t: Times = ()
    sigma: Sigmas = ()
    prompts: Annotated[
        tuple[str, ...], Option("What the network is told; its null prompt by default.", flag="--prompt")
    ] = ()
    views: Views = ()
    guidance_scale: Scale = None
    steps: Steps = None
    preset: Preset = None


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class Upscale(Staged):
    """Send a picture through the second stage of a cascade; it is first brought to the size of the first.

    **Examples**

        duckrabbit upscale out/generate-001/01-seed180.png --model deepfloyd-m --prompt "a cat"
    """

    verb = "upscale"
    image: Picture
    prompts: Prompts = ()
    views: Views = ()


@dataclass(frozen=True, kw_only=True)
class Generate(Staged):
    """Make pictures from pure noise.

    **Examples**

        duckrabbit generate "a glossy emoji of a cat face" --count 4
        duckrabbit generate "a 3d render of a robot" --steps 5,20,100
        duckrabbit generate "a flat emoji of an owl" --guidance-scale 1,4 --solver dpm++
        duckrabbit generate 0 1 2 3 --model mnist-class --count 8
    """

    verb = "generate"
    prompts: Annotated[
        tuple[str, ...],
        Option("What to make; each is a row. A model of digits needs none.", metavar="PROMPT", label="What is it"),
    ] = ()
    guidance_scale: Annotated[Several[float], Option("1 means none; `1,7` compares two.", SAMPLING)] = ()
    steps: Annotated[
        tuple[Annotated[int, Ge(1)], ...], Option("Steps of stage I; `5,20,100` compares three.", SAMPLING)
    ] = ()
    stage: Stage = None
    preset: Preset = None


@dataclass(frozen=True, kw_only=True)
class FromNoise(Staged):
    """What all requests hold that walk through every stage, in one way."""

    guidance_scale: Scale = None
    steps: Steps = None
    stage: Stage = None
    preset: Preset = None


@dataclass(frozen=True, kw_only=True)
class Edit(FromNoise):
    """Noise a picture and bring it back (SDEdit); with --prompt, as something else.

    **Examples**

        duckrabbit edit photo.jpg --start 1,3,5,7,10,20
        duckrabbit edit drawing.png --strength 0.6 --prompt "a glossy emoji of a rocket" --count 4
    """

    verb = "edit"
    image: Picture
    start: Annotated[
        tuple[Annotated[int, Ge(0)], ...],
        Option("Indices of the first move: 0 begins from pure noise and keeps nothing, more keep more."),
    ] = ()
    strength: Annotated[
        tuple[Annotated[float, Gt(0), Le(1)], ...],
        Option("Instead of --start: parts of the plan to run, in (0, 1]; 1 keeps nothing."),
    ] = ()
    prompts: Prompts = ()
    views: Views = ()


@dataclass(frozen=True, kw_only=True)
class Inpaint(FromNoise):
    """Make a part of a picture anew, and keep the rest to the pixel.

    **Examples**

        duckrabbit inpaint photo.jpg mask.png --prompt "a 3d render of a rocket"
        duckrabbit inpaint photo.jpg --box 40,0,120,80 --jump 5 --resample 3 --count 4
        duckrabbit inpaint photo.jpg keep.png --invert --prompt "a 3d render of a rocket"
    """

    verb = "inpaint"
    image: Picture
    mask: Annotated[
        Path | None, Option("A mask of the same size: white is made anew, black is kept.", metavar="MASK")
    ] = None
    box: Annotated[
        tuple[float, float, float, float] | None,
        Option("Instead of a mask: x0,y0,x1,y1 in pixels of the middle square, made anew."),
    ] = None
    invert: Annotated[bool, Option("The other way round: black, or what is outside the box, is made anew.")] = False
    prompts: Prompts = ()
    views: Views = ()
    jump: Annotated[int, Ge(1), Option("RePaint: go back so many moves ...")] = 1
    resample: Annotated[int, Ge(1), Option("... and walk them so many times; 1 does not go back.")] = 1
    how: Annotated[
        Literal["renoised", "clean"],
        Option("How known pixels are kept: with each level's noise, or clean, for comparison."),
    ] = "renoised"


@dataclass(frozen=True, kw_only=True)
class Illusion(FromNoise):
    """What illusions hold besides."""

    animate: Films = ()
    print: Pages = ()
    judge: Judged = None


@dataclass(frozen=True, kw_only=True)
class Anagram(Illusion):
    """Make a picture that is another thing when it is turned, flipped or shuffled.

    **Examples**

        duckrabbit anagram "a glossy emoji of a rabbit face" "a glossy emoji of a duck" --view rotate_90
        duckrabbit anagram "a cat" "a dog" "an owl" --view rotate_90 --view rotate_180 --count 8
        duckrabbit anagram "a glossy emoji of a penguin" "a glossy emoji of a rocket" --view rotate_180 --animate mp4
        duckrabbit anagram "a flat emoji of fire" "a flat emoji of a rose" --view rotate_180 --judge 32 --count 4
    """

    verb = "anagram"
    prompts: Annotated[tuple[str, ...], Option("What each view shows.", metavar="PROMPT")]
    views: Annotated[
        tuple[str, ...], Option("The view of each further prompt, in their order: flip, ...", flag="--view")
    ] = ("flip",)


@dataclass(frozen=True, kw_only=True)
class Hybrid(Illusion):
    """Make a picture that is one thing from near and another from afar.

    **Examples**

        duckrabbit hybrid --low "a flat emoji of a skull" --high "a flat emoji of a rose" --count 4
        duckrabbit hybrid --image portrait.jpg --high "a 3d render of a castle"
    """

    verb = "hybrid"
    high: Annotated[str, Option("What it is from near.", label="From near it is")]
    low: Annotated[str | None, Option("What it is from afar.", label="From afar it is")] = None
    image: Annotated[Path | None, Option("Instead of --low: a picture whose low frequencies stay.")] = None
    kernel: Annotated[int, Ge(1), Option("Taps of the low pass, in pixels at 64 px.")] = 33
    sigma: Annotated[float, Gt(0), Option("Its width, in pixels at 64 px.", label="Blur that parts near from far")] = (
        2.0
    )


@dataclass(frozen=True, kw_only=True)
class Curves(Request):
    """Draw how the loss fell while models of digits were trained; of a run that is not finished, so far.

    **Examples**

        duckrabbit curves mnist-class
        duckrabbit curves mnist-class cs180-class
    """

    verb = "curves"
    models: Annotated[
        tuple[str, ...], MinLen(1), Option("Names, folders of trained models, or names of runs.", metavar="MODEL")
    ]


REQUESTS: dict[str, Any] = {
    kind.verb: kind for kind in (Generate, Edit, Inpaint, Upscale, Anagram, Hybrid, Noise, Denoise, Curves)
}
"""All requests by their verbs."""


def prompts_of(request: Request) -> list[str]:
    """All prompts of a request that say what is to be seen."""
    told = [*getattr(request, "prompts", ()), getattr(request, "high", None), getattr(request, "low", None)]
    return [prompt for prompt in told if prompt is not None]
