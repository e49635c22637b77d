"""The laws that `check` runs: each broken thing fails the one that is named for it, and sound things none."""

from dataclasses import dataclass

import pytest
import torch

import duckrabbit as dr
from duckrabbit.diffusion.prediction import Prediction
from duckrabbit.guidance.filters import LowPass
from duckrabbit.guidance.views.pixels import Flip, Negate, PixelView
from duckrabbit.tasks import checks

VIEW = ["hashable", "isometry", "linearity", "resolution", "identity"]
MODEL = ["finite output", "selection", "lowered = recursive"]


@dataclass(frozen=True)
class Broken(PixelView):
    """A view that is spoiled in one way."""

    how: str

    def __call__(self, x):
        return {"flat": 0.5 * x, "pixels": x.roll(1, -1)}.get(self.how, x)

    def inverse(self, x):
        return {"flat": 2 * x, "pixels": x.roll(-1, -1)}.get(self.how, x)

    def inverse_var_interp(self, var_interp):
        return var_interp.flip(-1) if self.how == "variance" else self.inverse(var_interp)

    def __eq__(self, other):
        return self.how != "unequal" and self is other

    def __hash__(self):
        if self.how == "unhashable":
            raise TypeError("no hash")
        return 1


def median(x):
    """Of three neighbours: f(a x) = a f(x) for every a, and f(x + y) is still not f(x) + f(y)."""
    return torch.stack([x.roll(1, -1), x, x.roll(-1, -1)]).median(0).values


def broken(rows):
    return [row.law for row in rows if not row.holds]


@pytest.mark.parametrize(
    ("how", "laws"),
    [("", []), ("flat", ["isometry"]), ("pixels", ["resolution"]), ("variance", ["variance"]),
     ("unequal", ["hashable"]), ("unhashable", ["hashable", "identity"])],
)  # fmt: skip
def test_a_view_fails_the_law_that_it_breaks(how, laws):
    rows = dr.check(Broken(how))
    assert [row.law for row in rows] == [*VIEW, "variance"]
    assert broken(rows) == laws
    assert {row.subject for row in rows} == {"Broken"}


def test_views_are_checked_by_name_and_themselves():
    assert [row.subject for row in dr.check("patch_permutation:grid=16")] == ["patch_permutation:grid=16"] * 6
    assert broken(dr.check("pixel_permutation")) == []
    assert [row.law for row in dr.check(Negate())] == VIEW  # of its variance there is another rule
    (hashable, *_) = dr.check(Broken("unhashable"))
    assert hashable.note == "TypeError: no hash"


def test_what_is_not_linear_is_found_even_if_it_keeps_multiples():
    (row,) = dr.check(median)
    assert (row.law, row.holds) == ("linearity", False)
    assert broken(dr.check(LowPass())) == []
    with pytest.raises(dr.UserError, match="a view, a filter or a model, not 7"):
        dr.check(7)


def test_the_filters_are_checked_family_by_family(monkeypatch):
    rows = checks.check_filters()
    assert [row.law for row in rows] == ["partition of unity", *["linearity"] * 2] * 2 + [
        "partition of unity",
        *["linearity"] * 3,
    ] + ["partition of unity", *["linearity"] * 2]
    assert broken(rows) == []
    monkeypatch.setattr(checks, "Grey", lambda: median)
    assert broken(checks.check_filters()) == ["partition of unity", "linearity"]


def test_the_ways_to_combine_views_are_checked_by_the_laws_that_they_keep(monkeypatch):
    rows = checks.check_combinations()
    assert [row.law for row in rows] == ["identity"] * 5 + ["unit variance"]
    assert broken(rows) == []
    monkeypatch.setattr(checks, "Rectified", checks.Weighted)  # a mean is not as loud as noise
    assert broken(checks.check_combinations()) == ["unit variance"]


def spoiled(model, monkeypatch, spoil):
    """`model` with every answer's noise changed: spoil(queries, k, eps) for the k-th question of a call."""
    network = model.network

    def make(*arguments, **options):
        inner = network(*arguments, **options)

        def call(queries, at):
            answers = enumerate(inner(queries, at))
            return [Prediction(p.x0, spoil(queries, k, p.eps), p.var_interp) for k, p in answers]

        return call

    monkeypatch.setattr(model, "network", make)
    return model


def test_a_model_is_checked_stage_by_stage(tiny):
    rows = dr.check(tiny)
    assert [row.law for row in rows] == [*MODEL, *MODEL, "views reach the picture"]
    assert [row.subject.rpartition(", ")[2] for row in rows] == ["stage 1"] * 3 + ["stage 2"] * 4
    assert broken(rows) == []
    assert broken(checks.check_model(tiny, [Flip(-1)], ["a cat", "a house"])) == []


def test_a_network_that_answers_by_the_company_of_a_question_is_found(tiny, monkeypatch):
    """By a hundredth: more than rounding in another batch may do, and not to be seen by eye."""
    spoil = lambda queries, k, eps: eps * (1 + 0.01 * len(queries))
    assert set(broken(dr.check(spoiled(tiny, monkeypatch, spoil)))) == {"selection", "lowered = recursive"}


def test_a_network_whose_answer_is_not_finite_is_found(tiny, monkeypatch):
    def spoil(queries, k, eps):
        eps[0, 0, 0, 0] = torch.inf
        return eps

    rows = dr.check(spoiled(tiny, monkeypatch, spoil))
    assert "finite output" in broken(rows)
    assert [row.deviation for row in rows if row.law == "finite output"] == [1, 1]


def test_a_second_stage_that_shows_its_picture_unturned_is_found(tiny, monkeypatch):
    network = tiny.network

    def make(stage, low_res=None, *rest):
        inner = network(stage, low_res, *rest)
        return lambda queries, at: inner([dr.Query(q.x, q.condition) for q in queries], at)

    monkeypatch.setattr(tiny, "network", make)
    assert "views reach the picture" in broken(dr.check(tiny))


def test_half_precision_may_be_off_by_what_it_rounds(oracle, tiny, monkeypatch):
    """The least that a law allows is in units of the dtype's last place: 64 of bfloat16's, 6400 of float32's."""
    asked = ("selection", "lowered = recursive", "views reach the picture")
    assert {row.tolerance for row in dr.check(tiny) if row.law in asked} == {6400 * 2.0**-23}
    monkeypatch.setattr(oracle, "dtype", "bfloat16")
    assert {row.tolerance for row in dr.check(oracle) if row.law in asked} == {64 * 2.0**-7}
