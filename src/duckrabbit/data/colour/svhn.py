"""Street View House Numbers, the cropped digits: MATLAB 5 files of pictures X (32, 32, 3, N) and labels y (N, 1).

Source: Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning", 2011, and its page,
http://ufldl.stanford.edu/housenumbers/, which says that a 0 has label 10, and that use is to be non-commercial.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

import numpy as np

from duckrabbit.data.colour.source import SIDE, Arrays, Source
from duckrabbit.errors import UserError


def parse(content: bytes, pictures: int, file: str) -> Arrays:
    """The pictures and labels of one file of `pictures` digits. Raises UserError where it holds something else.

    The head is read first: nothing is unpacked that does not claim the right shapes.
    """
    from scipy.io import loadmat, whosmat

    wanted = {"X": ((SIDE, SIDE, 3, pictures), "uint8"), "y": ((pictures, 1), "uint8")}
    try:
        claimed = {name: (shape, kind) for name, shape, kind in whosmat(BytesIO(content))}
        read = loadmat(BytesIO(content), variable_names=list(wanted)) if claimed.items() >= wanted.items() else {}
    except Exception as error:  # scipy raises whatever the bytes lead it to
        raise _another(file, pictures, f"{type(error).__name__}: {error}") from None
    if not read:
        raise _another(file, pictures, f"it holds {claimed or 'nothing'}")
    labels = read["y"].ravel().astype(np.int64)
    if pictures and not 1 <= labels.min() <= labels.max() <= 10:
        raise _another(file, pictures, f"labels from {labels.min()} to {labels.max()}, not 1 to 10")
    return np.ascontiguousarray(read["X"].transpose(3, 2, 0, 1)), labels % 10


def unpack(downloads: Mapping[str, bytes], wanted: frozenset[str]) -> Mapping[str, bytes]:
    """The downloads: they are what is kept."""
    return downloads


def _another(file: str, pictures: int, why: str) -> UserError:
    return UserError(
        f"{file} is not the MATLAB file of SVHN's {pictures:,} cropped digits ({why}); "
        "run `duckrabbit data fetch svhn` again."
    )


SVHN = Source(
    name="svhn",
    address="http://ufldl.stanford.edu/housenumbers/",
    downloads={
        "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
        "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
    },
    files={"train": ("train_32x32.mat",), "test": ("test_32x32.mat",)},
    counts={"train": 73_257, "test": 26_032},
    unpack=unpack,
    parse=parse,
)
"""The md5 are those that torchvision checks, torchvision/datasets/svhn.py."""
