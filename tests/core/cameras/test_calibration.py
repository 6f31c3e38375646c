"""Calibration files as OpenCV, ROS and Kalibr write them, and files that are none."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from core.cameras.calibration import read_calibration
from core.cameras.distortion import Distortion
from core.cameras.models import ImagePlane, KannalaBrandt, Pinhole, Unified
from core.errors import UserError

PLANE = ImagePlane(300.0, 301.0, 319.5, 240.25)
K = np.array([[300.0, 0, 319.5], [0, 301.0, 240.25], [0, 0, 1]])
FIVE = [-0.28, 0.07, 1e-4, -2e-5, 0.01]
FOUR = [0.05, -0.01, 0.002, -3e-4]
KALIBR = """\
cam0:
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: [0.05, -0.01, 0.002, -0.0003]
  distortion_model: equi
  intrinsics: [300.0, 301.0, 319.5, 240.25]
  resolution: [640, 480]
  rostopic: /cam0/image_raw
cam1:
  T_cn_cnm1:
  - [1.0, 0.0, 0.0, -0.11]
  - [0.0, 1.0, 0.0, 0.0]
  - [0.0, 0.0, 1.0, 0.0]
  - [0.0, 0.0, 0.0, 1.0]
  camera_model: omni
  distortion_coeffs: [-0.2, 0.03, 1e-4, 0.0]
  distortion_model: radtan
  intrinsics: [1.2, 300.0, 301.0, 319.5, 240.25]
  resolution: [640, 480]
"""
ROS = """\
image_width: 640
image_height: 480
camera_name: front
camera_matrix:
  rows: 3
  cols: 3
  data: [300, 0, 319.5, 0, 301, 240.25, 0, 0, 1]
distortion_model: equidistant
distortion_coefficients:
  rows: 1
  cols: 4
  data: [0.05, -0.01, 0.002, -3e-4]
"""


def storage(path: Path, **entries: object) -> Path:
    """A file as OpenCV writes it."""
    writer = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    writer.write("calibration_time", "Sat Nov 28 09:00:00 2026")
    for name, value in entries.items():
        writer.write(name, value)
    writer.write("image_points", np.random.default_rng(0).normal(size=(40, 54, 2)))
    writer.release()
    return path


@pytest.mark.parametrize("suffix", ["yml", "xml", "yaml"])
def test_opencv_pinhole(suffix: str, tmp_path: Path) -> None:
    path = storage(
        tmp_path / f"camera.{suffix}",
        image_width=640, image_height=480, fisheye_model=0, camera_matrix=K,
        distortion_coefficients=np.array(FIVE)[:, None],
    )  # fmt: skip
    known = read_calibration(path)
    assert known.camera == Pinhole(PLANE, Distortion(*FIVE)) and known.image_size == (480, 640)


@pytest.mark.parametrize("suffix", ["yml", "xml"])
def test_opencv_fisheye_and_mirror(suffix: str, tmp_path: Path) -> None:
    entries = {
        "image_width": 640,
        "image_height": 480,
        "camera_matrix": K,
        "distortion_coefficients": np.array([FOUR]),
    }
    fisheye = storage(tmp_path / f"fisheye.{suffix}", fisheye_model=1, **entries)
    assert read_calibration(fisheye).camera == KannalaBrandt(PLANE, tuple(FOUR))
    entries["camera_matrix"] = K + np.array([[0, 0.5, 0], [0, 0, 0], [0, 0, 0]])
    mirror = storage(tmp_path / f"mirror.{suffix}", xi=1.1, **entries)
    expected = Unified(ImagePlane(300.0, 301.0, 319.5, 240.25, 0.5), 1.1, Distortion(*FOUR))
    assert read_calibration(mirror).camera == expected


def test_four_coefficients_are_not_guessed(tmp_path: Path) -> None:
    path = storage(tmp_path / "camera.yml", K=K, D=np.array([FOUR]))
    with pytest.raises(UserError, match="--calibrated_height"):
        read_calibration(path)
    with pytest.raises(UserError, match="--camera"):
        read_calibration(path, image_size=(480, 640))
    for model, camera in (
        ("pinhole", Pinhole(PLANE, Distortion(*FOUR))),
        ("kannala_brandt", KannalaBrandt(PLANE, tuple(FOUR))),
    ):
        assert read_calibration(path, image_size=(480, 640), model=model).camera == camera


def test_opencv_stereo_and_size_in_one_entry(tmp_path: Path) -> None:
    path = storage(
        tmp_path / "stereo.yml",
        M1=K * 2,
        D1=np.array([FIVE]),
        M2=K,
        D2=np.array([[*FIVE, 0.0, 0, 0]]),
        image_size=np.array([[640, 480]]),
    )
    assert read_calibration(path, "2").camera == Pinhole(PLANE, Distortion(*FIVE))
    with pytest.raises(UserError, match="M1, M2; choose one with --camera_name, such as 1"):
        read_calibration(path)


def test_kalibr(tmp_path: Path) -> None:
    path = tmp_path / "camchain.yaml"
    path.write_text(KALIBR)
    first, second = (read_calibration(path, name) for name in ("cam0", "cam1"))
    assert first.camera == KannalaBrandt(PLANE, tuple(FOUR)) and first.image_size == (480, 640)
    assert second.camera == Unified(PLANE, 1.2, Distortion(-0.2, 0.03, 1e-4, 0.0))
    with pytest.raises(UserError, match="cam0, cam1; choose one with --camera_name"):
        read_calibration(path)
    with pytest.raises(UserError, match="no camera 'cam7'"):
        read_calibration(path, "cam7")
    path.write_text(KALIBR.split("cam1:")[0].replace("equi", "radtan"))
    assert read_calibration(path).camera == Pinhole(PLANE, Distortion(*FOUR))


def test_ros(tmp_path: Path) -> None:
    path = tmp_path / "front.yaml"
    path.write_text(ROS)
    assert read_calibration(path).camera == KannalaBrandt(PLANE, tuple(FOUR))
    path.write_text(ROS.replace("equidistant", "plumb_bob"))
    assert read_calibration(path).camera == Pinhole(PLANE, Distortion(*FOUR))


BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "ha">]><opencv_storage><K>&b;</K></opencv_storage>'
OMNI = KALIBR.replace("camera_model: pinhole", "camera_model: omni").replace("[300.0", "[1.0, 300.0", 1)
REFUSED = {
    "nothing known": ("a: 1\n", "no camera"),
    "empty": ("", "no camera"),
    "no YAML": ("camera_matrix: [1, 2\n", "not valid YAML"),
    "a tag": ("camera_matrix: !!python/object/apply:os.getcwd []\n", "tags"),
    "another tag": ("cam0:\n  camera_model: !x pinhole\n", "tags"),
    "aliases": ("cam0: &a [1]\ncam1: [*a, *a]\n", "aliases"),
    "too much": ("cam0:\n" + "  - 1\n" * 20000, "far more"),
    "no XML": ("<opencv_storage><K>", "not valid XML"),
    "entities": (BOMB, "document type"),
    "deep XML": ("<a>" * 500, "nested"),
    "many numbers": (f"<s><K><data>{'1 ' * 1000}</data></K></s>", "far more"),
    "words": (ROS.replace("301", "fast"), "camera_matrix: holds something other than numbers"),
    "true": (ROS.replace("301", "true"), "camera_matrix: holds something other than numbers"),
    "infinite": (ROS.replace("301", ".inf"), "camera_matrix: a number is not finite"),
    "eight numbers": (ROS.replace(", 0, 0, 1]", ", 0, 0]"), "8 numbers, not 9"),
    "no matrix": (ROS.replace("0, 0, 1]", "0, 1, 1]"), "no camera matrix"),
    "unit intrinsics": (ROS.replace("300", "0.5"), "in pixels"),
    "no size": (ROS.replace("image_width", "image_w"), "does not say the size"),
    "huge": (ROS.replace("640", "640000"), "640000x480"),
    "half a pixel": (ROS.replace("640", "640.5"), "640.5x480"),
    "three coefficients": (ROS.replace("data: [0.05, ", "data: ["), "3 numbers, not 4"),
    "unknown distortion": (ROS.replace("equidistant", "fov"), "'fov' is not here"),
    "double sphere": (KALIBR.replace("camera_model: pinhole", "camera_model: ds"), "'ds' is not here"),
    "fov": (KALIBR.replace("equi", "fov"), "'fov' is not here"),
    "omni with equi": (OMNI, "omni with"),
    "negative xi": (OMNI.replace("equi", "radtan").replace("[1.0", "[-1.0"), "xi is -1"),
    "resolution": (KALIBR.replace("[640, 480]", "[640]"), "resolution: has 1 numbers, not 2"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "camera.yml"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        read_calibration(path, "cam0" if "cam0:\n  cam_o" in text else None)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_absent_binary_and_tilted(tmp_path: Path) -> None:
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\x00camera")
    tilted = storage(
        tmp_path / "tilted.yml",
        image_width=640,
        image_height=480,
        camera_matrix=K,
        distortion_coefficients=np.array([*FIVE, 0, 0, 0, 1e-3, 0, 0, 0]),
    )
    for path, words in (
        (tmp_path / "no.yml", "no such calibration"),
        (tmp_path / "binary.yml", "UTF-8"),
        (tilted, "thin prism"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(UserError, match=words):
            read_calibration(path)
