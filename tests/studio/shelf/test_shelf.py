"""The shelf: what is kept, and that no other path can be meant."""

import io
import os
import threading
import time

import pytest
from PIL import Image

from duckrabbit.errors import UserError
from duckrabbit.studio.forms.plain import form_of, to_settings
from duckrabbit.studio.queue.desk import Ticket
from duckrabbit.studio.shelf.shelf import Shelf
from duckrabbit.studio.shelf.uploads import take
from studio_forms import create
from studio_server import start


def put(shelf, prompt="x"):
    folder = shelf.begin("generate")
    (folder / "01-seed180.png").write_bytes(b"picture")
    form = create(prompt)
    return shelf.put(folder, {"kind": "generate", "settings": to_settings(form), "command": form.command()})


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "shelf")


def test_an_item_is_kept_found_and_deleted(shelf):
    item = put(shelf, "a red circle")
    assert shelf.get(item.id).form == create("a red circle")
    assert [i.id for i in Shelf(shelf.folder).items()] == [item.id]
    assert shelf.file(item.id, "01-seed180.png").read_bytes() == b"picture"
    shelf.delete(item.id)
    assert shelf.items() == []
    assert shelf.get(item.id) is None


def test_what_was_half_made_is_not_kept(shelf):
    (shelf.begin("generate") / "01-seed180.png").write_bytes(b"half")
    assert shelf.items() == []
    assert not list(Shelf(shelf.folder).folder.glob(".making-*"))


@pytest.mark.parametrize("where", ["..", ".", "", "inputs", "inputs/..", "/etc", "20260101-000000-x-aaaaaa/..", "x\0"])
@pytest.mark.parametrize("name", ["passwd", "../secret.png", "secret.png", "item.json", "/etc/passwd", "..", "a\0.png"])
def test_no_other_path_is_meant(shelf, where, name):
    (shelf.folder.parent / "secret.png").write_bytes(b"secret")
    assert shelf.file(where, name) is None


@pytest.mark.parametrize("name", ["..", "inputs", "", ".", "../shelf", "/tmp", "20260101-000000-generate-aaaaaa"])
def test_only_items_are_deleted(shelf, name):
    with pytest.raises(UserError):
        shelf.delete(name)
    assert shelf.inputs.is_dir()


def test_links_out_of_the_shelf_are_not_followed(shelf, tmp_path):
    item = put(shelf)
    (tmp_path / "secret.png").write_bytes(b"secret")
    (shelf.folder / item.id / "link.png").symlink_to(tmp_path / "secret.png")
    assert shelf.file(item.id, "link.png") is None
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (shelf.folder / "20260101-000000-generate-aaaaaa").symlink_to(outside)
    with pytest.raises(UserError):
        shelf.delete("20260101-000000-generate-aaaaaa")
    assert outside.is_dir()


def test_damaged_items_are_left_out(shelf):
    good, bad = put(shelf), put(shelf)
    (shelf.folder / bad.id / "item.json").write_text("{")
    assert [i.id for i in shelf.items()] == [good.id]


def given(shelf, shade):
    """The name of an uploaded picture, all of one shade."""
    buffer = io.BytesIO()
    Image.new("L", (16, 16), shade).save(buffer, format="PNG")
    return take(shelf, buffer.getvalue()).name


def test_room_is_made_for_new_pictures_but_not_of_those_that_are_needed(shelf, monkeypatch):
    monkeypatch.setattr("duckrabbit.studio.shelf.shelf.MOST_INPUTS", 3)
    needed = [given(shelf, shade) for shade in (1, 2)]
    shelf.needed = lambda: needed
    names = []
    for shade in range(10, 17):
        names.append(given(shelf, shade))
        os.utime(shelf.inputs / names[-1], (shade, shade))  # as long ago as its shade says
    again = given(shelf, 14)
    assert again == names[4]
    names.append(given(shelf, 17))
    assert {p.name for p in shelf.inputs.iterdir()} == {*needed, again, names[-2], names[-1]}
    assert {p.stem for p in shelf.size(again).parent.iterdir()} == {p.stem for p in shelf.inputs.iterdir()}


def test_a_studio_keeps_its_own_pictures_and_those_of_jobs_that_wait(tmp_path, monkeypatch):
    monkeypatch.setattr("duckrabbit.studio.shelf.shelf.MOST_INPUTS", 2)
    go = threading.Event()
    monkeypatch.setattr(Ticket, "step", lambda ticket, preview: go.wait(30))
    running = start(tmp_path)
    try:
        own = {p.name for p in running.shelf.inputs.iterdir()}
        asked = given(running.shelf, 7)
        tickets = [
            running.desk.submit(form_of("denoise", {"image": name, "model": "oracle"}))
            for name in (sorted(own)[0], asked)
        ]
        later = [given(running.shelf, shade) for shade in range(20, 26)]
        assert {p.name for p in running.shelf.inputs.iterdir()} == {*own, asked, *later[-2:]}
        go.set()
        while not all(ticket.finished for ticket in tickets):
            time.sleep(0.02)
        assert [ticket.state for ticket in tickets] == ["done", "done"]
        given(running.shelf, 30)
        assert asked not in {p.name for p in running.shelf.inputs.iterdir()}
    finally:
        go.set()
        running.end()


def test_what_cannot_be_deleted_says_why(shelf, monkeypatch):
    item = put(shelf)

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", denied)
    with pytest.raises(UserError, match=f"{item.id} cannot be deleted: Permission denied"):
        shelf.delete(item.id)
