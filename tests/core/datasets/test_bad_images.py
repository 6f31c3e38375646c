"""`--bad_images skip`: the next readable sample, the same whoever loads it; counted, and not without limit."""

import numpy as np
import pytest

from core.datasets import kitti, open_dataset
from core.datasets.loader import batches
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from tests.core.kitti_folder import DRIVE, write_drive
from tests.core.samples import open_lines

FRAMES = 30
LINES = [SplitLine(DRIVE, frame, "l") for frame in range(1, FRAMES - 1)]


@pytest.fixture
def root(tmp_path):
    """A drive in which frame 10 is truncated and frame 21 is missing."""
    root = write_drive(tmp_path, frames=FRAMES, scans=False)
    truncated = kitti.image_path(root, DRIVE, 10, 2, ".png")
    truncated.write_bytes(truncated.read_bytes()[:300])
    kitti.image_path(root, DRIVE, 21, 2, ".png").unlink()
    return root


def dataset(root, **changes):
    settings = {"frames": (0, -1, 1), "augment": True, "bad_images": "skip"}
    return open_lines("kitti", root, LINES, **(settings | changes))


def epoch_of(data, num_workers: int, epoch: int = 0):
    loader = batches(data, epoch, 4, shuffle=True, seed=3, num_workers=num_workers, drop_last=True)
    return [(batch["index"], batch["image_-1_0"], batch["augmented_1"]) for batch in loader]


def test_the_next_readable_sample_takes_the_place(root):
    data = dataset(root)
    # The three samples that need frame 10 are those of lines 9, 10 and 11, counted from 1.
    for index, taken in [(7, 7), (8, 11), (9, 11), (10, 11), (11, 11), (19, 22), (27, 27)]:
        sample = data[0, index]
        assert sample["index"] == taken
        np.testing.assert_array_equal(sample["augmented_0"], data[0, taken]["augmented_0"])
    assert data.count_bad_images() == 2


def test_after_the_last_comes_the_first(root):
    kitti.image_path(root, DRIVE, FRAMES - 1, 2, ".png").unlink()
    kitti.image_path(root, DRIVE, 21, 2, ".png").write_bytes(
        kitti.image_path(root, DRIVE, 20, 2, ".png").read_bytes()
    )
    assert dataset(root)[0, len(LINES) - 1]["index"] == 0


@pytest.mark.parametrize(("num_workers", "checked"), [(0, True), (1, False), (4, True), (4, False)])
def test_the_same_sequence_whatever_the_number_of_workers(root, num_workers, checked):
    expected = epoch_of(dataset(root), 0) + epoch_of(dataset(root), 0, epoch=1)
    data = dataset(root, cache_images=5)
    if checked:
        data.check_files()
    found = epoch_of(data, num_workers) + epoch_of(data, num_workers, epoch=1)
    for one, other in zip(found, expected, strict=True):
        for array, wanted in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, wanted)


def test_each_bad_image_is_told_once(root):
    data = dataset(root)
    data.check_files()
    news = data.news()
    assert len(news) == 1 and "0000000021.png: no such image" in news[0]
    epoch_of(data, 2)
    news = data.news()
    assert len(news) == 1 and "0000000010.png: damaged" in news[0] and news[0].startswith("skipped: ")
    epoch_of(data, 2, epoch=1)
    assert data.news() == [] and data.count_bad_images() == 2


def test_too_many(root):
    kitti.image_path(root, DRIVE, 3, 2, ".png").unlink()
    with pytest.raises(
        UserError, match=r"with it 3 images are missing or damaged, more than 10% of the split"
    ):
        epoch_of(dataset(root), 2)
    kitti.image_path(root, DRIVE, 5, 2, ".png").unlink()
    with pytest.raises(UserError, match="more than 10% of the split"):
        dataset(root).check_files()


def test_the_default_fails(root):
    data = dataset(root, bad_images="fail")
    with pytest.raises(UserError, match=r"0000000010\.png: damaged"):
        _ = data[0, 9]
    with pytest.raises(UserError, match=r"damaged|no such image"):
        epoch_of(data, 2)
    with pytest.raises(UserError, match=r"0000000021\.png: no such image \(1 are missing\)"):
        data.check_files()
    assert data.news() == [] and data.count_bad_images() == 0


def test_what_is_no_image_is_never_skipped(root):
    """A wrong split or folder is a mistake of another kind."""
    with pytest.raises(UserError, match="no such image; check --data_path and --split"):
        open_lines("kitti", root, [SplitLine("2011_09_26/none", 1, "l")], bad_images="skip")


def test_the_option(root):
    lists = root / "lists"
    lists.mkdir()
    for part in ("train", "val"):
        (lists / f"{part}_files.txt").write_text("".join(f"{line}\n" for line in LINES))
    options = Monodepth2Options(
        data_path=str(root), split=str(lists), png=True, bad_images="skip", height=64, width=64
    )
    assert open_dataset(options, "train")[0, 9]["index"] == 11
    options.bad_images = "fail"
    with pytest.raises(UserError, match="no such image"):
        open_dataset(options, "train")
