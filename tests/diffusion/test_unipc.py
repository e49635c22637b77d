"""UniPC against the scheduler of diffusers, its equations, and a Gaussian's exact flow."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler

from duckrabbit.diffusion.plans import plan_through
from duckrabbit.diffusion.prediction import Prediction, read_output
from duckrabbit.diffusion.schedules import FlowSchedule, linear
from duckrabbit.diffusion.solvers import DDIM, DPMSolverPP2M, UniPC, find_solver
from duckrabbit.diffusion.streams import Noise
from duckrabbit.diffusion.trajectory import trajectory
from duckrabbit.errors import UserError
from exact import KINDS, M, V, carried, grid, last, marginal, no_noise, path, predict


def walked(solver, kind, steps):
    plan = path(kind, steps, high=0.98)
    return (last(predict, grid(), plan, solver, no_noise) - carried(grid(), plan[0].at, plan[-1].to)).abs().max().item()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("order", "expected"), [(1, 2), (2, 3)])
def test_the_corrector_adds_one_to_the_order(order, expected, kind):
    """Zhao et al. 2023, theorem 3.1: UniPC-p is of order p + 1."""
    errors = [walked(UniPC(order), kind, steps) for steps in (256, 512)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_a_third_estimate_helps(kind):
    """Order 4 lies below rounding soon: from 32 to 64 steps it falls at least as fast as order 3, and is smaller."""
    errors = [walked(UniPC(3), kind, steps) for steps in (32, 64)]
    assert math.log2(errors[0] / errors[1]) > 3
    assert errors[1] < walked(UniPC(2), kind, 64)


@pytest.mark.parametrize("steps", [5, 10, 30])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc_equals_diffusers_step_by_step(order, steps):
    """The same answers for both; the scheduler's last orders are kept as they are (`lower_order_final`)."""
    scheduler = UniPCMultistepScheduler(
        beta_start=1e-4, beta_end=0.02, solver_order=order, timestep_spacing="trailing", lower_order_final=False
    )
    scheduler.set_timesteps(steps)
    say = lambda x: (2 * x).sin()
    x = theirs = Noise((0,))(torch.zeros(1, 3, 8, 8), "start")
    schedule = linear()
    plan = plan_through(schedule, schedule.times(steps, "trailing"))
    states = trajectory(lambda x, at: read_output("epsilon", x, at, say(x)), x, plan, UniPC(order), no_noise)
    for t, state in zip(scheduler.timesteps[:-1], states, strict=False):
        theirs = scheduler.step(say(theirs), t, theirs).prev_sample
        assert (state.x - theirs).abs().max() <= 1e-4 * theirs.abs().max()


@pytest.mark.parametrize(
    ("scheduler", "solver"), [(UniPCMultistepScheduler, UniPC()), (DPMSolverMultistepScheduler, DPMSolverPP2M())]
)
@pytest.mark.parametrize("shift", [1.0, 3.0, 6.0])
def test_flow_sigmas_of_the_multistep_schedulers(scheduler, solver, shift):
    """Their flow levels, walked by ours from the same noise: every step but the last, which theirs takes in order 1."""
    theirs = scheduler(
        use_flow_sigmas=True, flow_shift=shift, prediction_type="flow_prediction", lower_order_final=False
    )
    theirs.set_timesteps(20)
    x = sample = Noise((0,))(torch.zeros(1, 3, 8, 8), "start")
    say = lambda x: 0.5 * x - (2 * x).cos()  # diffusers' velocity, noise - x0
    times = [float(s) for s in theirs.sigmas[:-1]]
    states = trajectory(
        lambda x, at: read_output("flow", x, at, -say(x)), x, plan_through(FlowSchedule(), times), solver, no_noise
    )
    for t, state in zip(theirs.timesteps[:-1], states, strict=False):
        sample = theirs.step(say(sample), t, sample).prev_sample
        assert (state.x - sample).abs().max() <= 1e-4 * sample.abs().max()


def test_a_flow_walks_from_pure_noise_to_the_quantile_of_the_picture():
    for order in (1, 2, 3):
        states = list(trajectory(predict, grid(), path("flow", 100, low=0.01, to_clean=True), UniPC(order), no_noise))
        assert (states[-1].x - (M + math.sqrt(V) * grid())).abs().max() < 0.01


@pytest.mark.parametrize("order", [2, 3])
def test_what_is_sure_is_followed_exactly(order):
    x0, eps = grid(), grid(9, 1.0, -0.5)
    plan = path("vp", 6, to_clean=True)
    start = plan[0].at.alpha * x0 + plan[0].at.sigma * eps
    states = list(trajectory(lambda x, at: Prediction(x0, eps), start, plan, UniPC(order), no_noise))
    for state, _ in pairwise(states):
        torch.testing.assert_close(state.x, state.at.alpha * x0 + state.at.sigma * eps, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("solver", [UniPC(), DDIM()])
def test_what_a_constraint_changes_stays(solver):
    """x is moved by 1 after the third of 8 moves; the flow carries that on by the ratio of the standard deviations."""
    plan = path("vp", 8, high=0.98)
    nudge = lambda x, at, noise, i: x + (i == 2)
    ends = [list(trajectory(predict, grid(), plan, solver, no_noise, c))[-1].x for c in (None, nudge)]
    (_, before), (_, after) = marginal(plan[2].to), marginal(plan[-1].to)
    assert (ends[1] - ends[0]).mean().item() == pytest.approx(math.sqrt(after / before), rel=0.2)


def test_two_levels_of_next_to_no_picture():
    flow = FlowSchedule()
    states = trajectory(predict, grid(), plan_through(flow, [1, 0.9999999, 0.5, 0.2]), UniPC(3), no_noise)
    assert all(state.x.isfinite().all() for state in states)


def test_its_order_is_typed_after_its_name():
    assert find_solver("unipc") == UniPC(2)
    assert find_solver("unipc:order=3") == UniPC(3)
    for wrong in (0, 4, 2.5):
        with pytest.raises(UserError, match="1, 2 or 3"):
            UniPC(wrong)
    for spec in ("unipc:order=3,order=2", "heun:churned=3", "dpm++-2s:schedule=3", "unipc:"):
        with pytest.raises(UserError, match="cannot be set"):
            find_solver(spec)
