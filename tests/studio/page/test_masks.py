"""An uploaded mask has its picture's whole size, as on the command line; a painted one belongs to what is shown."""

import io

import numpy as np
import pytest
from PIL import Image

from browsing import finished, paint
from duckrabbit.errors import UserError
from duckrabbit.tasks.masks import as_mask
from samples import pixels


@pytest.fixture(scope="module")
def client(studio):
    from gradio_client import Client

    return Client(studio.address, verbose=False)


def photo(width, height, orientation=None):
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    return encoded(Image.fromarray(pixels(height, width)), exif=exif)


def stripe(width, height):
    """A mask, white in the middle third of its middle square."""
    mask, side = np.zeros((height, width), np.uint8), min(width, height)
    left, top = (width - side) // 2 + side // 3, (height - side) // 2 + side // 3
    mask[top : top + side // 3, left : left + side // 3] = 255
    return encoded(Image.fromarray(mask))


def encoded(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", **options)
    return buffer.getvalue()


@pytest.fixture
def upload(http):
    def send(content, query=""):
        answer = http.post(f"/pictures{query}", content=content)
        assert answer.status_code == 200, answer.text
        return answer.json()["name"]

    return send


@pytest.fixture
def inpaint(client):
    """inpaint(image, mask) -> the sentence it is refused with, or None."""

    def call(image, mask):
        from gradio_client.exceptions import AppError

        try:
            client.predict(image=image, mask=mask, model="oracle", steps=2, api_name="/inpaint")
        except AppError as error:
            return str(error)
        return None

    return call


def typed(tmp_path, image, mask):
    """What the command line and Python say of the same two files."""
    for name, content in (("image.png", image), ("mask.png", mask)):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as refused:
        as_mask(tmp_path / "mask.png", tmp_path / "image.png")
    return str(refused.value)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        (photo(300, 200), stripe(200, 200)),
        (photo(200, 200), stripe(300, 200)),
        (photo(300, 200), stripe(200, 300)),
        (photo(300, 200, orientation=6), stripe(300, 200)),
        (photo(3000, 2000), stripe(1500, 1000)),
    ],
    ids=["square mask", "square picture", "lying", "turned by EXIF", "half as large"],
)
def test_another_size_is_refused_in_the_same_words(upload, inpaint, tmp_path, image, mask):
    """Most of these are squares of one size once they are kept."""
    assert inpaint(upload(image), upload(mask)) == typed(tmp_path, image, mask)


@pytest.mark.parametrize("turned", [None, 6])
def test_the_same_size_is_right(upload, inpaint, turned):
    mask = stripe(200, 300) if turned else stripe(300, 200)
    assert inpaint(upload(photo(300, 200, turned)), upload(mask)) is None


def test_both_are_made_square_in_the_same_way(upload, inpaint):
    image, mask = photo(300, 200), stripe(300, 200)
    assert inpaint(upload(image, "?fit=whole"), upload(mask, "?fit=whole")) is None
    sentence = inpaint(upload(image, "?fit=whole"), upload(mask))
    assert sentence == "The mask was cut to its middle and the picture framed; give both in the same way."
    assert inpaint(upload(photo(200, 200), "?fit=whole"), upload(stripe(200, 200))) is None  # nothing to cut or frame


@pytest.mark.parametrize("fit", ["middle", "whole"])
def test_what_was_painted_on_the_picture_as_it_is_shown_is_right(upload, inpaint, http, fit):
    name = upload(photo(300, 200), f"?fit={fit}")
    with Image.open(io.BytesIO(http.get(f"/shelf/inputs/{name}").content)) as shown:
        mask = stripe(*shown.size)
    assert inpaint(name, upload(mask, f"?on={name}")) is None
    for query, content in ((f"?on={name}", stripe(300, 200)), (f"?on={'0' * 24}.png", mask), ("?on=../x.png", mask)):
        answer = http.post(f"/pictures{query}", content=content)
        assert answer.status_code == 400
        assert answer.json()["error"].endswith(".")


def test_what_was_kept_before_sizes_were_is_taken_as_it_is(upload, inpaint, studio):
    name = upload(stripe(200, 200))
    studio.shelf.size(name).unlink()
    assert inpaint(upload(photo(300, 200)), name) is None
    (studio.shelf.inputs / name).unlink()


def test_the_page_tells_of_a_link_with_another_mask(opened, upload, tmp_path):
    image, mask = photo(300, 200), stripe(200, 200)
    page = opened(f"/?make=inpaint&model=oracle&steps=2&count=1&image={upload(image)}&mask={upload(mask)}")
    page.click("#inpaint-run")
    assert typed(tmp_path, image, mask) in page.locator("#inpaint-view [role=alert]").inner_text()


@pytest.mark.parametrize(("choice", "side"), [("Its middle", 200), ("All of it, with a border", 300)])
def test_the_page_takes_what_is_painted_on_a_picture_that_is_not_square(opened, tmp_path, choice, side):
    (tmp_path / "lake.png").write_bytes(photo(300, 200))
    page = opened("/?make=inpaint&model=oracle&steps=2&count=1")
    pad = page.locator("[data-box=inpaint-image]")
    page.set_input_files("[data-box=inpaint-image] input[type=file]", tmp_path / "lake.png")
    page.wait_for_function("document.querySelector('[data-box=inpaint-image] canvas').width === 200")
    pad.get_by_label(choice).check()
    page.wait_for_function(f"document.querySelector('[data-box=inpaint-image] canvas').width === {side}")
    paint(page, pad.locator("canvas.mask"))
    page.wait_for_function("document.querySelector('#inpaint-mask textarea').value !== ''")
    assert finished(page, "inpaint").locator("figure").count() == 3
