"""The way between a picture and its view: it begins at the one, ends at the other, and is near in between."""

import pytest
import torch

from duckrabbit.guidance.views.between import between, turned, walked_away
from duckrabbit.guidance.views.shipped import VIEWS, Permute, Rotate, parse_view

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
