"""Predictions beside the truth: whether they run the same way, and in which unit they are saved."""

import numpy as np

from core.plausibility.checks import unlikely

PIXELS = 1000  # of an image, whose ranks are compared
OPPOSITE = -0.5  # rank correlation of the median image; a network that learned nothing is near 0
LEAST_PIXELS = 50
FLAT = 1e-3  # of a map's largest value: what differs less is one depth, and its pattern rounding
COARSE = 1e-3  # relative error of a 16-bit picture of depth by rounding


def rank_correlation(depth: np.ndarray, truth: np.ndarray) -> float:
    """Of two arrays (M,), of some of their pixels, by Spearman; NaN of few pixels, or where one is constant."""
    step = max(1, depth.size // PIXELS)
    depth, truth = depth[::step], truth[::step]
    if depth.size < LEAST_PIXELS or np.ptp(depth) == 0 or np.ptp(truth) == 0:
        return float("nan")
    one, other = (
        np.argsort(np.argsort(values, kind="stable")).astype(np.float64) for values in (depth, truth)
    )
    return float(np.corrcoef(one, other)[0, 1])


def check_direction(where: str, correlations: np.ndarray | None) -> None:
    """Says where predicted depth is small where the truth is large, in all images.

    Args:
        correlations: (N,) of predicted and true depth, NaN where it is not known.
    """
    known = np.zeros(0) if correlations is None else correlations[np.isfinite(correlations)]
    if known.size and known.max() < 0 and np.median(known) < OPPOSITE:
        unlikely(
            "depth_direction",
            f"{where}: prediction and truth run in opposite directions in all {known.size} images (rank correlation "
            f"{np.median(known):.2f}): depth in place of disparity, 1 / depth? save 1 / depth, or use --pred_depth",
        )


def is_flat(disparity: np.ndarray) -> bool:
    """Whether a map (any shape) of disparity has one value for all pixels."""
    smallest, largest = float(disparity.min()), float(disparity.max())
    return largest - smallest <= FLAT * abs(largest)


def check_one_depth(where: str, flat: int, images: int) -> None:
    """Says of how many images a network predicts one depth for all pixels."""
    if flat:
        unlikely(
            "one_depth",
            f"{where}: one depth is predicted for all pixels of {flat} of {images} images: the network has collapsed, "
            "or is not trained; take other weights, such as those of an earlier epoch",
        )


def check_steps(where: str, step: float, depth: np.ndarray) -> None:
    """Says where a picture's steps are coarse beside its depth.

    Args:
        step: metres in a step.
        depth: any shape, metres.
    """
    typical = float(np.median(depth))
    if step / 2 > COARSE * typical:
        unlikely(
            "coarse_steps",
            f"{where}: its steps of {step:.3g} m are coarse beside depth of {typical:.3g} m, an error of up to "
            f"{step / 2 / typical:.1%}; give --png_scale "
            f"{2 ** int(np.ceil(np.log2(1 / (COARSE * typical)))):d}, or take --save depth npz",
        )
