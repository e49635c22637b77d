"""Pages as HTML, read by a parser: texts come back as they were given, and pictures lie inside, byte for byte."""

import base64
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from duckrabbit.report.html import data_url, figure, page, table

HOSTILE = "<script>alert(\"a\" & 'b')</script>"
VOID = {"meta", "img"}


class Reader(HTMLParser):
    """What a browser finds: elements, their attributes, the texts of each, and whether all are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.texts = [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def pictures(tmp_path):
    image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    paths = [tmp_path / "a.png", tmp_path / "b.gif"]
    for path in paths:
        image.save(path)
    return paths


def test_texts_come_back_whatever_is_in_them(pictures):
    body = figure(pictures[0], HOSTILE, HOSTILE) + table(["name", HOSTILE], [["a", "b"], [HOSTILE, "&amp;"]])
    found = Reader(page(HOSTILE, body))
    assert found.texts["title"] == [HOSTILE]
    assert [image["alt"] for image in found.all("img")] == [HOSTILE]
    assert found.texts["figcaption"] == [HOSTILE]
    assert (found.texts["th"], found.texts["td"]) == (["name", HOSTILE], ["a", "b", HOSTILE, "&amp;"])
    assert found.all("script") == []


def test_pictures_lie_inside_and_nothing_is_fetched(pictures):
    found = Reader(page("A page", "".join(figure(path, path.stem) for path in pictures)))
    for path, image, kind in zip(pictures, found.all("img"), ("image/png", "image/gif"), strict=True):
        head, _, content = image["src"].partition(",")
        assert head == f"data:{kind};base64"
        assert base64.b64decode(content) == path.read_bytes()
    assert "figcaption" not in found.texts
    assert {tag for tag, _ in found.found} <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "figure",
        "img",
    }
    (style,) = found.texts["style"]
    assert "url(" not in style
    assert "@import" not in style
    assert data_url(b"", "text/plain") == "data:text/plain;base64,"
