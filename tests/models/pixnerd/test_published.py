"""PixNerd from its hub: what is fetched, when, and that the second time nothing is."""

from dataclasses import replace

import pytest
import torch

import tiny_pixnerd
from duckrabbit.cli.commands.catalogue import is_here
from duckrabbit.diffusion.prediction import Query
from duckrabbit.errors import UserError
from duckrabbit.models.cards import cards
from duckrabbit.models.cascade.fetch import fetch, missing_parts
from duckrabbit.models.cascade.hub import Hub
from duckrabbit.models.load import load
from duckrabbit.models.pixnerd.hub import Published, Qwen
from fake_hub import serve

CARD = cards()["pixnerd"]


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    """The network as a checkpoint, Qwen3 and its tokenizer side by side, with decoys."""
    root = tmp_path_factory.mktemp("hub")
    network, text = root / "network", root / "text"
    network.mkdir()
    tiny_pixnerd.save_checkpoint(network / "model.ckpt")
    (network / "README.md").write_text("never to be read")
    tiny_pixnerd.save_text(text, apart=False)
    (text / "LICENSE").write_text("never to be read")
    return {CARD.source: network, CARD.text_encoder: text}


@pytest.fixture
def small(monkeypatch):
    """The published sizes are those of the tiny network."""
    monkeypatch.setattr(Published, "sizes", lambda self: tiny_pixnerd.SIZES)


@pytest.fixture
def hub_at(tmp_path):
    return lambda server, **options: Hub(
        endpoint=server.endpoint, cache=tmp_path / "cache", say=lambda message: None, **options
    )


def ask(model):
    x = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    return model.network(0)([Query(x, "A cat")], model.stages[0].schedule.level(0.5))[0].x0


def test_its_card_says_what_was_published():
    assert (CARD.source, CARD.text_encoder) == ("MCG-NJU/PixNerd-XXL-P16-T2I", "Qwen/Qwen3-1.7B")
    assert (CARD.guidance_scale, CARD.steps, CARD.null_prompt, CARD.gated) == (4.0, (25,), "", False)
    assert "MIT" in CARD.licence
    assert not is_here(CARD)


@pytest.mark.parametrize("name", ["pixnerd", CARD.source])
def test_its_facts_need_no_network(name, tmp_path):
    model = load(name, hub=Hub(cache=tmp_path, offline=True))
    facts = model.stages[0]
    assert (facts.size, facts.channels, facts.steps, facts.told) == ((512, 512), 3, 25, "1-t")
    assert facts.value_range == (-1.0, 1.0)
    assert model.condition("A Cat") == "A Cat"
    with pytest.raises(UserError, match="offline"):
        model.prepare(["a cat"])


def test_the_text_encoder_comes_first_and_only_what_is_needed(repositories, hub_at, small, tmp_path):
    with serve(repositories) as server:
        hub = hub_at(server)
        model = load("pixnerd", hub=hub, memory="strict")
        assert server.files() == []
        model.prepare(["A cat"])
        shards = {f"text_encoder/{p.name}" for p in repositories[CARD.text_encoder].glob("*.safetensors")}
        assert len(shards) > 1
        assert {"tokenizer.json", "config.json", *(s.rpartition("/")[2] for s in shards)} < set(server.files())
        assert "model.ckpt" not in server.files()
        first = ask(model)
        assert server.files().count("model.ckpt") == 1
        assert not {"README.md", "LICENSE"} & set(server.files())
        assert set(model.weight_hash()) == {"model.safetensors", *shards}
    folder = tiny_pixnerd.save_pixnerd(tmp_path / "same")
    assert torch.equal(first, ask(load(folder)))
    assert torch.equal(first, ask(load("pixnerd", hub=replace(hub, offline=True))))


def test_it_is_fetched_on_purpose(repositories, hub_at, small):
    with serve(repositories) as server:
        hub = hub_at(server)
        card, parts = missing_parts("pixnerd", hub)
        assert card is CARD
        sizes = {(p.repository.name, p.part): p.size for p in parts}
        checkpoint = repositories[CARD.source] / "model.ckpt"
        assert sizes[CARD.source, "network"] == checkpoint.stat().st_size
        assert sizes[CARD.text_encoder, "text_encoder"] > 0
        fetch(parts)
        assert missing_parts("pixnerd", hub)[1] == []
    ask(load("pixnerd", hub=replace(hub, offline=True)))


def test_it_is_here_once_both_are_in_the_cache(repositories, hub_at, small, monkeypatch, tmp_path):
    from huggingface_hub import constants

    with serve(repositories) as server:
        fetch(missing_parts("pixnerd", hub_at(server))[1])
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert is_here(CARD)


def test_a_repository_without_the_checkpoint_is_a_sentence(repositories, hub_at, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.md").write_text("nothing")
    empty = {CARD.source: tmp_path / "empty", CARD.text_encoder: tmp_path / "empty"}
    with serve(empty) as server:
        model = load("pixnerd", hub=hub_at(server), memory="strict")
        with pytest.raises(UserError, match="no text encoder of transformers"):
            model.prepare(["a cat"])
        with pytest.raises(UserError, match=r"it has no model\.ckpt"):
            model.network(0)
        for repository in (Published(CARD.source, hub=hub_at(server)), Qwen(CARD.text_encoder, hub=hub_at(server))):
            with pytest.raises(UserError, match="it has no"):
                repository.bytes_missing("text_encoder")
