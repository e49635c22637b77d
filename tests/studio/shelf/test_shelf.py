"""The shelf: what is kept, and that no other path can be meant."""

import pytest

from duckrabbit.errors import UserError
from duckrabbit.studio.forms.plain import to_settings
from duckrabbit.studio.shelf.shelf import Shelf
from studio_forms import create


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
