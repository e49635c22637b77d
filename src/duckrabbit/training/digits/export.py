"""From a run to a model: config.json, half-precision weights, a card, and the log it came from."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from duckrabbit.data.mnist.read import Pictures, to_range
from duckrabbit.data.sets import set_facts
from duckrabbit.files import write_atomically, write_text
from duckrabbit.models.digits.model import DigitsConfig
from duckrabbit.networks.loading import LOADING
from duckrabbit.networks.unet_28 import build_unet, count_parameters
from duckrabbit.training.digits.recipe import DigitRecipe
from duckrabbit.training.ema import measure_norms
from duckrabbit.training.objectives import Draws
from duckrabbit.training.run import METRICS, read_metrics, trained

STATISTICS_BATCHES = 50


def export(run: Path, into: Path, data: Pictures, *, snapshot: int | None = None, licence: str = "Apache-2.0") -> Path:
    """Write the model that the run in the folder `run` gave into the folder `into`; returns it.

    The batch norm statistics of averaged weights are measured anew on `data`, the training set.
    snapshot: the epoch whose weights to take, instead of the latest ones. Raises UserError where
    the run has no such weights.
    """
    weights, facts = trained(run, snapshot)
    recipe = DigitRecipe.from_json(facts["recipe"])
    with LOADING:
        unet = build_unet(recipe.network())
    unet.load_state_dict(weights)
    if recipe.ema:
        measure_norms(unet, _inputs(recipe, data))
    training = _training_facts(recipe, facts, data)
    kind: Any = "sample" if recipe.goal == "picture" else recipe.goal
    names = set_facts(recipe.data).labels if recipe.task == "class" else ()
    config = DigitsConfig(recipe.network(), kind, _schedule(recipe), recipe.value_range, training, names)
    halved = {k: _halved(v) for k, v in unet.state_dict().items()}
    write_atomically(into / "model.safetensors", save(halved, {"format": "pt"}))
    write_text(into / "config.json", json.dumps(config.to_json(), indent=2) + "\n")
    write_text(into / "README.md", _card(into.name, recipe, training, count_parameters(unet), licence))
    if (run / METRICS).exists():
        write_text(into / METRICS, _short_log(read_metrics(run / METRICS)))
    return into


def _short_log(rows: list[dict[str, Any]]) -> str:
    """Of each step its number, its loss and the seconds so far; of the last one everything."""
    kept = [
        {"step": row["step"], "loss": float(f"{row['loss']:.4g}"), "seconds": round(row["seconds"])}
        for row in rows[:-1]
    ]
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in [*kept, *rows[-1:]])


def _halved(value: Tensor) -> Tensor:
    """Kernels in fp16; biases and statistics, a hundredth of the size, stay as they are."""
    return value.half().contiguous() if value.is_floating_point() and value.ndim > 1 else value.contiguous()


def _inputs(recipe: DigitRecipe, data: Pictures) -> Iterator[tuple[Tensor, Tensor | None, Tensor | None]]:
    """What the network sees in training, caught on its way in."""
    caught: list[tuple[Tensor, Tensor | None, Tensor | None]] = []

    def catch(x: Tensor, t: Tensor | None, labels: Tensor | None) -> Tensor:
        caught.append((x, t, labels))
        return x

    objective = recipe.objective()
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(recipe.seed))
    for k in range(min(STATISTICS_BATCHES, len(data) // recipe.batch or 1)):
        rows = order[k * recipe.batch : (k + 1) * recipe.batch]
        x0 = to_range(data.images[rows], recipe.value_range)
        draws = Draws(recipe.seed + 1, k, len(rows), slice(None))
        objective.loss(catch, x0, data.labels[rows], draws)
        yield caught.pop()


def _schedule(recipe: DigitRecipe) -> dict[str, Any]:
    if recipe.goal == "picture":
        return {"kind": "single", "sigma": recipe.sigma}
    if recipe.goal == "flow":
        return {"kind": "flow"}
    return {"kind": "linear", "steps": recipe.steps, "zero_terminal_snr": recipe.zero_terminal_snr}


def _training_facts(recipe: DigitRecipe, facts: dict[str, Any], data: Pictures) -> dict[str, Any]:
    steps_per_epoch = -(-len(data) // recipe.batch)
    epochs = facts["epoch"] if "epoch" in facts else facts["step"] / steps_per_epoch
    return {
        "recipe": recipe.to_json(),
        "epochs": round(epochs, 3),
        "pictures": round(epochs * len(data)),
        "seconds": round(facts["seconds"]),
        "precision": facts["precision"],
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
    }


def _card(name: str, recipe: DigitRecipe, training: dict[str, Any], parameters: int, licence: str) -> str:
    seen = set_facts(recipe.data)
    look = "grey" if seen.channels == 1 else "in colour"
    purpose = {
        "denoiser": "a network that was shown noise alone, and learned the mean of the pictures"
        if recipe.pure_noise
        else f"a one-step denoiser, trained at sigma = {recipe.sigma:g}",
        "time": "a diffusion model without conditions",
        "class": f"a diffusion model that is told which {'kind of picture' if seen.labels else 'digit'} to draw",
    }[recipe.task]
    low, high = recipe.value_range
    hours = training["seconds"] / 3600
    return f"""---
license: {licence.lower()}
---
# {name}

This is {purpose}: the U-Net of CS180 project 5B with D = {recipe.hidden}, {parameters:,} parameters.

- Trained with the recipe `{recipe.name}` for {training["epochs"]:g} of {recipe.epochs} epochs
  ({training["pictures"]:,} pictures of {recipe.data}), {hours:.2f} hours on {training["machine"]}.
- Pictures are 28 x 28, {look}, with values from {low:g} to {high:g}; the network predicts: {recipe.goal}.
- The kernels are stored in fp16. `metrics.jsonl` has the loss of every training step, and the seconds.
- Made for teaching. It has seen {seen.shows} and nothing else.
"""
