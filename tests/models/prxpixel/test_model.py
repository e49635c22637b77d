"""A tiny PRXPixel: loaded from a folder, asked, sampled from and replayed; and a sentence for what cannot be."""

import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import duckrabbit as dr
import tiny_pixnerd
import tiny_prxpixel
from duckrabbit.diffusion.prediction import Query
from duckrabbit.errors import UserError
from duckrabbit.models.cascade.text_encoder import PromptTable, read_prompts
from duckrabbit.models.load import digits_folder, load
from tiny_prxpixel import LENGTH, WIDTH, edit


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_prxpixel.save_prxpixel(tmp_path_factory.mktemp("prxpixel") / "small")


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "model")


def ask(model, prompts=("A cat",), t=0.75, shape=(32, 32)):
    x = torch.linspace(-1, 1, 3 * shape[0] * shape[1]).view(1, 3, *shape)
    return model.network(0)([Query(x, model.condition(p)) for p in prompts], model.stages[0].schedule.level(t))


def test_it_is_told_t_and_answers_with_the_picture_on_a_flow_of_twice_the_noise(folder):
    model = load(folder)
    facts = model.stages[0]
    assert (facts.prediction_type, facts.told, facts.spacing, facts.steps) == ("sample", "t", "flow-euler", 28)
    assert (facts.schedule.noise_scale, facts.schedule.shift, facts.value_range) == (2.0, 3.0, (-1.0, 1.0))
    assert (model.card.guidance_scale, model.card.solver, model.card.licence) == (5.0, "ddim", "unknown")
    assert digits_folder(str(folder)) is None
    at = facts.schedule.level(0.75)
    assert (at.alpha, at.sigma) == (0.25, 1.5)
    x = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    table = model.encode(["A cat"])
    x0 = tiny_prxpixel.transformer()(
        x, torch.tensor([0.75]), table.embeddings["A cat"][None], table.masks["A cat"][None]
    ).sample
    answer = ask(model)[0]
    assert torch.allclose(answer.x0, x0, atol=1e-5)
    assert torch.allclose(0.25 * answer.x0 + 1.5 * answer.eps, x, atol=1e-5)


def test_a_prompt_keeps_its_case(folder):
    model = load(folder)
    assert model.condition(" A Cat ") == "A Cat"
    upper, lower = ask(model, ["A Cat", "a cat"])
    assert (upper.x0 - lower.x0).abs().max() > 0.01 * lower.x0.abs().max()


def test_a_row_alone_is_as_in_a_batch_of_prompts_of_other_lengths(folder):
    model, prompts = load(folder), ["A cat", "", "a longer one"]
    for one, among in zip((ask(model, [p])[0] for p in prompts), ask(model, prompts), strict=True):
        assert torch.allclose(one.x0, among.x0, atol=1e-5)


def test_padding_does_not_matter_and_words_do(folder):
    """What stands where the mask is False changes nothing at all."""
    table = load(folder).encode(["A cat", ""])
    noise = torch.randn(LENGTH, WIDTH)
    changed = {p: torch.where(table.masks[p][:, None], e, noise) for p, e in table.embeddings.items()}
    one, other = (load(folder, prompts=PromptTable(e, masks=table.masks)) for e in (table.embeddings, changed))
    for a, b in zip(ask(one, ["A cat", ""]), ask(other, ["A cat", ""]), strict=True):
        assert torch.allclose(a.x0, b.x0, atol=1e-6)
    flipped = PromptTable(table.embeddings, masks={p: ~mask for p, mask in table.masks.items()})
    assert not torch.allclose(ask(one)[0].x0, ask(load(folder, prompts=flipped))[0].x0, atol=1e-2)


@pytest.mark.parametrize("shape", [(8, 8), (24, 40)])
def test_it_takes_any_multiple_of_its_patch(folder, shape):
    assert ask(load(folder), shape=shape)[0].x0.shape == (1, 3, *shape)


def test_a_size_between_is_a_sentence(folder):
    with pytest.raises(UserError, match="32 x 36 pixels do not divide into patches of 8"):
        ask(load(folder), shape=(32, 36))


def test_bfloat16_is_near_float32(folder):
    exact, rough = (ask(load(folder, dtype=dtype))[0].x0 for dtype in ("float32", "bfloat16"))
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().max() < 0.1 * exact.abs().max()


def test_one_part_is_in_memory_at_a_time(folder):
    model = load(folder, memory="strict")
    model.prepare(["A cat"])
    assert model.memory.loaded == ("text encoder",)
    before = ask(model)[0].x0
    assert model.memory.loaded == ("transformer",)
    assert model.memory.peak == 1
    again = pickle.loads(pickle.dumps(model))
    assert again.memory.loaded == ()
    assert torch.equal(ask(again)[0].x0, before)


def test_the_command_line_samples_and_replays(cli, folder, tmp_path):
    made = cli("generate", "A Red cat", "--model", folder, "--steps", "2", "--out", tmp_path / "made")
    assert made.code == 0, made.err
    picture = next((tmp_path / "made").glob("*seed*.png"))
    assert cli("replay", picture, "--model", folder).out == "the same, to the pixel\n"
    assert set(dr.replay(picture, model=load(folder)).result.prompts) == {"A Red cat"}
    shown = cli("models", "show", folder).out
    assert "predicts sample" in shown
    assert shown.count("sha256") == 2


def test_a_pipeline_is_the_model_of_its_folder(folder):
    model = load(tiny_prxpixel.pipeline())
    assert (model.stages[0].schedule, model.rules) == (load(folder).stages[0].schedule, load(folder).rules)
    assert torch.allclose(ask(model)[0].x0, ask(load(folder))[0].x0, atol=1e-6)
    assert set(model.weight_hash()) == {"transformer", "text_encoder"}
    with pytest.raises(UserError, match="taken as it is"):
        load(tiny_prxpixel.pipeline(), revision="main")
    bare = tiny_prxpixel.pipeline()
    bare.text_encoder = None
    with pytest.raises(UserError, match="no text encoder"):
        load(bare)


def test_it_is_walked_on_another_flow(folder):
    """At the level of its own with the same signal-to-noise ratio: half as much noise and the picture at another t."""
    job = dr.generate(load(f"{folder}@flow"), "A cat", steps=2)
    assert dr.run(job, [0]).images.isfinite().all()


def test_an_anagram_is_made(folder):
    job = dr.anagram(load(folder), {"identity": "A cat", "rotate_180": "a house"}, steps=2)
    assert dr.run(job, [0]).images.isfinite().all()


def test_prompts_are_encoded_with_their_masks_and_used_without_the_encoder(cli, folder, copy, tmp_path):
    encoded = cli("prompts", "encode", "A Cat", "a cat", "--model", folder, "-o", tmp_path / "p.safetensors")
    assert encoded.out.startswith("3 prompts"), encoded.err
    table = read_prompts(tmp_path / "p.safetensors", rules=None)
    assert {p: int(mask.sum()) for p, mask in table.masks.items()} == {"A Cat": 5, "a cat": 5, "": 0}
    shown = cli("prompts", "show", tmp_path / "p.safetensors").out
    assert "12 x 24, 5 not padding  A Cat" in shown
    assert "case kept, cleaning light, 12 tokens with a mask" in shown
    shutil.rmtree(copy / "text_encoder")
    model = load(copy, prompts=tmp_path / "p.safetensors")
    for a, b in zip(ask(model, ["A Cat", ""]), ask(load(folder), ["A Cat", ""]), strict=True):
        assert torch.allclose(a.x0, b.x0, atol=1e-6)
    with pytest.raises(UserError, match="not in the prompt file"):
        model.condition("A cat")
    model.encode(["A Cat"]).save(tmp_path / "again.safetensors")
    assert torch.equal(read_prompts(tmp_path / "again.safetensors").masks["a cat"], table.masks["A Cat"])


def test_prompts_that_are_not_for_it_are_sentences(folder, cascade_folder, tmp_path):
    model = load(folder)
    table = model.encode(["A cat", ""])
    wide = torch.zeros(LENGTH, WIDTH + 1)
    other = tiny_prxpixel.save_prxpixel(tmp_path / "other", seed=7)
    longer = shutil.copytree(folder, tmp_path / "longer")
    edit(longer / "model_index.json", prompt_max_tokens=16)
    load(cascade_folder).encode(["a cat"]).save(tmp_path / "cascade.safetensors")
    for where, prompts, words in (
        (folder, PromptTable(table.embeddings), "The prompts have no masks"),
        (folder, PromptTable({"a": wide}, masks={"a": table.masks[""]}), "numbers wide"),
        (folder, tmp_path / "cascade.safetensors", "read by other rules .case lowered"),
        (longer, table, "12 tokens with a mask.*16 tokens with a mask"),
        (other, table, "another text encoder"),
        (cascade_folder, PromptTable(table.embeddings, masks=table.masks), "have masks"),
        (cascade_folder, table, "read by other rules .case kept"),
    ):
        with pytest.raises(UserError, match=words):
            load(where, prompts=prompts)


def test_a_run_of_a_file_without_masks_is_refused(cli, folder, tmp_path):
    """As a program leaves it that knows of no masks: the same embeddings under the first format."""
    table = load(folder).encode(["A cat", ""])
    PromptTable(table.embeddings, table.encoder).save(tmp_path / "bare.safetensors")
    result = cli("generate", "A cat", "--model", folder, "--prompts", tmp_path / "bare.safetensors")
    assert result.code == 2
    assert "The prompts have no masks" in result.err


def drop(part, *names, **values):
    return lambda folder: edit(folder / part, names, **values)


def weights(change):
    def apply(folder):
        path = folder / "transformer" / "diffusion_pytorch_model.safetensors"
        save_file(change(load_file(path)), path, {"format": "pt"})

    return apply


def foreign_words(folder):
    tiny_pixnerd.text_encoder(16).save_pretrained(folder / "text_encoder")
    edit(folder / INDEX, text_encoder=["transformers", "Qwen3Model"])


def few_words(folder):
    encoder = tiny_prxpixel.text_encoder()
    encoder.resize_token_embeddings(20)
    encoder.save_pretrained(folder / "text_encoder")


INDEX, NETWORK, SCHEDULER = "model_index.json", "transformer/config.json", "scheduler/scheduler_config.json"
NAN = {"img_in.0.bias": torch.full((16,), float("nan"))}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (drop(INDEX, vae=["diffusers", "AutoencoderKL"]), "latent diffusion model"),
        (drop(INDEX, "transformer"), "no transformer of the class"),
        (drop(INDEX, transformer=["diffusers", "FluxTransformer2DModel"]), "no transformer of the class"),
        (drop(INDEX, transformer=3), "no transformer of the class"),
        (drop(INDEX, default_sample_size=30), "do not divide into patches of 8"),
        (drop(INDEX, default_sample_size="large"), "default_sample_size is 'large'"),
        (drop(INDEX, prompt_max_tokens=None), "prompt_max_tokens is None"),
        (drop(INDEX, noise_scale="two"), "noise_scale cannot be read"),
        (drop(INDEX, noise_scale=-1), "noise scale and shift are above 0"),
        (drop(INDEX, "text_encoder"), "the text_encoder is of the class None"),
        (drop(INDEX, tokenizer=["transformers", "NoTokenizer"]), "the tokenizer is of the class"),
        (drop(INDEX, tokenizer="Qwen2Tokenizer"), "the tokenizer is of the class"),
        (drop(NETWORK, "context_in_dim"), "lacks context_in_dim"),
        (drop(NETWORK, in_channels=16), "16 channels"),
        (drop(NETWORK, hidden_size=30), "cannot be loaded"),
        (drop(NETWORK, depth=4), "The weights of .*transformer"),
        (drop(NETWORK, mlp_ratio="wide"), "cannot be loaded"),
        (drop(SCHEDULER, "_class_name"), "sampled by FlowMatchEulerDiscreteScheduler, not by None"),
        (drop(SCHEDULER, _class_name="DDPMScheduler"), "not by DDPMScheduler"),
        (drop(SCHEDULER, shift="three"), "cannot be read"),
        (drop(SCHEDULER, shift=0), "above 0"),
        (drop(SCHEDULER, use_dynamic_shifting=True), "use_dynamic_shifting"),
        (lambda f: (f / NETWORK).unlink(), "has no config.json"),
        (lambda f: (f / SCHEDULER).unlink(), "has no scheduler_config.json"),
        (lambda f: (f / SCHEDULER).write_text("[1]"), "JSON object"),
        (lambda f: (f / INDEX).write_text("{"), "cannot be read"),
        (lambda f: shutil.rmtree(f / "text_encoder"), "holds no weights"),
        (lambda f: shutil.rmtree(f / "tokenizer"), "holds no tokenizer"),
        (lambda f: (f / "transformer" / "diffusion_pytorch_model.safetensors").unlink(), "holds no weights"),
        (drop("tokenizer/tokenizer_config.json", pad_token=None), "no token for padding"),
        (foreign_words, "states are 16 numbers wide, and the transformer takes 24"),
        (few_words, r"gives token \d+, and the text encoder knows 20"),
        (weights(lambda w: {**w, **NAN}), "NaN"),
        (weights(lambda w: {k: v for k, v in w.items() if k != "img_in.0.bias"}), "lack img_in.0.bias"),
    ],
)
def test_a_damaged_folder_is_a_sentence(copy, damage, words):
    damage(copy)
    with pytest.raises(UserError, match=words):
        ask(load(copy))


def test_a_folder_without_a_vae_may_say_so(copy, folder):
    """As the authors' script writes it: no class of no library; and sizes that are left to the pipeline."""
    edit(copy / INDEX, ("noise_scale", "prompt_max_tokens", "default_sample_size"), vae=[None, None])
    facts = load(copy).stages[0]
    assert (facts.size, facts.schedule.noise_scale, load(copy).rules.length) == ((1024, 1024), 2.0, 256)


def test_options_that_cannot_be_are_a_sentence(folder):
    with pytest.raises(UserError, match="one stage"):
        load(folder, stage2=str(folder))
    with pytest.raises(UserError, match="does not lie on the hub"):
        load(folder, revision="main")
