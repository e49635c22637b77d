"""Filters: linear, complementary, and the same frequencies at every size."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import correlate1d

from duckrabbit.errors import UserError
from duckrabbit.guidance import laws
from duckrabbit.guidance.filters import FILTERS, Colour, Grey, HighPass, LowPass
from trees import filters, picture


@given(filters)
def test_a_filter_is_linear_and_keeps_shape_and_dtype(f):
    x, y = picture(0), picture(1)
    torch.testing.assert_close(f(2 * x - 3 * y), 2 * f(x) - 3 * f(y), atol=1e-12, rtol=0)
    assert f(x).shape == x.shape
    assert f(x.float()).dtype == torch.float32


@pytest.mark.parametrize("size", [28, 32, 64, 256])
@pytest.mark.parametrize(
    "family", [(LowPass(), HighPass()), (LowPass(7, 1.0), HighPass(LowPass(7, 1.0))), (Grey(), Colour())]
)
def test_law_6_a_family_sums_to_the_picture(family, size):
    assert laws.partition(family, picture(0, 1, size)).holds


def test_law_6_is_broken_by_a_family_of_two_blurs():
    assert not laws.partition((LowPass(), HighPass(LowPass(33, 3.0))), picture(0, 1, 32)).holds
    assert not laws.partition((Grey(),), picture(0, 1, 32)).holds


@pytest.mark.parametrize(
    ("kernel", "size", "taps", "sigma"),
    # 7 taps cut the bell short, so that a tap more or less would show
    [(33, 32, 17, 1.0), (33, 64, 33, 2.0), (33, 256, 133, 8.0), (7, 64, 7, 2.0), (7, 256, 29, 8.0), (7, 16, 3, 0.5)],
)
def test_a_low_pass_is_a_gaussian_blur_scaled_with_the_picture(kernel, size, taps, sigma):
    """33 taps and sigma 2 at 64 px are 133 and 8 at 256 px (Geng et al. 2024); by scipy, with a kernel of our own."""
    x = picture(3, 1, size)
    k = np.exp(-((np.arange(taps) - taps // 2) ** 2) / (2 * sigma**2))
    k /= k.sum()
    want = correlate1d(correlate1d(x.numpy(), k, axis=-2, mode="mirror"), k, axis=-1, mode="mirror")
    np.testing.assert_allclose(LowPass(kernel)(x).numpy(), want, atol=1e-10)


def test_the_same_wave_passes_alike_at_64_and_at_256_pixels():
    """A cosine of c cycles per picture is damped by exp(-(2 pi c sigma / n)^2 / 2), and sigma / n is the same."""
    for cycles in (2, 5, 8):
        gains = []
        for size in (64, 256):
            wave = torch.cos(2 * math.pi * cycles * (torch.arange(size) + 0.5) / size).double().expand(1, 1, size, size)
            middle = slice(size // 4, -size // 4)
            out = LowPass()(wave)[0, 0, size // 2, middle]
            gains.append((out @ wave[0, 0, 0, middle] / wave[0, 0, 0, middle].square().sum()).item())
        want = math.exp(-((2 * math.pi * cycles * 2 / 64) ** 2) / 2)
        assert gains[0] == pytest.approx(want, abs=0.01)
        assert gains[1] == pytest.approx(want, abs=0.01)


def test_grey_is_the_mean_of_the_channels_and_colour_has_none_left():
    x = picture()
    grey = Grey()(x)
    for channel in range(3):
        torch.testing.assert_close(grey[:, channel], (x[:, 0] + x[:, 1] + x[:, 2]) / 3)
    assert Grey()(Colour()(x)).abs().max() < 1e-12


def test_filters_have_names():
    assert set(FILTERS) == {"low_pass", "high_pass", "band_pass", "motion_blur", "grey", "colour"}
    assert FILTERS["low_pass"]() == LowPass(33, 2.0)
    assert FILTERS["high_pass"]() == HighPass()


@given(st.sampled_from([16, 20, 28, 32, 50, 64]))
def test_the_widest_kernel_fits_every_picture(size):
    assert LowPass(127, 20.0)(picture(0, 1, size)).isfinite().all()


@pytest.mark.parametrize(
    ("kernel", "sigma", "says"),
    [
        (32, 2.0, "odd number"),
        (1, 2.0, "odd number"),
        (129, 2.0, "127"),
        (33, 0.0, "positive"),
        (33, -1.0, "positive"),
        (33, math.inf, "positive"),
        (33, math.nan, "positive"),
    ],
)
def test_blurs_that_make_no_sense_are_refused_in_words(kernel, sigma, says):
    with pytest.raises(UserError, match=says):
        LowPass(kernel, sigma)
