"""Loading: light until used, one part at a time, and a sentence for everything that cannot be."""

import gc
import json
import shutil
import subprocess
import sys
import weakref

import diffusers
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import tiny
from duckrabbit.diffusion.prediction import Query
from duckrabbit.errors import UserError
from duckrabbit.models.cards import cards
from duckrabbit.models.cascade.memory import SMALL
from duckrabbit.models.load import digits_folder, load


@pytest.fixture
def copy(cascade_folder, tmp_path):
    """A copy of the tiny cascade, to be damaged."""
    return shutil.copytree(cascade_folder, tmp_path / "model")


@pytest.fixture
def alive(monkeypatch):
    """The large modules that are in memory, and the most there were at once."""
    seen, peak = [], []

    def watch(cls):
        original = cls.from_pretrained.__func__

        def loading(cls, *args, **kwargs):
            result = original(cls, *args, **kwargs)
            seen.append(weakref.ref(result[0]))
            gc.collect()
            peak.append(sum(r() is not None for r in seen))
            return result

        monkeypatch.setattr(cls, "from_pretrained", classmethod(loading))

    watch(diffusers.UNet2DConditionModel)
    watch(transformers.T5EncoderModel)
    return peak


def ask(model, stage=0, prompt="a cat", x=None, micro_batch=None):
    facts = model.stages[stage]
    x = torch.linspace(-1, 1, 3 * facts.size[0] ** 2).view(1, 3, *facts.size) if x is None else x
    extra = {"low_res": x.flip(-1), "noise_level": 100} if stage else {}
    network = model.network(stage, micro_batch=micro_batch, **extra)
    return network([Query(x, model.condition(prompt))], facts.schedule.level(400))[0]


def edit(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_one_part_is_in_memory_at_a_time(cascade_folder, alive):
    model = load(cascade_folder, memory="strict")
    assert not alive
    model.prepare(["a cat", ""])
    for stage in (0, 1, 0):
        ask(model, stage)
    assert len(alive) == 4
    assert max(alive) == 1
    assert model.memory.peak == 1
    ask(model, 0, "a blue house")  # not prepared: the encoder comes, and goes
    assert max(alive) == 1
    model.free()
    assert model.memory.loaded == ()


def test_a_small_cascade_stays_so_that_a_second_run_is_instant(cascade_folder, alive):
    model = load(cascade_folder)
    for prompt in ("a cat", "a red house", "a campfire"):
        ask(model, 0, prompt)
        ask(model, 1, prompt)
    assert len(alive) == 3
    assert len(model.memory.loaded) == 3


def test_auto_is_strict_above_the_limit(cascade_folder, monkeypatch):
    monkeypatch.setattr("duckrabbit.models.cascade.memory.SMALL", 1000)
    assert load(cascade_folder).memory.policy == "strict"
    assert SMALL == 1 << 30


def test_parked_u_nets_wait_and_the_text_encoder_goes(cascade_folder, alive):
    model = load(cascade_folder, memory="parked")
    for stage in (0, 1, 0, 1):
        ask(model, stage)
    assert len(alive) == 3
    assert alive[-1] == 2  # both U-Nets, no text encoder


def test_policies_and_micro_batches_do_not_change_answers(cascade_folder):
    x = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    one = ask(load(cascade_folder, memory="strict"), x=x)
    two = ask(load(cascade_folder, memory="resident"), x=x, micro_batch=1)
    assert torch.allclose(one.eps, two.eps, atol=1e-5)


def test_loading_reads_json_only():
    code = (
        "import sys; import duckrabbit.models.cards as c; c.cards(); assert 'torch' not in sys.modules; "
        "from duckrabbit.models.load import load; m = load('miniature'); m.stages, m.condition('x'); "
        "assert not {'diffusers', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_second_stage_is_found_or_given_or_left_out(cascade_folder, tmp_path):
    assert [s.size for s in load(cascade_folder).stages] == [(16, 16), (32, 32)]
    assert [s.size for s in load(cascade_folder, stage2=False).stages] == [(16, 16)]
    alone = shutil.copytree(cascade_folder, tmp_path / "alone", ignore=shutil.ignore_patterns("stage_2"))
    assert len(load(alone).stages) == 1
    both = load(alone, stage2=cascade_folder / "stage_2")
    assert torch.equal(ask(both, 1).eps, ask(load(cascade_folder), 1).eps)


def test_facts_of_a_cascade(cascade_folder):
    first, second = load(cascade_folder).stages
    assert (first.channels, first.learned_variance, first.variance, first.noising) == (3, True, "learned", None)
    assert (first.limiter.ratio, first.limiter.max_value) == (0.95, 1.5)
    assert (second.channels, second.noise_level) == (3, 250)
    assert second.limiter.max_value == 1.0
    assert len(second.noising.alphas_cumprod) == 1000


def test_miniature_is_what_its_card_says():
    model = load("miniature")
    assert set(model.weight_hash()) == set(cards()["miniature"].sha256)
    assert dict(model.weight_hash()) == dict(cards()["miniature"].sha256)
    p = ask(model, 0, str(model.card.roles["generate"][0]))
    assert torch.isfinite(p.eps).all()
    assert model.stages[0].size == p.eps.shape[-2:]


def test_bfloat16_answers_nearly_the_same(cascade_folder):
    fine, coarse = ask(load(cascade_folder)), ask(load(cascade_folder, dtype="bfloat16"))
    assert coarse.eps.dtype == torch.float32
    assert 0 < (fine.eps - coarse.eps).abs().max() < 0.1 * fine.eps.abs().max()


def test_a_pipeline_answers_as_its_folder(cascade_folder):
    pipe = diffusers.IFPipeline.from_pretrained(cascade_folder)
    model = load(pipe)
    assert torch.allclose(ask(model).eps, ask(load(cascade_folder)).eps, atol=1e-4)
    before = dict(model.weight_hash())
    with torch.no_grad():
        pipe.unet.conv_out.weight[0, 0, 0, 0] += 1
    assert model.weight_hash()["unet"] != before["unet"]
    assert model.weight_hash()["text_encoder"] == before["text_encoder"]


def test_a_pipeline_without_a_text_encoder_takes_a_prompt_file(cascade_folder):
    table = load(cascade_folder).encode(["a cat", ""])
    pipe = diffusers.IFPipeline.from_pretrained(cascade_folder, text_encoder=None)
    assert torch.allclose(ask(load(pipe, prompts=table)).eps, ask(load(cascade_folder)).eps, atol=1e-4)


def test_an_object_with_the_members_of_a_model_is_one():
    oracle = load("oracle")
    assert load(oracle) is oracle
    with pytest.raises(UserError, match="leave out device"):
        load(oracle, device="cpu")
    with pytest.raises(UserError, match=r"A dict is not a model.*lacks card, stages"):
        load({})


def _truncate(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _cut_header(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:50])


def _empty(folder):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"")


def _change_weights(folder, change):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, {"format": "pt"})


def _nan(folder):
    _change_weights(folder, lambda w: w["conv_out.bias"].fill_(float("nan")))


def _missing(folder):
    _change_weights(folder, lambda w: w.pop("conv_out.bias"))


def _wrong_shape(folder):
    _change_weights(folder, lambda w: w.update({"conv_out.bias": torch.zeros(7)}))


def _pickled(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.rename(path.with_suffix(".bin"))


def _no_weights(folder):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_truncate, "not a whole safetensors"),
        (_cut_header, "not a whole safetensors"),
        (_empty, "not a whole safetensors"),
        (_nan, "NaN"),
        (_missing, "conv_out.bias"),
        (_wrong_shape, "conv_out"),
        (_pickled, "pickle"),
        (_no_weights, "no weights"),
    ],
)
def test_damaged_weights_are_refused(copy, damage, words):
    damage(copy)
    with pytest.raises(UserError, match=words):
        load(copy, memory="strict").network(0)


def test_a_damaged_file_is_a_sentence_under_every_policy(copy):
    _truncate(copy)
    model = load(copy)
    with pytest.raises(UserError, match="not a whole safetensors"):
        model.prepare(["a cat"])


def test_another_file_than_the_cards_is_refused(cascade_folder, monkeypatch):
    from duckrabbit.models.cascade.parts import Folder, UNetPart

    name = "unet/diffusion_pytorch_model.safetensors"
    part = UNetPart(Folder(cascade_folder, sha256={name: "0" * 64}), "U-Net", "float32")
    with pytest.raises(UserError, match="not the file its card describes"):
        part.load()


def _index(**values):
    return lambda folder: edit(folder / "model_index.json", **values)


def _unet(**values):
    return lambda folder: edit(folder / "unet" / "config.json", **values)


def _scheduler(**values):
    return lambda folder: edit(folder / "scheduler" / "scheduler_config.json", **values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_index(vae=["diffusers", "AutoencoderKL"]), "latent"),
        (_index(unet=["diffusers", "UNet2DModel"]), "UNet2DConditionModel"),
        (_index(text_encoder=[None, None]), "no text encoder"),
        (_unet(sample_size=[16, 24, 8]), "sample_size"),
        (_unet(sample_size="16"), "sample_size"),
        (_unet(out_channels=5), "output channels"),
        (_unet(class_embed_type="timestep"), "classes"),
        (_unet(out_channels=3), "learned variance"),
        (_scheduler(beta_schedule="laplace"), "laplace"),
        (lambda folder: (folder / "model_index.json").unlink(), "model_index.json"),
        (lambda folder: (folder / "unet" / "config.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "unet" / "config.json").write_text("[]"), "JSON object"),
        (lambda folder: edit(folder / "stage_2" / "unet" / "config.json", encoder_hid_dim=64), "text encoders"),
        (lambda folder: edit(folder / "stage_2" / "unet" / "config.json", class_embed_type=None), "noise level"),
    ],
)
def test_other_layouts_are_refused(copy, change, words):
    change(copy)
    with pytest.raises(UserError, match=words):
        load(copy)


def test_wrong_requests_are_sentences(cascade_folder):
    for call, words in (
        (lambda: load("nothing"), "miniature"),
        (lambda: load(cascade_folder / "stage_2"), "second stage"),
        (lambda: load(cascade_folder, stage2=cascade_folder), "no second stage"),
        (lambda: load(cascade_folder, stage2="nowhere"), "nowhere"),
        (lambda: load(cascade_folder, device="cuda:7"), "no device"),
        (lambda: load(cascade_folder, dtype="float16"), "bfloat16"),
        (lambda: load(cascade_folder, memory="lots").memory, "policy"),
        (lambda: load("oracle", stage2="x"), "one stage"),
    ):
        with pytest.raises(UserError, match=words):
            call()


def test_wrong_questions_are_sentences(cascade_folder):
    model = load(cascade_folder)
    low = torch.zeros(1, 3, 32, 32)
    asked, level = [Query(low, "")], model.stages[1].schedule.level(400)
    for call, words in (
        (lambda: model.network(2), "stage"),
        (lambda: model.network(1), "needs a low resolution"),
        (lambda: model.network(0, low), "takes no low resolution"),
        (lambda: model.network(1, low[:, :2]), "3 channels"),
        (lambda: model.network(1, low[..., :16, :16])(asked, level), "enlarge"),
        (lambda: model.network(1, low, 1000), "noise level"),
        (lambda: model.prepare([3]), "prompts"),
        (lambda: model.prepare([None]), "prompts"),
    ):
        with pytest.raises(UserError, match=words):
            call()


def test_roles_fit_their_models():
    for name, card in cards().items():
        assert card.licence
        assert card.licence_url.startswith("https://")
        roles = card.roles
        if not roles:  # it takes no prompts
            assert digits_folder(name)
            continue
        prompts = [
            roles["null"],
            roles["translate_prompt"],
            *roles["generate"],
            *(part.get("prompt", "") for role in ("edits", "inpaints") for part in roles.get(role, ())),
            *(p for a in roles["anagrams"] for p in a["prompts"]),
            *(p for h in roles["hybrids"] for p in (h["low"], h["high"])),
        ]
        assert all(isinstance(p, str) for p in prompts)
        assert len(roles["anagrams"]) >= 3
        assert len(roles["hybrids"]) >= 3
        if not card.gated and name != "prxpixel":  # whose configurations lie on its hub
            model = load(name)
            assert all(model.condition(p) is not None for p in prompts if p or not digits_folder(name))


def test_the_miniature_was_trained_on_its_roles():
    from importlib.resources import files

    words = files("duckrabbit").joinpath("assets/weights/miniature/prompts.txt").read_text().splitlines()
    card = cards()["miniature"]
    for prompt in card.roles["generate"]:
        style = next(s for s in words if prompt.startswith(s + " "))
        assert prompt.removeprefix(style).strip().removeprefix("an ").removeprefix("a ") in words


def test_tiny_sizes_are_counted_from_the_files(cascade_folder):
    from duckrabbit.models.cascade.parts import Folder

    assert Folder(cascade_folder).size("unet") == sum(p.numel() for p in tiny.unet(16).parameters())


def test_a_text_encoder_too_large_for_the_gpu_computes_on_the_cpu(monkeypatch):
    from types import SimpleNamespace

    from duckrabbit.models.cascade.parts import _place
    from duckrabbit.models.cascade.text_encoder import TextEncoder

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=8 << 30))
    assert _place("cuda", "float16", 4_700_000_000) == ("cpu", "bfloat16")
    assert _place("cuda", "float16", 1_000_000_000) == ("cuda", "float16")
    encoder = torch.nn.Linear(1, 1)
    assert TextEncoder(None, encoder, stays=True).to("meta").encoder.weight.device.type == "cpu"


@pytest.mark.parametrize("device", ["cpu", "cpu:0", "cpu:3"])
def test_a_processor_computes_as_one_whatever_its_number(cascade_folder, device):
    """A studio calls its desks cpu and cpu:0; half precision is for accelerators."""
    assert load(cascade_folder, device=device).dtype == "float32"
    with pytest.raises(UserError, match="float32, bfloat16, not float16"):
        load(cascade_folder, device=device, dtype="float16")


def test_a_folder_without_a_tokenizer_is_refused_and_not_asked_with_nothing(cascade_folder, tmp_path):
    shutil.copytree(cascade_folder, tmp_path / "model")
    shutil.rmtree(tmp_path / "model/tokenizer")
    model = load(tmp_path / "model")
    with pytest.raises(UserError, match=r"tokenizer holds no tokenizer .*spiece\.model"):
        model.prepare([model.condition("a cat")])


def test_weights_that_the_configuration_has_no_place_for_are_refused(cascade_folder, tmp_path):
    shutil.copytree(cascade_folder, tmp_path / "model")
    path = tmp_path / "model/unet/diffusion_pytorch_model.safetensors"
    save_file({**load_file(path), "more.weight": torch.ones(2)}, path)
    with pytest.raises(UserError, match=r"hold more\.weight, for which its config\.json has no place"):
        load(tmp_path / "model").network(0)
