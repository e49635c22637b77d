"""Whether the published model is on this machine: a question for a list of models, so nothing heavy is imported."""

from __future__ import annotations

from pathlib import Path

from duckrabbit.models.model import Card
from duckrabbit.models.weights import is_complete

CHECKPOINT = "model.ckpt"


def is_cached(card: Card) -> bool:
    """Whether the published network and its text encoder are on this machine; looks at files only."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(card.text_encoder, "config.json")
    here = isinstance(config, str) and is_complete(Path(config).parent, "text_encoder", "")
    return here and isinstance(try_to_load_from_cache(card.source, CHECKPOINT), str)
