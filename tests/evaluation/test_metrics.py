"""Scores against closed forms, and intervals against simulation."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from duckrabbit.errors import UserError
from duckrabbit.evaluation.digits.classifier import Classifier, distort, judge, load_classifier
from duckrabbit.evaluation.digits.denoising import compare
from duckrabbit.evaluation.metrics import (
    Score,
    frechet,
    kernel_distance,
    mean_score,
    memorised,
    nearest,
    nearness,
    per_class,
    psnr,
    share,
    ssim,
)
from duckrabbit.evaluation.weights_file import write_weights
from duckrabbit.training.objectives import Draws


def normal(n, mean, std, seed):
    return mean + std * torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))


def test_the_frechet_distance_of_two_gaussians_is_the_formulas():
    """Diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2 (Dowson and Landau 1982)."""
    found = frechet(normal(40_000, 0.0, 1.0, 0), normal(40_000, 0.5, 2.0, 1), resamples=20)
    assert found.value == pytest.approx(6 * 0.25 + 6 * 1.0, rel=0.02)
    assert found.low < 7.5 < found.high or abs(found.value - 7.5) < 0.1
    assert found.low <= found.value <= found.high


def test_the_interval_of_the_frechet_distance_covers_as_often_as_it_says():
    """30 repetitions at 95 %: fewer than 25 hits would have a probability of 0.3 %.

    The truth meant is what so many pictures give on average, the bias of a finite set included.
    """
    real = normal(5000, 0.0, 1.0, 0)
    found = [frechet(real, normal(400, 0.4, 1.3, 10 + k), resamples=60) for k in range(30)]
    truth = sum(f.value for f in found) / len(found)
    assert sum(f.low <= truth <= f.high for f in found) >= 25


def test_kid_is_nothing_between_equals_and_something_between_others():
    same = kernel_distance(normal(1000, 0, 1, 0), normal(1000, 0, 1, 1))
    other = kernel_distance(normal(1000, 0, 1, 0), normal(1000, 0.5, 1, 2))
    assert same.low <= 0 <= same.high
    assert other.low > same.high


def naive_frechet(a, b):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), by numpy's covariance and scipy's root."""
    a, b = a.double().numpy(), b.double().numpy()
    s, t = np.cov(a.T), np.cov(b.T)
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(s + t - 2 * sqrtm(s @ t).real))


def test_the_frechet_distance_and_its_bootstrap_are_the_naive_ones():
    real, drawn = normal(60, 0.0, 1.0, 0), normal(40, 0.3, 1.2, 1)
    found = frechet(real, drawn, resamples=7, seed=5)
    generator = torch.Generator().manual_seed(5)
    again = [naive_frechet(real, drawn[torch.randint(40, (40,), generator=generator)]) for _ in range(7)]
    assert found.value == pytest.approx(naive_frechet(real, drawn), rel=1e-6)
    assert found.high - found.value == pytest.approx(1.96 * np.std(again, ddof=1), rel=1e-5)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert frechet(real, drawn, resamples=7, seed=6).high != found.high
    assert frechet(real, real, resamples=4).low == 0  # a distance is not below 0
    assert frechet(real + 1000, drawn + 1000, resamples=2).value == pytest.approx(found.value, rel=1e-3)


def naive_kid(x, y):
    """Mean of k over different pairs within each set, less twice that between them; k = (x.y / d + 1)^3."""
    x, y = x.double(), y.double()
    k = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3
    within = lambda a: (k(a, a).sum() - k(a, a).trace()) / (len(a) * (len(a) - 1))
    return float(within(x) + within(y) - 2 * k(x, y).mean())


def test_kid_of_whole_sets_is_the_naive_one():
    x, y = normal(30, 0.0, 1.0, 0), normal(30, 0.4, 1.0, 1)
    found = kernel_distance(x, y, subsets=3, subset_size=99)
    assert found.value == pytest.approx(naive_kid(x, y), rel=1e-5)
    assert found.high - found.low < 1e-5  # every subset is the whole


def test_the_interval_of_kid_is_that_of_the_mean_over_as_many_subsets_as_are_apart(monkeypatch, recwarn):
    from torchmetrics.image.kid import KernelInceptionDistance

    monkeypatch.setattr(KernelInceptionDistance, "compute", lambda self: (torch.tensor(2.0), torch.tensor(0.3)))
    found = kernel_distance(normal(50, 0, 1, 0), normal(90, 0, 1, 1), subset_size=10)
    assert found.high - 2 == pytest.approx(1.96 * 0.3 / 3, abs=1e-6)
    assert 2 - found.low == pytest.approx(1.96 * 0.3 / 3, abs=1e-6)
    monkeypatch.setattr(
        KernelInceptionDistance, "compute", lambda self: (torch.tensor(self.subsets), torch.tensor(0.3))
    )
    assert kernel_distance(normal(9, 0, 1, 0), normal(9, 0, 1, 1), subsets=7).value == 7
    assert kernel_distance(normal(9, 0, 1, 0), normal(9, 0, 1, 1)).value == 100
    monkeypatch.setattr(KernelInceptionDistance, "compute", lambda self: (torch.tensor(2.0), torch.tensor(0.3)))
    recwarn.clear()
    alone = kernel_distance(normal(50, 0, 1, 0), normal(90, 0, 1, 1))  # subsets of 50, of which 90 hold one
    assert alone.high - 2 == pytest.approx(1.96 * 0.3, abs=1e-6)
    assert not recwarn.list


def test_kid_is_the_same_every_time_and_leaves_the_global_random_state():
    x, y = normal(60, 0.0, 1.0, 0), normal(60, 0.4, 1.0, 1)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = kernel_distance(x, y, subsets=5, subset_size=20)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert kernel_distance(x, y, subsets=5, subset_size=20) == first


def test_scores_are_written_as_far_as_they_can_be_trusted():
    assert str(Score(12.3456, 11.2345, 13.4567)) == "12.35 [11.23, 13.46]"
    assert str(Score(0.5, 0.4, 0.6, "%")) == "50 [40, 60] %"
    assert str(Score(0.5, 0.448, 0.5, "%")) == "50 [45, 50] %"
    assert str(Score(0.995, 0.9931, 0.9968, "%")) == "99.50 [99.31, 99.68] %"
    assert Score(1.0, -math.inf, math.nan).to_json() == {"value": 1.0, "low": None, "high": None}
    assert share(1, 4).unit == "%"
    assert mean_score(torch.ones(2)).unit == ""


def test_wilsons_interval_is_the_published_one():
    """15 of 148: [0.0624, 0.1605] (Newcombe 1998, table 1, method 3); 0 of 20: [0, 0.1611]."""
    assert share(15, 148)[1:3] == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert share(0, 20)[1:3] == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert share(7, 7).high == 1
    assert share(0, 1).low == 0
    for hits, count in ((3, 2), (-1, 2), (0, 0)):
        with pytest.raises(UserError, match="no proportion"):
            share(hits, count)


def test_accuracy_by_class():
    found, labels = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 1, 2])
    assert [s.value for s in per_class(found, labels, 3)] == [0.5, 1.0, 1.0]
    assert len(per_class(torch.arange(10), torch.arange(10))) == 10  # of digits


def test_nearest_finds_the_planted_picture_and_its_distance():
    others = torch.rand(50, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    distance, index = nearest(others[[7, 31]] + 0.01, others)
    assert index.tolist() == [7, 31]
    torch.testing.assert_close(distance, torch.full((2,), 0.01), rtol=2e-2, atol=0)


@pytest.mark.parametrize("batch", [1, 2, 500])
def test_nearest_is_the_naive_search_in_any_batches(batch):
    some, others = torch.rand(5, 1, 4, 4), torch.rand(7, 1, 4, 4)
    distance, index = nearest(some, others, batch)
    for k, picture in enumerate(some):
        far = [float((picture - other).square().mean().sqrt()) for other in others]
        assert index[k] == far.index(min(far))
        assert distance[k] == pytest.approx(min(far), rel=1e-4)


def test_memorised_counts_those_nearer_than_a_hundredth_of_new_ones():
    """On a line: new ones are 0, 1, ..., 100 from what was shown, so the limit is 1."""
    train, test = torch.zeros(1, 1), torch.arange(101.0).view(-1, 1)
    drawn = torch.tensor([[0.0], [0.5], [0.99], [1.0], [1.5], [50.0]])
    assert memorised(drawn, train, test).value == 0.5
    assert memorised(drawn, train, test, quantile=0.02).value == pytest.approx(5 / 6)


def test_nearness_is_a_ratio_of_medians_with_its_bootstrap():
    """On a line: drawn ones are 0.05, 0.1, ..., 9.95 from what was shown, new ones 10: the median 5 is half of that."""
    train, test = torch.zeros(1, 1), torch.tensor([[10.0], [-10.0], [3.0], [11.0], [12.0]])
    drawn = 0.05 * torch.arange(1.0, 200).view(-1, 1)
    found = nearness(drawn, train, test, resamples=50, seed=3)
    assert found.value == pytest.approx(0.5)
    rows = torch.randint(199, (50, 199), generator=torch.Generator().manual_seed(3))
    medians = sorted(float(np.median(drawn[row].numpy())) / 10 for row in rows)
    assert found.low == pytest.approx(np.quantile(medians, 0.025), abs=1e-6)
    assert found.high == pytest.approx(np.quantile(medians, 0.975), abs=1e-6)
    assert nearness(drawn, train, test, seed=0) == nearness(drawn, train, test)


def test_repeated_pictures_are_noticed_and_new_ones_not():
    draw = lambda n, seed: torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(seed))
    train, test = draw(300, 0), draw(300, 1)
    assert memorised(train[:50] + 0.001, train, test).value == 1.0
    assert memorised(draw(200, 2), train, test).value < 0.06


def test_the_mean_has_the_normal_interval():
    score = mean_score(torch.tensor([1.0, 3.0]))
    assert score.value == 2
    assert score.high - 2 == pytest.approx(1.96 * math.sqrt(2) / math.sqrt(2))
    assert 2 - score.low == pytest.approx(1.96)
    several = mean_score(torch.arange(8.0))
    assert several.high - 3.5 == pytest.approx(1.96 * math.sqrt(6.0 / 8))  # the variance of 0 ... 7 is 6
    assert mean_score(torch.tensor([1.0]))[:3] == (1, -math.inf, math.inf)


def test_psnr_and_ssim_know_their_ends():
    x = torch.rand(2, 1, 28, 28)
    assert psnr(x, x).tolist() == [100, 100]
    assert psnr(x + 0.1, x).tolist() == pytest.approx([20, 20], abs=1e-3)
    assert ssim(x, x).tolist() == pytest.approx([1, 1])
    assert psnr(torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)).tolist() == pytest.approx([0], abs=1e-6)


def test_ssim_of_two_greys_is_its_luminance_alone():
    """(2 a b + c) / (a^2 + b^2 + c) with c = 0.01^2 for values from 0 to 1 (Wang et al. 2004, eq. 6); one each."""
    a, b = torch.tensor([0.02, 0.5]), torch.tensor([0.05, 0.9])
    flat = lambda v: v.view(2, 1, 1, 1).expand(2, 1, 28, 28).contiguous()
    expected = (2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4)
    assert ssim(flat(a), flat(b)).tolist() == pytest.approx(expected.tolist(), abs=3e-4)


def test_a_perfect_denoiser_beats_the_best_blur():
    clean = torch.zeros(4, 1, 28, 28)
    clean[:, :, 10:18, 10:18] = 1
    for row in compare(lambda z: clean[: len(z)], clean, sigmas=(0.0, 0.5)).lines:
        assert row["PSNR / dB"].value == 100
        assert row["blur's PSNR / dB"].value < 60
    little, much = compare(lambda z: z, clean, (0.0, 0.8)).lines
    assert little.at["best blur / px"] == 0.3  # the least there is
    assert 0.8 < much.at["best blur / px"] < 2


def test_distortion_moves_pictures_a_little():
    dot = torch.zeros(64, 1, 28, 28)
    dot[:, :, 13:15, 13:15] = 1
    moved = distort(dot, Draws(0, 0, 64, slice(None)))
    rows = torch.arange(28.0) - 13.5
    centre = (moved.sum(3) * rows.view(1, 1, -1)).sum((1, 2)) / moved.sum((1, 2, 3))
    assert 1 < centre.abs().max() <= 2.3
    assert moved.shape == dot.shape


def test_the_shipped_classifier_is_as_good_as_it_says():
    classifier, facts = load_classifier()
    assert facts["test"] >= 0.994
    probabilities, features = judge(classifier, torch.rand(3, 1, 28, 28))
    assert probabilities.shape == (3, 10)
    assert features.shape == (3, 128)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(3))


def test_a_file_that_is_no_classifier_is_refused(tmp_path):
    write_weights(Classifier(), tmp_path / "c", {"x": 1})
    assert load_classifier(tmp_path / "c")[1] == {"x": 1}
    (tmp_path / "c").write_bytes(b"junk")
    for name in ("c", "nothing"):
        with pytest.raises(UserError, match="train classifier"):
            load_classifier(tmp_path / name)
