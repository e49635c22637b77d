"""Model cards: the models known by name, from cards.toml beside this file.

Reading a card imports neither torch nor any other heavy package.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from duckrabbit.errors import UserError
from duckrabbit.folders import ASSETS
from duckrabbit.models.model import Card

DEFAULT = "miniature"
"""The model that is meant where none is named; it comes with the package."""

RECASTS = ("flow",)
"""What may stand after the @ of a model's name: the schedules that it can be walked on instead of its own."""
_PACKAGE = "package:"


@lru_cache(maxsize=1)
def cards() -> Mapping[str, Card]:
    """All cards by name, the default first."""
    text = files("duckrabbit.models").joinpath("cards.toml").read_text(encoding="utf-8")
    return {name: _card(name, entry) for name, entry in tomllib.loads(text).items()}


def card(name: str) -> Card:
    """The card of a model. Raises UserError, with the names there are, for an unknown one."""
    if name not in cards():
        raise UserError(
            f"There is no model '{name}'. Models: {', '.join(cards())}; or give a folder in the diffusers format, "
            "or a hub id such as DeepFloyd/IF-I-M-v1.0."
        )
    return cards()[name]


def is_packaged(card: Card) -> bool:
    """Whether the weights come with the package."""
    return card.source.startswith(_PACKAGE)


def folder_of(name: str) -> Path:
    """The folder that `name` stands for: of a model that comes with the package, or the path it is."""
    known = cards().get(name)
    return package_folder(known.source if known else name) or Path(name).expanduser()


def package_folder(source: str) -> Path | None:
    """The folder that a card's "package:FOLDER" stands for; None for any other source."""
    if not source.startswith(_PACKAGE):
        return None
    return ASSETS / "weights" / source.removeprefix(_PACKAGE)


def _card(name: str, entry: dict[str, Any]) -> Card:
    known = {f.name for f in fields(Card)}
    wrong = sorted(set(entry) - known)
    if wrong:
        raise UserError(f"The card of {name} in cards.toml has an unknown field {wrong[0]}; its fields: {known}.")
    values: dict[str, Any] = {k: tuple(v) if k in ("steps", "gflop", "value_range") else v for k, v in entry.items()}
    return Card(name=name, **values)


def split_recast(source: str) -> tuple[str, str | None]:
    """The model and the schedule of "NAME@flow"; anything else is a model, with None."""
    name, at, schedule = source.rpartition("@")
    return (name, schedule) if at and schedule in RECASTS else (source, None)
