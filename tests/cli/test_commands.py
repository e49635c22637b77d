"""Every command from beginning to end, as it is typed, on the oracle."""

import json

import pytest
from PIL import Image

from duckrabbit.tasks.pictures import as_picture
from samples import pixels, read, save


@pytest.fixture(autouse=True)
def files(tmp_path):
    save(tmp_path / "photo.png", pixels(32))
    mask = pixels(32)[..., 0] * 0
    mask[8:24, 8:24] = 255
    save(tmp_path / "mask.png", mask)


RUNS = {
    "generate": (["a red circle", "a blue cross", "--steps", "2,4"], 4),
    "generate with and without guidance": (["a red circle", "--guidance-scale", "1,3"], 2),
    "edit": (["photo.png", "--start", "1,3"], 2),
    "edit by strength": (["photo.png", "--strength", "0.5", "--prompt", "a red circle"], 1),
    "edit into an anagram": (
        ["photo.png", "--start", "2", "--prompt", "a red circle", "--prompt", "a blue cross", "--view", "flip"], 1,
    ),
    "inpaint": (["photo.png", "mask.png", "--prompt", "a red circle"], 1),
    "inpaint a box": (["photo.png", "--box", "4,4,20,20", "--jump", "3", "--resample", "2"], 1),
    "inpaint cleanly": (["photo.png", "mask.png", "--how", "clean"], 1),
    "anagram": (["a red circle", "a blue cross", "--view", "rotate_90"], 1),
    "anagram of three": (["a red circle", "a blue cross", "a cross", "--view", "flip", "--view", "negate"], 1),
    "hybrid": (["--low", "a red circle", "--high", "a blue cross"], 1),
    "hybrid of a picture": (["--image", "photo.png", "--high", "a blue cross"], 1),
    "denoise": (["photo.png", "--t", "250,500"], 4),
}  # fmt: skip


@pytest.mark.parametrize("run", RUNS)
def test_a_command_writes_pictures_records_and_a_sheet(cli, tmp_path, run):
    words, jobs = RUNS[run]
    steps = [] if "--steps" in words else ["--steps", "5"]
    count = [] if run == "denoise" else ["--count", "2"]
    result = cli(run.split()[0], *words, *steps, *count, "--model", "oracle", "--out", "made")
    assert result.code == 0, result.err
    assert result.out.strip() == "made/sheet.png"
    seeds = 1 if run == "denoise" else 2
    pictures = [name for name in result.written if "-seed" in name]
    assert len(pictures) == jobs * seeds
    assert len([name for name in result.written if name.endswith(".json")]) == jobs
    for name in pictures:
        with Image.open(tmp_path / name) as image:
            assert image.size == (32, 32)
            assert json.loads(image.text["duckrabbit"])["model"]["name"] == "oracle"
    sheet = read(tmp_path / "made" / "sheet.png")
    assert sheet.shape[0] > 192
    assert sheet.std() > 10
    assert not [name for name in result.written if name.startswith("made/.")]


def test_the_written_picture_keeps_the_known_pixels(cli, tmp_path):
    result = cli("inpaint", "photo.png", "mask.png", "--model", "oracle", "--steps", "5", "--out", "made")
    made, mask = read(tmp_path / "made" / "01-seed180.png"), read(tmp_path / "mask.png")[..., 0]
    assert result.code == 0
    assert (made[mask == 0] == pixels(32)[mask == 0]).all()


def test_noise_writes_each_noisy_picture(cli, tmp_path):
    result = cli("noise", "photo.png", "--t", "0,500,999", "--model", "oracle", "--out", "made")
    assert result.code == 0
    assert [n for n in result.written if n.endswith(".png")] == [
        *(f"made/{k}-seed180.png" for k in ("01", "02", "03")),
        "made/sheet.png",
    ]
    assert abs(read(tmp_path / "made/01-seed180.png").astype(int) - pixels(32)).max() <= 10
    assert abs(read(tmp_path / "made/03-seed180.png").astype(int) - pixels(32)).max() > 100
    assert cli("replay", "made/02.json").out == "the same, to the pixel\n"
    with Image.open(tmp_path / "made/sheet.png") as sheet:
        assert [r["title"] for r in json.loads(sheet.text["duckrabbit-sheet"])] == ["t = 0", "t = 500", "t = 999"]


@pytest.mark.parametrize(
    "words",
    [
        ["noise", "photo.png", "--steps", "5"],
        ["noise", "photo.png", "--count", "2"],
        ["denoise", "photo.png", "--count", "2"],
        ["upscale", "photo.png", "--steps", "5"],
    ],
)
def test_an_option_that_would_change_nothing_is_refused(cli, words):
    result = cli(*words, "--model", "oracle", "--out", "made")
    assert result.code == 2
    assert "it would change nothing" in result.err
    assert not result.written


def test_denoise_writes_a_film_of_every_state(cli, tmp_path):
    result = cli("denoise", "photo.png", "--t", "300", "--model", "oracle", "--steps", "20", "--out", "made")
    assert "made/denoise-t300.gif" in result.written
    with Image.open(tmp_path / "made" / "denoise-t300.gif") as film:
        assert film.n_frames >= 2
        assert film.size == (256, 256)


def test_upscale_on_a_cascade(cli, tmp_path, cascade_folder):
    result = cli(
        "upscale", "photo.png", "--prompt", "a cat", "--model", cascade_folder, "--steps-stage2", "2", "--out", "made"
    )
    assert result.code == 0, result.err
    assert read(tmp_path / "made" / "01-seed180.png").shape == (32, 32, 3)


def test_a_folder_is_made_for_every_run(cli):
    for k in (1, 2):
        result = cli("generate", "a cross", "--model", "oracle", "--steps", "1")
        assert result.out.strip() == f"out/generate-00{k}/sheet.png"


def test_seeds_follow_one_another(cli, tmp_path):
    result = cli(
        "generate", "a cross", "--model", "oracle", "--steps", "2", "--seed", "5", "--count", "3", "--out", "a"
    )
    assert {n for n in result.written if "seed" in n} == {f"a/01-seed{s}.png" for s in (5, 6, 7)}
    cli("generate", "a cross", "--model", "oracle", "--steps", "2", "--seed", "6", "--out", "b")
    assert abs(read(tmp_path / "a/01-seed6.png").astype(int) - read(tmp_path / "b/01-seed6.png")).max() <= 1


def test_the_course_preset_from_the_command_line(cli, tmp_path):
    result = cli("generate", "a cross", "--model", "oracle", "--preset", "cs180", "--out", "made")
    assert result.code == 0
    record = json.loads((tmp_path / "made" / "01.json").read_text())
    levels = record["stages"][0]["plan"]["levels"]
    assert [level[0] for level in levels] == list(range(990, -1, -30))
    assert record["seeds"] == [180]
    assert record["stages"][0]["guidance"]["scale"] == 7


def test_replay_tells_whether_it_is_the_same(cli, tmp_path):
    cli("generate", "a cross", "--model", "oracle", "--steps", "2", "--out", "made")
    result = cli("replay", "made/01.json")
    assert (result.code, result.out.strip()) == (0, "the same, to the pixel")
    record = json.loads((tmp_path / "made/01.json").read_text())
    record["seeds"], record["threads"] = [9], -1
    (tmp_path / "made/01.json").write_text(json.dumps(record))
    result = cli("replay", "made/01.json")
    assert result.code == 1
    assert "changed since then: threads" in result.out
    assert "not the same: by up to" in result.out


DRY = {
    "generate": ["generate", "a cat", "an old man"],
    "anagram": ["anagram", "a cat", "a house", "--view", "flip"],
    "hybrid": ["hybrid", "--low", "a cat", "--high", "a house"],
    "edit": ["edit", "photo.png", "--start", "1,3"],
    "inpaint": ["inpaint", "photo.png", "mask.png"],
    "upscale": ["upscale", "photo.png"],
    "denoise": ["denoise", "photo.png"],
    "noise": ["noise", "photo.png"],
}


@pytest.mark.parametrize("name", DRY)
def test_a_dry_run_loads_and_writes_nothing(cli, cascade_folder, name, monkeypatch):
    from duckrabbit.models.cascade.memory import Residency

    def refuse(self, part):
        raise AssertionError(f"{part.name} was loaded")

    monkeypatch.setattr(Residency, "use", refuse)
    result = cli(*DRY[name], "--model", cascade_folder, "--dry-run", "--out", "made")
    assert result.code == 0, result.err
    assert result.written == []
    assert "estimated time:" in result.out
    if name == "hybrid":
        assert "100 network calls, at most 3 questions each, 300 pictures" in result.out
        assert "Bands(" in result.out
        assert "LowPass(kernel=33, sigma=2.0)" in result.out
    if name == "anagram":
        assert "50 network calls, at most 4 questions each" in result.out
        assert "Viewed(view=Flip(dim=-2)" in result.out
        assert "Threshold(ratio=0.95, max_value=1.5)" in result.out
        assert "Prompt(condition='a house')" in result.out


def test_the_estimate_is_learned_from_a_run(cli, cascade_folder):
    words = ["generate", "a cat", "--model", cascade_folder, "--steps", "10", "--steps-stage2", "10", "--out", "made"]
    assert "unknown" in cli(*words, "--dry-run").out
    assert cli(*words).code == 0
    assert "estimated time: about" in cli(*words, "--dry-run").out


def test_sizes_other_than_the_models(cli, tmp_path):
    """A wide photo with a camera's rotation: its upright middle square."""
    exif = Image.Exif()
    exif[274] = 6
    save(tmp_path / "wide.jpg", pixels(60, 90), exif=exif)
    assert as_picture(tmp_path / "wide.jpg").shape == (1, 3, 60, 60)
    result = cli("edit", "wide.jpg", "--start", "3", "--model", "oracle", "--steps", "5", "--out", "made")
    assert result.code == 0


def test_what_the_text_encoder_does_not_see_is_told_once_and_recorded(cli, cascade_folder, tmp_path):
    words = ["generate", "red " * 100, "--model", cascade_folder, "--steps", "1,2", "--stage", "1", "--count", "2"]
    result = cli(*words, "--out", "made")
    assert result.code == 0, result.err
    assert result.err.count("longer than 77 tokens") == 1
    assert "indexing errors" not in result.err
    assert "Warning" not in result.err
    for name in ("01.json", "02.json"):
        notes = json.loads((tmp_path / "made" / name).read_text())["notes"]
        assert "what comes after '...red red" in " ".join(notes.values())
    assert "tokens" not in cli(*words, "--out", "again", "--quiet").err


def test_words_that_the_text_encoder_does_not_know_are_named(cli):
    result = cli("generate", "a \u4e00 cat", "--stage", "1", "--steps", "1", "--out", "made")
    assert result.code == 0, result.err
    assert "does not know: \u4e00." in result.err
