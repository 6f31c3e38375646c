"""Predictions beside the truth: whether they run the same way, and in which unit they are saved."""

import math

import numpy as np

from core.plausibility.checks import unlikely

PIXELS = 1000  # of an image, whose ranks are compared
OPPOSITE = -0.5  # rank correlation of the median image; a network that learned nothing is near 0
LEAST_PIXELS = 50
FLAT = 1e-3  # of a map's largest value: what differs less is one depth, and its pattern rounding
COARSE = 1e-3  # relative error of a 16-bit picture of depth by rounding
FEW_COARSE = 0.01  # of the pixels of a picture that reaches far: KITTI's own pictures are coarse there, too
NEAR = 16.0  # metres: where all depth is nearer, steps of KITTI's 1/256 m are coarse, and finer ones fit


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
            f"{np.median(known):.2f}): depth in place of disparity, 1 / depth? save 1 / depth, or use --pred_depth; or "
            "is it the truth that holds disparity?",
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


def fitting_step(step: float, depth: np.ndarray, steps: int) -> float:
    """The step of a picture of depth, in metres, by which it is right: the usual one, or that times a power of 2.

    Finer where depth is near, as long as the farthest fits; coarser where most of it would be cut off.

    Args:
        step: the usual one. Of a picture that reaches far it stays where few of the nearest pixels only are coarse.
        depth: any shape, metres, above 0.
        steps: that a pixel can count.
    """
    nearest, farthest = float(depth.min()), float(depth.max())
    if np.median(depth) > step * steps:
        return step * 2.0 ** math.ceil(math.log2(farthest / steps / step))
    coarse = _coarse_share(step, depth)
    if coarse == 0 or (farthest >= NEAR and coarse <= FEW_COARSE):
        return step
    needed = math.floor(math.log2(2 * COARSE * nearest / step))
    possible = math.ceil(math.log2(farthest / steps / step))
    return step * 2.0 ** min(0, max(needed, possible))


def check_steps(where: str, step: float, depth: np.ndarray) -> bool:
    """Says where a picture's steps are coarse beside its depth, because none finer fit; whether they are.

    Args:
        step: metres in a step.
        depth: any shape, metres.
    """
    share = _coarse_share(step, depth)
    if share > FEW_COARSE:
        nearest = float(depth.min())
        unlikely(
            "coarse_steps",
            f"{where}: its steps of {step:.3g} m are coarse beside depth from {nearest:.3g} to {depth.max():.3g} m: "
            f"{share:.0%} of the pixels are off by more than {COARSE:.1%}, up to {step / 2 / nearest:.2g} of their "
            f"depth; take --save depth, or give --png_scale {1 / (2 * COARSE * nearest):.0f}, which cuts off what "
            "is far",
        )
    return share > FEW_COARSE


def _coarse_share(step: float, depth: np.ndarray) -> float:
    """Of the pixels, those whose error by rounding may be more than `COARSE`."""
    return float(np.count_nonzero(depth < step / 2 / COARSE) / max(1, depth.size))
