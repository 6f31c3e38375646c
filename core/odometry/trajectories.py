"""Paths of a camera: files in KITTI's pose format, and the way from motions to poses and back.

A trajectory is `T_world_camera`: the pose of each frame, camera to world. A motion is `T_next_current`: it maps
points of camera t to camera t + 1, which is T_source_target of the target t and the source t + 1.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.faults import why_not_read
from core.files.arrays import require_finite, save_array
from core.files.regular import read_text
from core.files.whole import write_text
from core.geometry import invert_rigid
from core.weights.npz import read_npy

MAX_MOTIONS_BYTES = 256 << 20
NEEDED = (
    "write a row of 12 numbers per frame, the first three rows of T_world_camera; or of 13, the frame first"
)
# By the number of words in a row.
OTHER_ROWS = {
    4: "4 numbers: the rows of a matrix must stand in one line",
    6: "6 numbers: a position and three angles",
    7: "7 numbers: a position and a quaternion",
    8: "8 numbers: a time, a position and a quaternion, as TUM's benchmark writes them",
    16: "16 numbers: whole matrices; leave out the last four of each, 0 0 0 1",
    17: "17 numbers: a frame and whole matrices; leave out the last four of each, 0 0 0 1",
}
RIGID_TOLERANCE = 1e-2  # of R Rᵀ: files carry six digits, or float32; a matrix of something else is far off


@dataclass(frozen=True)
class Trajectory:
    """Camera poses.

    Attributes:
        frames: (N,) frame numbers, ascending; with gaps where a program lost its way.
        T_world_camera: (N, 4, 4) float64.
        numbered: the frame numbers are known; if not, they were counted from 0.
    """

    frames: np.ndarray
    T_world_camera: np.ndarray
    numbered: bool = True

    @property
    def positions(self) -> np.ndarray:
        """(N, 3) places of the camera in the world."""
        return self.T_world_camera[:, :3, 3]


def motions(T_world_camera: np.ndarray) -> np.ndarray:
    """T_next_current (N − 1, 4, 4) between the neighbours of poses (N, 4, 4)."""
    T_current_next = np.linalg.inv(T_world_camera[:-1]) @ T_world_camera[1:]
    return np.asarray(np.linalg.inv(T_current_next))


def chain(T_next_current: np.ndarray) -> np.ndarray:
    """T_world_camera (N + 1, 4, 4) float64 of motions (N, 4, 4); the world is the first camera.

    T_world_next = T_world_current @ T_current_next, the last being the inverse of the motion.
    """
    T_next_current = np.array(T_next_current, np.float64)
    # The nearest rotations: those of float32 are off by 1e-7, which a thousand products and the arc cosine
    # of a small angle (0.02 degrees) make visible.
    U, _, Vt = np.linalg.svd(T_next_current[:, :3, :3])
    T_next_current[:, :3, :3] = U @ Vt
    poses = [np.eye(4)]
    for T_current_next in invert_rigid(T_next_current):
        poses.append(poses[-1] @ T_current_next)
    return np.stack(poses)


def read_trajectory(path: Path) -> Trajectory:
    """Reads a KITTI pose file: a row per frame, the first three rows of T_world_camera, row-major.

    With 12 numbers a row the frames are 0, 1, …; results may have 13, the frame number first.

    Raises:
        UserError: the file is missing, empty or no text, or a row is malformed; names the row.
    """
    path = Path(path)
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of poses; KITTI's lie in poses/ of the odometry set") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a file of poses: {why_not_read(error)}") from None
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, words) for number, words in lines if words]
    if not lines:
        raise UserError(f"{path}: holds no poses; write one row of 12 numbers per frame")
    _refuse_other_formats(path, lines)
    columns = len(lines[0][1])
    rows = np.array([_parse_row(path, number, words, columns) for number, words in lines])
    numbers = [number for number, _ in lines]
    poses = _rigid(rows[:, -12:], [f"{path}: line {number}" for number in numbers])
    if columns == 12:
        return Trajectory(np.arange(len(rows)), poses, numbered=False)
    return Trajectory(_frame_numbers(path, numbers, rows[:, 0]), poses)


def _parse_row(path: Path, number: int, words: list[str], columns: int) -> list[float]:
    if columns not in (12, 13) or len(words) != columns:
        found = f"{len(words)} words" + (f", the first row {columns}" if columns in (12, 13) else "")
        raise UserError(
            f"{path}: line {number}: {found}; every row needs 12 numbers, or 13 with the frame first"
        )
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise UserError(f"{path}: line {number}: {error}; a row is 12 or 13 numbers") from None


def _refuse_other_formats(path: Path, lines: list[tuple[int, list[str]]]) -> None:
    """Names the format of a file that is none of ours.

    Raises:
        UserError: it is one of those that other programs write.
    """
    first = " ".join(lines[0][1])
    number, words = next(((n, words) for n, words in lines if not words[0].startswith("#")), lines[0])
    text = " ".join(words)
    separated = [word for word in text.replace(";", ",").split(",") if word.strip()]
    if first.startswith(("{", "[")):
        found = "JSON, such as transforms.json of NeRF tools (OpenGL's axes: y up, z backward)"
    elif len(separated) > 2:
        found = f"{len(separated)} values between commas (CSV, such as EuRoC's)"
    elif len(words) in OTHER_ROWS:
        found = OTHER_ROWS[len(words)]
    elif first.startswith("#"):
        found = "it begins with a comment"
    else:
        return
    raise UserError(f"{path}: line {number}: {found}; {NEEDED}")


def _frame_numbers(path: Path, numbers: list[int], column: np.ndarray) -> np.ndarray:
    """The leading column as whole numbers, which must ascend."""
    if not (np.isfinite(column).all() and np.abs(column).max() < 2**31):
        raise UserError(f"{path}: the first of the 13 columns must be the frame number")
    frames = column.astype(np.int64)
    wrong = (frames != column) | (frames < 0) | (np.diff(frames, prepend=-1) <= 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(
            f"{path}: line {numbers[row]}: frame {column[row]:g}; the first of the 13 columns must be whole "
            "frame numbers that ascend"
        )
    return frames


def _rigid(rows: np.ndarray, labels: list[str]) -> np.ndarray:
    """Rows of 12 numbers (N, 12) as transforms (N, 4, 4) float64; the labels name them in messages."""
    T = np.zeros((len(rows), 4, 4))
    T[:, :3] = rows.reshape(-1, 3, 4)
    T[:, 3, 3] = 1
    finite, proper = np.isfinite(rows).all(axis=1), are_rotations(T[:, :3, :3])
    if not (finite & proper).all():
        first = int(np.argmin(finite & proper))
        reason = "the left three columns must be a rotation" if finite[first] else "a value is not a number"
        raise UserError(f"{labels[first]}: no rigid pose: {reason}")
    return T


def are_rotations(R: np.ndarray) -> np.ndarray:
    """Which of the matrices (…, 3, 3) are rotations, to the digits that files have: bool (…)."""
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(R @ np.swapaxes(R, -1, -2) - np.eye(3)).max(axis=(-2, -1))
        return np.asarray((error < RIGID_TOLERANCE) & (np.linalg.det(R) > 0))


def write_trajectory(path: Path, trajectory: Trajectory) -> None:
    """Writes KITTI's pose format, atomically: 12 numbers a row, the frame first unless frames are 0, 1, …"""
    rows = trajectory.T_world_camera[:, :3].reshape(-1, 12)
    require_finite(rows, f"{path}: not written: poses", "check the motions that they come from")
    numbered = not np.array_equal(trajectory.frames, np.arange(len(rows)))
    heads = [f"{frame} " if numbered else "" for frame in trajectory.frames]
    lines = [head + " ".join(f"{value:.9e}" for value in row) for head, row in zip(heads, rows, strict=True)]
    write_text(path, "\n".join(lines) + "\n")


def load_motions(path: Path) -> np.ndarray:
    """Reads saved motions T_next_current, `.npy` (N, 4, 4), (N, 3, 4) or (N, 12): float64 (N, 4, 4).

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    if not Path(path).exists():
        raise UserError(f"{path}: no such file; evaluate_pose.py writes poses.npy")
    array = read_npy(path, "save it with np.save", MAX_MOTIONS_BYTES)
    if array.dtype.kind != "f":
        raise UserError(f"{path}: expected one array of floating-point motions; save it with np.save")
    shapes: set[tuple[int, ...]] = {(4, 4), (3, 4), (12,)}
    if array.size == 0 or array.shape[1:] not in shapes:
        raise UserError(f"{path}: shape {array.shape}, expected motions (N, 4, 4), N from 1 on")
    rows = array.reshape(len(array), -1)[:, :12].astype(np.float64)
    return _rigid(rows, [f"{path}: motion {number} (counted from 0)" for number in range(len(rows))])


def save_motions(path: Path, T_next_current: np.ndarray) -> None:
    """Writes motions (N, 4, 4) as `.npy`, atomically."""
    save_array(path, T_next_current)
