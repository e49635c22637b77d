"""The page in a real browser: what can go wrong, what is cancelled, what a link brings, and who can use it."""

import io
import re
import threading
import time
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from browsing import filled, finished, go
from duckrabbit.errors import UserError
from duckrabbit.studio.forms.kinds import KINDS
from duckrabbit.studio.queue.desk import Ticket
from studio_forms import address, create

LONG = address(create("a red circle", model="oracle", steps=500, count=16, seed=5))
MADE = [kind.name for kind in KINDS.values() if kind.tab and kind.name != "curves"]


@pytest.fixture
def gate(monkeypatch):
    """While it is not set, nothing that runs gets any further."""
    held, step = threading.Event(), Ticket.step
    held.set()

    def waiting(ticket, preview):
        held.wait(20)
        step(ticket, preview)

    monkeypatch.setattr(Ticket, "step", waiting)
    yield held
    held.set()


@pytest.fixture
def unhurried(monkeypatch):
    """LONG takes ten seconds or more, however fast the machine is."""
    step = Ticket.step

    def slowly(ticket, preview):
        time.sleep(0.02)
        step(ticket, preview)

    monkeypatch.setattr(Ticket, "step", slowly)


@pytest.fixture
def white_half(http):
    """The name of a mask, its left half white."""
    mask = Image.new("L", (256, 256))
    mask.paste(255, (0, 0, 128, 256))
    buffer = io.BytesIO()
    mask.save(buffer, format="PNG")
    return http.post("/pictures", content=buffer.getvalue()).json()["name"]


@pytest.mark.parametrize("kind", MADE)
def test_every_tab_is_cancelled_fails_and_comes_back_from_its_link(opened, studio, gate, monkeypatch, white_half, kind):
    model = "" if KINDS[kind].tab == "digits" else "&model=oracle"
    mask = f"&mask={white_half}" if kind == "inpaint" else ""
    page = opened(f"/?make={kind}&seed=7&count=1&steps=8{model}{mask}")
    view = page.locator(f"#{kind}-view")
    gate.clear()
    page.click(f"#{kind}-run")
    view.get_by_text(re.compile("move 0 of")).wait_for()
    (running,) = studio.desk.running
    page.click(f"#{kind}-stop")
    assert running.stopping.wait(10)
    gate.set()
    view.get_by_text(re.compile(r"Cancelled after 0 of \d+ moves")).wait_for()
    with monkeypatch.context() as broken:
        broken.setattr(studio.shelf, "put", full)
        page.click(f"#{kind}-run")
        view.get_by_role("alert").wait_for()
        assert "The disk is full" in view.inner_text()
    finished(page, kind)
    again = opened("/?" + urlsplit(page.url).query)
    finished(again, kind)
    first, second = studio.shelf.items()[:2]
    assert first.facts["settings"] == second.facts["settings"]
    assert first.facts["settings"]["seed"] == 7
    assert again.locator(f"#{kind}-view pre").inner_text() == page.locator(f"#{kind}-view pre").inner_text()


def full(*_):
    raise UserError("The disk is full; make room.")


def test_curves_are_cancelled_before_they_begin(opened, studio, gate):
    page = opened("/?make=curves")
    gate.clear()
    before = studio.desk.submit(create("a red circle", model="oracle"))
    page.click("#curves-run")
    page.get_by_text("1 ahead of you").wait_for()
    page.click("#curves-stop")
    page.get_by_text("Cancelled before it began.").wait_for()
    studio.desk.stop(before.id)
    gate.set()
    finished(page, "curves")
    again = opened("/?" + urlsplit(page.url).query)
    finished(again, "curves")


@pytest.mark.parametrize(("kind", "setting"), [("denoise", "t"), ("one_step", "sigma"), ("from_t", "t")])
def test_a_slider_runs_when_it_is_let_go_and_only_its_last_place_counts(opened, studio, gate, kind, setting):
    model = "&model=oracle" if kind == "denoise" else ""
    page = opened(f"/?make={kind}{model}")
    page.wait_for_selector(f"[data-box={kind}-image].full")
    slider = page.locator(f"#{kind}-{setting} input[type=range]")
    before = {t.id for t in studio.desk.tickets}
    gate.clear()
    slider.focus()
    for key in ("ArrowRight", "ArrowRight", "Home"):  # by keys
        page.keyboard.press(key)
        page.wait_for_timeout(250)
    box = slider.bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + box["height"] / 2, steps=6)  # dragging asks for nothing
    page.wait_for_timeout(250)
    asked = [t for t in studio.desk.tickets if t.id not in before]
    assert len(asked) == 3
    page.mouse.up()
    while len(asked) < 4:
        page.wait_for_timeout(50)
        asked = [t for t in studio.desk.tickets if t.id not in before]
    gate.set()
    page.locator(f"#{kind}-view .result").wait_for()
    last = getattr(asked[-1].form.request, setting)[0]
    assert f"{setting} = {last:g}" in page.locator(f"#{kind}-view").inner_text()
    assert [t.state for t in asked] == ["stopped"] * 3 + ["done"]
    made = {t.item for t in asked if t.item}  # others may have put something on the same shelf meanwhile
    assert len(made & {item.id for item in studio.shelf.items()}) == len(made) == 1
    assert parse_qs(urlsplit(page.url).query)[setting] == [f"{last:g}"]
    assert page.locator(f"#{kind}-run").is_enabled()


def test_a_picture_is_pasted_with_its_keys(opened, studio):
    page = opened("/?make=edit&model=oracle")
    page.wait_for_selector("[data-box=edit-image].full")
    before = page.input_value("#edit-image textarea")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=studio.address)
    page.evaluate(
        """async () => {
        const canvas = Object.assign(document.createElement('canvas'), { width: 48, height: 90 });
        canvas.getContext('2d').fillStyle = '#123456';
        canvas.getContext('2d').fillRect(0, 0, 48, 90);
        const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
        await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
    }"""
    )
    page.locator("[data-box=edit-image] canvas.picture").focus()
    page.keyboard.press("Control+V")
    page.wait_for_function("old => document.querySelector('#edit-image textarea').value !== old", arg=before)
    name = page.input_value("#edit-image textarea")
    with Image.open(studio.shelf.inputs / name) as kept:
        assert (kept.size, kept.getpixel((20, 20))) == ((48, 48), (0x12, 0x34, 0x56))
    pad = page.locator("[data-box=edit-image]")
    pad.get_by_label("All of it, with a border").check()
    page.wait_for_function("old => document.querySelector('#edit-image textarea').value !== old", arg=name)
    with Image.open(studio.shelf.inputs / page.input_value("#edit-image textarea")) as kept:
        assert kept.size == (90, 90)
    framed = page.input_value("#edit-image textarea")
    pad.locator(".sample").first.click()
    pad.get_by_role("button", name="Paste").click()  # the button does the same, and remembers the choice
    page.wait_for_function("name => document.querySelector('#edit-image textarea').value === name", arg=framed)
    pad.locator(".sample").first.click()
    assert not pad.get_by_text("It is not square").is_visible()


def test_the_first_picture_is_there_within_five_seconds(opened):
    """On the model that comes with the package: the first state that shows something, and the whole picture, timed."""
    page = opened("/?make=generate&model=miniature")
    began = time.monotonic()
    page.click("#generate-run")
    page.locator("#generate-view img").first.wait_for()
    assert time.monotonic() - began < 5
    page.locator("#generate-view .result").wait_for()


def test_a_link_reproduces_the_page(opened, studio):
    page = opened()
    page.get_by_label("What is it a picture of?").fill("a green square")
    page.get_by_label("Seed").first.fill("42")
    finished(page, "generate")
    page.wait_for_function("location.search.includes('seed=42')")
    query = parse_qs(urlsplit(page.url).query)
    assert (query["make"], query["prompts"], query["model"]) == (["generate"], ["a green square"], ["oracle"])
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


@pytest.mark.usefixtures("unhurried")
def test_the_picture_forms_and_is_cancelled(opened, studio):
    page = opened("/" + LONG)
    page.click("#generate-run")
    page.locator("#generate-view img.forming").wait_for()
    page.locator("#generate-run:disabled").wait_for()
    (running,) = studio.desk.running
    page.click("#generate-stop")
    page.get_by_text("Cancelled after").wait_for()
    assert running.state == "stopped"
    assert 0 < running.move < 500
    page.locator("#generate-run:enabled").wait_for()


@pytest.mark.usefixtures("unhurried")
def test_the_place_in_the_queue_is_told(opened, studio):
    page = opened("/" + LONG)
    ahead = [studio.desk.submit(create("a red circle", model="oracle", steps=500, count=16, seed=9 + k)) for k in range(2)]  # fmt: skip  # noqa: E501
    page.click("#generate-run")
    page.get_by_text(re.compile(r"[12] ahead of you, about \d+ s")).wait_for()
    for ticket in ahead:
        studio.desk.stop(ticket.id)
    page.locator("#generate-view img.forming").wait_for()
    page.click("#generate-stop")
    page.get_by_text("Cancelled after").wait_for()


def test_a_failure_is_told_and_the_next_one_runs(opened):
    page = opened()
    words = 'a <b>purple</b> <meta http-equiv="refresh" content="0;url=/x"> dinosaur'
    page.get_by_label("What is it a picture of?").fill(words)
    page.click("#generate-run")
    alert = page.locator("#generate-view [role=alert]")
    alert.wait_for()
    assert f"knows no prompt '{words}'" in alert.inner_text()
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
    page.wait_for_function("document.querySelector('[aria-label*=\"Guidance scale\"]').value === '3'")
    assert page.get_by_label("What is it a picture of?").input_value() == "my own words"


TABS = {
    "generate": "Create", "denoise": "Denoise", "edit": "Edit", "inpaint": "Inpaint", "anagram": "Illusions",
    "hybrid": "Illusions", "factorized": "Illusions",
    "digits": "Digits", "one_step": "Digits", "from_t": "Digits", "digit_anagram": "Digits",
    "curves": "Digits",
}  # fmt: skip


@pytest.mark.parametrize("kind", TABS)
def test_every_tab_is_named_and_walked_by_keyboard(opened, studio, kind):
    """All that is seen has a name; Tab leads from the open tab down to the button, and where it is can be seen."""
    page = opened(f"/?make={kind}" + ("" if KINDS[kind].tab == "digits" else "&model=oracle"))
    page.locator(f"#{kind}-run").wait_for()
    assert page.evaluate(NAMELESS) == []
    page.get_by_role("tab", name=TABS[kind], exact=True).focus()
    walked, asked = [], len(studio.desk.tickets)
    for _ in range(60):
        page.keyboard.press("Tab")
        page.wait_for_timeout(60)  # a list that closes is gone
        walked.append(page.evaluate(FOCUSED))
        if walked[-1]["id"] == f"{kind}-run":
            break
    assert walked[-1]["id"] == f"{kind}-run"
    assert [w for w in walked if not w["seen"]] == []
    tops = [w["top"] for w in walked]
    assert all(b >= a - 60 for a, b in pairwise(tops)), tops  # downwards, but for what is abreast
    assert len(studio.desk.tickets) == asked  # to walk through is not to ask for anything
    page.keyboard.press("Enter")
    page.locator(f"#{kind}-view :is(.result, .message)").wait_for()
    assert page.evaluate(NAMELESS) == []


HERE = Path(__file__).parent
NAMELESS, FOCUSED = ((HERE / name).read_text() for name in ("nameless.js", "focused.js"))


def test_a_digit_is_drawn_by_keyboard(opened):
    page = opened("/?make=one_step")
    pad = page.locator("[data-box=one_step-image]")
    page.wait_for_selector("[data-box=one_step-image].full")
    pad.get_by_text("Clear").click()
    pad.locator("canvas.picture").focus()
    for _ in range(6):
        page.keyboard.press("ArrowDown")
        page.keyboard.press(" ")
    page.wait_for_function("document.querySelector('#one_step-image textarea').value !== ''")
    finished(page, "one_step")
