"""SVHN and CIFAR-10 in their true formats, of a few pictures, in place of the published files."""

import gzip
import hashlib
import io
import tarfile
from dataclasses import replace

import numpy as np
from scipy.io import savemat

from duckrabbit.data.colour import read
from duckrabbit.data.colour.cifar import ARCHIVE, FOLDER

COUNTS = {"train": 20, "test": 10}


def md5(content):
    return hashlib.md5(content).hexdigest()


def pictures(count, seed=0):
    """Pictures as rows of 32 x 32 x 3, and the digits 0, 1, ... 9 in turn."""
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), np.arange(count) % 10


def records(images, labels):
    """A file of the binary version, byte by byte: the label, the reds, the greens, the blues."""
    return b"".join(
        bytes([label]) + b"".join(image[..., plane].tobytes() for plane in range(3))
        for image, label in zip(images, labels, strict=True)
    )


def cifar_files():
    images, labels = pictures(20)
    files = {f"data_batch_{k + 1}.bin": records(images[4 * k : 4 * k + 4], labels[4 * k : 4 * k + 4]) for k in range(5)}
    return {**files, "test_batch.bin": records(*pictures(10, 1)), "batches.meta.txt": b"airplane\n"}


def tar_of(files, folder=FOLDER):
    """A .tar.gz of the files in a folder; the same bytes each time."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=0)


def mat_of(images, labels, **other):
    """A MATLAB 5 file, packed: X (32, 32, 3, N), and y (N, 1) with 10 for a 0."""
    raw = io.BytesIO()
    y = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
    savemat(raw, {"X": images.transpose(1, 2, 3, 0), "y": y, **other}, do_compression=True)
    return b"MATLAB 5.0 MAT-file, of a test".ljust(116) + raw.getvalue()[116:]  # savemat writes the hour there


def svhn_files():
    return {"train_32x32.mat": mat_of(*pictures(20)), "test_32x32.mat": mat_of(*pictures(10, 1))}


def published():
    """What lies at the addresses: by the name of the set, its downloads."""
    return {"cifar-10": {ARCHIVE: tar_of(cifar_files())}, "svhn": svhn_files()}


def put_in_place(monkeypatch, address="http://127.0.0.1:9/"):
    """The two sets become those of `published`, at `address`; which are returned."""
    downloads = published()
    small = {
        name: replace(
            source,
            address=address,
            counts=COUNTS,
            downloads={file: md5(content) for file, content in downloads[name].items()},
        )
        for name, source in read.SOURCES.items()
    }
    for place in ("read", "fetch"):
        monkeypatch.setattr(f"duckrabbit.data.colour.{place}.SOURCES", small)
    monkeypatch.setattr("duckrabbit.data.sets.SOURCES", small)
    monkeypatch.setattr(read, "VALIDATION", 4)
    return downloads
