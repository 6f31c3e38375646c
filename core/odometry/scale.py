"""The scale of a path: one number for all of it, and how far the scale of its pieces strays from one number.

Depth and motion learned from video have an arbitrary scale. Where it is the same all along a video, one number brings
the whole path to metres.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.odometry.metrics import SNIPPET, aligned, best_scale, umeyama
from core.odometry.trajectories import Trajectory

STANDING = 0.1  # a piece that is shorter than this share of the median piece has no scale worth the name


@dataclass(frozen=True)
class PathScale:
    """True length over predicted length of a path.

    Attributes:
        scale: fitted to all positions, through the first frame; NaN where none above 0 is the best.
        scale_7dof: fitted together with a rotation and a translation; NaN likewise.
        median: of the local scales, each of a piece of `SNIPPET` frames: distance of its ends in the truth over that
            in the trajectory; NaN where there is no piece.
        deviation: standard deviation of local scale / median.
        pieces: how many, overlapping; those without gaps in which both cameras moved.
    """

    scale: float
    scale_7dof: float
    median: float
    deviation: float
    pieces: int

    def printed(self) -> str:
        """A line of the whole, a line of its pieces."""
        lines = [f"global scale: {_cell(self.scale)} (scale), {_cell(self.scale_7dof)} (7dof)"]
        if self.pieces:
            lines.append(
                f"local scale | med: {self.median:#.4g} | std: {self.deviation:0.3f} of it | {self.pieces} pieces of "
                f"{SNIPPET} frames"
            )
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything; null where there is no piece, or no scale."""
        return {
            "global": finite(self.scale),
            "global_7dof": finite(self.scale_7dof),
            "local": {
                "frames": SNIPPET,
                "pieces": self.pieces,
                "median": finite(self.median),
                "relative_deviation": finite(self.deviation),
            },
        }


def finite(value: float) -> float | None:
    """The value as JSON knows it: null in place of NaN and infinity."""
    return value if math.isfinite(value) else None


def _cell(value: float) -> str:
    return f"{value:#.4g}" if math.isfinite(value) else "-"


def path_scale(trajectory: Trajectory, truth: Trajectory) -> PathScale:
    """The scales of a trajectory, whose frames are among those of the truth."""
    poses, whole = aligned(trajectory, truth, "none")
    p, g = poses.positions, whole.positions[np.searchsorted(whole.frames, poses.frames)]
    local = _local_scales(poses.frames, p, g)
    median = float(np.median(local)) if local.size else float("nan")
    deviation = float(np.std(local / median)) if local.size else float("nan")
    return PathScale(best_scale(p, g), umeyama(p, g, with_scale=True)[2], median, deviation, local.size)


def _local_scales(frames: np.ndarray, p: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The local scales of `PathScale`, of positions (N, 3) predicted and true."""
    step = SNIPPET - 1
    whole = frames[step:] - frames[:-step] == step
    predicted, true = (np.linalg.norm(x[step:] - x[:-step], axis=1)[whole] for x in (p, g))
    if true.size == 0:
        return true
    moving = (true > STANDING * np.median(true)) & (predicted > STANDING * np.median(predicted))
    return np.asarray(true[moving] / predicted[moving])
