"""Where drawings come from: the families of sources.toml, and under which terms each may be used."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

from duckrabbit.errors import UserError

PERMISSIVE = ("MIT", "Apache-2.0", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "public domain")
"""Terms under which pictures and weights made with the drawings may be used and sold; some ask to name the authors."""


@dataclass(frozen=True)
class Package:
    """An archive of the npm registry, known by its content, and whom to name for it."""

    package: str
    version: str
    integrity: str
    title: str
    author: str
    url: str
    licence: str

    @property
    def archive(self) -> str:
        """The name that `npm pack` gives the archive."""
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def name(self) -> str:
        """Package and version, as in "@iconify-json/noto 1.2.9"."""
        return f"{self.package} {self.version}"

    @property
    def permissive(self) -> bool:
        """Whether its licence is among PERMISSIVE."""
        return self.licence in PERMISSIVE


@dataclass(frozen=True)
class Family(Package):
    """The drawings of one package, in one style; see the head of sources.toml for the fields."""

    family: str
    phrases: tuple[str, ...]
    pictures: str = ""
    variants: int = 1
    colourless: bool = False
    unseen: bool = False
    optional: bool = False
    names: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def style(self) -> str:
        """The words of the style in captions."""
        return self.phrases[0]


@lru_cache(maxsize=1)
def families() -> Mapping[str, Family]:
    """All families by name, in the order of sources.toml."""
    return {name: Family(family=name, **_tuples(entry)) for name, entry in _sources()["drawings"].items()}


@lru_cache(maxsize=1)
def words() -> Mapping[str, Package]:
    """The packages that say what the drawings are called."""
    return {name: Package(**entry) for name, entry in _sources()["words"].items()}


def choose_families(names: Iterable[str] | None, share_alike: bool = False) -> tuple[Family, ...]:
    """The families asked for, in the order of sources.toml; by default all permissive ones that are not optional.

    share_alike: allow families under other licences than the permissive ones, and take them by default.
    Raises UserError for a family that does not exist, and for one whose licence was not allowed.
    """
    known = families()
    if names is None:
        chosen = [f for f in known.values() if not f.optional or (share_alike and not f.permissive)]
    else:
        wanted = list(names)
        for name in wanted:
            if name not in known:
                raise UserError(f"There is no family of drawings '{name}'; choose from {', '.join(known)}.")
        chosen = [f for f in known.values() if f.family in wanted]
    for family in chosen:
        if not family.permissive and not share_alike:
            raise UserError(
                f"{family.family} is under {family.licence}: what is made with it has to be shared under the same "
                "terms. Give --share-alike if that is what you want."
            )
    if not chosen:
        raise UserError(f"No family of drawings is named; choose from {', '.join(known)}.")
    return tuple(chosen)


def _sources() -> dict[str, dict[str, dict[str, Any]]]:
    return tomllib.loads(files("duckrabbit.data.drawings").joinpath("sources.toml").read_text(encoding="utf-8"))


def _tuples(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
