"""What else the poses of a file may be: inverted, of other axes, motions; and which of that fits the truth.

A reading is compared with the truth by the ways of its camera, from its start to the end of each of some pieces of the
path, in the axes of the camera at the start. Neither the world nor one scale matters to them.
"""

from collections.abc import Iterator

import numpy as np

from core.geometry import invert_rigid, rotation_angles
from core.odometry.metrics import umeyama
from core.odometry.trajectories import Trajectory
from core.plausibility.motion import (
    CLEARLY_RIGHT,
    LEAST_TURNS,
    PIECES,
    RIGHT,
    STRAYS,
    axes_of,
    check_axes,
    check_frame_numbers,
    check_hand,
    permutations,
)

LEAST_FRAMES = 5
AS_GOOD = 0.01  # of the way
TURNS = 0.5  # 1 - cos, of directions of a path that is not straight
INVERTED = "inverted poses (T_camera_world, world to camera)"


def check_readings(
    name: str,
    trajectory: Trajectory,
    truth: np.ndarray,
    T_next_current: np.ndarray | None,
    predicted: bool,
) -> None:
    """Says where a path would fit the truth if its poses were read as something else.

    Args:
        trajectory: N frames.
        truth: their true poses (N, 4, 4).
        T_next_current: (N − 1, 4, 4), the motions that it was chained from, if it was.
        predicted: by a network, which knows what poses are: straight paths then say nothing.
    """
    p, g = trajectory.positions, truth[:, :3, 3]
    length = float(np.linalg.norm(np.diff(g, axis=0), axis=1).sum())
    if len(p) < LEAST_FRAMES or not 0 < length < np.inf or not np.abs(p).max() < 1e100 or np.ptp(p) == 0:
        return
    if predicted and not _turns(truth):
        return
    R, t, scale = umeyama(p, g, with_scale=True)
    beside = float(np.sqrt(((scale * p @ R.T + t - g) ** 2).sum(axis=1).mean())) / length
    strays = float(_strays(_ways(trajectory.T_world_camera), _ways(truth), np.eye(3)[None])[0])
    if strays > STRAYS:
        check_axes(name, beside, strays, _best(trajectory, truth, T_next_current, strays))
    elif len(first := np.flatnonzero(np.diff(trajectory.frames) == 1)) >= LEAST_TURNS:
        own, true = (
            _rotation_vectors(_turns_of(poses)[first]) for poses in (trajectory.T_world_camera, truth)
        )
        check_hand(name, np.array([_correlation(*pair) for pair in zip(own.T, true.T, strict=True)]))


def check_numbers(name: str, trajectory: Trajectory, truth: Trajectory, rows: np.ndarray) -> None:
    """Says where the turns of a path are those of the true frames beside its own.

    Args:
        truth: every frame of the sequence.
        rows: (N,) of the truth, one for each frame of the trajectory.
    """
    first = np.flatnonzero(
        (np.diff(trajectory.frames) == 1) & (rows[:-1] > 0) & (rows[:-1] + 2 < len(truth.frames))
    )
    if len(first) < LEAST_FRAMES or not (np.diff(truth.frames) == 1).all():
        return
    turns, true = (_turns_of(path.T_world_camera) for path in (trajectory, truth))
    back = np.swapaxes(turns[first], 1, 2)
    own, earlier, later = (
        float(np.degrees(rotation_angles(back @ true[rows[first] + shift])).mean()) for shift in (0, -1, 1)
    )
    check_frame_numbers(name, own, earlier, later)


def _best(
    trajectory: Trajectory, truth: np.ndarray, T_next_current: np.ndarray | None, strays: float
) -> str | None:
    """The readings that fit best, in words; None where none fits."""
    axes, found = permutations(), []
    for words, poses, rows in _readings(trajectory, T_next_current):
        off = _strays(_ways(poses), _ways(truth[rows]), axes)
        for number, (A, each) in enumerate(zip(axes, off, strict=True)):
            hand = " (left-handed)" if np.linalg.det(A) < 0 else ""
            camera = f"a camera whose axes are {axes_of(A)}{hand}"
            found.append((float(each), " of ".join(filter(None, [words, camera if number else ""]))))
    least = min(off for off, _ in found)
    if least > min(RIGHT, strays * CLEARLY_RIGHT):
        return None
    # The first are those that people meet; on a straight road others are as good.
    like = list(dict.fromkeys(words for off, words in found if off <= least + AS_GOOD))
    return " or ".join(like[:2] if " of " not in like[1 % len(like)] else like[:1])


def _readings(
    trajectory: Trajectory, T_next_current: np.ndarray | None
) -> Iterator[tuple[str, np.ndarray, slice]]:
    """In words, poses, and the rows of the truth that are theirs; the likely ones first."""
    every, T = slice(None), trajectory.T_world_camera
    if T_next_current is not None:
        M = T_next_current.astype(np.float64)
        yield "motions of the other direction (T_current_next)", _chained(M), every
        yield "absolute poses, which --trajectory takes", M, slice(1, None)
        yield "absolute poses, which --trajectory takes", M, slice(None, -1)
        yield "inverted absolute poses", invert_rigid(M), slice(1, None)
        yield "inverted absolute poses", invert_rigid(M), slice(None, -1)
    else:
        yield INVERTED, invert_rigid(T), every
    yield "", T, every
    transposed = T.copy()
    transposed[:, :3, :3] = np.swapaxes(T[:, :3, :3], 1, 2)
    yield "transposed rotations", transposed, every
    if T_next_current is None and (np.diff(trajectory.frames) == 1).all():
        for part in (slice(1, None), slice(None, -1)):
            yield "motions, not poses (T_current_next)", _chained(T[part]), every
            yield "motions, not poses (T_next_current)", _chained(invert_rigid(T[part])), every
    yield "a path in the reverse order of time", T[::-1], every


def _chained(T_current_next: np.ndarray) -> np.ndarray:
    """T_world_camera (N + 1, 4, 4) of motions, by products of ever longer pieces: no loop over frames."""
    poses = np.concatenate([np.eye(4)[None], T_current_next])
    step = 1
    while step < len(poses):
        poses = np.concatenate([poses[:step], poses[:-step] @ poses[step:]])
        step *= 2
    return poses


def _ways(T_world_camera: np.ndarray) -> np.ndarray:
    """(S, 3) from the start of each piece to its end, in the camera's axes at the start; pieces overlap by half."""
    count = len(T_world_camera)
    step = max(1, count // PIECES)
    starts = np.arange(0, count - step, max(1, step // 2))
    moved = T_world_camera[starts + step, :3, 3] - T_world_camera[starts, :3, 3]
    return np.asarray((np.swapaxes(T_world_camera[starts, :3, :3], 1, 2) @ moved[..., None])[..., 0])


def _strays(ways: np.ndarray, true: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(A,) of each of the axes (A, 3, 3) of the ways (S, 3): Σ ‖s Aᵀ way − true way‖ / Σ ‖true way‖, s ≥ 0 the best."""
    with np.errstate(all="ignore"):
        turned = ways @ axes  # (A, S, 3): Aᵀ way
        squares = float((ways**2).sum())
        scale = (
            np.maximum(0, (turned * true).sum(axis=(1, 2)) / squares) if squares > 0 else np.zeros(len(axes))
        )
        off = np.linalg.norm(scale[:, None, None] * turned - true, axis=2).sum(axis=1)
        return np.asarray(np.nan_to_num(off / np.linalg.norm(true, axis=1).sum(), nan=np.inf))


def _turns_of(T_world_camera: np.ndarray) -> np.ndarray:
    """Rotations (N − 1, 3, 3) from each frame to the next."""
    R = T_world_camera[:, :3, :3]
    return np.asarray(np.swapaxes(R[:-1], 1, 2) @ R[1:])


def _rotation_vectors(R: np.ndarray) -> np.ndarray:
    """(N, 3) about x, y, z of small rotations (N, 3, 3), radians."""
    return np.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]], axis=1) / 2


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """0 where one does not change."""
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norm if norm > 0 else 0.0


def _turns(truth: np.ndarray) -> bool:
    forward = truth[:, :3, 2]
    return bool((1 - forward @ forward[0]).max() > TURNS)
