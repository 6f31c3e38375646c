"""Hints from files of other programs: every unit, both layouts, metric and aligned, and what cannot be taken."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import precompute_depth_hints
from core.datasets.hints import foreign, picture
from core.datasets.hints.files import read_coded, read_hint
from core.errors import UserError
from core.options.hints import UNITS
from tests.core.datasets.hints.test_making import (
    DRIVE,
    HEIGHT,
    SCRIPT,
    SHIFT,
    SIZE,
    WIDTH,
    path_of,
    write_pair,
)
from tests.scripts import assert_says, refused, succeeds

METRES = 5.4  # in a unit of the network
NUMERATOR = 0.58 * WIDTH * 0.1


def depth(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Metres, 3 to 80, a corner of it unknown."""
    made = np.exp(np.random.default_rng(0).uniform(np.log(3), np.log(80), (height, width))).astype(np.float32)
    made[:5, :7] = 0
    return made


@pytest.fixture
def root(tmp_path):
    write_pair(tmp_path / "kitti", 0, SHIFT)
    (tmp_path / "list.txt").write_text(f"{DRIVE} 0 l\n{DRIVE} 0 r\n")
    return tmp_path / "kitti"


def words(root: Path, *more: object) -> list[object]:
    where = ["--data_path", root, "--split", root.parent / "list.txt", "--from", root.parent / "files"]
    return [*where, *SIZE, "--num_workers", 1, *more]


def made(root: Path, values: np.ndarray, *more: object, name: str = "a.npy") -> np.ndarray:
    """The left hint of these files; those of the folder are the lines' in their order."""
    folder = root.parent / "files"
    folder.mkdir(exist_ok=True)
    for path in (folder / name, folder / f"b{Path(name).suffix}"):
        if path.suffix == ".npy":
            np.save(path, values)
        elif path.suffix == ".npz":
            np.savez(path, values)
        else:
            Image.fromarray(values).save(path)
    succeeds(SCRIPT, *words(root, *more, "--overwrite"), here=True)
    return read_hint(path_of(root / "depth_hints", 2, 0, ""))[0]


def assert_depth(found: np.ndarray, expected: np.ndarray, within: float) -> None:
    """Equal where something is known, and there alone."""
    np.testing.assert_array_equal(found > 0, expected > 0)
    known = expected > 0
    assert np.abs(found[known] * METRES / expected[known] - 1).max() < within


@pytest.mark.parametrize("unit", list(UNITS))
def test_every_unit_gives_the_same_depth(root, unit):
    """In files twice as wide as the hints."""
    whole = np.kron(depth(), np.ones((2, 2), np.float32))
    safe = np.where(whole > 0, whole, 1)
    disparity = NUMERATOR * METRES / safe * 2  # pixels of these files
    values = {
        "metres": safe,
        "millimetres": safe * 1000,
        "metres_256": safe * 256,
        "pixels": disparity,
        "pixels_16": disparity * 16,
        "pixels_256": disparity * 256,
        "inverse_metres": 1 / safe,
    }[unit]
    found = made(root, np.where(whole > 0, values, np.nan).astype(np.float32), "--unit", unit)
    assert_depth(found, depth(), 3e-4)
    step = read_coded(path_of(root / "depth_hints", 2, 0, "")).step
    assert step == pytest.approx(NUMERATOR * METRES / depth()[depth() > 0].min() / 65535)


def test_sixteen_bit_images_and_npz(root):
    found = made(root, np.rint(depth() * 256).astype(np.uint16), "--unit", "metres_256", name="a.png")
    assert_depth(found, depth(), 2e-3)
    for file in (root.parent / "files").iterdir():
        file.unlink()
    assert_depth(made(root, depth(), "--unit", "metres", name="a.npz"), depth(), 3e-4)
    half = made(root, depth(), "--unit", "metres", "--baseline", 1.08, name="a.npz")
    assert_depth(half * 2, depth(), 3e-4)


def test_points_of_a_scanner_stay(root):
    """A sparse map of four times the size: every point is there, where none falls on another."""
    points = np.zeros((4 * HEIGHT, 4 * WIDTH), np.float32)
    points[1::8, 3::12] = 7.5
    points[1, 3] = 60
    found = made(root, points, "--unit", "metres") * METRES
    assert np.count_nonzero(found) == np.count_nonzero(points)
    assert found[0, 0] == pytest.approx(60, rel=1e-4) and found[2, 3] == pytest.approx(7.5, rel=1e-4)


def test_a_tree_and_its_kitti_forms(root):
    tree = root.parent / "files"
    for kind, frames in (("", depth()), ("data/", depth() * 2)):
        (tree / DRIVE / "image_02" / kind).mkdir(parents=True)
        np.save(path_of(tree, 2, 0, kind).with_suffix(".npy"), frames)
    annotated = tree / DRIVE / "proj_depth" / "groundtruth" / "image_03" / "0000000000.npy"
    annotated.parent.mkdir(parents=True)
    np.save(annotated, depth() * 3)
    said = succeeds(SCRIPT, *words(root, "--unit", "metres"), here=True)
    assert_says(said, "2 hints made", "within", "pixel of those given")
    assert_depth(read_hint(path_of(root / "depth_hints", 2, 0, ""))[0], depth(), 3e-4)
    assert_depth(read_hint(path_of(root / "depth_hints", 3, 0, ""))[0], depth() * 3, 3e-4)
    annotated.unlink()
    with pytest.raises(UserError, match=r"1 of 2 hints could not be made: .* 0 r: .*image_03.*no such file"):
        precompute_depth_hints.main([str(word) for word in words(root, "--unit", "metres", "--overwrite")])


def test_depth_up_to_scale_is_brought_to_the_matched_one(root):
    """Everything is as far as the disparity of the pair says, in whatever unit."""
    flat = np.full((HEIGHT, WIDTH), 321.0, np.float32)
    flat[::2, ::7] = 642  # twice as far
    found = made(root, flat, "--unit", "metres", "--up_to_scale")
    assert np.median(found) == pytest.approx(NUMERATOR / SHIFT, rel=0.02)
    assert (found[flat == 642] / np.median(found)).mean() == pytest.approx(2, rel=1e-3)
    inverse = made(root, 1 / flat, "--unit", "inverse_metres", "--up_to_scale")
    np.testing.assert_allclose(inverse, found, rtol=1e-3)


def test_scale_is_the_median_of_ratios():
    matched = np.random.default_rng(0).uniform(2, 60, (20, 30)).astype(np.float32)
    own = matched / 4
    own[:6] = 1  # 30 % of it is wrong
    matched[:, :3], own[:, 3:5] = 0, np.nan
    found = foreign.scaled(own, matched)
    np.testing.assert_allclose(found[6:, 5:], matched[6:, 5:], rtol=1e-6)
    assert np.isnan(found[:, 3:5]).all() and not np.isnan(found[:, :3]).any()
    with pytest.raises(UserError, match="cannot be aligned: 0 pixels"):
        foreign.scaled(own, matched * 0)


def test_scale_and_shift_withstand_wrong_pixels():
    """A relative inverse depth, also below 0, 10 % of whose matches are anywhere."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 60, (40, 60)).astype(np.float32)
    matched = truth + rng.uniform(-0.1, 0.1, truth.shape).astype(np.float32)
    matched = np.where(rng.random(truth.shape) < 0.1, rng.uniform(1, 160, truth.shape), matched)
    found = foreign.scaled_and_shifted((truth - 30) / 250, matched.astype(np.float32))
    assert np.abs(found - truth).max() < 1.0 and np.median(np.abs(found - truth)) < 0.3
    for wrong, says in ((-truth, "grows with distance"), (truth * 0, "is the same everywhere")):
        with pytest.raises(UserError, match=says):
            foreign.scaled_and_shifted(wrong, truth)


def test_zeros_are_values_where_the_shift_is_unknown():
    pixels = foreign.Pixels("inverse_metres", 10.0, 4, None)
    values = np.array([[0, -1, np.nan, 2]], np.float32)
    np.testing.assert_array_equal(np.isnan(pixels.disparity(values)), [[True, True, True, False]])
    np.testing.assert_array_equal(np.isnan(pixels.disparity(values, True)), [[False, False, True, False]])


def test_what_cannot_be_taken(root):
    folder = root.parent / "files"
    folder.mkdir()

    def says(*parts: object, unit: str = "metres") -> None:
        message = refused(SCRIPT, *words(root, "--unit", unit), folder=folder, here=True)
        assert_says(message, *parts)

    np.save(folder / "a.npy", depth())
    says("1 files of depth, but the split has 2 lines")
    np.save(folder / "b.npy", depth()[None, None])
    with pytest.raises(UserError, match=r"1 of 2 .* 0 r: .*b\.npy: holds float32 .* not a depth map"):
        precompute_depth_hints.main([str(word) for word in words(root, "--unit", "metres")])
    (folder / "c.png").touch()
    says("holds .npy and .png files")


def test_a_picture_shows_near_and_unknown():
    hint, truth = np.full((16, 24), 4.0, np.float32), np.zeros((32, 48), np.float32)
    hint[:, :8], hint[:, 8:12] = 0, 2
    truth[1::8, 20::4] = 4
    image = np.full((32, 48, 3), 200, np.uint8)
    painted = picture.paint(image, hint, truth)
    assert painted.shape == (48, 24, 3) and (painted[:16] == 200).all()
    assert (painted[16:32, :8] == 0).all()
    assert painted[20, 10].sum() > painted[20, 20].sum() > 0  # the nearer is lighter
    assert picture.paint(image, hint, None).shape == (32, 24, 3)
    assert_says(picture.compare(hint, truth), "of 28 measured pixels the hint knows 100%", "above 10 % at")
    assert_says(picture.compare(hint * 0, truth), "knows none")
