"""Views made of pieces, rolled lines and rearranged cells: against the published formulas, and by what they promise."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import duckrabbit as dr
from duckrabbit.errors import UserError
from duckrabbit.guidance import laws
from duckrabbit.guidance.views.between import between
from duckrabbit.guidance.views.columns import Skew, Spiral
from duckrabbit.guidance.views.jigsaw import Jigsaw, cut
from duckrabbit.guidance.views.pixels import Compose, Flip, Rotate
from duckrabbit.guidance.views.rearranged import Rearranged
from duckrabbit.guidance.views.shipped import parse_view
from duckrabbit.guidance.views.turned import Halves, Hinge, InnerCircle, Rings, TurnedTiles
from duckrabbit.tasks.orders import read_order

SQUARE = [InnerCircle(), Rings(), Rings(7), Hinge(), Jigsaw(), Jigsaw(5), TurnedTiles(), TurnedTiles(8, 3), Skew(),
          Skew(-0.7), Spiral(), Spiral(0.2), Halves(), Halves(-2)]  # fmt: skip
ANY = [InnerCircle(), Rings(), Skew(), Spiral(), Halves(), Halves(-2)]


def numbered(height, width):
    """Every pixel its own number, (1, 1, H, W)."""
    return torch.arange(float(height * width)).view(1, 1, height, width)


def naive(height, width, source):
    """The picture whose pixel (row, column) is the one that `source` names, one by one."""
    return torch.tensor([[float(np.ravel_multi_index(source(r, c), (height, width))) for c in range(width)]
                         for r in range(height)]).view(1, 1, height, width)  # fmt: skip


@pytest.mark.parametrize("size", [32, 64, 96, 256])
@pytest.mark.parametrize("view", SQUARE, ids=repr)
def test_every_pixel_is_there_once_and_comes_back(view, size):
    x = numbered(size, size)
    seen = view(x)
    assert torch.equal(seen.flatten().sort().values, x.flatten())
    assert torch.equal(view.inverse(seen), x)
    assert not torch.equal(seen, x)


@pytest.mark.parametrize(("height", "width"), [(32, 48), (96, 64), (34, 66)])
@pytest.mark.parametrize("view", ANY, ids=repr)
def test_some_take_any_shape(view, height, width):
    x = numbered(height, width)
    assert torch.equal(view(x).flatten().sort().values, x.flatten())
    assert torch.equal(view.inverse(view(x)), x)


@pytest.mark.parametrize("view", [Hinge(), Jigsaw(), TurnedTiles()], ids=repr)
def test_others_need_a_square_and_say_so(view):
    with pytest.raises(UserError, match="needs a square picture, not one of 48 x 32"):
        view(numbered(32, 48))


@pytest.mark.parametrize(("size", "radius"), [(64, 24), (256, 96), (1024, 384)])
def test_the_inner_circle_is_the_published_one(size, radius):
    """Half a turn about the middle where (x, y) from it is less than r = 24, 96, 384 of 64, 256, 1024 px."""
    y, x = np.mgrid[:size, :size] - size // 2 + 0.5
    inside = x**2 + y**2 < radius**2
    own = numbered(size, size)[0, 0].numpy()
    expected = np.where(inside, own[::-1, ::-1], own)
    np.testing.assert_array_equal(InnerCircle()(numbered(size, size))[0, 0].numpy(), expected)


@pytest.mark.parametrize(("size", "side"), [(64, 21), (256, 85), (1024, 341)])
def test_the_square_hinge_is_the_published_one(size, side):
    """Nine squares, turned a quarter, the middle one and the corners clockwise; what is left over stays."""
    expected = numbered(size, size)[0, 0].numpy().copy()
    for r in range(3):
        for c in range(3):
            part = (slice(r * side, (r + 1) * side), slice(c * side, (c + 1) * side))
            expected[part] = np.rot90(expected[part], -1 if (r + c) % 2 == 0 else 1)
    np.testing.assert_array_equal(Hinge()(numbered(size, size))[0, 0].numpy(), expected)


@pytest.mark.parametrize("size", [64, 256])
def test_the_skew_is_the_published_one(size):
    """Column i rolled down by int(1.5 (i - w / 2)), round the edge."""
    x = numbered(size, size)
    expected = torch.stack([x[0, 0, :, i].roll(int(1.5 * (i - size // 2))) for i in range(size)], dim=1)
    assert torch.equal(Skew()(x)[0, 0], expected)


def test_rings_turn_every_second_ring_and_leave_the_outermost():
    """Four rings of 8 px in 64: from 16 to 24 px from the middle, and within 8, all is turned."""

    def source(r, c):
        far = ((r - 31.5) ** 2 + (c - 31.5) ** 2) ** 0.5
        return (63 - r, 63 - c) if far < 8 or 16 <= far < 24 else (r, c)

    assert torch.equal(Rings(4)(numbered(64, 64)), naive(64, 64, source))


def test_halves_change_places():
    assert torch.equal(Halves()(numbered(4, 6)), naive(4, 6, lambda r, c: (r, (c + 3) % 6)))
    assert torch.equal(Halves(-2)(numbered(4, 6)), naive(4, 6, lambda r, c: ((r + 2) % 4, c)))
    with pytest.raises(UserError, match="no halves"):
        Halves()(numbered(4, 5))


def test_tiles_turn_in_place_and_none_stays():
    x = numbered(16, 16)
    seen = TurnedTiles(4, 2)(x)
    for r in range(0, 16, 4):
        for c in range(0, 16, 4):
            own, made = x[0, 0, r : r + 4, c : c + 4], seen[0, 0, r : r + 4, c : c + 4]
            assert sum(torch.equal(torch.rot90(own, q), made) for q in (1, 2, 3)) == 1


@given(st.floats(-2, 2), st.integers(3, 20), st.integers(3, 20))
def test_a_spiral_rolls_rings_along_themselves(turns, height, width):
    """Every pixel stays at its distance from the edge, and next to its neighbours of the ring."""
    seen = Spiral(turns)(numbered(height, width))[0, 0].long()
    r, c = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    depth = torch.stack([r, c, height - 1 - r, width - 1 - c]).amin(0)
    assert torch.equal(depth.flatten()[seen.flatten()].view(height, width), depth)
    assert torch.equal(seen[0], numbered(height, width)[0, 0, 0].long())  # the outermost ring stays


@given(st.integers(0, 300), st.sampled_from([16, 32, 64, 96]))
def test_a_jigsaw_lays_whole_pieces_in_the_places_of_whole_pieces(seed, size):
    """What was one piece lies in one place, turned by quarters, and corners go to corners."""
    labels = cut(size)
    seen = Jigsaw(seed)(labels[None, None].float())[0, 0].long()
    goes = {}
    for piece in range(16):
        there = labels[seen == piece].unique()
        assert len(there) == 1  # it fills one place
        goes[piece] = there.item()
    assert sorted(goes.values()) == list(range(16))
    corners, inner = {0, 3, 12, 15}, {5, 6, 9, 10}
    assert {goes[k] for k in corners} == corners
    assert {goes[k] for k in inner} == inner


def test_a_jigsaws_pieces_have_tabs_and_are_alike():
    """Four turns of the cut are the cut; every joint is crossed by a tab; all pieces of a class have one size."""
    labels = cut(64)
    turned = torch.rot90(labels, 1)
    pairs = set(zip(labels.flatten().tolist(), turned.flatten().tolist(), strict=True))
    assert len(pairs) == 16  # a bijection of the names of the pieces
    sizes = torch.bincount(labels.flatten())
    for kind in ([0, 3, 12, 15], [5, 6, 9, 10], [1, 2, 7, 11, 14, 13, 8, 4]):
        assert len({sizes[k].item() for k in kind}) == 1
    grid = torch.arange(16).view(4, 4).repeat_interleave(16, 0).repeat_interleave(16, 1)
    crossed = {
        frozenset(p) for p in zip(labels.flatten().tolist(), grid.flatten().tolist(), strict=True) if len(set(p)) > 1
    }
    assert len(crossed) == 24  # every joint of a 4 x 4


def test_seeds_of_a_jigsaw_differ_and_none_is_the_identity():
    x = numbered(16, 16)
    made = {tuple(Jigsaw(seed)(x).flatten().tolist()) for seed in range(200)}
    assert tuple(x.flatten().tolist()) not in made
    assert len(made) > 190


@pytest.mark.parametrize("view", [*SQUARE, Compose((InnerCircle(), Flip())), Compose((Hinge(), Rotate()))], ids=repr)
def test_what_stages_show_differently_is_within_what_the_view_says(view):
    for small, factor in ((32, 2), (32, 4), (64, 4), (64, 2)):
        large = torch.randn(2, 3, small * factor, small * factor, generator=torch.Generator().manual_seed(0))
        assert laws.resolution(view, large, factor).holds


def test_a_view_that_says_too_little_breaks_law_4():
    class Coy(InnerCircle):
        stage_difference = 0.01

    assert not laws.resolution(Coy(), torch.randn(1, 3, 256, 256)).holds
    rows = {row.law: row for row in dr.check(InnerCircle())}
    assert rows["resolution"].holds
    assert rows["resolution"].tolerance == pytest.approx(0.12)


@pytest.mark.parametrize("view", [InnerCircle(), Rings(), Hinge(), Jigsaw(), TurnedTiles(), Halves()], ids=repr)
def test_pieces_arrive_in_their_places(view):
    """Nearly at the end of the way, a picture without details is nearly the view, but for the seams."""
    x = torch.linspace(-1, 1, 96).view(1, 1, 1, 96).expand(1, 3, 96, 96).contiguous()
    off = (between(view, x, 0.999) - view(x)).abs() > 0.1
    assert off.float().mean() < 0.08
    assert torch.equal(between(view, x, 1.0), view(x))


def test_an_order_is_read_from_an_array_and_out_of_a_picture(tmp_path):
    order = np.random.default_rng(0).permutation(64).reshape(8, 8)
    np.save(tmp_path / "order.npy", order)
    view = read_order(tmp_path / "order.npy")
    x = numbered(8, 8)
    assert torch.equal(view(x)[0, 0].long(), torch.from_numpy(order))
    assert torch.equal(view.inverse(view(x)), x)
    assert laws.resolution(view, torch.randn(1, 3, 32, 32)).holds
    assert view == read_order(tmp_path / "order.npy")
    assert hash(view) == hash(read_order(tmp_path / "order.npy"))
    assert view != Rearranged(torch.from_numpy(order[::-1].copy()))
    grey = np.repeat(np.array([[9, 1], [5, 1]], np.uint8), 4, axis=0).repeat(4, axis=1)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    cells = read_order(tmp_path / "grey.png").order.flatten().numpy()  # from dark to bright, the first first
    assert cells.tolist() == sorted(range(64), key=lambda k: (grey.flatten()[k], k))


@pytest.mark.parametrize("cells", [[[0, 0], [1, 2]], [[0, 1], [2, 4]], [[0.0, 1.0]], [0, 1, 2], [[0]]])
def test_what_is_no_order_is_refused_in_words(tmp_path, cells):
    np.save(tmp_path / "order.npy", np.array(cells))
    with pytest.raises(UserError, match=r"order\.npy.*rows, columns"):
        read_order(tmp_path / "order.npy")


def test_files_that_hold_no_order_are_sentences(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("no")
    (tmp_path / "text.png").write_text("no")
    (tmp_path / "empty.npy").write_bytes(b"")
    with (tmp_path / "several.npy").open("wb") as file:
        np.savez(file, a=np.arange(4), b=np.arange(4))
    for name, cells in (("complex", [[0j, 1j]]), ("truth", [[False, True]]), ("halves", [[0.0, 1.0]])):
        np.save(tmp_path / f"{name}.npy", np.array(cells))
    for path in [*sorted(tmp_path.iterdir()), tmp_path / "gone.npy", tmp_path / "gone.png"]:
        with pytest.raises(UserError, match=path.name):
            read_order(path)


def test_a_picture_is_sorted_in_its_own_depth_upright_and_on_white(tmp_path):
    """16 bits, an EXIF that turns, and transparency: as every picture is read."""
    values = np.random.default_rng(0).permutation(1024).reshape(32, 32)
    Image.fromarray((values * 60).astype(np.uint16)).save(tmp_path / "deep.png")
    assert torch.equal(read_order(tmp_path / "deep.png").order.flatten(), torch.from_numpy(values.flatten().argsort()))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((16, 32, 3), np.uint8)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_order(tmp_path / "turned.jpg").order.shape == (32, 16)
    clear = np.zeros((1, 2, 4), np.uint8)
    clear[0, 1, 3] = 255
    Image.fromarray(clear).resize((16, 8), 0).save(tmp_path / "clear.png")
    first = read_order(tmp_path / "clear.png").order.flatten()[0]
    assert first == 8  # the opaque black before the clear, which lies on white


def test_an_order_that_is_too_large_says_so():
    with pytest.raises(UserError, match="at most 1,048,576 cells, not 1,200,000"):
        Rearranged(torch.arange(1_200_000).view(1200, 1000))


@pytest.mark.parametrize(
    "spec",
    ["jigsaw:seed=99999999999999999999999", "tile_rotation:seed=99999999999999999999", "skew:factor=1e18",
     "spiral:turns=1e300", "patch_permutation:seed=99999999999999999999", "jigsaw:seed=1,seed=2"],
)  # fmt: skip
def test_numbers_that_are_too_large_or_told_twice_are_sentences(spec):
    with pytest.raises(UserError):
        parse_view(spec)


def test_an_order_on_the_command_line_is_kept_in_the_record(cli, tmp_path):
    np.save(tmp_path / "order.npy", np.arange(256).reshape(16, 16)[::-1])
    made = cli("anagram", "a red circle", "a blue cross", "--view", "order.npy", "--model", "oracle", "--steps", "3",
               "--out", "made")  # fmt: skip
    assert made.code == 0, made.err
    (tmp_path / "order.npy").unlink()  # the record has it
    assert "the same, to the pixel" in cli("replay", "made/01-seed180.png").out


def test_options_may_be_fractions():
    assert parse_view("skew:factor=0.5") == Skew(0.5)
    assert parse_view("spiral:turns=-0.25+rings:count=3") == Compose((Spiral(-0.25), Rings(3)))
    with pytest.raises(UserError, match="factor of skew is a number, not 'much'"):
        parse_view("skew:factor=much")
    for spec in ("rings:count=1", "tile_rotation:grid=1", "skew:factor=nan"):
        with pytest.raises(UserError):
            parse_view(spec)


def test_six_views_at_once_are_one_call_a_step():
    """Six questions about one picture, in one round."""
    names = ["identity", "jigsaw", "inner_circle", "square_hinge", "rings", "spiral"]
    model = dr.load("oracle")
    shapes = ("circle", "square", "triangle", "cross")
    job = dr.anagram(model, {name: f"a red {shapes[k % 4]}" for k, name in enumerate(names)}, steps=4, guidance_scale=1)
    (price,) = dr.cost(job)
    assert (price.calls, price.questions) == (4, 6)
    assert dr.run(job).images.isfinite().all()
