"""From a run to a stage of a cascade: a folder in the layout of DeepFloyd IF, in half precision.

`diffusers.IFPipeline` and `IFSuperResolutionPipeline` load it as it is, and so does `duckrabbit.load`.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from duckrabbit.data.drawings.attribution import Credits
from duckrabbit.diffusion.schedules import DiscreteSchedule, squaredcos_cap_v2
from duckrabbit.diffusion.spacings import Spacing
from duckrabbit.errors import UserError
from duckrabbit.files import UNFINISHED
from duckrabbit.networks.loading import LOADING, quietly_loading
from duckrabbit.training.cascade.recipe import TIMES, CascadeRecipe
from duckrabbit.training.cascade.stage1 import TextRecipe
from duckrabbit.training.cascade.stage2 import UpscalerRecipe
from duckrabbit.training.cascade.words import LENGTH, TOKENIZER
from duckrabbit.training.checkpoint import load_own_state
from duckrabbit.training.run import METRICS, trained

STEPS: Mapping[str, int] = {"text": 25, "upscaler": 8}
SPACING: Spacing = "linspace"
VARIANCE: Mapping[str, Literal["learned", "small"]] = {"text": "learned", "upscaler": "small"}
NOISE_LEVEL, SCALE = 100, 3.0
"""What a stage recommends: its steps and how they are spread, the variance of a step, the noise level of stage II,
the scale of stage I.

The true variance betatilde keeps what is enlarged smooth in 8 steps; the learned one leaves grain (docs/log.md). A few
steps have to begin where there is nothing but noise, and to end at t = 0, as diffusers adds noise after
every other time: that is linspace.
"""


def export_stage(run: Path, into: Path, credits: Credits) -> Path:
    """Write the stage that the run in the folder `run` gave into the folder `into`; returns it.

    credits: of the drawings that were seen. A stage II inside `into` stays. Raises UserError
    where the run has no checkpoint.
    """
    weights, facts = trained(run)
    recipe = read_stage(facts["recipe"])
    module = build(recipe, weights)
    training = _training_facts(recipe, facts)
    into.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=into.parent, prefix=f".{into.name}.", suffix=UNFINISHED))
    try:
        card: dict[str, Any] = {"licence": _licence(credits), "attribution": credits.sentence}
        card |= {"steps": STEPS[recipe.stage], "gflop": gflop(recipe, module)}
        card["guidance_scale"] = SCALE if recipe.stage == "text" else 1.0
        card |= {"training": training} if recipe.stage == "text" else {"noise_level": NOISE_LEVEL, "training": training}
        with quietly_loading():
            _pipeline(recipe, module.half(), run).save_pretrained(unfinished, safe_serialization=True)
        (unfinished / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        text = _readme(into.name, recipe, training, module, credits)
        (unfinished / "README.md").write_text(text, encoding="utf-8")
        shutil.copyfile(run / METRICS, unfinished / METRICS)
        _put(unfinished, into)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return into


def read_stage(values: Mapping[str, Any]) -> CascadeRecipe:
    """The recipe of either stage. Raises UserError for one of something else."""
    kinds: dict[Any, type[CascadeRecipe]] = {"text": TextRecipe, "upscaler": UpscalerRecipe}
    kind = values.get("stage")
    if kind not in kinds:
        raise UserError("This is the run of a model of digits, not of a stage of a cascade.")
    return kinds[kind].from_json({k: v for k, v in values.items() if k != "stage"})


def build(recipe: CascadeRecipe, weights: Mapping[str, Tensor]) -> Any:
    """The network of a recipe with these weights, in eval mode; the global generator is left alone."""
    with LOADING, torch.random.fork_rng(devices=[]):
        module = recipe.build()
    load_own_state(module, weights)
    return module.eval().requires_grad_(False)


def _pipeline(recipe: CascadeRecipe, module: Any, run: Path) -> Any:
    from diffusers import DDPMScheduler, IFPipeline, IFSuperResolutionPipeline

    levels: dict[str, Any] = {"num_train_timesteps": TIMES, "beta_schedule": "squaredcos_cap_v2"}
    shifted = {} if recipe.schedule == squaredcos_cap_v2(TIMES) else {"trained_betas": _betas(recipe.schedule)}
    scheduler = DDPMScheduler(
        **levels,
        **shifted,
        prediction_type=recipe.prediction,
        variance_type={"learned": "learned_range", "small": "fixed_small"}[VARIANCE[recipe.stage]],
        clip_sample=True,
        timestep_spacing=SPACING,
    )
    none = dict.fromkeys(("safety_checker", "feature_extractor", "watermarker"))
    parts = {"unet": module.unet, "scheduler": scheduler, **none, "requires_safety_checker": False}
    if recipe.stage == "upscaler":
        noising = DDPMScheduler(**levels)
        return IFSuperResolutionPipeline(tokenizer=None, text_encoder=None, image_noising_scheduler=noising, **parts)
    from transformers import T5Tokenizer

    tokenizer = T5Tokenizer.from_pretrained(run / TOKENIZER, local_files_only=True)
    return IFPipeline(tokenizer=tokenizer, text_encoder=module.text_encoder, **parts)


def _betas(schedule: DiscreteSchedule) -> list[float]:
    """beta_t = 1 - abar_t / abar_{t - 1}, abar_{-1} = 1, of a chain whose betas no name says."""
    return [1 - after / before for before, after in pairwise((1.0, *schedule.alphas_cumprod))]


def gflop(recipe: CascadeRecipe, module: Any) -> float:
    """Multiply-adds x 2 of the U-Net on one picture, in 1e9."""
    from torch.utils.flop_counter import FlopCounterMode

    second = recipe.stage == "upscaler"
    x, t = torch.zeros(1, 6 if second else 3, recipe.size, recipe.size), torch.zeros(1)
    states = torch.zeros(1, LENGTH, recipe.text)
    with FlopCounterMode(display=False) as counter:
        module.unet(x, t, encoder_hidden_states=states, class_labels=t if second else None)
    return round(counter.get_total_flops() / 1e9, 2)


def _put(unfinished: Path, into: Path) -> None:
    """The finished folder in its place; what else lay there stays, a stage II say."""
    if not into.exists():
        os.chmod(unfinished, 0o755)
        unfinished.replace(into)
        return
    for made in unfinished.iterdir():
        old = into / made.name
        if old.is_dir():
            shutil.rmtree(old)
        made.replace(old)


def _training_facts(recipe: CascadeRecipe, facts: Mapping[str, Any]) -> dict[str, Any]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU threads"
    return {
        "recipe": recipe.to_json(),
        "data": facts["data"],
        "pictures": facts["pictures"],
        "steps": facts["step"],
        "images": facts["step"] * min(recipe.batch, facts["pictures"]),
        "seconds": round(facts["seconds"]),
        "precision": facts["precision"],
        "machine": f"{platform.machine()}, {device}, torch {torch.__version__}",
    }


def _licence(credits: Credits) -> str:
    """Of the weights, and what they learned from."""
    *most, last = sorted(set(credits.licences.values())) or ["no licence"]
    seen = f"{', '.join(most)} and {last}" if most else last
    return f"{'not Apache-2.0 alone' if credits.bound else 'Apache-2.0'}; trained on drawings under {seen}"


def _readme(name: str, recipe: CascadeRecipe, training: Mapping[str, Any], module: nn.Module, credits: Credits) -> str:
    what = {
        "text": f"Stage I of a cascade: drawings of {recipe.size} x {recipe.size} pixels from words",
        "upscaler": f"Stage II of a cascade: drawings of {recipe.size // 4} px made {recipe.size} px large",
    }[recipe.stage]
    rows = [f"| {of} | {credits.licences[of]} | {count:,} |" for of, count in credits.drawings.items()]
    table = "\n".join(rows)
    return f"""---
license: {"other" if credits.bound else "apache-2.0"}
---
# {name}

{what}, in the layout of DeepFloyd IF. {sum(p.numel() for p in module.parameters()):,} parameters, stored in fp16.

- Trained with the recipe `{recipe.name}` for {training["steps"]:,} steps of {recipe.batch} pictures
  ({training["images"]:,} pictures seen), {training["seconds"] / 3600:.2f} hours on {training["machine"]}.
- Data: {training["pictures"]:,} drawings, hash `{training["data"]}`.
- Weights it began with: {recipe.start or "random ones"}.
- Pictures go from -1 to 1; the network predicts {recipe.prediction}, and its variance.
- `metrics.jsonl` is the log of every training step, `card.json` these facts for programs.

**May I use and sell what it makes?** {credits.answer}

| drawings | licence | pictures |
| --- | --- | --- |
{table}
"""
