"""How a model that is scored is sampled: by the jobs of `tasks.generate`, with seeds that anyone can draw again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from duckrabbit.diffusion.solvers import SOLVERS
from duckrabbit.diffusion.trajectory import State
from duckrabbit.errors import UserError
from duckrabbit.evaluation.metrics import Score
from duckrabbit.evaluation.scorecard import Line
from duckrabbit.models.model import Model
from duckrabbit.tasks.job import Job, cost
from duckrabbit.tasks.run import run
from duckrabbit.tasks.settings import Options
from duckrabbit.tasks.tasks import generate

OnMove = Callable[[str], None]
"""Hears in a word what is drawn, after each move of the loop."""


def unheard(word: str) -> None:
    """What hears every move and does nothing."""


@dataclass(frozen=True)
class Setting:
    """How to sample: guidance scale (1 is none), solver by its name, number of steps."""

    scale: float = 1.0
    solver: str = "dpm++"
    steps: int = 20

    def __post_init__(self) -> None:
        if self.solver not in SOLVERS:
            raise UserError(f"There is no solver '{self.solver}'; choose from {', '.join(SOLVERS)}.")

    def __str__(self) -> str:
        return f"{self.solver}, {self.steps} steps, scale {self.scale:g}"

    @property
    def options(self) -> Options:
        """The setting as the options of a task."""
        return {"guidance_scale": self.scale, "solver": self.solver, "steps": self.steps}

    @property
    def at(self) -> dict[str, str | float | None]:
        """The setting as plain values, as a line of a scorecard tells it."""
        return {"solver": self.solver, "steps": self.steps, "scale": self.scale}


@dataclass(frozen=True)
class Sampler:
    """A model, the number of its stages to run, and how many prompts share a network call."""

    model: Model
    batch: int
    stages: int = 1

    def job(self, prompts: str | Sequence[str], setting: Setting) -> Job:
        """The job that draws a prompt, or several in one batch, in a setting, as `generate` makes it."""
        options: Options = {**setting.options, "stage": self.stages}
        return generate(self.model, prompts, **options)

    def draw(self, prompts: Sequence[str], setting: Setting, on_move: OnMove = unheard, first_seed: int = 0) -> Tensor:
        """A picture for each prompt, prompt k from seed first_seed + k: (N, C, S, S), 0 to 1.

        `on_move` hears the first prompt of the batch after each of its moves.
        """
        self.model.prepare([self.model.condition(p) for p in dict.fromkeys(prompts)])  # encoded once, all together
        parts = []
        for start in range(0, len(prompts), self.batch):
            own = tuple(prompts[start : start + self.batch])
            seeds = range(first_seed + start, first_seed + start + len(own))
            on_state = partial(_first_word, on_move, own[0] or str(setting))
            parts.append(run(self.job(own, setting), seeds, paired=True, on_state=on_state).unit)
        return torch.cat(parts)

    def price(self, settings: Sequence[Setting], prompts: Sequence[str]) -> Price:
        """What the prompts, of which each costs as much as the first, cost in every one of `settings`."""
        every = [cost(self.job(prompt, setting)) for setting in settings for prompt in prompts[:1]]
        count, batches = len(prompts), math.ceil(len(prompts) / self.batch)
        calls = batches * sum(stage.calls for c in every for stage in c)
        moves = batches * sum(stage.moves for c in every for stage in c)
        return Price(moves, calls, tuple(count * sum(c[k].pictures for c in every) for k in range(self.stages)))

    def evaluate(
        self,
        prompts: Sequence[str],
        settings: Sequence[Setting],
        score: Callable[[Tensor], Mapping[str, Score | None]],
        on_move: OnMove = unheard,
    ) -> Iterator[Line]:
        """Draw a picture for every prompt in every setting, from the same seeds, and `score` them; a line a setting."""
        for setting in settings:
            start = time.perf_counter()
            pictures = self.draw(prompts, setting, on_move)
            seconds = (time.perf_counter() - start) / len(pictures)
            yield Line({**setting.at, "pictures": len(pictures)}, score(pictures), seconds)


def _first_word(on_move: OnMove, word: str, position: int, state: State) -> None:
    on_move(word)


class Price(NamedTuple):
    """What drawing costs: moves of the loop, network calls, and by stage the pictures through the network."""

    moves: int
    calls: int
    pictures: tuple[int, ...]
