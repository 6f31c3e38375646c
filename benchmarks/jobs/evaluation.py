"""Depth metrics of an image, beside dense maps: resize, crop by a mask, and every metric as it is written."""

from collections.abc import Iterator

import numpy as np

from benchmarks import Row
from benchmarks.jobs.truth import camera, scan
from benchmarks.timing import compare
from core.datasets.ground_truth import SparseDepth, scan_to_depth
from core.evaluation.depth import evaluate_depth
from core.options.protocols import PROTOCOLS

IMAGES, ROUNDS = 4, 9
NEAREST, FARTHEST = 1e-3, 80.0
CROP = (0.40810811, 0.99189189, 0.03594771, 0.96405229)  # top, bottom, left, right: Garg et al. 2016


def measure() -> Iterator[Row]:
    """Of predictions of the network's size."""
    dense = [scan_to_depth(scan(number), camera(), 2) for number in range(IMAGES)]
    truths = [SparseDepth.from_dense(depth, f"drive {number} l") for number, depth in enumerate(dense)]
    rng = np.random.default_rng(0)
    predictions = [rng.uniform(0.02, 0.5, (192, 640)).astype(np.float32) for _ in dense]

    def plain() -> np.ndarray:
        return np.array([to_the_letter(one, depth) for one, depth in zip(predictions, dense, strict=True)])

    def ours() -> np.ndarray:
        return evaluate_depth(predictions, truths, PROTOCOLS["eigen"]).per_image

    difference = float(np.abs(ours() / plain() - 1).max())
    job = "evaluation of an image"
    yield compare(job, plain, ours, rounds=ROUNDS, wanted=5, difference=difference, per=IMAGES)


def to_the_letter(disparity: np.ndarray, truth: np.ndarray) -> list[float]:
    """The seven metrics of Eigen et al. 2014, scaled by medians."""
    import cv2

    height, width = truth.shape
    depth = 1 / cv2.resize(disparity, (width, height)).astype(np.float64)
    crop = np.zeros(truth.shape, bool)
    top, bottom, left, right = (
        int(share * n) for share, n in zip(CROP, (height, height, width, width), strict=True)
    )
    crop[top:bottom, left:right] = True
    known = (truth > NEAREST) & (truth < FARTHEST) & crop
    depth, true = depth[known], truth[known].astype(np.float64)
    depth = np.clip(depth * (np.median(true) / np.median(depth)), NEAREST, FARTHEST)
    ratio = np.maximum(true / depth, depth / true)
    return [
        float(np.mean(np.abs(true - depth) / true)),
        float(np.mean((true - depth) ** 2 / true)),
        float(np.sqrt(np.mean((true - depth) ** 2))),
        float(np.sqrt(np.mean((np.log(true) - np.log(depth)) ** 2))),
        *(float(np.mean(ratio < 1.25**power)) for power in (1, 2, 3)),
    ]
