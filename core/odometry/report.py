"""The errors of a trajectory as `evaluate_pose.py` reports them."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.files.arrays import write_json
from core.odometry.metrics import (
    ALIGNMENTS,
    SEGMENT_LENGTHS,
    SNIPPET,
    OdometryErrors,
    aligned,
    snippet_errors,
    trajectory_errors,
)
from core.odometry.scale import PathScale, path_scale
from core.odometry.trajectories import Trajectory, motions

COLUMNS = ("t_err (%)", "r_err (deg/100 m)", "ATE (m)", "RPE (m)", "RPE (deg)")


@dataclass(frozen=True)
class OdometryReport:
    """Everything `evaluate_pose.py` prints of one sequence.

    Attributes:
        name: of the sequence.
        frames: how many were compared.
        snippets: 5-frame error of every snippet, or None for a trajectory with gaps.
        errors: by alignment.
        scale: of the whole path and of its pieces.
    """

    name: str
    frames: int
    snippets: np.ndarray | None
    errors: dict[str, OdometryErrors]
    scale: PathScale

    def printed(self) -> str:
        """The 5-frame error as published, and a table of the alignments."""
        lines = [f"sequence {self.name} | {self.frames} frames"]
        if self.snippets is not None:
            mean, deviation = self.snippets.mean(), self.snippets.std()
            lines.append(f"Trajectory error: {mean:0.3f}, std: {deviation:0.3f} (ATE of {SNIPPET} frames, m)")
        lines.append(f"{'alignment':>10} | " + " | ".join(COLUMNS))
        for alignment, errors in self.errors.items():
            cells = zip(dataclasses.astuple(errors), COLUMNS, strict=True)
            lines.append(f"{alignment:>10} | " + " | ".join(f"{_cell(v):>{len(c)}}" for v, c in cells))
        if math.isnan(self.errors["none"].t_err):
            lines.append(
                f"-: the path has no segment of {SEGMENT_LENGTHS[0]} m, over which drift is measured"
            )
        lines.append(self.scale.printed())
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything, as types that `json` writes; null for what is undefined."""
        snippet = None
        if self.snippets is not None:
            values = {"mean": float(self.snippets.mean()), "std": float(self.snippets.std())}
            snippet = {"frames": SNIPPET, **values, "per_snippet": self.snippets.tolist()}
        units = {
            "t_err": "%",
            "r_err": "deg / 100 m",
            "ate": "m",
            "rpe_translation": "m",
            "rpe_rotation": "deg",
        }
        return {
            "sequence": self.name,
            "frames": self.frames,
            "snippet_ate": snippet,
            "units": units,
            "alignments": {
                alignment: {k: None if math.isnan(v) else v for k, v in dataclasses.asdict(errors).items()}
                for alignment, errors in self.errors.items()
            },
            "scale": self.scale.to_json(),
        }

    def save(self, path: Path) -> None:
        """Writes `to_json()`, atomically."""
        write_json(path, self.to_json())


def _cell(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def evaluate_odometry(
    name: str, trajectory: Trajectory, truth: Trajectory, T_next_current: np.ndarray | None = None
) -> OdometryReport:
    """Compares a trajectory with the truth in every way this module knows.

    Args:
        name: of the sequence, for the report.
        trajectory: frames of the truth, all of them or some, from any start.
        truth: every frame of the sequence.
        T_next_current: (N − 1, 4, 4), the motions the trajectory was chained from; None derives them.

    Raises:
        UserError: see `match_frames`.
    """
    truth = numbered_alike(truth, trajectory)
    rows = match_frames(name, trajectory, truth)
    snippets = None
    if (np.diff(trajectory.frames) == 1).all():
        predicted = motions(trajectory.T_world_camera) if T_next_current is None else T_next_current
        snippets = snippet_errors(predicted, motions(truth.T_world_camera[rows]))
    errors = {
        alignment: trajectory_errors(*aligned(trajectory, truth, alignment)) for alignment in ALIGNMENTS
    }
    return OdometryReport(name, len(trajectory.frames), snippets, errors, path_scale(trajectory, truth))


def numbered_alike(truth: Trajectory, trajectory: Trajectory) -> Trajectory:
    """The truth with the frame numbers of a trajectory, if it has none and as many poses, and these have no gaps.

    So a video whose first image is not number 0 needs no numbers in its file of poses.
    """
    alike = len(truth.frames) == len(trajectory.frames) and trajectory.numbered and not truth.numbered
    alike = alike and bool((np.diff(trajectory.frames) == 1).all())
    return Trajectory(trajectory.frames, truth.T_world_camera, numbered=False) if alike else truth


def match_frames(name: str, trajectory: Trajectory, truth: Trajectory) -> np.ndarray:
    """The rows (N,) of the truth that hold the frames of a trajectory.

    Args:
        name: of the sequence, for messages.

    Raises:
        UserError: fewer than two frames, frames that the truth lacks, or as many poses as no one knows the frames of.
    """
    frames, known = trajectory.frames, truth.frames
    if len(frames) < 2:
        raise UserError(f"{name}: a trajectory needs two frames at least, not {len(frames)}")
    if not trajectory.numbered and len(frames) != len(known):
        raise UserError(
            f"{name}: {len(frames)} poses without frame numbers, but the ground truth has {len(known)}; "
            "check --ground_truth, or put the frame's number first in each row"
        )
    lacking = np.setdiff1d(frames, known)
    if len(lacking):
        raise UserError(
            f"{name}: frame {lacking[0]} has no true pose: the ground truth has {len(known)} frames, "
            f"from {known[0]} to {known[-1]}; check --ground_truth"
        )
    return np.asarray(np.searchsorted(known, frames))
