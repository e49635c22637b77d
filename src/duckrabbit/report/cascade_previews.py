"""What a run of a stage shows while it trains: its loss, and the same questions asked again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from duckrabbit.data.drawings.captions import plain_caption
from duckrabbit.diffusion.levels import NoiseLevel, add_noise
from duckrabbit.diffusion.plans import plan_through
from duckrabbit.diffusion.prediction import Condition, Network
from duckrabbit.diffusion.solvers import DDPM
from duckrabbit.diffusion.streams import Noise
from duckrabbit.diffusion.trajectory import trajectory
from duckrabbit.guidance.nodes import CFG, Clip, Prompt
from duckrabbit.guidance.tree import Guidance, lower
from duckrabbit.networks.batching import batched
from duckrabbit.networks.enlarge import enlarge
from duckrabbit.training.cascade.export import NOISE_LEVEL, SCALE, SPACING, STEPS, VARIANCE, build
from duckrabbit.training.cascade.recipe import CascadeRecipe, to_unit
from duckrabbit.training.cascade.stage2 import Enlargements
from duckrabbit.training.cascade.words import padded, tokenise
from duckrabbit.training.run import METRICS, read_metrics
from duckrabbit.training.trainer import Progress, Trainer


def show_enlarged(trainer: Trainer, step: Progress, samples: Enlargements) -> None:
    """Write curve.png, and samples-IMAGES.png with the sample drawings in rows: small, enlarged, as drawn."""
    recipe, module = _learned(trainer)
    low = enlarge(to_unit(samples.low), recipe.size)
    noise = Noise(tuple(range(len(low))))
    noise_level = torch.full((len(low),), NOISE_LEVEL, device=trainer.accelerator.device)

    states = samples.to(trainer.accelerator.device).states(padded(samples.wordings.tokens[:, 0]))

    def forward(x: Tensor, at: NoiseLevel, conditions: list[Condition], shown: Tensor | None) -> Tensor:
        return _ask(trainer, module, x, at, shown, noise_level, states)

    shown = add_noise(low, recipe.schedule.level(NOISE_LEVEL), noise(low, "low_res"))
    network = batched(forward, recipe.prediction, learned_variance=True, low_res=shown)
    x = _draw(recipe, Prompt(None), network, noise(low, "start"), noise)
    _write(trainer, step, torch.stack([low, x, to_unit(samples.images)]), ["given", "enlarged", "drawn"])


def show_drawn(
    trainer: Trainer, step: Progress, tokenizer: Any, styles: Sequence[str], subjects: Sequence[str]
) -> None:
    """Write curve.png, and samples-IMAGES.png: every subject in every style, the noise always the same."""
    recipe, module = _learned(trainer)
    prompts = [plain_caption(style, subject) for style in styles for subject in subjects]

    def forward(x: Tensor, at: NoiseLevel, conditions: list[Condition], _: Tensor | None) -> Tensor:
        said = [prompts[i % len(prompts)] if c else "" for i, c in enumerate(conditions)]
        return _ask(trainer, module, x, at, padded(tokenise(tokenizer, said)))

    network = batched(forward, recipe.prediction, learned_variance=True)
    noise = Noise(tuple(range(len(prompts))))
    start = noise(torch.empty(len(prompts), 3, recipe.size, recipe.size), "start")
    x = _draw(recipe, CFG(Prompt("its own"), Prompt(""), SCALE), network, start, noise)
    _write(trainer, step, x.view(len(styles), len(subjects), *x.shape[1:]), styles, subjects)


def _learned(trainer: Trainer) -> tuple[CascadeRecipe, Any]:
    """The recipe, and its network with the weights to sample with."""
    recipe: Any = trainer.recipe
    weights = {k: v.detach().clone() for k, v in trainer.weights().items()}
    module = build(recipe, weights).to(trainer.accelerator.device)
    return recipe, module.to(memory_format=trainer.speed.memory_format)


def _ask(trainer: Trainer, module: Any, x: Tensor, at: NoiseLevel, *conditioning: Tensor | None) -> Tensor:
    """The module's answer, on the run's device and in its precision."""
    device = trainer.accelerator.device
    with trainer.accelerator.autocast():
        t = torch.full((len(x),), at.t, device=device)
        return module(x.to(device), t, *(None if y is None else y.to(device) for y in conditioning)).float().cpu()


def _draw(recipe: CascadeRecipe, guidance: Guidance, network: Network, x: Tensor, noise: Noise) -> Tensor:
    times = recipe.schedule.times(STEPS[recipe.stage], SPACING)
    plan = plan_through(recipe.schedule, times)
    states = trajectory(lower(Clip(guidance), network), x, plan, DDPM(VARIANCE[recipe.stage]), noise)
    (last,) = deque(states, maxlen=1)
    return last.x


def _write(
    trainer: Trainer, step: Progress, cells: Tensor, rows: Sequence[str], columns: Sequence[str] | None = None
) -> None:
    """The curve, and cells (rows, columns, 3, H, W) from -1 to 1 as a sheet."""
    from duckrabbit.report import plots as figures

    log = read_metrics(trainer.folder / METRICS)
    figures.write(figures.loss_curve({trainer.recipe.name: log}), trainer.folder / "curve.png")
    title = f"{trainer.recipe.name} after {step.images:,} pictures"
    sheet = figures.drawing_grid((cells + 1) / 2, title, rows, columns)
    figures.write(sheet, trainer.folder / f"samples-{step.images:08d}.png")
