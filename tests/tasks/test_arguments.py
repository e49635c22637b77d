"""Nothing is silently ignored: what a task or a run is handed is right, or refused before anything runs."""

from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import pytest
import torch

import duckrabbit as dr
from duckrabbit.guidance.nodes import Prompt
from duckrabbit.guidance.views.pixels import Flip
from duckrabbit.tasks.arguments import seeds_of

CROSS = "a cross"
TREE = Prompt("a red circle")


@pytest.fixture
def tasks(photo):
    """Every task, with its subject left open."""
    half = torch.zeros(1, 1, 32, 32)
    half[..., 16:] = 1
    return {
        "generate": lambda m, s, **o: dr.generate(m, s, **o),
        "edit": lambda m, s, **o: dr.edit(m, photo, s, **{"start": 3, **o}),
        "inpaint": lambda m, s, **o: dr.inpaint(m, photo, half, s, **o),
        "denoise": lambda m, s, **o: dr.denoise(m, photo, 500, s, **o),
        "hybrid": lambda m, s, **o: dr.hybrid(m, s, s, **o),
        "anagram": lambda m, s, **o: dr.anagram(m, {"identity": s, "flip": s}, **o),
    }


TASKS = ("generate", "edit", "inpaint", "denoise", "hybrid", "anagram")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ({"guidence_scale": 9}, "did you mean guidance_scale"),
        ({"guidance": 20}, "guidance is a registered name or something to call, not 20"),
        ({"guidance_scal": 20}, "did you mean guidance_scale"),
        ({"step": 3}, "did you mean steps"),
        ({"qqq": 1}, "there are .*negative_prompt"),
    ],
)
def test_misspelt_options_are_refused_and_the_nearest_named(oracle, tasks, task, misspelt, meant):
    with pytest.raises(dr.UserError, match=meant):
        tasks[task](oracle, CROSS, **misspelt)


def test_a_tasks_own_options_are_among_the_nearest(oracle, photo):
    with pytest.raises(dr.UserError, match="did you mean strength"):
        dr.edit(oracle, photo, strenght=0.5)


@pytest.mark.parametrize("task", ["generate", "edit", "inpaint", "denoise", "hybrid"])
@pytest.mark.parametrize(
    "idle", [{"guidance_scale": 3.0}, {"negative_prompt": CROSS}, {"interval": (0.1, 2.0)}, {"guidance_scale": 1.0}]
)
def test_a_tree_says_itself_how_it_guides(oracle, tasks, task, idle):
    tasks[task](oracle, TREE)
    with pytest.raises(dr.UserError, match="would change nothing: a guidance tree"):
        tasks[task](oracle, TREE, **idle)


IDLE = {
    "a negative prompt without guidance": {"negative_prompt": CROSS, "guidance_scale": 1},
    "an interval without guidance": {"interval": (0.0, 1.0), "guidance_scale": 1},
    "steps of a stage that is not there": {"steps_stage2": 5},
    "a scale of a stage that is not there": {"guidance_scale_stage2": 5},
    "a noise level of a stage that is not there": {"noise_level": 5},
    "spacing beside the course's levels": {"preset": "cs180", "spacing": "trailing"},
}


@pytest.mark.parametrize("what", IDLE)
def test_options_without_effect_are_refused(oracle, what):
    with pytest.raises(dr.UserError, match="would change nothing"):
        dr.generate(oracle, CROSS, **IDLE[what])


def test_options_without_effect_in_one_task(oracle, tiny, photo):
    half = torch.zeros(1, 1, 32, 32)
    half[..., 16:] = 1
    for idle in (
        lambda: dr.inpaint(oracle, photo, half, jump=5),
        lambda: dr.denoise(oracle, photo, 500, method="one-step", steps=5),
        lambda: dr.denoise(oracle, photo, 500, method="one-step", solver="ddim"),
        lambda: dr.denoise(oracle, photo, 500, negative_prompt=CROSS),  # whose scale is 1 unless it is given
        lambda: dr.denoise(oracle, photo, 500, stage=1),
        lambda: dr.upscale(tiny, photo, "a cat", steps=3),
        lambda: dr.upscale(tiny, photo, "a cat", guidance_scale=3),
        lambda: dr.generate(tiny, "a cat", stage=1, steps_stage2=3),
        lambda: dr.generate(tiny, "a cat", negative_prompt="a dog", guidance_scale=1, guidance_scale_stage2=1),
    ):
        with pytest.raises(dr.UserError, match="would change nothing"):
            idle()
    dr.generate(tiny, "a cat", negative_prompt="a dog", guidance_scale=1, guidance_scale_stage2=2)  # which has a use


AIMLESS = (
    {"guidance_scale": 3}, {"interval": (0.1, 2.0)}, {"guidance": "apg"}, {"guidance_curve": "7@0.8,1@0.2"},
)  # fmt: skip


@pytest.mark.parametrize("idle", AIMLESS, ids=lambda idle: next(iter(idle)))
def test_a_picture_that_is_guided_nowhere_takes_no_option_of_guidance(oracle, photo, half, idle):
    """Towards and away from are one question where there is no prompt: the pixels are the same."""
    (name,) = idle
    tasks = {
        "generate": lambda **o: dr.generate(oracle, "", steps=2, **o),
        "edit": lambda **o: dr.edit(oracle, photo, start=1, steps=2, **o),
        "inpaint": lambda **o: dr.inpaint(oracle, photo, half, steps=2, **o),
        "denoise": lambda **o: dr.denoise(oracle, photo, 500, "", steps=2, **o),
        "hybrid": lambda **o: dr.hybrid(oracle, "", "", steps=2, **o),
        "a list": lambda **o: dr.generate(oracle, ["", " "], steps=2, **o),
        "an anagram": lambda **o: dr.anagram(oracle, {"identity": "", "flip": ""}, steps=2, **o),
        "a prompt away from itself": lambda **o: dr.generate(oracle, CROSS, negative_prompt=CROSS.upper(), **o),
    }
    for task, make in tasks.items():
        if task == "denoise" and name in ("interval", "guidance"):
            continue  # whose scale is 1, the other reason
        with pytest.raises(dr.UserError, match=r"guided towards is what it is guided away from\. Give a prompt"):
            make(**idle)
    dr.generate(oracle, ["", CROSS], **idle)  # one of them has a use for it
    dr.hybrid(oracle, "", CROSS, **idle)
    dr.generate(oracle, "", negative_prompt=CROSS, **idle)


def test_only_what_was_typed_is_refused_where_nothing_is_guided_to(oracle, tiny, photo, half):
    for made in (
        dr.generate(oracle, "", preset="cs180"),
        dr.edit(oracle, photo, start=1, preset="cs180"),
        dr.inpaint(oracle, photo, half),
        dr.generate(oracle, "", guidance_scale=1),
        dr.upscale(tiny, photo),
        dr.upscale(tiny, photo, guidance_scale_stage2=1),
    ):
        assert made.stages
    with pytest.raises(dr.UserError, match="guidance_scale_stage2 would change nothing"):
        dr.upscale(tiny, photo, guidance_scale_stage2=5)
    with pytest.raises(dr.UserError, match="guidance_scale would change nothing"):
        dr.generate(dr.load("mnist-time", device="cpu"), "", guidance_scale=5)


def test_a_guidance_of_ones_own_may_guide_where_there_is_no_prompt(oracle):
    own = dr.generate(oracle, "", guidance=lambda c, u, scale: dr.Prompt(CROSS), guidance_scale=3, steps=2)
    assert not torch.equal(dr.run(own, 7).images, dr.run(dr.generate(oracle, "", steps=2), 7).images)


def test_the_scale_of_stage_two_holds_in_a_hybrid(tiny):
    """As in every other task; it was that of stage one."""
    job = dr.hybrid(tiny, "a cat", "an old man", guidance_scale=5, guidance_scale_stage2=2)
    scales = [[child.scale for child in stage.guidance.child.children] for stage in job.stages]
    assert scales == [[5, 5], [2, 2]]


RIGHT_SEEDS = {
    "a list": [7, 8],
    "a range": range(7, 9),
    "a generator": (s for s in (7, 8)),
    "a set of one more kind": {7: 0, 8: 0}.keys(),
    "numpy integers": [np.int64(7), np.uint8(8)],
    "an array": np.arange(7, 9),
    "a tensor": torch.arange(7, 9),
    "torch integers": list(torch.arange(7, 9)),
}


@pytest.mark.parametrize("kind", RIGHT_SEEDS)
def test_whole_numbers_of_every_kind_are_seeds(kind):
    seeds = seeds_of(RIGHT_SEEDS[kind])
    assert seeds == (7, 8)
    assert {type(s) for s in seeds} == {int}


@pytest.mark.parametrize("one", [7, np.int64(7), np.array(7), torch.tensor(7)])
def test_one_seed_is_a_row_of_one(one):
    assert seeds_of(one) == (7,)
    assert type(seeds_of(one)[0]) is int


WRONG_SEEDS = {
    "none": [],
    "an empty array": np.array([], int),
    "a float": [1.0],
    "a numpy float": np.array([1.0]),
    "true": [True],
    "numpy true": [np.True_],
    "a tensor of truth": torch.tensor([True]),
    "one true": True,
    "one float": 1.5,
    "twice": [1, 2, 1],
    "twice in two kinds": [1, np.int64(1)],
    "below zero": [-1],
    "too large": [2**64],
    "text": "180",
    "texts": ["180"],
    "nothing": None,
    "a table": np.ones((2, 2), int),
    "a mapping": {1: 2},
    "without an end": count(),
}


@pytest.mark.parametrize("what", WRONG_SEEDS)
def test_wrong_seeds_are_refused_before_anything_runs(oracle, monkeypatch, what):
    monkeypatch.setattr(type(oracle), "prepare", lambda *_: pytest.fail("it ran"))
    with pytest.raises(dr.UserError, match=r"[Ss]eed"):
        dr.run(dr.generate(oracle, CROSS, steps=2), WRONG_SEEDS[what])


def test_numbers_of_numpy_and_torch_are_numbers_and_the_record_holds_them(oracle, photo, tmp_path):
    plain = dr.run(dr.edit(oracle, photo, CROSS, start=2, steps=5, guidance_scale=3.5), [7])
    for kind in (np.int64, np.int32, lambda n: torch.tensor(n), np.array):
        scale = np.float32(3.5) if kind is np.int64 else torch.tensor(3.5)
        job = dr.edit(oracle, photo, CROSS, start=kind(2), steps=kind(5), guidance_scale=scale)
        made = dr.run(job, kind(7), micro_batch=kind(1))
        assert torch.equal(made.images, plain.images)
        (path,) = made.save(str(tmp_path))
        assert dr.replay(path).same


def test_a_solver_itself_is_the_one_of_its_name(oracle):
    named = dr.run(dr.generate(oracle, CROSS, steps=4, solver="ddim:eta=0.5"), 7)
    itself = dr.run(dr.generate(oracle, CROSS, steps=4, solver=dr.DDIM(eta=0.5)), 7)
    assert torch.equal(named.images, itself.images)
    assert named.record["pixels"] == itself.record["pixels"]


def test_a_view_itself_is_the_one_of_its_name(oracle):
    named = dr.generate(oracle, {"identity": CROSS, "flip": "a circle"}, steps=3)
    itself = dr.generate(oracle, {"identity": CROSS, Flip(): "a circle"}, steps=3)
    assert itself.stages[0].guidance == named.stages[0].guidance
    with pytest.raises(dr.UserError, match="twice"):
        dr.generate(oracle, {"flip": CROSS, Flip(): "a circle"})


@pytest.mark.parametrize("task", ["generate", "edit", "inpaint", "denoise", "hybrid"])
@pytest.mark.parametrize(
    "subject", [[CROSS, [CROSS]], [], 3, 2.5, b"a cross", object(), {"flip": 3}, {5: CROSS}, {Flip: CROSS}, True]
)
def test_what_is_no_subject_is_a_sentence(oracle, tasks, task, subject):
    with pytest.raises(dr.UserError):
        tasks[task](oracle, subject)


WRONG = {
    "guidance of text": {"guidance_scale": "7"},
    "guidance of a list": {"guidance_scale": [7]},
    "guidance too large for a float": {"guidance_scale": 10**400},
    "true guidance": {"guidance_scale": True},
    "a negative prompt that is none": {"negative_prompt": 3},
    "steps of text": {"steps": "5"},
    "steps of a float": {"steps": 5.0},
    "true steps": {"steps": True},
    "the class of a solver": {"solver": dr.DDIM},
    "a number for a solver": {"solver": 3},
    "a stage of text": {"stage": "1"},
    "an unknown spacing": {"spacing": "even"},
    "a list for a spacing": {"spacing": ["leading"]},
    "an interval of one": {"interval": 3},
    "an interval of texts": {"interval": ("a", "b")},
    "an interval of nan": {"interval": (0.0, float("nan"))},
    "a preset that is none": {"preset": ["cs180"]},
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_types_are_a_sentence(oracle, what):
    with pytest.raises(dr.UserError):
        dr.generate(oracle, CROSS, **WRONG[what])


def test_wrong_types_of_a_tasks_own_arguments(oracle, photo):
    for wrong in (
        lambda: dr.generate("oracle", CROSS),
        lambda: dr.noise("oracle", photo, 500),
        lambda: dr.generate(None, CROSS),
        lambda: dr.edit(oracle, photo, start="3"),
        lambda: dr.edit(oracle, photo, strength="0.5"),
        lambda: dr.edit(oracle, photo, start=2.0),
        lambda: dr.denoise(oracle, photo, "500"),
        lambda: dr.denoise(oracle, photo, 500, method="twice"),
        lambda: dr.noise(oracle, photo, None),
        lambda: dr.hybrid(oracle, CROSS, CROSS, kernel="33"),
        lambda: dr.hybrid(oracle, CROSS, CROSS, sigma="2"),
        lambda: dr.hybrid(oracle, CROSS, None),
        lambda: dr.anagram(oracle, [CROSS, CROSS]),
        lambda: dr.generate(oracle, "a cross \udcff"),
        lambda: dr.run([dr.generate(oracle, CROSS)]),
        lambda: dr.run(dr.generate(oracle, CROSS), 1, micro_batch="2"),
    ):
        with pytest.raises(dr.UserError):
            wrong()


def test_what_no_record_can_hold_is_refused_before_it_runs(oracle, monkeypatch):
    job = dr.generate(oracle, CROSS, steps=2)
    monkeypatch.setattr(type(oracle), "prepare", lambda *_: pytest.fail("it ran"))
    (stage,) = job.stages
    for lost in (
        replace(job, stages=(replace(stage, constrain=lambda x, at, noise, i: x),)),
        replace(job, title=3),
        replace(job, title="\udcff"),
        dr.generate(oracle, CROSS, steps=2, solver=_NotData()),
    ):
        with pytest.raises(dr.UserError):
            dr.run(lost, 7)


def test_pictures_are_kept_where_the_weights_cannot_be_hashed_any_more(oracle, tmp_path, monkeypatch):
    result = dr.run(dr.generate(oracle, CROSS, steps=2), 7)

    def gone(model):
        raise dr.UserError("The weights are gone.")

    monkeypatch.setattr(type(oracle), "weight_hash", gone)
    (path,) = result.save(str(tmp_path))
    assert "The weights are gone." in result.record["notes"]["weights"]
    monkeypatch.undo()
    assert dr.replay(path).same


def test_nan_is_told_within_a_move_of_where_it_arose(oracle):
    moves = []
    job = dr.generate(oracle, CROSS, steps=20)
    sick = replace(job, stages=(replace(job.stages[0], solver=_Sick(job.stages[0].solver)),))
    with pytest.raises(dr.UserError, match=r"not finite .* after 4 of 20 moves of stage 1"):
        dr.run(sick, 7, on_state=lambda _, state: moves.append(state.i))
    assert len(moves) <= 5
    late = replace(sick, stages=(replace(sick.stages[0], solver=_Sick(job.stages[0].solver, 19)),))
    with pytest.raises(dr.UserError, match="after 20 of 20 moves"):
        dr.run(late, 7)


class _NotData:
    def step(self, *_):
        pytest.fail("it ran")


@dataclass(frozen=True)
class _Sick:
    """A solver that makes one number NaN at move `at`."""

    inner: object
    at: int = 3

    def step(self, denoise, x, move, noise, i, memory):
        made = self.inner.step(denoise, x, move, noise, i, memory)
        if i == self.at:
            made.x[0, 0, 0, 0] = float("nan")
        return made
