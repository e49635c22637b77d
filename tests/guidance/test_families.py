"""Families: their components sum to the picture at every size and shape, and are what the formulas say."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate, gaussian_filter

import duckrabbit as dr
from duckrabbit.errors import UserError
from duckrabbit.guidance import laws
from duckrabbit.guidance.components import COMPONENTS
from duckrabbit.guidance.families import FILTERS_OF, filters_of, kept_by, parts_of
from duckrabbit.guidance.filters import BandPass, InSeries, LowPass, MotionBlur, Remainder
from duckrabbit.guidance.nodes import Bands, Prompt
from trees import picture

SHAPES = [(32, 32), (64, 64), (96, 96), (256, 256), (48, 80), (64, 40)]


def shaped(height, width, seed=0):
    return picture(seed, 1, max(height, width))[..., :height, :width].contiguous()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("family", FILTERS_OF)
def test_law_6_the_components_sum_to_the_picture(family, shape):
    parts = parts_of(family)
    assert laws.partition(list(parts.values()), shaped(*shape)).holds
    assert tuple(parts) == tuple(component.name for component in COMPONENTS[family])
    prompts = tuple(Prompt(c.name) for c in COMPONENTS[family])
    assert laws.identity(Bands(filters_of(family)[::-1], prompts[::-1]), shaped(*shape)).holds
    for name in parts:  # each is needed: without it there is something else
        assert not laws.partition([f for other, f in parts.items() if other != name], shaped(*shape)).holds


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("family", FILTERS_OF)
def test_a_component_is_linear_and_keeps_shape_and_dtype(family, shape):
    x, y = shaped(*shape), shaped(*shape, seed=1)
    for part in parts_of(family).values():
        torch.testing.assert_close(part(2 * x - 3 * y), 2 * part(x) - 3 * part(y), atol=1e-12, rtol=0)
        assert part(x.float()).dtype == torch.float32
        assert part(x).shape == x.shape


@pytest.mark.parametrize(("size", "taps"), [(32, 3), (64, 7), (96, 11), (256, 29), (1024, 113)])
def test_motion_is_a_diagonal_of_equal_taps_and_nothing_beyond_the_border(size, taps):
    """By scipy: n = 7 s, made odd (Geng et al. 2024; 29 at 256 px)."""
    x = picture(2, 1, size)[:, :1]
    want = correlate(x[0, 0].numpy(), np.eye(taps) / taps, mode="constant")
    np.testing.assert_allclose(MotionBlur()(x)[0, 0].numpy(), want, atol=1e-12)


def test_three_bands_are_told_apart_by_their_waves():
    """A cosine of c cycles passes G_s by exp(-(2 pi c s / 64)^2 / 2); medium is the one less the other."""
    n, middle = 64, slice(16, -16)
    for cycles in (1, 4, 9, 16, 28):
        wave = torch.cos(2 * math.pi * cycles * (torch.arange(n) + 0.5) / n).double().expand(1, 1, n, n)
        gain = lambda f, wave=wave: (
            (f(wave) * wave)[..., 32, middle].sum() / wave.square()[..., 32, middle].sum()
        ).item()
        first, second = (math.exp(-((2 * math.pi * cycles * s / n) ** 2) / 2) for s in (1, 2))
        high, medium, low = map(gain, parts_of("triple").values())
        assert high == pytest.approx(1 - first, abs=0.01)
        assert medium == pytest.approx(first - first * second, abs=0.01)
        assert low == pytest.approx(first * second, abs=0.01)


def test_filters_in_series_and_what_they_leave_by_scipy():
    x = picture(4, 1, 64)
    once = gaussian_filter(x.numpy(), (0, 0, 1, 1), mode="mirror", radius=12)
    twice = gaussian_filter(once, (0, 0, 2, 2), mode="mirror", radius=12)
    fine, coarse = LowPass(25, 1.0), LowPass(25, 2.0)
    np.testing.assert_allclose(InSeries((fine, coarse))(x).numpy(), twice, atol=1e-10)
    np.testing.assert_allclose(BandPass(fine, coarse)(x).numpy(), once - twice, atol=1e-10)
    np.testing.assert_allclose(Remainder((fine,))(x).numpy(), x.numpy() - once, atol=1e-10)


@pytest.mark.parametrize("family", FILTERS_OF)
def test_what_keeps_a_band_of_a_photograph_does_not_grow(family):
    """Move by move x - known is multiplied by I - K: after many it is no longer than it was, and its band is gone."""
    for name, part in parts_of(family).items():
        keep, x = kept_by(part), picture(6, 1, 32)
        left = x
        for _ in range(60):
            left = left - keep(left)
        assert left.norm() <= x.norm() * (1 + 1e-9)
        assert part(left).norm() < 0.1 * part(x).norm(), name


def test_motion_kept_as_it_stands_would_grow():
    """The least gain of n = 7 taps, sin(n u / 2) / (n sin(u / 2)), is below -0.2: 1.2 a move is 56000 after sixty."""
    x = left = picture(6, 1, 64)
    for _ in range(60):
        left = left - MotionBlur()(left)
    assert left.norm() > 100 * x.norm()


@pytest.mark.parametrize("kernel", [0, 1, 8, 129, 3.5, "7"])
def test_motion_goes_an_odd_number_of_pixels(kernel):
    with pytest.raises(UserError, match="kernel"):
        MotionBlur(kernel)


def test_there_is_no_other_family():
    with pytest.raises(UserError, match="no family of hybrids 'quadruple'; there is low-high, triple, colour, motion"):
        parts_of("quadruple")
    assert set(FILTERS_OF) == set(COMPONENTS)
    assert dr.parts_of is parts_of
