"""Families of hybrids, step by step, against their published formulas on the same weights and noise.

What is published is written out here by itself: the filters on eps (Geng et al. 2024, Factorized Diffusion, section 3
and its authors' numbers), their sum, the variances' mean, and diffusers' DDPM step. Distances are
max |ours - theirs| / max |theirs|.
"""

import pytest
import torch
from diffusers.schedulers import scheduling_ddpm
from torch.nn.functional import conv2d, pad

import duckrabbit as dr
import tiny
from duckrabbit.diffusion.streams import Noise
from duckrabbit.models.load import load

SEEDS, NOISE, TOLERANCE, STEPS = (3, 4), Noise((3, 4), scope="stage1"), 1e-4, 3
PROMPTS = ("a cat", "a red house", "an old man")


def bell(x, taps, sigma):
    """A Gaussian blur of `taps` by `taps`, the border reflected."""
    k = torch.exp(-((torch.arange(taps) - taps // 2) ** 2) / (2 * sigma**2))
    kernel = (k[:, None] * k / k.sum() ** 2).to(x).expand(3, 1, taps, taps)
    return conv2d(pad(x, [taps // 2] * 4, mode="reflect"), kernel, groups=3)


def low(e):
    return bell(e, 33, 2.0)


def diagonal(e, taps=7):
    kernel = (torch.eye(taps) / taps).to(e).expand(3, 1, taps, taps)
    return conv2d(e, kernel, padding=taps // 2, groups=3)


def grey(e):
    return e.mean(1, keepdim=True).repeat(1, 3, 1, 1)


def fine(e):
    return bell(e, 25, 1.0)


def coarse(e):
    return bell(fine(e), 25, 2.0)


PUBLISHED = {
    "low-high": (lambda e: e - low(e), low),
    "triple": (lambda e: e - fine(e), lambda e: fine(e) - coarse(e), coarse),
    "colour": (lambda e: e - grey(e), grey),
    "motion": (lambda e: e - diagonal(e), diagonal),
}


@pytest.fixture(scope="module")
def first():
    return tiny.first_pipeline(64)


@pytest.fixture
def walked(first, monkeypatch):
    """Diffusers' states with the noise of a seed's streams: eps and variance from what `ask` makes of the U-Net."""

    def walk(combine, count, scale=4.0):
        draws = iter([NOISE(torch.empty(len(SEEDS), 3, 64, 64), "step", i) for i in range(STEPS)])
        monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *args, **kwargs: next(draws))
        encoded = [first.encode_prompt(prompt, device="cpu") for prompt in PROMPTS[:count]]
        first.scheduler.set_timesteps(STEPS)
        x, states = NOISE(torch.empty(len(SEEDS), 3, 64, 64), "start", 0), []
        for i, t in enumerate(first.scheduler.timesteps):

            def ask(seen, k, t=t):
                c, u = (first.unet(seen, t, encoder_hidden_states=e.expand(len(SEEDS), -1, -1)).sample
                        for e in encoded[k])  # fmt: skip
                return u[:, :3] + scale * (c[:, :3] - u[:, :3]), c[:, 3:]

            x = first.scheduler.step(torch.cat(combine(ask, x, i), 1), t, x).prev_sample
            states.append(x)
        return states

    return walk


def ours(first, make):
    model = load(first, device="cpu")
    job = make(model, {"guidance_scale": 4.0, "steps": STEPS, "solver": "ddpm"})
    return [state.x for state in dr.walk(job, list(SEEDS))]


def apart(ours, theirs):
    assert len(ours) == len(theirs) == STEPS
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(ours, theirs, strict=True))


def summed(parts):
    """The factorized estimate: the sum of the filtered noise, the mean of the variances."""

    def combine(ask, x, i):
        answers = [ask(x, k) for k in range(len(parts))]
        return sum(f(eps) for f, (eps, _) in zip(parts, answers)), sum(var for _, var in answers) / len(parts)

    return combine


@pytest.mark.parametrize("family", PUBLISHED)
def test_a_family_is_the_published_one_at_every_step(first, walked, family):
    parts = PUBLISHED[family]
    theirs = walked(summed(parts), len(parts))
    made = ours(first, lambda m, o: dr.factorized(m, family, PROMPTS[: len(parts)], **o))
    assert apart(made, theirs) <= TOLERANCE
    swapped = ours(first, lambda m, o: dr.factorized(m, family, PROMPTS[: len(parts)][::-1], **o))
    assert apart(swapped, theirs) > 100 * TOLERANCE


@pytest.mark.parametrize("weights", [(0.5, 0.5), (1.5, -0.5), (1.0, 3.0, -3.0)])
def test_scaled_and_negated_prompts_are_the_published_sum(first, walked, weights):
    """a_k eps: 0.5 and 0.5 is Liu et al.'s conjunction, 1, a, -a their negation, without further guidance.

    They take a = 15. On random weights that makes the two ways of rounding 7e-4 apart after eight steps; 3 does not.
    """
    parts = [lambda e, a=a: a * e for a in weights]
    theirs = walked(summed(parts), len(weights), scale=1.0)
    made = ours(first, lambda m, o: dr.composed(m, PROMPTS[: len(weights)], weights, **{**o, "guidance_scale": 1.0}))
    assert apart(made, theirs) <= TOLERANCE


VIEWS = ("identity", "rotate_90", "negate")


def viewed(reduce):
    """An anagram as published: both halves come back through the view, eps and variance are reduced by `reduce`."""

    def combine(ask, x, i):
        eps, var = [], []
        for k, name in enumerate(VIEWS):
            view = dr.parse_view(name)
            e, v = ask(view(x), k)
            eps.append(view.inverse(e))
            var.append(v if name == "negate" else view.inverse(v))
        return reduce(eps, var, i)

    return combine


def mean(parts):
    return sum(parts) / len(parts)


def rectified(eps, var, i):
    """Of each picture: c = 1 / sqrt(sum a_i^2 + 2 sum_{i<j} rho_ij a_i a_j) with a_i = 1/3 (Anagram-MTL)."""
    rho = lambda a, b: (a * b).mean((1, 2, 3), keepdim=True)
    inner = 3 / 9 + 2 / 9 * (rho(eps[0], eps[1]) + rho(eps[0], eps[2]) + rho(eps[1], eps[2]))
    return mean(eps) / inner.sqrt(), mean(var)


REDUCTIONS = {
    "mean": ({}, lambda eps, var, i: (mean(eps), mean(var))),
    "alternate": ({"combine": "alternate"}, lambda eps, var, i: (eps[i % 3], var[i % 3])),
    "rectified": ({"combine": "rectified"}, rectified),
    "weighted": (
        {"weights": (2, 1, 1)},
        lambda eps, var, i: ((2 * eps[0] + eps[1] + eps[2]) / 4, mean(var)),
    ),
}


@pytest.fixture(scope="module")
def combined(first):
    """Our states in each way to combine the views."""
    prompts = dict(zip(VIEWS, PROMPTS, strict=True))
    hows = {name: how for name, (how, _) in REDUCTIONS.items()}
    return {name: ours(first, lambda m, o, h=how: dr.anagram(m, prompts, **h, **o)) for name, how in hows.items()}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_views_are_combined_as_published_at_every_step(combined, walked, name):
    theirs = walked(viewed(REDUCTIONS[name][1]), 3)
    assert apart(combined[name], theirs) <= TOLERANCE
    assert all(apart(made, theirs) > 1e-2 for other, made in combined.items() if other != name)
