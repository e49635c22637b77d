"""Requests: everything that a person can ask for, each option spelled once.

A request is one frozen value. From its fields come the command line's options, the studio's fields
and its HTTP schema, a row of a batch file, and what a record keeps; `spelling` reads and writes it,
`asking` makes jobs of it. Nothing heavy is imported here, so that `--help` is quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MinLen

from duckrabbit.guidance.components import Family
from duckrabbit.tasks.vocabulary import (
    SAMPLING,
    FromNoise,
    GuidanceCurve,
    Illusion,
    Made,
    Option,
    Picture,
    Preset,
    Prompts,
    Request,
    Sampled,
    Scale,
    Several,
    Sigmas,
    Stage,
    Staged,
    Steps,
    Times,
    Views,
    WalkSigmas,
    WalkTimes,
)


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
    guidance_curve: GuidanceCurve = None
    steps: Steps = None
    times: WalkTimes = ()
    sigmas: WalkSigmas = ()
    preset: Preset = None


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
    guidance_curve: GuidanceCurve = None
    steps: Annotated[
        tuple[Annotated[int, Ge(1)], ...], Option("Steps of stage I; `5,20,100` compares three.", SAMPLING)
    ] = ()
    times: WalkTimes = ()
    sigmas: WalkSigmas = ()
    stage: Stage = None
    preset: Preset = None


@dataclass(frozen=True, kw_only=True)
class Edit(FromNoise):
    """Noise a picture and bring it back (SDEdit); with --prompt, as something else.

    **Examples**

        duckrabbit edit photo.jpg --start 1,3,5,7,10,20
        duckrabbit edit drawing.png --strength 0.6 --prompt "a glossy emoji of a rocket" --count 4
        duckrabbit edit photo.jpg --t 500,700,900 --spacing karras
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
    t: Annotated[
        Several[float], Option("Instead of --start: times of the model's schedule, as in 250,500,750.", flag="--t")
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
        Option("Instead of a mask: x0,y0,x1,y1 in pixels of what is seen of the picture, made anew."),
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
class Anagram(Illusion):
    """Make a picture that is another thing when it is turned, flipped or shuffled.

    **Examples**

        duckrabbit anagram "a glossy emoji of a rabbit face" "a glossy emoji of a duck" --view rotate_90
        duckrabbit anagram "a cat" "a dog" "an owl" --view rotate_90 --view rotate_180 --count 8
        duckrabbit anagram "a glossy emoji of a penguin" "a glossy emoji of a rocket" --view rotate_180 --animate mp4
        duckrabbit anagram "a flat emoji of fire" "a flat emoji of a rose" --view rotate_180 --judge 32 --count 4
        duckrabbit anagram "a flat emoji of fire" "a flat emoji of a rose" --view rotate_180 --weights 1,1.3
        duckrabbit anagram "a flat emoji of fire" "a flat emoji of a rose" --view rotate_180 --combine alternate
    """

    verb = "anagram"
    prompts: Annotated[tuple[str, ...], Option("What each view shows.", metavar="PROMPT")]
    views: Annotated[
        tuple[str, ...],
        Option("The view of each further prompt, in their order: flip, ...", flag="--view", names="view"),
    ] = ("flip",)
    weights: Annotated[
        Several[float], Option("How much each view counts, the upright one first, scaled to sum to 1: 1,1.3.")
    ] = ()
    windows: Annotated[
        str | None,
        Option("While each view counts, FROM:TO,... in shares of noise from 1 to 0: 1:0.3,1:0 leaves the end to one."),
    ] = None
    combine: Annotated[
        Literal["mean", "alternate", "x0", "rectified", "adaptive"],
        Option("How: the mean of noises, a view a step, the mean of pictures, a mean as loud as noise, by the judge."),
    ] = "mean"


@dataclass(frozen=True, kw_only=True)
class Hybrid(Illusion):
    """Make a picture that is one thing from near and another from afar, or in colour and in grey, and so on.

    Families and the order of their prompts: low-high (--high from near, --low from afar), triple (near, half way, far),
    colour (in colour, in grey), motion (still, shaken), composed (all at once, by --weights).

    **Examples**

        duckrabbit hybrid --low "a flat emoji of a skull" --high "a flat emoji of a rose" --count 4
        duckrabbit hybrid --image portrait.jpg --high "a 3d render of a castle"
        duckrabbit hybrid --family triple "a flat emoji of a rose" "a flat emoji of an owl" "a flat emoji of a skull"
        duckrabbit hybrid --family colour "a flat emoji of a rose" "a 3d render of a castle"
        duckrabbit hybrid --family motion --image portrait.jpg "a 3d render of a castle"
        duckrabbit hybrid --family composed --weights 1.5,-0.5 "a flat emoji of a rose" "a red heart"
    """

    verb = "hybrid"
    prompts: Annotated[
        tuple[str, ...],
        Option("What each component shows, in the order of --family; not of low-high.", metavar="PROMPT"),
    ] = ()
    high: Annotated[str | None, Option("What it is from near.", label="From near it is")] = None
    low: Annotated[str | None, Option("What it is from afar.", label="From afar it is")] = None
    family: Annotated[
        Family, Option("How the picture is parted: by size, in two or three; by colour; by motion; not at all.")
    ] = "low-high"
    image: Annotated[
        Path | None,
        Option("A picture that gives one component, instead of its prompt: --low or --high, the last, or --keep."),
    ] = None
    keep: Annotated[
        Literal["high", "medium", "low", "colour", "grey", "rest", "motion"] | None,
        Option("The component that stays of --image: colour, for example, of the family colour.", label="Of it stays"),
    ] = None
    weights: Annotated[
        Several[float], Option("How much each prompt counts in composed, scaled to sum to 1; as in 1.5,-0.5.")
    ] = ()
    filter: Annotated[str | None, Option("A low pass of your own instead: FILE.py:NAME.", names="filter")] = None
    kernel: Annotated[
        int | None, Ge(1), Option("Pixels at 64 px: taps of the low pass (33), or how far motion goes (7).")
    ] = None
    sigma: Annotated[
        float, Gt(0), Option("The low pass's width, in pixels at 64 px.", label="Blur that parts near from far")
    ] = 2.0


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
    prompts = [*getattr(request, "prompts", ()), getattr(request, "high", None), getattr(request, "low", None)]
    return [prompt for prompt in prompts if prompt is not None]
