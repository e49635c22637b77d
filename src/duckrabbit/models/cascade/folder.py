"""Folders in the diffusers format: what their JSON files say of a stage, without any weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from duckrabbit.diffusion.levels import Schedule
from duckrabbit.diffusion.schedules import DiscreteSchedule
from duckrabbit.errors import UserError
from duckrabbit.models.cascade.scheduler import SchedulerFacts, Variance, read_scheduler
from duckrabbit.models.model import Card, StageFacts
from duckrabbit.values import Size

CARD = "card.json"
"""What a stage trained by duckrabbit recommends: steps, guidance scale, noise level; and how it was trained."""


@dataclass(frozen=True)
class StageConfig:
    """The configurations of one stage: `index` is model_index.json, the others its parts' own."""

    index: Mapping[str, Any]
    unet: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    noising: Mapping[str, Any] | None = None

    @property
    def is_second(self) -> bool:
        """Whether the stage enlarges a low resolution picture."""
        return self.noising is not None

    @property
    def reads_text(self) -> bool:
        """Whether the U-Net looks at the text embeddings that it is handed."""
        blocks = [*self.unet.get("down_block_types", ("CrossAttnDownBlock2D",)), self.unet.get("mid_block_type")]
        return any("CrossAttn" in str(block) for block in blocks) or bool(self.unet.get("addition_embed_type"))

    @property
    def condition_width(self) -> int:
        """The width of the text embeddings that the U-Net takes."""
        return int(self.unet.get("encoder_hid_dim") or self.unet["cross_attention_dim"])


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises UserError where the file is missing or is not one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path.parent} is not a model in the diffusers format: it has no {path.name}. "
            "Give the folder that holds model_index.json."
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); copy or download it again.") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} does not hold a JSON object; copy or download it again.")
    return value


def read_folder(folder: Path) -> StageConfig:
    """The configurations of the stage in `folder`. Raises UserError where it is not an IF-layout stage."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; give a model's name, its folder, or a hub id.")
    index = read_json(folder / "model_index.json")
    check_index(index, str(folder))
    noising = None
    if index.get("image_noising_scheduler"):
        noising = read_json(folder / "image_noising_scheduler" / "scheduler_config.json")
    return StageConfig(
        index=index,
        unet=read_json(folder / "unet" / "config.json"),
        scheduler=read_json(folder / "scheduler" / "scheduler_config.json"),
        noising=noising,
    )


def folder_card(folder: Path, second: Path | None = None) -> Card:
    """The card of a model in a folder, and of the second stage in another: what their card.json recommend.

    A model without card.json has the habits of DeepFloyd IF. Raises UserError for one that is damaged.
    """
    called = folder.resolve().name
    card = Card(name=called, title=called, source=str(folder), licence="unknown")
    paths = [path / CARD for path in (folder, second) if path is not None]
    stage_cards: list[dict[str, Any]] = [read_json(path) if path.is_file() else {} for path in paths]
    try:
        scale = float(stage_cards[0].get("guidance_scale", card.guidance_scale))
        licence, attribution = (str(stage_cards[0].get(n, getattr(card, n))) for n in ("licence", "attribution"))
        card = replace(card, guidance_scale=scale, licence=licence, attribution=attribution)
        if all("steps" in one for one in stage_cards):
            card = replace(card, steps=tuple(int(one["steps"]) for one in stage_cards))
        if all("gflop" in one for one in stage_cards):
            card = replace(card, gflop=tuple(float(one["gflop"]) for one in stage_cards))
        if stage_cards[1:] and stage_cards[1]:
            scale, level = (
                stage_cards[1].get("guidance_scale", 1.0),
                stage_cards[1].get("noise_level", card.noise_level),
            )
            card = replace(card, guidance_scale_stage2=float(scale), noise_level=int(level))
    except (TypeError, ValueError) as error:
        raise UserError(f"A {CARD} of {folder} does not describe a model ({error}); export it again.") from None
    return card


def class_of(index: Mapping[str, Any], part: str) -> tuple[str, str] | None:
    """The library and the class that model_index.json names for a part; None where it names none."""
    match index.get(part):
        case [str(library), str(name)]:
            return library, name
    return None


def check_index(index: Mapping[str, Any], where: str) -> None:
    """Raises UserError for a pipeline that is not a pixel-space, text-conditional U-Net of diffusers."""
    if index.get("vae"):
        raise UserError(
            f"{where} is a latent diffusion model (it has a vae). Views and filters act on pixels, so a "
            "pixel-space model is needed: miniature, or a cascade of DeepFloyd IF's layout."
        )
    unet = index.get("unet")
    if not isinstance(unet, (list, tuple)) or tuple(unet) != ("diffusers", "UNet2DConditionModel"):
        raise UserError(f"{where} has no U-Net of the class UNet2DConditionModel; its unet is {unet}.")


def stage_facts(config: StageConfig, where: str, *, steps: int = 100, noise_level: int = 250) -> StageFacts:
    """What a run has to know of a stage. Raises UserError where its configurations disagree."""
    unet, scheduler = config.unet, read_scheduler(config.scheduler)
    inputs, outputs, size = int(unet.get("in_channels", 4)), int(unet.get("out_channels", 4)), _size(unet, where)
    noising = None if config.noising is None else read_scheduler(config.noising).schedule
    channels = inputs // 2 if config.is_second else inputs
    if outputs not in (channels, 2 * channels):
        raise UserError(
            f"{where}: a U-Net of {inputs} input channels gives {channels} or {2 * channels} output channels, "
            f"not {outputs}."
        )
    if config.is_second and (unet.get("class_embed_type") != "timestep" or inputs % 2):
        raise UserError(
            f"{where}: a second stage has 2 x {channels} input channels and is told the noise level "
            f"(class_embed_type 'timestep'), not {inputs} and {unet.get('class_embed_type')!r}."
        )
    if not config.is_second and unet.get("class_embed_type"):
        raise UserError(f"{where}: a first stage conditioned on classes ({unet['class_embed_type']}) is not supported.")
    learned = outputs == 2 * channels
    return StageFacts(
        size=size,
        channels=channels,
        schedule=scheduler.schedule,
        prediction_type=scheduler.prediction_type,
        learned_variance=learned,
        variance=_variance(scheduler, learned, where),
        limiter=scheduler.limiter,
        spacing=scheduler.spacing,
        offset=scheduler.offset,
        steps=steps,
        noising=_checked_level(noising, noise_level, where),
        noise_level=noise_level if noising else 0,
        lambda_min=scheduler.lambda_min,
        told=scheduler.told,
        stride=2 ** (len(unet.get("down_block_types", "1234")) - 1),
    )


def _size(unet: Mapping[str, Any], where: str) -> Size:
    """(height, width) that a U-Net was trained for: a number of its configuration, or two."""
    given = unet.get("sample_size")
    sides = tuple(given) if isinstance(given, list | tuple) else (given, given)
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise UserError(f"{where}: the U-Net's sample_size is {given}; a number of pixels, or two, is needed.")
    return sides[0], sides[1]


def _variance(scheduler: SchedulerFacts, learned: bool, where: str) -> Variance:
    if scheduler.variance == "learned" and not learned:
        raise UserError(
            f"{where}: the scheduler asks for a learned variance, but the U-Net has no channels for it; "
            "set variance_type to fixed_small or fixed_large in scheduler_config.json."
        )
    return scheduler.variance or ("learned" if learned else "small")


def _checked_level(noising: Schedule | None, noise_level: int, where: str) -> DiscreteSchedule | None:
    if noising is None:
        return None
    if not isinstance(noising, DiscreteSchedule):
        raise UserError(f"{where}: the low resolution picture is noised on a chain of levels, not on a flow.")
    if not 0 <= noise_level < len(noising.alphas_cumprod):
        raise UserError(f"{where}: a noise level is from 0 to {len(noising.alphas_cumprod) - 1}, not {noise_level}.")
    return noising
