"""Errors of a camera's path: the 5-frame error of Godard et al. 2019, and those of KITTI odometry.

Geiger, Lenz, Urtasun, *Are we ready for autonomous driving?* (CVPR 2012) for the drift over 100 to 800 m;
Sturm et al., *A benchmark for the evaluation of RGB-D SLAM systems* (IROS 2012) for ATE and RPE; Umeyama,
*Least-squares estimation of transformation parameters between two point patterns* (PAMI 1991) for alignment.
Trajectories and motions are those of `core/odometry/trajectories.py`.
"""

import math
from dataclasses import dataclass

import numpy as np

from core.geometry import rotation_angles
from core.odometry.trajectories import Trajectory
from core.plausibility.motion import OF_ALL

SNIPPET = 5  # frames
SEGMENT_LENGTHS = np.arange(100, 900, 100)  # metres
SEGMENT_STEP = 10  # frames between the starts of segments

# What is fitted to the truth before comparing: nothing; one scale through the first frame; rotation and
# translation; these with a scale; and the scale of the latter alone, kept at the first frame.
ALIGNMENTS = ("none", "scale", "6dof", "7dof", "scale_7dof")


@dataclass(frozen=True)
class OdometryErrors:
    """Errors of one trajectory under one alignment; NaN where they are undefined: the path is too short, no frames
    are neighbours, no scale fits, or numbers overflow.

    Attributes:
        t_err: translational drift, percent, mean over segments of 100, 200 … 800 m.
        r_err: rotational drift, degrees per 100 m, over the same segments.
        ate: root of the mean squared distance of the positions, metres.
        rpe_translation, rpe_rotation: mean error of the motion from a frame to the next, metres and degrees.
    """

    t_err: float
    r_err: float
    ate: float
    rpe_translation: float
    rpe_rotation: float


# ---- five frames ---------------------------------------------------------------------------------------------


def snippet_errors(predicted: np.ndarray, true: np.ndarray, length: int = SNIPPET) -> np.ndarray:
    """Error of the snippet that starts at each frame, as Zhou et al. 2017 and Godard et al. 2019 publish it.

    Kept as published, for comparison: motions are multiplied in the order M @ T_next_current, although that is
    not the way along the path; the snippets at the end are shorter; and the root of the summed squares, not of
    their mean, is divided by the number of points.

    Args:
        predicted, true: motions T_next_current, (N − 1, 4, 4).
        length: frames of a snippet.

    Returns:
        (N − 1,) metres: sqrt(Σ ‖s p − g‖²) / points, s = Σ g·p / Σ p·p.
    """
    p, counts = _snippets(predicted, length)
    g, _ = _snippets(true, length)
    residual = fit_scale(p, g)[:, None, None] * p - g
    return np.asarray(np.sqrt((residual**2).sum(axis=(1, 2))) / counts)


def snippet_scales(predicted: np.ndarray, true: np.ndarray, length: int = SNIPPET) -> np.ndarray:
    """(N − 1,) the scale of each snippet of `snippet_errors`; NaN where the prediction stands still."""
    p, g = _snippets(predicted, length)[0], _snippets(true, length)[0]
    scale = fit_scale(p, g)
    return np.where((p == 0).all(axis=(1, 2)), math.nan, scale)


def _snippets(T_next_current: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, length, 3) of the snippet at each start, zeros beyond the end; and its number of points."""
    count = len(T_next_current)
    M = np.tile(np.eye(4), (count, 1, 1))
    positions = np.zeros((count, length, 3))
    for step in range(min(length - 1, count)):
        inside = count - step  # starts that have so many motions ahead
        M[:inside] = M[:inside] @ T_next_current[step:]
        positions[:inside, step + 1] = M[:inside, :3, 3]
    return positions, np.minimum(length, count - np.arange(count) + 1)


# ---- whole trajectories --------------------------------------------------------------------------------------


def fit_scale(p: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The s that minimises Σ ‖s p − g‖² over the points of each group (…, N, 3): Σ g·p / Σ p·p.

    0 where all p are zero: every s does equally well there.
    """
    squares = (p * p).sum(axis=(-2, -1))
    return np.asarray((g * p).sum(axis=(-2, -1)) / np.where(squares == 0, 1.0, squares))


def umeyama(p: np.ndarray, g: np.ndarray, with_scale: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """R (3, 3), t (3,) and c that minimise Σ ‖c R p + t − g‖² over points (N, 3) (Umeyama 1991).

    c is 1 without scale; NaN where none is the best, for all p, or all g, are one point, and where numbers
    overflow.
    """
    p_mean, g_mean = p.mean(axis=0), g.mean(axis=0)  # (34), (35)
    p_centred, g_centred = p - p_mean, g - g_mean
    variance = (p_centred**2).sum() / len(p)  # (36)
    covariance = g_centred.T @ p_centred / len(p)  # (38)
    if not np.isfinite(covariance).all():
        return np.eye(3), np.full(3, math.nan), math.nan
    U, D, Vt = np.linalg.svd(covariance)
    S = np.ones(3)
    if np.linalg.det(U) * np.linalg.det(Vt) < 0:
        S[2] = -1  # (43): a rotation, not a reflection
    R = (U * S) @ Vt  # (40)
    c = 1.0
    if with_scale:
        c = float((D * S).sum() / variance) if variance > 0 else math.nan  # (42)
        c = c if 0 < c < math.inf else math.nan
    return R, g_mean - c * R @ p_mean, c  # (41)


def best_scale(p: np.ndarray, g: np.ndarray) -> float:
    """The scale of `fit_scale` of positions (N, 3); NaN where none above 0 is the best.

    So it is where one of the paths does not move, and where they run in opposite directions: the best one is 0 then.
    """
    scale = float(fit_scale(p, g))
    return scale if 0 < scale < math.inf else math.nan


def align(T_world_camera: np.ndarray, truth: np.ndarray, alignment: str) -> tuple[np.ndarray, float]:
    """Poses (N, 4, 4) after the best fit of their positions to those of the truth, and their scale.

    Args:
        alignment: one of `ALIGNMENTS`.

    Returns:
        Where the scale is undefined, NaN, positions are so, too.
    """
    p, g = T_world_camera[:, :3, 3], truth[:, :3, 3]
    R, t, scale = np.eye(3), np.zeros(3), 1.0
    if alignment == "scale":
        scale = best_scale(p, g)
    elif alignment != "none":
        fitted = umeyama(p, g, with_scale=alignment != "6dof")
        R, t, scale = fitted if alignment != "scale_7dof" else (R, t, fitted[2])
    fit = T_world_camera.copy()
    fit[:, :3, :3] = R @ T_world_camera[:, :3, :3]
    fit[:, :3, 3] = scale * p @ R.T + t
    return fit, scale


def aligned(trajectory: Trajectory, truth: Trajectory, alignment: str) -> tuple[Trajectory, Trajectory]:
    """Both from the identity at the trajectory's first frame, and then the trajectory fitted to the truth.

    Args:
        trajectory: some or all frames of the truth.
        alignment: one of `ALIGNMENTS`.
    """
    return aligned_with_scale(trajectory, truth, alignment)[:2]


def aligned_with_scale(
    trajectory: Trajectory, truth: Trajectory, alignment: str
) -> tuple[Trajectory, Trajectory, float]:
    """As `aligned`, and the scale: 1 where none is fitted, NaN where none is the best."""
    true = truth.T_world_camera
    chosen = np.searchsorted(truth.frames, trajectory.frames)
    true = np.linalg.inv(true[chosen[0]]) @ true
    poses = np.linalg.inv(trajectory.T_world_camera[0]) @ trajectory.T_world_camera
    for T, own in ((true, truth), (poses, trajectory)):
        if stands_still(own.positions):
            T[:, :3, 3] = 0  # what is left is rounding, to which every scale fits
    fitted, scale = align(poses, true[chosen], alignment)
    return Trajectory(trajectory.frames, fitted), Trajectory(truth.frames, true), scale


def stands_still(positions: np.ndarray) -> bool:
    """Whether positions (N, 3) differ by rounding alone."""
    return bool(np.ptp(positions, axis=0).max() <= OF_ALL * np.abs(positions).max())


def trajectory_errors(trajectory: Trajectory, truth: Trajectory) -> OdometryErrors:
    """Drift, ATE and RPE of an aligned trajectory, whose frames are among those of the truth."""
    row = np.full(len(truth.frames), -1)  # of each true frame in the trajectory
    row[np.searchsorted(truth.frames, trajectory.frames)] = np.arange(len(trajectory.frames))
    poses, true = trajectory.T_world_camera, truth.T_world_camera

    first, last, length = segments(truth, row)
    error = _motion_errors(poses[row[first]], poses[row[last]], true[first], true[last])
    t_err = _mean(np.linalg.norm(error[:, :3, 3], axis=1) / length) * 100
    r_err = _mean(np.degrees(rotation_angles(error)) / length) * 100

    offset = trajectory.positions - truth.positions[row >= 0]
    ate = float(np.sqrt((offset**2).sum(axis=1).mean()))

    current = np.flatnonzero((row[:-1] >= 0) & (row[1:] >= 0) & (np.diff(truth.frames) == 1))
    # The other way round, which matters in the last digits: poses of six digits are not quite rigid.
    error = _motion_errors(true[current], true[current + 1], poses[row[current]], poses[row[current + 1]])
    rpe = np.linalg.norm(error[:, :3, 3], axis=1), np.degrees(rotation_angles(error))
    return OdometryErrors(t_err, r_err, ate, _mean(rpe[0]), _mean(rpe[1]))


def segments(truth: Trajectory, row: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and last row of the truth, and nominal length in metres, of every segment (S,) of KITTI's benchmark.

    A segment starts at every tenth frame (with gaps: at those numbered 0, 10, …, where they are there) and ends at
    the first frame that is farther along the true path than its length. Those that end outside, or where the
    trajectory has no pose (`row` is −1), do not count.
    """
    steps = np.linalg.norm(np.diff(truth.positions, axis=0), axis=1)
    distance = np.concatenate([[0.0], np.cumsum(steps)])
    frames = truth.frames
    whole = frames[-1] - frames[0] == len(frames) - 1
    starts = np.flatnonzero((frames - frames[0] if whole else frames) % SEGMENT_STEP == 0)
    first, length = np.repeat(starts, len(SEGMENT_LENGTHS)), np.tile(SEGMENT_LENGTHS, len(starts))
    last = np.searchsorted(distance, distance[first] + length, side="right")
    inside = last < len(distance)
    first, last, length = first[inside], last[inside], length[inside]
    known = (row[first] >= 0) & (row[last] >= 0)
    return first[known], last[known], length[known]


def _motion_errors(
    first: np.ndarray, last: np.ndarray, other_first: np.ndarray, other_last: np.ndarray
) -> np.ndarray:
    """inverse(motion) · other motion, (S, 4, 4), of the motions from first to last poses of two trajectories."""
    motion, other = np.linalg.inv(first) @ last, np.linalg.inv(other_first) @ other_last
    return np.asarray(np.linalg.inv(motion) @ other)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
