"""The page in a real browser: every tab from empty page to downloaded file.

With DUCKRABBIT_SCREENSHOTS=docs/studio the pictures of the tabs in the documentation are made anew: those that begin
with a picture by the model `miniature`, those of digits by the models that come with the package.
"""

import io
import os
import re
from pathlib import Path

import av
import pytest
from PIL import Image

from browsing import download, filled, finished, fits, go, paint, shot
from duckrabbit.models.cards import cards
from studio_forms import address, create
from studio_server import start

MODEL = "miniature" if os.environ.get("DUCKRABBIT_SCREENSHOTS") else "oracle"


def test_create(opened, size, tmp_path):
    page = opened("/?make=generate&model=oracle", size)
    page.get_by_label("What is it a picture of?").fill("a blue triangle")
    view = finished(page, "generate")
    path = download(page, view, "PNG · seed 180", tmp_path)
    with Image.open(path) as image:
        assert image.size == (32, 32)
        assert "a blue triangle" in image.info["duckrabbit"]
    assert "duckrabbit generate --model oracle" in view.inner_text()
    assert re.search(r"\d\.\d s, 30 network calls", view.inner_text())
    assert fits(page)
    shot(page, "create")


def test_denoise(opened, size, tmp_path):
    page = opened(f"/?make=denoise&model={MODEL}", size)
    page.locator("[data-box=denoise-image] .sample").nth(1).click()
    view = finished(page, "denoise")
    assert [words in view.inner_text() for words in ("noisy, t = 500", "one step", "iterative")] == [True] * 3
    assert view.inner_text().count("dB") == 4
    assert download(page, view, "GIF", tmp_path).read_bytes().startswith(b"GIF89a")
    assert fits(page)
    shot(page, "denoise")


def sunset(width, height):
    """A picture to upload: orange sky over a blue sea."""
    picture = Image.new("RGB", (width, height), "#f2a65a")
    picture.paste("#2d5d8b", (0, height * 2 // 3, width, height))
    picture.paste("#fff3c4", (width // 2 - 25, height // 3, width // 2 + 25, height // 3 + 50))
    return picture


def test_edit_what_is_uploaded(opened, size, tmp_path):
    page = opened(f"/?make=edit&model={MODEL}", size)
    sunset(300, 200).save(tmp_path / "sunset.png")
    pad = page.locator("[data-box=edit-image]")
    assert not pad.get_by_text("It is not square").is_visible()
    page.set_input_files("[data-box=edit-image] input[type=file]", tmp_path / "sunset.png")
    page.wait_for_function("document.querySelector('[data-box=edit-image] canvas').width === 200")
    pad.get_by_label("All of it, with a border").check()
    page.wait_for_function("document.querySelector('[data-box=edit-image] canvas').width === 300")
    view = finished(page, "edit")
    assert view.locator("figure").count() == 6
    assert download(page, view, "whole sheet", tmp_path).stat().st_size > 1000
    view.get_by_text(re.compile(r"\d+ single files")).click()
    assert download(page, view, "PNG 3 · seed 180", tmp_path).stat().st_size > 100
    view.get_by_text(re.compile(r"\d+ single files")).click()
    assert fits(page)
    shot(page, "edit")


def test_edit_what_is_drawn(opened):
    page = opened()
    go(page, "Edit")
    pad = page.locator("[data-box=edit-image]")
    pad.get_by_text("Clear").click()
    pad.get_by_text("Draw").click()
    before = page.input_value("#edit-image textarea")
    paint(page, pad.locator("canvas.picture"))
    page.wait_for_function("old => document.querySelector('#edit-image textarea').value !== old", arg=before)
    assert finished(page, "edit").locator("figure").count() == 6


def test_inpaint(opened, size, tmp_path):
    page = opened(f"/?make=inpaint&model={MODEL}", size)
    page.wait_for_selector("[data-box=inpaint-image].full")
    page.click("#inpaint-run")
    assert "Paint over" in page.locator("#inpaint-view [role=alert]").inner_text()
    paint(page, page.locator("[data-box=inpaint-image] canvas.mask"))
    page.wait_for_function("document.querySelector('#inpaint-mask textarea').value !== ''")
    view = finished(page, "inpaint")
    assert view.locator("figure").count() == 3
    assert download(page, view, "run record", tmp_path).suffix == ".json"
    assert fits(page)
    shot(page, "inpaint")


def test_anagram(opened, size, tmp_path):
    page = opened("/?make=anagram&model=oracle", size)
    view = finished(page, "anagram")
    leaf, slider = view.locator(".leaf"), view.get_by_role("slider")
    leaf.click()
    page.wait_for_function("document.querySelector('#anagram-view input').value === '12'")
    assert leaf.evaluate("e => e.style.backgroundPosition").startswith("100%")
    slider.focus()
    page.keyboard.press("Home")
    assert leaf.evaluate("e => e.style.backgroundPosition").startswith("0%")
    for label, head in (("GIF · seed 180", b"GIF89a"), ("print sheet · seed 180", b"%PDF")):
        assert download(page, view, label, tmp_path).read_bytes().startswith(head)
    with av.open(str(download(page, view, "MP4 · seed 180", tmp_path))) as film:
        assert film.streams.video[0].codec_context.name == "h264"
    assert fits(page)
    shot(page, "anagram")


def test_hybrid(opened, size, tmp_path):
    page = opened("/?make=anagram&model=oracle", size)
    go(page, "Hybrid")
    view = finished(page, "hybrid")
    view.get_by_role("slider").fill("12")
    assert view.locator(".leaf").evaluate("e => e.style.backgroundPosition").startswith("100%")
    view.get_by_role("slider").fill("0")
    assert download(page, view, "PNG · seed 180", tmp_path).stat().st_size > 100
    assert fits(page)
    shot(page, "hybrid")


def test_families(opened, size):
    page = opened("/?make=factorized&model=oracle", size)
    view = finished(page, "factorized")
    view.get_by_label("Take the colour away").last.fill("12")
    assert view.locator(".leaf").evaluate("e => e.style.backgroundPosition").startswith("100%")
    assert fits(page)
    shot(page, "factorized")


def test_the_shelf_keeps_opens_and_deletes(opened, size, studio):
    for item in studio.shelf.items():
        studio.shelf.delete(item.id)
    page = opened("/" + address(create("a green cross", model="oracle", seed=11, steps=25)), size)
    finished(page, "generate")
    go(page, "Shelf")
    card = page.locator("#shelf-view li")
    card.get_by_text("a green cross").wait_for()
    shot(page, "shelf")
    assert fits(page)
    card.get_by_text("Open in its tab").click()
    page.wait_for_url("**/?make=generate**")
    filled(page)
    assert page.get_by_label("What is it a picture of?").input_value() == "a green cross"
    assert page.get_by_label("Seed").first.input_value() == "11"
    go(page, "Shelf")
    card.get_by_text("Delete").click()
    assert len(studio.shelf.items()) == 1
    card.get_by_text("Delete for good?").click()
    page.get_by_text("Nothing is here yet").wait_for()
    assert studio.shelf.items() == []


def test_digits_are_sampled(opened, size, tmp_path, studio):
    page = opened(size=size)
    go(page, "Digits")
    assert not page.get_by_label("Model").first.is_visible()  # that of pictures from words has none of digits
    view = finished(page, "digits")
    assert view.locator("h3").all_inner_texts() == list("0123456789")
    assert download(page, view, "whole sheet", tmp_path).read_bytes().startswith(b"\x89PNG")
    assert fits(page)
    shot(page, "digits")
    page.get_by_label("Which digit?").click()
    page.get_by_role("option", name="7", exact=True).click()
    view = finished(page, "digits")
    page.wait_for_function("document.querySelector('#digits-view pre').innerText.trim().endsWith(' 7')")
    assert download(page, view, "PNG · seed 181", tmp_path).stat().st_size > 50


def test_a_drawn_digit_is_denoised_in_one_step(opened, size, tmp_path, http):
    page = opened(size=size)
    go(page, "Digits")
    go(page, "One step")
    pad = page.locator("[data-box=one_step-image]")
    page.wait_for_selector("[data-box=one_step-image].full")
    pad.get_by_text("Clear").click()
    draw_a_seven(page, pad.locator("canvas.picture"))
    view = finished(page, "one_step")
    assert view.locator("figure").count() == 5
    assert view.inner_text().count("dB") == 3
    assert "--sigma 0.5" in view.locator("pre").inner_text()
    assert download(page, view, "PNG · seed 180", tmp_path).stat().st_size > 50
    with Image.open(io.BytesIO(http.get(view.locator("img").last.get_attribute("src")).content)) as image:
        pixels = image.convert("L")
        assert image.size == (28, 28)
        assert (pixels.getpixel((1, 26)), max(pixels.tobytes())) == (0, 255)  # white on black, as it was drawn
    assert fits(page)
    shot(page, "digit-one-step")


def draw_a_seven(page, canvas):
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    path = [(0.28, 0.28), (0.7, 0.28), (0.58, 0.52), (0.48, 0.78)]
    page.mouse.move(box["x"] + path[0][0] * box["width"], box["y"] + path[0][1] * box["height"])
    page.mouse.down()
    for x, y in path[1:]:
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
    page.mouse.up()
    page.wait_for_function("document.querySelector('#one_step-image textarea').value !== ''")


def test_a_digit_goes_from_t_and_comes_back(opened, size, tmp_path):
    page = opened("/?make=from_t&t=120", size)
    page.locator("[data-box=from_t-image] .sample").nth(1).click()
    view = finished(page, "from_t")
    assert [words in view.inner_text() for words in ("noisy, t = 120", "one step", "iterative")] == [True] * 3
    assert download(page, view, "GIF", tmp_path).read_bytes().startswith(b"GIF89a")
    assert fits(page)
    shot(page, "digit-from-t")


def test_six_over_nine(opened, size, tmp_path):
    page = opened("/?make=digit_anagram&count=4", size)
    view = finished(page, "digit_anagram")
    assert view.locator(".flipbook").count() == 4
    assert view.locator("h3").all_inner_texts() == ["seed 180, 181, 182, 183"]
    assert len({round(box["y"]) for box in (f.bounding_box() for f in view.locator("figure").all())}) == (
        2 if size[0] > 1000 else 4
    )
    view.get_by_text("17 single files").click()
    assert download(page, view, "MP4 · seed 183", tmp_path).stat().st_size > 500
    view.get_by_text("17 single files").click()
    assert fits(page)
    shot(page, "digit-anagram")


def test_training_curves(opened, size, tmp_path):
    page = opened("/?make=curves", size)
    view = finished(page, "curves")
    assert re.search(r"of [\d,]+ steps, [\d,]+ pictures", view.inner_text())
    assert "duckrabbit curves" in view.locator("pre").inner_text()
    assert download(page, view, "whole sheet", tmp_path).stat().st_size > 5000
    assert fits(page)
    shot(page, "digit-curves")


def test_without_models_of_digits_the_tab_says_how_to_train_one(opened, tmp_path, monkeypatch):
    monkeypatch.setenv("DUCKRABBIT_RUNS", str(tmp_path / "none"))
    monkeypatch.setattr("duckrabbit.studio.page.models.cards", lambda: {"oracle": cards()["oracle"]})
    running = start(tmp_path / "shelf")
    page = opened("/?make=digits", address=running.address)
    assert "duckrabbit train class" in page.locator(".lacking").inner_text()
    assert page.locator("#digits-run").count() == 0
    page.context.close()
    running.end()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(opened, scheme):
    """WCAG 2.2, 1.4.3: 4.5 to 1 for every word that is seen, its colour laid over what lies behind it."""
    page = opened("/?make=generate&model=oracle", color_scheme=scheme)
    contrast, faint = (Path(__file__).parent / "contrast.js").read_text(), {}
    for tab, kind in (
        ("Create", "generate"), ("Denoise", ""), ("Edit", ""), ("Inpaint", ""), ("Illusions", "anagram"),
        ("Digits", "digits"), ("Shelf", ""),
    ):  # fmt: skip
        go(page, tab)
        if kind:
            finished(page, kind)
        page.wait_for_timeout(300)  # what fades has faded
        faint[tab] = page.evaluate(contrast)
        if scheme == "dark" and kind:
            shot(page, {"generate": "dark"}.get(kind, f"{kind}-dark"))
    assert faint == {tab: [] for tab in faint}
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 150) == (scheme == "dark")
