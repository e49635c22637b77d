"""Loading a PixNerd model: by name, by its hub id, or from a folder; only configurations are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from duckrabbit.diffusion.schedules import FlowSchedule
from duckrabbit.errors import UserError
from duckrabbit.models.cards import cards
from duckrabbit.models.cascade.hub import Hub
from duckrabbit.models.cascade.memory import Policy
from duckrabbit.models.cascade.model import Cascade
from duckrabbit.models.cascade.text_encoder import PromptTable, read_prompts
from duckrabbit.models.cascade.text_rules import TextRules
from duckrabbit.models.model import Card, StageFacts
from duckrabbit.models.pixnerd.folder import Local, LocalText, folder_card, is_pixnerd
from duckrabbit.models.pixnerd.hub import Published, Qwen
from duckrabbit.models.pixnerd.parts import NetworkPart, QwenPart
from duckrabbit.networks.pixnerd import PixNerdConfig

NAME = "pixnerd"


def means_pixnerd(name: str) -> bool:
    """Whether a name, a hub id or a path is that of a PixNerd model."""
    return name in (NAME, cards()[NAME].source) or is_pixnerd(Path(name).expanduser())


def sources(name: str, revision: str | None, hub: Hub) -> tuple[Card, Local | Published, LocalText | Qwen]:
    """The card, the network's files and the text encoder's of a name that `means_pixnerd`."""
    card, folder = cards()[NAME], Path(name).expanduser()
    elsewhere = Qwen(card.text_encoder, None, "", {}, hub)
    if not is_pixnerd(folder):
        return card, Published(card.source, revision, "", card.sha256, hub), elsewhere
    text = LocalText(folder) if (folder / "text_encoder").is_dir() else elsewhere
    return folder_card(folder, card), Local(folder), text


def load_pixnerd(
    name: str,
    device: str,
    dtype: str,
    prompts: str | Path | PromptTable | None,
    memory: Policy,
    revision: str | None,
    hub: Hub,
) -> Cascade:
    """The model that `name` means, a cascade of one stage. Raises UserError where its files do not describe one.

    Its prompts are taken as they are typed, capitals and all. With `prompts` the text encoder is not used.
    """
    card, files, words = sources(name, revision, hub)
    config = files.sizes()
    rules = TextRules(case="kept", cleaning="none", length=config.text_tokens)
    text = QwenPart(words, dtype, device, rules, states=config.text_width)
    table = PromptTable({})
    if prompts is not None:
        table = prompts if isinstance(prompts, PromptTable) else read_prompts(prompts, rules)
        _check_table(table, config, card.name)
    return Cascade(
        card,
        (_facts(card, config),),
        (NetworkPart(files, config, dtype),),
        text if prompts is None else None,
        device,
        dtype,
        table,
        memory,
        rules=rules,
    )


def parts_of(name: str, hub: Hub) -> tuple[Card, list[tuple[Any, str]]]:
    """The card, and what of the model has to lie on this machine: a source and a part of it each."""
    card, files, words = sources(name, None, hub)
    return card, [(words, "tokenizer"), (words, "text_encoder"), (files, "network")]


def _facts(card: Card, config: PixNerdConfig) -> StageFacts:
    return StageFacts(
        size=(config.size, config.size),
        channels=config.channels,
        schedule=FlowSchedule(),
        prediction_type="flow",
        learned_variance=False,
        variance="small",
        limiter=None,
        spacing="trailing",
        offset=0,
        steps=card.steps[0] if card.steps else 25,
        gflop=card.gflop[0] if card.gflop else None,
        value_range=card.value_range,
        told="1-t",
        stride=config.grid,
    )


def _check_table(table: PromptTable, config: PixNerdConfig, where: str) -> None:
    wanted = (config.text_tokens, config.text_width)
    for embedding in table.embeddings.values():
        if tuple(embedding.shape) != wanted:
            raise UserError(
                f"The prompts are {tuple(embedding.shape)}, but {where} takes {wanted} (tokens, width): they were "
                "encoded for another model."
            )
