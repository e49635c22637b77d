"""Reading illusions: does the judge see prompt k in view k, and nothing of it in the other views?

With S_ij the cosine of what the judge sees through view i with the subject of prompt j (Geng et al. 2024,
arXiv 2311.17919, section 4.1, with CLIP for a judge):

    alignment    A = min_i S_ii                       every prompt can be seen in its view
    concealment  C = tr(softmax(S / tau)) / n         and in no other; softmax over the prompts j

tau is the judge's own temperature. Alignment ranks seeds of one task; ranks, among all of the judge's subjects, are
for people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from duckrabbit.errors import UserError
from duckrabbit.evaluation.drawings.judge import Judge, classify

Viewing = Callable[[Tensor], Tensor]
"""How a picture (N, C, H, W) is looked at: a view, or from afar."""


@dataclass(frozen=True, eq=False)
class Readings:
    """What was read in N pictures that show n prompts: cosines (N, n, n) and ranks (N, n), 1 for the first.

    cosines[:, i, j] is S_ij. `temperature` is the judge's.
    """

    cosines: Tensor
    ranks: Tensor
    temperature: float

    @property
    def alignment(self) -> Tensor:
        """A (N,), from -1 to 1."""
        return self.cosines.diagonal(dim1=1, dim2=2).min(1).values

    @property
    def concealment(self) -> Tensor:
        """C (N,), from 0 to 1."""
        return (self.cosines / self.temperature).softmax(2).diagonal(dim1=1, dim2=2).mean(1)

    def best(self, count: int) -> list[int]:
        """The rows of the `count` pictures with the largest alignment, the best first."""
        return self.alignment.argsort(descending=True, stable=True)[:count].tolist()

    def words(self, row: int) -> str:
        """A line for a caption: "read as no. 1 and no. 3, alignment 0.62"."""
        places = " and ".join(f"no. {int(rank)}" for rank in self.ranks[row])
        return f"read as {places}, alignment {float(self.alignment[row]):.2f}"


def read(judge: Judge, pictures: Tensor, viewings: Sequence[tuple[Viewing, str]]) -> Readings:
    """What the judge reads in pictures (N, 3, H, W), in [-1, 1], for each way to look at them and its prompt.

    The range is symmetric, so that views such as negation hold. Raises UserError for fewer than two viewings, and for a
    prompt whose subject the judge does not know.
    """
    if len(viewings) < 2:
        raise UserError("An illusion is read in two ways or more; give each with its prompt.")
    subjects = torch.tensor([judge.vocabulary.subject(prompt) for _, prompt in viewings])
    cosines, ranks = [], []
    for k, (view, _) in enumerate(viewings):
        judgement = classify(judge, (view(pictures).float().cpu() + 1) / 2)
        cosines.append(judgement.cosines[:, subjects])
        ranks.append(judgement.rank(subjects[k].expand(len(pictures))))
    return Readings(torch.stack(cosines, 1), torch.stack(ranks, 1), judge.temperature)


def from_afar(pictures: Tensor) -> Tensor:
    """Pictures (N, C, H, W) at 16 pixels, or at half their size where that is less, each the mean of what it covers."""
    side = max(4, min(pictures.shape[-1] // 2, 16))
    return interpolate(pictures, (side, side), mode="area")
