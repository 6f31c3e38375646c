"""The numbers of depth estimation (Eigen et al. 2014; Saxena et al. 2009), for a table and for the training log."""

from collections.abc import Sequence

import numpy as np

from core.options.protocols import SEVEN

METRIC_NAMES = SEVEN

# What can be measured: the names under which the training log shows it.
IN_LOG = {
    "abs_rel": "de/abs_rel",
    "sq_rel": "de/sq_rel",
    "rmse": "de/rms",
    "rmse_log": "de/log_rms",
    "a1": "da/a1",
    "a2": "da/a2",
    "a3": "da/a3",
    "abs_diff": "de/abs_diff",
    "log10": "de/log10",
}
PIXELS_IN_LOG = "truth/pixels"  # compared, of an image on average
FEW_IN_LOG = "truth/few_pixels"  # share of the images of which too few were
LOG_NAMES = tuple(IN_LOG[name] for name in METRIC_NAMES)


def depth_metrics(
    ground_truth: np.ndarray, prediction: np.ndarray, names: Sequence[str] = METRIC_NAMES
) -> np.ndarray:
    """Metrics of two arrays of positive depths: rmse_log is of natural logarithms, log10 a mean absolute difference.

    Args:
        ground_truth: (N,) metres.
        prediction: (N,) metres.
        names: of `IN_LOG`.

    Returns:
        (len(names),) float64; a_k is the share of ratios below 1.25^k.
    """
    truth, prediction = np.asarray(ground_truth, np.float64), np.asarray(prediction, np.float64)
    quotient = truth / prediction
    ratio = np.maximum(quotient, prediction / truth)
    difference = truth - prediction
    size, square, logarithm = np.abs(difference), difference * difference, np.log(quotient)
    values = {
        "abs_diff": lambda: np.mean(size),
        "abs_rel": lambda: np.mean(size / truth),
        "sq_rel": lambda: np.mean(square / truth),
        "rmse": lambda: np.sqrt(np.mean(square)),
        "rmse_log": lambda: np.sqrt(np.mean(logarithm * logarithm)),
        "log10": lambda: np.mean(np.abs(logarithm)) / np.log(10),
        "a1": lambda: np.mean(ratio < 1.25),
        "a2": lambda: np.mean(ratio < 1.25**2),
        "a3": lambda: np.mean(ratio < 1.25**3),
    }
    return np.array([values[name]() for name in names])
