"""How `evaluate_depth.py` grows with the images: saved disparities of the network's size and truth of scans."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import Row
from benchmarks.costs import costs_of
from benchmarks.jobs.truth import camera, scan
from core.datasets.ground_truth import SparseDepth, save_ground_truth, scan_to_depth
from core.files.whole import write_text

COUNTS = (100, 700)
DIFFERENT = 10  # scans; the others are the same again
HEIGHT, WIDTH = 192, 640
DRIVE = "2011_09_26/2011_09_26_drive_0001_sync"


def measure() -> Iterator[Row]:
    """Processor time and memory of the whole command."""
    depths = [scan_to_depth(scan(number), camera(), 2) for number in range(DIFFERENT)]
    for count in COUNTS:
        with TemporaryDirectory() as folder:
            words = make_inputs(Path(folder), depths, count)
            cost = costs_of(["evaluate_depth.py", *words])
        yield from cost.rows(f"evaluation of {count} saved predictions")


def make_inputs(folder: Path, depths: list[np.ndarray], count: int) -> list[str]:
    """List, truth and predictions of so many images; the words of the command that compares them."""
    lines = [f"{DRIVE} {number} l" for number in range(count)]
    split = folder / "made"
    split.mkdir()
    write_text(split / "test_files.txt", "".join(f"{line}\n" for line in lines))
    maps = [SparseDepth.from_dense(depths[n % len(depths)], line) for n, line in enumerate(lines)]
    save_ground_truth(split / "gt_depths.npz", maps)
    rng = np.random.default_rng(0)
    path = folder / "disparities.npy"
    shape = count, HEIGHT, WIDTH
    predictions = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for number in range(count):
        predictions[number] = rng.uniform(0.02, 0.5, shape[1:])
    predictions.flush()
    return ["--eval_mono", "--eval_split", str(split), "--ext_disp_to_eval", str(path)]
