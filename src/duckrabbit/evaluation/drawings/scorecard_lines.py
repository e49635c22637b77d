"""The lines of the scorecard of a model of drawings: what was found, as values and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from duckrabbit.evaluation.scores import Score, table
from duckrabbit.evaluation.settings import Setting


@dataclass(frozen=True)
class Retrieval:
    """How often the right subject comes first, is among the first five, and how often the style comes first."""

    first: Score
    five: Score
    style: Score


@dataclass(frozen=True)
class Memory:
    """Training drawings repeated: the share of pictures nearer to one than all but 1 % of held-out drawings are, and
    the nearness (scores.nearness), in the judge's features and in pixels.
    """

    features: Score
    pixels: Score
    features_nearness: Score
    pixels_nearness: Score


@dataclass(frozen=True)
class Line:
    """What was found for one setting; None for a setting: drawings, not a model. `apart` is None without such pairs."""

    setting: Setting | None
    count: int
    together: Retrieval
    apart: Retrieval | None
    frechet: Score
    kernel: Score
    memory: Memory | None
    seconds: float

    @property
    def name(self) -> str:
        """The setting in a few words."""
        s = self.setting
        return "held-out drawings" if s is None else str(s)

    def to_json(self) -> dict[str, Any]:
        """The line as plain values."""
        return {**asdict(self), "setting": self.setting and self.setting.to_json()}


def as_table(lines: Sequence[Line]) -> str:
    """The lines as a Markdown table."""
    return table(*rows_of(lines))


def rows_of(lines: Sequence[Line]) -> tuple[list[str], list[list[str]]]:
    """The heading and the rows of the table."""
    head = [
        *("setting", "pictures", "subject first", "among five", "style", "apart: first", "among five", "style"),
        *("Frechet", "KID", "repeated (features)", "repeated (pixels)", "nearness (features)", "nearness (pixels)"),
        "s each",
    ]
    rows = []
    for line in lines:
        found = [
            score.percent(0) if score else "-"
            for r in (line.together, line.apart)
            for score in ((r.first, r.five, r.style) if r else (None,) * 3)
        ]
        kept = ["-"] * 4
        if m := line.memory:
            kept = [m.features.percent(1), m.pixels.percent(1), str(m.features_nearness), str(m.pixels_nearness)]
        seconds = f"{line.seconds / line.count:.2f}" if line.setting else "-"
        rows.append([line.name, str(line.count), *found, str(line.frechet), str(line.kernel), *kept, seconds])
    return head, rows
