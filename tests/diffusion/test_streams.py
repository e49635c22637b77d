"""Random streams: a stable hash, noise that belongs to a seed, and streams that know nothing of each other."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from duckrabbit.diffusion.streams import Noise, stream_seed
from duckrabbit.errors import UserError

LIKE = torch.zeros(1, 3, 8, 8)


@pytest.mark.parametrize(
    ("key", "digest"),
    [  # printf 'seed/purpose/index' | b2sum -l 64, by coreutils
        ((180, "start", 0), "c457e064d9c2b2d0"),
        ((180, "step", 0), "cba49e535fb018df"),
        ((180, "II/step", 3), "861fd3cb83de55c0"),
        ((0, "known", 33), "1d54b433b22a5b1f"),
        ((-1, "up", 2), "11c734a67131f00d"),
    ],
)
def test_a_stream_seed_is_blake2b_of_seed_purpose_and_index(key, digest):
    assert stream_seed(*key) == int(digest, 16) // 2


def test_the_noise_of_a_stream_is_torch_normal_noise_from_its_seed():
    seed = stream_seed(7, "II/step", 4)
    want = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(Noise((7,), "II")(LIKE, "step", 4)[0], want)


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=5), st.sampled_from(["start", "step", "up"]))
def test_a_picture_has_the_same_noise_in_every_batch(seeds, purpose):
    together = Noise(tuple(seeds))(LIKE.expand(len(seeds), -1, -1, -1), purpose, 3)
    for row, seed in zip(together, seeds, strict=True):
        assert torch.equal(Noise((seed,))(LIKE, purpose, 3)[0], row)


def test_neither_the_global_generator_nor_torch_defaults_change_the_noise():
    want = Noise((1,))(LIKE, "step", 0)
    before = torch.get_rng_state()
    torch.manual_seed(99)
    assert torch.equal(Noise((1,))(LIKE, "step", 0), want)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(Noise((1,))(LIKE, "step", 0), want)
    finally:
        torch.set_default_dtype(torch.float32)
    torch.set_rng_state(before)
    Noise((1,))(LIKE, "step", 0)
    assert torch.equal(torch.get_rng_state(), before)  # and it does not move the global generator


def test_noise_comes_in_the_dtype_of_x_from_the_same_float32_draw():
    single, double = (Noise((1,))(LIKE.to(d), "step") for d in (torch.float32, torch.float64))
    assert double.dtype == torch.float64
    assert torch.equal(single.double(), double)


def streams():
    """Streams that differ in exactly one of seed, scope, purpose and index, and some in more."""
    for seed, scope, purpose, i in itertools.product((0, 1), ("", "II"), ("start", "step", "up", "known"), (0, 1, 10)):
        yield Noise((seed,), scope)(torch.zeros(1, 1, 128, 128, dtype=torch.float64), purpose, i).flatten()


def test_streams_are_standard_normal_and_uncorrelated():
    """48 streams of n = 16384. Under the null each correlation has standard deviation 1 / sqrt(n); the chance that
    one of 1128 pairs passes 5 of them is 1128 x 5.7e-7 = .0006, and the draws are fixed, so this never flickers.
    """
    rows = torch.stack(list(streams()))
    n = rows.shape[1]
    correlation = torch.corrcoef(rows) - torch.eye(len(rows), dtype=torch.float64)
    assert correlation.abs().max() < 5 / math.sqrt(n)
    assert rows.mean(1).abs().max() < 5 / math.sqrt(n)
    assert (rows.var(1) - 1).abs().max() < 5 * math.sqrt(2 / n)
    for row in rows:  # Kolmogorov-Smirnov, Bonferroni at .001 over all streams
        assert stats.kstest(row.numpy(), "norm").pvalue > 0.001 / len(rows)


def test_neighbouring_pixels_are_uncorrelated():
    picture = Noise((3,))(torch.zeros(1, 1, 256, 256, dtype=torch.float64), "start")[0, 0]
    n = picture.numel()
    for shifted in (picture.roll(1, 0), picture.roll(1, 1)):
        assert (picture * shifted).mean().abs() < 5 / math.sqrt(n)


def test_every_picture_needs_a_seed():
    with pytest.raises(UserError, match="2 pictures need as many seeds, not 3"):
        Noise((1, 2, 3))(torch.zeros(2, 1, 4, 4), "step")
