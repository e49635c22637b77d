"""The tiny cascades have the mechanisms that the parity tests are about."""

import pytest
import torch

import tiny


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("t", [990, 500, 100])
def test_condition_and_variance_matter(second, t):
    pipe = tiny.first_pipeline()
    unet = tiny.unet(32, second=True, seed=1) if second else pipe.unet
    conditional, unconditional = pipe.encode_prompt("a painting of an old man", device="cpu")
    x = torch.randn(1, unet.config.in_channels, unet.config.sample_size, unet.config.sample_size)
    labels = torch.tensor([250]) if second else None
    c, u = (unet(x, t, encoder_hidden_states=e, class_labels=labels).sample[0] for e in (conditional, unconditional))
    assert (c - u)[:3].std() > 0.3 * c[:3].std()
    assert (c - u)[3:].std() > 0.1 * c[3:].std()
    assert c[3:].min() < -0.3
    assert c[3:].max() > 0.3


def test_noise_level_and_low_resolution_matter():
    unet = tiny.unet(32, second=True, seed=1)
    embedding = torch.randn(1, 77, tiny.WIDTH)
    x, low = torch.randn(2, 1, 3, 32, 32)

    def ask(low, level):
        labels = torch.tensor([level])
        return unet(torch.cat([x, low], 1), 500, encoder_hidden_states=embedding, class_labels=labels).sample[:, :3]

    assert (ask(low, 250) - ask(low, 0)).std() > 0.05 * ask(low, 250).std()
    assert (ask(low, 250) - ask(low.flip(-2), 250)).std() > 0.1 * ask(low, 250).std()
