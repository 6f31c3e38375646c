"""A picture of a path seen from above."""

import io
from pathlib import Path

import numpy as np

from core.files.whole import write_bytes
from core.odometry.metrics import aligned
from core.odometry.trajectories import Trajectory

# What is drawn beside the truth: how the path drifts from its start, and how like the true one its shape is.
FARTHEST = 1e9  # metres; beyond there is nothing to see
DRAWN = {"scale": "predicted, scaled", "7dof": "predicted, aligned (7dof)"}


def save_path_plot(path: Path, name: str, trajectory: Trajectory, truth: Trajectory) -> None:
    """Draws x and z (right and forward of the first camera, metres) of both, as PNG, atomically."""
    from matplotlib.figure import Figure  # without pyplot: no window, no state that outlives this picture

    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.add_subplot(title=name, xlabel="x (m)", ylabel="z (m)", aspect="equal")
    for alignment, label in DRAWN.items():
        with np.errstate(over="ignore", invalid="ignore"):  # the report says so
            positions = aligned(trajectory, truth, alignment)[0].positions
        positions = positions[(np.abs(positions) < FARTHEST).all(axis=1)]  # without NaN: no scale fits
        if len(positions):
            axes.plot(positions[:, 0], positions[:, 2], label=label, linewidth=1.5)
    x, _, z = aligned(trajectory, truth, "none")[1].positions.T
    axes.plot(x, z, color="black", linestyle="--", linewidth=1, label="truth")
    axes.plot(0, 0, "ko", markersize=5, label=f"frame {trajectory.frames[0]}")
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(alpha=0.3)
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, dpi=100, format="png")
    write_bytes(path, content.getvalue())
