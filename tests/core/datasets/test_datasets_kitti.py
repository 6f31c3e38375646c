"""The readers of annotated depth, of the benchmark's test folder and of odometry beside those of KITTI raw."""

import numpy as np
import pytest
from PIL import Image

from core.datasets import READERS, open_dataset, with_baseline
from core.datasets.kitti import annotated_depth_path
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.options import DATASETS
from core.options.methods.monodepth2 import Monodepth2Options
from tests.core.kitti_folder import DRIVE, HEIGHT, WIDTH, noise, write_annotated, write_drive
from tests.core.samples import open_lines


def read(name, root, lines, **changes):
    return open_lines(name, root, lines, **({"augment": True} | changes))


def test_every_name_has_its_reader():
    assert tuple(READERS) == DATASETS


@pytest.mark.parametrize("mirrored", [False, True])
def test_annotated_depth(tmp_path, mirrored):
    root = write_drive(tmp_path)
    pixels = write_annotated(root, 1)
    dataset = read("kitti_depth", root, [SplitLine(DRIVE, 1, "l"), SplitLine(DRIVE, 2, "l")])
    epoch = next(e for e in range(50) if dataset.augmentation((e, 0)).mirrored == mirrored)
    truth = dataset.sample_truth(epoch, 0)
    assert truth.depth.dtype == np.float32 and truth.mirrored == mirrored and (pixels > 0).sum() > 1000
    np.testing.assert_array_equal(truth.depth, pixels / np.float32(256))
    np.testing.assert_array_equal(dataset.truth(dataset.lines[0]), pixels / np.float32(256))
    assert dataset.truth(dataset.lines[1]) is None  # a frame without annotation
    assert dataset.sample_truth(epoch, 1) is None


def test_annotated_depth_is_logged_of_the_lines_that_have_it(tmp_path):
    root = write_drive(tmp_path)
    write_annotated(root, 2)
    dataset = read("kitti_depth", root, [SplitLine(DRIVE, 1, "l"), SplitLine(DRIVE, 2, "l")])
    assert dataset.has_truth and dataset.sample_truth(0, 0) is None
    np.testing.assert_array_equal(dataset.sample_truth(0, 1).depth, dataset.truth(dataset.lines[1]))


def test_images_and_intrinsics_are_those_of_kitti_raw(tmp_path):
    root, lines = write_drive(tmp_path), [SplitLine(DRIVE, frame, side) for frame in (1, 2) for side in "lr"]
    settings = {"frames": (0, -1, 1, "s"), "scales": (0, 1)}
    one, other = read("kitti", root, lines, **settings), read("kitti_depth", root, lines, **settings)
    for key in [(epoch, index) for epoch in range(3) for index in range(4)]:
        for name, array in one[key].items():
            np.testing.assert_array_equal(array, other[key][name])


def test_a_damaged_annotation(tmp_path):
    root = write_drive(tmp_path)
    write_annotated(root, 1)
    path = annotated_depth_path(root, DRIVE, 1, 2)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"groundtruth/image_02/0000000001\.png: damaged"):
        read("kitti_depth", root, [SplitLine(DRIVE, 1, "l")]).sample_truth(0, 0)


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_the_test_folder(tmp_path, extension):
    (tmp_path / "image").mkdir()
    for number in range(3):
        Image.fromarray(noise(HEIGHT, WIDTH, number)).save(tmp_path / "image" / f"{number:010d}.{extension}")
    dataset = read("kitti_test", tmp_path, [SplitLine("image", number) for number in range(3)], augment=False)
    dataset.check_files()
    with Image.open(tmp_path / "image" / f"0000000002.{extension}") as image:
        expected = np.asarray(image.resize((64, 32), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(dataset[0, 2]["image_0_0"], expected)
    with pytest.raises(UserError, match="its images have no neighbours; it is for evaluation only"):
        read("kitti_test", tmp_path, [SplitLine("image", 1)], frames=[0, 1]).check_files()
    with pytest.raises(UserError, match=r"image/0000000007\.\w+: no such image; check --data_path"):
        read("kitti_test", tmp_path, [SplitLine("image", 7)])


@pytest.mark.parametrize("name", ["kitti", "kitti_odom"])
def test_real_samples_through_own_lists(shared, tmp_path, name):
    """A user's list in the usual forms: ten digits or plain, l or 2, tabs, blanks at the end."""
    root, folder = {
        "kitti": (shared / "data/kitti_stereo_02/raw", "2011_10_03/2011_10_03_drive_0034_sync"),
        "kitti_odom": (shared / "data/kitti_stereo_02/odometry", "2"),
    }[name]
    (tmp_path / "train_files.txt").write_text(f"{folder} 0000000001 l\n{folder}\t8 3  \r\n\n")
    (tmp_path / "val_files.txt").write_text(f"{folder} 5 r\n")
    options = Monodepth2Options(
        data_path=str(root), split=str(tmp_path), dataset=name, png=True, use_stereo=True, batch_size=2
    )
    options.validate()
    train, val = open_dataset(options, "train"), open_dataset(options, "val")
    sample = train[0, 1]
    assert {key for key in sample if key.startswith("augmented")} == {
        f"augmented_{f}" for f in (0, -1, 1, "s")
    }
    assert abs(sample["T_stereo"][0, 3]) == np.float32(0.1)
    fx, fy = np.float32(0.58) * 640, np.float32(1.92) * 192
    np.testing.assert_array_equal(sample["K"], np.array([[fx, 0, 320], [0, fy, 96], [0, 0, 1]], np.float32))
    assert train.sample_truth(0, 1) is None and val.sample_truth(0, 0) is None  # neither has scans here
    options = with_baseline(options, train)
    assert options.baseline == 0.54 and options.stereo_scale_factor == 5.4


@pytest.mark.parametrize(("pair", "first"), [((0, 1), 0), ((2, 3), 2), ((0, 1, 2, 3), 2)])
def test_the_pair_of_odometry_is_grey_where_there_is_no_other(tmp_path, pair, first):
    """Grey images become three equal channels; motion and K are those of the cameras that took them."""
    for camera in pair:
        folder = tmp_path / "sequences" / "03" / f"image_{camera}"
        folder.mkdir(parents=True)
        for frame in range(3):
            Image.fromarray(noise(HEIGHT, WIDTH, 10 * camera + frame)[..., 0]).save(
                folder / f"{frame:06d}.png"
            )
    rows = [[60, 0, WIDTH / 2, -6.0 * camera, 0, 60, HEIGHT / 2, 0, 0, 0, 1, 0] for camera in range(4)]
    text = "".join(f"P{camera}: {' '.join(map(str, row))}\n" for camera, row in enumerate(rows))
    (tmp_path / "sequences" / "03" / "calib.txt").write_text(text)
    dataset = read("kitti_odom", tmp_path, [SplitLine("3", 1, "r")], frames=(0, -1, "s"))
    paths = [dataset.image_path(dataset.lines[0], frame) for frame in (0, -1, "s")]
    folders = [f"image_{first + 1}", f"image_{first + 1}", f"image_{first}"]
    assert [path.parent.name for path in paths] == folders
    assert [path.name for path in paths] == ["000001.png", "000000.png", "000001.png"]
    image = dataset[0, 0]["image_0_0"]
    assert (image[..., 0] == image[..., 1]).all() and image.max() > 100
    (tmp_path / "poses").mkdir()
    (tmp_path / "poses" / "03.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n" * 3)
    T = dataset._known_motion(dataset.lines[0], None).T_camera_body
    assert T[2][0, 3] == pytest.approx(-0.1 * first) and T[3][0, 3] == pytest.approx(-0.1 * (first + 1))


def test_a_score_that_needs_true_depth_asks_for_it_at_the_start(tmp_path):
    """And names the file that lacks and what the method says."""
    root, lines = write_drive(tmp_path, scans=False), [SplitLine(DRIVE, 1, "l")]
    read("kitti", root, lines).check_files()
    cure = {"truth": "or score by the loss"}
    with pytest.raises(
        UserError, match=r"0000000001.bin: no such file, so there is no true depth.*by the loss"
    ):
        read("kitti", root, lines, **cure).check_files()
    with pytest.raises(UserError, match=r"image_02.0000000001.png: no such file, so there is no"):
        read("kitti_depth", root, lines, **cure).check_files()
    write_annotated(root, 1)
    read("kitti_depth", root, lines, **cure).check_files()
