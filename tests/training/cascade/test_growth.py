"""A network grown to twice the size: what it says at first, that it is trained and resumed, and who loads it."""

import json
from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch.nn.functional import avg_pool2d, conv2d, interpolate

import shapes
import tiny
from duckrabbit.data.drawings.attribution import Credits
from duckrabbit.diffusion.schedules import squaredcos_cap_v2
from duckrabbit.errors import UserError
from duckrabbit.models.cards import DEFAULT, folder_of
from duckrabbit.models.load import load
from duckrabbit.training.cascade.export import export_stage, read_stage
from duckrabbit.training.cascade.growth import enlarged, grow, is_grown
from duckrabbit.training.cascade.recipe import to_unit
from duckrabbit.training.cascade.stage1 import TEXTS
from duckrabbit.training.cascade.start import read_start
from duckrabbit.training.cascade.words import TOKENIZER
from duckrabbit.training.checkpoint import load_tensors
from duckrabbit.training.run import CHECKPOINT
from duckrabbit.training.trainer import Trainer

CREDITS = Credits({"shapes by us": 12}, {"shapes by us": "CC0-1.0"})
SMALL = {"channels": (64, 64), "attention": 1, "sheets": 1, "images": 16}
GROWN = {"channels": (64, 64, 64), "size": 32, "thin": 1, "shift": 2.0, "attention": 1, "images": 48}


def finish(recipe, data, folder, until=None, **more):
    trainer = Trainer(recipe, data, folder, Accelerator(cpu=True), **more)
    for _ in trainer.run(lambda: until is not None and trainer.step >= until):
        pass
    return trainer


@pytest.fixture
def trained(tmp_path):
    """The folder of a stage I of 16 px, two levels of 64 channels, after two steps."""
    recipe = shapes.text_recipe(**SMALL)
    finish(recipe, shapes.captioned(recipe), tmp_path / "run")
    tiny.tokenizer().save_pretrained(tmp_path / "run" / TOKENIZER)
    return export_stage(tmp_path / "run", tmp_path / "small", CREDITS)


@pytest.fixture(scope="module")
def both():
    """The U-Net of miniature, and the one grown from it, in float32; and the states of a few prompts."""
    recipe, start = TEXTS["64-grown"], read_start(folder_of(DEFAULT), folder_of(DEFAULT))
    recipe = replace(recipe, **start.text_config)
    torch.manual_seed(0)
    module = recipe.build()
    start.fill(module)
    old = diffusers.UNet2DConditionModel.from_pretrained(folder_of(DEFAULT) / "unet", torch_dtype=torch.float32)
    tokenizer, encoder = start.text_encoder()
    said = ["a glossy emoji of an apple", "a flat sticker of a car", "a black line icon of a house", ""]
    tokens = tokenizer(said, padding="max_length", max_length=77, return_tensors="pt")
    with torch.no_grad():
        states = encoder(tokens.input_ids, attention_mask=tokens.attention_mask)[0]
    return old.eval(), module.unet.eval(), states


def answers(both, t):
    """(what the grown network takes for the picture, reduced; the old one's picture; its v, against the drawing's)."""
    old, new, states = both
    small = diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod[t].double()
    snr = small / (1 - small)
    alpha, sigma = (small.sqrt().float(), (1 - small).sqrt().float())
    wide_alpha, wide_sigma = (snr / (4 + snr)).sqrt().float(), (4 / (4 + snr)).sqrt().float()
    x0 = to_unit(shapes.drawings(64, 12).images[4:8])
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(t))
    z = wide_alpha * x0 + wide_sigma * eps
    low = avg_pool2d(z, 2) * alpha / wide_alpha
    with torch.no_grad():
        said, wide = (net(x, t, encoder_hidden_states=states)[0][:, :3] for net, x in ((old, low), (new, z)))
    error = (wide - (wide_alpha * eps - wide_sigma * x0)).square().mean()
    return avg_pool2d(wide_alpha * z - wide_sigma * wide, 2), alpha * low - sigma * said, float(error)


@pytest.mark.parametrize(("t", "most"), [(50, 0.004), (250, 0.012), (500, 0.02), (750, 0.03), (980, 0.03)])
def test_at_first_it_sees_what_the_old_network_sees_on_the_reduced_picture(both, t, most):
    """Mean squares, where the pictures' own is 0.7 to 0.9; what random ends around the same network leave is 0.2."""
    reduced, seen, _ = answers(both, t)
    assert float((reduced - seen).square().mean()) < most
    assert float((reduced - seen).mean()) == pytest.approx(0, abs=0.06)


def test_random_ends_are_worse_by_far(both):
    old, new, states = both
    ends = ("conv_", "down_blocks.0.", "up_blocks.4.", "up_blocks.3.resnets.1.", "up_blocks.3.upsamplers.")
    torch.manual_seed(0)
    random = diffusers.UNet2DConditionModel.from_config(new.config)
    random.load_state_dict(
        {k: v if k.startswith(ends) else new.state_dict()[k] for k, v in random.state_dict().items()}
    )
    for t in (250, 600):
        assert answers((old, new, states), t)[2] < 0.4 * answers((old, random.eval(), states), t)[2]


def test_answers_on_doubled_pixels_are_on_average_those_on_the_pixels():
    generator = torch.Generator().manual_seed(0)
    kernel, x = torch.randn(5, 4, 3, 3, generator=generator), torch.randn(2, 4, 6, 7, generator=generator)
    large = conv2d(interpolate(x, scale_factor=2), enlarged(kernel), padding=1)
    torch.testing.assert_close(avg_pool2d(large, 2), conv2d(x, kernel, padding=1), atol=1e-5, rtol=1e-4)


def test_growing_is_a_pure_function_and_keeps_what_is_inside(trained):
    recipe = shapes.text_recipe(**GROWN)
    unet = recipe.build().unet
    before = {k: v.clone() for k, v in unet.state_dict().items()}
    old = load_file(trained / "unet" / "diffusion_pytorch_model.safetensors")
    one, two = (grow(old, unet, squaredcos_cap_v2(1000)) for _ in range(2))
    assert one.keys() == before.keys()
    assert all(torch.equal(one[k], two[k]) and torch.equal(v, before[k]) for k, v in unet.state_dict().items())
    for name in (
        "mid_block.resnets.0.conv1.weight",
        "time_embedding.linear_1.weight",
        "up_blocks.0.resnets.0.conv1.weight",
    ):
        assert torch.equal(one[name], old[name].float())
    name = "downsamplers.0.conv1.weight"
    assert torch.equal(one[f"down_blocks.1.{name}"], old[f"down_blocks.0.{name}"].float())


def test_what_does_not_fit_is_refused(trained):
    old = load_file(trained / "unet" / "diffusion_pytorch_model.safetensors")
    grown = shapes.text_recipe(**GROWN)
    narrow = shapes.text_recipe(**{**GROWN, "channels": (32, 32, 64)}).build().unet
    with pytest.raises(UserError, match="has 64 channels"):
        grow(old, narrow, squaredcos_cap_v2(1000))
    unet = shapes.text_recipe(**{**GROWN, "channels": (64, 64, 96)}).build().unet
    with pytest.raises(UserError, match="has no place in it"):
        grow(old, unet, squaredcos_cap_v2(1000))
    config, small = grown.build().unet.config, shapes.text_recipe(**SMALL).build().unet.config
    assert is_grown(small, config)
    assert not is_grown(config, config)
    assert not is_grown({**small, "sample_size": 32}, config)
    assert not is_grown({}, config)
    path = trained / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "prediction_type": "epsilon"}))
    with pytest.raises(UserError, match="has to predict v"):
        read_start(trained, trained).fill(grown.build())


def test_a_grown_run_is_stopped_resumed_exported_and_loaded(trained, tmp_path):
    recipe = shapes.text_recipe(**GROWN)
    data, start = shapes.captioned(recipe), read_start(trained, trained).fill
    straight = finish(recipe, data, tmp_path / "straight", start=start)
    finish(recipe, data, tmp_path / "broken", until=2, start=start)
    finish(recipe, data, tmp_path / "broken", start=start)
    whole, again = (load_tensors(tmp_path / name / CHECKPOINT)[0] for name in ("straight", "broken"))
    assert straight.step == 6
    assert [k for k in whole if not torch.equal(whole[k], again[k])] == []
    tiny.tokenizer().save_pretrained(tmp_path / "straight" / TOKENIZER)
    folder = export_stage(tmp_path / "straight", tmp_path / "model", CREDITS)
    pipeline = diffusers.IFPipeline.from_pretrained(folder).to(dtype=torch.float32)
    assert pipeline.unet.config.layers_per_block == [0, 1, 1]
    wide, narrow = np.array(recipe.schedule.alphas_cumprod), np.array(squaredcos_cap_v2(1000).alphas_cumprod)
    np.testing.assert_allclose(pipeline.scheduler.alphas_cumprod.numpy()[:900], wide[:900], rtol=2e-3)
    np.testing.assert_allclose((1 / wide - 1) / (1 / narrow - 1), 4, rtol=1e-6)
    assert pipeline("a red house", num_inference_steps=2, output_type="pt").images.shape == (1, 3, 32, 32)
    (stage,) = load(folder, device="cpu").stages
    np.testing.assert_allclose(stage.schedule.alphas_cumprod, wide, rtol=1e-6)
    weights = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    other = recipe.build()
    read_start(folder, folder).fill(other)  # the same layout goes on, and is not grown
    assert torch.equal(other.unet.conv_in.weight, weights["conv_in.weight"].float())


def test_recipes_say_nothing_of_growing_where_there_is_none():
    """So that runs of before go on."""
    assert not {"thin", "shift"} & TEXTS["32"].to_json().keys()
    said = TEXTS["64-grown"].to_json()
    assert (said["thin"], said["shift"]) == (1, 2.0)
    assert read_stage(json.loads(json.dumps(said))) == TEXTS["64-grown"]
