"""A model walked on a schedule that it was not trained on: "miniature@flow"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from torch import Tensor

from duckrabbit.diffusion.levels import Schedule
from duckrabbit.diffusion.prediction import Condition, Network
from duckrabbit.diffusion.schedules import FlowSchedule
from duckrabbit.errors import UserError
from duckrabbit.models.cards import RECASTS
from duckrabbit.models.model import Card, Model, StageFacts, turn_of
from duckrabbit.networks.recast import recast

SCHEDULES: dict[str, Schedule] = dict(zip(RECASTS, (FlowSchedule(),), strict=True))
"""What the names after the @ stand for."""


@dataclass(eq=False)
class Recast:
    """`model` with its first stage on another schedule, "flow": the straight path of lessons on flow matching.

    Its network is asked at the level of its own with the same signal-to-noise ratio (networks/recast.py), and so it
    answers as it was trained to. What a run walks, and what a picture is noised to, are the levels of the flow.
    Later stages stay as they are. Raises UserError for another name, and for a model of one step.
    """

    model: Model
    schedule: str = "flow"

    card: Card = field(init=False)
    stages: tuple[StageFacts, ...] = field(init=False)
    device: str = field(init=False)
    dtype: str = field(init=False)

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise UserError(f"A model can be recast to {', '.join(SCHEDULES)}, not to '{self.schedule}'.")
        first, *later = self.model.stages
        if first.schedule.one_step:
            raise UserError(f"{self.model.card.name} takes noise away in one step, and walks no {self.schedule}.")
        changed = replace(first, schedule=SCHEDULES[self.schedule], spacing="trailing", offset=0, variance="small")
        self.stages = (changed, *later)
        name = f"{self.model.card.name}@{self.schedule}"
        solver = "ddim" if self.model.card.solver.startswith("ddpm") else self.model.card.solver
        self.card = replace(self.model.card, name=name, solver=solver)
        self.device, self.dtype = self.model.device, self.model.dtype

    def turn(self) -> AbstractContextManager[object]:
        """A context in which this thread has the model to itself, where it needs that."""
        return turn_of(self.model)

    def condition(self, text: str) -> Condition:
        """The model's own condition."""
        return self.model.condition(text)

    def prepare(self, conditions: Iterable[Condition]) -> None:
        """As the model does."""
        self.model.prepare(conditions)

    def notes_on(self, conditions: Iterable[Condition]) -> Mapping[str, str]:
        """What the model has to say of prompts, if it has."""
        found: Mapping[str, str] = self.model.notes_on(conditions) if hasattr(self.model, "notes_on") else {}
        return found

    def network(
        self, stage: int, low_res: Tensor | None = None, noise_level: int = 0, micro_batch: int | None = None
    ) -> Network:
        """The model's network; that of the first stage at the levels of the other schedule."""
        own = self.model.network(stage, low_res, noise_level, micro_batch)
        return recast(own, self.model.stages[0].schedule) if stage == 0 else own

    def weight_hash(self) -> Mapping[str, str]:
        """Those of the model."""
        return self.model.weight_hash()


def plain(model: Model) -> Model:
    """The model itself, whatever schedule it is walked on."""
    return model.model if isinstance(model, Recast) else model
