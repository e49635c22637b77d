"""A PixNerd model in a folder: what lies where, and what its config.json says.

    config.json          {"pixnerd": {sizes of the network}, "guidance_scale": 4.0, "steps": 25, ...}
    model.safetensors    the network under our names; or model.ckpt, the published checkpoint
    tokenizer/, text_encoder/    Qwen3, as transformers saves it; without them it comes from the hub

A folder with the published checkpoint alone is of the published sizes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from duckrabbit.errors import UserError
from duckrabbit.files import write_text
from duckrabbit.folders import cache_folder
from duckrabbit.models.cascade.folder import StageConfig, read_json
from duckrabbit.models.cascade.parts import Folder
from duckrabbit.models.model import Card
from duckrabbit.models.pixnerd.cached import CHECKPOINT
from duckrabbit.models.pixnerd.checkpoint import convert
from duckrabbit.models.weights import count_parameters, file_hash
from duckrabbit.networks.pixnerd import PixNerdConfig

CONFIG, WEIGHTS = "config.json", "model.safetensors"
TEXT_INDEX = {"tokenizer": ("transformers", "AutoTokenizer"), "text_encoder": ("transformers", "AutoModel")}
"""The classes of the text encoder's parts: whatever their configurations name."""
_CARD = ("title", "licence", "licence_url", "attribution", "guidance_scale", "steps", "null_prompt")


def is_pixnerd(folder: Path) -> bool:
    """Whether `folder` holds a PixNerd model: its config.json says so, or the published checkpoint lies there."""
    if not folder.is_dir() or (folder / "model_index.json").exists():
        return False
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return (folder / CHECKPOINT).is_file()
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "pixnerd" in config


def read_config(folder: Path) -> tuple[PixNerdConfig, dict[str, Any]]:
    """The sizes of the network in a folder, and all that config.json says. UserError where they cannot be."""
    path = folder / CONFIG
    values = read_json(path) if path.exists() else {"pixnerd": {}}
    try:
        return PixNerdConfig.from_json(values["pixnerd"]), values
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, UserError):
            raise UserError(f"{path} does not describe a PixNerd model: {error}") from None
        raise UserError(f"{path} does not describe a PixNerd model ({error!r}); get it again.") from None


def write_config(folder: Path, config: PixNerdConfig, **values: Any) -> None:
    """Write config.json; `values`: what of a card there is to say (title, licence, guidance_scale, steps, ...)."""
    write_text(folder / CONFIG, json.dumps({"pixnerd": config.to_json(), **values}, indent=2) + "\n")


def folder_card(folder: Path, published: Card) -> Card:
    """The card of a model in a folder: what its config.json says, and the habits of the published model."""
    _, values = read_config(folder)
    called = folder.resolve().name
    mine = {name: values[name] for name in _CARD if name in values}
    try:
        if "steps" in mine:
            mine["steps"] = (int(mine["steps"]),)
        if "guidance_scale" in mine:
            mine["guidance_scale"] = float(mine["guidance_scale"])
    except (TypeError, ValueError) as error:
        raise UserError(f"{folder / CONFIG} does not describe a model ({error}); get it again.") from None
    base = replace(
        published, name=called, title=called, source=str(folder), licence="unknown", licence_url="", attribution=""
    )
    plain = replace(base, gflop=(), sha256={}, roles={})
    return replace(plain, **mine)


@dataclass(frozen=True)
class Local:
    """The network's files in a folder; see parts.Files."""

    path: Path
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's path."""
        return str(self.path)

    def sizes(self) -> PixNerdConfig:
        """The network's sizes."""
        return read_config(self.path)[0]

    def weights(self) -> Path:
        """The weights as safetensors; the published checkpoint is converted, once."""
        return safetensors_in(self.path, self.sizes())


@dataclass(frozen=True)
class LocalText(Folder):
    """A Qwen3 in a folder, in subfolders or all at the top."""

    def config(self) -> StageConfig:
        """The classes of its parts."""
        return StageConfig(TEXT_INDEX, {}, {})

    def folder(self, part: str) -> Path:
        """The folder of a part."""
        return self.path / part if (self.path / part).is_dir() else self.path

    def size(self, part: str) -> int:
        """The numbers that a part's weights hold."""
        return sum(count_parameters(p) for p in self.folder(part).glob("*.safetensors"))


def safetensors_in(folder: Path, config: PixNerdConfig) -> Path:
    """model.safetensors of a folder, made out of model.ckpt if need be: beside it, or in the cache if that cannot be.

    Raises UserError where there is neither, or the checkpoint is not of these sizes.
    """
    beside, checkpoint = folder / WEIGHTS, folder / CHECKPOINT
    if beside.is_file():
        return beside
    if not checkpoint.is_file():
        raise UserError(f"{folder} holds no weights ({WEIGHTS} or {CHECKPOINT}); copy or download the model again.")
    target = beside
    if not os.access(folder, os.W_OK):
        target = cache_folder() / "pixnerd" / f"{file_hash(checkpoint)}.safetensors"
    if not target.is_file():
        convert(checkpoint, target, config)
    return target
