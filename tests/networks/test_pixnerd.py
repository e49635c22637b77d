"""The network of PixNerd: what it computes, what it depends on, and the sizes it refuses."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize, silu

import tiny_pixnerd
from duckrabbit.errors import UserError
from duckrabbit.networks.pixnerd import FieldLayer, PixNerd, PixNerdConfig, angles, rotated
from tiny_pixnerd import SIZES


@pytest.fixture(scope="module")
def net():
    return tiny_pixnerd.network()


def question(n=2, height=32, width=32, seed=1):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, height, width, generator=g)
    return x, torch.rand(n, generator=g), torch.randn(n, 12, 24, generator=g)


def test_the_published_sizes_are_1_17_thousand_million_numbers():
    """By hand, D = 1536: 16 blocks of 16 + 6 + 2 D^2 and 4 of 22 D^2, two layers of 2 * 2 * 64^2 D, the rest by row."""
    d = 1536
    norms = 2 * d + 2 * 64  # of a block: before attention and MLP, of queries and keys by head
    block, reader = 24 * d * d + (1 + 6) * d + norms, 22 * d * d + (1 + 6) * d + norms
    ends = (768 + 1) * d + (2048 + 2) * d + 128 * d + (256 + 1) * d + (d + 1) * d
    field = 2 * ((d + 1) * 16384 + 64) + (67 + 1) * 64 + 65 * 3
    with torch.device("meta"):
        counted = sum(p.numel() for p in PixNerd(PixNerdConfig()).parameters())
    assert counted == 16 * block + 4 * reader + ends + field == 1171518019


def test_one_row_alone_is_as_it_is_in_a_batch(net):
    x, time, text = question(3)
    together = net(x, time, text)
    for k in range(3):
        alone = net(x[k : k + 1], time[k : k + 1], text[k : k + 1])
        assert torch.allclose(alone, together[k : k + 1], atol=1e-5 * float(together.abs().max()))


@pytest.mark.parametrize("what", [0, 1, 2])
def test_pixels_time_and_prompt_all_matter(net, what):
    asked = list(question())
    before = net(*asked)
    asked[what] = asked[what].flip(0)
    assert (net(*asked) - before).abs().max() > 0.01 * before.abs().max()


def test_the_order_of_the_words_matters_and_so_does_padding(net):
    x, time, text = question()
    assert not torch.allclose(net(x, time, text.flip(1)), net(x, time, text), atol=1e-3)
    assert not torch.allclose(net(x, time, torch.cat([text[:, :6], 0 * text[:, 6:]], 1)), net(x, time, text), atol=1e-3)


def test_gradients_flow_to_the_picture_and_are_those_of_differences():
    net = tiny_pixnerd.network().double()
    x, time, text = (part.double() for part in question(1))
    x.requires_grad_()
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(3)).double()
    (gradient,) = torch.autograd.grad(net(x, time, text).square().sum(), x)

    def loss(step):
        return net((x + step * direction).detach(), time, text).square().sum()

    assert float((gradient * direction).sum()) == pytest.approx(float(loss(1e-5) - loss(-1e-5)) / 2e-5, rel=1e-3)


def test_a_turn_keeps_lengths_and_depends_on_distance_alone():
    """<R_a q, R_b k> is a function of a - b: what rotary positions are for."""
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(1, 8, generator=g), torch.randn(1, 8, generator=g)
    phases = angles(4, 4, 4, 3.0)  # places 0 ... 3, one apart
    turned = [[rotated(v, phases[i : i + 1]) for i in range(16)] for v in (q, k)]
    assert torch.allclose(turned[0][7].norm(), q.norm())
    here = (turned[0][0] * turned[1][5]).sum()  # from (0, 0) to (1, 1)
    assert torch.allclose(here, (turned[0][5] * turned[1][10]).sum(), atol=1e-5)
    assert not torch.allclose(here, (turned[0][0] * turned[1][6]).sum(), atol=1e-3)


def test_phases_are_places_times_frequencies():
    """Frequencies 10000^(-2 k / 4), k = 0, 1: 1 and 1 / 100; by turns of x and of y."""
    assert torch.allclose(angles(2, 3, 4, 2.0)[4], torch.tensor([1.0, 2.0, 0.01, 0.02]))


def test_a_layer_of_the_field_is_its_equation():
    torch.manual_seed(0)
    layer = FieldLayer(6, 4, 2)
    h, s = torch.randn(2, 5, 4), torch.randn(2, 6)
    out = layer(h, s)
    for m in range(2):
        a, b = layer.weights(s[m]).chunk(2)
        root = (h[m].square().mean(1, keepdim=True) + 1e-6).sqrt()
        inner = silu(h[m] / root @ normalize(a.view(4, 8), dim=0))
        assert torch.allclose(out[m], h[m] + inner @ b.view(8, 4), atol=1e-6)
    assert torch.allclose(normalize(a.view(4, 8), dim=0).norm(dim=0), torch.ones(8))


def test_a_pixel_of_a_field_sees_its_own_colour_and_its_patch_alone():
    """Where the transformer is told nothing of the picture, each answer depends on its own pixel."""
    net = tiny_pixnerd.network(1)
    net.patches.weight.zero_()
    x, time, text = question(1)
    changed = x.clone()
    changed[0, :, 3, 4] += 1
    moved = (net(changed, time, text) - net(x, time, text)).abs().sum(1)[0] > 0
    assert moved.nonzero().tolist() == [[3, 4]]


@pytest.mark.parametrize("shape", [(64, 32), (16, 32), (4, 4)])
def test_other_sizes_are_asked_of_the_same_fields(net, shape):
    u = net(*question(1, *shape))
    assert u.shape == (1, 3, *shape)
    assert u.isfinite().all()


def test_the_clock_has_periods_from_1_to_10():
    net = tiny_pixnerd.network()
    net.clock.first = torch.nn.Identity()
    net.clock.first.weight = torch.zeros(())
    net.clock.second = torch.nn.Identity()
    told = net.clock(torch.tensor([0.5]))[0, 0]
    assert told[0] == pytest.approx(float(silu(torch.tensor(math.cos(0.5)))))
    assert told[128 + 64] == pytest.approx(float(silu(torch.tensor(math.sin(0.5 / math.sqrt(10))))))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"patch": 5}, "divides"), ({"heads": 3}, "heads"), ({"waves": 7}, "waves"), ({"blocks": 0}, "blocks")],
)
def test_sizes_that_do_not_fit_are_a_sentence(wrong, words):
    with pytest.raises(UserError, match=words):
        replace(SIZES, **wrong)


def test_pictures_and_prompts_of_another_shape_are_a_sentence(net):
    x, time, text = question()
    with pytest.raises(UserError, match="sides that 4 divides"):
        net(x[..., :30], time, text)
    with pytest.raises(UserError, match="another model"):
        net(x, time, text[:, :6])
