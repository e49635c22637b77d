"""Models and pictures for the tests of tasks."""

import pytest
import torch

import duckrabbit as dr
from samples import pixels, save


@pytest.fixture(scope="session")
def oracle():
    return dr.load("oracle", device="cpu")


@pytest.fixture(scope="session")
def tiny(cascade_folder):
    """A random cascade of two stages, 16 and 32 px."""
    return dr.load(str(cascade_folder), device="cpu")


@pytest.fixture
def photo(tmp_path):
    """A 32 px picture in a file."""
    return save(tmp_path / "photo.png", pixels(32))


@pytest.fixture
def half():
    """A mask (1, 1, 32, 32) that is white on the right half."""
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 16:] = 1
    return mask
