"""The scorecard: a table of named numbers with their intervals, of whatever was scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from duckrabbit.evaluation.metrics import Score

EACH = "s each"
"""The column of the time that each picture took."""


@dataclass(frozen=True)
class Line:
    """What was found in one setting: `at`, plain values that say which; `scores` by name, None where there is none.

    seconds: the time that each picture took, None where none was drawn.
    """

    at: Mapping[str, str | float | None]
    scores: Mapping[str, Score | None]
    seconds: float | None = None

    def __getitem__(self, name: str) -> Score:
        """The score of that name. Raises KeyError where there is none."""
        if (score := self.scores[name]) is None:
            raise KeyError(name)
        return score

    def cells(self) -> dict[str, str]:
        """The line as words, by the names of the columns; "-" for what there is not."""
        setting = {k: f"{v:g}" if isinstance(v, float) else str(v) for k, v in self.at.items() if v is not None}
        each = {} if self.seconds is None else {EACH: f"{self.seconds:.3g}"}
        return {**setting, **{name: str(score) for name, score in self.scores.items() if score}, **each}

    def to_json(self) -> dict[str, Any]:
        """The line as plain values."""
        scores = {name: score and score.to_json() for name, score in self.scores.items()}
        return {**self.at, "scores": scores, EACH: self.seconds}


@dataclass(frozen=True)
class Scorecard:
    """Lines with the same columns."""

    lines: tuple[Line, ...] = ()

    def rows(self, columns: Sequence[str] = ()) -> tuple[list[str], list[list[str]]]:
        """The names of the columns, these or all, in the order of the line with most scores; and the lines as words."""
        cells = [line.cells() for line in self.lines]
        fullest = sorted(self.lines, key=lambda line: -len(line.scores))
        names = dict.fromkeys(name for line in fullest for name in (*line.at, *line.scores, EACH))
        head = list(columns) or [name for name in names if any(name in line for line in cells)]
        return head, [[line.get(name, "-") for name in head] for line in cells]

    def table(self, columns: Sequence[str] = ()) -> str:
        """A Markdown table: these columns, by default all of which any line has something to say."""
        head, rows = self.rows(columns)
        return "".join("| " + " | ".join(row) + " |\n" for row in (head, ["---"] * len(head), *rows))

    def to_json(self) -> list[dict[str, Any]]:
        """The lines as plain values."""
        return [line.to_json() for line in self.lines]
