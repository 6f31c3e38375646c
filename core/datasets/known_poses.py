"""The camera's motion where it was measured: KITTI raw's oxts packets, or files of poses in KITTI's format.

What was tracked (the inertial unit, or a camera) is the `body`: its poses are T_world_body, in metres, and the cameras
are fixed to it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.datasets.kitti import CalibrationFile, calibration_folder, read_calibration
from core.datasets.oxts import T_world_imu, oxts_path, read_packet
from core.datasets.splits import LEFT
from core.errors import UserError
from core.files.listing import matching
from core.geometry import invert_rigid
from core.odometry.trajectories import Trajectory, are_rotations, read_trajectory
from core.plausibility.cameras import check_kitti_centre, check_kitti_sequence, check_projections
from core.plausibility.motion import LEAST_MOVE
from core.plausibility.motion import check_moves as check_largest_move

POSES_FORMAT = "a row of 12 numbers per image, T_world_camera in metres"
KNOWN_OF_K = np.array([[0, 1, 0], [1, 0, 0], [1, 1, 1]])  # entries of K that are not fx, fy, cx, cy

Intrinsics = tuple[float, float, float, float]


class MissingPoseError(UserError):
    """A frame has no pose. What needs it is for the caller to say."""


class Move(NamedTuple):
    """How far apart the camera was at two frames of a sequence, metres."""

    folder: str
    target: int
    source: int
    metres: float


@dataclass
class KnownMotion:
    """Poses and cameras of one sequence.

    Attributes:
        read: the frame → T_world_body, float64 (4, 4), metres; raises MissingPoseError if there is none.
        T_camera_body: (4, 4) of each camera, by its number 2 or 3.
        intrinsics: fx, fy, cx, cy of each camera in units of the image size, see `core.geometry.relative_intrinsics`;
            None where the data set has its own.
        poses: T_world_body of the frames that were read.
        T_body_camera: (4, 4) of each camera.
    """

    read: Callable[[int], np.ndarray]
    T_camera_body: dict[int, np.ndarray]
    intrinsics: dict[int, Intrinsics] | None = None
    poses: dict[int, np.ndarray] = field(default_factory=dict)
    T_body_camera: dict[int, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self.T_body_camera = {camera: np.linalg.inv(T) for camera, T in self.T_camera_body.items()}

    def load(self, frame: int) -> None:
        """Reads the pose of a frame, once.

        Raises:
            MissingPoseError: there is none.
            UserError: it is damaged.
        """
        if frame not in self.poses:
            self.poses[frame] = self.read(frame)

    def T_source_target(self, source: tuple[int, int], target: tuple[int, int]) -> np.ndarray:  # noqa: N802
        """(4, 4) float64, metres, of two views: frame and camera."""
        T_world_source, T_world_target = (
            self.poses[frame] @ self.T_body_camera[camera] for frame, camera in (source, target)
        )
        return np.asarray(invert_rigid(T_world_source) @ T_world_target)

    def distance(self, source: tuple[int, int], target: tuple[int, int]) -> float:
        """Metres between two views: frame and camera."""
        a, b = (self.poses[frame] @ self.T_body_camera[camera][:, 3] for frame, camera in (source, target))
        return float(np.linalg.norm(a - b))


def check_moves(moves: list[Move]) -> list[str]:
    """Says how far the camera moves from targets to sources, as metres should be.

    Returns:
        Notes for the user.

    Raises:
        UserError: it is so far that the unit is another, or a pose is wrong; or nothing moves; see
            `core.plausibility.motion`.
    """
    if not moves:
        return []
    largest = max(moves, key=lambda move: move.metres)
    check_largest_move(largest.folder, (largest.target, largest.source), largest.metres)
    median = float(np.median([move.metres for move in moves]))
    still = {move.folder for move in moves} - {move.folder for move in moves if move.metres >= LEAST_MOVE}
    notes = [
        f"known motion from targets to sources: median {median:.3g} m, largest {largest.metres:.3g} m "
        f"({largest.folder}, frames {largest.target} and {largest.source})"
    ]
    if still:
        notes.append(f"sequences that stand still by their poses: {len(still)}, such as {min(still)}")
    return notes


def oxts_motion(root: Path, folder: str) -> KnownMotion:
    """The motion of a drive of KITTI raw: oxts packets, and the calibration of its day.

    Raises:
        MissingPoseError: the drive has no packets.
        UserError: a calibration is missing or malformed.
    """
    first = min(matching(oxts_path(root, folder, 0).parent, "[0-9]*.txt"), default=None)
    if first is None:
        raise MissingPoseError(
            f"{oxts_path(root, folder, 0).parent}: no packets of the inertial unit, which measured motion needs; "
            "unpack oxts of that drive there"
        )
    # One scale for the drive, so that its path is the Earth's surface unrolled (KITTI's development kit).
    scale = float(np.cos(np.radians(read_packet(first)[0])))

    def read(frame: int) -> np.ndarray:
        path = oxts_path(root, folder, frame)
        if not path.is_file():
            raise MissingPoseError(f"{path}: no such packet of the inertial unit")
        return T_world_imu(read_packet(path), scale)

    day = calibration_folder(root, folder)
    calibration = read_calibration(day)
    imu = CalibrationFile(day / "calib_imu_to_velo.txt")
    T_velodyne_imu = np.eye(4)
    T_velodyne_imu[:3, :3] = imu.numbers("R", 9).reshape(3, 3)
    T_velodyne_imu[:3, 3] = imu.numbers("T", 3)
    for path, key, T in (
        (day / "calib_cam_to_cam.txt", "R_rect_00", calibration.R_rect_00),
        (day / "calib_velo_to_cam.txt", "R", calibration.T_camera_velodyne),
        (imu.path, "R", T_velodyne_imu),
    ):
        if not are_rotations(T[:3, :3]):
            raise UserError(f"{path}: malformed calibration: {key} must be a rotation; unpack it again")
    T_rectified_imu = calibration.R_rect_00 @ calibration.T_camera_velodyne @ T_velodyne_imu
    P = {f"P_rect_{camera:02d}": (camera, matrix) for camera, matrix in calibration.P_rect.items()}
    cameras = _cameras(day / "calib_cam_to_cam.txt", P, calibration.image_size, T_rectified_imu)
    return KnownMotion(read, *cameras)


def calibrated_intrinsics(day: Path) -> dict[int, Intrinsics]:
    """The intrinsics of each camera of KITTI raw, by the calibration files in the folder of a day.

    Raises:
        UserError: a file is missing or malformed.
    """
    calibration = read_calibration(day)
    P = {f"P_rect_{camera:02d}": (camera, matrix) for camera, matrix in calibration.P_rect.items()}
    return _cameras(day / "calib_cam_to_cam.txt", P, calibration.image_size, np.eye(4))[1]


def odometry_motion(
    poses: Path, calibration: Path, image_size: tuple[int, int], first: int = LEFT, pair: bool = True
) -> KnownMotion:
    """The motion of a sequence of KITTI odometry, whose poses are those of camera 0.

    Args:
        poses: such as `poses/09.txt`.
        calibration: such as `sequences/09/calib.txt`.
        image_size: (height, width) of the images, which must be that of the calibration.
        first: KITTI's number of the left camera: 2, or 0 of the grey pair. Ours is 2, and 3 of the right one.
        pair: the right camera is needed, too.

    Raises:
        UserError: a file is missing or malformed, or the images are of another size.
    """
    return KnownMotion(_rows(poses), *odometry_cameras(calibration, image_size, first, pair))


def odometry_cameras(
    calibration: Path, image_size: tuple[int, int], first: int = LEFT, pair: bool = True
) -> tuple[dict[int, np.ndarray], dict[int, Intrinsics]]:
    """`KnownMotion.T_camera_body` and `intrinsics` of a sequence of KITTI odometry, see `odometry_motion`."""
    file = CalibrationFile(calibration, "unpack KITTI's data_odometry_calib.zip there")
    keys = {f"P{first + side}": LEFT + side for side in (0, 1)}
    if not pair and f"P{first + 1}" not in file.entries:
        del keys[f"P{first + 1}"]
    P = {key: (camera, file.numbers(key, 12).reshape(3, 4)) for key, camera in keys.items()}
    check_projections(calibration, {key: matrix.tolist() for key, (_, matrix) in P.items()}, None)
    check_kitti_sequence(calibration, float(P[f"P{first}"][1][0, 0]), image_size)
    T_camera_body, intrinsics = _cameras(calibration, P, image_size, np.eye(4))
    for _, _, cx, cy in intrinsics.values():
        check_kitti_centre(calibration, (cx, cy), image_size)
    return T_camera_body, intrinsics


def file_motion(path: Path, frames: dict[int, int | None], baseline: float | None) -> KnownMotion:
    """The motion of a user's own sequence by its `poses.txt`: T_world_camera of its only or left camera.

    Args:
        path: a row of 12 numbers per image in their order; or of 13, the number in the image's name first, where
            some lack a pose.
        frames: frames of the images, in their order, and the numbers in their names; None where they have none.
        baseline: metres from the left camera to the right; None where there is one camera, or it is not known.

    Raises:
        UserError: the file is missing or malformed, its rows are more or fewer than the images, or it is not clear
            of which image a row is.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file, which measured motion needs: {POSES_FORMAT}")
    T_camera_body = {2: np.eye(4)}
    if baseline is not None:
        T_camera_body[3] = np.eye(4)
        T_camera_body[3][0, 3] = -baseline
    return KnownMotion(_rows(path, frames), T_camera_body)


def _cameras(
    path: Path,
    P: dict[str, tuple[int, np.ndarray]],
    image_size: tuple[int, int],
    T_rectified_body: np.ndarray,
) -> tuple[dict[int, np.ndarray], dict[int, Intrinsics]]:
    """`KnownMotion.T_camera_body` and `intrinsics` by a calibration file.

    Args:
        P: camera and projection (3, 4) from the rectified camera 0, K [I | t], by their keys in the file.

    Raises:
        UserError: the left of a projection is no K.
    """
    height, width = image_size
    T_camera_body, intrinsics = {}, {}
    for key, (camera, projection) in P.items():
        K, T_camera_rectified = projection[:, :3], np.eye(4)
        if not (K[0, 0] > 0 and K[1, 1] > 0 and np.array_equal(K * KNOWN_OF_K, np.diag([0, 0, 1]))):
            raise UserError(
                f"{path}: malformed calibration: {key} must begin with K, rows fx 0 cx, 0 fy cy and 0 0 1 with fx and "
                "fy above 0; unpack it again"
            )
        T_camera_rectified[:3, 3] = np.linalg.solve(K, projection[:, 3])
        T_camera_body[camera] = T_camera_rectified @ T_rectified_body
        fx, fy, cx, cy = (float(K[index]) for index in ((0, 0), (1, 1), (0, 2), (1, 2)))
        intrinsics[camera] = fx / width, fy / height, (cx + 0.5) / width, (cy + 0.5) / height
    return T_camera_body, intrinsics


def _rows(path: Path, images: dict[int, int | None] | None = None) -> Callable[[int], np.ndarray]:
    """`KnownMotion.read` of a file of poses, whose rows are those of the images; None: of frames 0, 1, …"""
    trajectory = read_trajectory(path)
    frames = trajectory.frames.tolist() if images is None else frames_of_rows(path, trajectory, images)
    poses = dict(zip(frames, trajectory.T_world_camera, strict=True))

    def read(frame: int) -> np.ndarray:
        if frame not in poses:
            number = (images or {}).get(frame) or frame  # as in lists
            raise MissingPoseError(f"{path}: {len(poses)} poses, but none of frame {number}")
        return poses[frame]

    return read


def frames_of_rows(path: Path, trajectory: Trajectory, images: dict[int, int | None]) -> list[int | None]:
    """The frame of each row of a file of poses; None of rows between the images.

    Rows of 13 numbers begin with the number in an image's name. Rows of 12 are those of the images in their order; or
    where they reach beyond the largest number in a name, as of a whole video, the row is that number.

    Args:
        path: of the file, for messages.
        trajectory: what it holds.
        images: frames of the images, in their order, and the numbers in their names; None where they have none.

    Raises:
        UserError: it is not clear of which image a row is.
    """
    rows: list[int] = trajectory.frames.tolist()
    frames = {number: frame for frame, number in images.items()}
    last = max((number for number in frames if number is not None), default=0)
    if not trajectory.numbered:
        if len(rows) == len(images):
            return list(images)
        if None in frames or last < len(images) or len(rows) <= last:
            raise UserError(f"{path}: {len(rows)} poses for {len(images)} images; needed is {POSES_FORMAT}")
    elif all(number == frame for number, frame in frames.items()):
        return list(rows)  # there may be poses between the images
    elif None in frames:
        raise UserError(
            f"{path}: its rows begin with a number, but the names of the images do not have one number each; "
            f"needed is {POSES_FORMAT}"
        )
    for row in rows if not frames.keys() <= set(rows) else ():
        if row not in frames:  # else rows that count the frames would be taken for others, in silence
            raise UserError(
                f"{path}: no image has the number {row} in its name; rows of 13 numbers begin with that of their image"
            )
    return [frames.get(row) for row in rows]
