"""Maps made beforehand: loaded where a method needs them, resized and mirrored their own way, told where missing."""

from pathlib import Path

import numpy as np
import pytest

from core.datasets.extras import EXTRAS, Extra
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.options.needs import Listing
from tests.core.kitti_folder import DRIVE, write_drive
from tests.core.samples import open_lines

LINE = SplitLine(DRIVE, 1, "l")


def nearest(array: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns = (
        np.arange(n) * size // n for n, size in zip((height, width), array.shape[-2:], strict=True)
    )
    return array[..., rows[:, None], columns]


def find(root: Path, listing: Listing, line: SplitLine) -> Path:
    return root / f"{line.frame}_{line.camera}.npy"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A drive, and an extra `normal` of two channels, the first of which changes its sign in a mirror."""
    extra = Extra(
        find,
        lambda path, numerator: np.load(path),
        nearest,
        lambda array: array[..., ::-1] * np.array([-1, 1])[:, None, None],
        lambda listing: "make_it.py --now",
        lambda generator, height, width: generator.uniform(1, 2, (2, height, width)),
    )
    monkeypatch.setitem(EXTRAS, "normal", extra)
    root = write_drive(tmp_path)
    np.save(root / "1_2.npy", np.random.default_rng(0).uniform(1, 2, (2, 24, 64)).astype(np.float32))
    return root


def test_an_extra_goes_with_the_image(root):
    dataset = open_lines("kitti", root, [LINE], extras=("normal",), augment=True)
    plain = np.load(root / "1_2.npy")
    flips = {dataset.augmentation((epoch, 0)).mirrored: epoch for epoch in range(20)}
    np.testing.assert_array_equal(dataset[flips[False], 0]["normal"], nearest(plain, 32, 64))
    mirrored = dataset[flips[True], 0]["normal"]
    np.testing.assert_array_equal(mirrored[0], -nearest(plain[0, :, ::-1], 32, 64))
    np.testing.assert_array_equal(mirrored[1], nearest(plain[1, :, ::-1], 32, 64))


def test_an_extra_of_half_the_size_is_cut_where_the_image_is(root):
    dataset = open_lines("kitti", root, [LINE], extras=("normal",), border_crop=(8, 36, 20, 100))
    expected = nearest(np.load(root / "1_2.npy")[:, 4:22, 10:60], 32, 64)
    np.testing.assert_array_equal(dataset[0, 0]["normal"], expected)


def test_only_where_it_is_needed(root):
    assert "normal" not in open_lines("kitti", root, [LINE])[0, 0]


def test_a_missing_one_names_file_and_command(root):
    (root / "1_2.npy").unlink()
    with pytest.raises(UserError, match=r"1_2\.npy: no such file; make it with: make_it\.py --now"):
        _ = open_lines("kitti", root, [LINE], extras=("normal",))[0, 0]


def test_a_missing_one_is_told_before_training(root):
    lines = [SplitLine(DRIVE, frame, "l") for frame in (1, 2, 3)]
    open_lines("kitti", root, lines[:1], extras=("normal",)).check_files()
    with pytest.raises(
        UserError, match=r"2_2\.npy: no such file \(2 are missing\); make it with: make_it\.py"
    ):
        open_lines("kitti", root, lines, extras=("normal",)).check_files()
    open_lines("kitti", root, lines).check_files()
