"""Digits drawn from an exact model, and the scorecard of what was drawn."""

from dataclasses import dataclass, field

import pytest
import torch

from duckrabbit.diffusion.levels import linear, rescale_zero_terminal_snr
from duckrabbit.errors import UserError
from duckrabbit.evaluation.digits import report
from duckrabbit.evaluation.digits.classifier import Classifier
from duckrabbit.evaluation.digits.sampling import draw, draw_anagrams, draw_classes, draw_free
from duckrabbit.evaluation.scores import frechet
from duckrabbit.evaluation.settings import Setting
from duckrabbit.models.model import Card, Limiter, StageFacts
from duckrabbit.networks.mixture import GaussianMixture, oracle_network


def pattern(label):
    """A bright bar for each label; 9 - k is k upside down."""
    x = torch.full((1, 28, 28), -1.0)
    x[:, 4 + 2 * label : 6 + 2 * label, 4:24] = 1.0
    return x


MEANS = torch.stack([pattern(k) for k in range(10)])


@dataclass
class Exact:
    """A model of ten Gaussians around the patterns, answering exactly."""

    card: Card = field(default_factory=lambda: Card("exact", "", "", ""))
    device: str = "cpu"
    dtype: str = "float32"
    stages: tuple[StageFacts, ...] = (
        StageFacts(28, 1, rescale_zero_terminal_snr(linear(300)), "v_prediction", False, "large",
                   Limiter(None, 1.0), "trailing", 0, 20),
    )  # fmt: skip

    def network(self, stage, low_res=None, noise_level=0, micro_batch=None):
        one = {k: GaussianMixture(MEANS[k : k + 1], torch.tensor([0.1]), torch.ones(1)) for k in range(10)}
        return oracle_network({**one, None: GaussianMixture(MEANS, torch.full((10,), 0.1), torch.full((10,), 0.1))})


def shown(pictures):
    return (pictures.flatten(1) @ MEANS.flatten(1).T).argmax(1)


@pytest.mark.parametrize("setting", [Setting(), Setting(3.0, "ddim", 10), Setting(1.0, "ddpm-large", 40)])
def test_every_digit_that_is_asked_for_is_drawn(setting):
    pictures, labels = draw_classes(Exact(), 30, setting)
    assert pictures.shape == (30, 1, 28, 28)
    assert 0 <= pictures.min() <= pictures.max() <= 1
    assert torch.equal(shown(pictures), labels)


def test_a_seed_gives_the_same_picture_in_any_batch(monkeypatch):
    whole = draw(Exact(), Setting().guide(3), range(7), Setting(steps=5))
    monkeypatch.setattr("duckrabbit.evaluation.settings.BATCH", 3)
    torch.testing.assert_close(draw(Exact(), Setting().guide(3), range(7), Setting(steps=5)), whole)


def test_without_a_label_it_draws_what_it_likes():
    assert len(set(shown(draw_free(Exact(), 40, Setting(steps=10))).tolist())) > 4


def test_anagrams_show_one_thing_upright_and_one_turned():
    setting = Setting(1.0, "ddim", 20)
    good = draw_anagrams(Exact(), 2, 7, "rotate_180", range(3), setting)  # 7 is 2 turned: both can be had
    assert shown(good).tolist() == [2, 2, 2]
    assert shown(good.flip(-1, -2)).tolist() == [7, 7, 7]


class Reading(Classifier):
    """A judge that reads the patterns off the pixels of the bars' rows, which are its features."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(20, 10, bias=False)
        self.head.weight.data = self.features(MEANS) * 10

    def features(self, images):
        return images[:, 0, 4:24].mean(2)


def test_the_scorecard_counts_what_the_judge_says():
    test = (torch.cat([MEANS] * 10) + 1) / 2 + 0.02 * torch.randn(100, 1, 28, 28)
    judge = Reading()
    against = report.Reference(judge, judge.features(test), test[:50], test[50:])
    lines = list(report.evaluate(Exact(), against, [Setting(1.0), Setting(4.0)], 40, memory=True))
    assert [line.accuracy.value for line in lines] == [1.0, 1.0]
    assert all(line.by_class[3].value == 1.0 and line.count == 40 for line in lines)
    assert report.best(lines).frechet.value == min(line.frechet.value for line in lines)
    table = report.as_table(lines).splitlines()
    assert len(table) == 4
    assert table[2].startswith("| 1 | dpm++ | 20 | 100.00 [91.24, 100.00] % |")

    rate = report.anagram_rate(Exact(), judge, 2, 7, range(4), Setting(1.0, "ddim", 20))
    assert rate.value == 1.0
    assert report.matrix_of([(2, 7, rate)])[2, 7] == 1.0


def test_a_model_that_knows_no_classes_is_scored_without_accuracy():
    test = (torch.cat([MEANS] * 10) + 1) / 2 + 0.02 * torch.randn(100, 1, 28, 28)
    judge = Reading()
    against = report.Reference(judge, judge.features(test), test[:50], test[50:])
    heard = []
    (line,) = report.evaluate(Exact(), against, [Setting(steps=10)], 40, classes=False, on_move=heard.append)
    assert heard == ["dpm++, 10 steps, scale 1"] * Setting(steps=10).moves(40, classes=False)
    assert line.accuracy is None
    assert line.by_class == []
    assert line.count == 40
    ever_the_same = frechet(against.features, judge.features((MEANS[3:4].expand(40, -1, -1, -1) + 1) / 2))
    assert line.frechet.value < 0.2 * ever_the_same.value  # it draws all ten
    assert report.as_table([line]).splitlines()[2].startswith("| 1 | dpm++ | 10 | - | - | ")


def test_every_move_is_heard(monkeypatch):
    monkeypatch.setattr("duckrabbit.evaluation.settings.BATCH", 3)
    heard, setting = [], Setting(2.0, "ddim", 4)
    draw_classes(Exact(), 40, setting, on_move=heard.append)  # of each class a batch of three, and one of one
    assert len(heard) == setting.moves(40) == 80


def test_a_solver_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="choose from ddpm"):
        Setting(solver="magic")
