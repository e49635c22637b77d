"""Plans: the course's times, where editing starts, and RePaint's way back up."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
from diffusers import IFImg2ImgPipeline
from hypothesis import given
from hypothesis import strategies as st

from duckrabbit.diffusion.levels import CLEAN
from duckrabbit.diffusion.plans import Move, course_times, plan_through, start_at, start_by_strength, time_travel
from duckrabbit.diffusion.schedules import FlowSchedule, linear, squaredcos_cap_v2
from duckrabbit.errors import UserError


def plan_of(moves):
    """A plan of `moves` moves that ends at CLEAN."""
    return plan_through(linear(1000), range(moves - 1, -1, -1))


def chained(plan):
    return all(a.to == b.at for a, b in pairwise(plan))


def test_the_course_walks_34_times_from_990_to_0():
    times = course_times()
    assert len(times) == 34
    assert times == tuple(range(990, -1, -30))


def test_a_course_stride_keeps_below_the_last_level():
    assert course_times(250, 1000) == (750, 500, 250, 0)  # 1000 would be outside
    assert course_times(7, 15) == (14, 7, 0)
    assert course_times(10)[0] == 990  # of 1000 levels, unless told


@pytest.mark.parametrize(("index", "t"), [(1, 960), (3, 900), (5, 840), (7, 780), (10, 690), (20, 390)])
def test_the_course_starts_editing_at_these_times(index, t):
    plan = start_at(plan_through(squaredcos_cap_v2(), course_times()), index)
    assert plan[0].at.t == t
    assert plan[-1].to == CLEAN


def test_start_indices_outside_a_plan_are_refused():
    for index in (-1, 5):
        with pytest.raises(UserError, match="0 to 4"):
            start_at(plan_of(5), index)


@given(st.integers(1, 200), st.floats(0, 1, exclude_min=True))
def test_strength_keeps_the_moves_that_diffusers_img2img_keeps(steps, strength):
    pipeline = SimpleNamespace(scheduler=SimpleNamespace(order=1, timesteps=list(range(steps - 1, -1, -1))))
    theirs, _ = IFImg2ImgPipeline.get_timesteps(pipeline, steps, strength)
    if theirs:
        assert [move.at.t for move in start_by_strength(plan_of(steps), strength)] == theirs
    else:
        with pytest.raises(UserError, match="none of"):
            start_by_strength(plan_of(steps), strength)


@pytest.mark.parametrize("strength", [0, -0.1, 1.01, float("nan")])
def test_a_strength_outside_its_range_is_refused(strength):
    with pytest.raises(UserError, match="strength"):
        start_by_strength(plan_of(10), strength)


def test_a_plan_chains_and_ends_clean_unless_told_not_to():
    plan = plan_through(linear(), [900, 500, 0])
    assert [(m.at.t, m.to.t) for m in plan] == [(900, 500), (500, 0), (0, -1)]
    assert [(m.at.t, m.to.t) for m in plan_through(linear(), [900, 500], to_clean=False)] == [(900, 500)]
    flow = plan_through(FlowSchedule(), [1, 0.5, 0])  # the end of a flow is clean already
    assert len(flow) == 2
    assert flow[-1].to.sigma == 0


@pytest.mark.parametrize("times", [[], [0, 500], [500, 500], [500, 900, 100]])
def test_times_that_do_not_fall_are_refused(times):
    with pytest.raises(UserError):
        plan_through(linear(), times)


@given(st.integers(1, 40), st.integers(1, 15), st.integers(1, 6))
def test_time_travel_chains_and_walks_whole_stretches_again(moves, jump, resample):
    plan = plan_of(moves)
    travelled = time_travel(plan, jump, resample)
    assert chained(travelled)
    assert travelled[0].at == plan[0].at
    assert travelled[-1].to == plan[-1].to
    stretches = (moves - 1) // jump
    up = [m for m in travelled if m.is_up]
    down = [m for m in travelled if not m.is_up]
    assert len(up) == stretches * (resample - 1)
    assert len(down) == moves + stretches * (resample - 1) * jump
    for k, move in enumerate(plan):
        again = (moves - 1) % jump <= k < moves - 1
        assert down.count(move) == (resample if again else 1)
    for move in up:
        assert move.at.t == move.to.t - jump


@given(st.integers(1, 40), st.integers(1, 15))
def test_time_travel_once_changes_nothing(moves, jump):
    assert time_travel(plan_of(moves), jump, 1) == plan_of(moves)


def official_repaint_schedule(total, jump, resample):
    """The authors' get_schedule_jump (guided_diffusion/scheduler.py), in its words: the times visited."""
    jumps = dict.fromkeys(range(0, total - jump, jump), resample - 1)
    t, visited = total, []
    while t >= 1:
        t -= 1
        visited.append(t)
        if jumps.get(t, 0) > 0:
            jumps[t] -= 1
            for _ in range(jump):
                t += 1
                visited.append(t)
    return [*visited, -1]


@given(st.integers(2, 40), st.integers(1, 12), st.integers(1, 4))
def test_time_travel_visits_the_levels_that_the_authors_repaint_visits(moves, jump, resample):
    visited = official_repaint_schedule(moves, jump, resample)
    turns = [visited[0]]  # their unit steps up, each run of them made one move
    for before, here, after in zip(visited, visited[1:], [*visited[2:], -2], strict=False):
        if not (before < here < after):
            turns.append(here)
    travelled = time_travel(plan_of(moves), jump, resample)
    assert [travelled[0].at.t, *(move.to.t for move in travelled)] == turns


def test_time_travel_costs_what_the_authors_repaint_costs():
    """jump 10, resample 10 over 250 steps: 2410 questions; their 2160 unit steps up are our 216 moves."""
    visited = official_repaint_schedule(250, 10, 10)
    their_down = sum(b < a for a, b in pairwise(visited))
    their_up = sum(b > a for a, b in pairwise(visited))
    assert (their_down, their_up) == (2410, 2160)
    travelled = time_travel(plan_of(250), 10, 10)
    up = [m for m in travelled if m.is_up]
    assert (len(travelled) - len(up), len(up)) == (2410, 216)
    assert sum(m.to.t - m.at.t for m in up) == their_up


def test_counts_below_one_are_refused():
    for jump, resample in [(0, 2), (2, 0)]:
        with pytest.raises(UserError):
            time_travel(plan_of(4), jump, resample)


def test_an_upward_move_is_told_by_the_noise_to_signal_ratio():
    schedule = linear()
    assert Move(schedule.level(10), schedule.level(20)).is_up
    assert not Move(schedule.level(20), schedule.level(10)).is_up
    assert Move(FlowSchedule().level(0.5), FlowSchedule().level(1)).is_up
