"""The camera's motion where it was measured: KITTI raw's oxts packets, or files of poses in KITTI's format.

What was tracked (the inertial unit, or a camera) is the `body`: its poses are T_world_body, in metres, and the cameras
are fixed to it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.geometry import invert_rigid
from core.kitti import CalibrationFile, calibration_folder, read_calibration
from core.odometry.trajectories import read_trajectory

EARTH_RADIUS = 6378137.0  # metres, of KITTI's Mercator projection
POSE_NUMBERS = 6  # that a packet begins with, see `read_packet`; velocities and others follow
MOST_LATITUDE = 85.0  # degrees; Mercator ends before the poles
LINE = "a row of 12 numbers per image, T_world_camera in metres"

Intrinsics = tuple[float, float, float, float]


@dataclass
class KnownMotion:
    """Poses and cameras of one sequence.

    Attributes:
        read: the frame, and what to do if there is none (ends the message) → T_world_body, float64 (4, 4), metres.
        T_camera_body: (4, 4) of each camera, by its number 2 or 3.
        intrinsics: fx, fy, cx, cy of each camera in units of the image size, see `core.geometry.relative_intrinsics`;
            None where the data set has its own.
        poses: T_world_body of the frames that were read.
    """

    read: Callable[[int, str], np.ndarray]
    T_camera_body: dict[int, np.ndarray]
    intrinsics: dict[int, Intrinsics] | None = None
    poses: dict[int, np.ndarray] = field(default_factory=dict)

    def load(self, frame: int, cure: str) -> None:
        """Reads the pose of a frame, once.

        Raises:
            UserError: there is none, or it is damaged.
        """
        if frame not in self.poses:
            self.poses[frame] = self.read(frame, cure)

    def T_source_target(self, source: tuple[int, int], target: tuple[int, int]) -> np.ndarray:  # noqa: N802
        """(4, 4) float64, metres, of two views: frame and camera."""
        T_world_source, T_world_target = (
            self.poses[frame] @ np.linalg.inv(self.T_camera_body[camera])
            for frame, camera in (source, target)
        )
        return np.asarray(invert_rigid(T_world_source) @ T_world_target)


def oxts_path(root: Path, folder: str, frame: int) -> Path:
    """A packet of the inertial unit of KITTI raw."""
    return root / folder / "oxts" / "data" / f"{frame:010d}.txt"


def oxts_motion(root: Path, folder: str) -> KnownMotion:
    """The motion of a drive of KITTI raw: oxts packets, and the calibration of its day.

    Raises:
        UserError: the drive has no packets, or a calibration is missing or malformed.
    """
    first = min(oxts_path(root, folder, 0).parent.glob("*.txt"), default=None)
    if first is None:
        raise UserError(
            f"{oxts_path(root, folder, 0).parent}: no packets of the inertial unit, which --known_poses needs; "
            "unpack oxts of that drive there"
        )
    # One scale for the drive, so that its path is the Earth's surface unrolled (KITTI's development kit).
    scale = float(np.cos(np.radians(read_packet(first)[0])))

    def read(frame: int, cure: str) -> np.ndarray:
        path = oxts_path(root, folder, frame)
        if not path.is_file():
            raise UserError(f"{path}: no such packet of the inertial unit; {cure}")
        return T_world_imu(read_packet(path), scale)

    calibration = read_calibration(calibration_folder(root, folder))
    imu = CalibrationFile(calibration_folder(root, folder) / "calib_imu_to_velo.txt")
    T_velodyne_imu = np.eye(4)
    T_velodyne_imu[:3, :3] = imu.numbers("R", 9).reshape(3, 3)
    T_velodyne_imu[:3, 3] = imu.numbers("T", 3)
    T_rectified_imu = calibration.R_rect_00 @ calibration.T_camera_velodyne @ T_velodyne_imu
    return KnownMotion(read, *_cameras(calibration.P_rect, calibration.image_size, T_rectified_imu))


def read_packet(path: Path) -> np.ndarray:
    """Latitude, longitude (degrees), altitude (metres), roll, pitch, yaw (radians) of an oxts packet, float64 (6,).

    Raises:
        UserError: the packet is no text or has too few numbers.
    """
    try:
        values = np.array([float(word) for word in path.read_text(encoding="utf-8").split()[:POSE_NUMBERS]])
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as an oxts packet: {error}; copy it again") from None
    if len(values) < POSE_NUMBERS or not np.isfinite(values).all() or abs(values[0]) > MOST_LATITUDE:
        raise UserError(f"{path}: not an oxts packet: it begins with latitude, longitude, …; copy it again")
    return values


def T_world_imu(packet: np.ndarray, scale: float) -> np.ndarray:  # noqa: N802 (a transform's name)
    """Pose (4, 4) of the inertial unit, x forward, y left, z up; the world is x east, y north, z up, in metres.

    By KITTI's convention (Geiger et al. 2013): Mercator's projection, R = Rz(yaw) Ry(pitch) Rx(roll).

    Args:
        packet: as `read_packet` gives it.
        scale: cosine of the latitude of the drive's first frame.
    """
    latitude, longitude = np.radians(packet[:2])
    (a, b, c), (s, p, q) = np.cos(packet[3:6]), np.sin(packet[3:6])
    x = np.array([[1, 0, 0], [0, a, -s], [0, s, a]])
    y = np.array([[b, 0, p], [0, 1, 0], [-p, 0, b]])
    z = np.array([[c, -q, 0], [q, c, 0], [0, 0, 1]])
    T = np.eye(4)
    T[:3, :3] = z @ y @ x
    T[:2, 3] = scale * EARTH_RADIUS * np.array([longitude, np.log(np.tan(np.pi / 4 + latitude / 2))])
    T[2, 3] = packet[2]
    return T


def odometry_motion(poses: Path, calibration: Path, image_size: tuple[int, int]) -> KnownMotion:
    """The motion of a sequence of KITTI odometry, whose poses are those of camera 0.

    Args:
        poses: such as `poses/09.txt`.
        calibration: such as `sequences/09/calib.txt`.
        image_size: (height, width) that the calibration is for.

    Raises:
        UserError: a file is missing or malformed.
    """
    file = CalibrationFile(calibration)
    P = {camera: file.numbers(f"P{camera}", 12).reshape(3, 4) for camera in (2, 3)}
    return KnownMotion(_rows(poses), *_cameras(P, image_size, np.eye(4)))


def file_motion(path: Path, frames: list[int], baseline: float | None) -> KnownMotion:
    """The motion of a user's own sequence by its `poses.txt`: T_world_camera of its only or left camera.

    Args:
        path: a row of 12 numbers per image in their order; or of 13, the frame number first, where some lack a pose.
        frames: numbers of the images, in their order.
        baseline: metres from the left camera to the right; None where there is one camera, or it is not known.

    Raises:
        UserError: the file is missing or malformed, or has more or fewer rows than there are images.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file, which --known_poses needs: {LINE}")
    T_camera_body = {2: np.eye(4)}
    if baseline is not None:
        T_camera_body[3] = np.eye(4)
        T_camera_body[3][0, 3] = -baseline
    return KnownMotion(_rows(path, frames), T_camera_body)


def _cameras(
    P: dict[int, np.ndarray], image_size: tuple[int, int], T_rectified_body: np.ndarray
) -> tuple[dict[int, np.ndarray], dict[int, Intrinsics]]:
    """`KnownMotion.T_camera_body` and `intrinsics` of projections (3, 4) from the rectified camera 0, P = K [I | t]."""
    height, width = image_size
    T_camera_body, intrinsics = {}, {}
    for camera, projection in P.items():
        K, T_camera_rectified = projection[:, :3], np.eye(4)
        T_camera_rectified[:3, 3] = np.linalg.solve(K, projection[:, 3])
        T_camera_body[camera] = T_camera_rectified @ T_rectified_body
        fx, fy, cx, cy = (float(K[index]) for index in ((0, 0), (1, 1), (0, 2), (1, 2)))
        intrinsics[camera] = fx / width, fy / height, (cx + 0.5) / width, (cy + 0.5) / height
    return T_camera_body, intrinsics


def _rows(path: Path, frames: list[int] | None = None) -> Callable[[int, str], np.ndarray]:
    """`KnownMotion.read` of a file of poses, whose rows are those of the frames; None: of 0, 1, …"""
    trajectory = read_trajectory(path)
    rows = len(trajectory.frames)
    if trajectory.numbered or frames is None:
        frames = trajectory.frames.tolist()
    elif rows != len(frames):
        raise UserError(f"{path}: {rows} poses for {len(frames)} images; needed is {LINE}")
    poses = dict(zip(frames, trajectory.T_world_camera, strict=True))

    def read(frame: int, cure: str) -> np.ndarray:
        if frame not in poses:
            raise UserError(f"{path}: {rows} poses, but none of frame {frame}; {cure}")
        return poses[frame]

    return read
