"""Both stages of a cascade through the one trainer: resumed, learned, exported, and loaded by others."""

import json
from dataclasses import replace

import diffusers
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch.nn.functional import interpolate

import shapes
import tiny
from duckrabbit.data.drawings.attribution import Credits
from duckrabbit.diffusion.levels import add_noise
from duckrabbit.errors import UserError
from duckrabbit.models.load import load
from duckrabbit.training.cascade.export import build, export_stage, read_stage
from duckrabbit.training.cascade.recipe import to_unit
from duckrabbit.training.cascade.stage1 import TEXTS
from duckrabbit.training.cascade.stage2 import UPSCALERS, colour_jitter, window
from duckrabbit.training.cascade.start import read_start
from duckrabbit.training.cascade.words import TOKENIZER, padded
from duckrabbit.training.checkpoint import load_tensors
from duckrabbit.training.objectives import Draws
from duckrabbit.training.run import CHECKPOINT, read_metrics
from duckrabbit.training.trainer import Trainer


def finish(recipe, data, folder, until=None, **more):
    trainer = Trainer(recipe, data, folder, Accelerator(cpu=True), **more)
    for _ in trainer.run(lambda: until is not None and trainer.step >= until):
        pass
    return trainer


def runs():
    text, upscaler = shapes.text_recipe(), shapes.upscaler_recipe()
    return {"text": (text, shapes.captioned(text)), "upscaler": (upscaler, shapes.enlarged(upscaler))}


@pytest.mark.parametrize("stage", ["text", "upscaler"])
def test_stopping_and_going_on_changes_nothing(tmp_path, stage):
    recipe, data = runs()[stage]
    straight = finish(recipe, data, tmp_path / "straight")
    finish(recipe, data, tmp_path / "broken", until=5)
    resumed = finish(recipe, data, tmp_path / "broken")
    assert straight.step == resumed.step == 12
    whole, again = (load_tensors(tmp_path / name / CHECKPOINT)[0] for name in ("straight", "broken"))
    assert whole.keys() == again.keys()
    assert [k for k in whole if not torch.equal(whole[k], again[k])] == []
    with pytest.raises(UserError, match="differs in data"):
        finish(recipe, replace(data, digest="others"), tmp_path / "broken")


@pytest.mark.parametrize("stage", ["text", "upscaler"])
def test_a_few_pictures_are_learned(tmp_path, stage):
    recipe, data = runs()[stage]
    recipe = replace(recipe, images=8 * 24, rate=4e-3, ema=0.0)
    finish(recipe, data, tmp_path)
    losses = [row["loss"] for row in read_metrics(tmp_path / "metrics.jsonl")]
    assert sum(losses[-6:]) < 0.7 * sum(losses[:6])


@pytest.mark.parametrize("recipe", [*TEXTS.values(), *UPSCALERS.values()], ids=lambda recipe: recipe.name)
def test_recipes_are_read_back_from_their_json(recipe):
    assert read_stage(json.loads(json.dumps(recipe.to_json()))) == recipe
    rates = [recipe.learning_rate(step, 1) for step in range(-(-recipe.images // recipe.batch))]
    assert max(rates) == pytest.approx(recipe.rate, rel=1e-3)
    assert rates[-1] < 1e-2 * recipe.rate


def test_captions_are_sampled_and_sometimes_withheld():
    recipe = shapes.text_recipe(p_uncond=0.25)
    data = shapes.captioned(recipe)
    rows = torch.zeros(400, dtype=torch.long)
    x0, (tokens,) = recipe.inputs(data, rows, Draws(0, 0, 400, slice(None)))
    assert tokens.shape == (400, 77)
    assert torch.equal(x0[0], to_unit(data.images[:1])[0])
    silent = (tokens[:, : data.wordings.null_tokens.numel()] == data.wordings.null_tokens).all(1)
    assert 0.18 < silent.float().mean() < 0.33
    said = {tuple(row) for row in tokens[~silent].tolist()}
    assert said == {(*row, *[0] * (77 - len(row))) for row in data.wordings.tokens[0].tolist()}


def test_a_crop_is_a_crop_of_what_sampling_sees():
    recipe = shapes.upscaler_recipe(mistakes=0.0)
    data = shapes.enlarged(recipe)
    x0, (noised, level, _) = recipe.inputs(data, torch.arange(12), Draws(0, 0, 12, slice(None)))
    whole = to_unit(data.images)
    shown = interpolate(to_unit(data.low), (32, 32), mode="bilinear", align_corners=True)
    places = [(i, j) for i in range(17) for j in range(17)]
    for k in range(12):
        found = [p for p in places if torch.equal(x0[k], whole[k][:, p[0] : p[0] + 16, p[1] : p[1] + 16])]
        assert found
        at = recipe.schedule.level(float(level[k]))
        errors = []
        for i, j in found:  # the noise that is left is white, of the level's size
            rest = (noised[k] - at.alpha * shown[k][:, i : i + 16, j : j + 16]) / at.sigma
            errors.append(abs(float(rest.std()) - 1))
        assert min(errors) < 0.12
    assert torch.equal(window(data.images, torch.tensor([3]), torch.tensor([5]), 4)[0], data.images[0, 3:7, 5:9])


def test_mistakes_are_of_the_size_they_say():
    grey = torch.zeros(1500, 3, 32, 32)
    ink = 1 - colour_jitter(grey, 0.5, Draws(0, 0, 1500, slice(None)))
    same = (ink == 1).flatten(1).all(1)
    assert 0.21 < same.float().mean() < 0.29
    # What is left of uneven ink in the mean of a picture: of linear interpolation between n points that of a row weighs
    # those at the ends 1 / 2 (n - 1), the others 1 / (n - 1).
    rest = sum(((0.5 + n - 2) / (n - 1) ** 2) ** 2 * 32 / n for n in (32, 16, 8, 4)) * 0.02**2
    means = ink[~same].log().mean((2, 3))
    between = means.mean(1).std()
    assert between == pytest.approx((0.075**2 + (0.025**2 + rest) / 3) ** 0.5, rel=0.08)
    within = (means - means.mean(1, keepdim=True)).square().sum(1).mean().sqrt()
    assert within == pytest.approx((2 * (0.025**2 + rest)) ** 0.5, rel=0.1)
    white = torch.ones(8, 3, 32, 32)
    assert torch.equal(colour_jitter(white, 1.0, Draws(0, 0, 8, slice(None))), white)


def test_a_second_stage_goes_by_what_it_is_told(tmp_path):
    """Where the low resolution picture is all noise, only the prompt says whether the shape is red or blue."""
    recipe = shapes.upscaler_recipe(
        size=16, batch=16, images=16 * 250, rate=4e-3, ema=0.0, p_uncond=0.0, times=2.0, mistakes=0.0
    )
    data = shapes.enlarged(recipe)
    module = build(recipe, finish(recipe, data, tmp_path).weights())
    generator, t = torch.Generator().manual_seed(0), torch.full((6,), 999)
    x, noise = (torch.randn(6, 3, 16, 16, generator=generator) for _ in range(2))
    states = data.states(padded(data.wordings.tokens[:, 0]))
    with torch.no_grad():
        red, blue = (-module(x, t, noise, t, states[k::2])[:, :3] for k in range(2))
    redder = (red - blue)[:, 0] - (red - blue)[:, 2]
    assert (redder.mean((1, 2)) > 0.15).all()  # in the drawings: 0.4 to 1.1, the more so the larger they are


def test_a_start_that_was_never_told_the_prompt_is_taken_up_as_it_is(tmp_path):
    recipe = shapes.upscaler_recipe()
    data = shapes.enlarged(recipe)
    conditioned = recipe.build()
    weights = {k: v.clone() for k, v in conditioned.unet.state_dict().items() if not k.startswith("add_embedding.")}
    (tmp_path / "unet").mkdir()
    path = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    save_file(weights, path)
    module = recipe.build()
    read_start(tmp_path, None).fill(module)
    _, (noised, level, states) = recipe.inputs(data, torch.arange(4), Draws(0, 0, 4, slice(None)))
    untold = diffusers.UNet2DConditionModel.from_config({**conditioned.unet.config, "addition_embed_type": None})
    untold.load_state_dict(weights)
    x, t = torch.randn(4, 3, 16, 16), torch.full((4,), 300)
    with torch.no_grad():
        wanted = untold(torch.cat([x, noised], 1), t, encoder_hidden_states=None, class_labels=level)[0]
        torch.testing.assert_close(module(x, t, noised, level, states), wanted)
    save_file(
        {k: v for k, v in weights.items() if "mid_block" not in k},
        tmp_path / "unet" / "diffusion_pytorch_model.safetensors",
    )
    with pytest.raises(UserError, match="do not fit"):
        read_start(tmp_path, None).fill(module)


def test_one_picture_is_enlarged_better_than_by_interpolation(tmp_path):
    recipe = shapes.upscaler_recipe(size=16, batch=4, images=4 * 160, rate=4e-3, ema=0.0)
    picture = shapes.drawings(16, 8)[7:8]
    data = shapes.enlarged(recipe, picture[torch.zeros(4, dtype=torch.long)])
    states = data.states(padded(data.wordings.tokens[:1, 0]))
    trainer = finish(recipe, data, tmp_path)
    module = build(recipe, trainer.weights())
    scheduler = diffusers.DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", variance_type="learned_range",
        timestep_spacing="linspace",
    )  # fmt: skip
    scheduler.set_timesteps(8)
    generator = torch.Generator().manual_seed(0)
    wanted = to_unit(picture.images)
    low = interpolate(to_unit(data.low[:1]), (16, 16), mode="bilinear", align_corners=True)
    shown = add_noise(low, recipe.schedule.level(20), torch.randn(low.shape, generator=generator))
    x = torch.randn(low.shape, generator=generator)
    with torch.no_grad():
        for t in scheduler.timesteps:
            answer = module(x, t[None], shown, torch.tensor([20]), states)
            x = scheduler.step(answer, t, x, generator=generator).prev_sample
    assert (x - wanted).square().mean() < 0.8 * (low - wanted).square().mean()


CREDITS = Credits({"shapes by us": 12, "lines by them": 3}, {"shapes by us": "CC0-1.0", "lines by them": "MIT"})


@pytest.fixture
def cascade(tmp_path):
    """A stage I of 16 px with its stage II of 64 px in a folder, after a few steps, and the first's run."""
    recipe = shapes.text_recipe(images=16, prediction="epsilon")
    finish(recipe, shapes.captioned(recipe), tmp_path / "text")
    tiny.tokenizer().save_pretrained(tmp_path / "text" / TOKENIZER)
    export_stage(tmp_path / "text", tmp_path / "model", CREDITS)
    second = shapes.upscaler_recipe(images=16, size=64)
    finish(second, shapes.enlarged(second), tmp_path / "upscaler")
    export_stage(tmp_path / "upscaler", tmp_path / "model" / "stage_2", CREDITS)
    return tmp_path


def test_diffusers_says_the_same_with_what_was_exported(cascade):
    first = diffusers.IFPipeline.from_pretrained(cascade / "model").to(dtype=torch.float32)
    second = diffusers.IFSuperResolutionPipeline.from_pretrained(cascade / "model" / "stage_2").to(dtype=torch.float32)
    tensors, facts = load_tensors(cascade / "text" / CHECKPOINT)
    module = build(read_stage(facts["recipe"]), {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")})
    embeddings, _ = first.encode_prompt("A red House", do_classifier_free_guidance=False, device="cpu")
    x, t = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([500])
    tokens = first.tokenizer("a red house", padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        torch.testing.assert_close(
            first.unet(x, t, encoder_hidden_states=embeddings)[0], module(x, t, tokens), atol=5e-3, rtol=5e-3
        )
    drawn = first("a red house", num_inference_steps=2, output_type="pt").images
    large = second(
        prompt_embeds=embeddings, negative_prompt_embeds=embeddings, image=drawn, num_inference_steps=2,
        guidance_scale=1.0, noise_level=100, output_type="pt",
    ).images  # fmt: skip
    assert large.shape == (1, 3, 64, 64)
    assert torch.isfinite(large).all()


def test_the_exported_folder_is_a_cascade_with_its_own_habits(cascade):
    model = load(cascade / "model", device="cpu")
    assert [s.size for s in model.stages] == [(16, 16), (64, 64)]
    assert [s.steps for s in model.stages] == [25, 8]
    assert [s.prediction_type for s in model.stages] == ["epsilon", "v_prediction"]
    assert all(s.learned_variance and s.gflop for s in model.stages)
    assert (model.card.guidance_scale, model.card.guidance_scale_stage2, model.stages[1].noise_level) == (3.0, 1.0, 100)
    card = json.loads((cascade / "model" / "card.json").read_text())["training"]
    assert (card["data"], card["steps"], card["images"]) == ("shapes", 2, 16)
    assert "| shapes by us | CC0-1.0 | 12 |" in (cascade / "model" / "README.md").read_text()
    assert "are yours to use, to change and to sell" in (cascade / "model" / "README.md").read_text()
    assert model.card.licence == "Apache-2.0; trained on drawings under CC0-1.0 and MIT"
    assert model.card.attribution == "Drawings: shapes by us (CC0-1.0); lines by them (MIT)."
    assert [s.variance for s in model.stages] == ["learned", "small"]
    (cascade / "model" / "card.json").write_text('{"steps": "many"}')
    with pytest.raises(UserError, match="does not describe a model"):
        load(cascade / "model", device="cpu")


def test_share_alike_is_told(cascade):
    export_stage(cascade / "text", cascade / "model", Credits({"moji": 3}, {"moji": "CC-BY-SA-4.0"}))
    readme = (cascade / "model" / "README.md").read_text()
    assert "license: other" in readme
    assert "learned from drawings under CC-BY-SA-4.0" in readme
    assert "not Apache-2.0 alone" in load(cascade / "model", device="cpu").card.licence


def test_exporting_stage_1_again_keeps_stage_2(cascade):
    export_stage(cascade / "text", cascade / "model", CREDITS)
    assert len(load(cascade / "model", device="cpu").stages) == 2
    assert not list(cascade.glob(".*unfinished"))


def test_a_run_begins_with_the_weights_it_is_given(cascade, tmp_path):
    start = read_start(cascade / "model", cascade / "model")
    recipe = replace(shapes.text_recipe(start=start.digest), **start.text_config)
    trainer = Trainer(recipe, shapes.captioned(recipe), tmp_path / "more", Accelerator(cpu=True), start=start.fill)
    given = diffusers.IFPipeline.from_pretrained(cascade / "model").to(dtype=torch.float32)
    for ours, theirs in ((trainer.bare.unet, given.unet), (trainer.bare.text_encoder, given.text_encoder)):
        pairs = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    wide = shapes.text_recipe(channels=(32, 64))
    with pytest.raises(UserError, match="do not fit this preset"):
        Trainer(wide, shapes.captioned(wide), tmp_path / "wide", Accelerator(cpu=True), start=start.fill)
    with pytest.raises(UserError, match="There is no"):
        read_start(tmp_path, None)
