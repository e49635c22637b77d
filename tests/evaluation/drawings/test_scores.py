"""The scorecard: known scores for pictures that are right, wrong, repeated or shifted."""

from dataclasses import dataclass, field

import pytest
import torch

from drawn_shapes import SHAPES, STYLES, VOCABULARY, Right, drawings, shape
from duckrabbit.diffusion.schedules import linear, rescale_zero_terminal_snr
from duckrabbit.errors import UserError
from duckrabbit.evaluation.drawings import scores
from duckrabbit.evaluation.drawings.judge import Judgement
from duckrabbit.evaluation.drawings.vocabulary import Pair, draw_pairs, model_vocabulary, pairs_in
from duckrabbit.evaluation.metrics import frechet, nearness
from duckrabbit.evaluation.sampling import Sampler, Setting
from duckrabbit.evaluation.scorecard import Scorecard
from duckrabbit.models.load import load
from duckrabbit.models.model import Card, Limiter, StageFacts
from duckrabbit.networks.mixture import GaussianMixture, oracle_network
from duckrabbit.tasks.run import run

TOGETHER = drawings(2, shapes=SHAPES[:5], seed=1)
APART = drawings(2, shapes=SHAPES[:2], seed=2, styles=STYLES[1:])


@dataclass
class Exact:
    """Draws what it is asked for, in 32 pixels: one Gaussian a prompt. It turns crosses into circles."""

    card: Card = field(default_factory=lambda: Card("exact", "Exact", "", ""))
    device: str = "cpu"
    dtype: str = "float32"
    stages: tuple[StageFacts, ...] = (
        StageFacts((32, 32), 3, rescale_zero_terminal_snr(linear(300)), "v_prediction", False, "large",
                   Limiter(None, 1.0), "trailing", 0, 5),
    )  # fmt: skip

    def condition(self, text):
        return text

    def prepare(self, conditions):
        pass

    def network(self, stage, low_res=None, noise_level=0, micro_batch=None):
        table = {}
        for pair, prompt in model_vocabulary(None, VOCABULARY).items():
            name = SHAPES[pair.subject].replace("cross", "circle")
            mean = shape(name, pair.style == 0, 32, colour=(0.1, 0.1, 0.1)).permute(2, 0, 1) * 2 - 1
            table[prompt] = GaussianMixture(mean[None], torch.tensor([0.02]), torch.ones(1))
        means = torch.cat([m.means for m in table.values()])
        table[""] = GaussianMixture(means, torch.full((len(means),), 0.02), torch.ones(len(means)))
        return oracle_network(table)

    def weight_hash(self):
        return {}


@pytest.fixture(scope="module")
def against():
    return scores.reference(Right(), TOGETHER, APART)


def asked(count=12):
    pairs = pairs_in(TOGETHER, VOCABULARY)
    return scores.questions(model_vocabulary(None, VOCABULARY), pairs - {Pair(1, 0), Pair(1, 1)}, {Pair(1, 0)}, count)


def test_questions_are_of_pairs_that_were_shown_and_of_pairs_whose_halves_were():
    together = {Pair(0, 0), Pair(1, 1), Pair(0, 2)}
    apart = {Pair(1, 0), Pair(0, 0), Pair(1, 5)}  # the second was shown after all, the third's subject never was
    prompts = model_vocabulary(None, VOCABULARY)
    found = scores.questions(prompts, together, apart, 10)
    assert {q.pair for q in found if q.kind == "together"} == together
    assert [q.pair for q in found if q.kind == "apart"] == [Pair(1, 0)]
    assert all(q.prompt == VOCABULARY.prompt(q.pair) for q in found)
    assert [q.pair for q in scores.questions(prompts, together, apart, 2)[:2]] == draw_pairs(together, 2)
    with pytest.raises(UserError, match="none of the pairs"):
        scores.questions({}, together, apart, 10)


def test_a_model_is_scored_by_what_it_drew(against):
    """Of 8 pairs shown, the two of a cross come out as circles; all styles are right."""
    questions = asked()
    sampler = Sampler(Exact(), scores.BATCH)
    lines = tuple(scores.evaluate(sampler, against, questions, [Setting(1.0, "ddim", 5), Setting(2.0, "ddpm", 8)]))
    for line in lines:
        right = sum(q.kind == "together" and SHAPES[q.pair.subject] != "cross" for q in questions) / 8
        assert line["subject first"].value == pytest.approx(right)
        assert line["style"].value == 1.0
        assert line["apart: subject first"].value == 1.0
    rows = Scorecard(lines).table().splitlines()
    assert len(rows) == 4
    assert rows[2].startswith("| ddim | 5 | 1 | 9 | 75 [41, 93] % |")


def test_a_style_is_the_likeliest_of_those_that_are_asked_for():
    judge = Right()
    logits = torch.tensor([[3.0, 1.0], [0.0, 2.0]])
    judgement = Judgement(torch.zeros(2, 1), logits, torch.zeros(2, 1))
    every, one = scores.reference(judge, TOGETHER, APART), scores.reference(judge, TOGETHER, APART, {1})
    assert every.style_of(judgement).tolist() == [0, 1]
    assert one.style_of(judgement).tolist() == [1, 1]


def test_a_prompt_has_its_own_seed_whatever_is_asked_before():
    prompts = [q.prompt for q in asked()][:3]
    heard = []
    sampler = Sampler(Exact(), scores.BATCH)
    three = sampler.draw(prompts, Setting(1.0, "ddpm", 4), heard.append)
    last = sampler.draw(prompts[2:], Setting(1.0, "ddpm", 4), first_seed=2)
    torch.testing.assert_close(three[2:], last)
    assert heard == [prompts[0]] * 4


def test_drawings_against_themselves(against):
    """Their distance is 0, up to rounding; all is repeated; nothing is as near."""
    questions = [
        scores.Question("", Pair(int(s), int(k)), "together")
        for s, k in zip(against.held_out.styles, against.held_out.subjects, strict=True)
    ]
    found = scores.score(against.held_out.pictures, questions, against)
    assert abs(found["Frechet"].value) < 1e-6
    assert found["apart: style"] is None
    assert found["nearness (pixels)"].value == 1.0
    train = [scores.Question("", Pair(0, 0)) for _ in against.train.pictures]
    memory = scores.score(against.train.pictures, train, against)
    assert memory["repeated (pixels)"].value > 0.95
    assert memory["nearness (features)"].value < 0.05
    assert memory["nearness (pixels)"].value < 0.05


def test_shifted_features_are_as_far_as_the_shift():
    """Equal covariances: |mu_1 - mu_2|^2 (Dowson and Landau 1982)."""
    features = torch.randn(200, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shift = torch.arange(8.0, dtype=torch.float64) / 4
    found = frechet(features, features + shift, resamples=5)
    assert found.value == pytest.approx(float(shift.square().sum()), rel=1e-6)
    assert abs(frechet(features, features, resamples=5).value) < 1e-6


def test_nearness_is_a_ratio_of_medians():
    line = lambda *at: torch.tensor(at).view(-1, 1)
    train = line(0.0, 100.0)
    found = nearness(line(1.0, 2.0, 3.0), train, line(4.0, 94.0, 105.0))
    assert found.value == pytest.approx(2 / 5)
    assert found.low == pytest.approx(1 / 5)
    assert found.high == pytest.approx(3 / 5)


def test_the_line_of_drawings_says_what_can_be_had(against):
    line = scores.drawings_line(against, 30)
    assert line.at == {"solver": "held-out drawings", "steps": None, "scale": None, "pictures": 30}
    assert line["style"].value > 0.5
    assert Scorecard((line,)).table().splitlines()[2].startswith("| held-out drawings | 30 |")


def test_too_few_drawings_are_answered_with_the_remedy():
    with pytest.raises(UserError, match="duckrabbit data build drawings"):
        scores.reference(Right(), TOGETHER, APART, styles={0})


def test_the_price_counts_what_runs():
    """ddim asks once a step, heun twice but for the last; with guidance two pictures go through, without one."""
    settings = [Setting(3.0, "ddim", 5), Setting(1.0, "heun", 4)]
    price = Sampler(Exact(), scores.BATCH).price(settings, ["a circle"] * 20)
    assert price.calls == 2 * (5 + 7)  # 20 prompts are two batches
    assert price.pictures == (20 * (5 * 2 + 7),)
    assert price.moves == 2 * (5 + 4)


@pytest.mark.parametrize("stages", [1, 2])
def test_a_batch_of_prompts_is_drawn_as_each_alone(cascade_folder, stages):
    """The naive way: a job for every prompt, both stages of a cascade with random weights."""
    model = load(cascade_folder)
    prompts = ["a red cat", "an old house", "a red cat"]
    setting = Setting(3.0, "ddpm", 2)
    sampler = Sampler(model, scores.BATCH, stages)
    together = sampler.draw(prompts, setting)
    for k, prompt in enumerate(prompts):
        job = sampler.job(prompt, setting)
        alone = ((run(job, (k,)).images + 1) / 2).clamp(0, 1)
        torch.testing.assert_close(together[k : k + 1], alone, atol=2e-4, rtol=0)
    assert (together[0] - together[1]).abs().max() > 0.01
