"""The average of the weights, and what becomes of batch norm's statistics."""

import pytest
import torch
from torch import nn

from duckrabbit.training.checkpoint import own_state
from duckrabbit.training.ema import averaged, measure_norms


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))


@pytest.mark.parametrize("steps", [1, 5, 30, 200])
def test_the_average_is_the_one_of_the_formula(steps):
    """After few steps too, where the warm-up decides; with the decay alone 5 steps of it would be 0.6 off."""
    module = nn.Linear(1, 1, bias=False)
    ema = averaged(module, 0.9)
    expected = module.weight.item()
    for step in range(steps):
        with torch.no_grad():
            module.weight.fill_(float(step % 7))
        d = min(0.9, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * (step % 7)
        ema.update_parameters(module)
    assert own_state(ema.module)["weight"].item() == pytest.approx(expected, rel=1e-5)


def test_statistics_of_batch_norm_are_copied_not_averaged():
    module = network()
    ema = averaged(module, 0.99)
    module(torch.randn(8, 1, 9, 9) * 5 + 3)
    ema.update_parameters(module)
    state = own_state(ema.module)
    for name in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
        assert torch.equal(state[name], module.state_dict()[name])
    assert set(state) == set(module.state_dict())


def test_settled_statistics_are_those_of_the_data_through_the_averaged_weights():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = network()

        def forward(self, x, t, labels):
            return self.body(x)

    net, x = Net(), torch.randn(4, 16, 1, 9, 9) * 2 + 1
    net.eval()
    measure_norms(net, [(batch, None, None) for batch in x])
    with torch.no_grad():
        out = net.body[0](x.flatten(0, 1))
    norm = net.body[1]
    torch.testing.assert_close(norm.running_mean, out.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    assert not net.training
    assert norm.momentum == 0.1
