"""What a search has tried, a line for each couple and rung, so that a search goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from duckrabbit.errors import UserError
from duckrabbit.evaluation.search.halving import NEW, Couple, Tally

FILE = "search.jsonl"
VERIFIED = -1
"""The rung of the seeds that nothing was chosen by."""


@dataclass(frozen=True)
class Trial:
    """A couple, tried on a rung: the seeds, the alignment of each, and the two ranks that its judge gave it."""

    couple: Couple
    rung: int
    seeds: tuple[int, ...]
    alignments: tuple[float, ...]
    ranks: tuple[tuple[int, int], ...]

    def read(self, within: int = 1) -> list[bool]:
        """For each seed, whether both subjects are among the first `within` of all that the judge knows."""
        return [max(pair) <= within for pair in self.ranks]


class Journal:
    """The trials of a search in a folder: those that are there, and new ones, each written as soon as it is made.

    `about` says what is searched. Raises UserError where another search lies in the folder, or the file is damaged.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.path = folder / FILE
        self.trials: list[Trial] = []
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.is_file() else []
        whole = [line for line in lines if line.endswith(b"\n")]  # a line that was cut short was not tried
        if whole:
            self._read(whole, about)
        if whole != lines or not whole:
            head = [] if whole else [json.dumps(dict(about), sort_keys=True).encode() + b"\n"]
            folder.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(b"".join([*whole, *head]))

    def _read(self, lines: list[bytes], about: Mapping[str, Any]) -> None:
        try:
            found, *rows = (json.loads(line) for line in lines)
            self.trials = [_trial(row) for row in rows]
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{self.path} is damaged ({error}); search in another folder (--out).") from None
        differs = sorted(key for key in {*found, *about} if found.get(key) != json.loads(json.dumps(about.get(key))))
        if differs:
            raise UserError(
                f"{self.path.parent} holds another search: its {', '.join(differs)} differs. Search in another folder "
                "(--out), or ask for the same again to go on."
            )

    def add(self, trial: Trial) -> None:
        """Keep a trial."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(trial)) + "\n")
        self.trials.append(trial)

    @property
    def tallies(self) -> dict[Couple, Tally]:
        """What the rungs have told of each couple; what was verified does not count."""
        found: dict[Couple, Tally] = {}
        for trial in self.trials:
            if trial.rung != VERIFIED:
                known = found.get(trial.couple, NEW)
                found[trial.couple] = known.plus(trial.rung, trial.alignments, trial.read())
        return found

    @property
    def verified(self) -> dict[Couple, Trial]:
        """The couples that were tried on fresh seeds."""
        return {trial.couple: trial for trial in self.trials if trial.rung == VERIFIED}


def _trial(row: Mapping[str, Any]) -> Trial:
    first, second = (str(subject) for subject in row["couple"])
    ranks = tuple((int(a), int(b)) for a, b in row["ranks"])
    seeds, alignments = tuple(int(s) for s in row["seeds"]), tuple(float(a) for a in row["alignments"])
    if not len(seeds) == len(alignments) == len(ranks) > 0:
        raise ValueError("a trial has as many ranks as seeds")
    return Trial((first, second), int(row["rung"]), seeds, alignments, ranks)
