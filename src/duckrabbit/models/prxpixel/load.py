"""Loading a PRXPixel model: by name, by its hub id, or from a folder; only configurations are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from duckrabbit.diffusion.prediction import Condition
from duckrabbit.errors import UserError
from duckrabbit.models.cards import cards
from duckrabbit.models.cascade.folder import StageConfig
from duckrabbit.models.cascade.hub import Hub, is_repository
from duckrabbit.models.cascade.memory import Policy
from duckrabbit.models.cascade.model import Cascade, encoder_hash
from duckrabbit.models.cascade.parts import HeldPart
from duckrabbit.models.cascade.text_encoder import LanguageModel, PromptTable, check_table, read_prompts
from duckrabbit.models.devices import pick_device, pick_dtype
from duckrabbit.models.model import Card, StageFacts
from duckrabbit.models.prxpixel.folder import (
    PIPELINE,
    PRXPixelConfig,
    PRXPixelFolder,
    folder_card,
    is_prxpixel,
    understood,
)
from duckrabbit.models.prxpixel.hub import PRXPixelRepository, is_published
from duckrabbit.models.prxpixel.parts import Asked, TransformerPart, WordsPart

NAME = "prxpixel"


@dataclass(eq=False)
class PRXPixel(Cascade):
    """A cascade of one stage, whose transformer is so large that its room is looked for before anything is fetched."""

    def prepare(self, conditions: Iterable[Condition]) -> None:
        """Encode the prompts that are not encoded yet. Raises UserError where the transformer would not fit."""
        for part in self.unets:
            self.memory.check(part)
        super().prepare(conditions)


def means_prxpixel(name: str, revision: str | None, hub: Hub) -> bool:
    """Whether a name, a hub id or a path is that of a PRXPixel model; a hub id that no card has is looked up."""
    folder, known = Path(name).expanduser(), {card.source for card in cards().values()} | set(cards())
    if name in (NAME, cards()[NAME].source):
        return True
    if folder.is_dir() or name in known:
        return is_prxpixel(folder)
    return is_repository(name) and is_published(name, revision, hub)


def load_prxpixel(
    name: str,
    device: str,
    dtype: str,
    prompts: str | Path | PromptTable | None,
    memory: Policy,
    revision: str | None,
    hub: Hub,
) -> PRXPixel:
    """The model that `name` means, a cascade of one stage. Raises UserError where its files do not describe one.

    Its prompts keep their case. With `prompts`, which need masks, the text encoder is not used.
    """
    source = _source(name, revision, hub)
    config = understood(source.config(), source.name)
    card = _card(name, source, config)
    text = WordsPart(source, dtype, device, config.rules)
    table = PromptTable({})
    if prompts is not None:
        table = prompts if isinstance(prompts, PromptTable) else read_prompts(prompts, config.rules)
        here = isinstance(source, PRXPixelFolder) and (source.path / "text_encoder").is_dir()
        encoder = encoder_hash(text.hashes()) if here else ""
        check_table(table, config.rules, source.name, config.text_width, encoder)
    return PRXPixel(
        card,
        (_facts(card, config),),
        (TransformerPart(source, dtype, config.patch),),
        text if prompts is None else None,
        device,
        dtype,
        table,
        memory,
        config.rules,
    )


def is_pipeline(thing: Any) -> bool:
    """Whether something is diffusers' pipeline of PRXPixel."""
    return type(thing).__name__ == PIPELINE and hasattr(thing, "transformer")


def from_pipeline(pipeline: Any, device: str | None, dtype: str | torch.dtype | None, memory: Policy) -> PRXPixel:
    """The model of a PRXPixelPipeline, whose modules are in memory already; they are moved where `device` says."""
    if pipeline.text_encoder is None or pipeline.tokenizer is None:
        raise UserError("This PRXPixelPipeline has no text encoder; give one that has, or a folder and a prompt file.")
    network, scheduler = pipeline.transformer.eval(), pipeline.scheduler
    named = {**scheduler.config, "_class_name": type(scheduler).__name__}
    config = understood(StageConfig(pipeline.config, network.config, named), PIPELINE)
    where = pick_device(device or str(network.device))
    kind = pick_dtype(dtype or network.dtype, where)
    if network.dtype != getattr(torch, kind):
        network.to(getattr(torch, kind))
    words = LanguageModel(pipeline.tokenizer, pipeline.text_encoder.eval(), rules=config.rules)
    card = replace(folder_card(Path(PIPELINE), cards()[NAME], config.rules), source="pipeline")
    return PRXPixel(
        card,
        (_facts(card, config),),
        (HeldPart("transformer", Asked(network, config.patch), network, "transformer"),),
        HeldPart("text encoder", words, pipeline.text_encoder, "text_encoder"),
        where,
        kind,
        policy=memory,
        rules=config.rules,
    )


def parts_of(name: str, hub: Hub) -> tuple[Card, list[tuple[Any, str]]]:
    """The card, and what of the model has to lie on this machine: a source and a part of it each."""
    source = _source(name, None, hub)
    card = _card(name, source, understood(source.config(), source.name))
    return card, [(source, part) for part in ("tokenizer", "text_encoder", "transformer")]


def _source(name: str, revision: str | None, hub: Hub) -> PRXPixelFolder | PRXPixelRepository:
    card, folder = cards()[NAME], Path(name).expanduser()
    if name in (NAME, card.source):
        return PRXPixelRepository(card.source, revision, card.variant, card.sha256, hub)
    if is_prxpixel(folder):
        if revision is not None:
            raise UserError(f"revision would change nothing: {name} does not lie on the hub. Leave it out.")
        return PRXPixelFolder(folder)
    return PRXPixelRepository(name, revision, "", {}, hub)


def _card(name: str, source: PRXPixelFolder | PRXPixelRepository, config: PRXPixelConfig) -> Card:
    published = cards()[NAME]
    if name in (NAME, published.source):
        return published
    if isinstance(source, PRXPixelFolder):
        return folder_card(source.path, published, config.rules)
    card = folder_card(Path(name), published, config.rules)
    return replace(card, name=name, title=name, source=name, licence_url=f"https://huggingface.co/{name}")


def _facts(card: Card, config: PRXPixelConfig) -> StageFacts:
    return StageFacts(
        size=(config.size, config.size),
        channels=config.channels,
        schedule=config.schedule,
        prediction_type="sample",
        learned_variance=False,
        variance="small",
        limiter=None,
        spacing="flow-euler",
        offset=0,
        steps=card.steps[0],
        gflop=card.gflop[0] if card.gflop else None,
        value_range=card.value_range,
        told="t",
        stride=config.patch,
    )
