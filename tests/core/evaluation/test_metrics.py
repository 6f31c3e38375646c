"""The seven metrics against hand-made numbers and against the published training log."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from core.evaluation.depth import training_metrics
from core.evaluation.metrics import IN_LOG, LOG_NAMES, METRIC_NAMES, depth_metrics
from core.options.protocols import PROTOCOLS
from tests.tolerances import assert_close

LOG = PROTOCOLS["monodepth2_log"]


def test_by_hand() -> None:
    metrics = depth_metrics(np.array([2.0, 10.0]), np.array([3.0, 10.0]))
    log = np.log(1.5)
    expected = [0.25, 0.25, np.sqrt(0.5), log / np.sqrt(2), 0.5, 1.0, 1.0]
    assert len(METRIC_NAMES) == len(expected)
    assert_close(metrics, np.array(expected), "float64")


def test_the_others_by_hand() -> None:
    found = depth_metrics(np.array([2.0, 10.0]), np.array([20.0, 1.0]), ("log10", "abs_diff"))
    assert_close(found, np.array([1.0, 13.5]), "float64")
    every = depth_metrics(np.array([2.0]), np.array([3.0]), tuple(IN_LOG))
    assert every.shape == (len(IN_LOG),) and len(set(IN_LOG.values())) == len(IN_LOG)


def test_thresholds_are_strict() -> None:
    metrics = depth_metrics(np.array([1.25, 1.0]), np.array([1.0, 1.25]))
    assert metrics[4:].tolist() == [0.0, 1.0, 1.0]


def log_depth(recorded: Any, frame: int) -> np.ndarray:
    name = f"frame_{frame}/camera_2"
    depth = np.zeros((1, *recorded[f"{name}/shape"]), np.float32)
    depth.ravel()[recorded[f"{name}/index"]] = recorded[f"{name}/camera_z"]
    return depth


def test_training_log_as_published(golden: Callable[[str], Any], arrays: ModuleType) -> None:
    expected = golden("monodepth2/evaluation.npz")["training_log/metrics"]
    truth = np.stack([log_depth(golden("monodepth2/ground_truth.npz"), frame) for frame in (0, 2)])
    names = [f"golden/evaluation/disparity_{i}" for i in (0, 1)]
    disparity = np.stack([arrays.smooth(name, (1, 192, 640), (6, 12), 0.05, 1.5) for name in names])
    metrics = training_metrics(disparity[:, 0], truth[:, 0], LOG)
    assert metrics is not None
    assert tuple(metrics) == (*LOG_NAMES, "truth/pixels") and metrics["truth/pixels"] > 1000
    values = np.array([metrics[name] for name in LOG_NAMES])
    assert_close(values[:4] / expected[:4], np.ones(4), (1e-6, 0))
    assert_close(values[4:], expected[4:], (0, 1e-5))


def test_training_log_without_ground_truth() -> None:
    prediction, truth = np.ones((1, 1, 64, 96), np.float32), np.zeros((1, 1, 375, 1242), np.float32)
    truth[0, 0, 0, 0] = 5  # outside the crop
    assert training_metrics(1 / prediction[:, 0], truth[:, 0], LOG) is None


def test_training_log_scales_the_whole_batch_by_one_lower_median() -> None:
    prediction = np.ones((2, 1, 375, 1242), np.float32)
    prediction[1] = 2
    truth = np.zeros_like(prediction)
    truth[:, 0, 200, 600] = 4, 10
    metrics = training_metrics(1 / prediction[:, 0], truth[:, 0], LOG)
    assert metrics is not None
    # Lower medians 4 and 1: predictions 4 and 8.
    assert metrics["de/abs_rel"] == pytest.approx(0.1)
