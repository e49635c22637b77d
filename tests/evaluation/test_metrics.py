"""Scores against closed forms, and intervals against simulation."""

import math

import pytest
import torch

from duckrabbit.errors import UserError
from duckrabbit.evaluation.digits.classifier import Classifier, distort, judge, load_classifier
from duckrabbit.evaluation.digits.denoising import compare
from duckrabbit.evaluation.metrics import (
    frechet,
    kernel_distance,
    mean_score,
    memorised,
    nearest,
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


def test_wilsons_interval_is_the_published_one():
    """15 of 148: [0.0624, 0.1605] (Newcombe 1998, table 1, method 3); 0 of 20: [0, 0.1611]."""
    assert share(15, 148)[1:3] == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert share(0, 20)[1:3] == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert share(7, 7).high == 1
    with pytest.raises(UserError, match="no proportion"):
        share(3, 2)


def test_accuracy_by_class():
    found, labels = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 1, 2])
    assert [s.value for s in per_class(found, labels, 3)] == [0.5, 1.0, 1.0]


def test_nearest_finds_the_planted_picture_and_its_distance():
    others = torch.rand(50, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    distance, index = nearest(others[[7, 31]] + 0.01, others)
    assert index.tolist() == [7, 31]
    torch.testing.assert_close(distance, torch.full((2,), 0.01), rtol=2e-2, atol=0)


def test_repeated_pictures_are_noticed_and_new_ones_not():
    draw = lambda n, seed: torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(seed))
    train, test = draw(300, 0), draw(300, 1)
    assert memorised(train[:50] + 0.001, train, test).value == 1.0
    assert memorised(draw(200, 2), train, test).value < 0.06


def test_the_mean_has_the_normal_interval():
    score = mean_score(torch.tensor([1.0, 3.0]))
    assert score.value == 2
    assert score.high - 2 == pytest.approx(1.96 * math.sqrt(2) / math.sqrt(2))


def test_psnr_and_ssim_know_their_ends():
    x = torch.rand(2, 1, 28, 28)
    assert psnr(x, x).tolist() == [100, 100]
    assert psnr(x + 0.1, x).tolist() == pytest.approx([20, 20], abs=1e-3)
    assert ssim(x, x).tolist() == pytest.approx([1, 1])


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
