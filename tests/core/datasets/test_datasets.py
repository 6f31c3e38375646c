"""KITTI raw samples: recorded bits, the sample dict, the cache, and every mistake of a user."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from core.datasets import kitti, open_dataset
from core.datasets.ground_truth import scan_to_depth
from core.datasets.samples import SequenceDataset
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.files.images import load_image, resize, to_array
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import parse
from tests.core.kitti_folder import DRIVE, write_drive
from tests.core.samples import open_lines

REAL_DRIVE = "2011_09_26/2011_09_26_drive_9001_sync"
STEREO_DRIVE = "2011_10_03/2011_10_03_drive_0034_sync"


@pytest.fixture
def root(tmp_path):
    return write_drive(tmp_path / "kitti")


def kitti_raw(root, lines=None, **changes) -> SequenceDataset:
    lines = [SplitLine(DRIVE, 1, "l"), SplitLine(DRIVE, 3, "r")] if lines is None else lines
    settings = {"frames": (0, -1, 1), "scales": (0, 1, 2, 3), "augment": True, "seed": 1}
    return open_lines("kitti", root, lines, **(settings | changes))


def assert_equal_samples(one, other):
    assert list(one) == list(other)
    for key in one:
        np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def find(dataset, **wanted) -> tuple[int, int]:
    """The first (epoch, 0) whose augmentation is as wanted."""
    for epoch in range(100):
        augmentation = dataset.augmentation((epoch, 0))
        if (bool(augmentation.jitter), augmentation.mirrored) == (wanted["jitter"], wanted["mirrored"]):
            return epoch, 0
    raise AssertionError


def test_recorded_images(shared, golden):
    recorded = golden("monodepth2/images.npz")
    lines = [SplitLine(REAL_DRIVE, int(recorded["frame"]), "l")]
    height, width = map(int, recorded["height_width"])
    dataset = kitti_raw(
        shared / "data/kitti_raw_mono", lines, height=height, width=width, augment=False, all_scales=True
    )
    sample = dataset[0, 0]
    for name in recorded:
        if name.startswith("pyramid/"):
            *kind, scale = name.removeprefix("pyramid/").split("_")
            frame = kind[1] if kind[0] == "source" else 0
            np.testing.assert_array_equal(sample[f"image_{frame}_{scale}"], recorded[name])


def test_real_stereo(shared):
    lines = [SplitLine(STEREO_DRIVE, frame, side) for frame in (1, 8) for side in "lr"]
    dataset = kitti_raw(shared / "data/kitti_stereo_02/raw", lines, frames=[0, "s"], augment=False)
    left, right = dataset[0, 0], dataset[0, 1]
    np.testing.assert_array_equal(left["image_s_0"], right["image_0_0"])
    np.testing.assert_array_equal(right["image_s_0"], left["image_0_0"])
    assert (left["T_stereo"][0, 3], right["T_stereo"][0, 3]) == (np.float32(-0.1), np.float32(0.1))


def test_keys_shapes_and_types(root):
    dataset = kitti_raw(root, frames=[0, -1, 1, "s"])
    sample = dataset[0, 1]
    expected = {
        **{f"image_0_{s}": ((32 >> s, 64 >> s, 3), np.uint8) for s in range(4)},
        **{f"image_{f}_0": ((32, 64, 3), np.uint8) for f in (-1, 1, "s")},
        **{f"augmented_{f}": ((32, 64, 3), np.uint8) for f in (0, -1, 1, "s")},
        "K": ((3, 3), np.float32),
        "T_stereo": ((4, 4), np.float32),
        "index": ((), np.int64),
    }
    assert {key: (array.shape, array.dtype) for key, array in sample.items()} == expected
    assert sample["index"] == 1 and len(dataset) == 2
    fx, fy = np.float32(0.58) * 64, np.float32(1.92) * 32
    np.testing.assert_array_equal(sample["K"], np.array([[fx, 0, 32], [0, fy, 16], [0, 0, 1]], np.float32))


def test_each_frame_comes_from_its_file(root):
    sample = kitti_raw(root, frames=[0, -1, 1, "s"], augment=False)[0, 1]
    for frame, (number, camera) in {0: (3, 3), -1: (2, 3), 1: (4, 3), "s": (3, 2)}.items():
        image = load_image(kitti.image_path(root, DRIVE, number, camera, ".png"))
        np.testing.assert_array_equal(sample[f"image_{frame}_0"], to_array(resize(image, 32, 64)))


def test_colours_of_the_target_alone(root):
    """The target's are the same, and no source has any."""
    both = kitti_raw(root, frames=[0, "s"])
    alone = kitti_raw(root, frames=[0, "s"])
    alone.needs = dataclasses.replace(alone.needs, augmented_sources=False)
    key = find(both, jitter=True, mirrored=False)
    expected = both[key]
    del expected["augmented_s"]
    found = alone[key]
    assert found.keys() == expected.keys()
    np.testing.assert_array_equal(found["augmented_0"], expected["augmented_0"])


def test_scales(root):
    keys = {key for key in kitti_raw(root, scales=[0])[0, 0] if key.startswith("image")}
    assert keys == {"image_0_0", "image_-1_0", "image_1_0"}
    keys = {key for key in kitti_raw(root, scales=[2], all_scales=True)[0, 0] if key.startswith("image")}
    assert keys == {f"image_{f}_{s}" for f in (0, -1, 1) for s in (0, 2)}


@pytest.mark.parametrize("jitter", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
def test_augmentation_is_the_same_for_all_frames(root, jitter, mirrored):
    dataset = kitti_raw(root, frames=[0, -1, 1, "s"])
    key = find(dataset, jitter=jitter, mirrored=mirrored)
    sample, augmentation = dataset[key], dataset.augmentation(key)
    for frame, (number, camera) in {0: (1, 2), -1: (0, 2), 1: (2, 2), "s": (1, 3)}.items():
        image = load_image(kitti.image_path(root, DRIVE, number, camera, ".png"), mirrored)
        image = resize(image, 32, 64)
        np.testing.assert_array_equal(sample[f"image_{frame}_0"], to_array(image))
        augmented = to_array(augmentation.apply_colours(image))
        np.testing.assert_array_equal(sample[f"augmented_{frame}"], augmented)
        assert np.array_equal(augmented, to_array(image)) != jitter
    assert sample["T_stereo"][0, 3] == np.float32(0.1 if mirrored else -0.1)
    scan = kitti.read_scan(kitti.scan_path(root, DRIVE, 1))
    calibration = kitti.read_calibration(root / "2011_09_26")
    truth = scan_to_depth(scan, calibration, 2, "camera_z")
    np.testing.assert_array_equal(dataset.truth(dataset.lines[0]), truth)
    assert truth.dtype == np.float32 and (truth > 0).sum() > 100
    of_sample = dataset.sample_truth(*key)
    assert of_sample.mirrored == mirrored
    np.testing.assert_array_equal(of_sample.depth, truth)


def test_randomness_is_a_function_of_seed_epoch_and_index(root):
    lines = [SplitLine(DRIVE, 1, "l")] * 50
    dataset, again = kitti_raw(root, lines), kitti_raw(root, lines)
    keys = [(epoch, index) for epoch in range(3) for index in range(50)]
    drawn = [dataset.augmentation(key) for key in keys]
    assert [again.augmentation(key) for key in reversed(keys)] == drawn[::-1]
    assert drawn[:50] != drawn[50:100]
    assert drawn != [kitti_raw(root, lines, seed=2).augmentation(key) for key in keys]
    assert_equal_samples(dataset[2, 7], again[2, 7])


def test_without_mirroring_the_other_draws_are_the_same(root):
    lines = [SplitLine(DRIVE, 1, "l")] * 20
    keys = [(0, index) for index in range(20)]
    drawn = [kitti_raw(root, lines).augmentation(key) for key in keys]
    plain = [kitti_raw(root, lines, mirroring=0.0).augmentation(key) for key in keys]
    assert any(augmentation.mirrored for augmentation in drawn)
    assert plain == [dataclasses.replace(augmentation, mirrored=False) for augmentation in drawn]


def test_mirroring_is_an_option(root, tmp_path):
    for part in ("train", "val"):
        (tmp_path / f"{part}_files.txt").write_text(f"{DRIVE} 1 l\n" * 20)
    command = [
        *("--accept", "kitti_rig"),
        "--data_path",
        root,
        "--split",
        tmp_path,
        "--height",
        "64",
        "--width",
        "64",
        "--png",
        "--no_mirroring",
    ]
    dataset = open_dataset(parse(Monodepth2Options, [str(word) for word in command]), "train")
    assert not any(dataset.augmentation((0, index)).mirrored for index in range(20))


@pytest.mark.parametrize("size", [1, 3, 100, None])
def test_cached_samples_are_bit_identical(root, size):
    lines = [SplitLine(DRIVE, frame, side) for frame in (1, 2, 3) for side in "lr"]
    plain = kitti_raw(root, lines, frames=[0, -1, 1, "s"], all_scales=True)
    cached = kitti_raw(root, lines, frames=[0, -1, 1, "s"], all_scales=True, cache_images=size)
    keys = [(epoch, index) for epoch in range(4) for index in range(6)]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(map(plain.__getitem__, keys), pool.map(cached.__getitem__, keys), strict=True):
            assert_equal_samples(one, other)


def test_the_cache_is_used_and_bounded(root, monkeypatch):
    loaded = []

    def load(*arguments):
        loaded.append(arguments[0])
        return load_image(*arguments)

    monkeypatch.setattr("core.datasets.images.load_image", load)
    plain = kitti_raw(root, augment=False)
    for epoch in range(3):
        _ = plain[epoch, 0]
    assert len(loaded) == 9  # each file once per item
    loaded.clear()
    cached = kitti_raw(root, augment=False, cache_images=3)
    for epoch in range(3):
        _ = cached[epoch, 0]
    assert len(loaded) == 3
    _ = cached[0, 1]
    _ = cached[0, 0]
    assert len(loaded) == 9  # the second item, of other images, pushed out the first
    loaded.clear()
    mirrored = kitti_raw(root, cache_images=None)
    assert len({mirrored.augmentation((epoch, 0)).mirrored for epoch in range(8)}) == 2
    for epoch in range(8):
        _ = mirrored[epoch, 0]
    assert len(loaded) == 3  # mirrored or not, a file is kept once


@pytest.mark.parametrize("extension", ["jpg", "png"])
def test_extension_is_found(tmp_path, extension):
    root = write_drive(tmp_path, extension=extension)
    assert kitti_raw(root).extension == f".{extension}"
    assert kitti_raw(root, png=extension == "png").extension == f".{extension}"
    wrong = {"jpg": "or leave out --png", "png": "or add --png"}[extension]
    with pytest.raises(UserError, match=f"no such image; check --data_path and --split, {wrong}"):
        kitti_raw(root, png=extension != "png")


def test_without_scans(tmp_path):
    dataset = kitti_raw(write_drive(tmp_path, scans=False))
    assert dataset.truth(dataset.lines[0]) is None and dataset.sample_truth(0, 0) is None


def test_a_later_missing_scan_is_unknown_depth(root):
    kitti.scan_path(root, DRIVE, 3).unlink()
    dataset = kitti_raw(root)
    assert dataset.truth(dataset.lines[1]) is None and dataset.sample_truth(0, 1) is None
    assert dataset.sample_truth(0, 0) is not None


def test_describe(root):
    assert kitti_raw(root).describe(1) == f"line 2 of the split ({DRIVE} 3 r)"


# ---- mistakes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "missing", "cure"),
    [
        (0, "-000000001.png", "leave out the first and last frames"),
        (4, "0000000005.png", "leave out the first and last frames"),
        (9, "0000000009.png", ""),  # it is not there itself, whatever its neighbours are
    ],
)
def test_a_frame_off_the_end_of_a_drive(root, frame, missing, cure):
    dataset = kitti_raw(root, [SplitLine(DRIVE, 1, "l"), SplitLine(DRIVE, frame, "l")])
    message = rf"{missing}.*line 2 of the split \({DRIVE} {frame} l\).*{cure}"
    with pytest.raises(UserError, match=message):
        _ = dataset[0, 1]
    with pytest.raises(UserError, match=message):
        dataset.check_files()


def test_check_files(root):
    kitti_raw(root, frames=[0, -1, 1, "s"]).check_files()
    (root / DRIVE / "image_02/data/0000000003.png").unlink()
    with pytest.raises(UserError, match=r"image_02/data/0000000003\.png: no such image \(1 are missing\)"):
        kitti_raw(root, frames=[0, -1, 1, "s"]).check_files()


def test_a_truncated_image(root):
    path = kitti.image_path(root, DRIVE, 2, 2, ".png")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match=r"image_02/data/0000000002\.png: damaged"):
        _ = kitti_raw(root)[0, 0]


def test_a_malformed_calibration(root):
    (root / "2011_09_26" / "calib_velo_to_cam.txt").write_text("R: 1 2 3\n")
    with pytest.raises(UserError, match=r"calib_velo_to_cam\.txt: malformed"):
        kitti_raw(root).sample_truth(0, 0)
    with pytest.raises(UserError, match=r"calib_velo_to_cam\.txt: malformed"):
        _ = kitti_raw(root, depth=True)[0, 0]
    assert "depth" not in kitti_raw(root)[0, 0]


def test_a_gray_image_is_no_mistake(root):
    path = kitti.image_path(root, DRIVE, 2, 2, ".png")
    Image.open(path).convert("L").save(path)
    assert kitti_raw(root)[0, 0]["image_1_0"].shape == (32, 64, 3)


def test_wrong_arguments(root):
    with pytest.raises(UserError, match="nowhere: no such folder; --data_path"):
        kitti_raw(root / "nowhere")
    with pytest.raises(UserError, match="the split lists no frames"):
        kitti_raw(root, [])
    with pytest.raises(UserError, match="the first must be 0"):
        kitti_raw(root, frames=[1, 0])
    with pytest.raises(UserError, match="the third word must be the side"):
        kitti_raw(root, [SplitLine("image", 3)])
    with pytest.raises(UserError, match=r"drive_0002_sync/.*no such image; check --data_path and --split"):
        kitti_raw(root, [SplitLine(DRIVE.replace("0001", "0002"), 1, "l")])
