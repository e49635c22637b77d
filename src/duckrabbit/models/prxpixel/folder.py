"""A PRXPixel model in a folder of diffusers' layout: what its JSON files say, without any weights.

model_index.json        _class_name PRXPixelPipeline; default_sample_size, prompt_max_tokens, noise_scale
transformer/            PRXTransformer2DModel, which says what the picture is (x0), told t in (0, 1]
scheduler/              FlowMatchEulerDiscreteScheduler, with its shift
tokenizer/, text_encoder/    Qwen3-VL's language model, as transformers saves it
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from duckrabbit.diffusion.schedules import FlowSchedule
from duckrabbit.errors import UserError
from duckrabbit.models.cascade.folder import StageConfig, class_of, read_json
from duckrabbit.models.cascade.parts import Folder
from duckrabbit.models.cascade.scheduler import FLOW, read_scheduler
from duckrabbit.models.cascade.text_rules import TextRules
from duckrabbit.models.model import Card

PIPELINE, NETWORK = "PRXPixelPipeline", "PRXTransformer2DModel"
SIZE, TOKENS, NOISE_SCALE = 1024, 256, 2.0
"""What diffusers' pipeline takes where model_index.json says nothing."""
_NEEDED = ("in_channels", "patch_size", "context_in_dim")


@dataclass(frozen=True)
class PRXPixelConfig:
    """What the configurations of a folder say.

    size: pixels of a side; `patch`: what height and width are multiples of; `text_width`: of the text encoder's
    states. `schedule`: alpha = 1 - t, sigma = noise_scale t, its times shifted as the folder's scheduler has it.
    """

    size: int
    channels: int
    patch: int
    text_width: int
    rules: TextRules
    schedule: FlowSchedule


def is_prxpixel(folder: Path) -> bool:
    """Whether the model_index.json of `folder` names PRXPixel's pipeline; one that cannot be read does not."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(index, dict) and index.get("_class_name") == PIPELINE


def read_prxpixel(folder: Path) -> StageConfig:
    """The configurations of a folder, the transformer's in the place of a U-Net's. UserError for one that is none."""
    return StageConfig(
        index=read_json(folder / "model_index.json"),
        unet=read_json(folder / "transformer" / "config.json"),
        scheduler=read_json(folder / "scheduler" / "scheduler_config.json"),
    )


def understood(config: StageConfig, where: str) -> PRXPixelConfig:
    """What configurations mean. Raises UserError, naming the field, where they are no PRXPixel model's."""
    index, network = config.index, config.unet
    if class_of(index, "vae"):  # where there is none, [null, null] may stand for it
        raise UserError(
            f"{where} is a latent diffusion model (it has a vae). Views and filters act on pixels, so a pixel-space "
            "model is needed: prxpixel, or the folder of one."
        )
    if class_of(index, "transformer") != ("diffusers", NETWORK):
        raise UserError(
            f"{where} has no transformer of the class {NETWORK}; its transformer is {index.get('transformer')}."
        )
    if missing := [name for name in _NEEDED if name not in network]:
        raise UserError(f"{where}: transformer/config.json lacks {missing[0]}; get the model again.")
    channels, patch = (_whole(network[name], name, where) for name in ("in_channels", "patch_size"))
    size = _whole(index.get("default_sample_size", SIZE), "default_sample_size", where)
    if channels not in (1, 3):
        raise UserError(f"{where}: its network takes {channels} channels, where a picture in pixels has 3 (or 1).")
    if size % patch:
        raise UserError(f"{where}: {size} pixels (default_sample_size) do not divide into patches of {patch}.")
    length = _whole(index.get("prompt_max_tokens", TOKENS), "prompt_max_tokens", where)
    return PRXPixelConfig(
        size=size,
        channels=channels,
        patch=patch,
        text_width=_whole(network["context_in_dim"], "context_in_dim", where),
        rules=TextRules(case="kept", cleaning="light", length=length, masked=True),
        schedule=_schedule(config.scheduler, index.get("noise_scale", NOISE_SCALE), where),
    )


def folder_card(folder: Path, published: Card, rules: TextRules) -> Card:
    """The card of a model in a folder: the habits of the published one, and a licence that nobody has told."""
    called = folder.resolve().name
    base = replace(published, name=called, title=called, source=str(folder), licence="unknown", licence_url="")
    return replace(base, attribution="", null_prompt=rules.null, gflop=(), sha256={}, roles={})


@dataclass(frozen=True)
class PRXPixelFolder(Folder):
    """A PRXPixel model in a folder; see cascade.parts.Source."""

    def config(self) -> StageConfig:
        """Its configurations."""
        return read_prxpixel(self.path)


def _schedule(scheduler: Mapping[str, Any], noise_scale: Any, where: str) -> FlowSchedule:
    if (kind := scheduler.get("_class_name")) != FLOW:
        raise UserError(f"{where}: PRXPixel is sampled by {FLOW}, not by {kind}; save it with that scheduler.")
    try:
        read = read_scheduler(scheduler).schedule
        assert isinstance(read, FlowSchedule)
        if isinstance(noise_scale, bool):
            raise TypeError(f"noise_scale is {noise_scale}")
        return FlowSchedule(noise_scale=float(noise_scale), shift=read.shift)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{where}: its scheduler or noise_scale cannot be read ({error}); get the model again."
        ) from None


def _whole(value: Any, name: str, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{where}: {name} is {value!r}, where a whole number above 0 is needed; get the model again.")
    return value
