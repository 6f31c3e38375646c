"""The index of frames: its rule on made images, the command, and what it refuses."""

import numpy as np
import pytest
from PIL import Image

import make_frame_index as script
from core.datasets.frame_index import changed_frames
from core.datasets.scene_folders import read_frame_index
from core.errors import UserError
from tests.core.scene_folder import write_scenes
from tests.scripts import assert_says, listing, refused, succeeds


def greys(*levels):
    """Images of 10x10 pixels: a level, or a level of the first rows and 100 in the others."""
    images = []
    for level in levels:
        image = np.full((10, 10), 100, np.uint8)
        level, rows = level if isinstance(level, tuple) else (level, 10)
        image[:rows] = level
        images.append(image)
    return images


@pytest.mark.parametrize(
    ("levels", "kept"),
    [
        ([100, 110, 111, 112], [0, 2]),  # more than ten grey levels
        ([100, 90, 89], [0, 2]),  # also darker: bytes would wrap around
        ([5, 0, 5, 16], [0, 3]),
        ([100, 105, 109, 111, 116, 122], [0, 3, 5]),  # from the last one kept, not from the one before
        ([100, (200, 4), (200, 5), 100], [0, 2, 3]),  # at least half of the pixels
        ([250, 3, 250], [0, 1, 2]),
        ([7, 7, 7], [0]),
        ([7], [0]),
        ([], []),
    ],
)
def test_the_rule(levels, kept):
    assert changed_frames(greys(*levels)) == kept


def test_other_thresholds():
    assert changed_frames(greys(100, 106, 112), grey_levels=5) == [0, 1, 2]
    assert changed_frames(greys(100, (200, 9), 200), share=1.0) == [0, 2]


def write_greys(folder, levels):
    """The images of a scene anew."""
    for path in folder.glob("*.png"):
        path.unlink()
    for number, image in enumerate(greys(*levels)):
        Image.fromarray(image).convert("RGB").save(folder / f"{number:03d}.png")


def test_the_command(tmp_path):
    root = write_scenes(tmp_path, {"a": 3, "b": 3}, {"c": 3})
    training = root / "training"
    (training / "val.txt").write_text("c\nb")  # on both lists
    write_greys(training / "a", [100, 110, 120, 130])
    write_greys(training / "b", [100, 130, 20])
    write_greys(training / "c", [50, 50])
    (training / "c" / "frame_index.txt").write_text("mine")
    said = succeeds("make_frame_index.py", "--data_path", root, here=True).splitlines()
    assert said == [
        f"{training}/a/frame_index.txt: 2 of 4 images",
        f"{training}/b/frame_index.txt: 3 of 3 images",
        f"{training}/c/frame_index.txt: is already there and stays; --force makes it again",
    ]
    assert (training / "a" / "frame_index.txt").read_text() == "0\n2\n"
    assert read_frame_index(training / "b" / "frame_index.txt", 3) == [0, 1, 2]
    assert (training / "c" / "frame_index.txt").read_text() == "mine"
    said = succeeds("make_frame_index.py", "--data_path", training, "--force", here=True)
    assert_says(said, "c/frame_index.txt: 1 of 2 images")
    assert read_frame_index(training / "c" / "frame_index.txt", 2) == [0]


def test_refusals(tmp_path):
    root = write_scenes(tmp_path, {"a": 3, "b": 3})
    folder = root / "training" / "a"

    def refuses(*arguments):
        return refused("make_frame_index.py", *arguments, folder=tmp_path, here=True)

    assert_says(refuses(), "--data_path is missing")
    assert_says(refuses("--data_path", folder), "neither training/train.txt nor val.txt")
    assert_says(refuses("--data_path", root, "--share", 0), "option share: must be above 0")
    assert_says(refuses("--data_path", root, "--grey_levels", 255), "option grey_levels")
    (folder.parent / "train.txt").write_text("a")
    Image.new("RGB", (8, 8)).save(folder / "000003.png")
    assert_says(refuses("--data_path", root), "000003.png: is of another size than the images before it")
    (folder / "000003.png").write_bytes(b"damaged")
    assert_says(refuses("--data_path", root), "000003.png: damaged")
    for path in folder.glob("*.png"):
        path.unlink()
    assert_says(refuses("--data_path", root), f"{folder}: no images; unpack them")


def test_what_was_written_before_an_error_is_whole(tmp_path):
    root = write_scenes(tmp_path, {"a": 3, "b": 3})
    (root / "training" / "b" / "000005.png").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"b/000005\.png: damaged"):
        script.main(["--data_path", str(root)])
    written = [name for name in listing(root) if "index" in name]
    assert written in ([], ["training/a/frame_index.txt"])
    for name in written:
        read_frame_index(root / name, 3)
