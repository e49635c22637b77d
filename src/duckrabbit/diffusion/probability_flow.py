"""The probability flow, walked from a picture to its noise: inversion, and the likelihood of a picture.

With x_t = alpha x_0 + sigma eps, the flow of a denoiser (x0, eps)(x, level) is

    dx = x0(x) dalpha + eps(x) dsigma                                                          (1)

(Song et al. 2021, arXiv 2011.13456, section 4.3, written as in Karras et al. 2022, eq. 1, so that alpha may
be 0). It carries the distribution of pictures to that of noise and back; so log p of a picture is log p of its
noise, and the divergence gathered on the way (Song et al., eq. 39).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Normal

from duckrabbit.diffusion.levels import NoiseLevel, add_noise
from duckrabbit.diffusion.plans import Move, Plan
from duckrabbit.diffusion.prediction import Denoiser, Prediction
from duckrabbit.errors import UserError
from duckrabbit.values import whole


def invert(denoise: Denoiser, x0: Tensor, plan: Plan, rounds: int = 5) -> Tensor:
    """The noise x_T (B, C, H, W), at the first level of `plan`, from which DDIM walks the plan to x0 (B, C, H, W).

        denoise = dr.denoiser(model, "a red circle", guidance_scale=1)
        plan = dr.plan_through(facts.schedule, facts.schedule.times(200))
        noise = dr.invert(denoise, x0, plan)

    Each move from x_t to x_s is undone: x_t is what satisfies x_s = alpha_s x0(x_t) + sigma_s eps(x_t), found
    by fixed-point iteration from x0 and eps at the level before (Pan et al. 2023, arXiv 2309.04907). `rounds`
    is how many questions each move takes; with 1 it is the DDIM inversion of Song et al. 2021 (2010.02502,
    section 4.3). Raises UserError for a plan that goes up, and for no round.
    """
    _check(plan, rounds)
    x, eps = x0, torch.zeros_like(x0)
    for move in reversed(plan):
        found = _along(x, eps, move)
        for _ in range(rounds):
            eps = denoise(found, move.at).eps
            found = _along(x, eps, move)
        x = found
    return x


def log_likelihood(denoise: Denoiser, x: Tensor, plan: Plan, *, probes: int | None = None, seed: int = 0) -> Tensor:
    """log p (B,) in nats of x (B, C, H, W) at the cleanest noisy level of `plan`, by (1) in Heun's steps.

    log p(x_s) = log N(x_T; 0, sigma_T^2 I) + the integral of div x0 dalpha + div eps dsigma from s to T. The
    divergence is exact, one pass back for each number of a picture; or, with `probes`, estimated from so many
    random signs (Hutchinson; Grathwohl et al. 2019, arXiv 1810.01367), drawn with `seed`. Levels of half log SNR
    evenly spaced ("log-snr") serve best. Raises UserError for a plan that goes up, or has no two noisy levels.
    """
    _check(plan, 1)
    levels = [at for at in (*(move.at for move in plan), plan[-1].to) if at.sigma > 0]
    if len(levels) < 2:
        raise UserError("A likelihood needs a plan of two noisy levels or more.")
    if probes is not None:
        whole("A likelihood's probes", probes, 1)
    directions = _directions(x, probes, seed)
    here, spread = _looked(denoise, x, levels[-1], directions)
    gathered = torch.zeros_like(spread)
    for at, to in zip(reversed(levels[:-1]), reversed(levels[1:]), strict=True):
        d_alpha, d_sigma = at.alpha - to.alpha, at.sigma - to.sigma
        guess = denoise((x + d_alpha * here.x0 + d_sigma * here.eps).detach(), at)
        x = x + d_alpha / 2 * (here.x0 + guess.x0) + d_sigma / 2 * (here.eps + guess.eps)
        before, (here, spread) = spread, _looked(denoise, x, at, directions)
        gathered += d_alpha / 2 * (before + spread)
        gathered += d_sigma / 2 * (_of_eps(before, x, to) + _of_eps(spread, x, at))
    noise = Normal(0.0, levels[0].sigma).log_prob(x.double()).flatten(1).sum(1)
    return noise + gathered


def _along(x: Tensor, eps: Tensor, move: Move) -> Tensor:
    """Where the straight way through x at the end of `move`, with this noise, began."""
    at, to = move
    return add_noise((x - to.sigma * eps) / to.alpha, at, eps)


def _directions(x: Tensor, probes: int | None, seed: int) -> Tensor:
    """What the divergence is measured along, (N, 1, C, H, W): every axis, or random signs worth the same."""
    size = x[0].numel()
    if probes is None:
        return torch.eye(size, dtype=x.dtype, device=x.device).view(size, 1, *x.shape[1:])
    drawn = torch.randint(
        0, 2, (probes, 1, *x.shape[1:]), generator=torch.Generator().manual_seed(whole("A seed", seed, 0))
    )
    return (2 * drawn - 1).to(x) / math.sqrt(probes)


def _looked(denoise: Denoiser, x: Tensor, at: NoiseLevel, directions: Tensor) -> tuple[Prediction, Tensor]:
    """The prediction at x, and the divergence (B,) of its x0 in float64. UserError without a gradient."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        p = denoise(x, at)
    if not p.x0.requires_grad:
        raise UserError("This denoiser passes no gradient on to x; a likelihood needs one that does.")
    divergence = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for v in directions:
        (back,) = torch.autograd.grad((p.x0 * v).sum(), x, retain_graph=True)
        divergence += (back * v).flatten(1).sum(1).double()
    return Prediction(p.x0.detach(), p.eps.detach()), divergence


def _of_eps(of_x0: Tensor, x: Tensor, at: NoiseLevel) -> Tensor:
    """The divergence of eps = (x - alpha x0) / sigma, from that of x0."""
    return (x[0].numel() - at.alpha * of_x0) / at.sigma


def _check(plan: Plan, rounds: int) -> None:
    whole("An inversion's rounds, how often it asks for each move,", rounds, 1)
    if not plan or any(move.is_up for move in plan):
        raise UserError("What is undone is a plan from noise to picture, of one move or more, none of them up.")
