"""The sets of small labelled pictures by name: what each is, how it is fetched, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from duckrabbit.data.colour import fetch as colour
from duckrabbit.data.colour.cifar import LABELS
from duckrabbit.data.colour.read import SOURCES
from duckrabbit.data.colour.read import load as load_colour
from duckrabbit.data.mnist import fetch as mnist
from duckrabbit.data.mnist.read import Pictures, Split
from duckrabbit.errors import UserError
from duckrabbit.folders import data_folder


@dataclass(frozen=True)
class SetFacts:
    """What a set `shows`, in words; `channels`, 1 grey or 3 colour; `labels`, the names of its ten classes, if any."""

    shows: str
    channels: int = 1
    labels: tuple[str, ...] = ()


SETS: Mapping[str, SetFacts] = {
    "mnist": SetFacts("handwritten digits"),
    "fashion-mnist": SetFacts("pieces of clothing"),
    "svhn": SetFacts("digits of house numbers (SVHN, a set for non-commercial use)", 3),
    "cifar-10": SetFacts("photographs of ten kinds of animals and vehicles", 3, LABELS),
}
"""All have pictures of 28 x 28 pixels, and ten classes."""


def set_facts(name: str) -> SetFacts:
    """What the set `name` is. Raises UserError, with the names there are, for another."""
    if name not in SETS:
        raise UserError(f"There is no data set '{name}'; choose {', '.join(SETS)}.")
    return SETS[name]


def fetch(
    name: str,
    into: Path,
    *,
    local: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
    progress: bool = False,
) -> Path:
    """Bring the files of a set into the folder `into`, unless they are there and whole; returns it.

    local: a folder with its files; if given, nothing is downloaded. Raises UserError where the set cannot be had.
    """
    set_facts(name)
    bring = colour.fetch if name in SOURCES else mnist.fetch
    return bring(name, into, local=local, report=report, progress=progress)


def load_or_fetch(name: str, split: Split, report: Callable[[str], None] = lambda line: None) -> Pictures:
    """A split of a set from the cache folder, fetched first if it is not there. Raises UserError as `fetch` does."""
    set_facts(name)
    if name not in SOURCES:
        return mnist.load_or_fetch(name, split, report)
    folder = data_folder(name)
    if not all((folder / file).is_file() for file in SOURCES[name].every_file):
        fetch(name, folder, report=report)
    return load_colour(name, split, folder)
