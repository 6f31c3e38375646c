"""Hints on disk: both forms read, ours lossless, and files that are none refused."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core.datasets.extras import EXTRAS
from core.datasets.hints import files
from core.datasets.hints.files import (
    Coded,
    code,
    depth_of,
    how_it_was_made,
    read_coded,
    read_hint,
    write_hint,
)
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.options.needs import Listing
from tests.core.kitti_folder import DRIVE, write_drive
from tests.core.samples import open_lines

LEFT = SplitLine(DRIVE, 1, "l")


def steps(height: int = 12, width: int = 40) -> np.ndarray:
    """Sixteenths of disparities, every fifth unknown."""
    made = np.random.default_rng(0).integers(1, 2561, (height, width)).astype(np.uint16)
    made[:, ::5] = 0
    return made


def test_every_depth_of_the_matchers_comes_back_bit_for_bit(tmp_path):
    """The formula of the published programs, in float32, of all 2561 disparities that there can be."""
    sixteenths = np.arange(2561, dtype=np.uint16).reshape(13, 197)
    path = tmp_path / "a" / "hint.png"
    write_hint(path, Coded(sixteenths, 1 / 16, 0.58 * 1024 * 0.1), "test")
    d = sixteenths.astype(np.float32) / 16
    expected = (0.58 * 1024 * 0.1) / (d + 1e-7) * (d > 0)
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(read_hint(path), expected[None])
    assert how_it_was_made(path) == "test"
    assert [file.name for file in path.parent.iterdir()] == ["hint.png"]


def test_equal_hints_are_equal_files(tmp_path):
    for name in "ab":
        write_hint(tmp_path / f"{name}.png", Coded(steps(), 1 / 16, 59.392), "test")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_any_disparity_is_coded_within_half_a_step(tmp_path):
    disparity = np.random.default_rng(1).uniform(0, 90, (20, 30)).astype(np.float32)
    disparity[0], disparity[1, 1] = 0, 1e-6
    write_hint(tmp_path / "a.png", code(disparity, 60.0), "test")
    found = read_coded(tmp_path / "a.png")
    known = disparity > 0
    np.testing.assert_array_equal(found.steps > 0, known)
    assert np.abs(found.steps * found.step - disparity).max() <= found.step * 1.0001
    assert found.step == disparity.max() / 65535
    near = disparity > 2  # pixels
    error = np.abs(found.depth()[0][near] / depth_of(disparity, 60.0)[near] - 1)
    assert error.max() < 4e-4


def test_the_authors_form_is_read(tmp_path):
    depth = np.random.default_rng(2).uniform(0.5, 50, (1, 8, 24)).astype(np.float32)
    depth[0, :2] = 0
    np.save(tmp_path / "a.npy", depth)
    np.testing.assert_array_equal(read_hint(tmp_path / "a.npy"), depth)
    with pytest.raises(FileNotFoundError):
        read_hint(tmp_path / "b.npy")


def test_where_a_hint_lies(tmp_path):
    there = tmp_path / "depth_hints" / DRIVE / "image_02" / "0000000001.png"
    listing = Listing("kitti", str(tmp_path), "")
    assert files.find_hint(tmp_path, listing, LEFT) == there
    right = files.find_hint(tmp_path, Listing("kitti", "", "", depth_hints="other"), SplitLine("9", 7, "r"))
    assert right == Path("other/9/image_03/0000000007.png")
    there.parent.mkdir(parents=True)
    there.with_suffix(".npy").touch()
    assert files.find_hint(tmp_path, listing, LEFT) == there.with_suffix(".npy")
    there.touch()
    assert files.find_hint(tmp_path, listing, LEFT) == there
    for folder in ("../drive", "/drive"):
        with pytest.raises(UserError, match="must lie below the data set's"):
            files.find_hint(tmp_path, listing, SplitLine(folder, 1, "l"))


@pytest.mark.parametrize("size", [(12, 40), (47, 130)])
def test_a_sample_holds_it(tmp_path, size):
    root = write_drive(tmp_path, scans=False)
    hint = Coded(steps(*size), 1 / 16, 0.58 * size[1] * 0.1)
    write_hint(files.find_in(tmp_path / "mine", LEFT), hint, "test")
    listing = Listing("kitti", str(root), "", depth_hints=str(tmp_path / "mine"))
    dataset = open_lines("kitti", listing, [LEFT], frames=(0, "s"), extras=("hint",), augment=True)
    dataset.check_files()
    flips = {dataset.augmentation((epoch, 0)).mirrored: epoch for epoch in range(20)}
    rows, columns = (np.arange(n) * s // n for n, s in zip((32, 64), size, strict=True))
    for mirrored, epoch in flips.items():
        depth = hint.depth()[..., ::-1] if mirrored else hint.depth()
        found = dataset[epoch, 0]["hint"]
        assert found.shape == (1, 32, 64) and found.dtype == np.float32
        np.testing.assert_array_equal(found, depth[:, rows[:, None], columns])


def test_a_missing_one_names_the_command(tmp_path):
    dataset = open_lines("kitti", write_drive(tmp_path, scans=False), [LEFT], extras=("hint",))
    with pytest.raises(UserError, match=r"image_02/0000000001\.png: no such file; make it with: precompute_"):
        dataset.check_files()


def test_the_command_makes_them_where_training_looks(tmp_path):
    root = write_drive(tmp_path, scans=False)
    listing = Listing("folder", str(root), "my list.txt", depth_hints="elsewhere")
    dataset = open_lines("kitti", listing, [LEFT], extras=("hint",))
    words = f"--data_path {root} --dataset folder --split 'my list.txt' --save_path elsewhere"
    for look in (dataset.check_files, lambda: dataset[0, 0]):
        with pytest.raises(UserError, match=re.escape(f"precompute_depth_hints.py {words}")):
            look()


def test_hints_for_parity_are_depths_with_holes():
    made = EXTRAS["hint"].make_up(np.random.default_rng(0), 8, 12)
    assert made.shape == (1, 8, 12) and (made == 0).any() and made.max() > 1


# ---- files that are none ---------------------------------------------------------------------------------


def png(path: Path, mode: str = "I;16", **texts: str) -> None:
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    pixels = steps() if mode == "I;16" else np.zeros((4, 4), np.uint8)
    Image.fromarray(pixels).save(path, pnginfo=info)


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"numerator": "59.392"},
        {"numerator": "59.392", "step": "0"},
        {"numerator": "nan", "step": "0.0625"},
        {"numerator": "1e300", "step": "0.0625"},
        {"numerator": "-3", "step": "0.0625"},
        {"numerator": "9" * 5000, "step": "0.0625"},
        {"numerator": "__import__('os')", "step": "0.0625"},
    ],
)
def test_a_png_without_possible_numbers(tmp_path, texts):
    png(tmp_path / "a.png", **texts)
    with pytest.raises(
        UserError, match=r"a\.png: not a readable depth hint .*; delete it and make it again"
    ) as error:
        read_hint(tmp_path / "a.png")
    assert len(str(error.value)) < 400


def test_other_files(tmp_path, monkeypatch):
    def refused(name: str, says: str) -> None:
        with pytest.raises(UserError, match=re.escape(name) + ".*" + says):
            read_hint(tmp_path / name)

    png(tmp_path / "bytes.png", mode="L", numerator="1", step="1")
    refused("bytes.png", "no 16 bits")
    png(tmp_path / "cut.png", numerator="59.392", step="0.0625")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    refused("cut.png", "not a readable depth hint")
    (tmp_path / "text.png").write_text("hello")
    refused("text.png", "not a readable depth hint")
    with pytest.raises(UserError, match="has no text 'made'"):
        png(tmp_path / "unmade.png", numerator="1", step="1")
        how_it_was_made(tmp_path / "unmade.png")
    np.save(tmp_path / "objects.npy", np.array([{}], object))
    refused("objects.npy", "not a readable")
    np.save(tmp_path / "two.npy", np.ones((2, 4, 4), np.float32))
    refused("two.npy", "no hint")
    np.save(tmp_path / "whole.npy", np.ones((1, 4, 4), np.int64))
    refused("whole.npy", "no hint")
    np.save(tmp_path / "nan.npy", np.full((1, 4, 4), np.nan, np.float32))
    refused("nan.npy", "no numbers")
    monkeypatch.setattr(files, "MAX_PIXELS", 100)
    (tmp_path / "cut.png").write_bytes(whole)
    refused("cut.png", "40x12 pixels")
