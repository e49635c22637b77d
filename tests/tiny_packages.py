"""Packages of a handful of drawings in the layout of the real ones, and sources that know them."""

import copy
import gzip
import io
import json
import tarfile

from PIL import Image, ImageDraw

from duckrabbit.data.drawings import sources
from duckrabbit.data.drawings.packages import integrity

EMOJI = {  # label: code, group, subgroup, shortcodes
    "cat": ("1F408", 3, 31, ["cat2"]),
    "cat face": ("1F431", 3, 31, ["cat"]),
    "red apple": ("1F34E", 4, 41, ["apple"]),
    "green apple": ("1F34F", 4, 41, ["green_apple"]),
    "automobile": ("1F697", 5, 51, ["car", "red_car"]),
    "waving hand": ("1F44B", 1, 11, ["wave"]),
    "red heart": ("2764-FE0F", 0, 1, ["heart"]),
    "abacus": ("1F9EE", 7, 71, ["counting_frame", "abacus"]),
    "lotion bottle": ("1F9F4", 7, 71, ["squeeze_bottle"]),
    "flag: France": ("1F1EB-1F1F7", 9, 99, ["france"]),
    "A button (blood type)": ("1F170-FE0F", 8, 81, ["a"]),
}
GROUPS = {0: "smileys-emotion", 1: "people-body", 2: "component", 3: "animals-nature", 4: "food-drink"}
GROUPS |= {5: "travel-places", 7: "objects", 8: "symbols", 9: "flags"}
SUBGROUPS = {1: "heart", 11: "hand", 31: "animal", 41: "fruit", 51: "transport", 71: "tool", 81: "alphanum"}
SUBGROUPS[99] = "country-flag"
DRAWN = ["cat", "cat-face", "red-apple", "green-apple", "automobile", "red-heart", "abacus", "lotion-bottle"]
FAMILIES = ("noto", "twemoji", "fluent-emoji-3d", "emojione-monotone", "fxemoji", "openmoji")


def shape(number, family):
    """A drawing unlike the others: a circle and a bar, whose place and colour tell which it is."""
    x, y = 20 + 60 * (number % 3) / 2, 20 + 60 * (number // 3) / 3
    own = sum(map(ord, family))
    colour = "#000" if "monotone" in family else f"hsl({47 * number + 90 * own}, 70%, 45%)"
    return (
        f'<circle cx="{x:g}" cy="{y:g}" r="{12 + number + own % 7}" fill="{colour}"/>'
        f'<rect x="5" y="{95 - 5 * number}" width="{10 + 5 * number}" height="8" fill="#333"/>'
        f'<rect x="{own % 83}" y="5" width="16" height="16" fill="#777"/>'
    )


def packed(files):
    """A package as npm packs it: a gzipped tar with every member under package/."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in files.items():
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(file.getvalue(), mtime=0)


def emojibase():
    entries = [
        {"label": label, "hexcode": code, "emoji": label, "tags": [], "order": i, "group": group, "subgroup": subgroup}
        for i, (label, (code, group, subgroup, _)) in enumerate(EMOJI.items())
    ]
    messages = {
        "groups": [{"order": k, "key": v} for k, v in GROUPS.items()],
        "subgroups": [{"order": k, "key": v} for k, v in SUBGROUPS.items()],
    }
    files = {"en/data.json": entries, "en/messages.json": messages}
    for name in ("cldr", "emojibase", "iamcal", "github", "joypixels"):
        codes = {code: names[0] if len(names) == 1 else names for code, _, _, names in EMOJI.values()}
        files[f"en/shortcodes/{name}.json"] = codes
    return packed(files)


def icon_set(family, extra=()):
    """An Iconify set: the eight drawings, a hand in all tones, what must be left out, and `extra` icons."""
    icons = {f"{name}": {"body": shape(i, family)} for i, name in enumerate(DRAWN)}
    for i, tone in enumerate(["", "-light-skin-tone", "-medium-light-skin-tone", "-medium-skin-tone"]):
        icons[f"waving-hand{tone}"] = {"body": shape(8 + i, family)}
    for i, tone in enumerate(["-medium-dark-skin-tone", "-dark-skin-tone"]):
        icons[f"waving-hand{tone}"] = {"body": shape(12 + i, family)}
    icons["flag-france"] = {"body": shape(3, family)}
    icons["nothing-known"] = {"body": shape(4, family)}
    icons["a-button-blood-type"] = {"body": shape(5, family)}
    icons["abacus-old"] = {"body": shape(6, family), "hidden": True}
    icons.update(extra)
    chars = {EMOJI["cat"][0].lower(): "cat", "1f1eb-1f1f7": "flag-france"} if family == "noto" else {}
    return packed({"icons.json": {"icons": icons, "width": 100, "height": 100}, "chars.json": chars})


def pictures():
    """Pictures named by code point, as WebP with transparency."""
    files = {}
    for i, (code, *_) in enumerate(EMOJI.values()):
        image = Image.new("RGBA", (64, 64))
        ImageDraw.Draw(image).ellipse((4 + i, 4, 40 + i, 30 + 3 * i), fill=(20 * i, 90, 200 - 15 * i, 255))
        file = io.BytesIO()
        image.save(file, format="WEBP", lossless=True)
        files[f"assets/{code.lower()}.webp"] = file.getvalue()
    return packed(files)


def write(folder, extra=None):
    """All archives into `folder`; returns what sources.toml would say of them. extra: icons of one family."""
    known = copy.deepcopy(sources._sources())
    known["drawings"] = {name: known["drawings"][name] for name in FAMILIES}
    folder.mkdir(parents=True, exist_ok=True)
    for name, entry in (*known["drawings"].items(), *known["words"].items()):
        if name == "emojibase":
            content = emojibase()
        elif name == "fluent-emoji-3d":
            content = pictures()
        else:
            content = icon_set(name, (extra or {}).get(name, ()))
        entry["integrity"] = integrity(content)
        archive = f"{entry['package'].removeprefix('@').replace('/', '-')}-{entry['version']}.tgz"
        (folder / archive).write_bytes(content)
    return known


def use(known, setattr_):
    """Let the sources be those of `known`, as `setattr_` (monkeypatch.setattr, or setattr) puts them there."""
    setattr_(sources, "_sources", lambda: known)
    sources.families.cache_clear()
    sources.words.cache_clear()
