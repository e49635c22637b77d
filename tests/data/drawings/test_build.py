"""The builder on packages of a handful of drawings: what is taken, where it goes, and that the bytes are a fact."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tiny_packages
from duckrabbit.data.drawings.build import Wanted, build
from duckrabbit.data.drawings.drawings import Drawings, load_drawings, read_index
from duckrabbit.data.drawings.sources import choose_families, families
from duckrabbit.data.drawings.split import part_of
from duckrabbit.errors import UserError
from samples import environment

PARTS = ("train", "held-out", "unseen")


def made(packages, out, size=32, names=None, subjects=None, **options):
    wanted = Wanted(size, choose_families(names, options.pop("share_alike", False)), subjects)
    return build(wanted, out, packages, fetch=False, **options)


def everything(folder):
    return [load_drawings(folder, part) for part in PARTS]


def content(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


@pytest.fixture
def folder(packages, tmp_path):
    made(packages, tmp_path / "set")
    return tmp_path / "set"


def test_what_is_taken_and_what_it_is_called(folder):
    parts = everything(folder)
    rows = [
        (d.families[i], d.subjects[i], d.captions[i], d.styles[i], d.licences[i], d.sources[i], d.keywords[i])
        for d in parts
        for i in range(len(d))
    ]
    noto = {subject: row for family, subject, *row in rows if family == "noto" and "skin" not in row[0]}
    assert set(noto) == {"cat", "cat face", "apple", "green apple", "car", "waving hand", "heart", "abacus"} | {
        "lotion bottle"
    }
    assert noto["apple"][:4] == ["a glossy emoji of an apple", "glossy emoji", "Apache-2.0", "@iconify-json/noto 1.2.9"]
    assert noto["abacus"][4] == ("counting frame",), "a shortcode that is the label is no other name"
    assert noto["lotion bottle"][4] == ("squeeze bottle",)
    toned = [row[2] for row in rows if row[0] == "noto" and "skin" in row[2]]
    assert len(toned) == 1, "the hand is taken in one tone of skin"
    assert toned[0].startswith("a glossy emoji of a waving hand with ")
    black = {row[1] for row in rows if row[0] == "emojione-monotone"}
    assert "apple" in black
    assert "green apple" not in black, "no colour can be seen in black and white"
    assert not any("skin" in row[2] for row in rows if row[0] == "emojione-monotone")
    pictures = {row[1] for row in rows if row[0] == "fluent-emoji-3d"}
    assert {"cat", "apple", "waving hand"} <= pictures
    assert not pictures & {"france", "flag with france", "a button (blood type)"}


def test_pictures_are_uint8_on_white_with_a_rim(folder):
    for part in everything(folder):
        assert part.images.dtype == torch.uint8
        assert part.images.shape[1:] == (32, 32, 3)
        rim = part.images.clone()
        rim[:, 1:-1, 1:-1] = 255
        assert (rim == 255).all()
        assert (part.images.amin((1, 2, 3)) < 200).all()


def test_the_parts_share_nothing(folder):
    train, held_out, unseen = everything(folder)
    assert set(unseen.families) == {"fxemoji"}
    assert "fxemoji" not in {*train.families, *held_out.families}
    pairs = [set(zip(d.subjects, d.styles, strict=True)) for d in (train, held_out)]
    assert not pairs[0] & pairs[1]


def test_a_drawing_goes_where_its_subject_and_style_say_at_any_size_and_in_any_company(packages, tmp_path):
    made(packages, tmp_path / "a")
    made(packages, tmp_path / "b", size=48, names=["noto", "fxemoji"])

    def places(folder):
        return {c: part for part, d in zip(PARTS, everything(folder), strict=True) for c in d.captions}

    a, b = places(tmp_path / "a"), places(tmp_path / "b")
    assert len(b) > 10
    assert b.items() <= a.items()


def test_shares_of_what_is_held_out():
    """Of 4,000 invented subjects, 3 % and then 5 % of the pairs go, to four standard deviations; common ones stay."""
    from duckrabbit.data.drawings.icons import Icon
    from duckrabbit.data.drawings.names import Emoji

    noto, twemoji = families()["noto"], families()["twemoji"]
    parts = [
        [part_of(Icon(f, "x", Emoji("0", f"thing {i}", (), common, 0), None, "")) for f in (noto, twemoji)]
        for common in (False, True)
        for i in range(4000)
    ]
    out = np.array([[p == "held-out" for p in pair] for pair in parts])
    rare, common = out[:4000], out[4000:]
    for share, mean in ((rare.mean(), 0.03 + 0.97 * 0.05), (common.mean(), 0.05), (common.all(1).mean(), 0.05**2)):
        assert abs(share - mean) < 4 * np.sqrt(mean * (1 - mean) / 4000)
    assert 0.03 <= rare.all(1).mean() <= 0.05


def test_the_same_bytes_from_any_number_of_processes(packages, tmp_path, folder):
    index = made(packages, tmp_path / "again", processes=2)
    assert content(tmp_path / "again") == content(folder)
    assert index["data_hash"] == read_index(folder)["data_hash"]
    other = made(packages, tmp_path / "other", names=["noto"])
    assert other["data_hash"] != index["data_hash"]


def test_shards_are_webdataset(folder):
    for path in folder.glob("*.tar"):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
        names = [m.name for m in members]
        assert all(m.mtime == 0 and m.uid == 0 and m.uname == "" for m in members)
        assert [n.partition(".")[2] for n in names] == ["png", "json"] * (len(names) // 2)
        keys = [n.partition(".")[0] for n in names]
        assert keys[::2] == keys[1::2]
        assert len(set(keys)) == len(names) // 2


def test_the_data_hash_is_that_of_pixels_and_records(folder):
    """Worked out anew from the shards, with Pillow and tarfile alone."""
    total = hashlib.sha256()
    samples = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            files = {m.name: tar.extractfile(m).read() for m in tar}
        for name in files:
            key, _, kind = name.partition(".")
            if kind == "png":
                pixels = Image.open(io.BytesIO(files[name])).convert("RGB").tobytes()
                part = path.name.rpartition("-")[0]
                line = f"{part}\n{key}\n{hashlib.sha256(pixels).hexdigest()}\n".encode() + files[f"{key}.json"] + b"\n"
                samples.append((hashlib.sha256(key.encode()).digest(), line))
    for _, line in sorted(samples):
        total.update(line)
    assert total.hexdigest() == read_index(folder)["data_hash"]


def test_a_smaller_size_is_the_mean_of_the_pixels_it_covers(folder):
    large = load_drawings(folder, "train")
    small = load_drawings(folder, "train", size=8)
    mean = torch.nn.functional.avg_pool2d(large.images.permute(0, 3, 1, 2).double(), 4).permute(0, 2, 3, 1)
    assert (small.images.double() - mean).abs().max() <= 1, "rounded after each axis: at most 1/2 + 1/2"
    with pytest.raises(UserError, match="--size 64"):
        load_drawings(folder, "train", size=64)


def test_rows_are_chosen_alike_in_all_fields(folder):
    d = load_drawings(folder, "train")
    chosen = torch.tensor([s == "cat" for s in d.subjects])
    for rows, kept in ((chosen, chosen.nonzero()[:, 0]), (slice(2, 5), range(2, 5)), (torch.tensor([3, 0]), [3, 0])):
        part = d[rows]
        assert isinstance(part, Drawings)
        assert part.captions == tuple(d.captions[i] for i in kept)
        assert torch.equal(part.images, d.images[torch.as_tensor(list(kept))])


def test_only_subjects_asked_for(packages, tmp_path):
    heard = []
    made(packages, tmp_path / "few", subjects=frozenset({"apple", "abacus", "zeppelin"}), report=heard.append)
    assert {s for d in everything(tmp_path / "few") for s in d.subjects} == {"apple", "abacus"}
    assert any("zeppelin" in line for line in heard)
    with pytest.raises(UserError, match="No drawing is left"):
        made(packages, tmp_path / "none", subjects=frozenset({"zeppelin"}))
    assert not (tmp_path / "none").exists()


def test_share_alike_stays_out_unless_asked_for(packages, tmp_path, folder):
    assert "openmoji" not in read_index(folder)["families"]
    assert "openmoji" not in (folder / "ATTRIBUTION.md").read_text()
    with pytest.raises(UserError, match="--share-alike"):
        made(packages, tmp_path / "refused", names=["noto", "openmoji"])
    index = made(packages, tmp_path / "alike", share_alike=True)
    assert index["licences"]["CC-BY-SA-4.0"] > 5
    text = (tmp_path / "alike" / "ATTRIBUTION.md").read_text()
    assert "share-alike" in text
    assert "OpenMoji" in text


def test_attribution_names_every_source(folder):
    text = (folder / "ATTRIBUTION.md").read_text()
    for family, count in read_index(folder)["families"].items():
        source = families()[family]
        row = next(line for line in text.splitlines() if source.name in line)
        assert all(w in row for w in (source.title, source.author, source.licence, source.url, f"| {count} |"))
    assert "May I use and sell" in text
    assert "Miles Johnson" in text


def test_a_damaged_archive_is_not_opened(packages, tmp_path):
    path = next(packages.glob("*twemoji*"))
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(bytes(damaged))
    with pytest.raises(UserError, match=r"twemoji.*is not the archive .* that is known"):
        made(packages, tmp_path / "set2")
    path.unlink()
    with pytest.raises(UserError, match="npm pack @iconify-json/twemoji@"):
        made(packages, tmp_path / "set2")
    assert [p.name for p in tmp_path.iterdir()] == ["packages"]


def test_a_damaged_shard_is_not_read(folder):
    path = next(folder.glob("train-*.tar"))
    damaged = bytearray(path.read_bytes())
    damaged[700] ^= 1
    path.write_bytes(bytes(damaged))
    with pytest.raises(UserError, match="damaged"):
        load_drawings(folder, "train")
    load_drawings(folder, "unseen")
    path.unlink()
    with pytest.raises(UserError, match="missing"):
        load_drawings(folder, "train")
    with pytest.raises(UserError, match="data build drawings"):
        load_drawings(folder / "nowhere", "train")
    with pytest.raises(UserError, match="no part 'test'"):
        load_drawings(folder, "test")


def test_a_set_that_is_there_is_not_built_again_nor_overwritten(packages, folder):
    before = content(folder)
    for path in packages.iterdir():
        path.unlink()
    made(packages, folder)
    with pytest.raises(UserError, match="something else"):
        made(packages, folder, size=64)
    assert content(folder) == before


@pytest.mark.parametrize("size", [0, 31, 513])
def test_sizes_that_make_no_sense(size):
    with pytest.raises(UserError, match=r"from 32 to 512"):
        Wanted(size, choose_families(None))


def test_what_shows_nothing_or_is_there_already_is_left_out(tmp_path, monkeypatch):
    shown = '<rect x="10" y="10" width="50" height="60" fill="#06c"/>'
    bodies = {
        "cat": shown,
        "cat-face": shown.replace("50", "50.1"),
        "abacus": '<rect width="100" height="100" fill="#fff"/>',
        "red-apple": "<g/>",
        "automobile": "<circle cx='50' cy='50' r='2'/>",
        "red-heart": "<not svg",
    }
    icons = {name: {"body": body} for name, body in bodies.items()}
    monkeypatch.setattr(tiny_packages, "DRAWN", [])
    known = tiny_packages.write(tmp_path / "packages", {"twemoji": icons})
    tiny_packages.use(known, monkeypatch.setattr)
    heard = []
    made(tmp_path / "packages", tmp_path / "set", names=["twemoji"], report=heard.append)
    assert {s for d in everything(tmp_path / "set") for s in d.subjects} == {"cat", "waving hand"}
    assert any("red-heart cannot be drawn" in line for line in heard)


STOPPED = """
import sys, os, signal
from pathlib import Path
import tiny_packages
from duckrabbit.data.drawings import build as b
tiny_packages.use(tiny_packages.write(Path("packages")), setattr)
if sys.argv[1] == "kill":
    write = b.write_shards
    def killed(samples, part, folder):
        write(samples, part, folder)
        os.kill(os.getpid(), signal.SIGKILL)
    b.write_shards = killed
else:
    draw = b.render
    def slow(content, size):
        print("drawing", flush=True)
        return draw(content, 512) and draw(content, size)
    b.render = slow
sys.argv = ["duckrabbit", "data", "build", "drawings", "--packages", "packages", "--out", "set", "--size", "32"]
from duckrabbit.cli.main import main
main()
"""


def stopped(how, folder):
    """A build in a process of its own: killed after its first shards are written, or slow enough for a ctrl-C."""
    variables = environment()
    variables["PYTHONPATH"] += os.pathsep + str(Path(tiny_packages.__file__).parent)
    return subprocess.Popen(
        [sys.executable, "-c", STOPPED, how],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_kill_leaves_nothing_that_looks_whole(packages, tmp_path):
    process = stopped("kill", tmp_path)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "set").exists()
    left = list(tmp_path.glob(".set.*.unfinished"))
    assert len(left) == 1
    assert list(left[0].glob("train-*.tar"))
    made(packages, tmp_path / "set")
    assert len(load_drawings(tmp_path / "set", "train")) > 20
    assert not list(tmp_path.glob(".set.*"))


def test_ctrl_c_leaves_nothing(tmp_path):
    process = stopped("interrupt", tmp_path)
    for line in process.stdout:
        if line == "drawing\n":
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["packages"]


def test_the_index_says_what_was_asked_for(folder):
    index = json.loads((folder / "index.json").read_text())
    assert index["request"]["size"] == index["size"] == 32
    counted = sum(shard["drawings"] for shards in index["parts"].values() for shard in shards)
    assert counted == sum(index["families"].values()) == sum(index["licences"].values())
