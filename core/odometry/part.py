"""Which part of the truth a path is compared with: its frames, its length, and the directions of both."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.odometry.scale import finite
from core.odometry.trajectories import Trajectory
from core.plausibility.motion import described


@dataclass(frozen=True)
class Part:
    """The compared part of the true path.

    Attributes:
        first, last: its frames.
        total: frames of the truth.
        gaps: there are some between the compared frames.
        neighbours: pairs of compared frames that follow each other.
        nearest: frames between the nearest two that are compared.
        length, whole: metres of the true path, from the first to the last of them, and all of it.
        steps: (N − 1,) metres of the true camera in a frame.
        way, true_way: (3,) the median way in a frame, right, down and forward, of the path in its unit, and of the
            truth.
    """

    first: int
    last: int
    total: int
    gaps: bool
    neighbours: int
    nearest: int
    length: float
    whole: float
    steps: np.ndarray
    way: np.ndarray
    true_way: np.ndarray

    @classmethod
    def of(cls, trajectory: Trajectory, truth: Trajectory, rows: np.ndarray) -> "Part":
        """Of a path whose frames are these rows of the truth."""
        apart = np.diff(trajectory.frames)
        steps = np.linalg.norm(np.diff(truth.positions, axis=0), axis=1)
        return cls(
            int(trajectory.frames[0]),
            int(trajectory.frames[-1]),
            len(truth.frames),
            bool((apart > 1).any()),
            int((apart == 1).sum()),
            int(apart.min()),
            float(steps[rows[0] : rows[-1]].sum()),
            float(steps.sum()),
            steps / np.diff(truth.frames),
            _way(trajectory.T_world_camera, apart),
            _way(truth.T_world_camera[rows], apart),
        )

    def printed(self) -> str:
        """What follows the number of frames."""
        gaps = ", with gaps" if self.gaps else ""
        some = "" if math.isclose(self.length, self.whole) else f" of {metres(self.whole)}"
        return f", {self.first} to {self.last} of {self.total}{gaps} | path {metres(self.length)}{some} m"

    def directions(self) -> str:
        """A line of the two."""
        return f"way in a frame: true {described(self.true_way)} m, path {described(self.way)}"

    def to_json(self) -> dict[str, Any]:
        """All but the steps; ways as forward, right, down."""
        return {
            "compared": {"first": self.first, "last": self.last, "of": self.total, "gaps": self.gaps},
            "path_length": finite(self.length),
            "path_length_of_truth": finite(self.whole),
            "way": _named(self.way),
            "true_way": _named(self.true_way),
        }


def metres(length: float) -> str:
    """To a decimetre, or three digits."""
    return f"{length:.1f}" if 10 <= length < 1e7 else f"{length:.3g}"


def _way(T_world_camera: np.ndarray, apart: np.ndarray) -> np.ndarray:
    moved = np.diff(T_world_camera[:, :3, 3], axis=0)
    ways = (np.swapaxes(T_world_camera[:-1, :3, :3], 1, 2) @ moved[..., None])[..., 0]
    return np.asarray(np.median(ways / apart[:, None], axis=0))


def _named(way: np.ndarray) -> dict[str, float | None]:
    right, down, forward = (finite(float(value)) for value in way)
    return {"forward": forward, "right": right, "down": down}
