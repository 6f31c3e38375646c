"""How well projections through viewing rays rebuild a view, with true range, motion and rays: which default is best.

    python render_drive.py --camera kannala_brandt --output data/fisheye --height 96 --width 96
    python -m benchmarks.ray_projections data/fisheye [torch|paddle] [--pairs 8] [--patch_side 20]

Of a drive's first images and those after them: mean and median of |target - rebuilt target| over the pixels of known
range, six pixels of the border left out, beside the image that was not warped; and the processor seconds of a pair,
forward and backward, one thread unless OMP_NUM_THREADS says otherwise.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from backends import BACKENDS, load_backend
from benchmarks.rays import set_differentiable
from core.cameras.templates import read_rays
from core.datasets.known_poses import file_motion
from core.evaluation.rays import read_truths
from core.files.images import load_image, to_array
from core.geometry import median_spacing
from core.options.methods.ray_surface import RaySurfaceOptions

BORDER = 6
KINDS: dict[str, dict[str, Any]] = {
    "soft, fraction (published)": {"temperature_progress": "fraction"},
    "soft, percent": {"temperature_progress": "percent"},
    "soft, spacing": {},
    "refined": {"projection": "refined"},
}
PROGRESS = 0.5


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("drive", type=Path, help="a set of render_drive.py with rays")
    parser.add_argument("backend", nargs="?", default="torch", choices=tuple(BACKENDS))
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--patch_side", type=int, default=20)
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rays = read_rays(asked.drive / "rays.npz").rays
    pairs = pairs_of(next(iter(sorted(asked.drive.glob("*/*_sync")))), asked.pairs)
    still = [np.abs(target - source)[known].ravel() for target, source, _, _, known in pairs]
    spacing = median_spacing(rays, True)
    print(f"{rays.shape[2]}x{rays.shape[1]}, {len(pairs)} pairs; rays of half size are {spacing:.4f} apart\n")
    print("| projection | sigma / spacing | mean | median | s |\n|---|---:|---:|---:|---:|")
    print(row("not warped", None, np.concatenate(still), None))
    for name, values in KINDS.items():
        options = RaySurfaceOptions(**values, patch_side=asked.patch_side, projection_chunk=41)
        temperature = options.temperature(PROGRESS, spacing)
        errors, seconds = measured(asked.backend, pairs, rays, options, temperature)
        width = None if options.projection == "refined" else temperature**0.5 / spacing
        print(row(name, width, errors, seconds), flush=True)


def row(name: str, width: float | None, errors: np.ndarray, seconds: float | None) -> str:
    """A line of the table."""
    cells = ("" if value is None else f"{value:.2f}" for value in (width, seconds))
    first, last = cells
    return f"| {name} | {first} | {errors.mean():.4f} | {np.median(errors):.4f} | {last} |"


def pairs_of(
    drive: Path, count: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Target, source (3, H, W) in [0, 1], true range (H, W), T_source_target, which pixels count (3, H, W)."""
    images = sorted((drive / "image_02/data").glob("*.[jp][pn]g"))
    truths = read_truths(drive / "range/image_02")
    motion = file_motion(drive / "image_02/data/poses.txt", numbers(images), None)
    images = images[: count + 1]
    planes = [to_array(load_image(path)).transpose(2, 0, 1) / 255 for path in images]
    found = []
    for frame in range(len(images) - 1):
        truth = truths[images[frame].stem].astype(np.float64)
        known = truth > 0
        known[:BORDER] = known[-BORDER:] = known[:, :BORDER] = known[:, -BORDER:] = False
        target, source = (motion.read(number) for number in (frame, frame + 1))
        everywhere = np.broadcast_to(known, planes[frame].shape)
        found.append((planes[frame], planes[frame + 1], truth, np.linalg.inv(source) @ target, everywhere))
    return found


def numbers(images: list[Path]) -> dict[int, int | None]:
    """The number in the name of each image, by frame."""
    return {frame: int(path.stem) for frame, path in enumerate(images)}


def measured(
    backend: str, pairs: list[Any], rays: np.ndarray, options: RaySurfaceOptions, temperature: float
) -> tuple[np.ndarray, float]:
    """Absolute errors of all pixels that count, and processor seconds of a pair."""
    tensors, losses = (load_backend(backend, name) for name in ("tensors", "losses.ray_projection"))
    settings = losses.ProjectionSettings(
        options.projection,
        options.patch_side,
        temperature=temperature,
        chunk=options.projection_chunk,
    )
    errors, seconds = [], 0.0
    for target, source, truth, T, known in pairs:
        arrays = (1 / np.where(truth > 0, truth, 100.0))[None, None], rays[None], T[None], source[None]
        disparity, surface, motion, view = (
            tensors.to_tensor(np.ascontiguousarray(one, np.float32)) for one in arrays
        )
        set_differentiable(disparity)
        set_differentiable(surface)
        start = time.process_time()
        grids, _ = losses.project_rays([disparity], surface, [motion], settings)
        rebuilt = losses.sampled(view, grids[0][0])
        rebuilt.mean().backward()
        seconds += time.process_time() - start
        errors.append(np.abs(tensors.to_array(rebuilt.detach())[0] - target)[known])
    return np.concatenate(errors), seconds / len(pairs)


if __name__ == "__main__":
    main()
