"""Predictions beside the truth: whether they run the same way, and in which unit they are saved."""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from core.plausibility.checks import unlikely

PIXELS = 1000  # of an image, whose ranks are compared
OPPOSITE = -0.5  # rank correlation of the median image; a network that learned nothing is near 0
LEAST_PIXELS = 50
FLAT = 1e-3  # of a map's largest value: what differs less is one depth, and its pattern rounding
COARSE = 1e-3  # relative error of a 16-bit picture of depth by rounding
FEW_COARSE = 0.01  # of the pixels of a picture that reaches far: KITTI's own pictures are coarse there, too
NEAR = 16.0  # metres: where all depth is nearer, steps of KITTI's 1/256 m are coarse, and finer ones fit
LOOKED_AT = 12  # images, evenly chosen, of which readings of the truth are compared
LEAST_IMAGES = 4
# A reading of the truth is named where predictions fit it so much better than the truth as it stands, in the median
# image, and at all in such a share of them.
BETTER, IN_IMAGES = 0.9, 0.9
# Of other numbers, such as logarithms, the fit must be good, too: networks that saw little squeeze depth as roots do.
MUCH_BETTER, GOOD_FIT = 0.4, 0.12
# Of the factor between predicted and true metres: far from 1, and the same in all images but for so much (logarithm).
OFF, ALIKE = 1.5, 0.15


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


def check_direction(where: str, correlations: np.ndarray | None) -> bool:
    """Says where predicted depth is small where the truth is large, in all images; whether it is.

    Args:
        correlations: (N,) of predicted and true depth, NaN where it is not known.
    """
    known = np.zeros(0) if correlations is None else correlations[np.isfinite(correlations)]
    opposite = bool(known.size and known.max() < 0 and np.median(known) < OPPOSITE)
    if opposite:
        unlikely(
            "depth_direction",
            f"{where}: prediction and truth run in opposite directions in all {known.size} images (rank correlation "
            f"{np.median(known):.2f}): depth in place of disparity, 1 / depth? save 1 / depth, or use --pred_depth; or "
            "is it the truth that holds disparity?",
        )
    return opposite


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


# ---- what else a truth may be ----------------------------------------------------------------------------------


class GroundTruth(Protocol):
    """Depth of one image, stored sparsely: `core.datasets.ground_truth` makes it."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""

    @property
    def index(self) -> np.ndarray:
        """(M,) row-major numbers of the pixels with depth, ascending."""

    @property
    def values(self) -> np.ndarray:
        """(M,) their depths, metres."""


# Of rows, columns (from 0 to below 1) and the number of a line of N: where the truth's depth would be seen.
Place = Callable[[np.ndarray, np.ndarray, int, int], tuple[np.ndarray, np.ndarray, int]]
PLACES: dict[str, Place] = {
    "a mirrored one, left for right": lambda v, u, n, count: (v, 1 - u, n),
    "one upside down": lambda v, u, n, count: (1 - v, u, n),
    "one turned by 180°": lambda v, u, n, count: (1 - v, 1 - u, n),
    "that of the line before": lambda v, u, n, count: (v, u, (n - 1) % count),
    "that of the line after": lambda v, u, n, count: (v, u, (n + 1) % count),
    "one in the reverse order of the lines": lambda v, u, n, count: (v, u, count - 1 - n),
}
# What the logarithm of depth would be, of the numbers in its place.
NUMBERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "the logarithm of depth": lambda z: z,
    "log(1 + depth)": lambda z: np.log(np.maximum(np.expm1(z), 1e-6)),
    "the square root of depth": lambda z: 2 * np.log(z),
    "the square of depth": lambda z: np.log(z) / 2,
}


def check_readings(
    where: str,
    disparities: Sequence[np.ndarray] | np.ndarray,
    truths: Sequence[GroundTruth | np.ndarray],
    factor: float | None = None,
) -> None:
    """Says where predictions fit the truth much better when it is read as something else, or is in another unit.

    Of few images, and of pixels as they are next to each other, for it costs as good as nothing.

    Args:
        disparities: (h, w) of each image.
        truths: sparse or dense (0 unknown) depth of each, of any size.
        factor: metres in a unit of the predicted depth; None where each image has a scale of its own.
    """
    count, rows, factors = len(truths), [], []
    for number in range(0, count, max(1, count // LOOKED_AT)):
        v, u, z = _known(truths[number])
        if z.size < LEAST_PIXELS or np.ptp(z) == 0:
            continue
        places = [(v, u, number), *(place(v, u, number, count) for place in PLACES.values())]
        own, *others = (_log_disparity(disparities, *place) for place in places)
        log = np.log(z)
        factors.append(float(np.median(log + own)))
        numbers = [log, *(reading(z) for reading in NUMBERS.values())]
        rows.append(
            [*(_spread(values + own) for values in numbers), *(_spread(log + other) for other in others)]
        )
    if len(rows) < LEAST_IMAGES:
        return
    own, fits = np.median([row[0] for row in rows]), np.array(rows)[:, 1:]
    better = fits / np.maximum(np.array(rows)[:, :1], 1e-9)
    fits, often, better = np.median(fits, axis=0), (better < 1).mean(axis=0), np.median(better, axis=0)
    of_numbers = np.arange(len(fits)) < len(NUMBERS)
    found = np.where(of_numbers, (better < MUCH_BETTER) & (fits < GOOD_FIT), better < BETTER)
    found &= often >= IN_IMAGES
    if found.any():
        best = int(np.argmin(np.where(found, better, np.inf)))
        unlikely(
            "truth_reading",
            f"{where}: the truth looks like {[*NUMBERS, *PLACES][best]}: read so, it is {fits[best]:.2g} off the "
            f"predictions, and {own:.2g} as it stands (of the logarithm of depth, in {len(rows)} images)",
        )
        return
    if factor is not None:
        _check_factor(where, np.array(factors) - math.log(factor))


def _check_factor(where: str, logs: np.ndarray) -> None:
    """Says where metres are off by one and the same factor in all images; `logs` are its logarithms, (N,)."""
    middle = float(np.median(logs))
    if abs(middle) > math.log(OFF) and np.abs(logs - middle).max() < ALIKE:
        unlikely(
            "depth_factor",
            f"{where}: true depth is {math.exp(middle):.3g} times the predicted one in all {len(logs)} images: is the "
            "unit of the predictions or of the truth another one? see --pred_depth_scale_factor",
        )


def _log_disparity(
    disparities: Sequence[np.ndarray] | np.ndarray, v: np.ndarray, u: np.ndarray, number: int
) -> np.ndarray:
    """Of an image's prediction at rows and columns from 0 to 1."""
    one = np.asarray(disparities[number])
    height, width = one.shape
    seen = one[(v * height).astype(int).clip(0, height - 1), (u * width).astype(int).clip(0, width - 1)]
    return np.asarray(np.log(np.maximum(seen.astype(np.float64), 1e-9)))


def _known(truth: GroundTruth | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Some of the known pixels of a map: rows and columns from 0 to 1, and depths."""
    if isinstance(truth, np.ndarray):
        index = np.flatnonzero(truth > 0)
        values = truth.ravel()[index]
    else:
        index, values = truth.index, truth.values
    step = max(1, index.size // PIXELS)
    rows, columns = np.divmod(np.asarray(index[::step], np.int64), truth.shape[1])
    return (rows + 0.5) / truth.shape[0], (columns + 0.5) / truth.shape[1], values[::step].astype(np.float64)


def _spread(logs: np.ndarray) -> float:
    """The mean distance from the median: what no factor takes away."""
    return float(np.abs(logs - np.median(logs)).mean())
