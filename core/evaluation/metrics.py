"""The numbers of depth estimation (Eigen et al. 2014; Saxena et al. 2009), for a table and for the training log."""

from collections.abc import Sequence

import numpy as np

from core.disparity import resize_map

METRIC_NAMES = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")
MAKE3D_METRIC_NAMES = ("abs_rel", "sq_rel", "rmse", "log10")

# Names under which the training log shows them.
LOG_NAMES = ("de/abs_rel", "de/sq_rel", "de/rms", "de/log_rms", "da/a1", "da/a2", "da/a3")

TRAINING_HEIGHT, TRAINING_WIDTH = 375, 1242
TRAINING_ROWS, TRAINING_COLUMNS = slice(153, 371), slice(44, 1197)
MIN_DEPTH, MAX_DEPTH = 1e-3, 80.0


def depth_metrics(
    ground_truth: np.ndarray, prediction: np.ndarray, names: Sequence[str] = METRIC_NAMES
) -> np.ndarray:
    """Metrics of two arrays of positive depths: rmse_log is of natural logarithms, log10 a mean absolute difference.

    Args:
        ground_truth: (N,) metres.
        prediction: (N,) metres.
        names: of `METRIC_NAMES` and `MAKE3D_METRIC_NAMES`.

    Returns:
        (len(names),) float64; a_k is the share of ratios below 1.25^k.
    """
    truth, prediction = np.asarray(ground_truth, np.float64), np.asarray(prediction, np.float64)
    ratio = np.maximum(truth / prediction, prediction / truth)
    difference = truth - prediction
    difference_log = np.log(truth) - np.log(prediction)
    values = {
        "abs_rel": np.mean(np.abs(difference) / truth),
        "sq_rel": np.mean(difference**2 / truth),
        "rmse": np.sqrt(np.mean(difference**2)),
        "rmse_log": np.sqrt(np.mean(difference_log**2)),
        "log10": np.mean(np.abs(difference_log)) / np.log(10),
        **{f"a{power}": np.mean(ratio < 1.25**power) for power in (1, 2, 3)},
    }
    return np.array([values[name] for name in names])


def training_metrics(prediction: np.ndarray, ground_truth: np.ndarray) -> dict[str, float] | None:
    """Depth metrics of one batch, for the training log only: one median scale for the whole batch.

    Args:
        prediction: (B, 1, H, W) depth of scale 0, any unit.
        ground_truth: (B, 1, 375, 1242) camera-z depth in metres, 0 where unknown.

    Returns:
        `{name of LOG_NAMES: value}`, or None when no pixel inside the crop has ground truth.
    """
    resized = np.stack([resize_map(depth[0], TRAINING_HEIGHT, TRAINING_WIDTH) for depth in prediction])
    resized = np.clip(resized, MIN_DEPTH, MAX_DEPTH)[:, TRAINING_ROWS, TRAINING_COLUMNS]
    truth = ground_truth[:, 0, TRAINING_ROWS, TRAINING_COLUMNS]
    valid = truth > 0
    if not valid.any():
        return None
    depth, truth = resized[valid].astype(np.float64), truth[valid].astype(np.float64)
    depth = depth * (_lower_median(truth) / _lower_median(depth))
    values = depth_metrics(truth, np.clip(depth, MIN_DEPTH, MAX_DEPTH))
    return dict(zip(LOG_NAMES, values.tolist(), strict=True))


def _lower_median(values: np.ndarray) -> float:
    """The lower of the middle two for an even count, as torch takes it."""
    middle = (values.size - 1) // 2
    return float(np.partition(values, middle)[middle])
