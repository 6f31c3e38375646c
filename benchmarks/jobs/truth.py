"""Ground truth of scans, made and saved, beside the published rule with its loop over points that share a pixel."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import Row
from benchmarks.timing import compare
from core.datasets.ground_truth import SparseDepth, load_ground_truth, save_ground_truth, scan_to_depth
from core.datasets.kitti import Calibration

SIZE = (375, 1242)
FRAMES, ROUNDS = 3, 5
POINTS, RINGS = 1900, 64  # of a scan: of each ring, and rings


def measure() -> Iterator[Row]:
    """Time and bytes."""
    calibration = camera()
    scans = [scan(number) for number in range(FRAMES)]
    with TemporaryDirectory() as folder:
        files = Path(folder) / "plain.npz", Path(folder) / "ours.npz"

        def plain() -> None:
            maps = np.empty(FRAMES, object)
            maps[:] = [to_the_letter(one, calibration) for one in scans]
            np.savez_compressed(files[0], data=maps)

        def ours() -> None:
            depths = (scan_to_depth(one, calibration, 2) for one in scans)
            maps = [SparseDepth.from_dense(depth, f"drive {n} l") for n, depth in enumerate(depths)]
            save_ground_truth(files[1], maps)

        plain()
        ours()
        pairs = zip(*map(load_ground_truth, files), strict=True)
        difference = float(max(np.abs(one.dense() - other.dense()).max() for one, other in pairs))
        sizes = [file.stat().st_size / FRAMES / 1000 for file in files]
        job = "ground truth of a frame, with saving"
        yield compare(job, plain, ours, rounds=ROUNDS, wanted=3.5, difference=difference, per=FRAMES)
        yield Row.of_costs("bytes of a frame's ground truth in its file", *sizes, "kB", difference)


def camera() -> Calibration:
    """One like KITTI's."""
    P = np.array([[721.5, 0, 609.6, 44.9], [0, 721.5, 172.9, 0.2], [0, 0, 1, 0.003]])
    T = np.array([[0, -1, 0, 0], [0, 0, -1, -0.08], [1, 0, 0, -0.27], [0, 0, 0, 1]])
    return Calibration(SIZE, {2: P, 3: P}, np.eye(4), T)


def scan(number: int) -> np.ndarray:
    """Rings of points around a car on a street with walls, float32 (N, 4)."""
    rng = np.random.default_rng(number)
    angle = np.tile(np.linspace(-np.pi, np.pi, POINTS), RINGS)
    slope = np.repeat(np.linspace(-0.43, 0.035, RINGS), POINTS)
    wall = 8 / np.maximum(np.abs(np.sin(angle)), 0.1) + rng.normal(0, 0.02, angle.size)
    floor = 1.73 / np.maximum(-slope, 1e-3)
    distance = np.minimum(np.minimum(wall, floor), 80)
    points = [distance * np.cos(angle), distance * np.sin(angle), distance * slope, rng.random(angle.size)]
    return np.stack(points, 1).astype(np.float32)


def to_the_letter(points: np.ndarray, calibration: Calibration) -> np.ndarray:
    """The published rule: dense float64, and for each number that several points share a search for them."""
    height, width = calibration.image_size
    ahead = points[points[:, 0] >= 0]
    homogeneous = np.concatenate([ahead[:, :3], np.ones((len(ahead), 1), np.float32)], 1)
    u_z, v_z, z = calibration.projection(2) @ homogeneous.T
    u, v = np.rint(u_z / z) - 1, np.rint(v_z / z) - 1
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    pixels = np.stack([u[inside], v[inside]], 1).astype(int)
    values = ahead[inside, 0].astype(float)
    depth = np.zeros((height, width))
    for (column, row), value in zip(pixels.tolist(), values.tolist(), strict=True):
        depth[row, column] = value
    numbers = pixels[:, 1] * (width - 1) + pixels[:, 0] - 1
    for number, count in Counter(numbers.tolist()).items():
        if count > 1:
            same = np.flatnonzero(numbers == number)
            column, row = pixels[same[0]]
            depth[row, column] = values[same].min()
    return np.maximum(depth, 0).astype(np.float32)
