"""models fetch, against a small server that answers like the hub."""

from pathlib import Path

import pytest

import fake_hub
import tiny
from duckrabbit.models.cascade import fetch as fetching
from duckrabbit.models.cascade.hub import Hub


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "first"
    tiny.first_pipeline().save_pretrained(folder, variant="fp16")
    return {"Deep/First": folder}


@pytest.fixture
def hub(repositories, tmp_path, monkeypatch):
    """The server, which the command line takes for the hub; its cache is in the folder `cache`."""
    with fake_hub.serve(repositories) as server:
        missing_parts = fetching.missing_parts

        def here(name, hub=None):
            return missing_parts(
                name, hub or Hub(endpoint=server.endpoint, cache=tmp_path / "cache", say=lambda line: None)
            )

        monkeypatch.setattr(fetching, "missing_parts", here)
        yield server


def weights(folder):
    return sorted(path.name for path in Path(folder).rglob("*.safetensors"))


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_without_consent_nothing_is_fetched(cli, hub, tmp_path, monkeypatch, answer):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    result = cli("models", "fetch", "Deep/First")
    assert result.code == 1
    assert "licence: unknown https://huggingface.co/Deep/First" in result.out
    assert "Nothing was fetched." in result.out
    assert weights(tmp_path / "cache") == []


def test_with_consent_the_parts_are_fetched_once(cli, hub, repositories, tmp_path):
    result = cli("models", "fetch", "Deep/First", "--yes")
    assert result.code == 0, result.err
    assert weights(tmp_path / "cache") == ["diffusion_pytorch_model.fp16.safetensors", "model.fp16.safetensors"]
    asked = len(hub.paths)
    result = cli("models", "fetch", "Deep/First", "--yes")
    assert "nothing to fetch" in result.out
    assert len([p for p in hub.paths[asked:] if p.endswith(".safetensors")]) == 0


def test_the_size_is_that_of_the_files(hub, repositories):
    _, parts = fetching.missing_parts("Deep/First")
    sizes = {part.part: part.size for part in parts}
    folder = repositories["Deep/First"]
    for part in ("unet", "text_encoder", "tokenizer"):
        assert sizes[part] == sum(p.stat().st_size for p in (folder / part).iterdir())


def test_a_gated_model_says_what_to_do(cli, hub):
    hub.gated.add("Deep/First")
    result = cli("models", "fetch", "Deep/First", "--yes")
    assert result.code == 2
    assert "accept its licence" in result.err
    assert "HF_TOKEN" in result.err
    assert "Traceback" not in result.err


def test_an_unknown_repository(cli, hub):
    result = cli("models", "fetch", "Deep/Nothing", "--yes")
    assert (result.code, result.out) == (2, "")
    assert "There is no model 'Deep/Nothing'" in result.err
