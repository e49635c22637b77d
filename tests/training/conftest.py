"""A handful of pictures and a recipe small enough to train in a blink."""

from dataclasses import replace

import pytest
import torch

from duckrabbit.data.mnist.read import Pictures
from duckrabbit.training.digits.recipe import DigitRecipe, find_recipe


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def pictures() -> Pictures:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (48, 28, 28), generator=generator, dtype=torch.uint8)
    return Pictures(images, torch.arange(48) % 10)


@pytest.fixture
def tiny() -> DigitRecipe:
    return replace(find_recipe("fast-class"), name="tiny", hidden=2, batch=16, epochs=2, snapshots=(1,))
