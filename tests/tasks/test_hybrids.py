"""Hybrids of every family: what the job holds, what a request says, what is refused, what is shown and replayed."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import duckrabbit as dr
from duckrabbit.guidance.families import kept_by
from duckrabbit.guidance.filters import Grey, MotionBlur, Remainder
from duckrabbit.guidance.nodes import Bands, Weighted
from duckrabbit.report.hybrids import greyed, hybrid_viewings, shaken
from duckrabbit.tasks.asking import ask
from duckrabbit.tasks.components import subjects_of
from duckrabbit.tasks.requests import Hybrid

THREE = ["a red circle", "a blue cross", "a green square"]
ORACLE = {"model": "oracle", "device": "cpu"}


def told(job):
    """The prompts of a job's bands, by their order in the tree."""
    return [child.conditional.condition for child in job.stages[0].guidance.child.children]


def test_the_first_subject_has_what_the_others_leave(oracle):
    job = dr.factorized(oracle, "triple", THREE)
    tree = job.stages[0].guidance.child
    assert isinstance(tree, Bands)
    assert told(job) == THREE[::-1]
    assert tree.filters == tuple(dr.parts_of("triple").values())[:0:-1]
    assert job.title == " | ".join(THREE)
    assert (
        dr.factorized(oracle, "low-high", THREE[:2]).stages[0].guidance
        == dr.hybrid(oracle, THREE[1], THREE[0]).stages[0].guidance
    )


@pytest.mark.parametrize(
    ("family", "keep", "left"),
    [
        ("triple", "low", ["medium", "high"]), ("triple", "medium", ["low", "high"]),
        ("triple", "high", ["low", "medium"]),
        ("colour", "grey", None), ("colour", "colour", None), ("motion", "rest", None), ("motion", "motion", None),
        ("low-high", "high", None),
    ],
)  # fmt: skip
def test_any_component_is_kept_from_a_picture(oracle, photo, family, keep, left):
    """At the end the picture has that component to the last value, whatever the prompts say."""
    names = list(dr.parts_of(family))
    subjects = [f"a {c} cross" for c, name in zip(("red", "green", "blue"), names) if name != keep]
    job = dr.factorized(oracle, family, subjects, image=photo, keep=keep, steps=3)
    band = kept_by(dr.parts_of(family)[keep])
    x, known = picture_noise(), 2 * dr.as_picture(photo) - 1
    kept = job.stages[0].constrain(x, dr.CLEAN, None, 0)
    torch.testing.assert_close(kept - x, band(known - x))
    if left:
        assert told(job) == [subjects[[n for n in names if n != keep].index(name)] for name in left]
    assert dr.run(job, 1).images.isfinite().all()
    assert job.title.split(" | ").index("picture") == names.index(keep)


def picture_noise():
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_grey_is_kept_exactly(oracle, photo):
    made = dr.run(dr.factorized(oracle, "colour", ["a red cross"], image=photo), 3).images
    torch.testing.assert_close(Grey()(made), Grey()(2 * dr.as_picture(photo) - 1), atol=1e-5, rtol=0)


def test_a_low_band_of_a_prompt_and_the_rest_of_a_picture(oracle, photo):
    job = dr.hybrid(oracle, "a red cross", None, image=photo)
    assert isinstance(job.stages[0].constrain.band, Remainder)
    assert job.title == "picture | a red cross"


def test_a_composition_is_weighted(oracle):
    job = dr.composed(oracle, THREE[:2], (3, -1))
    tree = job.stages[0].guidance.child
    assert isinstance(tree, Weighted)
    assert tree.weights == (1.5, -0.5)
    assert dr.composed(oracle, THREE).stages[0].guidance.child.weights == pytest.approx((1 / 3,) * 3)
    for wrong in ((1, 2, 3), (1, -1), (-2, 1), ("a", 1), (float("nan"), 1)):
        with pytest.raises(dr.UserError, match=r"[Ww]eight"):
            dr.composed(oracle, THREE[:2], wrong)
    with pytest.raises(dr.UserError, match="two subjects"):
        dr.composed(oracle, THREE[:1])


def test_lists_are_taken_one_of_each(oracle):
    job = dr.factorized(oracle, "triple", [THREE, "a cross", THREE[::-1]], steps=2)
    assert job.subjects == tuple(f"{a} | a cross | {c}" for a, c in zip(THREE, THREE[::-1]))
    one = dr.factorized(oracle, "triple", [THREE[0], "a cross", THREE[2]], steps=2)
    torch.testing.assert_close(dr.run(job, 1).images[:1], dr.run(one, 1).images)


def test_a_family_costs_no_more_than_its_prompts(oracle):
    for family, count in (("triple", 3), ("colour", 2), ("motion", 2)):
        (cost,) = dr.cost(dr.factorized(oracle, family, THREE[:count], steps=5, solver="ddim"))
        assert (cost.calls, cost.pictures) == (5, 5 * (count + 1))  # and once the null prompt for all


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: dr.factorized(m, "quadruple", THREE), "no family"),
        (lambda m: dr.factorized(m, "colour", THREE), "takes subjects for colour, grey, in this order"),
        (lambda m: dr.factorized(m, "colour", "a red cross"), "takes subjects"),
        (lambda m: dr.factorized(m, "colour", THREE[:2], keep="grey"), "give its image"),
        (lambda m: dr.factorized(m, "colour", THREE[:2], kernel=7), "kernel would change nothing"),
        (lambda m: dr.factorized(m, "motion", THREE[:2], kernel=6), "odd number"),
        (lambda m: dr.factorized(m, "colour", THREE[:1], image=torch.rand(1, 3, 8, 8), keep="low"), "no component"),
        (lambda m: dr.factorized(m, "colour", THREE[:2], family="x"), "multiple values|family"),
    ],
)
def test_families_that_are_none(oracle, call, words):
    with pytest.raises((dr.UserError, TypeError), match=words):
        call(oracle)


def test_a_request_names_its_family(photo):
    jobs = lambda **values: ask(Hybrid(**ORACLE, **values)).jobs
    (triple,) = jobs(family="triple", prompts=tuple(THREE))
    assert told(triple) == THREE[::-1]
    (motion,) = jobs(family="motion", prompts=tuple(THREE[:2]), kernel=9)
    assert motion.stages[0].guidance.child.filters == (MotionBlur(9),)
    (coloured,) = jobs(family="colour", prompts=(THREE[0],), image=photo, keep="colour")
    assert isinstance(coloured.stages[0].constrain.band, Remainder)
    (mixed,) = jobs(family="composed", prompts=tuple(THREE[:2]), weights=(3.0, -1.0))
    assert mixed.stages[0].guidance.child.weights == (1.5, -0.5)
    assert subjects_of(Hybrid(family="triple", prompts=("a", "b"), image=photo, keep="medium")) == ("a", None, "b")
    assert subjects_of(Hybrid(low="a", image=photo)) == (None, "a")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"prompts": ("a", "b")}, "takes --high and --low"),
        ({"high": "a"}, "from near"),
        ({"high": "a", "low": "b", "weights": (1.0, 2.0)}, "family composed"),
        ({"high": "a", "low": "b", "keep": "low"}, "keep would change nothing"),
        ({"family": "colour", "high": "a", "prompts": ("b",)}, "high would change nothing"),
        ({"family": "colour", "prompts": ("a", "b"), "sigma": 3.0}, "sigma would change nothing"),
        ({"family": "colour", "prompts": ("a", "b"), "kernel": 7}, "kernel would change nothing"),
        ({"family": "colour", "prompts": ("a", "b"), "filter": "grey"}, "filter would change nothing"),
        ({"family": "colour", "prompts": ("a", "b"), "keep": "grey"}, "give --image"),
        ({"family": "colour", "prompts": ("a", "b"), "weights": (1.0, 2.0)}, "weights would change nothing"),
        ({"family": "colour", "prompts": ("a", "b"), "image": "x.png"}, "picture takes 1 prompt: what it is in"),
        ({"family": "triple", "prompts": ("a", "b")}, "3 prompts: what it is near, half way, far; not 2"),
        ({"family": "triple", "prompts": ("a", "b"), "image": "x.png", "keep": "grey"}, "no component grey"),
        ({"family": "composed", "prompts": ("a",)}, "two prompts"),
        ({"family": "composed", "prompts": ("a", "b"), "image": "x.png"}, "image would change nothing"),
        ({"family": "composed", "prompts": ("a", "b"), "animate": ("mp4",)}, "animate would change nothing"),
    ],
)  # fmt: skip
def test_what_a_request_may_not_say(values, words):
    with pytest.raises(dr.UserError, match=words):
        subjects_of(Hybrid(**values))


FILMS = {"triple": "walking", "colour": "fading", "motion": "shaking"}


@pytest.mark.parametrize("family", [*FILMS, "composed"])
def test_a_family_on_the_command_line_with_its_film_and_replayed(cli, tmp_path, family):
    prompts = THREE if family == "triple" else THREE[:2]
    film = ["--animate", "gif"] if family in FILMS else ["--weights", "2,1"]
    done = cli(
        "hybrid", "--family", family, *prompts, *film, "--model", "oracle", "--steps", "4", "--out", "o", "--count", "2"
    )
    assert done.code == 0, done.err
    films = [name for name in done.written if name.endswith(".gif")]
    assert films == [f"o/{FILMS[family]}-seed{seed}.gif" for seed in (180, 181) if family in FILMS]
    assert (tmp_path / "o/sheet.png").is_file()
    record = json.loads((tmp_path / "o/01.json").read_text())
    assert record["request"]["family"] == family
    again = cli("replay", "o/01.json")
    assert (again.code, again.out.strip()) == (0, "the same, to the pixel")


def test_a_picture_beside_a_family_on_the_command_line(cli, photo, tmp_path):
    Image.fromarray((dr.as_picture(photo)[0].permute(1, 2, 0) * 255).byte().numpy()).save(tmp_path / "photo.png")
    done = cli("hybrid", "--family", "colour", "--image", "photo.png", "a red cross", "--model", "oracle", "--out", "o")
    assert done.code == 0, done.err
    made = np.asarray(Image.open(tmp_path / "o/01-seed180.png")).astype(float).mean(2)
    given = np.asarray(Image.open(tmp_path / "photo.png")).astype(float).mean(2)
    assert np.abs(made - given).mean() < 8  # clamped where a colour does not fit into its grey


def test_the_judge_looks_as_people_do():
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    seen = {family: hybrid_viewings(family, ["a", "b", "c"][: 3 if family == "triple" else 2]) for family in FILMS}
    assert [look(x).shape[-1] for look, _ in seen["triple"]] == [64, 32, 16]
    assert [prompt for _, prompt in seen["triple"]] == ["a", "b", "c"]
    (plain, _), (grey, _) = seen["colour"]
    assert torch.equal(plain(x), x)
    torch.testing.assert_close(grey(x), Grey()(x))
    torch.testing.assert_close(seen["motion"][1][0](x), MotionBlur()(x - 1) + 1)
    for family, subjects in (("composed", ["a", "b"]), ("colour", ["a", None])):
        with pytest.raises(dr.UserError, match="leave out --judge"):
            hybrid_viewings(family, subjects)


def test_shaking_and_fading_begin_with_the_picture():
    x = torch.rand(1, 3, 96, 64) * 2 - 1
    torch.testing.assert_close(shaken(x, 0.0), x)
    assert torch.equal(greyed(x, 0.0), x)
    white = torch.ones_like(x)
    torch.testing.assert_close(shaken(white, 1.0), white)  # what comes in at the border is paper
