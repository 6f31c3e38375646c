"""KITTI raw: paths, calibration, scans, annotated depth; malformed files of each."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.datasets import kitti
from core.errors import UserError
from tests.core.kitti_folder import CAMERAS, DATE, DRIVE, SCANNER, write_annotated, write_drive, write_scan
from tests.tolerances import assert_close


def test_paths():
    root = Path("kitti")
    assert kitti.image_path(root, DRIVE, 7, 3, ".jpg") == root / DRIVE / "image_03/data/0000000007.jpg"
    assert kitti.scan_path(root, DRIVE, 7) == root / DRIVE / "velodyne_points/data/0000000007.bin"
    annotated = root / DRIVE / "proj_depth/groundtruth/image_02/0000000012.png"
    assert kitti.annotated_depth_path(root, DRIVE, 12, 2) == annotated
    assert kitti.calibration_folder(root, DRIVE) == root / DATE


def test_real_calibration(shared):
    calibration = kitti.read_calibration(shared / "data/kitti_raw_mono/2011_09_26")
    assert calibration.image_size == (375, 1242)
    assert_close(calibration.P_rect[3][0, 3], -339.5242, "float64")
    assert_close(
        calibration.T_camera_velodyne[:3, 3], [-4.069766e-03, -7.631618e-02, -2.717806e-01], "float64"
    )
    R = calibration.R_rect_00
    assert_close(R @ R.T, np.eye(4), (1e-6, 0))
    # Ten metres ahead of the scanner: 9.73 m ahead of the camera, near the middle of the image.
    u_z, v_z, z = calibration.projection(2) @ [10, 0, 0, 1]
    assert abs(z - 9.73) < 0.02 and abs(u_z / z - 609) < 15 and abs(v_z / z - 180) < 15


def test_projection_of_a_simple_rig(tmp_path):
    write_drive(tmp_path, frames=1)
    calibration = kitti.read_calibration(tmp_path / DATE)
    assert calibration.image_size == (48, 128)
    # x forward, y left, z up: a point 8 m ahead, 1 m to the left and 0.5 m down.
    u_z, v_z, z = calibration.projection(2) @ [8, 1, -0.5, 1]
    assert (u_z / z, v_z / z, z) == (64 - 8, 24 + 4, 8)
    assert (calibration.projection(3) @ [8, 1, -0.5, 1])[0] / 8 == 64 - 8 - 4  # 0.5 m to the right


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("calib_cam_to_cam.txt", "P_rect_03", "P_rect_04", "no entry 'P_rect_03'"),
        ("calib_cam_to_cam.txt", "S_rect_02: 128.0 48.0", "S_rect_02: 128.0", "S_rect_02 must be 2 finite"),
        ("calib_cam_to_cam.txt", "S_rect_02: 128.0 48.0", "S_rect_02: 1e9 48.0", "image of 1e\\+09×48"),
        ("calib_cam_to_cam.txt", "S_rect_02: 128.0 48.0", "S_rect_02: 0 48.0", "image of 0×48"),
        ("calib_cam_to_cam.txt", "R_rect_00: 1", "R_rect_00: nan", "R_rect_00 must be 9 finite"),
        ("calib_cam_to_cam.txt", "R_rect_00: 1", "R_rect_00: one", "R_rect_00: could not convert"),
        ("calib_velo_to_cam.txt", "T: 0 0 0", "T: 0 0 0 0", "T must be 3 finite"),
        ("calib_velo_to_cam.txt", SCANNER, "", "no entry 'R'"),
    ],
)
def test_malformed_calibration(tmp_path, file, old, new, message):
    text = {"calib_cam_to_cam.txt": CAMERAS, "calib_velo_to_cam.txt": SCANNER}
    assert old in text[file]
    text[file] = text[file].replace(old, new)
    for name, content in text.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=f"{file}: malformed calibration: .*{message}"):
        kitti.read_calibration(tmp_path)


def test_missing_and_binary_calibration(tmp_path):
    with pytest.raises(UserError, match=r"calib_cam_to_cam\.txt: no such calibration"):
        kitti.read_calibration(tmp_path)
    (tmp_path / "calib_cam_to_cam.txt").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match=r"calib_cam_to_cam\.txt: cannot be read"):
        kitti.read_calibration(tmp_path)


def test_scans(tmp_path, shared):
    scan = kitti.read_scan(kitti.scan_path(shared / "data/kitti_raw_mono", DRIVE.replace("0001", "9001"), 0))
    assert scan.dtype == np.float32 and scan.shape[1] == 4 and 110_000 < len(scan) < 120_000
    assert np.abs(scan[:, :3]).max() < 130 and 0 <= scan[:, 3].min() <= scan[:, 3].max() <= 1


@pytest.mark.parametrize("size", [0, 15, 8001])
def test_truncated_scans(tmp_path, size):
    path = tmp_path / "scan.bin"
    write_scan(path)
    path.write_bytes(path.read_bytes()[:size].ljust(size, b"\0"))
    with pytest.raises(UserError, match=r"scan\.bin: truncated scan"):
        kitti.read_scan(path)


def test_missing_scan(tmp_path):
    with pytest.raises(UserError, match="no such scan"):
        kitti.read_scan(tmp_path / "scan.bin")


def test_annotated_depth(tmp_path):
    pixels = write_annotated(tmp_path, 3)
    depth = kitti.read_annotated_depth(kitti.annotated_depth_path(tmp_path, DRIVE, 3, 2))
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth, pixels / np.float32(256))


def test_unusable_annotated_depth(tmp_path):
    with pytest.raises(UserError, match="no such image; merge"):
        kitti.read_annotated_depth(tmp_path / "depth.png")
    Image.new("L", (8, 8)).save(tmp_path / "depth.png")
    with pytest.raises(UserError, match="not a 16-bit depth image"):
        kitti.read_annotated_depth(tmp_path / "depth.png")
