"""What the tasks know of a model: facts about its stages, and a network for each on demand.

A model is light until it is used: its facts are read from configuration files, its weights are
loaded when a stage first runs. Researchers add a model by giving `load` an object with these
members.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from math import gcd, lcm
from typing import TYPE_CHECKING, Literal, Protocol

from duckrabbit.errors import UserError
from duckrabbit.values import Size, as_whole, shown, words_of

if TYPE_CHECKING:  # a card can be read without torch
    from torch import Tensor

    from duckrabbit.diffusion.levels import Schedule
    from duckrabbit.diffusion.prediction import Condition, Network, Parameterisation
    from duckrabbit.diffusion.schedules import DiscreteSchedule
    from duckrabbit.diffusion.spacings import Spacing


@dataclass(frozen=True)
class Limiter:
    """How x0 is kept in range at the root of a guidance: clip (ratio None) or dynamic threshold."""

    ratio: float | None
    max_value: float


Told = Literal["t", "1-t", "1000t"]
"""How a network is told a time of its schedule."""


def told(how: Told, t: float) -> float:
    """The number that a network is told for the time t."""
    return {"t": t, "1-t": 1 - t, "1000t": 1000 * t}[how]


@dataclass(frozen=True)
class StageFacts:
    """What a run has to know about one stage before its weights are there.

    size: (height, width) of its pictures in pixels, unless a run asks for others. `stride`: the network takes any
    height and width that it divides; None where it takes its own size alone. `limiter` is what the stage's
    scheduler configuration asks for, None for nothing. `noising`: the schedule that noises the low resolution
    picture, None for a stage that takes none. `lambda_min`: where DPM-Solver++ starts, a half log SNR (-inf: anywhere).
    `told`: how the network is told the time. `gflop`: multiply-adds x 2 of one forward on one picture, in
    1e9; None where unknown.
    """

    size: Size
    channels: int
    schedule: Schedule
    prediction_type: Parameterisation
    learned_variance: bool
    variance: Literal["learned", "small", "large"]
    limiter: Limiter | None
    spacing: Spacing
    offset: int
    steps: int
    noising: DiscreteSchedule | None = None
    noise_level: int = 0
    lambda_min: float = float("-inf")
    gflop: float | None = None
    value_range: tuple[float, float] = (-1.0, 1.0)
    told: Told = "t"
    stride: int | None = None

    def __post_init__(self) -> None:
        """Raises UserError for a size that is no pair of whole numbers."""
        sides = self.size if isinstance(self.size, tuple) and len(self.size) == 2 else ()
        if not sides or not all((as_whole(side) or 0) > 0 for side in sides):
            raise UserError(f"The size of a stage is (height, width) in pixels, not {shown(self.size)}.")


def sized(stages: tuple[StageFacts, ...], size: Size, name: str) -> tuple[StageFacts, ...]:
    """The stages of the model `name` where the first makes pictures of `size`, and later ones enlarge them as ever.

    Raises UserError for a size that a network of them cannot see, or that is more than LARGER times its own.
    """
    first = stages[0].size
    if size == first:
        return stages
    times = [facts.size[0] // first[0] for facts in stages]
    whole = all(facts.size == (k * first[0], k * first[1]) for facts, k in zip(stages, times, strict=True))
    strides = [facts.stride for facts in stages if facts.stride is not None]
    if not whole or len(strides) < len(stages):
        raise UserError(f"{name} makes pictures of {words_of(first)} pixels only; leave the size out.")
    step = lcm(*(stride // gcd(stride, k) for stride, k in zip(strides, times, strict=True)))
    if min(size) < 1 or any(side % step for side in size):
        raise UserError(
            f"{name} makes pictures whose width and height are multiples of {step}, and not of {words_of(size)} "
            f"pixels; try {words_of(_near(size, step))}."
        )
    if any(side > LARGER * own for side, own in zip(size, first, strict=True)):
        raise UserError(
            f"{name} was made for pictures of {words_of(first)} pixels; {words_of(size)} is more than {LARGER} times "
            "that, where nothing that it has learned holds. Choose a smaller size."
        )
    area = size[0] * size[1] / (first[0] * first[1])
    return tuple(
        replace(facts, size=(k * size[0], k * size[1]), gflop=None if facts.gflop is None else area * facts.gflop)
        for facts, k in zip(stages, times, strict=True)
    )


LARGER = 8
"""So many times a model's own height or width is the most that it is asked for."""


def _near(size: Size, stride: int) -> Size:
    height, width = (max(stride, round(side / stride) * stride) for side in size)
    return height, width


@dataclass(frozen=True)
class Card:
    """What cards.toml says of a model: where it comes from, its licence, its habits.

    `source`: "package:FOLDER" (shipped), "builtin", a hub id, or a folder; `stage2`: likewise where
    the second stage lies, if not with the first, and `text_encoder` where that lies, if apart; `network` is the
    subfolder of a stage's network.
    `steps` and `gflop`: of each stage, as in StageFacts. `null_prompt` is
    what guidance pushes away from. `roles` gives the prompts and other settings that the gallery
    plays each experiment with; `sha256` the hash of each weight file, by its path in the folder
    (those of the second stage under "stage2/").
    """

    name: str
    title: str
    source: str
    licence: str
    licence_url: str = ""
    attribution: str = ""
    guidance_scale: float = 7.0
    guidance_scale_stage2: float = 4.0
    solver: str = "ddpm"
    null_prompt: str = ""
    gated: bool = False
    stage2: str = ""
    text_encoder: str = ""
    network: str = "unet"
    variant: str = ""
    steps: tuple[int, ...] = ()
    gflop: tuple[float, ...] = ()
    noise_level: int = 250
    value_range: tuple[float, float] = (-1.0, 1.0)
    sha256: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, object] = field(default_factory=dict)


class Model(Protocol):
    """A cascade of one stage or more. `device` and `dtype` are where and in what it computes.

    A model that only one thread can sample from at a time may have a method `turn()` besides: a context that
    every run is made in; one that may not understand a prompt a method `notes_on(conditions)`, which says
    so of prepared ones in sentences.
    """

    card: Card
    stages: tuple[StageFacts, ...]
    device: str
    dtype: str

    def condition(self, text: str) -> Condition:
        """The condition that `text` names. Raises UserError where the model has none of that kind."""

    def prepare(self, conditions: Iterable[Condition]) -> None:
        """Make conditions ready (encode prompts), before any stage is loaded."""

    def network(
        self, stage: int, low_res: Tensor | None = None, noise_level: int = 0, micro_batch: int | None = None
    ) -> Network:
        """The network of a stage, its weights loaded; `low_res` (B, C, H, W) enlarged and noised."""

    def weight_hash(self) -> Mapping[str, str]:
        """sha256 of every weight file, by its path."""


def turn_of(model: Model) -> AbstractContextManager[object]:
    """The context in which this thread has a model to itself, where the model needs that."""
    found: AbstractContextManager[object] = getattr(model, "turn", nullcontext)()
    return found


_MEMBERS = ("card", "stages", "device", "dtype", "condition", "prepare", "network", "weight_hash")


def lacks(thing: object) -> list[str]:
    """The members of a Model that something has not; of a model, none."""
    return [member for member in _MEMBERS if not hasattr(thing, member)]


def no_model(thing: object) -> str:
    """Why something is no model, in a sentence."""
    return (
        f"A {type(thing).__name__} is not a model: it is no name, folder, hub id or diffusers pipeline, and as an "
        f"object it lacks {', '.join(lacks(thing))}."
    )
