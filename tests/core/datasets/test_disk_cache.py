"""Resized images kept in a folder: the same bits, whoever kept them, and nothing of an entry that is not ours."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.datasets import disk_cache
from core.datasets.disk_cache import HEAD, DiskCache
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.files.images import load_image
from core.options.needs import Preparation
from tests.core.kitti_folder import DRIVE, write_drive
from tests.core.samples import open_lines

LINES = [SplitLine(DRIVE, frame, side) for frame in (1, 2) for side in "lr"]
KEYS = [(epoch, index) for epoch in range(3) for index in range(4)]
SMALL = Preparation(4, 6)
ARRAY = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.fromarray(ARRAY).save(tmp_path / "image.png")
    return tmp_path / "image.png"


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, notes: list[str]) -> DiskCache:
    return DiskCache(tmp_path / "cache", SMALL, notes.append)


def entry(cache: DiskCache) -> Path:
    (found,) = cache.folder.rglob("*.image")
    return found


@pytest.mark.parametrize("name", ["lanczos", "bilinear", "float_bilinear"])
def test_samples_are_bit_identical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Those of the first run, which fills the folder, and of the next, which decodes nothing."""
    root = write_drive(tmp_path / "data")
    plain = open_lines("kitti", root, LINES, augment=name != "float_bilinear", filter=name)
    expected = [plain[key] for key in KEYS]
    for run in range(2):
        kept = open_lines("kitti", root, LINES, augment=name != "float_bilinear", filter=name)
        kept.keep_images(tmp_path / "cache")
        with ThreadPoolExecutor(4) as pool:
            for one, other in zip(expected, pool.map(kept.__getitem__, KEYS), strict=True):
                assert one.keys() == other.keys()
                for key in one:
                    np.testing.assert_array_equal(one[key], other[key], strict=True)
        if run == 0:
            monkeypatch.setattr("core.datasets.images.load_image", None)
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_a_dry_run_and_zooms_keep_nothing(tmp_path: Path) -> None:
    root = write_drive(tmp_path / "data")
    for changes in ({"zoom": 1.2}, {}):
        dataset = open_lines("kitti", root, LINES, augment=True, **changes)
        dataset.may_keep = bool(changes)
        dataset.keep_images(tmp_path / "cache")
        _ = dataset[0, 0]
    assert not (tmp_path / "cache").exists()


def test_what_an_entry_is_of(cache: DiskCache, image: Path, notes: list[str]) -> None:
    cache.put(image, None, ARRAY)
    found = cache.get(image, None)
    assert found is not None and np.array_equal(found, ARRAY) and not found.flags.writeable
    assert cache.get(image, True) is None and cache.get(image.with_name("other.png"), None) is None
    for other in (
        Preparation(6, 4),
        Preparation(4, 6, filter="bilinear"),
        Preparation(4, 6, border_crop=(0.0, 0.1)),
    ):
        assert DiskCache(cache.folder, other, notes.append).get(image, None) is None
    os.utime(image, ns=(0, 1))  # a new file of the same name
    assert cache.get(image, None) is None and notes == []


def test_entries_that_are_not_ours(cache: DiskCache, image: Path, tmp_path: Path, notes: list[str]) -> None:
    """Damaged, too long, too short, of another image, a link, a pipe, a folder: said once, and made anew."""
    cache.put(image, None, ARRAY)
    file, right = entry(cache), entry(cache).read_bytes()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(right)
    for number in (0, HEAD - 1, HEAD, len(right) - 1):
        file.write_bytes(right[:number] + bytes([right[number] ^ 1]) + right[number + 1 :])
        assert cache.get(image, None) is None
    for content in (b"", right[:-1], right + b"0", bytes(len(right)), b"\x80\x04" + right[2:]):
        file.write_bytes(content)
        assert cache.get(image, None) is None
    for make in (lambda: file.symlink_to(elsewhere), lambda: os.mkfifo(file)):
        file.unlink()
        make()
        assert cache.get(image, None) is None
        cache.put(image, None, ARRAY)
        assert cache.get(image, None) is not None and file.is_file() and not file.is_symlink()
    assert elsewhere.read_bytes() == right
    file.unlink()
    file.mkdir()
    assert cache.get(image, None) is None
    assert len(notes) == 1 and "damaged, or none of this cache" in notes[0]
    shutil.rmtree(file)
    other = tmp_path / "other.png"
    shutil.copy(image, other)
    cache.put(other, None, 255 - ARRAY)
    entry(cache).rename(file)  # one that is whole, but of another image
    assert cache.get(image, None) is None


def test_a_full_disk_is_said_once(
    cache: DiskCache, image: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_cache, "RESERVE", 1 << 62)
    for _ in range(2):
        cache.put(image, None, ARRAY)
    assert cache.get(image, None) is None
    assert len(notes) == 1 and "no further images are kept" in notes[0]


def test_what_cannot_be_written(
    cache: DiskCache, image: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    cache.put(image, None, ARRAY)
    assert [path for path in cache.folder.rglob("*") if path.is_file()] == []
    assert len(notes) == 1 and "No space left" in notes[0]


def test_a_file_is_no_folder(image: Path) -> None:
    with pytest.raises(UserError, match="option cache: "):
        DiskCache(image, SMALL, print)


def test_images_of_other_shapes_are_not_kept(cache: DiskCache, image: Path) -> None:
    cache.put(image, None, ARRAY[:2])
    cache.put(image, None, ARRAY.astype(np.float32))
    assert cache.get(image, None) is None
    assert load_image(image).size == (6, 4)
