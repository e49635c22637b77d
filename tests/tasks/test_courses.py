"""The courses, number for number as their pages give them (in their own time, which runs from noise to picture)."""

import pytest
import torch

import duckrabbit as dr
from duckrabbit.errors import UserError
from duckrabbit.tasks.asking import ask
from duckrabbit.tasks.requests import Edit


@pytest.fixture(scope="module")
def flow():
    return dr.load("miniature@flow", device="cpu")


def updates(start, h=0.02):
    """The page's loop of 2026: steps of h from `start`, the last one shortened so that it ends at exactly 1."""
    times = [start]
    while times[-1] < 1 - 1e-9:
        times.append(min(times[-1] + h, 1.0))
    return times


@pytest.mark.parametrize(("start", "count"), [(0.0, 50), (0.5, 25), (0.25, 38), (0.02, 49), (0.14, 43)])
def test_2026_counts_its_steps_from_where_it_starts(flow, start, count):
    expected = updates(start)
    assert len(expected) == count + 1
    picture = torch.full((1, 3, 32, 32), 0.5)
    job = (
        dr.edit(flow, picture, "", t=1 - start, preset="cs180-2026")
        if start
        else dr.generate(flow, "", preset="cs180-2026")
    )
    plan = job.stages[0].plan
    assert [1 - move.at.t for move in plan] == pytest.approx(expected[:-1])
    assert plan[-1].to == dr.CLEAN
    assert [dr.noise(flow, picture, 0.5).stages[0].plan[0].to.sigma, plan[0].at.sigma] == pytest.approx(
        [0.5, 1 - start]
    )


def test_one_step_of_2026_is_the_update_of_its_page(flow):
    """x + h v, v = x1 - noise, guided as v_c + 7 (v_c - v_u), and nothing is clipped."""
    job = dr.generate(flow, "a glossy emoji of a cat", preset="cs180-2026", stage=1)
    states = dr.walk(job, seeds=7)
    first, second = next(states), next(states)
    flow.prepare([flow.condition("a glossy emoji of a cat"), flow.condition("")])
    network, at = flow.network(0), flow.stages[0].schedule.level(0.98)
    c, u = network([dr.Query(first.x, flow.condition(p)) for p in ("a glossy emoji of a cat", "")], at)
    velocity = lambda p: p.x0 - p.eps
    guided = velocity(c) + 7 * (velocity(c) - velocity(u))
    torch.testing.assert_close(second.x, first.x + 0.02 * guided, atol=2e-5, rtol=0)


def test_edits_of_2026_start_at_the_seven_times_of_its_page(flow, tmp_path):
    dr.run(dr.generate(dr.load("oracle"), "a red circle", steps=2), 1)[0].pil.save(tmp_path / "photo.png")
    request = Edit(image=tmp_path / "photo.png", model="miniature@flow", device="cpu", preset="cs180-2026")
    starts = [1 - job.stages[0].plan[0].at.t for job in ask(request).jobs]
    assert starts == pytest.approx([0.02, 0.04, 0.06, 0.1, 0.14, 0.25, 0.5])
    usual = Edit(image=tmp_path / "photo.png", model="oracle", preset="cs180-2025")
    assert [job.title for job in ask(usual).jobs] == [f"start {k}" for k in (1, 3, 5, 7, 10, 20)]


def test_the_years_2024_and_2025_are_one_part_a():
    model = dr.load("oracle")
    plans = {p: dr.generate(model, "", preset=p).stages[0] for p in ("cs180", "cs180-2024", "cs180-2025")}
    for stage in plans.values():
        assert [move.at.t for move in stage.plan] == [float(t) for t in range(990, 0, -30)]
        assert stage.plan[-1].to.t == 0
        assert stage.solver == dr.DDPM("small")


def test_denoising_half_way_takes_25_updates(flow):
    job = dr.denoise(flow, torch.full((1, 3, 32, 32), 0.5), 0.5, preset="cs180-2026")
    assert [move.at.t for move in job.stages[0].plan] == pytest.approx([0.5 - 0.02 * k for k in range(25)])
    fewer = dr.denoise(flow, torch.full((1, 3, 32, 32), 0.5), 0.5, preset="cs180-2026", steps=10)
    assert len(fewer.stages[0].plan) == 5


def test_a_chain_does_not_walk_the_course_of_2026():
    with pytest.raises(UserError, match=r"walks a flow, and miniature does not: .*miniature@flow"):
        dr.generate(dr.load("miniature"), "", preset="cs180-2026")
    with pytest.raises(UserError, match="preset"):
        dr.generate(dr.load("oracle"), "", preset="cs180-2023")
