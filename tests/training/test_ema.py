"""The average of the weights, and what becomes of batch norm's statistics."""

import pytest
import torch
from torch import nn

from duckrabbit.training.ema import Ema, settle


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))


def test_the_average_is_the_one_of_the_formula():
    module = nn.Linear(1, 1, bias=False)
    ema = Ema(module, 0.9)
    expected = module.weight.item()
    for step in range(200):
        with torch.no_grad():
            module.weight.fill_(float(step % 7))
        d = min(0.9, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * (step % 7)
        ema.update(module, step)
    assert ema.state()["weight"].item() == pytest.approx(expected, rel=1e-5)


def test_statistics_of_batch_norm_are_copied_not_averaged():
    module = network()
    ema = Ema(module, 0.99)
    module(torch.randn(8, 1, 9, 9) * 5 + 3)
    ema.update(module, 100)
    state = ema.state()
    for name in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
        assert torch.equal(state[name], module.state_dict()[name])
    assert set(state) == set(module.state_dict())


def test_an_average_goes_on_where_it_was():
    module = network()
    ema, other = Ema(module, 0.9), Ema(network(), 0.9)
    with torch.no_grad():
        module[0].weight.add_(1)
    ema.update(module, 50)
    other.restore(ema.state())
    assert all(torch.equal(a, b) for a, b in zip(ema.state().values(), other.state().values(), strict=True))


def test_settled_statistics_are_those_of_the_data_through_the_averaged_weights():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = network()

        def forward(self, x, t, labels):
            return self.body(x)

    net, x = Net(), torch.randn(4, 16, 1, 9, 9) * 2 + 1
    settle(net, [(batch, None, None) for batch in x])
    with torch.no_grad():
        out = net.body[0](x.flatten(0, 1))
    norm = net.body[1]
    torch.testing.assert_close(norm.running_mean, out.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    assert not net.training
    assert norm.momentum == 0.1
