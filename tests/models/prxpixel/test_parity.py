"""The same weights, noise and prompts give what diffusers' PRXPixelPipeline gives, at every step.

All distances are max |ours - theirs| / max |theirs|, in float32. Each side makes its own times. The reference divides
by max(t, 0.05) where Euler's rule has t, so that a step at t < 0.05 leaves some of the noise in its picture; ours does
not.
"""

from types import SimpleNamespace

import pytest
import torch
from diffusers.pipelines.prx import pipeline_prx_pixel

import duckrabbit as dr
import tiny_prxpixel
from duckrabbit.diffusion.plans import plan_through
from duckrabbit.diffusion.solvers import DDIM
from duckrabbit.diffusion.streams import Noise
from duckrabbit.diffusion.trajectory import trajectory
from duckrabbit.guidance.nodes import CFG, Prompt
from duckrabbit.guidance.tree import lower
from duckrabbit.models.cascade.text_encoder import PromptTable
from duckrabbit.models.load import load

PROMPTS = ["A Red cat", "it", "a red cat under the old moon"]
"""Of 8 tokens, 2, and more than the 12 that are read."""
TOLERANCE, STEPS, SCALE = 1e-4, 12, 5.0
NOISE = Noise((3,))


@pytest.fixture(autouse=True)
def _plain_letters(monkeypatch):
    """The reference cannot do without ftfy, which leaves such letters as these alone."""
    if not hasattr(pipeline_prx_pixel, "ftfy"):
        monkeypatch.setattr(pipeline_prx_pixel, "ftfy", SimpleNamespace(fix_text=lambda text: text), raising=False)


def distance(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def worst(ours, theirs):
    return max(distance(a, b) for a, b in zip(ours, theirs, strict=True))


def starts(shape):
    """Standard normal, one picture a prompt."""
    return torch.cat([NOISE(torch.empty(1, 3, *shape), "start", i) for i in range(len(PROMPTS))])


def their_states(pipe, monkeypatch, shape, steps=STEPS):
    """Prompt by prompt: with guidance the reference takes one picture a call (it repeats the time twice, no more)."""
    walks = [
        their_walk(pipe, monkeypatch, prompt, noise, steps)
        for prompt, noise in zip(PROMPTS, starts(shape).split(1), strict=True)
    ]
    return [torch.cat(rows) for rows in zip(*walks, strict=True)]


def their_walk(pipe, monkeypatch, prompt, noise, steps):
    monkeypatch.setattr(pipeline_prx_pixel, "randn_tensor", lambda *arguments, **options: noise)
    states = []

    def keep(pipe, i, t, kept):
        states.append(kept["latents"].clone())
        return kept

    pipe(
        prompt=prompt,
        height=noise.shape[2],
        width=noise.shape[3],
        num_inference_steps=steps,
        guidance_scale=SCALE,
        output_type="pt",
        use_resolution_binning=False,
        callback_on_step_end=keep,
    )
    return states


def our_states(model, shape, steps=STEPS):
    """Each prompt by itself, joined for comparison."""
    model.prepare([*PROMPTS, ""])
    facts = model.stages[0]
    plan = plan_through(facts.schedule, facts.schedule.times(steps, facts.spacing))
    walks = []
    for prompt, start in zip(PROMPTS, starts(shape).split(1), strict=True):
        guidance = CFG(Prompt(model.condition(prompt)), Prompt(model.condition("")), SCALE)
        at = plan[0].at
        begin = (at.alpha**2 + at.sigma**2) ** 0.5 * start
        walks.append([s.x for s in trajectory(lower(guidance, model.network(0)), begin, plan, DDIM(), NOISE)])
    return [torch.cat(rows) for rows in zip(*walks, strict=True)], plan


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return {
        shift: tiny_prxpixel.save_prxpixel(tmp_path_factory.mktemp("prx") / f"shift-{shift:g}", shift=shift)
        for shift in (1.0, 3.0, 6.0)
    }


@pytest.mark.parametrize("shape", [(32, 32), (48, 24), (16, 40)])
@pytest.mark.parametrize("shift", [1.0, 3.0, 6.0])
def test_every_step_is_that_of_diffusers(saved, shift, shape, monkeypatch):
    theirs = their_states(tiny_prxpixel.pipeline(shift), monkeypatch, shape)
    ours, plan = our_states(load(saved[shift]), shape)
    assert len(ours) == len(theirs) == STEPS
    assert [move.at.t < 0.05 for move in plan] == [False] * (STEPS - 1) + [True]
    found = worst(ours[:-1], theirs[:-1])
    print(f"shift {shift:g}, {shape[0]} x {shape[1]}: {found:.1e}")
    assert found <= TOLERANCE
    # the last step, where the reference's clamp stops short of x0: x + (0 - t) (x - x0) / 0.05
    t, before, x0 = plan[-1].at.t, theirs[-2], ours[-1]
    assert distance(before - t / 0.05 * (before - x0), theirs[-1]) <= TOLERANCE
    assert distance(ours[-1], theirs[-1]) > 10 * TOLERANCE


@pytest.mark.parametrize("shift", [1.0, 3.0, 6.0])
@pytest.mark.parametrize("steps", [1, 2, 28])
def test_the_times_are_the_schedulers_own(saved, shift, steps):
    scheduler = tiny_prxpixel.pipeline(shift).scheduler
    scheduler.set_timesteps(steps)
    facts = load(saved[shift]).stages[0]
    times = torch.tensor(facts.schedule.times(steps, facts.spacing))
    assert torch.allclose(times, scheduler.sigmas[:-1], rtol=1e-5, atol=1e-7)


def test_padding_on_the_left_is_that_of_the_tokenizer(tmp_path, monkeypatch):
    pipe = tiny_prxpixel.pipeline(side="left")
    pipe.save_pretrained(tmp_path / "left")
    model = load(tmp_path / "left")
    theirs = their_states(pipe, monkeypatch, (32, 32), steps=4)
    assert worst(our_states(model, (32, 32), 4)[0][:-1], theirs[:-1]) <= TOLERANCE
    assert model.encode(["it"]).masks["it"].tolist() == [False] * 10 + [True] * 2


def test_without_the_mask_it_is_another_picture(saved, monkeypatch):
    """The embeddings are the same, padding and all; only what the network is told of them is not."""
    theirs = their_states(tiny_prxpixel.pipeline(), monkeypatch, (32, 32))
    table = load(saved[3.0]).encode([*PROMPTS, ""])
    seen = {prompt: torch.ones_like(mask) for prompt, mask in table.masks.items()}
    unmasked = PromptTable(table.embeddings, masks=seen, rules=table.rules)
    masked, _ = our_states(load(saved[3.0], prompts=table), (32, 32))
    assert worst(masked[:-1], theirs[:-1]) <= TOLERANCE
    dropped, _ = our_states(load(saved[3.0], prompts=unmasked), (32, 32))
    assert worst(dropped[:-1], theirs[:-1]) > 100 * TOLERANCE


@pytest.mark.parametrize(("size", "shape"), [(None, (32, 32)), ("48x16", (16, 48))])
def test_a_run_is_that_of_diffusers(saved, monkeypatch, size, shape):
    """The whole of `generate`: its own noise, its size or another, its number of steps and its scale."""
    noise = dr.Noise((3,), "stage1")(torch.zeros(1, 3, *shape), "start")
    theirs = their_walk(tiny_prxpixel.pipeline(), monkeypatch, "A Red cat", noise, 28)
    job = dr.generate(load(saved[3.0]), "A Red cat", size=size)
    t = job.stages[0].plan[-1].at.t
    ours = dr.run(job, [3]).images
    assert distance(theirs[-2] - t / 0.05 * (theirs[-2] - ours), theirs[-1]) <= TOLERANCE


def test_embeddings_are_those_of_diffusers(saved):
    pipe = tiny_prxpixel.pipeline()
    texts = [*PROMPTS, "  Fish &amp;amp; chips\n", "MOON"]
    states, masks, _, _ = pipe.encode_prompt(texts, device="cpu", do_classifier_free_guidance=False)
    model = load(saved[3.0])
    table = model.encode(texts)
    for text, theirs, mask in zip(texts, states, masks, strict=True):
        assert torch.equal(table.masks[model.condition(text)], mask)
        assert torch.allclose(table.embeddings[model.condition(text)][mask], theirs[mask], atol=1e-5)
    assert model.condition("  Fish &amp;amp; chips\n") == "Fish & chips"
    assert model.condition("MOON") != model.condition("moon")
