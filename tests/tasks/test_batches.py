"""A seed is a picture: whatever is made beside it, and however the work is cut."""

import pytest
import torch

import duckrabbit as dr


@pytest.fixture
def starts(monkeypatch):
    """Every noise that a run draws, by (purpose, index, seed)."""
    drawn = {}
    original = dr.Noise.__call__

    def call(self, like, purpose, i=0):
        noise = original(self, like, purpose, i)
        for seed, row in zip(self.seeds, noise, strict=True):
            drawn[self.scope, purpose, i, seed] = row
        return noise

    monkeypatch.setattr(dr.Noise, "__call__", call)
    return drawn


def test_the_noise_of_a_seed_is_the_same_in_every_batch(tiny, starts):
    job = dr.generate(tiny, "a cat", steps=3, steps_stage2=2)
    dr.run(job, [1, 2, 3, 4])
    many = dict(starts)
    starts.clear()
    dr.run(job, [3])
    assert len(starts) > 4
    assert all(torch.equal(noise, many[key]) for key, noise in starts.items())
    assert {purpose for _, purpose, _, _ in starts} == {"start", "step", "low_res"}


def test_the_noise_does_not_depend_on_what_is_switched_on(oracle, photo, half, starts):
    dr.run(dr.generate(oracle, "a red circle", guidance_scale=1, steps=6), [3])
    plain = dict(starts)
    starts.clear()
    dr.run(dr.inpaint(oracle, photo, half, "a cross", guidance_scale=5, steps=6), [3])
    assert set(plain) < set(starts)
    assert all(torch.equal(noise, starts[key]) for key, noise in plain.items())


@pytest.mark.parametrize("name", ["oracle", "tiny"])
def test_batches_of_one_and_four_agree(name, request):
    model = request.getfixturevalue(name)
    prompt = "a red circle" if name == "oracle" else "a cat"
    job = dr.generate(model, prompt, steps=4, **({} if name == "oracle" else {"steps_stage2": 3}))
    many = dr.run(job, [1, 2, 3, 4]).images
    for k, seed in enumerate([1, 2, 3, 4]):
        assert (dr.run(job, [seed]).images[0] - many[k]).abs().max() < 1e-4
    assert (many[0] - many[1]).abs().max() > 0.01


@pytest.mark.parametrize("micro_batch", [1, 3])
def test_micro_batches_agree_and_are_never_larger(tiny, micro_batch, monkeypatch):
    job = dr.anagram(tiny, {"identity": "a cat", "flip": "a house"}, steps=3, steps_stage2=2)
    whole = dr.run(job, [1, 2]).images
    parts = dr.run(job, [1, 2], micro_batch=micro_batch)
    assert (parts.images - whole).abs().max() < 1e-4
    assert parts.record["micro_batch"] == micro_batch
    unet, sizes = tiny.memory.use(tiny.unets[0]), []
    handle = unet.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    dr.run(job, [1, 2], micro_batch=micro_batch)
    handle.remove()
    assert max(sizes) == micro_batch
    assert sum(sizes) == 3 * 4 * 2  # moves, questions, seeds


@pytest.mark.parametrize("seeds", [[], [-1], [1, -2]])
def test_seeds_that_are_none(oracle, seeds):
    with pytest.raises(dr.UserError, match="seed"):
        dr.run(dr.generate(oracle, "a cross"), seeds)


def test_a_micro_batch_of_nothing(oracle):
    with pytest.raises(dr.UserError, match="micro-batch"):
        dr.run(dr.generate(oracle, "a cross"), [1], micro_batch=0)


def test_output_that_is_not_finite_is_told(oracle, monkeypatch):
    network = oracle.network

    def broken(*arguments, **options):
        def call(queries, at):
            return [dr.Prediction(p.x0 * float("nan"), p.eps) for p in network(*arguments, **options)(queries, at)]

        return call

    monkeypatch.setattr(oracle, "network", broken)
    with pytest.raises(dr.UserError, match="not finite"):
        dr.run(dr.generate(oracle, "a cross", steps=2), [1])
