"""Models from a hub, with the real client against a small server that answers like the hub."""

import os
import shutil
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
import torch

import tiny
from duckrabbit import files
from duckrabbit.errors import UserError
from duckrabbit.models.cascade import refusals
from duckrabbit.models.cascade.hub import Hub, Repository
from duckrabbit.models.load import load
from fake_hub import TOKEN, serve

FIRST, SECOND = "Deep/First", "Deep/Second"


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    """Both stages in float16, with decoys beside the files that are needed."""
    root = tmp_path_factory.mktemp("hub")
    first = tiny.first_pipeline()
    second = tiny.second_pipeline(first)
    for pipe, name in ((first, "first"), (second, "second")):
        pipe.text_encoder.half()
        pipe.unet.half()
        pipe.save_pretrained(root / name, variant="fp16")
        for decoy in ("unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.bin"):
            (root / name / decoy).write_bytes(b"never to be read")
        (root / name / "safety_checker").mkdir()
        (root / name / "safety_checker" / "model.fp16.safetensors").write_bytes(b"never to be read")
        (root / name / "README.md").write_text("never to be read")
    return {FIRST: root / "first", SECOND: root / "second"}


@pytest.fixture
def hub_at(tmp_path):
    def make(server, **options):
        said = []
        return Hub(endpoint=server.endpoint, cache=tmp_path / "cache", say=said.append, **options)

    return make


def predict(model, stage=0, **low):
    """The network's answer to one question, and so a proof that the weights are there."""
    from duckrabbit.diffusion.prediction import Query

    facts = model.stages[stage]
    x = torch.linspace(-1, 1, 3 * facts.size[0] ** 2).view(1, 3, *facts.size)
    return model.network(stage, **low)([Query(x, model.condition("a cat"))], facts.schedule.level(500))[0].eps


def test_only_what_is_needed_is_fetched_and_only_when_it_is_used(repositories, hub_at):
    with serve(repositories) as server:
        model = load(FIRST, stage2=SECOND, hub=hub_at(server))
        assert [s.size for s in model.stages] == [(16, 16), (32, 32)]
        assert all(name.endswith(".json") for name in server.files())
        model.prepare(["a cat"])
        assert [n for n in server.files() if n.endswith("safetensors")] == ["text_encoder/model.fp16.safetensors"]
        predict(model)
        predict(model, 1, low_res=torch.zeros(1, 3, 32, 32), noise_level=100)
        weights = [n for n in server.files() if not n.endswith((".json", ".txt", ".model"))]
        assert sorted(weights) == [
            "text_encoder/model.fp16.safetensors",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "unet/diffusion_pytorch_model.fp16.safetensors",
        ]


def test_the_weights_of_the_hub_answer_as_those_of_the_folder(repositories, hub_at):
    with serve(repositories) as server:
        ours = predict(load(FIRST, hub=hub_at(server)))
    pipe = tiny.first_pipeline()
    pipe.text_encoder.half().float()
    pipe.unet.half().float()
    theirs = predict(load(pipe))
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_hashes_are_those_of_the_files(repositories, hub_at):
    with serve(repositories) as server:
        hashes = load(FIRST, stage2=SECOND, hub=hub_at(server)).weight_hash()
    name = "unet/diffusion_pytorch_model.fp16.safetensors"
    assert hashes[name] == sha256((repositories[FIRST] / name).read_bytes()).hexdigest()
    assert hashes["stage2/" + name] == sha256((repositories[SECOND] / name).read_bytes()).hexdigest()


def test_cached_use_needs_no_network(repositories, hub_at):
    with serve(repositories) as server:
        hub = hub_at(server)
        first = predict(load(FIRST, hub=hub))
        asked = len(server.paths)
        again = predict(load(FIRST, hub=hub))
        assert len(server.paths) == asked
    assert torch.equal(first, again)
    offline = predict(load(FIRST, hub=Hub(endpoint=hub.endpoint, cache=hub.cache, offline=True)))
    assert torch.equal(first, offline)


def test_half_a_download_is_taken_up_again(repositories, hub_at):
    with serve(repositories) as server:
        hub = hub_at(server)
        load(FIRST, hub=hub).prepare(["a cat"])
        with pytest.raises(UserError, match="offline"):
            predict(load(FIRST, hub=Hub(endpoint=hub.endpoint, cache=hub.cache, offline=True)))
        predict(load(FIRST, hub=hub))


def test_a_gated_model_says_where_to_accept_and_where_the_token_goes(repositories, hub_at, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serve(repositories, gated={FIRST}) as server:
        for token in (None, "hf_other"):
            with pytest.raises(UserError) as refusal:
                load(FIRST, hub=hub_at(server, token=token))
            assert f"{server.endpoint}/{FIRST}" in str(refusal.value)
            assert "HF_TOKEN" in str(refusal.value)
        predict(load(FIRST, hub=hub_at(server, token=TOKEN)))


def test_missing_things_are_sentences(repositories, hub_at, tmp_path):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "README.md").write_text("no model")
    with serve({**repositories, "Deep/Bare": tmp_path / "bare"}) as server:
        hub = hub_at(server)
        with pytest.raises(UserError, match="There is no model 'Deep/Nothing'"):
            load("Deep/Nothing", hub=hub)
        with pytest.raises(UserError, match="no revision 'v9'"):
            load(FIRST, revision="v9", hub=hub)
        with pytest.raises(UserError, match=r"model_index\.json"):
            load("Deep/Bare", hub=hub)
    with pytest.raises(UserError, match="Check the network"):
        load(SECOND, hub=Hub(endpoint="http://127.0.0.1:9", cache=hub.cache))  # where nobody listens
    with pytest.raises(UserError, match="offline"):
        load(SECOND, hub=Hub(endpoint=hub.endpoint, cache=hub.cache, offline=True))


TROUBLE = {
    "401": "does not know the token",
    "403": "forbids",
    "407": "A proxy wants a password",
    "429": r"too many requests .* in 77 s",
    "500": r"is in trouble \(500\)",
    "503": r"is in trouble \(503\)",
    "418": "no hub",
    "portal": "no hub .* login",
    "cut": "broke off",
    "silent": "did not answer within 0.5 s",
    "trickle": "bytes a second",
    "drip": "had not begun after 0.8 s",
}


@pytest.fixture
def impatient(monkeypatch):
    """Waiting shortened from a minute to half a second, and no pauses before another try."""
    monkeypatch.setattr(refusals, "WAIT", 0.5)
    monkeypatch.setattr(files, "PATIENCE", 0.3)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)


@pytest.mark.parametrize("mood", TROUBLE)
@pytest.mark.usefixtures("impatient")
def test_a_hub_in_trouble_is_a_sentence_and_is_not_waited_for(repositories, hub_at, mood):
    with serve(repositories, mood=mood) as server:
        began = time.monotonic()
        with pytest.raises(UserError, match=TROUBLE[mood]) as raised:
            load(FIRST, hub=hub_at(server, token="hf_wrong"))
        assert server.endpoint in str(raised.value) or mood in ("trickle", "drip")
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("mood", ["portal", "cut", "silent", "trickle", "drip", "503"])
@pytest.mark.usefixtures("impatient")
def test_trouble_in_the_midst_of_a_download(repositories, hub_at, mood):
    with serve(repositories) as server:
        model = load(FIRST, hub=hub_at(server))
        server.mood, server.sour = mood, f"/{FIRST}/resolve/"
        with pytest.raises(UserError):
            model.prepare(["a cat"])
        server.mood = ""
        predict(model)


@pytest.mark.parametrize("token", ["ключ", "hf_a\nb", "hf_\xe4"])
def test_a_token_that_can_be_none_is_told_before_anything_is_asked(repositories, hub_at, token):
    with serve(repositories) as server:
        with pytest.raises(UserError, match=r"The token for the hub .* plain ASCII") as raised:
            load(FIRST, hub=hub_at(server, token=token))
        assert token not in str(raised.value)
        assert server.paths == []


def test_the_endpoint_that_was_chosen_is_named_and_a_wrong_token_called_one(repositories, tmp_path):
    """HF_ENDPOINT and HF_TOKEN, as a person sets them, in a process of their own."""
    with serve(repositories, mood="401") as server:
        environment = {**os.environ, "HF_ENDPOINT": server.endpoint, "HF_HOME": str(tmp_path), "HF_TOKEN": "hf_wrong"}
        script = f"import duckrabbit as dr; dr.load({FIRST!r})"
        result = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
        )
    last = result.stderr.strip().splitlines()[-1]
    assert server.endpoint in last
    assert "HF_TOKEN" in last
    assert "huggingface.co" not in last


def test_a_proxy_that_refuses_is_named(tmp_path, monkeypatch):
    """Where nobody listens; the client reads the variable when it is made."""
    for key in (
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "ALL_PROXY",
        "https_proxy",
        "http_proxy",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
    ):
        monkeypatch.delenv(key, raising=False)
    chain = type("ProxyError", (OSError,), {})("407 Proxy Authentication Required")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with (
        pytest.raises(UserError, match="the proxy in HTTPS_PROXY refuses"),
        refusals.sentences(FIRST, None, "https://hub.example", None),
    ):
        raise chain


def test_a_file_damaged_on_its_way_is_refused_and_deleted(repositories, hub_at):
    name = "unet/diffusion_pytorch_model.fp16.safetensors"
    with serve(repositories, damaged={name}) as server:
        hub = hub_at(server)
        with pytest.raises(UserError, match="damaged on its way"):
            predict(load(FIRST, hub=hub))
        assert not [p for p in Path(hub.cache).rglob(Path(name).name) if p.exists()]
        server.damaged.clear()
        predict(load(FIRST, hub=hub))


def test_a_model_without_safetensors_is_refused(repositories, hub_at, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(repositories[FIRST], folder)
    for path in (folder / "unet").glob("*.safetensors"):
        path.unlink()
    with serve({FIRST: folder}) as server:
        model = load(FIRST, hub=hub_at(server))
        with pytest.raises(UserError, match="pickle"):
            model.network(0)
        assert "unet/diffusion_pytorch_model.bin" not in server.files()


def test_sizes_are_told_before_a_large_download(repositories, hub_at, tmp_path):
    folder = tmp_path / "large"
    shutil.copytree(repositories[FIRST], folder)
    (folder / "text_encoder" / "notes.txt").write_bytes(b" " * (3 << 20))
    said = []
    with serve({FIRST: folder}) as server:
        load(FIRST, hub=Hub(server.endpoint, cache=tmp_path / "c", say=said.append)).prepare(["a cat"])
    assert any("GiB" in line and FIRST in line for line in said)


def test_size_is_estimated_before_anything_is_fetched(repositories, hub_at):
    with serve(repositories) as server:
        source = Repository(FIRST, hub=hub_at(server))
        numbers = sum(p.numel() for p in tiny.unet(16).parameters())
        assert source.size("unet") == pytest.approx(numbers, rel=0.2)
        source.folder("unet")
        assert source.size("unet") == numbers
