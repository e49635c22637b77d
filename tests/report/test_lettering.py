"""Text in pictures: whole, within the sheet, in the script it is written in, never as empty boxes."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from duckrabbit.report import lettering
from duckrabbit.report.lettering import font, one_line, printable, text_width, wrap, write
from duckrabbit.report.print_pages import DPI, PAGE, SIDE, print_page
from duckrabbit.report.sheet import MARGIN, PAPER, Cell, Row, Sheet, draw_sheet

LONG = "a painting of an old man by a campfire in the woods at night with a dog beside him and snow, " * 8
PIXELS = np.full((64, 64, 3), 128, np.uint8)
SCRIPTS = {"Chinese": "一只猫", "Japanese": "ねこ", "Korean": "고양이", "Devanagari": "बिल्ली", "emoji": "🦆"}


def drawn(text, size=40):
    """What `write` draws of a line, as an array."""
    canvas = Image.new("L", (round(text_width(text, size)) + 40, 2 * size), 255)
    write(ImageDraw.Draw(canvas), (20, 10), text, 0, size)
    return np.asarray(canvas)


def notdef(path=None, size=40):
    """The glyph that a font draws for what it lacks: U+10FFFF is no character, so no font has it."""
    face = font(size) if path is None else ImageFont.truetype(str(path), size)
    mask = face.getmask("\U0010ffff", mode="L")
    return np.asarray(mask).reshape(mask.size[::-1])


def holds(picture, glyph):
    """Whether the glyph (ink 255) is somewhere in the picture (ink 0), to the pixel."""
    ink = 255 - picture
    windows = np.lib.stride_tricks.sliding_window_view(ink, glyph.shape)
    return bool((windows == glyph).all(axis=(-1, -2)).any())


@pytest.fixture
def no_fonts(monkeypatch):
    """A machine with no font but DejaVu Sans."""
    monkeypatch.setattr(lettering, "installed", tuple)
    lettering._font_of.cache_clear()
    yield
    lettering._font_of.cache_clear()


@pytest.fixture
def chinese_font(tmp_path, monkeypatch):
    """A machine with a font of one character, U+4E00, drawn as a bar."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    def box(*corners):
        pen = TTGlyphPen(None)
        pen.moveTo(corners[0])
        for corner in corners[1:]:
            pen.lineTo(corner)
        pen.closePath()
        return pen.glyph()

    made = FontBuilder(1000, isTTF=True)
    made.setupGlyphOrder([".notdef", "one"])
    made.setupCharacterMap({0x4E00: "one"})
    boxes = {
        ".notdef": box((0, 0), (0, 900), (900, 900), (900, 0)),
        "one": box((50, 400), (50, 500), (950, 500), (950, 400)),
    }
    made.setupGlyf(boxes)
    made.setupHorizontalMetrics({".notdef": (1000, 0), "one": (1000, 50)})
    made.setupHorizontalHeader(ascent=900, descent=-100)
    made.setupNameTable({"familyName": "Test", "styleName": "Regular"})
    made.setupOS2(sTypoAscender=900)
    made.setupPost()
    made.save(tmp_path / "one.ttf")
    monkeypatch.setattr(lettering, "installed", lambda: (str(tmp_path / "one.ttf"),))
    lettering._font_of.cache_clear()
    yield tmp_path / "one.ttf"
    lettering._font_of.cache_clear()


def test_the_sight_of_an_empty_box():
    """The test's own eye: what PIL draws of a character that DejaVu Sans lacks is its box."""
    canvas = Image.new("L", (100, 80), 255)
    ImageDraw.Draw(canvas).text((20, 10), "一", 0, font(40))
    assert holds(np.asarray(canvas), notdef())


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_that_no_font_has_is_told_by_its_code_points(script, no_fonts):
    picture = drawn(f"a {SCRIPTS[script]}")
    assert not holds(picture, notdef())
    if script in ("Chinese", "Japanese", "Korean"):
        codes = " ".join(f"U+{ord(c):04X}" for c in SCRIPTS[script])
        assert np.array_equal(picture, drawn(f"a [{codes}]"))


def test_an_installed_font_that_has_it_is_taken(chinese_font):
    with_font = drawn("a 一 cat")
    assert not holds(with_font, notdef())
    assert not holds(with_font, notdef(chinese_font))
    canvas = Image.new("L", (200, 80), 255)
    ImageDraw.Draw(canvas).text((0, 0), "一", 0, ImageFont.truetype(str(chinese_font), 40))
    bar = np.asarray(canvas)
    rows, columns = np.nonzero(bar < 255)
    assert holds(with_font, 255 - bar[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])


def test_what_is_in_dejavu_is_drawn_as_before():
    for text in ("a cat", "قطة", "кошка", "α → β"):
        canvas = Image.new("L", drawn(text).shape[::-1], 255)
        ImageDraw.Draw(canvas).text((20, 10), text, 0, font(40))
        assert np.array_equal(drawn(text), np.asarray(canvas))


def test_characters_that_command_are_shown():
    assert one_line("a cat\r\non\ta mat\x0b\n") == "a cat on a mat"
    assert one_line("\x1b[31mred\x00\x07\u202eabc\u2069\x9b") == "\\x1b[31mred\\x00\\x07\\u202eabc\\u2069\\x9b"
    assert printable("a\nb\x1b\udcff") == "a\nb\\x1b\\udcff"
    assert one_line("قطة 👩\u200d🚀 é") == "قطة 👩\u200d🚀 é"


@pytest.mark.parametrize("count", [1, 5, 50, 225, 500])
def test_lines_are_within_their_room_and_lose_nothing(count):
    for text in (LONG[:count], "x" * count, "一只猫" * (count // 3)):
        lines = wrap(text, 15, 200)
        assert all(text_width(line, 15) <= 200 for line in lines)
        assert "".join("".join(lines).split()) == "".join(text.split())


def test_only_what_is_beyond_a_thousand_letters_is_left_out():
    lines = wrap("ab " * 1000, 15, 300)
    assert lines[-1].endswith("…")
    assert sum(len(line) + 1 for line in lines) > 990


@pytest.mark.parametrize("pictures", [1, 4])
@pytest.mark.parametrize("count", [5, 50, 225, 500])
def test_a_sheet_has_its_margin(count, pictures):
    text = LONG[:count]
    cells = tuple(Cell(PIXELS, text) for _ in range(pictures))
    sheet = np.asarray(draw_sheet(Sheet((Row(cells, text),), text)))
    white = np.asarray(Image.new("RGB", (1, 1), PAPER))[0, 0]
    assert (sheet[:, -MARGIN + 2 :] == white).all()
    assert (sheet[-10:] == white).all()


@pytest.mark.parametrize("count", [5, 50, 225, 500, 3000])
@pytest.mark.parametrize("prompts", [1, 2, 6])
def test_a_page_has_its_margins_and_its_foot(count, prompts):
    page = np.asarray(print_page(PIXELS, [(LONG * 5)[:count]] * prompts, "the foot").convert("L"))
    assert page.shape == PAGE[::-1]
    edge = (PAGE[0] - SIDE) // 2 - 30
    assert edge > DPI // 2
    assert (page[:, :edge] == 255).all()
    assert (page[:, -edge:] == 255).all()
    foot = PAGE[1] - 180
    assert (page[foot - 30 : foot] == 255).all()
    assert (page[foot:] < 255).any()


def test_control_characters_on_sheet_and_page():
    odd = "a cat\non a\tmat\r\n\x00\x1b[2J\u202e"
    plain = "a cat on a mat \\x00\\x1b[2J\\u202e"
    cells = [Sheet((Row((Cell(PIXELS, "seed 1"),), text),), text) for text in (odd, plain)]
    assert draw_sheet(cells[0]).tobytes() == draw_sheet(cells[1]).tobytes()
    pages = [print_page(PIXELS, [text, "a house"], text) for text in (odd, plain)]
    assert pages[0].tobytes() == pages[1].tobytes()
