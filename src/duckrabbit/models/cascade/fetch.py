"""Fetching a model on purpose: what is missing, how large it is, and getting it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from duckrabbit.models.cascade.hub import Hub, Repository
from duckrabbit.models.load import find_parts
from duckrabbit.models.model import Card


@dataclass(frozen=True)
class Missing:
    """A part of a repository that is not on this machine, and its size in bytes."""

    repository: Repository
    part: str
    size: int


def missing_parts(name: str, hub: Hub | None = None) -> tuple[Card, list[Missing]]:
    """The card of a model, and what of it has to be downloaded; only configurations are fetched.

    Raises UserError where there is no such model, or the hub refuses it.
    """
    card, wanted = find_parts(name, hub or Hub())
    found = [
        Missing(source, part, source.bytes_missing(part)) for source, part in wanted if isinstance(source, Repository)
    ]
    return card, [item for item in found if item.size]


def fetch(items: Sequence[Missing]) -> None:
    """Download parts into the hub's cache. Raises UserError where the hub or the disk refuses."""
    for item in items:
        item.repository.folder(item.part)
