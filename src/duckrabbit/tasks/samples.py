"""The pictures that the gallery works on: drawings of our own, and photographs that scikit-image carries.

The drawings are made here, by code, so they need no licence but the project's. The photographs are
in the public domain or under CC0; `CREDITS` says by whom.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw

from duckrabbit.tasks.pictures import write_png

SIZE, OVER = 256, 4
CREDITS = {
    "cat.png": "“Chelsea the cat”, photograph by Stéfan van der Walt, CC0; from scikit-image.",
    "astronaut.png": "Eileen Collins, photograph by NASA, public domain; from scikit-image.",
    "rocket.jpg": "A Falcon 9 with DSCOVR on its way, photograph by SpaceX, CC0; from scikit-image.",
}
_PHOTOS = {"cat.png": "chelsea.png", "astronaut.png": "astronaut.png", "rocket.jpg": "rocket.jpg"}


def write_pictures(folder: Path) -> None:
    """Write all pictures and masks of the gallery into `folder`; those that are there stay."""
    for name, draw in _DRAWINGS.items():
        if not (folder / name).exists():
            write_png(_drawn(draw), folder / name)
    for name, source in _PHOTOS.items():
        if not (folder / name).exists():
            write_png(_photo(source), folder / name)


def _drawn(draw: Callable[[ImageDraw.ImageDraw], None]) -> Image.Image:
    canvas = Image.new("RGB", (SIZE * OVER, SIZE * OVER), "white")
    draw(ImageDraw.Draw(canvas))
    return canvas.resize((SIZE, SIZE), Image.Resampling.BOX)


def _photo(source: str) -> Image.Image:
    from importlib.resources import files

    with Image.open(str(files("skimage.data").joinpath(source))) as image:
        square = min(image.size)
        left, top = (image.width - square) // 2, (image.height - square) // 2
        return (
            image.convert("RGB")
            .crop((left, top, left + square, top + square))
            .resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        )


def _at(*numbers: float) -> list[float]:
    """Coordinates in hundredths of the picture."""
    return [n * SIZE * OVER / 100 for n in numbers]


def _house(pen: ImageDraw.ImageDraw) -> None:
    """A house under a sun, in felt pen."""
    pen.ellipse(_at(68, 8, 88, 28), fill="#f7c325", outline="#8a5a00", width=14)
    pen.rectangle(_at(22, 48, 70, 88), fill="#d9604c", outline="#4a1d16", width=16)
    pen.polygon(_at(14, 50, 46, 20, 78, 50), fill="#7a3b2e", outline="#4a1d16", width=16)
    pen.rectangle(_at(40, 64, 54, 88), fill="#f0e2c8", outline="#4a1d16", width=12)
    pen.rectangle(_at(26, 55, 36, 66), fill="#9fd3ee", outline="#4a1d16", width=12)
    pen.rectangle(_at(58, 55, 67, 66), fill="#9fd3ee", outline="#4a1d16", width=12)
    pen.rectangle(_at(0, 88, 100, 100), fill="#67a84f")


def _flower(pen: ImageDraw.ImageDraw) -> None:
    """A flower, in felt pen."""
    pen.line(_at(50, 52, 50, 94), fill="#3d8b40", width=44)
    pen.pieslice(_at(50, 62, 84, 88), 150, 300, fill="#5cb85c", outline="#2c6b2f", width=10)
    pen.pieslice(_at(16, 66, 50, 92), 240, 390, fill="#5cb85c", outline="#2c6b2f", width=10)
    for x, y in ((50, 16), (68, 29), (62, 50), (38, 50), (32, 29)):
        pen.ellipse(_at(x - 14, y - 12, x + 14, y + 14), fill="#e8568f", outline="#8c1d4e", width=12)
    pen.ellipse(_at(38, 24, 62, 48), fill="#f8d34c", outline="#a4790a", width=12)


def _face(pen: ImageDraw.ImageDraw) -> None:
    """A round face: in the world of an emoji model."""
    pen.ellipse(_at(8, 8, 92, 92), fill="#ffcf3f", outline="#c78a12", width=14)
    for x in (34, 66):
        pen.ellipse(_at(x - 7, 32, x + 7, 52), fill="#5b3a16")
    pen.chord(_at(28, 46, 72, 82), 0, 180, fill="#7c2f1c")


def _apple(pen: ImageDraw.ImageDraw) -> None:
    """An apple with a leaf."""
    pen.ellipse(_at(14, 26, 60, 90), fill="#d8342c")
    pen.ellipse(_at(40, 26, 86, 90), fill="#d8342c")
    pen.line(_at(50, 32, 54, 10), fill="#6b4423", width=40)
    pen.pieslice(_at(52, 8, 88, 34), 190, 330, fill="#57a639")
    pen.ellipse(_at(24, 38, 36, 56), fill="#f07a70")


def _mask_top(pen: ImageDraw.ImageDraw) -> None:
    """White is made anew: the upper part."""
    pen.rectangle(_at(0, 0, 100, 100), fill="black")
    pen.rectangle(_at(0, 0, 100, 46), fill="white")


def _mask_middle(pen: ImageDraw.ImageDraw) -> None:
    """White is made anew: a disc in the middle."""
    pen.rectangle(_at(0, 0, 100, 100), fill="black")
    pen.ellipse(_at(22, 22, 78, 78), fill="white")


_DRAWINGS = {
    "house.png": _house,
    "flower.png": _flower,
    "face.png": _face,
    "apple.png": _apple,
    "mask-top.png": _mask_top,
    "mask-middle.png": _mask_middle,
}
