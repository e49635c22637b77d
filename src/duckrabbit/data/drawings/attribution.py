"""Whom to name for a set of drawings, and under which terms it may be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from duckrabbit.data.drawings.drawings import Drawings
from duckrabbit.data.drawings.sources import PERMISSIVE, Family, Package, families, words

TERMS: Mapping[str, str] = {
    "MIT": "https://opensource.org/license/mit",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
}
_MAY = """Yes. Every source allows use, change and sale, and what a model makes after learning from the drawings is
no copy of one, unless it comes out nearly the same: then name its authors. If you pass on the drawings themselves,
or this data set, keep this file with it: the licences ask that the authors be named, and CC-BY-4.0 that changes
be told (here: rendered on white at {size} px, selected and captioned)."""
_SHARE_ALIKE = """You may, but some sources here are share-alike ({which}): what is adapted from their drawings has to
be passed on under the same licence. Whether that reaches what a model makes is disputed; leave these families out
if you do not want to find out. This set is rendered on white at {size} px, selected and captioned."""


_MODEL_MAY = """Yes, pictures that it makes are yours to use, to change and to sell: every source allows use, change and
sale. If one comes out nearly the same as a drawing, name the drawing's authors."""
_MODEL_SHARE_ALIKE = """You may, but it learned from drawings under {which}, and whether that reaches what a model
makes is disputed."""


@dataclass(frozen=True)
class Credits:
    """Whom to name for what a model learned from: by "what and by whom", how many drawings, and their licence."""

    drawings: Mapping[str, int]
    licences: Mapping[str, str]

    @property
    def bound(self) -> tuple[str, ...]:
        """The licences that are not PERMISSIVE."""
        return tuple(sorted({licence for licence in self.licences.values() if licence not in PERMISSIVE}))

    @property
    def answer(self) -> str:
        """Whether pictures of the model may be used and sold."""
        return _MODEL_SHARE_ALIKE.format(which=", ".join(self.bound)) if self.bound else _MODEL_MAY

    @property
    def sentence(self) -> str:
        """Everybody in one line."""
        return f"Drawings: {'; '.join(f'{of} ({licence})' for of, licence in self.licences.items())}."


def credits_of(drawings: Drawings) -> Credits:
    """Whom to name for these drawings: by family, those that most are of first."""
    counts: Counter[str] = Counter()
    licences = {}
    for name, source, licence in zip(drawings.families, drawings.sources, drawings.licences, strict=True):
        family = families().get(name)
        by = f"{family.title} by {family.author}, {family.url}" if family else source
        counts[by] += 1
        licences[by] = licence
    ordered = dict(counts.most_common())
    return Credits(ordered, {by: licences[by] for by in ordered})


def attribution(families: Iterable[Family], counts: Mapping[str, int], size: int) -> str:
    """The text of ATTRIBUTION.md: a plain answer, then every source. counts: drawings by family."""
    chosen = list(families)
    bound = sorted({f.licence for f in chosen if not f.permissive})
    answer = (_SHARE_ALIKE if bound else _MAY).format(size=size, which=", ".join(bound))
    rows = [
        f"| {_linked(f)} | {f.author} | {_terms(f)} | {f.name} | {f.style} | {counts.get(f.family, 0)} |"
        for f in chosen
    ]
    named = [f"- {_linked(p)} by {p.author}, {p.name}, {_terms(p)}" for p in words().values()]
    return "\n".join(
        [
            "# Sources of these drawings", "", "**May I use and sell pictures made with them?** " + answer, "",
            "| drawings | by | licence | package | style | drawings taken |", "|---|---|---|---|---|---|", *rows, "",
            "Labels and keywords:", "", *named, "",
        ]
    )  # fmt: skip


def _linked(package: Package) -> str:
    return f"[{package.title}]({package.url})"


def _terms(package: Package) -> str:
    return f"[{package.licence}]({TERMS[package.licence]})"
