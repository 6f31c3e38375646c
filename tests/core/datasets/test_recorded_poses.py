"""PackNet's poses of KITTI raw's inertial unit, in metres, recorded from packets and the real calibration."""

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

from core.datasets import open_dataset
from core.datasets.kitti import read_calibration
from core.datasets.known_poses import oxts_motion
from core.datasets.oxts import oxts_path
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.needs import Listing, Needs, Preparation
from tests.core.kitti_folder import noise
from tests.tolerances import assert_close

DAY = "2011_09_26"
DRIVE = f"{DAY}/{DAY}_drive_9001_sync"
BOUND = (1e-6, 1e-6)  # recorded as float32


@pytest.fixture(scope="module")
def drive(golden, shared, tmp_path_factory):
    """The recorded numbers, and a root with the real calibration, their four packets and as many images."""
    recorded, root = golden("packnet/data.npz"), tmp_path_factory.mktemp("kitti")
    (root / DAY).mkdir()
    for file in (shared / "data/kitti_raw_mono" / DAY).glob("*.txt"):
        shutil.copy(file, root / DAY)
    for frame, packet in enumerate(recorded["oxts/packets"]):
        path, image = oxts_path(root, DRIVE, frame), root / DRIVE / f"image_02/data/{frame:010d}.png"
        for folder in (path.parent, image.parent):
            folder.mkdir(parents=True, exist_ok=True)
        path.write_text(" ".join(repr(float(number)) for number in packet))
        Image.fromarray(noise(48, 160, frame)).save(image)
    (root / "list.txt").write_text("".join(f"{DRIVE}/image_02/data/{n:010d}.png\n" for n in range(4)))
    return recorded, root


@pytest.fixture(scope="module")
def offset(drive):
    """T_camera2_camera0. Theirs ignores the distance between the two cameras, ours does not."""
    P, T = read_calibration(drive[1] / DAY).P_rect[2], np.eye(4)
    T[:3, 3] = np.linalg.solve(P[:, :3], P[:, 3])
    assert 0.05 < T[0, 3] < 0.07
    return T


def test_poses_since_the_first_frame(drive, offset):
    recorded, root = drive
    motion = oxts_motion(root, DRIVE)
    T_camera0_imu = np.linalg.inv(offset) @ motion.T_camera_body[2]
    assert_close(T_camera0_imu, recorded["oxts/T_camera_imu"], BOUND)
    for number, frame in enumerate(recorded["oxts/kept_frames"].tolist()):
        for one in (0, frame):
            motion.load(one)
        found = np.linalg.inv(offset) @ motion.T_source_target((0, 2), (frame, 2)) @ offset
        assert_close(found, recorded[f"oxts/pose_{number}"], BOUND)


@dataclasses.dataclass
class Velocity(Monodepth2Options):
    """A method that asks for the motion in metres."""

    @property
    def stereo_scale_factor(self):
        return 1.0

    def needs(self, part):
        return Needs(frames=(0, -1, 1), motion=True)

    def preparation(self, part):
        return Preparation(32, 64, mirror="edges")

    def listings(self, part):
        return [Listing("kitti", self.data_path, "list.txt", calibration=True, drop_incomplete=True)]


def test_motion_of_samples(drive, offset):
    """T_source_target, metres, of the frames whose neighbours exist."""
    recorded, root = drive
    dataset = open_dataset(Velocity(data_path=str(root), batch_size=2), "train")
    assert [line.frame for line in dataset.lines] == recorded["oxts/kept_frames"].tolist()
    for index in range(2):
        sample = dataset[0, index]
        found = np.stack([sample[key].astype(np.float64) for key in ("T_-1", "T_1")])
        context = recorded[f"oxts/pose_context_{index}"]
        assert_close(np.linalg.inv(offset) @ found @ offset, context, (1e-5, 1e-6))
        # Only lengths teach; the distance of the cameras changes them by a few millimetres in curves.
        lengths = [np.linalg.norm(T[:, :3, 3], axis=1) for T in (found, context)]
        assert_close(*lengths, (0, 5e-3))
        assert (lengths[1] > 0.2).all()
