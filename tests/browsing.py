"""What people do on the studio's page, for the tests that do it in a browser."""

import os
from pathlib import Path

WIDE, NARROW = (1280, 800), (390, 844)


def filled(page):
    page.wait_for_selector("html[data-ready=yes]")


def outside(page, address, url):
    if not url.startswith((address, "data:", "blob:")):
        page.complaints.append(f"something was asked of {url}")


def go(page, tab):
    found = page.get_by_role("tab", name=tab, exact=True)
    if not found.is_visible():
        page.locator(".overflow-menu button").first.click()
        found = page.locator(".overflow-dropdown").get_by_text(tab, exact=True)
    found.click()


def finished(page, kind):
    """Press the button, and wait for what comes of it: not for what was there before."""
    view = page.locator(f"#{kind}-view")
    view.evaluate("e => e.querySelectorAll('.result').forEach(old => old.classList.add('old'))")
    page.click(f"#{kind}-run")
    view.locator(".result:not(.old)").wait_for()
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


def paint(page, canvas):
    """A zigzag on a canvas, with the mouse."""
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    for k in range(1, 8):
        page.mouse.move(box["x"] + 60 + 15 * k, box["y"] + 60 + 40 * (k % 2))
    page.mouse.up()
