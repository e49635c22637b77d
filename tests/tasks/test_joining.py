"""How the views of an anagram are combined: what the job holds, what is said, what is refused, what is replayed."""

from dataclasses import dataclass

import pytest
import torch

import duckrabbit as dr
from duckrabbit.guidance.combining import Adaptive, Alternate, InWindows, MeanX0, Rectified
from duckrabbit.guidance.nodes import Mean, Weighted
from duckrabbit.tasks.asking import ask
from duckrabbit.tasks.plain import from_plain, to_plain
from duckrabbit.tasks.requests import Anagram

PROMPTS = {"identity": "a red circle", "rotate_180": "a blue cross"}


@dataclass(frozen=True)
class Lens(dr.PixelView):
    """No isometry: it makes the picture half as bright."""

    def __call__(self, x):
        return x / 2

    def inverse(self, x):
        return 2 * x


def node(job, stage=0):
    return job.stages[stage].guidance.child


def test_each_way_is_its_node(oracle):
    of = lambda **how: node(dr.anagram(oracle, PROMPTS, **how))
    assert type(of()) is Mean
    assert of(weights=(1, 1)) == of()
    assert (type(of(weights=(1, 3))), of(weights=(1, 3)).weights) == (Weighted, (0.25, 0.75))
    windowed = of(windows="1:0.3,1:0", weights=(1, 3))
    assert isinstance(windowed, InWindows)
    assert windowed.windows == ((1, 0.3), (1, 0)) == of(windows=[(1, 0.3), (1, 0)]).windows
    rectified = of(combine="rectified", weights=(1, 3))
    assert (type(rectified), rectified.weights) == (Rectified, (0.25, 0.75))
    assert of(combine="mean") == of()
    x0 = node(dr.anagram(oracle, {"identity": "a red circle", Lens(): "a blue cross"}, combine="x0"))
    assert type(x0) is MeanX0


def test_alternating_knows_the_plan_of_each_stage(tiny):
    job = dr.anagram(tiny, {"identity": "a cat", "flip": "a house"}, combine="alternate", steps=5, steps_stage2=3)
    for k, count in enumerate((5, 3)):
        tree = node(job, k)
        assert isinstance(tree, Alternate)
        assert tree.starts == tuple(move.at.noise_to_signal for move in job.stages[k].plan)
        assert len(tree.starts) == count


def test_a_way_costs_one_call_a_step_and_no_more_pictures_than_its_views(oracle):
    cost = lambda job: [(c.calls, c.pictures) for c in dr.cost(job)]
    options = {"guidance_scale": 1, "steps": 6, "solver": "ddim"}
    of = lambda **how: cost(dr.anagram(oracle, PROMPTS, **how, **options))
    assert cost(dr.generate(oracle, "a red circle", **options)) == of(combine="alternate") == [(6, 6)]
    assert of() == of(weights=(1, 2)) == of(combine="rectified") == [(6, 12)]
    ((calls, pictures),) = of(windows="1:0.5,1:0")
    assert calls == 6
    assert 6 < pictures < 12


def test_a_request_says_how(oracle):
    (job,) = ask(
        Anagram(
            prompts=tuple(PROMPTS.values()), views=("rotate_180",), weights=(1.0, 1.3), model="oracle", device="cpu"
        )
    ).jobs
    assert node(job).weights == pytest.approx((1 / 2.3, 1.3 / 2.3))
    assert job.title == "a red circle | a blue cross"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"combine": "sum"}, "no way to combine views, 'sum'; there is mean, alternate"),
        ({"combine": 3}, "no way to combine"),
        ({"combine": "alternate", "weights": (1, 2)}, "weights would change nothing"),
        ({"combine": "adaptive", "weights": (1, 2)}, "weights would change nothing"),
        ({"combine": "rectified", "windows": "1:0.3,1:0"}, "windows would change nothing"),
        ({"combine": "x0"}, "combine x0 would change nothing"),
        ({"weights": (1, 2, 3)}, "2 prompts take as many weights, not 3"),
        ({"weights": (1, -1)}, "scaled to sum to 1"),
        ({"weights": ("a", 1)}, "A weight is a finite number"),
        ({"windows": "1:0.3"}, "as many windows, not 1; write FROM:TO"),
        ({"windows": "1-0.3,1-0"}, "names no windows; write FROM:TO"),
        ({"windows": "1:0.5,0.4:0"}, "no view counts"),
        ({"windows": 3}, "windows"),
        ({"combine": "adaptive"}, "does not know the subject"),
    ],
)
def test_ways_that_are_none(oracle, how, words):
    model, prompts = oracle, PROMPTS
    if how == {"combine": "adaptive"}:
        model, prompts = dr.load("miniature", device="cpu"), {"identity": "a qwertz", "flip": "a pear"}
    with pytest.raises(dr.UserError, match=words):
        dr.anagram(model, prompts, **how)


WAYS = {
    "weights": ["--weights", "1,1.3"],
    "windows": ["--windows", "1:0.3,1:0"],
    "alternate": ["--combine", "alternate", "--solver", "heun"],
    "rectified": ["--combine", "rectified"],
}


@pytest.mark.parametrize("way", WAYS)
def test_a_way_on_the_command_line_is_another_picture_and_is_replayed(cli, way):
    words = ["anagram", *PROMPTS.values(), "--view", "rotate_180", "--model", "oracle", "--steps", "6"]
    assert cli(*words, *WAYS[way], "--out", "o").code == 0
    again = cli("replay", "o/01.json")
    assert (again.code, again.out.strip()) == (0, "the same, to the pixel")


def test_ways_make_other_pictures(oracle):
    options = {"steps": 6, "solver": "ddim", "guidance_scale": 2}
    hows = [{}, {"weights": (1, 2)}, {"windows": "1:0.3,1:0"}, {"combine": "alternate"}, {"combine": "rectified"}]
    made = [dr.run(dr.anagram(oracle, PROMPTS, **how, **options), 4).images for how in hows]
    for k, x in enumerate(made):
        assert x.isfinite().all()
        assert all((x - y).abs().max() > 0.01 for y in made[:k])


def test_weights_that_adapt_ask_the_judge(oracle, tmp_path):
    prompts = {"identity": "a flat emoji of a pear", "rotate_180": "a flat emoji of a light bulb"}
    scores = dr.DrawingScores((dr.parse_view("identity"), dr.parse_view("rotate_180")), tuple(prompts.values()))
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    seen = scores(x)
    assert seen.shape == (3, 2)
    turned = dr.DrawingScores(scores.views[::-1], scores.prompts)(x.rot90(2, (-2, -1)))
    torch.testing.assert_close(turned, seen, atol=1e-4, rtol=0)
    with pytest.raises(dr.UserError, match="as many prompts"):
        dr.DrawingScores(scores.views, prompts=("a pear",))
    tree = node(dr.anagram(dr.load("miniature", device="cpu"), prompts, combine="adaptive", stage=1))
    assert isinstance(tree, Adaptive)
    assert tree.scores == scores
    assert from_plain(to_plain(tree, {}), {}) == tree


def test_a_way_is_written_down_and_read_again(oracle):
    hows = [{"weights": (1, 3)}, {"windows": "1:0.3,1:0"}, {"combine": "alternate"}, {"combine": "rectified"}]
    for tree in [node(dr.anagram(oracle, PROMPTS, **how)) for how in hows]:
        assert from_plain(to_plain(tree, {}), {}) == tree
    for family in ("triple", "colour", "motion"):
        prompts = ["a red circle", "a blue cross", "a cross"][: len(dr.parts_of(family))]
        tree = node(dr.factorized(oracle, family, prompts))
        assert from_plain(to_plain(tree, {}), {}) == tree
