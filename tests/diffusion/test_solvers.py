"""Solvers on a Gaussian, whose probability flow is known in closed form: orders, exactness, one step at a time."""

import math

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from duckrabbit.diffusion.levels import CLEAN, NoiseLevel
from duckrabbit.diffusion.plans import Move, plan_through
from duckrabbit.diffusion.prediction import Prediction, read_output
from duckrabbit.diffusion.schedules import FlowSchedule, linear, squaredcos_cap_v2
from duckrabbit.diffusion.solvers import (
    DDIM,
    DDPM,
    SOLVERS,
    DPMSolverPP2M,
    DPMSolverPP2S,
    DPMSolverPP3M,
    Heun,
    Step,
    find_solver,
    on_schedule,
)
from duckrabbit.diffusion.streams import Noise
from duckrabbit.diffusion.trajectory import diffuse, trajectory
from duckrabbit.errors import UserError
from exact import KINDS, Between, M, V, carried, grid, last, marginal, no_noise, path, predict


@pytest.mark.parametrize(
    ("solver", "order"),
    [(DDIM(), 1), (Heun(), 2), (DPMSolverPP2M(), 2), (DPMSolverPP2S(), 2)],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_solver_converges_at_its_order(solver, order, kind):
    """Halving the steps of a method of order p divides its error by 2^p; a flow starts at alpha = 0."""
    x, solver = grid(), on_schedule(solver, Between(kind))
    errors = []
    for steps in (256, 512):
        plan = path(kind, steps)
        exact = carried(x, plan[0].at, plan[-1].to)
        errors.append((last(predict, x, plan, solver, no_noise) - exact).abs().max().item())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)
    assert errors[1] < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_three_estimates_make_order_3(kind):
    """At least: where lambda is evenly spaced (ve) the terms of order 3 nearly cancel. Two make 2 on the same path."""
    x, orders = grid(), {}
    for solver in (DPMSolverPP2M(), DPMSolverPP3M().on(Between(kind))):
        errors = []
        for steps in (256, 512):
            plan = path(kind, steps, high=0.98)
            errors.append((last(predict, x, plan, solver, no_noise) - carried(x, plan[0].at, plan[-1].to)).abs().max())
        orders[type(solver)] = math.log2(errors[0] / errors[1])
    assert orders[DPMSolverPP2M] == pytest.approx(2, abs=0.15)
    assert orders[DPMSolverPP3M] > 2.85


@pytest.mark.parametrize("solver", [DDIM(), Heun(), DPMSolverPP2M(), DPMSolverPP2S(), DPMSolverPP3M()])
@pytest.mark.parametrize("kind", KINDS)
def test_a_deterministic_solver_carries_a_sure_picture_exactly(solver, kind):
    """Where x0 and eps are the same at every level the path is straight, and every step must follow it."""
    x0, eps, solver = grid(), grid(9, 1.0, -0.5), on_schedule(solver, Between(kind))
    plan = path(kind, 5, to_clean=True)
    at, to = plan[0].at, plan[-2].to
    start = at.alpha * x0 + at.sigma * eps
    states = list(trajectory(lambda x, level: Prediction(x0, eps), start, plan, solver, no_noise))
    torch.testing.assert_close(states[-2].x, to.alpha * x0 + to.sigma * eps, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(states[-1].x, x0, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_ddim_with_eta_1_is_ddpm_with_the_small_variance_step_by_step(kind):
    x, noise = grid(), Noise(tuple(range(9)))
    plan = path(kind, 12, high=0.98, to_clean=True)
    pairs = zip(
        trajectory(predict, x, plan, DDPM("small"), noise),
        trajectory(predict, x, plan, DDIM(1.0), noise),
        strict=True,
    )
    for ddpm, ddim in pairs:
        torch.testing.assert_close(ddpm.x, ddim.x, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("eta", [0.3, 0.8])
@pytest.mark.parametrize("kind", KINDS)
def test_ddim_keeps_the_marginal_whatever_eta(eta, kind):
    """Given x_0 = 0 and the true eps, x_s has variance sigma_s^2: pushed through by its parts, eps and z."""
    (move,) = path(kind, 1, high=0.7, low=0.4)
    zero, one = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)

    def step(eps, z):
        return DDIM(eta).step(lambda x, at: Prediction(zero, eps), zero, move, lambda *_: z, 0, None).x.item()

    of_eps, of_z = step(one, zero), step(zero, one)
    assert of_eps**2 + of_z**2 == pytest.approx(move.to.sigma**2, rel=1e-6)
    assert of_z == pytest.approx(eta * DDIM(1.0).step(*_parts(zero, one, move)).x.item(), rel=1e-5)


def _parts(zero, one, move):
    return lambda x, at: Prediction(zero, zero), zero, move, lambda *_: one, 0, None


@pytest.mark.parametrize("steps", [10, 50])
def test_ddim_equals_diffusers_over_a_whole_run(steps):
    scheduler = DDIMScheduler(
        beta_schedule="linear", beta_start=1e-4, beta_end=0.02, clip_sample=False, set_alpha_to_one=True
    )
    scheduler.set_timesteps(steps)
    schedule = linear()
    say = lambda x: (2 * x).sin()
    x = theirs = Noise((0,))(torch.zeros(1, 3, 8, 8), "start")
    for t in scheduler.timesteps:
        theirs = scheduler.step(say(theirs), t, theirs).prev_sample
    plan = plan_through(schedule, schedule.times(steps))
    ours = last(lambda x, at: read_output("epsilon", x, at, say(x)), x, plan, DDIM(), no_noise)
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ("variance", "theirs"), [("small", "fixed_small"), ("large", "fixed_large"), ("learned", "learned_range")]
)
def test_ddpm_equals_diffusers_step_by_step(variance, theirs, monkeypatch):
    """The same x, answer and noise for both at every step of a respaced chain, the last step included."""
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type=theirs, clip_sample=False)
    scheduler.set_timesteps(20)
    schedule = squaredcos_cap_v2()
    noise = Noise((5,))
    x, z, f = (noise(torch.zeros(1, 3, 4, 4), "test", i) for i in range(3))
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *a, **k: z)
    for move in plan_through(schedule, schedule.times(20)):
        eps = (2 * x).sin()
        output = torch.cat([eps, f], 1) if variance == "learned" else eps
        want = scheduler.step(output, int(move.at.t), x).prev_sample
        denoise = lambda x, at, eps=eps: read_output("epsilon", x, at, eps, f)
        got = DDPM(variance).step(denoise, x, move, lambda *_: z, 0, None).x
        torch.testing.assert_close(got, want, atol=1e-4, rtol=2e-3)


def formula(x, x0, x0_before, before, move, z):
    """The move of SDE-DPM-Solver++(2M) as its authors write it, in lambda = log(alpha / sigma)."""
    at, to = move
    h, h_before = to.half_log_snr - at.half_log_snr, at.half_log_snr - before.half_log_snr
    d = x0 + h / (2 * h_before) * (x0 - x0_before)
    mean = to.sigma / at.sigma * math.exp(-h) * x + to.alpha * (1 - math.exp(-2 * h)) * d
    return mean + to.sigma * math.sqrt(1 - math.exp(-2 * h)) * z


@pytest.mark.parametrize("kind", ["vp", "ve"])
def test_the_stochastic_dpm_solver_is_the_formula_of_its_paper(kind):
    plan, noise = path(kind, 5), Noise(tuple(range(9)))
    states = list(trajectory(predict, grid(), plan, DPMSolverPP2M(1.0), noise))
    for i in range(1, len(plan)):
        x, before = states[i - 1].x, states[i - 1].prediction.x0
        want = formula(x, predict(x, plan[i].at).x0, before, plan[i - 1].at, plan[i], noise(x, "step", i))
        torch.testing.assert_close(states[i].x, want, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("solver", [DDIM(), DPMSolverPP2M(), DPMSolverPP2M(1.0), DDPM("small")])
def test_the_first_move_of_a_flow_goes_from_pure_noise_to_the_mean(solver):
    """At t = 1 the best guess of the picture is its mean: x_s = (1 - s) M + s x, or noise anew where r = 0."""
    x, zero = grid(), lambda like, *_: torch.zeros_like(like)
    (move,) = path("flow", 1, low=0.9)
    got = solver.step(predict, x, move, zero, 0, None).x
    kept = 0.0 if solver in (DDPM("small"), DPMSolverPP2M(1.0)) else 0.9
    torch.testing.assert_close(got, 0.1 * M + kept * x, atol=1e-12, rtol=0)


@pytest.mark.parametrize("solver", [Heun(), DPMSolverPP2M(), DPMSolverPP2S(), DPMSolverPP3M()])
def test_a_flow_walks_from_pure_noise_to_the_quantile_of_the_picture(solver):
    """alpha = 0 at the start, where log(alpha / sigma) = -inf: x_0 = M + sqrt(V) x, the map from N(0, 1) to N(M, V)."""
    x, solver = grid(), on_schedule(solver, FlowSchedule())
    quiet = lambda like, purpose, i: torch.zeros_like(like)
    states = list(trajectory(predict, x, path("flow", 200, low=1e-4, to_clean=True), solver, quiet))
    assert all(state.x.isfinite().all() for state in states)
    assert (states[-1].x - (M + math.sqrt(V) * x)).abs().max() < 0.01


def test_heun_asks_twice_a_move_and_once_on_the_move_to_clean():
    asked = []
    spy = lambda x, at: (asked.append(at), predict(x, at))[1]
    plan = path("vp", 2, to_clean=True)
    last(spy, grid(), plan, Heun(), no_noise)
    assert asked == [plan[0].at, plan[0].to, plan[1].at, plan[1].to, plan[2].at]


def test_the_memory_of_a_multistep_solver_is_dropped_after_an_upward_move():
    """After the way back up, the walk is the one that a fresh run makes from there."""
    down = path("vp", 6, high=0.9, low=0.3)
    up = Move(down[2].to, down[0].at)
    x, zero = grid(), lambda like, *_: torch.zeros_like(like)
    states = list(trajectory(predict, x, (*down[:3], up, *down), DPMSolverPP2M(), zero))
    assert states[3].prediction is None
    fresh = list(trajectory(predict, states[3].x, down, DPMSolverPP2M(), zero))
    for a, b in zip(states[4:], fresh, strict=True):
        assert torch.equal(a.x, b.x)
    # and the memory matters: with it, the second move of a run differs from a first move
    alone = last(predict, states[0].x, down[1:2], DPMSolverPP2M(), zero)
    assert (alone - states[1].x).abs().max() > 1e-4


@pytest.mark.parametrize("name", SOLVERS)
def test_a_batch_of_nine_is_nine_singles(name):
    plan, solver = path("vp", 8, to_clean=True), on_schedule(SOLVERS[name], Between("vp"))
    x = grid()
    denoise = lambda x, at: Prediction(*[getattr(predict(x, at), k) for k in ("x0", "eps")], torch.tanh(x))
    together = last(denoise, x, plan, solver, Noise(tuple(range(9))))
    for k in range(9):
        assert torch.equal(together[k : k + 1], last(denoise, x[k : k + 1], plan, solver, Noise((k,))))


@pytest.mark.parametrize("name", SOLVERS)
def test_a_run_taken_up_again_ends_where_the_whole_run_ends(name):
    plan, noise = path("vp", 12, to_clean=True), Noise(tuple(range(9)))
    solver = on_schedule(SOLVERS[name], Between("vp"))
    denoise = lambda x, at: Prediction(predict(x, at).x0, predict(x, at).eps, torch.tanh(x))
    whole = list(trajectory(denoise, grid(), plan, solver, noise))
    tail = list(trajectory(denoise, whole[4].x, plan[5:], solver, noise, first=5))
    assert [s.i for s in tail] == [s.i for s in whole[5:]]
    # multistep solvers have lost their memory: they begin again with a move of lower order (see trajectory)
    tolerance = 0.02 if name in ("dpm++", "sde-dpm++", "dpm++-3m", "unipc") else 0
    assert (tail[-1].x - whole[-1].x).abs().max() <= tolerance


def test_stopping_early_asks_nothing_more():
    asked = []
    spy = lambda x, at: (asked.append(at), predict(x, at))[1]
    walk = trajectory(spy, grid(), path("vp", 10), DDIM(), no_noise)
    next(walk)
    walk.close()
    assert len(asked) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_upward_move_reaches_the_marginal_of_its_level(kind):
    """If x_s = alpha_s x_0 + sigma_s e then r x_s + w z has the moments of level t; pushed through by its parts."""
    (move,) = path(kind, 1, high=0.3, low=0.8)

    def of(x, z):
        return diffuse(torch.tensor(x, dtype=torch.float64), move, torch.tensor(z, dtype=torch.float64)).item()

    assert of(move.at.alpha, 0.0) == pytest.approx(move.to.alpha, rel=1e-12)
    assert of(move.at.sigma, 0.0) ** 2 + of(0.0, 1.0) ** 2 == pytest.approx(move.to.sigma**2, rel=1e-12)


def test_a_trajectory_yields_every_level_it_reaches_and_edits_nothing():
    x = grid()
    before = x.clone()
    plan = path("vp", 5, to_clean=True)
    states = list(trajectory(predict, x, plan, DDIM(), no_noise))
    assert [s.at for s in states] == [m.to for m in plan]
    assert states[-1].at == CLEAN
    assert torch.equal(x, before)
    assert list(trajectory(predict, x, (), DDIM(), no_noise)) == []


class Guess:
    """A solver from outside: the state of a run is all it needs, so a user's own one-liner works."""

    def step(self, denoise, x, move, noise, i, memory):
        return Step(denoise(x, move.at).x0, denoise(x, move.at), (memory or 0) + 1)


def test_a_solver_of_ones_own_runs_in_the_same_loop():
    torch.testing.assert_close(
        last(predict, grid(), path("vp", 1), Guess(), no_noise), predict(grid(), path("vp", 1)[0].at).x0
    )


def test_settings_that_make_no_sense_are_refused():
    for eta in (-0.1, 1.1, math.nan):
        with pytest.raises(UserError, match="DDIM's eta"):
            DDIM(eta)
        with pytest.raises(UserError, match=r"DPM-Solver\+\+'s eta"):
            DPMSolverPP2M(eta)
    with pytest.raises(UserError, match="learned, small or large"):
        DDPM("fixed_small")
    (move,) = path("vp", 1)
    with pytest.raises(UserError, match="has not learned its variance"):
        DDPM().step(predict, grid(), move, Noise(tuple(range(9))), 0, None)
    # but no variance is needed for the move to CLEAN
    assert DDPM().step(predict, grid(), Move(NoiseLevel(0, 0.9, 0.4), CLEAN), no_noise, 0, None).x.isfinite().all()


def test_a_solver_is_found_by_its_name_and_numbers():
    assert [find_solver(name) for name in SOLVERS] == list(SOLVERS.values())
    assert find_solver("ddim:eta=0.5") == DDIM(0.5)
    assert find_solver("dpm++:eta=1") == SOLVERS["sde-dpm++"] == DPMSolverPP2M(1.0)
    for wrong in ("euler", "ddim:eta", "ddim:eta=x", "ddim:nu=1", "heun:eta=1", "ddim:eta=2", "ddpm:variance=1"):
        with pytest.raises(UserError):
            find_solver(wrong)


@pytest.mark.parametrize("name", ["dpm++-2s", "dpm++-3m", "heun:churn=0.1"])
def test_a_solver_that_asks_between_levels_says_that_it_lacks_a_schedule(name):
    with pytest.raises(UserError, match=r"on\(facts.schedule\)"):
        last(predict, grid(), path("vp", 4), find_solver(name), lambda like, purpose, i: torch.zeros_like(like))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("churn", "spread"), [(0.2, 1.0), (0.4, 1.1)])
def test_churn_adds_the_variance_that_a_noisier_level_has(kind, churn, spread):
    """One move of order 2 from a marginal ends in the marginal; S_noise 1.1 brings 1.21 times the variance added."""
    plan = path(kind, 400)[200:201]
    at, to = plan[0]
    count = 100_000
    generator = torch.Generator().manual_seed(0)
    draw = lambda *_: torch.randn(count, 1, generator=generator, dtype=torch.float64)
    mean, var = marginal(at)
    x = mean + math.sqrt(var) * draw()
    solver = Heun(churn=churn, spread=spread).on(Between(kind))
    got = solver.step(predict, x, plan[0], draw, 0, None).x
    noisier = Between(kind).at(at.half_log_snr - math.log(1 + churn))
    brought = noisier.sigma**2 - (noisier.alpha / at.alpha * at.sigma) ** 2
    wanted_mean, wanted = marginal(to)
    wanted *= 1 + (spread**2 - 1) * brought / marginal(noisier)[1]  # the flow carries every width by one factor
    assert got.mean().item() == pytest.approx(wanted_mean, abs=5 * math.sqrt(wanted / count))
    assert got.var().item() == pytest.approx(wanted, rel=5 * math.sqrt(2 / count))


def test_churn_is_only_where_it_is_to_be_and_never_beyond_the_schedule():
    asked = []
    spy = lambda x, at: (asked.append(at.noise_to_signal), predict(x, at))[1]
    schedule = linear(1000)
    plan = plan_through(schedule, (999, 700, 300))
    first, second, _ = (move.at.noise_to_signal for move in plan)
    zero = lambda like, purpose, i: torch.zeros_like(like)
    last(spy, grid(), plan, Heun(churn=0.3, churned=(2.0, 1e9)).on(schedule), zero)
    assert asked[0] == first  # the noisiest level that there is
    assert asked[2] == pytest.approx(1.3 * second, rel=1e-9)
    assert plan[2].at.noise_to_signal < 2.0
    assert asked[4] == plan[2].at.noise_to_signal


@pytest.mark.parametrize("wrong", [{"churn": 0.5}, {"churn": -0.1}, {"spread": 0}, {"churn": math.nan}])
def test_a_churn_that_is_none_is_refused(wrong):
    with pytest.raises(UserError, match=r"churn is between 0 and 0\.414"):
        Heun(**wrong)


def test_euler_a_is_the_ancestral_step_of_euler():
    """Karras' form, written out: sigma_up and sigma_down of sigma / alpha, and a step of Euler's to the latter."""
    generator = torch.Generator().manual_seed(3)
    for at, to in path("ve", 6)[:5]:
        x, z = (torch.randn(9, 1, generator=generator, dtype=torch.float64) for _ in range(2))
        up = min(to.sigma, math.sqrt(to.sigma**2 * (at.sigma**2 - to.sigma**2) / at.sigma**2))
        down = math.sqrt(to.sigma**2 - up**2)
        slope = (x - predict(x, at).x0) / at.sigma
        want = x + slope * (down - at.sigma) + up * z
        got = SOLVERS["euler-a"].step(predict, x, Move(at, to), lambda *_, z=z: z, 0, None).x
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
