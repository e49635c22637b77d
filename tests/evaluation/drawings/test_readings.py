"""Readings of illusions, against the formulas written out, and by a judge that is right."""

import math

import pytest
import torch

from drawn_shapes import Right, shape
from duckrabbit.errors import UserError
from duckrabbit.evaluation.drawings.readings import Readings, from_afar, read
from duckrabbit.guidance.views.shipped import parse_view


def pictures(*names):
    return torch.stack([shape(n, True) for n in names]).permute(0, 3, 1, 2) * 2 - 1


def test_alignment_and_concealment_are_the_formulas():
    s = torch.rand(5, 3, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    readings = Readings(s, torch.ones(5, 3), 0.1)
    for n in range(5):
        assert readings.alignment[n] == pytest.approx(min(float(s[n, i, i]) for i in range(3)))
        rows = [[math.exp(float(s[n, i, j]) / 0.1) for j in range(3)] for i in range(3)]
        expected = sum(rows[i][i] / sum(rows[i]) for i in range(3)) / 3
        assert float(readings.concealment[n]) == pytest.approx(expected, rel=1e-4)
    assert readings.best(2) == sorted(range(5), key=lambda n: -float(readings.alignment[n]))[:2]


def test_a_bar_is_read_upright_and_a_triangle_only_from_below():
    """A triangle turned round is none: a triangle upside down, seen through the flip, is one."""
    judge, flip = Right(), parse_view("flip_vertical", 64)
    shown = torch.cat([flip(pictures("triangle")), pictures("circle"), pictures("triangle")])
    viewings = [(parse_view("identity", 64), "a circle"), (flip, "a filled drawing of a triangle")]
    readings = read(judge, shown, viewings)
    assert readings.ranks[1, 0] == 1
    assert readings.ranks[0, 1] == 1
    assert readings.ranks[2, 1] > 1
    assert readings.ranks[0, 0] > 1
    assert "read as no." in readings.words(0)


def test_a_negative_is_read_through_its_view():
    judge = Right()
    viewings = [(parse_view("negate", 64), "a cross"), (parse_view("rotate_90", 64), "a cross")]
    readings = read(judge, torch.cat([-pictures("cross"), pictures("cross")]), viewings)
    assert readings.ranks[:, 0].tolist() == [1, readings.ranks[1, 0].item()]
    assert readings.ranks[1, 1] == 1
    assert readings.cosines[0, 0, 0] > readings.cosines[1, 0, 0]


def test_from_afar_only_the_coarse_is_left():
    fine = torch.ones(1, 3, 64, 64)
    fine[..., ::2] = -1
    assert from_afar(fine).abs().max() == 0
    assert from_afar(fine).shape == (1, 3, 16, 16)
    assert from_afar(fine[..., :32, :32]).shape[-1] == 16


def test_one_look_is_no_illusion():
    with pytest.raises(UserError, match="two ways"):
        read(Right(), pictures("bar"), [(parse_view("identity", 64), "a bar")])
    with pytest.raises(UserError, match="does not know the subject"):
        read(Right(), pictures("bar"), [(from_afar, "a bar"), (from_afar, "a yacht")])
