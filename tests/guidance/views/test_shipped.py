"""Views against numpy, against the laws, and by their names."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from duckrabbit.errors import UserError
from duckrabbit.guidance import laws
from duckrabbit.guidance.views.pixels import Compose, Flip, Identity, Negate, Permute, Rotate, needs_symmetric_range
from duckrabbit.guidance.views.shipped import VIEW_ALIASES, VIEWS, parse_view
from trees import picture, views

NAMES = [*VIEWS, *VIEW_ALIASES, "rotate_90+negate", "flip+patch_permutation:grid=4,seed=7"]


@pytest.mark.parametrize("size", [32, 64, 256])
@pytest.mark.parametrize("name", NAMES)
def test_every_view_is_a_linear_isometry_at_every_size(name, size):
    view = parse_view(name, size=32)
    x, y = (picture(k, 1, size, torch.float32) for k in (0, 1))
    assert laws.isometry(view, x, y).holds
    assert laws.linearity(view, x, y).holds


@pytest.mark.parametrize("name", NAMES)
def test_law_4_every_view_looks_the_same_at_every_size(name):
    assert laws.resolution(parse_view(name, size=64), picture(0, 1, 256, torch.float32)).holds
    assert laws.resolution(parse_view(name, size=32), picture(0, 1, 256, torch.float32), factor=8).holds


@given(views)
def test_a_view_and_its_inverse_undo_each_other_either_way(view):
    x = picture()
    assert torch.equal(view.inverse(view(x)), x)
    assert torch.equal(view(view.inverse(x)), x)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("identity", lambda a: a),
        ("flip", lambda a: a[..., ::-1, :]),  # upside down
        ("flip_vertical", lambda a: a[..., ::-1, :]),
        ("flip_horizontal", lambda a: a[..., ::-1]),
        ("rotate_90", lambda a: np.rot90(a, 1, (-2, -1))),
        ("rotate_180", lambda a: a[..., ::-1, ::-1]),
        ("rotate_270", lambda a: np.rot90(a, 3, (-2, -1))),
        ("negate", lambda a: -a),
        ("rotate_90+flip", lambda a: np.rot90(a, 1, (-2, -1))[..., ::-1, :]),  # in the order of reading
    ],
)
def test_views_do_what_their_names_say(name, reference):
    x = picture()
    np.testing.assert_array_equal(parse_view(name)(x).numpy(), reference(x.numpy()))


def test_rotation_is_counter_clockwise():
    x = torch.zeros(1, 1, 4, 4)
    x[..., 1, 3] = 1  # right edge, second row
    assert Rotate(1)(x)[0, 0, 0, 1] == 1  # top edge, second column


def tiles(x, n):
    """The n x n tiles of a picture as (n * n, C, h, w), by slicing."""
    h, w = x.shape[-2] // n, x.shape[-1] // n
    return torch.stack([x[0, :, r * h : (r + 1) * h, c * w : (c + 1) * w] for r in range(n) for c in range(n)])


@given(st.sampled_from([2, 4, 8]), st.integers(0, 99))
def test_a_patch_permutation_moves_whole_tiles_by_one_order_at_every_size(grid, seed):
    """Each tile is found again, unturned, at a place that depends on the grid and the seed alone."""
    orders = []
    for size in (grid, 4 * grid):
        x = torch.arange(3.0 * size * size).view(1, 3, size, size)
        before, after = tiles(x, grid), tiles(Permute(grid, seed)(x), grid)
        orders.append([next(k for k, t in enumerate(before) if torch.equal(t, moved)) for moved in after])
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == list(range(grid * grid))


def test_a_permutation_depends_on_its_seed_and_works_on_pictures_that_are_not_square():
    x = picture()
    assert not torch.equal(Permute(8, 0)(x), Permute(8, 1)(x))
    wide = torch.arange(96.0).view(1, 3, 4, 8)
    assert torch.equal(Permute(4, 3).inverse(Permute(4, 3)(wide)), wide)
    assert sorted(tiles(Permute(4, 3)(wide), 4).flatten().tolist()) == sorted(wide.flatten().tolist())


@pytest.mark.parametrize("seed", [1001, 1002])
def test_a_permutation_is_its_seeds_own_shuffle_whatever_was_drawn_before(seed):
    """Place k has the tile that torch's shuffle of that seed has there; the global random state has no part in it."""
    order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(Permute(4, seed)(torch.arange(16.0).view(1, 1, 4, 4)).flatten(), order.float())


def test_a_pixel_permutation_moves_pixels_of_the_first_stage():
    view = parse_view("pixel_permutation", size=32)
    assert view == Permute(32, 0)
    moved = view(picture(size=32))
    assert not torch.equal(moved, picture(size=32))
    assert torch.equal(moved.flatten(2).sort().values, picture(size=32).flatten(2).sort().values)


def test_a_view_moves_the_variance_as_it_moves_pixels_and_keeps_its_sign():
    var = picture().abs()
    for view in (Identity(), Flip(), Rotate(1), Permute(4)):
        assert torch.equal(view.inverse_var_interp(var), view.inverse(var))
    assert torch.equal(Negate().inverse_var_interp(var), var)
    both = Compose((Rotate(1), Negate(), Permute(4)))
    assert torch.equal(both.inverse_var_interp(var), Rotate(1).inverse(Permute(4).inverse(var)))


def test_views_are_values_to_be_told_apart():
    everything = [parse_view(name) for name in NAMES if name != "flip"]
    assert len(set(everything)) == len(everything)
    assert parse_view("flip") == parse_view("flip_vertical")
    assert Permute(4, 1) != Permute(4, 2)


def test_only_negation_needs_a_range_that_is_symmetric():
    for name in NAMES:
        assert needs_symmetric_range(parse_view(name)) == ("negate" in name)


def test_options_are_read_with_or_without_spaces():
    assert parse_view("patch_permutation:grid=4,seed=7") == Permute(4, 7)
    assert parse_view(" patch_permutation:grid=4, seed=7 ") == Permute(4, 7)
    assert parse_view("pixel_permutation:seed=3", 16) == Permute(16, 3)
    assert parse_view("rotate_90 + negate") == Compose((Rotate(1), Negate()))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (
            "spin",
            r"There is no view 'spin'\. Views: identity, flip_vertical, .*pixel_permutation, .*spiral, flip; join",
        ),
        ("", "There is no view ''"),
        ("flip+", "There is no view ''"),
        ("flip:grid=4", "flip_vertical has no option 'grid'; it takes no options"),
        ("patch_permutation:size=4", "no option 'size'; it takes grid, seed"),
        ("patch_permutation:grid=four", "grid of patch_permutation is a whole number, not 'four'"),
        ("patch_permutation:grid", "whole number, not ''"),
        ("patch_permutation:grid=1", "grid of 1 has nothing to shuffle"),
    ],
)
def test_views_that_do_not_exist_are_refused_in_words(spec, says):
    with pytest.raises(UserError, match=says):
        parse_view(spec)


def test_a_grid_that_does_not_fit_is_refused_in_words():
    with pytest.raises(UserError, match="8 x 8 pixels cannot be cut in 3 x 3 equal tiles"):
        Permute(3)(picture())
