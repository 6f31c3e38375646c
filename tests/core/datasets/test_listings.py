"""What a listing says beside the lists: a file of ground truth, calibrated intrinsics; lists without neighbours."""

from dataclasses import dataclass

import numpy as np
import pytest

from core.datasets import open_dataset
from core.datasets.ground_truth import SparseDepth, save_ground_truth
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.files.images import image_size
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.needs import Listing, Needs
from tests.core.kitti_folder import DATE, DRIVE, HEIGHT, WIDTH, write_drive
from tests.core.samples import open_lines

LINES = [SplitLine(DRIVE, frame, "l") for frame in (0, 4, 2)]  # the ends have no neighbours
MAPS = np.random.default_rng(0).uniform(0, 80, (3, HEIGHT, WIDTH)).astype(np.float32) * (
    np.random.default_rng(1).random((3, HEIGHT, WIDTH)) < 0.1
)


def write_truth(path, published, maps=MAPS, lines=LINES):
    if published:
        data = np.empty(len(maps), object)
        data[:] = list(maps)
        np.savez_compressed(path, data=data)
    else:
        save_ground_truth(path, [SparseDepth.from_dense(*pair) for pair in zip(maps, lines, strict=True)])
    return str(path)


# ---- ground truth in a file ------------------------------------------------------------------------------


@dataclass
class DepthValidation(Monodepth2Options):
    """A method that validates its depth on a list without neighbours."""

    truth_file: str = ""

    def needs(self, part):
        return Needs(frames=(0,)) if part == "val" else super().needs(part)

    def listings(self, part):
        split = f"{self.split}/{'test' if part == 'val' else part}_files.txt"
        return [Listing("kitti", self.data_path, split, ground_truth=self.truth_file)]


@pytest.mark.parametrize("published", [False, True])
def test_a_list_without_neighbours_and_its_ground_truth(tmp_path, published):
    root = write_drive(tmp_path / "kitti", scans=False)
    (tmp_path / "test_files.txt").write_text("".join(f"{line}\n" for line in LINES))
    truth = write_truth(tmp_path / "gt_depths.npz", published)
    options = DepthValidation(data_path=str(root), split=str(tmp_path), truth_file=truth, png=True)
    dataset = open_dataset(options, "val")
    assert dataset.has_truth and len(dataset) == 3
    for index, line in enumerate(LINES):
        np.testing.assert_array_equal(dataset.truth(line), MAPS[index])
        np.testing.assert_array_equal(dataset.sample_truth(0, index).depth, MAPS[index])
        assert set(dataset[0, index]) == {"image_0_0", "augmented_0", "K", "index"}


def test_the_file_wins_over_scans_and_is_read_once(tmp_path):
    root = write_drive(tmp_path / "kitti")
    truth = write_truth(tmp_path / "gt_depths.npz", False)
    dataset = open_lines("kitti", Listing("kitti", str(root), "", ground_truth=truth), LINES)
    assert dataset.has_truth
    np.testing.assert_array_equal(dataset.truth(LINES[2]), MAPS[2])
    (tmp_path / "gt_depths.npz").unlink()
    np.testing.assert_array_equal(dataset.truth(LINES[1]), MAPS[1])


def test_ground_truth_that_does_not_fit(tmp_path):
    root = write_drive(tmp_path / "kitti", scans=False)

    def check(path):
        open_lines("kitti", Listing("kitti", str(root), "", ground_truth=path), LINES).check_files()

    with pytest.raises(UserError, match=r"absent\.npz: no such ground truth"):
        check(str(tmp_path / "absent.npz"))
    for published in (False, True):
        path = write_truth(tmp_path / "gt_depths.npz", published, MAPS[:2], LINES[:2])
        with pytest.raises(UserError, match=r"gt_depths\.npz: holds 2 maps but the split has 3 lines"):
            check(path)
    path = write_truth(tmp_path / "gt_depths.npz", False, MAPS, LINES[::-1])
    with pytest.raises(UserError, match=r"gt_depths\.npz: map 0 is of '.* 2 l', the split says '.* 0 l'"):
        check(path)


# ---- calibrated intrinsics -------------------------------------------------------------------------------


def calibrated(root, name="kitti", lines=LINES, **words):
    return open_lines(name, Listing(name, str(root), "", calibration=True), lines, **words)


def test_calibration_in_place_of_nominal_intrinsics(tmp_path):
    root = write_drive(tmp_path)
    dataset = calibrated(root, mirror="edges")
    dataset.check_files()
    # P of the calibration is 64 0 64, 0 64 24 in images of 128x48; these are 64x32, rows of K scaled.
    expected = np.array([[32, 0, 32], [0, 64 * 32 / 48, 16], [0, 0, 1]], np.float32)
    np.testing.assert_allclose(dataset[0, 0]["K"], expected, rtol=1e-6)
    assert dataset.K_source(LINES[0]) == "the calibration" and "T_1" not in dataset[0, 0]
    centres = calibrated(root)[0, 0]["K"]
    np.testing.assert_allclose(centres[:2, 2], [64.5 / 2 - 0.5, 24.5 * 32 / 48 - 0.5], rtol=1e-6)
    nominal = open_lines("kitti", root, LINES)
    np.testing.assert_array_equal(nominal[0, 0]["K"][0], np.float32([np.float32(0.58) * 64, 0, 32]))
    assert nominal.K_source(LINES[0]).startswith("nominal")


def test_calibrated_intrinsics_are_mirrored(tmp_path):
    (tmp_path / "0").mkdir()
    root = write_drive(tmp_path / "0")
    file = root / DATE / "calib_cam_to_cam.txt"
    file.write_text(file.read_text().replace("P_rect_02: 64 0 64", "P_rect_02: 64 0 60"))
    dataset = calibrated(root, mirror="edges", augment=True, jitter=0.0)
    found = {dataset.augmentation((epoch, 0)).mirrored: dataset[epoch, 0]["K"][0, 2] for epoch in range(9)}
    assert found == {False: np.float32(30), True: np.float32(34)}


def test_calibration_of_odometry(shared):
    root = shared / "data" / "kitti_stereo_02" / "odometry"
    line = SplitLine("2", 4, "l")
    dataset = calibrated(root, "kitti_odom", [line], mirror="edges")
    dataset.check_files()
    height, width = image_size(dataset.image_path(line, 0))
    np.testing.assert_allclose(dataset.K(line)[0, 0], 718.856 * 64 / width, rtol=1e-6)
    np.testing.assert_allclose(dataset.K(line)[1, 1], 718.856 * 32 / height, rtol=1e-6)


def test_calibrations_that_are_not_there(tmp_path):
    root = write_drive(tmp_path)
    (root / DATE / "calib_cam_to_cam.txt").unlink()
    with pytest.raises(UserError, match=r"calib_cam_to_cam\.txt: no such calibration; unpack KITTI's"):
        calibrated(root).check_files()
    (root / "image").mkdir()
    source = root / DRIVE / "image_02" / "data" / "0000000000.png"
    (root / "image" / "0000000000.png").write_bytes(source.read_bytes())
    with pytest.raises(UserError, match="has no calibration; leave out --calibration"):
        calibrated(root, "kitti_test", [SplitLine("image", 0)]).check_files()
