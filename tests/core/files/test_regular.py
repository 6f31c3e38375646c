"""Pipes and devices in the place of data: refused at once, where they would be waited for."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.datasets.camera import choose_camera
from core.datasets.hints.files import read_coded
from core.datasets.kitti import CalibrationFile, read_annotated_depth, read_scan
from core.datasets.mat_file import read_mat_array
from core.datasets.oxts import read_packet
from core.datasets.scene_folders import read_frame_index, read_scenes
from core.datasets.splits import read_split_file
from core.errors import UserError
from core.evaluation.disparity_files import load_disparities, open_disparities
from core.files.images import image_size, load_image
from core.files.inputs import find_images
from core.files.regular import read_text
from core.odometry.trajectories import load_motions, read_trajectory
from core.options import option_files

READERS: dict[str, Callable[[Path], object]] = {
    "scan": read_scan,
    "calibration": CalibrationFile,
    "annotated depth": read_annotated_depth,
    "image": load_image,
    "size of an image": image_size,
    "depth hint": read_coded,
    "trajectory": read_trajectory,
    "motions": load_motions,
    "disparities": load_disparities,
    "disparities, mapped": lambda path: load_disparities(path, mapped=True),
    "disparities, one by one": open_disparities,
    "packet": read_packet,
    "list": read_split_file,
    "scenes": lambda path: read_scenes(path, path.parent),
    "index": lambda path: read_frame_index(path, 10),
    "MATLAB file": lambda path: read_mat_array(path, "x"),
    "options": option_files.read,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_pipe_or_device_as_data(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "data")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in ("data", "link"):
        with pytest.raises(UserError, match=rf"{name}: .*no regular file") as error:
            read(tmp_path / name)
        assert "\n" not in str(error.value) and "[Errno" not in str(error.value)
        assert str(error.value).count(str(tmp_path)) == 1


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_data_one_may_not_read(read: Callable[[Path], object]) -> None:
    """Said as of a photograph: not that it is damaged or not there, and whose permission is needed."""
    with tempfile.TemporaryDirectory() as folder:  # whoever asks may look into it
        os.chmod(folder, 0o755)
        refuse(read, Path(folder) / "data")


def refuse(read: Callable[[Path], object], path: Path) -> None:
    path.write_bytes(b"content")
    user = os.geteuid()
    path.chmod(0)
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match=r"data: .*Permission denied; let its owner permit it") as error:
            read(path)
    finally:
        os.seteuid(user)
    assert "\n" not in str(error.value) and "[Errno" not in str(error.value)


def test_a_pipe_as_intrinsics(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "intrinsics.yaml")
    with pytest.raises(UserError, match=r"intrinsics\.yaml: .*no regular file"):
        choose_camera(tmp_path, tmp_path, (10, 20), None)


def test_names_that_are_none(tmp_path: Path) -> None:
    for path in (tmp_path / "a\0b", tmp_path / ("x" * 300), tmp_path):
        with pytest.raises(UserError):
            read_scan(path)


def test_text_as_before(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\ntwo\rthr\u00e9e\n".encode())
    assert read_text(tmp_path / "a.txt") == "one\ntwo\nthr\u00e9e\n"
    with pytest.raises(OSError, match="far more than"):
        read_text(tmp_path / "a.txt", limit=3)


def test_list_of_images_that_names_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "list.txt").write_text("pipe.png\n")
    with pytest.raises(UserError, match=r"line 1: .*no such image"):
        find_images(str(tmp_path / "list.txt"), ["png"])


def test_scan_keeps_its_numbers(tmp_path: Path) -> None:
    scan = np.random.default_rng(0).normal(size=(7, 4)).astype("<f4")
    scan.tofile(tmp_path / "a.bin")
    found = read_scan(tmp_path / "a.bin")
    assert np.array_equal(found, scan) and found.flags.writeable
