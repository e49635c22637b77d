"""What a request means: its jobs, one by one, and the model that it names."""

import pytest
import torch

import duckrabbit as dr
from duckrabbit.diffusion.schedules import FlowSchedule, OneStepSchedule, linear
from duckrabbit.errors import UserError
from duckrabbit.tasks.asking import ask, methods_of, model_of, options_of, subject_of, times_of, views_of
from duckrabbit.tasks.requests import Anagram, Curves, Denoise, Edit, Generate, Hybrid, Inpaint, Noise, Upscale

CROSS = "a red cross"


def generate(**values):
    return ask(Generate(**{"prompts": (CROSS,), "model": "oracle", "device": "cpu", **values})).jobs


def test_a_comparison_is_every_combination_and_says_what_differs():
    jobs = generate(steps=(2, 3), guidance_scale=(1.0, 2.5), prompts=(CROSS, "a blue cross"))
    words = [f"{s} steps, {g}" for s in (2, 3) for g in ("without guidance", "guidance 2.5")]
    assert [job.title for job in jobs] == [f"{p}, {w}" for p in (CROSS, "a blue cross") for w in words]
    assert [len(job.stages[0].plan) for job in jobs] == [2, 2, 3, 3] * 2
    assert [job.stages[0].guidance.child.scale for job in jobs] == [1, 2.5] * 4


def test_what_does_not_differ_is_not_in_the_title():
    assert [job.title for job in generate(steps=(2,), guidance_scale=(3.0,))] == [CROSS]
    assert [job.title for job in generate(steps=(2, 3), guidance_scale=(3.0,))] == [
        f"{CROSS}, 2 steps",
        f"{CROSS}, 3 steps",
    ]
    assert [job.title for job in generate(guidance_scale=(2.0, 3.0))] == [
        f"{CROSS}, guidance 2",
        f"{CROSS}, guidance 3",
    ]


def test_a_negative_prompt_is_for_those_of_a_comparison_that_are_guided():
    plain, guided = generate(guidance_scale=(1.0, 4.0), negative_prompt="a square", steps=(2,))
    assert plain.stages[0].guidance.child.unconditional.condition == ""
    assert guided.stages[0].guidance.child.unconditional.condition == "a square"
    with pytest.raises(UserError, match="negative_prompt would change nothing"):
        generate(guidance_scale=(1.0,), negative_prompt="a square")
    with pytest.raises(UserError, match="negative_prompt would change nothing"):
        generate(guidance_scale=(1.0, 1.0), negative_prompt="a square")


def test_every_job_holds_the_request_that_it_came_from():
    for job in generate(steps=(2, 3), seed=4):
        assert job.request == {
            "verb": "generate", "prompts": [CROSS], "model": "oracle", "device": "cpu", "steps": [2, 3], "seed": 4,
        }  # fmt: skip
    assert ask(Curves(models=("a",))).jobs == []


@pytest.mark.parametrize("field", ["prompts", "high", "low"])
def test_an_empty_prompt_is_refused_wherever_it_stands(field):
    values = {"low": CROSS, "high": CROSS, field: "  "} if field != "prompts" else {"prompts": (CROSS, " ")}
    kind = Generate if field == "prompts" else Hybrid
    with pytest.raises(UserError, match="A prompt is empty"):
        ask(kind(**values, model="oracle"))


def test_only_digits_need_no_prompt():
    with pytest.raises(UserError, match="Say what the picture is to be"):
        generate(prompts=())


def test_the_last_model_of_a_device_stays():
    first = model_of(Generate(model="oracle", device="cpu"))
    assert model_of(Generate(model="oracle", device="cpu", seed=3)) is first
    assert model_of(Noise(model="oracle", device="cpu", image="x.png")) is first
    other = model_of(Generate(model="oracle", device="cpu", dtype="float32"))
    assert other is not first
    assert model_of(Generate(model="oracle", device="cpu", dtype="float32")) is other
    assert model_of(Generate(model="oracle", device="cpu")) is not first  # one for each device, not more


def test_an_edit_starts_where_it_says_or_where_the_course_does(photo):
    edit = lambda **values: ask(Edit(image=photo, model="oracle", device="cpu", prompts=(CROSS,), **values)).jobs
    assert [job.title for job in edit()] == [f"start {k}" for k in (1, 3, 5, 7, 10, 20)]
    assert [job.title for job in edit(steps=8)] == [f"start {k}" for k in (1, 3, 5, 7)]
    assert [job.title for job in edit(times=(900, 500, 100))] == ["start 1"]
    assert [job.title for job in edit(steps=1)] == ["start 0"]
    with pytest.raises(UserError, match="Start index 10 is outside this plan"):
        edit(steps=8, start=(1, 10))
    assert [job.title for job in edit(start=(2, 0))] == ["start 2", "start 0"]
    assert [job.title for job in edit(strength=(0.5, 1.0))] == ["strength 0.5", "strength 1"]
    assert [job.title for job in edit(t=(250.0, 500.5))] == ["t = 250", "t = 500.5"]
    for both in ({"start": (1,), "strength": (0.5,)}, {"start": (1,), "t": (5.0,)}, {"strength": (0.5,), "t": (5.0,)}):
        with pytest.raises(UserError, match="one of --start, --strength and --t"):
            edit(**both)


def test_a_hole_is_a_mask_or_a_box_and_either_way_round(photo, half):
    fill = lambda **values: ask(Inpaint(image=photo, model="oracle", device="cpu", prompts=(CROSS,), **values))
    inside = fill(box=(8, 0, 16, 32), steps=2)
    expected = torch.zeros(1, 1, 32, 32)
    expected[..., 8:16] = 1
    assert torch.equal(inside.mask, expected)
    assert torch.equal(fill(box=(8, 0, 16, 32), invert=True).mask, 1 - expected)
    assert torch.equal(inside.jobs[0].composite.mask, expected)
    assert torch.equal(inside.picture.pixels, dr.as_picture(photo))
    for both in ({}, {"box": (8, 0, 16, 32), "mask": photo}):
        with pytest.raises(UserError, match="either a MASK"):
            fill(**both)
    walked = fill(box=(8, 0, 16, 32), steps=5, jump=2, resample=3).jobs[0]
    assert len(walked.stages[0].plan) == 5 + 2 * 2 * 3  # two stretches of two moves: up and down again, twice each
    assert walked.stages[0].constrain.how == "renoised"
    assert fill(box=(8, 0, 16, 32), how="clean").jobs[0].stages[0].constrain.how == "clean"


def test_noise_is_named_by_its_time_or_as_it_is_on_a_picture_from_0_to_1(oracle):
    of = lambda **values: times_of(Noise(image="x.png", **values), oracle)
    assert of() == [250, 500, 750]
    assert of(t=(10.0, 20.0)) == [10, 20]
    for sigma, t in zip((0.1, 0.5), of(sigma=(0.1, 0.5)), strict=True):
        ratios = [oracle.stages[0].schedule.level(s).noise_to_signal for s in (t - 1, t, t + 1)]
        assert min(ratios, key=lambda r: abs(r - 2 * sigma)) == ratios[1]  # the range [-1, 1] is twice as wide
    with pytest.raises(UserError, match="either --t or --sigma"):
        of(t=(10.0,), sigma=(0.1,))


def test_a_picture_is_denoised_by_every_method_that_its_model_has(photo, oracle):
    asked = ask(Denoise(image=photo, model="oracle", device="cpu", t=(300.0, 600.0), prompts=(CROSS,), steps=7))
    assert [job.title for job in asked.jobs] == [
        f"{method}, t = {t}" for t in (300, 600) for method in ("one-step", "iterative")
    ]
    moves = [1 + sum(142 * k < t for k in range(7)) for t in (300, 600)]  # from t, and from each time below it
    assert [len(job.stages[0].plan) for job in asked.jobs] == [1, moves[0], 1, moves[1]]
    schedules = {linear(3): ("one-step", "iterative"), FlowSchedule(): ("one-step", "iterative")}
    for schedule, methods in {**schedules, OneStepSchedule(0.5): ("one-step",)}.items():
        assert methods_of(dr.StageFacts(**{**vars(oracle.stages[0]), "schedule": schedule})) == methods


def test_noise_and_upscale_are_asked_with_their_picture(photo, cascade_folder):
    assert [job.title for job in ask(Noise(image=photo, model="oracle", t=(5.0,), device="cpu")).jobs] == ["t = 5"]
    asked = ask(Upscale(image=photo, model=str(cascade_folder), device="cpu", prompts=("a cat",), noise_level=7))
    (stage,) = asked.jobs[0].stages
    assert (stage.index, stage.low_res.noise_level) == (1, 7)


def test_further_prompts_have_views():
    of = lambda prompts, views: subject_of(Upscale(image="x.png", prompts=prompts, views=views))
    assert of((), ()) is None
    assert of(("a",), ()) == "a"
    assert of(("a", "b", "c"), ("flip", "negate")) == {"identity": "a", "flip": "b", "negate": "c"}
    with pytest.raises(UserError, match="--view shows a further prompt"):
        of((), ("flip",))
    for prompts, views in ((("a",), ("flip",)), (("a", "b"), ())):
        with pytest.raises(UserError, match="need"):
            of(prompts, views)
    with pytest.raises(UserError, match="twice"):
        views_of(("a", "b", "c"), ("flip", "flip"))
    asked = ask(Anagram(prompts=(CROSS, "a square"), model="oracle", device="cpu"))
    assert asked.jobs[0].title == f"{CROSS} | a square"


def test_a_hybrid_is_asked_with_its_low_pass():
    job = ask(Hybrid(high=CROSS, low="a square", kernel=9, sigma=1.5, model="oracle", device="cpu")).jobs[0]
    (low,) = job.stages[0].guidance.child.filters
    assert (low.kernel, low.sigma) == (9, 1.5)
    assert job.title == f"{CROSS} | a square"


def test_options_are_those_that_were_given():
    request = Generate(stage=1, dtype="float32", noise_level=0)
    assert options_of(request, steps=4, guidance_scale=None) == {"stage": 1, "noise_level": 0, "steps": 4}
