"""Too little memory for a part: said before it is loaded, where that can be known, with what to do."""

import json
import shutil
import struct
import subprocess
import sys

import pytest

from duckrabbit.errors import UserError
from duckrabbit.models.load import load
from samples import environment


def test_what_cannot_fit_is_not_loaded(cascade_folder, monkeypatch):
    """In bfloat16, so that the weights have to be converted: they are float32 in their files."""
    import psutil
    import transformers

    def loaded(*arguments, **options):
        raise AssertionError

    monkeypatch.setattr(transformers.T5EncoderModel, "from_pretrained", loaded)
    nothing = type("Free", (), {"available": 0, "free": 0})
    monkeypatch.setattr(psutil, "virtual_memory", nothing)
    monkeypatch.setattr(psutil, "swap_memory", nothing)
    model = load(cascade_folder, device="cpu", dtype="bfloat16")
    with pytest.raises(UserError, match=r"text encoder \([\d.]+ GiB\).* 0\.0 GiB are free.*--prompts"):
        model.prepare(["a cat"])
    with pytest.raises(UserError, match=r"U-Net of stage 0 \([\d.]+ GiB\)") as raised:
        model.network(0)
    assert "--prompts" not in str(raised.value)
    load(cascade_folder, device="cpu", dtype="float32").network(0)  # as in the files, which are only mapped


LIMITED = """
import resource, sys
import diffusers, psutil, torch, transformers
from transformers import T5EncoderModel
from duckrabbit.errors import UserError
from duckrabbit.models.load import load
free = psutil.Process().memory_info().vms + (300 << 20)
resource.setrlimit(resource.RLIMIT_AS, (free, free))
try:
    load(sys.argv[1], device="cpu").prepare(["a cat"])
except UserError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
def test_memory_that_runs_out_is_told_as_that(cascade_folder, tmp_path):
    """A text encoder of 1.2 GiB, all but its vectors as it was, in a process that may have 0.3 more than it has."""
    folder = shutil.copytree(cascade_folder, tmp_path / "large")
    config = json.loads((folder / "text_encoder" / "config.json").read_text())
    (folder / "text_encoder" / "config.json").write_text(json.dumps({**config, "vocab_size": 10_000_000}))
    grow(folder / "text_encoder" / "model.safetensors", 10_000_000)
    words = [sys.executable, "-c", LIMITED, str(folder)]
    result = subprocess.run(words, env=environment(), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "The text encoder (1.2 GiB) does not fit in the memory of cpu" in result.stdout
    assert "--prompts" in result.stdout


def grow(path, rows):
    """Give the vectors of a T5 so many rows, of zeros that take no room on the disk."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    old = header.pop("shared.weight")
    start, end = old["data_offsets"]
    rest = body[:start] + body[end:]
    for entry in header.values():
        if "data_offsets" in entry and entry["data_offsets"][0] >= end:
            entry["data_offsets"] = [offset - (end - start) for offset in entry["data_offsets"]]
    width = old["shape"][1]
    header["shared.weight"] = {**old, "shape": [rows, width], "data_offsets": [len(rest), len(rest) + 4 * rows * width]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + rest)
        file.truncate(8 + len(text) + len(rest) + 4 * rows * width)
