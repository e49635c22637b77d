"""What a job costs is told before anything is loaded, and is what it then does."""

import pytest
import torch

import duckrabbit as dr
from duckrabbit.diffusion.prediction import Prediction

TREES = {
    "generate": (lambda m, **o: dr.generate(m, "a red circle", **o), 2),
    "anagram": (lambda m, **o: dr.anagram(m, {"identity": "a red circle", "flip": "a blue cross"}, **o), 4),
    "hybrid": (lambda m, **o: dr.hybrid(m, "a red circle", "a blue cross", **o), 3),
    "hybrid of a picture": (lambda m, **o: dr.hybrid(m, None, "a cross", image=torch.rand(1, 3, 32, 32), **o), 2),
}


@pytest.mark.parametrize("task", TREES)
def test_no_question_is_asked_twice(oracle, task):
    """With guidance: 2 questions a prompt, but the null prompt of a hybrid is one question, not two."""
    make, questions = TREES[task]
    (price,) = dr.cost(make(oracle, guidance_scale=3, steps=10))
    assert (price.moves, price.calls, price.questions) == (10, 10, questions)
    (bare,) = dr.cost(make(oracle, guidance_scale=1, steps=10))
    assert bare.questions == {"anagram": 2, "hybrid": 2}.get(task, 1)


@pytest.mark.parametrize(("solver", "calls"), [("ddpm-small", 12), ("ddim", 12), ("dpm++", 12), ("heun", 23)])
def test_heun_calls_twice_but_for_the_move_to_clean(oracle, solver, calls):
    assert dr.cost(dr.generate(oracle, "a cross", solver=solver, steps=12))[0].calls == calls
    course = dr.cost(dr.generate(oracle, "a cross", solver=solver, preset="cs180"))[0]
    assert course.calls == (66 if solver == "heun" else 33)


@pytest.mark.parametrize("solver", ["ddpm-small", "heun"])
def test_the_cost_is_what_the_network_sees(oracle, solver, monkeypatch):
    seen = []
    network = oracle.network

    def counting(*arguments, **options):
        inner = network(*arguments, **options)

        def call(queries, at) -> list[Prediction]:
            seen.append(sum(len(q.x) for q in queries))
            return inner(queries, at)

        return call

    monkeypatch.setattr(oracle, "network", counting)
    job = TREES["hybrid"][0](oracle, guidance_scale=3, steps=7, solver=solver)
    dr.run(job, [1, 2])
    (price,) = dr.cost(job)
    assert len(seen) == price.calls
    assert sum(seen) == 2 * price.pictures


def test_upward_moves_ask_nothing(oracle, photo, half):
    (price,) = dr.cost(dr.inpaint(oracle, photo, half, jump=2, resample=3, steps=9))
    assert price.moves > price.calls == 9 + 2 * 4 * 2  # four stretches of two moves, twice more


def test_making_and_costing_a_job_loads_no_weights(cascade_folder):
    model = dr.load(str(cascade_folder), device="cpu")
    job = dr.anagram(model, {"identity": "a cat", "flip": "a house"})
    first, second = dr.cost(job)
    assert (first.questions, second.questions) == (4, 4)
    assert model.memory.loaded == ()
    dr.run(dr.generate(model, "a cat", steps=1, stage=1), [1])
    assert model.memory.loaded != ()
