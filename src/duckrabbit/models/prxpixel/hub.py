"""The published PRXPixel on its hub, and how a repository is known to hold one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from duckrabbit.models.cascade.folder import StageConfig
from duckrabbit.models.cascade.hub import Hub, Repository
from duckrabbit.models.prxpixel.folder import is_prxpixel, read_prxpixel

_INDEX = "model_index.json"


@dataclass(eq=False)
class PRXPixelRepository(Repository):
    """A PRXPixel model in a repository of the hub, its weights in bfloat16; see cascade.parts.Source."""

    configs: ClassVar[tuple[str, ...]] = (_INDEX, "transformer/config.json", "scheduler/scheduler_config.json")
    also: ClassVar[tuple[str, ...]] = ()
    width: ClassVar[int] = 2

    def config(self) -> StageConfig:
        """Its configurations, downloaded where they are not cached."""
        return read_prxpixel(self._root)


@dataclass(eq=False)
class Index(Repository):
    """The model_index.json of a repository, and nothing else."""

    configs: ClassVar[tuple[str, ...]] = (_INDEX,)
    also: ClassVar[tuple[str, ...]] = ()

    def place(self) -> Path:
        """The folder that holds it, downloaded where it is not cached."""
        return self._root


def is_published(name: str, revision: str | None, hub: Hub) -> bool:
    """Whether a repository's model_index.json names PRXPixel's pipeline. UserError where there is none."""
    return is_prxpixel(Index(name, revision, "", {}, hub).place())
