"""The laws find what is broken: each broken view, filter or node here fails the law that is named for it."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

from duckrabbit.diffusion.prediction import Prediction
from duckrabbit.guidance import laws
from duckrabbit.guidance.nodes import CFG, Prompt, Viewed
from duckrabbit.guidance.tree import Guidance, ask_all
from duckrabbit.guidance.views.pixels import Flip, PixelView, Rotate
from trees import AT, Counting, answer, picture

X, Y = picture(0, 1, 32), picture(1, 1, 32)


@dataclass(frozen=True)
class Broken(PixelView):
    """A view made of two functions."""

    forward: object
    back: object

    def __call__(self, x):
        return self.forward(x)

    def inverse(self, x):
        return self.back(x)


def turn(degrees):
    """Bilinear rotation about the centre."""
    a = math.radians(degrees)
    matrix = torch.tensor([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0]], dtype=torch.float64)

    def rotate(x):
        grid = affine_grid(matrix.to(x).expand(len(x), 2, 3), list(x.shape), align_corners=False)
        return grid_sample(x, grid, "bilinear", align_corners=False)

    return rotate


def blur(x):
    return avg_pool2d(x, 3, 1, 1)


same = lambda x: x
half_up = lambda x: torch.cat([x[..., :16, :] * 1.2, x[..., 16:, :] / 1.2], -2)
half_down = lambda x: torch.cat([x[..., :16, :] / 1.2, x[..., 16:, :] * 1.2], -2)


@pytest.mark.parametrize(
    "view",
    [
        Broken(lambda x: 1.5 * x, lambda x: x / 1.5),  # white balance
        Broken(lambda x: 1.0002 * x, lambda x: x / 1.0002),  # hardly visible, and still no isometry
        Broken(turn(45), turn(-45)),
        Broken(lambda x: x.flip(-2), same),  # wrong inverse
        Broken(turn(0), lambda x: x.flip(-1)),
        Broken(blur, same),
        Broken(half_up, half_down),  # has determinant 1 and its own inverse
        Broken(same, lambda x: x * math.nan),
        Broken(lambda x: x * math.nan, same),
    ],
    ids=["scale", "slight scale", "bilinear", "wrong inverse", "other inverse", "blur", "shear", "nan back", "nan"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_isometry_law_rejects(view, dtype):
    assert not laws.isometry(view, X.to(dtype), Y.to(dtype)).holds


@pytest.mark.parametrize(
    "view",
    [
        Broken(lambda x: x + 1, lambda x: x - 1),
        Broken(lambda x: x.flip(-1) if x[0, 0, 0, 0] > 0 else x, same),
        Broken(torch.abs, same),
    ],
    ids=["shift", "depends on x", "absolute"],
)
def test_the_linearity_law_rejects(view):
    assert not laws.linearity(view, X.abs(), X.abs()).holds


def test_the_resolution_law_rejects_a_view_that_counts_pixels():
    roll = Broken(lambda x: x.roll(3, -1), lambda x: x.roll(-3, -1))
    assert laws.isometry(roll, X, Y).holds
    assert not laws.resolution(roll, picture(0, 1, 64)).holds
    assert laws.resolution(Rotate(1), picture(0, 1, 64)).holds


def test_the_identity_law_rejects_a_wrong_inverse_but_cannot_see_a_scale():
    assert not laws.identity(Viewed(Broken(lambda x: x.flip(-2), same), Prompt("cat")), X).holds
    assert not laws.identity(Viewed(Broken(same, lambda x: x * math.nan), Prompt("cat")), X).holds
    assert laws.identity(Viewed(Broken(lambda x: 1.5 * x, lambda x: x / 1.5), Prompt("cat")), X).holds
    assert laws.identity(Viewed(Flip(), Prompt("cat")), X).holds


@dataclass(frozen=True)
class Combine(Guidance):
    """Any function of two predictions as a node."""

    join: object

    def ask(self, x, at, views=()):
        p, q = yield from ask_all([Prompt("cat").ask(x, at, views), Prompt("").ask(x, at, views)])
        return self.join(p, q)


@pytest.mark.parametrize(
    "join",
    [
        lambda p, q: Prediction(p.x0 + q.x0, p.eps + q.eps),
        lambda p, q: Prediction((p.x0 + q.x0) / 2, p.eps + q.eps),  # eps alone
        lambda p, q: Prediction(p.x0 + q.x0, (p.eps + q.eps) / 2),  # x0 alone
        lambda p, q: Prediction(p.x0, p.eps * math.nan),
        lambda p, q: Prediction(p.x0 * math.nan, p.eps),
    ],
    ids=["sum", "eps", "x0", "nan eps", "nan x0"],
)
def test_the_identity_law_rejects_weights_that_do_not_sum_to_one(join):
    assert not laws.identity(Combine(join), X).holds


@pytest.mark.parametrize("part", ["x0", "eps"])
def test_the_selection_law_rejects_a_guidance_that_mixes_up_its_branches(part, monkeypatch):
    swapped = lambda c, u, s: CFG(u, c, s)
    swapped_unless_off = lambda c, u, s: CFG(c, u, s) if s == 1 else CFG(u, c, s)  # as scale 1 asks c alone

    class Half(CFG):
        """Swaps the branches of x0 or of eps alone."""

        def ask(self, x, at, views=()):
            good = yield from CFG(self.conditional, self.unconditional, self.scale).ask(x, at, views)
            bad = yield from CFG(self.unconditional, self.conditional, self.scale).ask(x, at, views)
            return Prediction(bad.x0 if part == "x0" else good.x0, bad.eps if part == "eps" else good.eps)

    for broken in (swapped, swapped_unless_off, Half):
        monkeypatch.setattr(laws, "CFG", broken)
        assert not laws.selection(Prompt("cat"), Prompt(""), Counting(), X).holds


def test_law_5_rejects_a_network_whose_answers_depend_on_their_neighbours():
    def leaky(queries, at):
        return [answer(q.x, q.condition) if k == 0 else answer(q.x * 1.1, q.condition) for k, q in enumerate(queries)]

    assert not laws.lowered_is_recursive(CFG(Prompt("cat"), Prompt("")), leaky, X).holds


def test_law_5_rejects_a_variance_that_is_there_only_sometimes():
    sometimes = lambda queries, at: [answer(q.x, q.condition, with_var=len(queries) == 1) for q in queries]
    assert not laws.lowered_is_recursive(CFG(Prompt("cat"), Prompt("")), sometimes, X).holds


def test_a_finding_holds_up_to_its_tolerance_and_not_a_number_breaks_it():
    assert laws.Finding("x", 1.0, 1.0).holds
    assert not laws.Finding("x", 1.1, 1.0).holds
    assert not laws.Finding("x", math.nan, 1.0).holds
    assert laws.AT.alpha**2 + laws.AT.sigma**2 == pytest.approx(1)
    assert AT == laws.AT
