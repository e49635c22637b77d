"""Models of digits in the layout that `train` leaves, of 4 channels, trained for two steps: all but skill."""

from dataclasses import replace

import torch
from accelerate import Accelerator

from duckrabbit.data.mnist.read import Pictures
from duckrabbit.training.digits.export import export
from duckrabbit.training.digits.recipe import find_recipe
from duckrabbit.training.trainer import Trainer

DATA = Pictures(
    torch.randint(0, 256, (32, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8),
    torch.arange(32) % 10,
)


def train(recipe, runs, into):
    """Two steps of a recipe in runs/RECIPE, exported to the folder `into`, which is returned."""
    small = replace(find_recipe(recipe), hidden=4, batch=16, epochs=1)
    for _ in Trainer(small, DATA, runs / recipe, Accelerator(cpu=True)).run():
        pass
    return export(runs / recipe, into, DATA)


def train_all(runs, recipes=("fast-denoiser", "fast-time", "fast-class")):
    """Runs with their finished models in runs/RECIPE/model, as $DUCKRABBIT_RUNS holds them."""
    return {recipe: train(recipe, runs, runs / recipe / "model") for recipe in recipes}
