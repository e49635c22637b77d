"""Digits drawn from an exact model, and the scorecard of what was drawn."""

from dataclasses import dataclass, field

import pytest
import torch

import duckrabbit as dr
from duckrabbit.diffusion.schedules import linear, rescale_zero_terminal_snr
from duckrabbit.errors import UserError
from duckrabbit.evaluation.digits import scores
from duckrabbit.evaluation.digits.classifier import Classifier
from duckrabbit.evaluation.digits.scores import asked, draw, draw_anagrams
from duckrabbit.evaluation.metrics import frechet
from duckrabbit.evaluation.sampling import Sampler, Setting
from duckrabbit.evaluation.scorecard import Scorecard
from duckrabbit.models.model import Card, Limiter, StageFacts
from duckrabbit.networks.mixture import GaussianMixture, oracle_network
from duckrabbit.tasks.pictures import to_pixels


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
        StageFacts((28, 28), 1, rescale_zero_terminal_snr(linear(300)), "v_prediction", False, "large",
                   Limiter(None, 1.0), "trailing", 0, 20),
    )  # fmt: skip

    def condition(self, text):
        return int(text) if text else None

    def prepare(self, conditions):
        pass

    def network(self, stage, low_res=None, noise_level=0, micro_batch=None):
        one = {k: GaussianMixture(MEANS[k : k + 1], torch.tensor([0.1]), torch.ones(1)) for k in range(10)}
        return oracle_network({**one, None: GaussianMixture(MEANS, torch.full((10,), 0.1), torch.full((10,), 0.1))})


def shown(pictures):
    return (pictures.flatten(1) @ MEANS.flatten(1).T).argmax(1)


@pytest.mark.parametrize("setting", [Setting(), Setting(3.0, "ddim", 10), Setting(1.0, "ddpm-large", 40)])
def test_every_digit_that_is_asked_for_is_drawn(setting):
    pictures = draw(Exact(), 30, setting)
    assert pictures.shape == (30, 1, 28, 28)
    assert 0 <= pictures.min() <= pictures.max() <= 1
    assert torch.equal(shown(pictures), asked(30, classes=True)[1])


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_what_is_scored_is_what_generate_draws(scale):
    """To the pixel, of the shipped model: every picture can be made again by its digit and its seed alone."""
    model, options = dr.load("mnist-class"), {"steps": 4}
    pictures = draw(model, 10, Setting(scale, model.card.solver, 4))
    for seed in (0, 3, 8):
        alone = dr.run(dr.generate(model, str(seed), guidance_scale=scale, **options), seed)
        assert torch.equal(to_pixels(pictures[seed : seed + 1], (0.0, 1.0)), alone.pixels)


def test_a_seed_gives_the_same_picture_in_any_batch():
    whole, parts = (Sampler(Exact(), n).draw(["3"] * 7, Setting(steps=5)) for n in (7, 3))
    torch.testing.assert_close(parts, whole)


def test_without_a_label_it_draws_what_it_likes():
    assert len(set(shown(draw(Exact(), 40, Setting(steps=10), classes=False)).tolist())) > 4


def test_anagrams_show_one_thing_upright_and_one_turned():
    setting = Setting(1.0, "ddim", 20)
    good, turned = draw_anagrams(Exact(), 2, 7, range(3), setting)  # 7 is 2 turned: both can be had
    assert torch.equal(turned, good.flip(-1, -2))
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
    against = scores.Reference(judge, judge.features(test), test[:50], test[50:])
    lines = tuple(scores.evaluate(Exact(), against, [Setting(1.0), Setting(4.0)], 40, memory=True))
    assert [line["accuracy"].value for line in lines] == [1.0, 1.0]
    assert all(line["3"].value == 1.0 and line.at["pictures"] == 40 for line in lines)
    table = Scorecard(lines).table().splitlines()
    assert len(table) == 4
    assert table[2].startswith("| dpm++ | 20 | 1 | 40 | 100 [91, 100] % |")
    assert Scorecard(lines).to_json()[1]["scores"]["accuracy"]["low"] == pytest.approx(0.9124, abs=1e-4)

    rate = scores.anagram_rate(Exact(), judge, 2, 7, range(4), Setting(1.0, "ddim", 20))
    assert rate.value == 1.0


def test_a_model_that_knows_no_classes_is_scored_without_accuracy():
    test = (torch.cat([MEANS] * 10) + 1) / 2 + 0.02 * torch.randn(100, 1, 28, 28)
    judge = Reading()
    against = scores.Reference(judge, judge.features(test), test[:50], test[50:])
    heard = []
    (line,) = scores.evaluate(Exact(), against, [Setting(steps=10)], 40, classes=False, on_move=heard.append)
    assert heard == ["dpm++, 10 steps, scale 1"] * 10
    assert "accuracy" not in line.scores
    assert line.at["pictures"] == 40
    ever_the_same = frechet(against.features, judge.features((MEANS[3:4].expand(40, -1, -1, -1) + 1) / 2))
    assert line["Frechet"].value < 0.2 * ever_the_same.value  # it draws all ten
    assert Scorecard((line,)).table(("accuracy", "solver")).splitlines()[2] == "| - | dpm++ |"


def test_every_move_is_heard():
    heard, sampler, setting = [], Sampler(Exact(), 3), Setting(2.0, "ddim", 4)
    sampler.draw(["1"] * 40, setting, heard.append)  # 14 batches
    assert len(heard) == sampler.price([setting], ["1"] * 40).moves == 56


def test_a_solver_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="choose from ddpm"):
        Setting(solver="magic")
