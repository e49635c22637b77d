"""What a model makes of the options: gaps are filled, and what has no use is refused with its reason."""

import copy
import math
from dataclasses import replace

import pytest

import duckrabbit as dr
from duckrabbit.diffusion.schedules import DiscreteSchedule, FlowSchedule, OneStepSchedule, linear
from duckrabbit.diffusion.solvers import DDIM, DDPM
from duckrabbit.guidance.nodes import CFG, Clip, Threshold
from duckrabbit.models.model import Limiter
from duckrabbit.tasks.settings import level_words, limited, options_for, plan_of, resolve, scale_at, solver_of

CROSS = "a red cross"


def on(model, **facts):
    """The model with other facts of its first stage."""
    made = copy.copy(model)
    made.stages = (replace(model.stages[0], **facts), *model.stages[1:])
    return made


def times(plan):
    return [plan[0].at.t, *(move.to.t for move in plan)]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"steps_stage2": 3}, "oracle has one stage"),
        ({"guidance_scale": 1, "interval": (0.0, 1.0)}, "a guidance scale of 1 is no guidance"),
        ({"guidance_scale": 1, "guidance": CFG}, "a guidance scale of 1 is no guidance"),
        ({"guidance": lambda c, u, s: c, "interval": (0.0, 1.0)}, "a guidance of your own says itself when"),
        ({"preset": "cs180", "spacing": "trailing"}, "the preset cs180 has its own levels"),
    ],
)
def test_an_idle_option_is_refused_with_the_reason(oracle, options, why):
    with pytest.raises(dr.UserError, match=f"would change nothing: {why}"):
        resolve(oracle, options)


def test_the_reason_is_that_of_the_stages_that_run(oracle, tiny):
    with pytest.raises(dr.UserError, match="only one stage runs"):
        resolve(tiny, {"stage": 1, "noise_level": 3})
    resolve(tiny, {"preset": "cs180", "spacing": "trailing"})  # the second stage has a use for it
    with pytest.raises(dr.UserError, match="would change nothing"):
        resolve(tiny, {"negative_prompt": "a cat", "guidance_scale_stage2": 1}, first=1)


def test_gaps_are_filled_by_the_preset_then_by_the_model(oracle, tiny):
    card = oracle.card
    plain, course = resolve(oracle, {}), resolve(oracle, {"preset": "cs180"})
    assert (plain.guidance_scale, course.guidance_scale) == (card.guidance_scale, 7)
    assert (plain.solver, course.solver) == (card.solver, "ddpm")
    assert plain.negative_prompt == card.null_prompt
    assert (plain.stages, resolve(tiny, {}).stages, resolve(tiny, {"stage": 1}).stages) == (1, 2, 1)
    assert (plain.interval, plain.noise_level, plain.steps, plain.spacing) == ((0, math.inf), None, None, None)
    both = resolve(tiny, {"guidance_scale": 3, "guidance_scale_stage2": 4})
    assert (scale_at(both, 0), scale_at(both, 1)) == (3, 4)


def test_only_the_high_end_of_an_interval_may_be_infinite(oracle):
    assert resolve(oracle, {"interval": [0.5, math.inf]}).interval == (0.5, math.inf)
    for wrong, words in (((-math.inf, 1), "low end"), ((0, 1, 2), "two numbers"), (3, "two numbers"), ("0", "two")):
        with pytest.raises(dr.UserError, match=words):
            resolve(oracle, {"interval": wrong})


def test_a_noise_level_is_one_that_the_second_stage_has(tiny):
    last = len(tiny.stages[1].noising.alphas_cumprod) - 1
    assert [resolve(tiny, {"noise_level": k}).noise_level for k in (0, last)] == [0, last]
    for wrong in (-1, last + 1):
        with pytest.raises(dr.UserError, match=f"from 0 to {last}"):
            resolve(tiny, {"noise_level": wrong})


@pytest.mark.parametrize(("total", "stride"), [(10, 1), (33, 1), (34, 1), (67, 2), (300, 9), (1000, 30)])
def test_the_courses_levels_are_a_33rd_apart_on_every_chain(oracle, total, stride):
    """Stride 30 of 1000, in proportion and at least 1, from the highest multiple below T down to 0."""
    facts = on(oracle, schedule=linear(total)).stages[0]
    plan = plan_of(facts, resolve(oracle, {"preset": "cs180"}), 0)
    assert times(plan) == [t for t in range(total - 1, -1, -1) if t % stride == 0]
    assert len(plan_of(facts, resolve(oracle, {"preset": "cs180", "steps": 4}), 0)) == 4
    assert times(plan_of(facts, resolve(oracle, {"preset": "cs180", "steps": 4}), 0))[-1] == 0


def test_the_course_has_levels_for_chains_and_first_stages_only(tiny):
    settings = resolve(tiny, {"preset": "cs180", "steps": 3, "steps_stage2": 5})
    second = plan_of(tiny.stages[1], settings, 1)
    assert (len(second), second[-1].to) == (5, dr.CLEAN)
    flow = replace(tiny.stages[0], schedule=FlowSchedule(), spacing="trailing")
    assert times(plan_of(flow, settings, 0)) == pytest.approx([1, 2 / 3, 1 / 3, -1])


def test_dpm_solver_leaves_out_the_levels_that_are_nearly_noise(oracle):
    """From the largest t with log(alpha / sigma) >= lambda_min on, the spacing is that of the shorter chain."""
    facts = replace(oracle.stages[0], lambda_min=-5.1)
    usable = [t for t in range(1000) if facts.schedule.level(t).half_log_snr >= -5.1]
    assert 0 < len(usable) < 1000
    shorter = DiscreteSchedule(facts.schedule.alphas_cumprod[: len(usable)])
    plan = plan_of(facts, resolve(oracle, {"solver": "dpm++", "steps": 20}), 0)
    assert times(plan)[:-1] == list(shorter.times(20, facts.spacing, facts.offset))
    other = plan_of(facts, resolve(oracle, {"solver": "ddim", "steps": 20}), 0)
    assert times(other)[:-1] == list(facts.schedule.times(20, facts.spacing, facts.offset))
    exact = replace(facts, lambda_min=facts.schedule.level(700).half_log_snr)
    trailing = resolve(oracle, {"solver": "dpm++", "steps": 1, "spacing": "trailing"})
    assert plan_of(exact, trailing, 0)[0].at.t == 700  # the bound itself belongs to it


def test_spacing_may_be_a_function(oracle):
    settings = resolve(oracle, {"steps": 3, "spacing": lambda schedule, steps: [900, 100 * steps, 5]})
    assert times(plan_of(oracle.stages[0], settings, 0)) == [900, 300, 5, -1]
    for wrong in (5, "quadratic"):
        with pytest.raises(dr.UserError):
            resolve(oracle, {"spacing": wrong})
    usual = resolve(oracle, {"spacing": lambda schedule, steps: range(steps - 1, -1, -1)})
    assert len(plan_of(oracle.stages[0], usual, 0)) == oracle.stages[0].steps


def test_levels_may_be_named_by_time_or_by_sigma(oracle, tiny):
    facts = oracle.stages[0]
    walked = lambda model, facts, stage=0, **options: times(plan_of(facts, resolve(model, options), stage))
    assert walked(oracle, facts, times=(999, 400.5, 3)) == [999, 400.5, 3, -1]
    assert walked(oracle, facts, times=(999, 0, -1)) == [999, 0, -1]
    sigmas = (80, 10, 0.5)
    at = [facts.schedule.level(t).noise_to_signal for t in walked(oracle, facts, sigmas=sigmas)]
    assert at == pytest.approx([*sigmas, 0])
    assert walked(oracle, facts, sigmas=(80, 0)) == walked(oracle, facts, sigmas=(80,))
    assert len(walked(tiny, tiny.stages[1], 1, times=(999, 3), steps_stage2=5)) == 6  # they are those of stage I
    resolve(tiny, {"times": (999,), "spacing": "trailing"})
    for options, why in (
        ({"times": (9,), "steps": 3}, "times says where the steps are"),
        ({"sigmas": (9,), "spacing": "karras"}, "sigmas says where the steps are"),
        ({"times": (9,), "sigmas": (9,)}, "times says where the steps are"),
        ({"times": ()}, "names no level"),
        ({"times": 5}, "row of numbers"),
        ({"sigmas": (1, "x")}, "Each of sigmas"),
    ):
        with pytest.raises(dr.UserError, match=why):
            resolve(oracle, options)
    for wrong, why in (
        ({"times": (1, 2)}, "must fall"),
        ({"sigmas": (-1,)}, "no amount"),
        ({"times": (1e4,)}, "0 to 999"),
    ):
        with pytest.raises(dr.UserError, match=why):
            plan_of(facts, resolve(oracle, wrong), 0)


def test_ddpm_by_name_has_the_variance_that_the_stage_was_trained_with(oracle, tiny):
    assert solver_of(tiny.stages[0], resolve(tiny, {"solver": "ddpm"})) == DDPM("learned")
    assert solver_of(oracle.stages[0], resolve(oracle, {"solver": "ddpm"})) == DDPM("small")
    assert solver_of(oracle.stages[0], resolve(oracle, {"solver": "ddpm-large"})) == DDPM("large")
    assert solver_of(oracle.stages[0], resolve(oracle, {"solver": DDPM("large")})) == DDPM("large")
    assert solver_of(oracle.stages[0], resolve(oracle, {"solver": DDIM(0.5)})) == DDIM(0.5)
    for wrong in (DDIM, 7, object()):
        with pytest.raises(dr.UserError, match="solver is a name"):
            resolve(oracle, {"solver": wrong})


def test_x0_is_held_in_range_as_the_stage_asks(oracle):
    tree, plain, course = dr.Prompt(CROSS), resolve(oracle, {}), resolve(oracle, {"preset": "cs180"})
    of = lambda limiter, settings=plain: limited(tree, replace(oracle.stages[0], limiter=limiter), settings)
    assert of(None) is tree
    assert of(Limiter(None, 1.0), course) is tree
    assert of(Limiter(None, 1.2)) == Clip(tree, 1.2)
    assert of(Limiter(0.9, 1.3)) == Threshold(tree, 0.9, 1.3)


def test_one_step_has_no_use_for_what_is_about_several(oracle):
    options = {"steps": 3, "solver": "ddim", "spacing": "trailing", "guidance_scale": 2.0}
    assert options_for("iterative", options) == options
    assert options_for("one-step", options) == {"guidance_scale": 2.0}
    assert level_words(oracle.stages[0], 250.0) == "t = 250"
    assert level_words(replace(oracle.stages[0], schedule=OneStepSchedule(0.5)), 0.5) == "sigma = 0.5"


def test_rules_of_ones_own_are_known_by_their_names(oracle):
    def still(x, at, noise, i):
        return x

    dr.register("constraint", "still")(still)
    dr.register("guidance", "plain")(CFG)
    dr.register("schedule", "three")(lambda schedule, steps: [900, 500, 100])
    settings = resolve(oracle, {"constraint": "still", "guidance": "plain", "spacing": "three"})
    assert settings.constraint is still
    assert settings.guidance is CFG
    assert times(plan_of(oracle.stages[0], settings, 0)) == [900, 500, 100, -1]
    for option in ("constraint", "guidance"):
        with pytest.raises(dr.UserError, match="nobody"):
            resolve(oracle, {option: "nobody"})
        with pytest.raises(dr.UserError, match=f"{option} is a registered name or something to call"):
            resolve(oracle, {option: 3})
