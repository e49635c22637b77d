"""SVHN and CIFAR-10: formats, what is refused, and how 32 pixels become 28."""

import http.server
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.io import loadmat

import small_sets
from duckrabbit.data import sets
from duckrabbit.data.colour import read
from duckrabbit.data.colour.cifar import ARCHIVE, CIFAR_10, FOLDER, LABELS
from duckrabbit.data.colour.read import shrink
from duckrabbit.data.colour.svhn import SVHN
from duckrabbit.data.sets import fetch, load_or_fetch, set_facts
from duckrabbit.errors import UserError


@pytest.fixture
def server():
    """server.address serves server.files, by their names; server.asked is what was asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rpartition("/")[2]
            made.asked.append(name)
            if name not in made.files:
                return self.send_error(404)
            content, cut = made.files[name], made.cut
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            return self.wfile.write(content[: len(content) - cut])

        def log_message(self, *args):
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.files, made.asked, made.cut = {}, [], 0
    made.address = f"http://127.0.0.1:{made.server_port}/"
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()


@pytest.fixture
def small(monkeypatch, server):
    """The small sets, at the server; by name, what lies there."""
    downloads = small_sets.put_in_place(monkeypatch, server.address)
    for files in downloads.values():
        server.files |= files
    return downloads


def area_mean(images):
    """The mean of the area that each of 28 pixels covers, told otherwise: seven for each pixel, then means of eight."""
    fine = images.double().repeat_interleave(7, -1).repeat_interleave(7, -2)
    return torch.nn.functional.avg_pool2d(fine, 8)


@pytest.mark.parametrize("name", ["svhn", "cifar-10"])
def test_what_was_published_is_what_is_read(name, small, server, tmp_path, monkeypatch):
    monkeypatch.setenv("DUCKRABBIT_DATA", str(tmp_path))
    said = []
    train = load_or_fetch(name, "train+validation", said.append)
    test = load_or_fetch(name, "test")
    assert server.asked == list(small[name])  # once, and no more
    assert server.address in said[-1]
    for found, (images, labels) in ((train, small_sets.pictures(20)), (test, small_sets.pictures(10, 1))):
        assert found.labels.tolist() == labels.tolist()
        assert found.labels.dtype == torch.int64
        assert found.images.shape == (len(labels), 3, 28, 28)
        wanted = area_mean(torch.from_numpy(images).permute(0, 3, 1, 2))
        assert float((found.images.double() - wanted).abs().max()) <= 0.5 + 1e-9
    parts = [load_or_fetch(name, split) for split in ("train", "validation")]
    assert [len(part) for part in parts] == [16, 4]
    assert torch.equal(torch.cat([part.images for part in parts]), train.images)


def test_the_published_facts_of_both_sets():
    """50,000 and 10,000, five files of 10,000; 73,257 and 26,032: the sets' own pages."""
    assert dict(CIFAR_10.counts) == {"train": 50_000, "test": 10_000}
    assert len(CIFAR_10.files["train"]) == 5
    assert dict(SVHN.counts) == {"train": 73_257, "test": 26_032}
    assert all(len(known) == 32 and int(known, 16) for s in (CIFAR_10, SVHN) for known in s.downloads.values())
    assert LABELS[3] == "cat"
    assert set_facts("cifar-10").labels == LABELS
    assert [set_facts(name).channels for name in sets.SETS] == [1, 1, 3, 3]


def test_the_whole_digit_is_still_there_and_the_light_is_the_same():
    """A stroke along an edge, as the foot of a 2, would be lost by a crop; the mean of a picture stays."""
    edges = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    edges[0, :, 0], edges[1, :, -1], edges[2, ..., 0], edges[3, ..., -1] = 240, 240, 240, 240
    small = shrink(edges)
    assert small[0, :, 0].eq(210).all()  # seven eighths of 240
    assert small[0, :, 1:].eq(0).all()
    assert torch.equal(small[1], small[0].flip(-2))
    assert torch.equal(small[2], small[0].transpose(-1, -2))
    assert torch.equal(small[3], small[2].flip(-1))
    for value in (0, 77, 255):
        assert shrink(torch.full((1, 3, 32, 32), value, dtype=torch.uint8)).eq(value).all()
    noise = torch.randint(0, 256, (5000, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(shrink(noise)[4990:], shrink(noise[4990:]))  # and those after the first portion
    assert abs(float(shrink(noise).double().mean() - noise.double().mean())) < 0.05
    assert shrink(noise[:0]).shape == (0, 3, 28, 28)


def test_colours_are_not_swapped(small, server, tmp_path):
    """Red stays red in both formats."""
    images, labels = np.zeros((10, 32, 32, 3), np.uint8), np.arange(10)
    images[..., 0] = 200
    for parse, content in (
        (CIFAR_10.parse, small_sets.records(images, labels)),
        (SVHN.parse, small_sets.mat_of(images, labels)),
    ):
        found, numbers = parse(content, 10, "a file")
        assert [int(found[:, plane].min()) for plane in range(3)] == [200, 0, 0]
        assert numbers.tolist() == labels.tolist()


@pytest.mark.parametrize("inside", ["", FOLDER])
def test_from_a_folder_with_the_files_unpacked(inside, small, server, tmp_path):
    given = tmp_path / "given"
    (given / inside).mkdir(parents=True)
    for name, content in small_sets.cifar_files().items():
        (given / inside / name).write_bytes(content)
    fetch("cifar-10", tmp_path / "cache", local=given)
    assert not server.asked
    assert len(read.load("cifar-10", "test", tmp_path / "cache")) == 10
    said = []
    fetch("cifar-10", tmp_path / "cache", report=said.append)
    assert "whole" in said[-1]
    assert not server.asked


@pytest.mark.parametrize("name", ["svhn", "cifar-10"])
def test_from_a_folder_with_the_files_as_they_are_published(name, small, server, tmp_path):
    (tmp_path / "given").mkdir()
    for file, content in small[name].items():
        (tmp_path / "given" / file).write_bytes(content)
    fetch(name, tmp_path / "cache", local=tmp_path / "given")
    assert len(read.load(name, "train+validation", tmp_path / "cache")) == 20
    assert not server.asked
    with pytest.raises(UserError, match="does not hold"):
        fetch(name, tmp_path / "other", local=tmp_path)


def is_refused(name, tmp_path, match, **more):
    """That it is, with where to get it, and that nothing is written."""
    with pytest.raises(UserError, match=match) as error:
        fetch(name, tmp_path / "cache", **more)
    assert "--data-dir" in str(error.value)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", ["svhn", "cifar-10"])
def test_a_download_that_is_cut_short_or_another_is_refused(name, small, server, tmp_path):
    server.cut = 100
    is_refused(name, tmp_path, "IncompleteRead")
    server.cut = 0
    last = list(small[name])[-1]
    server.files[last] = small[name][last][:-100]
    is_refused(name, tmp_path, "md5")
    del server.files[last]
    is_refused(name, tmp_path, "Not Found")


def known_as(monkeypatch, name, content):
    """The md5 of the set's last download becomes that of `content`: only its structure can tell that it is wrong."""
    source = read.SOURCES[name]
    last = list(source.downloads)[-1]
    changed = replace(source, downloads={**source.downloads, last: small_sets.md5(content)})
    for place in ("read", "fetch"):
        monkeypatch.setattr(f"duckrabbit.data.colour.{place}.SOURCES", {**read.SOURCES, name: changed})
    return {last: content}


def evil():
    whole = small_sets.cifar_files()
    yield "not a whole archive", small_sets.tar_of(whole)[:-2000]
    yield "not a whole archive", b"no archive"
    yield "is not unpacked", small_sets.tar_of(whole, "../..")
    yield "is not unpacked", small_sets.tar_of(whole, "/etc")
    yield "is not unpacked", small_sets.tar_of(whole, f"{FOLDER}/..")
    yield r"does not hold data_batch_3\.bin", small_sets.tar_of({k: v for k, v in whole.items() if "_3" not in k})
    yield "cut short", small_sets.tar_of({**whole, "data_batch_2.bin": whole["data_batch_2.bin"][:-1]})
    yield "cut short", small_sets.tar_of({**whole, "test_batch.bin": whole["test_batch.bin"][:3073]})
    yield "has label 10", small_sets.tar_of({**whole, "test_batch.bin": b"\x0a" + whole["test_batch.bin"][1:]})


@pytest.mark.parametrize(("match", "content"), [*evil()])
def test_an_archive_that_is_wrong_is_refused(match, content, small, server, tmp_path, monkeypatch):
    server.files |= known_as(monkeypatch, "cifar-10", content)
    is_refused("cifar-10", tmp_path, match)
    assert not list(tmp_path.iterdir())


def wrong_digits():
    images, labels = small_sets.pictures(10, 1)
    whole = small_sets.mat_of(images, labels)
    yield "is not the MATLAB file", whole[:-200]
    yield "is not the MATLAB file", b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    yield "is not the MATLAB file", b""
    yield "is not the MATLAB file", small_sets.mat_of(images[:9], labels[:9])
    yield "is not the MATLAB file", small_sets.mat_of(images, labels[:9])
    yield "is not the MATLAB file", small_sets.mat_of(images.astype(np.float64), labels)
    yield "labels from 1 to 11", small_sets.mat_of(images, np.where(labels == 3, 11, labels))


@pytest.mark.parametrize(("match", "content"), [*wrong_digits()])
def test_digits_that_are_wrong_are_refused(match, content, small, server, tmp_path, monkeypatch):
    server.files |= known_as(monkeypatch, "svhn", content)
    is_refused("svhn", tmp_path, match)


def test_no_cut_of_a_matlab_file_raises_anything_else():
    whole = small_sets.mat_of(*small_sets.pictures(10, 1))
    for end in (*range(0, 300, 7), *range(300, len(whole), 997)):
        with pytest.raises(UserError, match="is not the MATLAB file"):
            SVHN.parse(whole[:end], 10, "test_32x32.mat")


@pytest.mark.parametrize("name", ["svhn", "cifar-10"])
def test_a_file_that_is_damaged_later_is_not_read(name, small, server, tmp_path):
    fetch(name, tmp_path)
    path = tmp_path / read.SOURCES[name].files["test"][0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"data fetch {name}"):
        read.load(name, "test", tmp_path)
    assert len(read.load(name, "train+validation", tmp_path)) == 20
    server.asked.clear()
    fetch(name, tmp_path)
    assert server.asked
    assert len(read.load(name, "test", tmp_path)) == 10
    path.unlink()
    with pytest.raises(UserError, match="is not there"):
        read.load(name, "test", tmp_path)


def test_a_set_that_there_is_not():
    for ask in (lambda: fetch("cifar", None), lambda: load_or_fetch("cifar", "test"), lambda: set_facts("cifar")):
        with pytest.raises(UserError, match="choose mnist, fashion-mnist, svhn, cifar-10"):
            ask()


def test_the_small_files_are_what_other_readers_know(tmp_path):
    """scipy reads the MATLAB file as the page tells: X(:, :, :, i) is a picture, and a 0 is labelled 10."""
    path = tmp_path / "a.mat"
    path.write_bytes(small_sets.svhn_files()["test_32x32.mat"])
    read_back = loadmat(path)
    images, labels = small_sets.pictures(10, 1)
    assert np.array_equal(read_back["X"][:, :, :, 4], images[4])
    assert read_back["y"].ravel().tolist() == [10 if label == 0 else label for label in labels.tolist()]
    assert list(small_sets.published()["cifar-10"]) == [ARCHIVE]
