"""The rows of velocities on pictures whose every pixel is known, and on the sheet that a command makes."""

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from PIL import Image

import duckrabbit as dr
from duckrabbit.report.denoised import Look, velocity_rows


def flat(value):
    return torch.full((1, 3, 4, 4), value)


def test_updates_share_one_scale_and_errors_another():
    """At the first time the network is right; at the second its update is half of the true one, 0.8."""
    right = Look("t = 0.25", flat(-0.2), flat(0.2), flat(0.2))
    wrong = Look("t = 0.75", flat(-0.2), flat(0.6), flat(0.2))
    first, second = velocity_rows([right, wrong], (-1.0, 1.0))
    shown = [[cell.pixels[0, 0].tolist() for cell in row.cells] for row in (first, second)]
    grey = lambda update: [round((update / 0.8 + 1) / 2 * 255)] * 3
    dark, light = (list(map(int, colormaps["magma"](v, bytes=True)[:3])) for v in (0.0, 1.0))
    assert shown[0][1:] == [grey(0.4), grey(0.4), dark]
    assert shown[1][1:] == [grey(0.4), grey(0.8), light]
    assert "errors to 0.4" in first.label
    assert [cell.caption for cell in second.cells][::3] == ["x at t = 0.75", "error, mean 0.400, most 0.400"]


def test_the_error_is_the_root_of_the_mean_square_over_the_colours():
    estimate = flat(0.0)
    estimate[0, :, 1, 2] = torch.tensor([0.3, 0.0, 0.6])
    (row,) = velocity_rows([Look("t = 0.5", flat(0.1), flat(0.0), estimate)], (-1.0, 1.0))
    most = float(np.sqrt((0.3**2 + 0.6**2) / 3))
    assert row.cells[3].caption.endswith(f"most {most:.3f}")
    assert row.cells[1].pixels.min() == 0 or row.cells[1].pixels.max() == 255


@pytest.mark.parametrize(("model", "times", "shown"), [("oracle@flow", "0.25,0.5", True), ("oracle", "250,500", False)])
def test_only_a_flow_shows_its_velocity(cli, model, times, shown):
    dr.run(dr.generate(dr.load("oracle"), "a red circle", steps=4), 1)[0].pil.save("circle.png")
    assert cli("denoise", "circle.png", "--model", model, "--t", times, "--steps", 4, "--out", "out").code == 0
    with Image.open("out/sheet.png") as sheet:
        assert (sheet.height > 1000) is shown
