"""Frozen dataclasses as plain values, to be kept in a file and read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from duckrabbit.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Movable:
    """A dataclass that is as a whole where its tensors are, and whatever else of it can be moved."""

    def to(self, device: str | torch.device) -> Self:
        """The same on a device."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        moved = {name: part.to(device) for name, part in parts.items() if hasattr(part, "to")}
        return replace(self, **moved)  # type: ignore[type-var]


class PictureSet(Movable):
    """Pictures to train on, `images`; `digest` names the set."""

    images: Tensor
    digest: str

    def __len__(self) -> int:
        return len(self.images)

    def identity(self) -> Mapping[str, Any]:
        """How many, and of which set."""
        return {"pictures": len(self), "data": self.digest}


class Plain:
    """A recipe, a dataclass of numbers, words and tuples of them. All of its parameters learn at the same rate."""

    def to_json(self: DataclassInstance) -> dict[str, Any]:
        """The recipe as plain values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The recipe that `to_json` wrote. Raises UserError where a field is not one of a recipe."""
        unknown = set(values) - {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if unknown:
            raise UserError(f"A recipe has no {', '.join(sorted(unknown))}; it was written by another version.")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    def rates(self, module: nn.Module) -> list[tuple[list[nn.Parameter], float]]:
        """The parameters in groups, each with the factor of its learning rate."""
        return [(list(module.parameters()), 1.0)]
