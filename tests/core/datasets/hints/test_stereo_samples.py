"""Samples of a stereo pair with hints against the published program's, draw for draw."""

import numpy as np
import pytest
from PIL import Image

from core.datasets.augmentation import Augmentation
from core.datasets.hints.files import Coded, find_in, write_hint
from core.datasets.splits import SplitLine
from core.errors import UserError
from tests.core.samples import open_lines

FOLDER = "2011_09_26/2011_09_26_drive_0001_sync"
HEIGHT, WIDTH = 64, 192


@pytest.fixture(scope="module")
def root(golden, arrays, tmp_path_factory):
    """The recorded pair and the authors' hints, on disk."""
    recorded, root = golden("epcdepth/data.npz"), tmp_path_factory.mktemp("pair")
    for side, camera in (("l", 2), ("r", 3)):
        image = root / FOLDER / f"image_{camera:02d}" / "data" / "0000000000.png"
        image.parent.mkdir(parents=True)
        Image.fromarray(recorded[f"raw_{side}"]).save(image)
        hint = arrays.uniform(f"epcdepth/data/hint_{side}", (1, 80, 256), 0, 60).astype(np.float32)
        hint[:, :10] = 0
        path = find_in(root / "depth_hints", SplitLine(FOLDER, 0, side)).with_suffix(".npy")
        path.parent.mkdir(parents=True)
        np.save(path, hint)
    return root


def furthest(found: np.ndarray, expected: np.ndarray) -> int:
    return int(np.abs(found.astype(int) - expected.astype(int)).max())


@pytest.mark.parametrize("number", range(4))
def test_an_item(golden, root, monkeypatch, number):
    recorded = golden("epcdepth/data.npz")
    item = {key.split("/")[1]: recorded[key] for key in recorded.files if key.startswith(f"item_{number}/")}
    side, factors = str(item["side"]), item["jitter_factors"].tolist()
    jitter = tuple(zip(item["jitter_order"].tolist(), factors, strict=True)) if factors else ()
    drawn = Augmentation(jitter, bool(item["flip"]))
    dataset = open_lines(
        "kitti",
        root,
        [SplitLine(FOLDER, 0, side)],
        frames=(0, "s"),
        side=True,
        extras=("hint",),
        height=HEIGHT,
        width=WIDTH,
    )
    monkeypatch.setattr(dataset, "augmentation", lambda key: drawn)
    dataset.check_files()
    sample = dataset[0, 0]
    np.testing.assert_array_equal(sample["hint"], item["depth_hint"])
    np.testing.assert_array_equal(sample["T_stereo"], item["T_source_target"])
    np.testing.assert_array_equal(sample["K"], item["K"][:3, :3])
    assert sample["side"] == {"l": -1, "r": 1}[side]
    assert furthest(sample["image_0_0"], item["target"]) <= 1
    assert furthest(sample["image_s_0"], item["source"]) <= 1
    assert furthest(sample["augmented_0"], item["target_augmented"]) <= (3 if jitter else 1)
    image = Image.fromarray(item["target"])
    for count, (name, _) in enumerate(jitter):
        image_after = Augmentation(jitter[: count + 1]).apply_colours(image)
        bound = 3 if "hue" in [name for name, _ in jitter[: count + 1]] else 1
        assert furthest(np.asarray(image_after)[::2, ::2], item[f"jitter_after_{count}"]) <= bound, name
    if number == 1:  # the jitter does something
        assert furthest(sample["augmented_0"], sample["image_0_0"]) > 10


@pytest.mark.parametrize(
    ("reader", "intrinsics", "focal_length"),
    [("kitti", None, 0.58), ("folder", [0.8, 1.9, 0.5, 0.5], 0.8)],
    ids=["kitti", "own"],
)
def test_a_hint_of_another_camera_is_refused(root, tmp_path, reader, intrinsics, focal_length):
    """Its depths would be too near or too far by the ratio of the focal lengths."""
    line = SplitLine("a", 0, "l")
    for camera, name in ((2, "left"), (3, "right")):
        image = Image.open(root / FOLDER / f"image_{camera:02d}/data/0000000000.png")
        for path in (tmp_path / f"a/image_{camera:02d}/data/0000000000.png", tmp_path / f"b/{name}/0.png"):
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    line = line if reader == "kitti" else SplitLine("b", 0, "l")
    given = {"given_intrinsics": intrinsics} if intrinsics else {}
    dataset = open_lines(reader, tmp_path, [line], frames=(0, "s"), extras=("hint",), **given)
    path = find_in(tmp_path / "depth_hints", line)
    path.parent.mkdir(parents=True)
    for ratio in (1.0, 1.02):
        write_hint(path, Coded(np.full((32, 64), 80, np.uint16), 1 / 16, focal_length * ratio * 64 * 0.1), "")
        expected = focal_length * ratio * 64 * 0.1 / 5
        np.testing.assert_allclose(dataset[0, 0]["hint"], expected, rtol=1e-5)
    for ratio in (0.7, 1.05):
        write_hint(path, Coded(np.full((32, 64), 80, np.uint16), 1 / 16, focal_length * ratio * 64 * 0.1), "")
        with pytest.raises(UserError, match=r"was made for another camera: .*--intrinsics"):
            _ = dataset[0, 0]
