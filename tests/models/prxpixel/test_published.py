"""PRXPixel from its hub: how it is known, what is fetched, when, and that the second time nothing is."""

from dataclasses import replace

import pytest
import torch

import tiny
import tiny_prxpixel
from duckrabbit.cli.commands.catalogue import is_here
from duckrabbit.diffusion.prediction import Query
from duckrabbit.errors import UserError
from duckrabbit.models.cards import cards
from duckrabbit.models.cascade.fetch import fetch, missing_parts
from duckrabbit.models.cascade.hub import Hub
from duckrabbit.models.load import load
from duckrabbit.models.prxpixel.load import PRXPixel
from fake_hub import serve

CARD = cards()["prxpixel"]
OTHER = "somebody/fine-tuned"


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    folder = tiny_prxpixel.save_prxpixel(tmp_path_factory.mktemp("hub") / "prx")
    (folder / "README.md").write_text("never to be read")
    (folder / "transformer" / "diffusion_pytorch_model.bin").write_bytes(b"never to be read")
    cascade = tiny.save_cascade(tmp_path_factory.mktemp("hub") / "cascade")
    return {CARD.source: folder, OTHER: folder, "somebody/cascade": cascade}


@pytest.fixture
def hub_at(tmp_path):
    return lambda server, **options: Hub(
        endpoint=server.endpoint, cache=tmp_path / "cache", say=lambda message: None, **options
    )


def ask(model):
    x = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    return model.network(0)([Query(x, "A cat")], model.stages[0].schedule.level(0.5))[0].x0


def test_its_card_says_what_was_published():
    assert (CARD.source, CARD.network) == ("Photoroom/prxpixel-t2i", "transformer")
    assert (CARD.guidance_scale, CARD.steps, CARD.null_prompt, CARD.gated) == (5.0, (28,), "", False)
    assert "PRX family" in CARD.licence
    assert not is_here(CARD)


@pytest.mark.parametrize("name", ["prxpixel", CARD.source, OTHER])
def test_the_text_encoder_comes_first_and_only_what_is_needed(name, repositories, hub_at):
    with serve(repositories) as server:
        hub = hub_at(server)
        model = load(name, hub=hub, memory="strict")
        assert isinstance(model, PRXPixel)
        assert set(server.files()) == {
            "model_index.json",
            "transformer/config.json",
            "scheduler/scheduler_config.json",
        }
        known = name if name == OTHER else "prxpixel"
        assert (model.stages[0].schedule.shift, model.card.steps, model.card.name) == (3.0, (28,), known)
        model.prepare(["A cat"])
        assert "text_encoder/model.safetensors" in server.files()
        weights = "transformer/diffusion_pytorch_model.safetensors"
        assert weights not in server.files()
        first = ask(model)
        assert server.files().count(weights) == 1
        assert not {"README.md", "transformer/diffusion_pytorch_model.bin"} & set(server.files())
        assert set(model.weight_hash()) == {weights, "text_encoder/model.safetensors"}
    assert torch.equal(first, ask(load(repositories[name] if name in repositories else repositories[OTHER])))
    assert torch.equal(first, ask(load(name, hub=replace(hub, offline=True))))


def test_a_cascade_of_the_hub_is_still_one(repositories, hub_at):
    with serve(repositories) as server:
        model = load("somebody/cascade", hub=hub_at(server))
        assert not isinstance(model, PRXPixel)
        assert server.files().count("model_index.json") == 1
    assert not isinstance(load("somebody/cascade", hub=hub_at(server, offline=True)), PRXPixel)


def test_it_is_fetched_on_purpose(repositories, hub_at, monkeypatch, tmp_path):
    from huggingface_hub import constants

    with serve(repositories) as server:
        hub = hub_at(server)
        card, parts = missing_parts("prxpixel", hub)
        assert card is CARD
        sizes = {p.part: p.size for p in parts}
        weights = repositories[CARD.source] / "transformer" / "diffusion_pytorch_model.safetensors"
        assert set(sizes) == {"tokenizer", "text_encoder", "transformer"}
        assert weights.stat().st_size <= sizes["transformer"] < weights.stat().st_size + 10_000
        fetch(parts)
        assert missing_parts("prxpixel", hub)[1] == []
        assert {p.part for p in missing_parts(OTHER, hub)[1]} == set(sizes)
    ask(load("prxpixel", hub=replace(hub, offline=True)))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert is_here(CARD)


def test_what_is_not_there_is_a_sentence(hub_at, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.md").write_text("nothing")
    with serve({CARD.source: tmp_path / "empty"}) as server:
        for name in ("prxpixel", CARD.source):
            with pytest.raises(UserError, match=r"it has no model_index\.json"):
                load(name, hub=hub_at(server))
        with pytest.raises(UserError, match="somebody/nothing"):
            load("somebody/nothing", hub=hub_at(server))
    with pytest.raises(UserError, match="offline"):
        load("prxpixel", hub=Hub(cache=tmp_path / "other", offline=True))
