"""Scores of pictures, and of sets of them, with intervals that say how far to trust them.

All intervals are of 95 %. Distances between sets are taken in a judge's last features: what matters
there is what makes a digit, or a drawing, and 128 numbers can be estimated from a few thousand pictures.
"""

from __future__ import annotations

import math
import warnings
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from duckrabbit.errors import UserError


class Score(NamedTuple):
    """A value, and the ends of its 95 % interval. unit: "%" for shares, which are between 0 and 1 all the same."""

    value: float
    low: float
    high: float
    unit: Literal["", "%"] = ""

    def __str__(self) -> str:
        """As many digits as the interval is worth."""
        if not self.unit:
            return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"
        digits = 2 if self.high - self.low < 0.05 else 0
        value, low, high = (f"{100 * x:.{digits}f}" for x in self[:3])
        return f"{value} [{low}, {high}] %"

    def to_json(self) -> dict[str, float | None]:
        """The numbers by name; JSON has none that is not finite."""
        return {k: x if math.isfinite(x) else None for k, x in zip(("value", "low", "high"), self[:3], strict=True)}


def share(hits: int, count: int) -> Score:
    """A proportion with Wilson's interval, which is right near 0 and 1 too (Wilson 1927)."""
    if not 0 <= hits <= count or count == 0:
        raise UserError(f"{hits} of {count} is no proportion.")
    z = 1.959964
    p, scale = hits / count, 1 + z * z / count
    middle = (p + z * z / (2 * count)) / scale
    half = z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count)) / scale
    return Score(p, max(0.0, middle - half), min(1.0, middle + half), "%")


def per_class(found: Tensor, labels: Tensor, classes: int = 10) -> list[Score]:
    """The share of pictures of each label that were found to be of it; found, labels (N,)."""
    return [share(int((found[labels == c] == c).sum()), int((labels == c).sum())) for c in range(classes)]


def frechet(real: Tensor, drawn: Tensor, resamples: int = 100, seed: int = 0) -> Score:
    """The squared Frechet distance of Gaussians fitted to two sets of features (N, F), (M, F).

    |mu_1 - mu_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)) (Dowson and Landau 1982; Heusel et al. 2017, eq. 6).
    The interval is 1.96 standard deviations of the bootstrap over `drawn` to either side. (Its
    percentiles will not do: resampling repeats pictures, which shifts every resampled value up.) A
    value depends on the number of pictures: compare values of equal numbers only.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance  # torchmetrics takes seconds to load

    metric = FrechetInceptionDistance(feature=_Given(real.shape[1]), reset_real_features=False)
    metric.set_dtype(torch.float64)
    metric.update(real, real=True)

    def distance(features: Tensor) -> float:
        metric.reset()
        metric.update(features, real=False)
        return float(metric.compute())

    value = distance(drawn)
    generator = torch.Generator().manual_seed(seed)
    rows = (torch.randint(len(drawn), (len(drawn),), generator=generator) for _ in range(resamples))
    half = 1.96 * float(torch.tensor([distance(drawn[row]) for row in rows]).std())
    return Score(value, max(0.0, value - half), value + half)


def kernel_distance(real: Tensor, drawn: Tensor, subsets: int = 100, subset_size: int = 500) -> Score:
    """KID, the squared maximum mean discrepancy with a cubic kernel (Binkowski et al. 2018, eq. 4).

    Unbiased, unlike the Frechet distance. The interval is that of the mean over random subsets.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(subset_size, len(real), len(drawn))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it keeps all features, which are few
        metric = KernelInceptionDistance(feature=_Given(real.shape[1]), subsets=subsets, subset_size=size)
    metric.update(real, real=True)
    metric.update(drawn, real=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mean, std = metric.compute()
    half = 1.96 * float(std) / math.sqrt(len(drawn) // size)
    return Score(float(mean), float(mean) - half, float(mean) + half)


def nearest(pictures: Tensor, others: Tensor, batch: int = 500) -> tuple[Tensor, Tensor]:
    """For each picture (N, C, H, W) its nearest among `others` (M, C, H, W): distance and index (N,).

    The distance is the root of the mean squared difference of pixels; or of features (N, F) and (M, F).
    """
    flat = others.flatten(1)
    found = [torch.cdist(part.flatten(1), flat).min(1) for part in pictures.split(batch)]
    return torch.cat([f.values for f in found]) / math.sqrt(flat.shape[1]), torch.cat([f.indices for f in found])


def memorised(drawn: Tensor, train: Tensor, test: Tensor, quantile: float = 0.01) -> Score:
    """The share of drawn pictures nearer to a training picture than all but 1 % of real new ones are.

    Pictures as `nearest` takes them. About `quantile` for a model that draws like the data; well
    above it for one that repeats what it was shown.
    """
    limit = nearest(test, train)[0].quantile(quantile)
    distances, _ = nearest(drawn, train)
    return share(int((distances < limit).sum()), len(drawn))


def nearness(drawn: Tensor, train: Tensor, test: Tensor, resamples: int = 200, seed: int = 0) -> Score:
    """How near drawn pictures come to training pictures, against how near real new ones come to them.

    The median distance to the nearest of `train` of `drawn`, over that of `test`: about 1 for a model that draws
    like the data, towards 0 for one that repeats what it was shown. Pictures or features, as `nearest` takes them.
    The interval is the bootstrap's over `drawn`, percentiles.
    """
    own, usual = nearest(drawn, train)[0], nearest(test, train)[0].median()
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(own), (resamples, len(own)), generator=generator)
    ratios = own[rows].median(1).values / usual
    low, high = ratios.quantile(torch.tensor([0.025, 0.975])).tolist()
    return Score(float(own.median() / usual), low, high)


def mean_score(values: Tensor) -> Score:
    """The mean of values (N,), with the interval of a normal mean."""
    half = 1.96 * float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    mean = float(values.mean())
    return Score(mean, mean - half, mean + half)


def psnr(found: Tensor, clean: Tensor) -> Tensor:
    """10 log10(1 / MSE) in dB of each picture (N,), for pictures (N, C, H, W) from 0 to 1; 100 where they are equal."""
    return -10 * (found - clean).square().flatten(1).mean(1).clamp(min=1e-10).log10()


def ssim(found: Tensor, clean: Tensor) -> Tensor:
    """Structural similarity of each picture (N,) (Wang et al. 2004), with its Gaussian window; values from 0 to 1."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    values = structural_similarity_index_measure(found, clean, data_range=1.0, reduction="none")
    return values if isinstance(values, Tensor) else values[0]


class _Given(nn.Module):
    """A feature extractor for what are features already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features
