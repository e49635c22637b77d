"""Recipes: everything that decides what a training run gives, as one frozen value.

A recipe and a seed name a run. It goes into the run folder and into every checkpoint; a run is
never continued under another recipe.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import Tensor, nn

from duckrabbit.data.mnist.read import Pictures, to_range
from duckrabbit.data.sets import set_facts
from duckrabbit.diffusion.schedules import DiscreteSchedule, FlowSchedule, linear, rescale_zero_terminal_snr
from duckrabbit.errors import UserError
from duckrabbit.networks.unet_28 import Conditioning, Edition, UNetConfig, build_unet
from duckrabbit.training.objectives import Denoising, Diffusion, Draws, Flow, Objective, Weighting
from duckrabbit.training.rates import one_cycle
from duckrabbit.training.values import Plain

Task = Literal["denoiser", "time", "class"]
Goal = Literal["picture", "epsilon", "v_prediction", "flow"]
Decay = Literal["constant", "exponential", "cosine"]


@dataclass(frozen=True)
class DigitRecipe(Plain):
    """What to train, on what, and how.

    goal: what the network says; "picture" is single-step denoising at `sigma`. steps: T of the
    linear beta schedule (1e-4 to 0.02). rate: the learning rate, at its highest. decay: "exponential"
    multiplies it by 0.1^(1 / epochs) after every epoch (the course), "cosine" raises it over the
    first `warmup` of the steps and lowers it to 0 on a cosine. ema and clip: 0 for none.
    snapshots: after which epochs to keep the weights.
    """

    weight_decay: ClassVar[float] = 0.0

    name: str
    task: Task
    goal: Goal
    hidden: int = 64
    edition: Edition = "ddpm"
    value_range: tuple[float, float] = (0.0, 1.0)
    sigma: float = 0.5
    pure_noise: bool = False
    steps: int = 300
    zero_terminal_snr: bool = False
    weighting: Weighting = "uniform"
    stratified: bool = False
    p_uncond: float = 0.1
    data: str = "mnist"
    batch: int = 128
    epochs: int = 20
    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    decay: Decay = "constant"
    warmup: float = 0.05
    ema: float = 0.0
    clip: float = 0.0
    seed: int = 180
    snapshots: tuple[int, ...] = (1, 5, 10, 15, 20)

    def __post_init__(self) -> None:
        if min(self.batch, self.epochs, self.steps) < 1 or self.rate <= 0:
            raise UserError("A recipe needs a batch, epochs and steps of at least 1, and a learning rate above 0.")
        if self.decay not in ("constant", "exponential", "cosine"):
            raise UserError(f"Unknown decay '{self.decay}'; choose constant, exponential or cosine.")
        if (self.goal == "picture") != (self.task == "denoiser"):
            raise UserError(
                f"A {self.task} model cannot be trained for '{self.goal}'; a denoiser predicts the picture."
            )

    @property
    def noise(self) -> Literal["cpu"]:
        """Random numbers are drawn on the CPU, the same on every machine."""
        return "cpu"

    def build(self) -> nn.Module:
        """The network, with random weights."""
        return build_unet(self.network())

    def inputs(self, data: Pictures, rows: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """The pictures of these rows (N, C, 28, 28) in the model's range, and their labels."""
        return to_range(data.images[rows], self.value_range), data.labels[rows]

    def length(self, pictures: int) -> tuple[int, int]:
        """The steps of an epoch, whose last batch may be smaller than the others, and of the run."""
        steps = math.ceil(pictures / self.batch)
        return steps, steps * self.epochs

    def rests(self, step: int, steps_per_epoch: int) -> bool:
        """After every epoch."""
        return step % steps_per_epoch == 0

    def network(self) -> UNetConfig:
        """The shape of the network. Raises UserError for data that there are not."""
        told: Conditioning = "none" if self.task == "denoiser" else self.task
        return UNetConfig(self.hidden, told, self.edition, channels=set_facts(self.data).channels)

    def schedule(self) -> DiscreteSchedule | FlowSchedule:
        """The noise levels to train on, and to sample through."""
        if self.goal == "flow":
            return FlowSchedule()
        schedule = linear(self.steps)
        return rescale_zero_terminal_snr(schedule) if self.zero_terminal_snr else schedule

    def objective(self) -> Objective:
        """The loss. Raises UserError for a goal that does not exist."""
        conditional = self.task == "class"
        if self.goal == "picture":
            return Denoising(self.sigma, self.pure_noise)
        schedule = self.schedule()
        if isinstance(schedule, FlowSchedule):
            return Flow(conditional, self.p_uncond, self.stratified)
        if self.goal not in ("epsilon", "v_prediction"):
            raise UserError(f"Unknown goal '{self.goal}'; choose picture, epsilon, v_prediction or flow.")
        return Diffusion(schedule, self.goal, conditional, self.p_uncond, self.weighting, self.stratified)

    def learning_rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of step 0, 1, ...: a function of the step, so that nothing has to be kept."""
        if self.decay == "exponential":
            return self.rate * 0.1 ** ((step // steps_per_epoch) / self.epochs)
        if self.decay == "cosine":
            return one_cycle(self.rate, step, self.epochs * steps_per_epoch, self.warmup)
        return self.rate


_COURSE = DigitRecipe("cs180-class", "class", "epsilon", decay="exponential")
_FAST = DigitRecipe(
    "fast-class",
    "class",
    "v_prediction",
    value_range=(-1.0, 1.0),
    zero_terminal_snr=True,
    stratified=True,
    batch=64,
    epochs=3,
    rate=2e-3,
    betas=(0.9, 0.99),
    decay="cosine",
    ema=0.998,
    clip=1.0,
    snapshots=(1, 2, 3),
)

_FLOW = replace(
    _COURSE, name="cs180-flow-class", goal="flow", edition="flow", batch=64, epochs=10, rate=1e-2, snapshots=(1, 5, 10)
)
_PRESETS = (
    _COURSE,
    replace(_COURSE, name="cs180-time", task="time"),
    DigitRecipe("cs180-denoiser", "denoiser", "picture", hidden=128, batch=256, epochs=5, rate=1e-4, snapshots=(1, 5)),
    _FLOW,
    replace(_FLOW, name="cs180-flow-time", task="time"),
    _FAST,
    replace(_FAST, name="fast-time", task="time", epochs=4, snapshots=(1, 4)),
    replace(
        _FAST,
        name="fast-denoiser",
        task="denoiser",
        goal="picture",
        value_range=(0.0, 1.0),
        zero_terminal_snr=False,
        stratified=False,
        epochs=5,
        snapshots=(1, 5),
    ),
)
RECIPES: Mapping[str, DigitRecipe] = {recipe.name: recipe for recipe in _PRESETS}
"""The presets: "cs180-*" as the course gives them, "fast-*" the project's own, by name."""


EDITIONS = {"cs180-2024": "cs180", "cs180-2025": "cs180-flow", "cs180-2026": "cs180-flow"}
"""What the course trained in a year: DDPM, then flow matching; its denoiser stayed."""


def find_recipe(name: str) -> DigitRecipe:
    """The preset `name`; a course by its year, as "cs180-2026-class", is the edition of that year.

    Raises UserError, with the names that exist, for another.
    """
    preset, _, task = name.rpartition("-")
    edition = EDITIONS.get(preset, preset)
    known = f"{edition}-{task}"
    if known not in RECIPES and edition != preset:
        known = f"cs180-{task}"
    if known not in RECIPES:
        raise UserError(f"There is no recipe '{name}'; choose from {', '.join(RECIPES)}.")
    return RECIPES[known]
