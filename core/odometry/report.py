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
    aligned_with_scale,
    best_scale,
    fit_scale,
    snippet_errors,
    snippet_scales,
    stands_still,
    trajectory_errors,
)
from core.odometry.part import Part, metres
from core.odometry.readings import check_numbers, check_readings
from core.odometry.scale import PathScale, finite, path_scale
from core.odometry.trajectories import Trajectory, motions
from core.plausibility import checks
from core.plausibility.motion import TINY, check_steps

OVERFLOWS = 1e100
COLUMNS = ("t_err (%)", "r_err (deg/100 m)", "ATE (m)", "RPE (m)", "RPE (deg)")


@dataclass(frozen=True)
class OdometryReport:
    """Everything `evaluate_pose.py` prints of one sequence.

    Attributes:
        name: of the sequence.
        frames: how many were compared.
        snippets: 5-frame error of every snippet, or None for a trajectory with gaps, and where most snippets have no
            scale: it stands still, or runs the other way.
        errors: by alignment.
        scale: of the whole path and of its pieces.
        scales: by alignment: 1 where none is fitted, NaN where none above 0 is the best.
        part: which frames of the truth were compared.
        notes: why something is undefined, a line each.
    """

    name: str
    frames: int
    snippets: np.ndarray | None
    errors: dict[str, OdometryErrors]
    scale: PathScale
    scales: dict[str, float]
    part: Part
    notes: list[str]

    def printed(self) -> str:
        """The 5-frame error as published, and a table of the alignments."""
        lines = [f"sequence {self.name} | {self.frames} frames{self.part.printed()}"]
        if self.snippets is not None:
            mean, deviation = self.snippets.mean(), self.snippets.std()
            lines.append(f"Trajectory error: {mean:0.3f}, std: {deviation:0.3f} (ATE of {SNIPPET} frames, m)")
        lines.append(f"{'alignment':>10} | " + " | ".join(COLUMNS))
        for alignment, errors in self.errors.items():
            cells = zip(dataclasses.astuple(errors), COLUMNS, strict=True)
            lines.append(f"{alignment:>10} | " + " | ".join(f"{_cell(v):>{len(c)}}" for v, c in cells))
        lines += [f"-: {note}" for note in self.notes]
        lines.append(self.scale.printed())
        lines.append(self.part.directions())
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything, as types that `json` writes; null for what is undefined."""
        snippet = None
        if self.snippets is not None:
            values = {
                "mean": finite(float(self.snippets.mean())),
                "std": finite(float(self.snippets.std())),
            }
            every = [finite(value) for value in self.snippets.tolist()]
            snippet = {"frames": SNIPPET, **values, "per_snippet": every}
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
            **self.part.to_json(),
            "snippet_ate": snippet,
            "units": units,
            "alignments": {
                alignment: {k: finite(v) for k, v in dataclasses.asdict(errors).items()}
                for alignment, errors in self.errors.items()
            },
            "scales": {alignment: finite(scale) for alignment, scale in self.scales.items()},
            "scale": self.scale.to_json(),
            "undefined": self.notes,
            "warnings": checks.warnings(),
            "accepted": checks.accepted(),
        }

    def save(self, path: Path) -> None:
        """Writes `to_json()`, atomically."""
        write_json(path, self.to_json())


def _cell(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"


def evaluate_odometry(
    name: str,
    trajectory: Trajectory,
    truth: Trajectory,
    T_next_current: np.ndarray | None = None,
    predicted: bool = False,
) -> OdometryReport:
    """Compares a trajectory with the truth in every way this module knows.

    Args:
        name: of the sequence, for the report.
        trajectory: frames of the truth, all of them or some, from any start.
        truth: every frame of the sequence.
        T_next_current: (N − 1, 4, 4), the motions the trajectory was chained from; None derives them.
        predicted: by a network, see `check_readings`.

    Raises:
        UserError: see `match_frames`; or the truth is not in metres, unless that is accepted.
    """
    if T_next_current is not None and not predicted:  # a list may be of a part of a sequence
        check_count_of_motions(name, len(T_next_current), truth)
    truth = numbered_alike(truth, trajectory)
    rows = match_frames(name, trajectory, truth)
    part = Part.of(trajectory, truth, rows)
    check_steps(name, part.steps)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what overflows is "-"
        check_readings(name, trajectory, truth.T_world_camera[rows], T_next_current, predicted)
        check_numbers(name, trajectory, truth, rows)
        snippets = _snippets(trajectory, truth.T_world_camera[rows], T_next_current)
        errors, scales = {}, {}
        for alignment in ALIGNMENTS:
            fitted, true, scales[alignment] = aligned_with_scale(trajectory, truth, alignment)
            known = math.isfinite(scales[alignment])
            errors[alignment] = trajectory_errors(fitted, true) if known else OdometryErrors(*[math.nan] * 5)
        scale = path_scale(trajectory, truth)
        notes = _notes(trajectory, truth, rows, errors, scales, part)
    if snippets is None and not part.gaps:
        notes.append(
            f"most pieces of {SNIPPET} frames have no scale above 0, so that there is no trajectory error"
        )
    elif snippets is not None and not np.isfinite(snippets).all():
        snippets = None
    return OdometryReport(name, len(trajectory.frames), snippets, errors, scale, scales, part, notes)


def _snippets(
    trajectory: Trajectory, truth: np.ndarray, T_next_current: np.ndarray | None
) -> np.ndarray | None:
    """`OdometryReport.snippets`."""
    if not (np.diff(trajectory.frames) == 1).all():
        return None
    predicted = motions(trajectory.T_world_camera) if T_next_current is None else T_next_current
    true = motions(truth)
    if np.median(snippet_scales(predicted, true)) <= 0:
        return None
    return snippet_errors(predicted, true)


def _notes(
    trajectory: Trajectory,
    truth: Trajectory,
    rows: np.ndarray,
    errors: dict[str, OdometryErrors],
    scales: dict[str, float],
    part: Part,
) -> list[str]:
    """Why something is undefined."""
    notes, none = [], errors["none"]
    if math.isnan(none.t_err):
        note = (
            f"the path of {metres(part.length)} m has no segment of {SEGMENT_LENGTHS[0]} m, over which drift "
        )
        note += "is measured"
        if 0 < np.median(part.steps) < TINY:
            note += f"; were the true positions kilometres, it would be {metres(part.length)} km"
        notes.append(note)
    if not part.neighbours:
        notes.append(
            f"no two compared frames are neighbours (the nearest are {part.nearest} apart), of which RPE is measured"
        )
    if not all(math.isfinite(scale) for scale in scales.values()):
        notes.append(_why_no_scale(trajectory, truth.T_world_camera[rows]))
    largest = float(np.abs(trajectory.positions).max())
    values = [value for each in errors.values() for value in dataclasses.astuple(each)]
    if largest > OVERFLOWS and not all(map(math.isfinite, values)):
        notes.append(f"positions reach {largest:.3g}, where squares are beyond all numbers")
    return notes


def _why_no_scale(trajectory: Trajectory, truth: np.ndarray) -> str:
    for who, positions in (("the true camera", truth[:, :3, 3]), ("the camera", trajectory.positions)):
        if stands_still(positions):
            return f"{who} does not move, so that no scale is the best"
    start, true_start = trajectory.T_world_camera[0], truth[0]
    p, g = (
        (np.linalg.inv(first) @ T)[:, :3, 3]
        for first, T in ((start, trajectory.T_world_camera), (true_start, truth))
    )
    scale = float(fit_scale(p, g))
    if scale < 0 and math.isnan(best_scale(p, g)):
        return (
            f"no scale above 0 fits (the best is {scale:.4g}): the path runs the other way than the truth; inverted "
            "poses (world to camera)?"
        )
    return "no scale above 0 fits"


def check_count_of_motions(name: str, count: int, truth: Trajectory) -> None:
    """Makes sure that motions are as many as the truth has neighbours.

    Raises:
        UserError: they are not.
    """
    known = len(truth.frames)
    if count != known - 1 and not truth.numbered:
        like = "; absolute poses, one a frame? those are read by --trajectory, 12 numbers a row"
        raise UserError(
            f"{name}: {count} motions, from each frame to the next, are of {count + 1} frames, but the ground truth "
            f"has {known}{like if count == known else ''}; check --ground_truth, or write the path as --trajectory, "
            "the frame's number first in each row"
        )


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
            + ("; motions are one fewer: --ext_poses_to_eval" if len(frames) == len(known) - 1 else "")
        )
    lacking = np.setdiff1d(frames, known)
    if len(lacking):
        raise UserError(
            f"{name}: frame {lacking[0]} has no true pose: the ground truth has {len(known)} frames, "
            f"from {known[0]} to {known[-1]}; check --ground_truth"
        )
    return np.asarray(np.searchsorted(known, frames))
