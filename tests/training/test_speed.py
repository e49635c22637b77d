"""What is arranged for speed computes what it did before."""

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from duckrabbit.training.speed import SingleGroupNorm, Speed


@pytest.mark.parametrize("groups", [2, 8])
def test_group_norm_in_bf16_is_float32s_rounded_once(groups):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.GroupNorm(groups, 16))
    nn.init.normal_(plain[0].weight)
    nn.init.normal_(plain[0].bias)
    quick = Speed("bf16").arrange(nn.Sequential(nn.GroupNorm(groups, 16)))
    assert type(quick[0]) is SingleGroupNorm
    quick.load_state_dict(plain.state_dict())
    x = (3 + torch.randn(4, 16, 8, 8)).to(memory_format=torch.channels_last).bfloat16()
    weight = torch.randn(4, 16, 8, 8)
    one, other = (x.clone().requires_grad_() for _ in range(2))
    exact = plain(one.float())
    y = quick(other)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, exact.bfloat16(), rtol=0, atol=0)
    (exact * weight).sum().backward()
    (y * weight).sum().backward()
    torch.testing.assert_close(other.grad.float(), one.grad.float(), rtol=0.02, atol=0.02)
    torch.testing.assert_close(quick[0].weight.grad, plain[0].weight.grad, rtol=0.02, atol=0.1)


def test_attention_is_the_same_function_and_leaves_a_gpu_its_own():
    """softmax(q k^T / sqrt(d)) v by hand, with its gradient; a GPU keeps what it has."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 8, dtype=torch.float64, requires_grad=True) for n in (5, 7, 7))
    weight = torch.randn(2, 3, 5, 8, dtype=torch.float64)
    by_hand = ((q @ k.mT / 8**0.5).softmax(-1) @ v * weight).sum()
    with Speed().attention("cpu"):
        assert not torch.backends.cuda.flash_sdp_enabled()
        ours = (scaled_dot_product_attention(q, k, v) * weight).sum()
        got = torch.autograd.grad(ours, (q, k, v))
    torch.testing.assert_close(ours, by_hand)
    torch.testing.assert_close(got, torch.autograd.grad(by_hand, (q, k, v)))
    with Speed().attention("cuda"):
        assert torch.backends.cuda.flash_sdp_enabled()


def test_a_network_keeps_its_names_and_its_kind():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.BatchNorm2d(8))
    names = list(network.state_dict())
    Speed().arrange(network)
    assert list(network.state_dict()) == names
    assert [type(part) for part in network] == [nn.Conv2d, SingleGroupNorm, nn.BatchNorm2d]
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
