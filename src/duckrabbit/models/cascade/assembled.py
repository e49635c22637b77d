"""A cascade of its stages' folders or repositories, or of the pipelines that hold them already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from duckrabbit.errors import UserError
from duckrabbit.models.cards import cards
from duckrabbit.models.cascade.folder import StageConfig, check_index, stage_facts
from duckrabbit.models.cascade.memory import Part, Policy
from duckrabbit.models.cascade.model import Cascade, encoder_hash
from duckrabbit.models.cascade.parts import Folder, HeldPart, Source, TextPart, UNetPart
from duckrabbit.models.cascade.scheduler import read_scheduler
from duckrabbit.models.cascade.text_encoder import PromptTable, TextEncoder, check_table, read_prompts
from duckrabbit.models.cascade.text_rules import IF_RULES
from duckrabbit.models.devices import pick_device, pick_dtype
from duckrabbit.models.model import Card, StageFacts


def from_sources(
    card: Card,
    first: Source,
    second: Source | None,
    device: str,
    dtype: str,
    memory: Policy,
    prompts: str | Path | PromptTable | None,
) -> Cascade:
    """A cascade whose parts are loaded when they are used. Raises UserError where configurations disagree."""
    sources = [first, *([second] if second else [])]
    configs = [source.config() for source in sources]
    stages = _stages(card, configs, [source.name for source in sources])
    unets = tuple(
        UNetPart(source, f"U-Net of stage {i}", dtype, "stage2/" if i else "") for i, source in enumerate(sources)
    )
    text: Part | None = TextPart(first, dtype, device) if (configs[0].index.get("text_encoder") or [None])[0] else None
    has_encoder = text is not None and isinstance(first, Folder) and first.folder("text_encoder").is_dir()
    encoder = encoder_hash(text.hashes()) if prompts and text and has_encoder else ""
    table, text = _table(prompts, text, configs[0], first.name, encoder)
    return Cascade(_completed(card, configs[0]), stages, unets, text, device, dtype, table, memory)


def _table(
    prompts: str | Path | PromptTable | None, text: Part | None, config: StageConfig, where: str, encoder: str = ""
) -> tuple[PromptTable, Part | None]:
    """The prompts given, checked against the model; with them the text encoder is not used."""
    if prompts is None:
        if text is None:
            raise UserError(f"{where} has no text encoder; give prompts encoded elsewhere: load(..., prompts=FILE).")
        return PromptTable({}), text
    table = prompts if isinstance(prompts, PromptTable) else read_prompts(prompts)
    check_table(table, IF_RULES, where, config.condition_width, encoder)
    return table, None


def _stages(card: Card, configs: list[StageConfig], names: list[str]) -> tuple[StageFacts, ...]:
    if configs[0].is_second:
        raise UserError(f"{names[0]} is a second stage; load a first stage, and give this one as stage2.")
    if len(configs) > 1 and not configs[1].is_second:
        raise UserError(f"{names[1]} is no second stage: it has no image_noising_scheduler.")
    if len(configs) > 1 and configs[1].reads_text and configs[0].condition_width != configs[1].condition_width:
        raise UserError(f"{names[0]} and {names[1]} were trained with different text encoders; choose another stage2.")
    default = (100, 50)
    facts = [
        stage_facts(
            config,
            name,
            steps=card.steps[i] if i < len(card.steps) else default[i],
            noise_level=card.noise_level,
        )
        for i, (config, name) in enumerate(zip(configs, names, strict=True))
    ]
    gflop: list[float | None] = [*card.gflop, None, None]
    return tuple(replace(f, value_range=card.value_range, gflop=g) for f, g in zip(facts, gflop, strict=False))


def _completed(card: Card, config: StageConfig) -> Card:
    """The card of a folder, with the solver that its scheduler names."""
    return card if card.name in cards() else replace(card, solver=read_scheduler(config.scheduler).solver)


def from_pipeline(
    pipeline: Any,
    stage2: Any,
    device: str | None,
    dtype: str | torch.dtype | None,
    memory: Policy,
    prompts: str | Path | PromptTable | None,
) -> Cascade:
    """A cascade of modules that are in memory already; they are moved where `device` says."""
    pipes = [pipeline, *([stage2] if stage2 is not None and stage2 is not False else [])]
    names = [type(p).__name__ for p in pipes]
    configs = [_pipeline_config(p) for p in pipes]
    card = Card(name=names[0], title=names[0], source="pipeline", licence="unknown")
    where = pick_device(device or str(pipeline.unet.device))
    kind = pick_dtype(dtype or pipeline.unet.dtype, where)
    for unet in (pipe.unet.eval() for pipe in pipes):
        if unet.dtype != getattr(torch, kind):
            unet.to(getattr(torch, kind))
    unets = tuple(
        HeldPart(f"U-Net of stage {i}", p.unet, p.unet, "stage2/unet" if i else "unet") for i, p in enumerate(pipes)
    )
    text: Part | None = None
    if pipeline.text_encoder is not None:
        thing = TextEncoder(pipeline.tokenizer, pipeline.text_encoder.eval())
        text = HeldPart("text encoder", thing, pipeline.text_encoder, "text_encoder")
    table, text = _table(prompts, text, configs[0], names[0])
    return Cascade(_completed(card, configs[0]), _stages(card, configs, names), unets, text, where, kind, table, memory)


def _pipeline_config(pipeline: Any) -> StageConfig:
    index: dict[str, Any] = {"vae": getattr(pipeline, "vae", None)}
    index["unet"] = ("diffusers", type(pipeline.unet).__name__)
    check_index(index, type(pipeline).__name__)
    noising = getattr(pipeline, "image_noising_scheduler", None)

    def named(scheduler: Any) -> Mapping[str, Any]:
        return {**scheduler.config, "_class_name": type(scheduler).__name__}

    return StageConfig(index, pipeline.unet.config, named(pipeline.scheduler), named(noising) if noising else None)
