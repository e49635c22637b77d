"""The way between a picture and its view: it begins at the one, ends at the other, and is near in between."""

import math
import warnings

import pytest
import torch
from torch.nn.functional import avg_pool2d

from duckrabbit.guidance.views.between import between, turned, walked_away
from duckrabbit.guidance.views.pixels import Compose, Flip, Negate, Permute, Rotate
from duckrabbit.guidance.views.shipped import VIEWS, parse_view

X = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
SPECS = [*VIEWS, "rotate_90+negate", "flip_horizontal+rotate_180+patch_permutation"]


@pytest.mark.parametrize("spec", SPECS)
def test_it_begins_at_the_picture_and_ends_at_the_view(spec):
    view = parse_view(spec, 64)
    assert torch.equal(between(view, X, 0), X)
    assert torch.equal(between(view, X, 1), view(X))


@pytest.mark.parametrize("spec", SPECS)
def test_every_place_on_the_way_is_a_picture(spec):
    for u in (0.01, 0.25, 0.5, 0.75, 0.99):
        seen = between(parse_view(spec, 64), X, u)
        assert seen.shape == X.shape
        assert seen.min() >= -1 - 1e-5
        assert seen.max() <= 1 + 1e-5


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_smooth_turn_by_right_angles_is_the_view(quarters):
    """Bilinear sampling at right angles meets the pixels' centres, so this checks its direction and scale."""
    assert torch.allclose(turned(X, 90.0 * quarters), Rotate(quarters)(X), atol=1e-4)


def test_a_view_arrives_from_the_right_side():
    """Nearly at the end, the turn of a smooth picture looks like its end."""
    smooth = torch.linspace(-1, 1, 64).view(1, 1, 1, 64).expand(1, 3, 64, 64)
    for quarters in (1, 2, 3):
        view = Rotate(quarters)
        assert (between(view, smooth, 0.999) - view(smooth)).abs().mean() < 0.02


def test_tiles_keep_their_pixels_on_the_way():
    """Two tiles of four that change places: the resting ones are untouched at every moment."""
    view = Permute(2, 3)
    order = [divmod(k, 2) for k in range(4)]
    moved = view(torch.arange(4.0).view(1, 1, 2, 2)).flatten().tolist()
    resting = [order[k] for k in range(4) if moved[k] == k]
    for r, c in resting:
        part = (slice(None), slice(None), slice(32 * r, 32 * r + 32), slice(32 * c, 32 * c + 32))
        covered = between(view, X, 0.02)[part]
        assert (covered == X[part]).float().mean() > 0.9


def test_a_view_without_a_way_of_its_own_fades():
    class Plain:
        def __call__(self, x):
            return -x

    assert torch.allclose(between(Plain(), X, 0.5), torch.zeros_like(X), atol=1e-6)


def test_walking_away_makes_it_small_on_white():
    far = walked_away(X, 1.0)
    assert (far[..., :20, :] == 1).all()
    assert (far[..., 28:36, 28:36] != 1).any()
    assert torch.equal(walked_away(X, 0.0), X)


def test_walking_away_halves_the_picture_in_the_middle():
    """far^(1/3) of an eighth is a half: 2 x 2 pixels become one, and lie in the middle."""
    half = walked_away(X, 1 / 3)
    assert torch.allclose(half[..., 16:48, 16:48], avg_pool2d(X, 2), atol=1e-6)
    assert (half.sum() - half[..., 16:48, 16:48].sum()).item() == 2 * 3 * (64 * 64 - 32 * 32)
    eighth = walked_away(X, 1.0)
    assert torch.allclose(eighth[..., 28:36, 28:36], avg_pool2d(X, 8), atol=1e-6)
    assert walked_away(X, 99.0).ne(1).any(-1).any(-1).sum() == 2 * 3  # never less than a pixel


@pytest.mark.parametrize("dim", [-2, -1])
@pytest.mark.parametrize(("u", "back"), [(1 / 3, False), (2 / 3, True)])
def test_a_card_turned_by_60_degrees_is_half_as_wide(dim, u, back):
    """|cos(60)| = 1/2: pairs of pixels become one, in the middle of white; past the edge one sees its back."""
    seen, side = between(Flip(dim), X, u), X.flip(dim) if back else X
    middle = seen.narrow(dim, 16, 32)
    assert torch.allclose(middle, avg_pool2d(side, (2, 1) if dim == -2 else (1, 2)), atol=1e-6)
    assert (seen.narrow(dim, 0, 16) == 1).all()
    assert (seen.narrow(dim, 48, 16) == 1).all()
    assert between(Flip(dim), X, 0.5).ne(1).any(dim).all(), "edge on, one line of it is left"


@pytest.mark.parametrize("degrees", [30.0, 45.0, -60.0])
def test_a_turned_picture_keeps_its_corners_and_lies_on_white(degrees):
    """A square turned by a has the width c + s of its frame: shrunk by as much, it fills 1 / (c + s)^2 of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        black = turned(torch.full((1, 3, 256, 256), -1.0), degrees)
    a = math.radians(degrees)
    fills = 1 / (abs(math.cos(a)) + abs(math.sin(a))) ** 2
    assert float((1 - black).mean() / 2) == pytest.approx(fills, abs=0.005)
    for edge in (black[..., 0, :], black[..., -1, :], black[..., 0], black[..., -1]):
        assert edge.min() < 0.5, "a corner touches every side"


def test_a_turn_goes_the_shorter_way():
    """Half of a turn by 270 degrees is one of 45 degrees clockwise."""
    for quarters, degrees in ((1, 45), (2, 90), (3, -45)):
        assert torch.equal(between(Rotate(quarters), X, 0.5), turned(X, degrees))


@pytest.mark.parametrize("u", [0.25, 0.5, 0.8])
@pytest.mark.parametrize(("grid", "seed", "wide"), [(2, 3, 64), (4, 1, 64), (2, 5, 32)])
def test_every_tile_is_on_the_straight_line_to_its_place(grid, seed, u, wide):
    """Naively: each tile copied to where it is by now, in the order of their ends; white is what none covers."""
    x = X[..., :wide]
    order = Permute(grid, seed)(torch.arange(float(grid * grid)).view(1, 1, grid, grid)).flatten().tolist()
    expected, height, width = torch.ones_like(x), 64 // grid, wide // grid
    for end, tile in enumerate(map(int, order)):
        (r, c), (to_r, to_c) = divmod(tile, grid), divmod(end, grid)
        top, left = round((r + u * (to_r - r)) * height), round((c + u * (to_c - c)) * width)
        for i in range(height):
            expected[..., top + i, left : left + width] = x[..., r * height + i, c * width : (c + 1) * width]
    assert torch.equal(between(Permute(grid, seed), x, u), expected)


def test_several_views_come_one_after_the_other_each_in_its_part_of_the_time():
    first, second, third = Flip(-1), Rotate(1), Negate()
    both, three = Compose((first, second)), Compose((first, second, third))
    assert torch.equal(between(both, X, 0.25), between(first, X, 0.5))
    assert torch.equal(between(both, X, 0.5), first(X))
    assert torch.equal(between(both, X, 0.75), between(second, first(X), 0.5))
    assert torch.allclose(between(three, X, 5 / 6), torch.zeros_like(X), atol=1e-5)
    assert torch.equal(three.between(X, 1.0), three(X))
