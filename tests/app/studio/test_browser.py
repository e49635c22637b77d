"""The page in a real browser: every tab from empty page to downloaded file, and what can go wrong.

With DUCKRABBIT_SCREENSHOTS=docs/studio the pictures of the tabs in the documentation are made anew.
"""

import os
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import av
import pytest
from PIL import Image

from duckrabbit.app.studio.forms import Create
from duckrabbit.app.studio.settings import to_address

WIDE, NARROW = (1280, 800), (390, 844)
LONG = to_address(Create(prompt="a red circle", model="oracle", steps=500, count=16, seed=5))


@pytest.fixture
def opened(browser, studio):
    """opened(path, size) -> a page that has been filled from its address; every complaint of it is collected."""
    contexts = []

    def open_page(path="/", size=WIDE, **more):
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, accept_downloads=True, **more)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: _outside(page, studio.address, request.url))
        page.goto(studio.address + path)
        filled(page)
        return page

    yield open_page
    for context in contexts:
        complaints = [c for page in context.pages for c in getattr(page, "complaints", [])]
        context.close()
        assert complaints == []


def filled(page):
    page.wait_for_selector("html[data-ready=yes]")


def _outside(page, address, url):
    if not url.startswith((address, "data:", "blob:")):
        page.complaints.append(f"something was asked of {url}")


def go(page, tab):
    found = page.get_by_role("tab", name=tab, exact=True)
    if not found.is_visible():
        page.locator(".overflow-menu button").first.click()
        found = page.locator(".overflow-dropdown").get_by_text(tab, exact=True)
    found.click()


def finished(page, kind):
    page.click(f"#{kind}-run")
    view = page.locator(f"#{kind}-view")
    view.locator(".result").wait_for()
    view.locator("img").first.wait_for()
    page.wait_for_function("[...document.images].every(i => i.complete && (i.naturalWidth || i.loading === 'lazy'))")
    return view


def download(page, view, label, folder):
    with page.expect_download() as caught:
        view.get_by_text(label, exact=True).first.click()
    path = folder / caught.value.suggested_filename
    caught.value.save_as(path)
    return path


def shot(page, name):
    folder = os.environ.get("DUCKRABBIT_SCREENSHOTS")
    if folder:
        width = page.viewport_size["width"]
        page.mouse.move(0, 0)
        page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True, animations="disabled")


def fits(page):
    """Nothing sticks out at the side."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture(params=[WIDE, NARROW], ids=["1280", "390"])
def size(request):
    return request.param


def test_create(opened, size, tmp_path):
    page = opened(size=size)
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
    page = opened(size=size)
    go(page, "Denoise")
    page.locator("[data-box=denoise-image] .sample").nth(1).click()
    view = finished(page, "denoise")
    assert {"noisy, t = 500", "one step", "iterative"} <= {
        w for w in ("noisy, t = 500", "one step", "iterative") if w in view.inner_text()
    }
    assert view.inner_text().count("dB") == 4
    assert download(page, view, "GIF", tmp_path).read_bytes().startswith(b"GIF89a")
    assert fits(page)
    shot(page, "denoise")


def test_edit_what_is_uploaded(opened, size, tmp_path):
    page = opened(size=size)
    go(page, "Edit")
    Image.new("RGB", (300, 200), "#3366cc").save(tmp_path / "blue.jpg")
    page.set_input_files("[data-box=edit-image] input[type=file]", tmp_path / "blue.jpg")
    page.wait_for_function("document.querySelector('[data-box=edit-image] canvas').width === 200")
    view = finished(page, "edit")
    assert view.locator("figure").count() == 6
    assert download(page, view, "whole sheet", tmp_path).stat().st_size > 1000
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


def paint(page, canvas):
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    for k in range(1, 8):
        page.mouse.move(box["x"] + 60 + 15 * k, box["y"] + 60 + 40 * (k % 2))
    page.mouse.up()


def test_inpaint(opened, size, tmp_path):
    page = opened(size=size)
    go(page, "Inpaint")
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
    page = opened(size=size)
    go(page, "Illusions")
    view = finished(page, "anagram")
    leaf, slider = view.locator(".leaf"), view.get_by_role("slider")
    leaf.click()
    page.wait_for_function("document.querySelector('#anagram-view input').value === '12'")
    assert leaf.evaluate("e => e.style.backgroundPosition").startswith("100%")
    slider.focus()
    page.keyboard.press("Home")
    assert leaf.evaluate("e => e.style.backgroundPosition").startswith("0%")
    for label, start in (("GIF · seed 180", b"GIF89a"), ("print sheet · seed 180", b"%PDF")):
        assert download(page, view, label, tmp_path).read_bytes().startswith(start)
    with av.open(str(download(page, view, "MP4 · seed 180", tmp_path))) as film:
        assert film.streams.video[0].codec_context.name == "h264"
    assert fits(page)
    shot(page, "anagram")


def test_hybrid(opened, size, tmp_path):
    page = opened(size=size)
    go(page, "Illusions")
    go(page, "Hybrid")
    view = finished(page, "hybrid")
    view.get_by_role("slider").fill("12")
    assert view.locator(".leaf").evaluate("e => e.style.backgroundPosition").startswith("100%")
    view.get_by_role("slider").fill("0")
    assert download(page, view, "PNG · seed 180", tmp_path).stat().st_size > 100
    assert fits(page)
    shot(page, "hybrid")


def test_the_shelf_keeps_opens_and_deletes(opened, size, studio):
    for item in studio.shelf.items():
        studio.shelf.delete(item.id)
    page = opened("/" + to_address(Create(prompt="a green cross", model="oracle", seed=11, steps=25)), size)
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


def test_a_link_reproduces_the_page(opened, studio):
    page = opened()
    page.get_by_label("What is it a picture of?").fill("a green square")
    page.get_by_label("Seed").first.fill("42")
    finished(page, "generate")
    page.wait_for_function("location.search.includes('seed=42')")
    query = parse_qs(urlsplit(page.url).query)
    assert (query["make"], query["prompt"], query["model"]) == (["generate"], ["a green square"], ["oracle"])
    again = opened("/?" + urlsplit(page.url).query)
    assert again.get_by_label("What is it a picture of?").input_value() == "a green square"
    finished(again, "generate")
    first, second = studio.shelf.items()[:2]
    assert first.facts["settings"] == second.facts["settings"]
    assert again.locator("#generate-view pre").inner_text() == page.locator("#generate-view pre").inner_text()


def test_a_link_brings_its_picture_and_its_views(opened):
    page = opened()
    go(page, "Illusions")
    page.locator("#anagram-run").wait_for()
    page.goto(page.url.partition("?")[0] + "?make=anagram&model=oracle&prompts=a+red+circle&prompts=a+red+cross"
              "&prompts=a+blue+cross&views=flip_vertical&views=negate")  # fmt: skip
    filled(page)
    view = finished(page, "anagram")
    assert "--view flip_vertical --view negate" in view.locator("pre").inner_text()
    assert view.locator(".flipbook").count() == 2


def test_the_picture_forms_and_is_cancelled(opened, studio):
    page = opened("/" + LONG)
    page.click("#generate-run")
    page.locator("#generate-view img.forming").wait_for()
    assert page.locator("#generate-run").is_disabled()
    (running,) = studio.desk.running
    page.click("#generate-stop")
    page.get_by_text("Cancelled after").wait_for()
    assert running.state == "stopped"
    assert 0 < running.move < 500
    assert page.locator("#generate-run").is_enabled()


def test_the_place_in_the_queue_is_told(opened, studio):
    page = opened("/" + LONG)
    ahead = [studio.desk.submit(Create(prompt="a red circle", model="oracle", steps=500, count=16, seed=9 + k)) for k in range(2)]  # fmt: skip  # noqa: E501
    page.click("#generate-run")
    page.get_by_text(re.compile(r"[12] ahead of you, about \d+ s")).wait_for()
    for ticket in ahead:
        studio.desk.stop(ticket.id)
    page.locator("#generate-view img.forming").wait_for()
    page.click("#generate-stop")
    page.get_by_text("Cancelled after").wait_for()


def test_a_failure_is_told_and_the_next_one_runs(opened):
    page = opened()
    page.get_by_label("What is it a picture of?").fill("a <b>purple</b> dinosaur")
    page.click("#generate-run")
    alert = page.locator("#generate-view [role=alert]")
    alert.wait_for()
    assert "knows no prompt 'a <b>purple</b> dinosaur'" in alert.inner_text()
    page.get_by_label("What is it a picture of?").fill("a red square")
    finished(page, "generate")


def test_a_bad_upload_is_told(opened, tmp_path):
    page = opened()
    go(page, "Denoise")
    (tmp_path / "photo.png").write_bytes(b"\x7fELF" + bytes(500))
    page.set_input_files("[data-box=denoise-image] input[type=file]", tmp_path / "photo.png")
    page.get_by_text("The upload is not a picture that can be read").wait_for()


def test_a_chosen_model_brings_its_own_settings(opened):
    page = opened()
    page.get_by_label("What is it a picture of?").fill("my own words")
    page.get_by_label("Model").click()
    page.get_by_role("option", name="miniature").click()
    page.wait_for_function("document.querySelector('[aria-label*=\"Guidance scale\"]').value === '4'")
    assert page.get_by_label("What is it a picture of?").input_value() == "my own words"


def test_everything_is_named_and_reached_by_keyboard(opened):
    page = opened()
    for tab in ("Create", "Denoise", "Edit", "Inpaint", "Illusions"):
        go(page, tab)
        page.wait_for_timeout(300)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll('button, input, textarea, select, img, canvas[role]')]
            .filter(e => e.offsetParent && !e.closest('.tucked'))
            .filter(e => !(e.getAttribute('aria-label') || e.innerText?.trim() || e.labels?.length || e.title
              || e.closest('label') || e.hasAttribute('alt')))
            .map(e => e.outerHTML.slice(0, 120))"""
        )
        assert nameless == []
    go(page, "Create")
    page.get_by_label("What is it a picture of?").focus()
    for _ in range(25):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "generate-run":
            break
    page.keyboard.press("Enter")
    page.locator("#generate-view .result").wait_for()


def test_dark_is_dark(opened):
    page = opened(color_scheme="dark")
    finished(page, "generate")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, re.findall(r"\d+", paper)[:3])) < 150
    shot(page, "dark")
