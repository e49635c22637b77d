"""The course's U-Net: counts, wiring, conditioning."""

import pytest
import torch

from duckrabbit.errors import UserError
from duckrabbit.networks.unet_28 import NO_CLASS, UNetConfig, build_unet, count_parameters


@pytest.mark.parametrize(
    ("hidden", "conditioning", "parameters"),
    [(128, "none", 7_891_073), (64, "none", 1_975_361), (64, "time", 1_996_417), (64, "class", 2_019_201)],
)
@pytest.mark.parametrize("edition", ["ddpm", "flow"])
def test_parameter_counts_are_the_courses(hidden, conditioning, parameters, edition):
    with torch.device("meta"):
        assert count_parameters(build_unet(UNetConfig(hidden, conditioning, edition))) == parameters


def test_shapes_along_the_way():
    net = build_unet(UNetConfig(4, "class")).eval()
    shapes = {}
    for name in ("enter", "down1", "down2", "flatten", "unflatten", "up1", "up2", "leave"):
        getattr(net, name).register_forward_hook(lambda m, i, o, name=name: shapes.update({name: tuple(o.shape[1:])}))
    net(torch.rand(2, 1, 28, 28), torch.rand(2), torch.tensor([1, 2]))
    assert shapes == {
        "enter": (4, 28, 28), "down1": (4, 14, 14), "down2": (8, 7, 7), "flatten": (8, 1, 1),
        "unflatten": (8, 7, 7), "up1": (4, 14, 14), "up2": (4, 28, 28), "leave": (1, 28, 28),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("conditioning", "edition", "expected"),
    [
        ("time", "ddpm", lambda h, t, c: h + t),
        ("time", "flow", lambda h, t, c: h * t),
        ("class", "ddpm", lambda h, t, c: c * h + t),
        ("class", "flow", lambda h, t, c: c * h + t),
    ],
)
def test_conditions_come_in_as_the_page_of_each_edition_says(conditioning, edition, expected):
    net = build_unet(UNetConfig(3, conditioning, edition)).eval()
    seen = {}
    net.unflatten.register_forward_hook(lambda m, i, o: seen.update(u=o))
    net.up1.register_forward_hook(lambda m, i, o: seen.update(p=o, cu=i[0]))
    net.up2.register_forward_hook(lambda m, i, o: seen.update(bp=i[0]))
    t, labels = torch.tensor([0.25, 0.5]), torch.tensor([7, NO_CLASS])
    net(torch.rand(2, 1, 28, 28), t, labels if conditioning == "class" else None)
    one_hot = torch.zeros(2, 10)
    one_hot[0, 7] = 1
    for place, before, after, width in ((1, seen["u"], seen["cu"], 6), (2, seen["p"], seen["bp"], 3)):
        time = getattr(net, f"time{place}")(t[:, None])[:, :, None, None]
        c = getattr(net, f"class{place}")(one_hot)[:, :, None, None] if conditioning == "class" else None
        torch.testing.assert_close(after[:, -width:], expected(before, time, c))


def test_a_missing_or_superfluous_condition_is_refused():
    x, t = torch.rand(1, 1, 28, 28), torch.rand(1)
    with pytest.raises(UserError, match="conditioning 'time'"):
        build_unet(UNetConfig(2, "time"))(x)
    with pytest.raises(UserError, match="conditioning 'class'"):
        build_unet(UNetConfig(2, "class"))(x, t)
    with pytest.raises(UserError, match="conditioning 'none'"):
        build_unet(UNetConfig(2))(x, t)


def test_configurations_read_back_and_foreign_ones_are_refused():
    config = UNetConfig(32, "class", "flow", 7)
    assert UNetConfig.from_json(config.to_json()) == config
    for values in ({}, {"architecture": "other"}, {**config.to_json(), "layers": 3}):
        with pytest.raises(UserError, match=r"config\.json"):
            UNetConfig.from_json(values)
    with pytest.raises(UserError, match="none, time or class"):
        UNetConfig(4, "text")
