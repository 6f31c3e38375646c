"""PackNet's lists as its users have them, from the command line to samples."""

import numpy as np
import pytest
from PIL import Image

from core.datasets import open_dataset
from core.datasets.kitti import depth_path
from core.errors import UserError
from core.options.parsing import parse_method
from core.training.validation import known_truths, lists_of
from tests.core.kitti_folder import DRIVE, HEIGHT, WIDTH, noise, write_annotated, write_drive


@pytest.fixture
def root(tmp_path):
    """A drive of KITTI_tiny: files of depth, no scans; training and validation lists with the data."""
    root = write_drive(tmp_path / "KITTI_tiny", scans=False)
    for frame in (1, 2, 4):
        write_annotated(root, frame)
        path = depth_path(root, DRIVE, frame, 2, "velodyne", ".npz")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, velodyne_depth=np.full((HEIGHT, WIDTH), frame, np.float32))
    for name, frames in (("train", range(5)), ("val", (4, 0))):
        text = "".join(f"{DRIVE}/image_02/data/{frame:010d}.png x y\n" for frame in frames)
        (root / f"kitti_{name}.txt").write_text(text)
    return root


def parse(root, *more):
    words = (
        "--data_path",
        str(root),
        "--train_split",
        "kitti_train.txt",
        "--validation_split",
        "kitti_val.txt",
    )
    small = ("--height", "64", "--width", "96", "--batch_size", "2", "--num_workers", "0")
    return parse_method(["--method", "packnet", *words, *small, *more])


def test_training_and_validation(root):
    """Context counts for training; a validation list has none, and keeps the end of the drive."""
    files = ("--depth_type", "velodyne", "--validation_depth_type", "groundtruth")
    options = parse(
        root,
        *files,
        "--supervision",
        "semi",
        "--repeat",
        "2",
        "--crop_train_borders",
        "-32",
        "0",
        "0.5",
        "96",
    )
    train, val = open_dataset(options, "train"), open_dataset(options, "val")
    assert [line.frame for line in train.lines] == [1, 2, 1, 2] and [line.frame for line in val.lines] == [4]
    counts = "5 lines are left out: 2 without neighbouring images, 1 without depth (proj_depth/velodyne)"
    assert f"kitti_train.txt: 3 of {counts}" in train.news()
    assert "kitti_val.txt: 1 of 2 lines are left out: 1 without depth (proj_depth/groundtruth)" in val.news()
    sample = train[0, 0]
    assert {"image_0_0", "image_-1_0", "image_1_0", "augmented_0", "depth", "K"} <= set(sample)
    assert set(np.unique(sample["depth"])) == {0, 1}  # a larger size, every point in it
    # Of 64 0 64, 0 64 24 in 128x48: 16 columns and rows are cut; then K grows with the image.
    np.testing.assert_allclose(sample["K"], [[64, 0, 48], [0, 128, 16], [0, 0, 1]])
    validated = val[0, 0]
    np.testing.assert_allclose(validated["K"], [[64, 0, 64], [0, 64, 24], [0, 0, 1]])  # of the file
    (truth,) = known_truths(lists_of(options, val)[""], 0, {"index": np.array([0])})
    assert truth.depth.shape == (HEIGHT, WIDTH) and "image_1_0" not in validated


def test_a_mixed_training(root, tmp_path):
    for frame in range(4):
        folder = tmp_path / "own"
        folder.mkdir(exist_ok=True)
        Image.fromarray(noise(HEIGHT, WIDTH, frame)).save(folder / f"{frame:010d}.jpg")
    own = ("--train_path", str(root), str(tmp_path / "own"), "--train_split", "kitti_train.txt", "{:010d}")
    words = ("--train_dataset", "kitti", "folder", "--repeat", "1", "3", "--supervision", "semi")
    options = parse(root, *own, *words, "--depth_type", "groundtruth", "none")
    dataset = open_dataset(options, "train")
    assert len(dataset) == 2 + 3 * 2
    assert [bool(dataset[0, index]["depth"].any()) for index in range(8)] == [True] * 2 + [False] * 6
    assert any("none of its 2 samples has measured depth" in line for line in dataset.news())
    with pytest.raises(UserError, match="no depth 'groundtruth' in this data set; it has none"):
        open_dataset(parse(root, *own, *words, "--depth_type", "groundtruth"), "train")
