"""What to try next: successive halving without waiting, over pairs of subjects.

Pairs climb rungs. On each they are tried with more seeds and more steps; from one rung to the next goes the best
third of those that have finished it, as soon as it is a group. That is successive halving without waiting (Li et al.
2020, arXiv 1810.05934), but that of all that finished a rung no more than a third ever leaves it. So the budget
goes to what promises, whenever it ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from random import Random

Couple = tuple[str, str]
"""Two subjects: what the picture is upright, and what it is in the view."""


@dataclass(frozen=True)
class Rung:
    """How a couple is tried: with so many seeds, so many steps, and so many couples in a network call."""

    seeds: int
    steps: int
    abreast: int


RUNGS = (Rung(2, 8, 8), Rung(4, 12, 4), Rung(8, 20, 2), Rung(16, 20, 1))
"""16 pictures a call on each."""
ETA = 3
"""One of so many goes on."""
AMONG, PRIOR = 24, 2.0
"""A couple is proposed as the best of so many drawn by lot, by how its subjects did so far; a subject that nobody has
tried counts as if it had been tried so often with the mean."""


@dataclass(frozen=True)
class Tally:
    """What is known of a couple: the rung that it finished last, its seeds tried and read, its mean alignment."""

    rung: int
    tried: int
    read: int
    alignment: float

    def plus(self, rung: int, alignments: Sequence[float], read: Sequence[bool]) -> Tally:
        """With the seeds of another rung."""
        tried = self.tried + len(alignments)
        mean = (self.tried * self.alignment + sum(alignments)) / tried
        return Tally(rung, tried, self.read + sum(read), mean)


NEW = Tally(-1, 0, 0, 0.0)


def choose(tallies: Mapping[Couple, Tally], subjects: Sequence[str], *, ordered: bool, chance: Random) -> list[Couple]:
    """The couples to try next, all of one rung: those that are due to climb, the highest first, or new ones.

    `ordered`: whether (a, b) and (b, a) are two couples. None are left where all have been tried and none is to climb.
    """
    for rung in range(len(RUNGS) - 2, -1, -1):
        finished, climbed = (sum(t.rung >= at for t in tallies.values()) for at in (rung, rung + 1))
        waiting = sorted((c for c, t in tallies.items() if t.rung == rung), key=lambda c: -tallies[c].alignment)
        enough = RUNGS[rung + 1].abreast
        if min(len(waiting), finished // ETA - climbed) >= enough:
            return waiting[:enough]
    return proposed(tallies, subjects, RUNGS[0].abreast, ordered=ordered, chance=chance)


def proposed(
    tallies: Mapping[Couple, Tally], subjects: Sequence[str], count: int, *, ordered: bool, chance: Random
) -> list[Couple]:
    """New couples: every second by lot, every other the best of AMONG by how well its subjects have done."""
    worth, made = _worth(tallies), list[Couple]()
    every = permutations(subjects, 2) if ordered else combinations(sorted(subjects), 2)
    untried = [couple for couple in every if couple not in tallies]
    for k in range(min(count, len(untried))):
        drawn = chance.sample(untried, min(len(untried), 1 if k % 2 == 0 else AMONG))
        best = max(drawn, key=lambda couple: worth(couple[0]) + worth(couple[1]))
        made.append(best)
        untried.remove(best)
    return made


def _worth(tallies: Mapping[Couple, Tally]) -> _Means:
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for couple, tally in tallies.items():
        for subject in couple:
            sums[subject] += tally.alignment
            counts[subject] += 1
    mean = sum(t.alignment for t in tallies.values()) / len(tallies) if tallies else 0.0
    return _Means(sums, counts, mean)


@dataclass(frozen=True, eq=False)
class _Means:
    """The mean alignment of a subject's couples, drawn towards that of all."""

    sums: Mapping[str, float]
    counts: Mapping[str, int]
    mean: float

    def __call__(self, subject: str) -> float:
        count = self.counts.get(subject, 0)
        return (self.sums.get(subject, 0.0) + PRIOR * self.mean) / (count + PRIOR)
