"""The published PixNerd on its hub, and its text encoder, which lies in a repository of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from duckrabbit.errors import UserError
from duckrabbit.models.cascade.folder import StageConfig
from duckrabbit.models.cascade.hub import Repository
from duckrabbit.models.pixnerd.cached import CHECKPOINT
from duckrabbit.models.pixnerd.folder import TEXT_INDEX, safetensors_in
from duckrabbit.networks.pixnerd import PixNerdConfig

_TOKENIZER = ("tokenizer_config.json", "tokenizer.json")


@dataclass(eq=False)
class Published(Repository):
    """The network's files on the hub, one Lightning checkpoint; see parts.Files."""

    configs: ClassVar[tuple[str, ...]] = (CHECKPOINT,)
    also: ClassVar[tuple[str, ...]] = ()

    def sizes(self) -> PixNerdConfig:
        """The network's sizes, which the repository does not tell: those of the published configuration."""
        return PixNerdConfig()

    def weights(self) -> Path:
        """The weights as safetensors; the checkpoint is downloaded and converted, once."""
        return safetensors_in(self._root, self.sizes())

    def bytes_missing(self, part: str) -> int:
        """What `weights` would download, in bytes."""
        cached = self._cached()
        if cached is not None and (cached / CHECKPOINT).is_file():
            return 0
        self._require_network()
        if CHECKPOINT not in self._files:
            raise UserError(self._unlike())
        return int(self._files[CHECKPOINT].size or 0)

    def folder(self, part: str) -> Path:
        """The folder of the weights, downloaded and converted where that has not been done."""
        return self.weights().parent

    def _unlike(self) -> str:
        return f"{self.name} is not a PixNerd model: it has no {CHECKPOINT}. Give the model 'pixnerd', or a folder."


@dataclass(eq=False)
class Qwen(Repository):
    """A text encoder and its tokenizer, side by side at the top of a repository; see cascade.parts.Source."""

    configs: ClassVar[tuple[str, ...]] = ("config.json", *_TOKENIZER)
    also: ClassVar[tuple[str, ...]] = ("vocab.json", "merges.txt")
    width: ClassVar[int] = 2

    def config(self) -> StageConfig:
        """The classes of its parts."""
        return StageConfig(TEXT_INDEX, {}, {})

    def _place(self, part: str) -> Path:
        return self._root

    def _names(self, part: str) -> list[str]:
        self._require_network()
        return [name for name in self._files if "/" not in name]

    def _unlike(self) -> str:
        return f"{self.name} is no text encoder of transformers: it has no config.json. Give a folder of Qwen3."
