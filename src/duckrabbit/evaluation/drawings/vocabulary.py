"""The words of the judge: subjects and styles by number, what prompts ask for, and prompts to ask a model with."""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from duckrabbit.data.drawings.captions import plain_caption, with_article
from duckrabbit.data.drawings.drawings import Drawings
from duckrabbit.data.drawings.names import held_out_names
from duckrabbit.data.drawings.names import vocabulary as common_names
from duckrabbit.errors import UserError
from duckrabbit.files import write_text

FAMILIES = 5
"""A subject is known to the judge when at least so many families of the training drawings have it."""

PROMPTS = "prompts.txt"
"""A model's own list of what it was trained on: lines under "# styles" and "# subjects"."""

SHEET = Path(__file__).parent / "sheet-prompts.txt"
"""The prompts of the uncurated sheet, a line each, drawn once from the judge's vocabulary: `draw_pairs`."""


class Pair(NamedTuple):
    """A style and a subject, by their numbers in a vocabulary."""

    style: int
    subject: int


@dataclass(frozen=True)
class Vocabulary:
    """What a judge tells apart.

    `styles` ("glossy emoji") and `subjects` ("apple") by number; `keywords`: other words that mean one subject.
    """

    styles: tuple[str, ...]
    subjects: tuple[str, ...]
    keywords: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The vocabulary as plain values."""
        return {**asdict(self), "keywords": dict(self.keywords)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Vocabulary:
        """What `to_json` gave. Raises KeyError or TypeError where it is something else."""
        styles, subjects = (tuple(str(v) for v in values[n]) for n in ("styles", "subjects"))
        return cls(styles, subjects, dict(values["keywords"]))

    def pair(self, prompt: str) -> Pair:
        """What a prompt asks for. Raises UserError for a style or a subject that the judge does not know."""
        style, _ = self._parted(prompt)
        if style is None:
            raise UserError(f"The judge knows no style in '{prompt}'; it knows {', '.join(self.styles)}.")
        return Pair(style, self.subject(prompt))

    def subject(self, prompt: str) -> int:
        """The number of the subject in a prompt: "a glossy emoji of an apple", "an apple" or "apple" give "apple".

        A keyword stands for its subject ("automobile" for "car"). Raises UserError for one that the judge does not
        know, with those that come near.
        """
        _, words = self._parted(prompt)
        for candidate in (words, words.split(" of ", 1)[-1]):
            bare = _without_article(candidate)
            name = self.keywords.get(bare, bare)
            if name in self.subjects:
                return self.subjects.index(name)
        near = difflib.get_close_matches(words, self.subjects, 4, 0.5) or self.subjects[:4]
        raise UserError(f"The judge does not know the subject of '{prompt}'; it knows {', '.join(near)} and others.")

    def prompt(self, pair: Pair) -> str:
        """The prompt that asks for a pair."""
        return plain_caption(self.styles[pair.style], self.subjects[pair.subject])

    def _parted(self, prompt: str) -> tuple[int | None, str]:
        """The number of the style that a prompt begins with, the longest that fits, and the words after it."""
        words = _without_article(" ".join(prompt.lower().split()))
        fits = [k for k, style in enumerate(self.styles) if words.startswith(style + " of ")]
        if not fits:
            return None, words
        best = max(fits, key=lambda k: len(self.styles[k]))
        return best, words.removeprefix(self.styles[best] + " of ")


def common_subjects() -> set[str]:
    """What people say, and know when it is drawn small: the subjects of `data build drawings --subjects common`."""
    return {names[0] for names in common_names().values()}


def vocabulary_of(drawings: Drawings, families: int = FAMILIES, among: Collection[str] | None = None) -> Vocabulary:
    """The subjects (of those in `among`) that at least `families` families draw, the styles, and keywords.

    Keywords are those that mean one subject only. Raises UserError where too few are left to tell apart.
    """
    drawn: dict[str, set[str]] = defaultdict(set)
    meaning: dict[str, set[str]] = defaultdict(set)
    for subject, family, words in zip(drawings.subjects, drawings.families, drawings.keywords, strict=True):
        drawn[subject].add(family)
        for word in words:
            meaning[word.lower()].add(subject)
    wanted = drawn.keys() if among is None else drawn.keys() & set(among)
    subjects = tuple(sorted(s for s in wanted if len(drawn[s]) >= families))
    if len(subjects) < 2:
        raise UserError(
            f"Fewer than two subjects are drawn by {families} families or more: there is nothing to tell apart. "
            "Build the whole set with `duckrabbit data build drawings`."
        )
    known = set(subjects)
    for word, subject in held_out_names().items():  # the judge reads prompts, and learns nothing from words
        meaning[word].add(subject)
    keywords = {w: min(of) for w, of in sorted(meaning.items()) if len(of) == 1 and of <= known and w not in known}
    return Vocabulary(tuple(sorted(set(drawings.styles))), subjects, keywords)


def model_vocabulary(folder: Path | None, vocabulary: Vocabulary) -> dict[Pair, str]:
    """The prompts that a model can be asked with, by what the judge will look for.

    From the `prompts.txt` in the model's folder, in its own words; without one, all pairs of the judge's vocabulary.
    What the judge does not know is left out. Raises UserError where nothing is left.
    """
    path = folder / PROMPTS if folder else None
    if path is None or not path.is_file():
        pairs = (Pair(s, k) for k in range(len(vocabulary.subjects)) for s in range(len(vocabulary.styles)))
        return {pair: vocabulary.prompt(pair) for pair in pairs}
    lists = read_prompt_list(path)
    asked: dict[Pair, str] = {}
    for subject in lists["subjects"]:
        try:
            number = vocabulary.subject(subject)
        except UserError:
            continue
        for style in lists["styles"]:
            prompt = f"{style.removesuffix(' of')} of {with_article(subject)}"
            found, _ = vocabulary._parted(prompt)
            if found is not None:
                asked.setdefault(Pair(found, number), prompt)
    if not asked:
        raise UserError(f"The judge knows none of the styles and subjects in {path}; train one that does.")
    return asked


def read_prompt_list(path: Path) -> dict[str, list[str]]:
    """The lines of a prompts.txt under each heading "# NAME"; comments before the first are left out."""
    lists: dict[str, list[str]] = {"styles": [], "subjects": []}
    current: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"# (\w+)", line.strip()):
            current = lists.setdefault(heading[1], [])
        elif line.strip() and not line.startswith("#"):
            current.append(line.strip())
    return lists


def write_prompt_list(drawings: Drawings, folder: Path) -> Path:
    """Write the `prompts.txt` of a model that was trained on `drawings` into its folder; returns it."""
    styles = [f"{with_article(style)} of" for style in sorted(set(drawings.styles))]
    lists = {"styles": styles, "subjects": sorted(set(drawings.subjects))}
    lines = ['# What this model was trained on. Prompts are "STYLE a(n) SUBJECT", or other words for these.']
    for heading, words in lists.items():
        lines += [f"# {heading}", *words]
    write_text(folder / PROMPTS, "\n".join(lines) + "\n")
    return folder / PROMPTS


def draw_pairs(pairs: Iterable[Pair], count: int, seed: int = 0) -> list[Pair]:
    """`count` of the pairs at random, no subject a second time before all have had their turn.

    Sorted, then drawn without replacement by torch's generator with `seed`: the same wherever it is done. Fewer
    where there are fewer pairs.
    """
    generator = torch.Generator().manual_seed(seed)
    every = sorted(set(pairs))
    shuffled = [every[i] for i in torch.randperm(len(every), generator=generator).tolist()]
    turns: Counter[int] = Counter()
    ranked = []
    for position, pair in enumerate(shuffled):
        ranked.append((turns[pair.subject], position, pair))
        turns[pair.subject] += 1
    return [pair for _, _, pair in sorted(ranked)[:count]]


def sheet_prompts(path: Path = SHEET) -> list[str]:
    """The prompts of the uncurated sheet, as they were committed."""
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


def pairs_in(drawings: Drawings, vocabulary: Vocabulary) -> set[Pair]:
    """The pairs of style and subject that were drawn."""
    subject = {name: k for k, name in enumerate(vocabulary.subjects)}
    style = {name: k for k, name in enumerate(vocabulary.styles)}
    named = zip(drawings.styles, drawings.subjects, strict=True)
    return {Pair(style[a], subject[b]) for a, b in named if a in style and b in subject}


def _without_article(words: str) -> str:
    return re.sub(r"^(an?|the) ", "", words)
