"""The search itself: try, promote, verify on fresh seeds, within a budget of time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch

from duckrabbit.data.drawings.captions import plain_caption
from duckrabbit.errors import UserError
from duckrabbit.evaluation.drawings.judge import Judge, load_judge
from duckrabbit.evaluation.drawings.readings import Readings, read
from duckrabbit.evaluation.search.halving import RUNGS, Couple, choose
from duckrabbit.evaluation.search.journal import VERIFIED, Journal, Trial
from duckrabbit.files import only_writer
from duckrabbit.guidance.views.shipped import parse_view
from duckrabbit.models.model import Model
from duckrabbit.tasks.job import Job
from duckrabbit.tasks.run import run
from duckrabbit.tasks.tasks import generate
from duckrabbit.values import as_path, number, whole

FRESH = 10_000
"""The first of the seeds that winners are verified on; those of the rungs lie below."""
RESERVED = 0.2
"""The share of a budget that is kept for verifying."""
ENOUGH = 0.5
"""The share of fresh seeds in which a winner is read both ways."""
Heard = Callable[[str, float], None]
"""heard(what is done, share of the budget spent): after every group of trials."""


@dataclass(frozen=True)
class Wanted:
    """What is searched: couples of `subjects` in a `style`, the second seen through `view`, by stage I of a model.

    `keep` winners are wanted, each verified on `fresh` seeds with `steps` steps.
    """

    subjects: tuple[str, ...]
    style: str
    view: str
    keep: int = 10
    fresh: int = 8
    steps: int = 25
    seed: int = 0

    def prompts(self, couple: Couple) -> dict[str, str]:
        """What an anagram of a couple is asked with."""
        first, second = (plain_caption(self.style, subject) for subject in couple)
        return {"identity": first, self.view: second}


@dataclass(frozen=True)
class Found:
    """A couple with what the search saw of it, and what fresh seeds say."""

    couple: Couple
    tried: int
    read: int
    verified: Trial

    @property
    def share(self) -> float:
        """The share of fresh seeds in which both subjects were read first."""
        hits = self.verified.read()
        return sum(hits) / len(hits)

    @property
    def alignment(self) -> float:
        """The mean alignment of the fresh seeds."""
        return sum(self.verified.alignments) / len(self.verified.alignments)

    @property
    def best(self) -> int:
        """The fresh seed of the largest alignment."""
        return max(zip(self.verified.alignments, self.verified.seeds, strict=True))[1]


class _Clock:
    """How much of a budget is spent, and whether there is room for another round as long as the last."""

    def __init__(self, budget: float) -> None:
        self.budget, self.began, self.last, self.longest = budget, time.monotonic(), time.monotonic(), 0.0

    def tick(self) -> float:
        """The share that is spent, at the end of a round."""
        now = time.monotonic()
        self.last, self.longest = now, now - self.last
        return (now - self.began) / self.budget

    def has_room(self, share: float) -> bool:
        """Whether another round ends within this share of the budget; the first one may always begin."""
        return time.monotonic() - self.began + self.longest <= share * self.budget


@dataclass(frozen=True, eq=False)
class Search:
    """A search by a model and a judge, kept in `journal`."""

    model: Model
    judge: Judge
    wanted: Wanted
    journal: Journal

    def go_on(self, budget: float, heard: Heard = lambda words, share: None) -> list[Found]:
        """Try for `budget` seconds, more than before where there was a before; the winners, the best first.

        The last fifth is for verifying, and at least one couple is verified. Raises UserError for no budget.
        """
        if not budget > 0:
            raise UserError("A search needs a budget of time.")
        clock = _Clock(budget)
        while clock.has_room(1 - RESERVED) and self.step():
            heard(f"{len(self.journal.tallies)} pairs tried", clock.tick())
        while (couple := self._next_to_verify()) is not None and (not self.journal.verified or clock.has_room(1)):
            self.verify(couple)
            heard(f"{len(self.journal.verified)} pairs verified", clock.tick())
        return self.winners()

    def step(self) -> bool:
        """Try the couples that are due; whether there were any."""
        chance = Random(f"{self.wanted.seed}/{len(self.journal.trials)}")
        tallies = self.journal.tallies
        due = choose(tallies, self.wanted.subjects, ordered=not _undoes_itself(self.wanted.view), chance=chance)
        if not due:
            return False
        number = tallies[due[0]].rung + 1 if due[0] in tallies else 0
        rung, first = RUNGS[number], sum(r.seeds for r in RUNGS[:number])
        seeds = tuple(range(first, first + rung.seeds))
        for trial in self._tried(due, number, seeds, rung.steps):
            self.journal.add(trial)
        return True

    def verify(self, couple: Couple) -> None:
        """Try a couple on seeds that nothing was chosen by."""
        seeds = tuple(range(FRESH, FRESH + self.wanted.fresh))
        (trial,) = self._tried([couple], VERIFIED, seeds, self.wanted.steps)
        self.journal.add(trial)

    def winners(self) -> list[Found]:
        """At most `keep` couples that were verified, by the share of fresh seeds read both ways, then by alignment."""
        tallies = self.journal.tallies
        found = [
            Found(couple, tallies[couple].tried, tallies[couple].read, trial)
            for couple, trial in self.journal.verified.items()
            if couple in tallies
        ]
        return sorted(found, key=lambda f: (-f.share, -f.alignment))[: self.wanted.keep]

    def job(self, couples: Sequence[Couple], steps: int) -> Job:
        """The anagrams of couples in one batch, at stage I."""
        return generate(self.model, [self.wanted.prompts(c) for c in couples], stage=1, steps=steps)

    def _next_to_verify(self) -> Couple | None:
        """The most promising couple that is not verified; none when as many as wanted have been read often enough."""
        good = [found for found in self.winners() if found.share >= ENOUGH]
        left = {c: t for c, t in self.journal.tallies.items() if c not in self.journal.verified}
        if len(good) >= self.wanted.keep or not left:
            return None
        return max(left, key=lambda c: (_lower(left[c].read, left[c].tried), left[c].alignment))

    def _tried(self, couples: Sequence[Couple], rung: int, seeds: tuple[int, ...], steps: int) -> list[Trial]:
        result = run(self.job(couples, steps), seeds)
        low, high = result.job.model.stages[0].value_range
        pictures = ((result.images - low) / (high - low)).clamp(0, 1) * 2 - 1
        view, made = parse_view(self.wanted.view, self.model.stages[0].size), []
        for k, couple in enumerate(couples):
            own = pictures[k * len(seeds) : (k + 1) * len(seeds)]
            upright, turned = self.wanted.prompts(couple).values()
            readings: Readings = read(self.judge, own, [(lambda x: x, upright), (view, turned)])
            ranks = tuple((int(a), int(b)) for a, b in readings.ranks)
            made.append(Trial(couple, rung, seeds, tuple(round(float(a), 4) for a in readings.alignment), ranks))
        return made


def subjects_of(words: Sequence[str], judge: Judge) -> tuple[str, ...]:
    """The subjects to search among, each by the judge's own name, once; all that it knows for "all".

    Raises UserError for one that the judge does not know, and for fewer than two.
    """
    known = judge.vocabulary.subjects
    named = known if list(words) == ["all"] else tuple(dict.fromkeys(known[judge.vocabulary.subject(w)] for w in words))
    if len(named) < 2:
        raise UserError("A search takes two subjects or more; name them, or `all`.")
    return named


def _undoes_itself(view: str) -> bool:
    """Whether looking twice is not looking: then (a, b) and (b, a) are one couple, seen from either side."""
    x = torch.arange(3 * 32 * 32, dtype=torch.float32).view(1, 3, 32, 32)
    look = parse_view(view, 32)
    return torch.equal(look(look(x)), x)


def _lower(read: int, tried: int, z: float = 1.0) -> float:
    """Wilson's lower bound of a share, one standard deviation down."""
    if not tried:
        return 0.0
    p = read / tried
    centre, spread = p + z * z / (2 * tried), z * math.sqrt(p * (1 - p) / tried + z * z / (4 * tried * tried))
    return (centre - spread) / (1 + z * z / tried)


def begin(model: Model, judge: Judge, wanted: Wanted, folder: Path) -> Search:
    """A search kept in `folder`, from where one there was left. Raises UserError where another search lies there."""
    if not wanted.style.strip():
        raise UserError("Say how things are drawn, as in 'flat emoji'.")
    about = {
        "model": model.card.name,
        "weights": sorted(model.weight_hash().values()),
        "style": wanted.style,
        "view": wanted.view,
        "subjects": list(wanted.subjects),
        "seed": wanted.seed,
        "fresh": wanted.fresh,
        "steps": wanted.steps,
        "rungs": [[r.seeds, r.steps] for r in RUNGS],
    }
    generate(model, wanted.prompts((wanted.subjects[0], wanted.subjects[1])), stage=1)  # a view says now what is wrong
    return Search(model, judge, wanted, Journal(folder, about))


def search(
    model: Model,
    subjects: str | Sequence[str] = "all",
    *,
    style: str = "flat emoji",
    view: str = "rotate_180",
    budget: float = 1200.0,
    keep: int = 10,
    fresh: int = 8,
    steps: int | None = None,
    seed: int = 0,
    out: str | Path = "out/search",
    judge: Judge | None = None,
    heard: Heard = lambda words, share: None,
) -> list[Found]:
    """Find couples of `subjects` that one picture shows both of, the second through `view`; the best first.

        for found in dr.search(dr.load("miniature"), ["duck", "rabbit face", "owl"], view="rotate_90", budget=60):
            print(found.couple, found.share, found.best)

    `budget` in seconds; "all" are the subjects that the judge knows. What is tried is kept in `out`, and the same
    search there goes on; `keep` winners are verified on `fresh` seeds that nothing was chosen by, with `steps`.
    Raises UserError for what the judge does not know, for a view that does not suit the model, and where another
    search lies in `out`.
    """
    knows = load_judge()[0] if judge is None else judge
    named = subjects_of([subjects] if isinstance(subjects, str) else list(subjects), knows)
    usual = model.stages[0].steps if steps is None else whole("steps", steps, 1)
    wanted = Wanted(named, style, view, whole("keep", keep, 1), whole("fresh", fresh, 1), usual, whole("seed", seed, 0))
    folder = as_path("A search's folder", out)
    with only_writer(folder):
        return begin(model, knows, wanted, folder).go_on(number("A budget in seconds", budget), heard)
