"""The one comparison of predicted with true depth, by whichever protocol: for evaluation, validation and the log."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.evaluation.metrics import depth_metrics
from core.evaluation.resizing import pasted, resize
from core.options import protocols
from core.options.protocols import Rule
from core.plausibility.evaluation import GroundTruth


@dataclass(frozen=True)
class Known:
    """Depth of one image, stored sparsely; see `GroundTruth`."""

    shape: tuple[int, int]
    index: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, depth: np.ndarray) -> "Known":
        """The pixels above 0 of a map (h, w), metres."""
        index = np.flatnonzero(depth > 0)
        return cls((depth.shape[0], depth.shape[1]), index, depth.ravel()[index])


@dataclass(frozen=True)
class Scaling:
    """How predictions get into metres, which is the caller's choice.

    Attributes:
        kind: "median": times median(truth) / median(prediction); "unit": `factor` is metres in a unit of depth;
            "none": as they are, but for `factor`.
        factor: multiplies the predicted depth, before the medians.
    """

    kind: Literal["median", "unit", "none"] = "median"
    factor: float = 1.0

    def describe(self) -> str:
        """A few words for the report."""
        words = "median scaling" if self.kind == "median" else "no median scaling"
        return words + (f", depth x {self.factor:g}" if self.factor != 1 else "")


@dataclass(frozen=True)
class Pixels:
    """What of one image, or of several, is compared.

    Attributes:
        depth: (M,) float64, predictions, not yet scaled by medians.
        truth: (M,) float64, metres.
        index: (M,) row-major numbers of the pixels where they are compared; None of several images.
    """

    depth: np.ndarray
    truth: np.ndarray
    index: np.ndarray | None = None

    @classmethod
    def joined(cls, parts: Iterable["Pixels"]) -> "Pixels":
        """Those of several images as if they were one."""
        parts = list(parts)
        return cls(np.concatenate([p.depth for p in parts]), np.concatenate([p.truth for p in parts]))


def select(truth: GroundTruth, protocol: protocols.Protocol) -> np.ndarray:
    """(M,) bool: which of the known pixels are compared."""
    height, width = truth.shape
    values = truth.values
    if protocol.rule.limit_truth:
        chosen = (values > protocol.rule.min_truth) & (values < protocol.subject.cap)
    else:
        chosen = values > 0
    return chosen & _inside(truth, protocol.subject.bounds(height, width))


def pixels(
    disparity: np.ndarray,
    truth: GroundTruth,
    protocol: protocols.Protocol,
    factor: float = 1.0,
    mirrored: bool = False,
) -> Pixels:
    """The compared pixels of one image.

    Args:
        disparity: (h, w) prediction of 1 / depth.
        factor: multiplies the predicted depth.
        mirrored: the prediction is of the mirrored image.
    """
    rule = protocol.rule
    truth = resized_truth(truth, rule, disparity.shape)
    if mirrored:  # after resizing: the nearest of two pixels that are equally near is the right one
        truth = mirror(truth)
    chosen = select(truth, protocol)
    if rule.interpolation == "top_center":
        chosen &= _inside(truth, pasted(disparity.shape, *truth.shape))
    index = truth.index[chosen]
    depth = resized_depth(disparity, truth.shape, rule, factor, index)
    if rule.clamp_first:
        # In the precision of the prediction, whose 0.001 is another number than that of float64.
        low, high = np.array([rule.clamp, protocol.subject.cap], disparity.dtype).astype(np.float64)
        depth = np.clip(depth, low, high)
    return Pixels(depth, truth.values[chosen].astype(np.float64), index)


def resized_depth(
    disparity: np.ndarray, shape: tuple[int, int], rule: Rule, factor: float, index: np.ndarray
) -> np.ndarray:
    """Predicted depth (M,) float64 at the pixels `index` of an image of `shape`; disparity (h, w) of any size."""
    resized_by_itself = (
        "nearest" if rule.resize == "truth" else rule.interpolation
    )  # then it has that size already
    if rule.quantity == "disparity":
        resized = resize(floored(disparity, rule), *shape, resized_by_itself).ravel()[index]
        return np.asarray(factor / resized.astype(np.float64))
    resized = resize(floored_depth(disparity, rule), *shape, resized_by_itself).ravel()[index]
    return np.asarray(factor * resized.astype(np.float64))


def floored(disparity: np.ndarray, rule: Rule) -> np.ndarray:
    """(h, w) without what is below the rule's floor, of the same type."""
    return np.maximum(disparity, disparity.dtype.type(rule.floor)) if rule.floor else disparity


def floored_depth(disparity: np.ndarray, rule: Rule) -> np.ndarray:
    """(h, w) depth, of the same type."""
    return np.asarray(1 / floored(disparity, rule))


def resized_truth(truth: GroundTruth, rule: Rule, shape: tuple[int, ...]) -> GroundTruth:
    """The truth at the size at which the rule compares; `shape` is that of the prediction."""
    if rule.resize == "prediction":
        return truth
    height, width = shape if rule.resize == "truth" else rule.resize
    if (height, width) == tuple(truth.shape):
        return truth
    dense = np.zeros(truth.shape, truth.values.dtype)
    dense.ravel()[truth.index] = truth.values
    interpolation = rule.interpolation if rule.resize == "truth" else "nearest_centres"
    return Known.of(resize(dense, height, width, interpolation))


def mirror(truth: GroundTruth) -> GroundTruth:
    """Left and right exchanged."""
    dense = np.zeros(truth.shape, truth.values.dtype)
    dense.ravel()[truth.index] = truth.values
    return Known.of(dense[:, ::-1])


def measure(compared: Pixels, protocol: protocols.Protocol, scaling: Scaling) -> tuple[np.ndarray, float]:
    """The protocol's metrics of pixels, of which there is one at least, and the ratio of medians (1 without)."""
    rule, ratio = protocol.rule, 1.0
    if scaling.kind == "median":
        ratio = median(compared.truth, rule) / median(compared.depth, rule)
    return scaled_metrics(compared, protocol, ratio), ratio


def scaled_metrics(compared: Pixels, protocol: protocols.Protocol, ratio: float) -> np.ndarray:
    """The protocol's metrics (M,) of pixels, of which there is one at least, once their depth is times `ratio`."""
    depth = np.clip(compared.depth * ratio, protocol.rule.clamp, protocol.subject.cap)
    return depth_metrics(compared.truth, depth, protocol.rule.metrics)


def median(values: np.ndarray, rule: Rule) -> float:
    """The median as the rule takes it: of an even count the mean of the middle two, or the lower."""
    if rule.median == "mean":
        return float(np.median(values))
    middle = (values.size - 1) // 2
    return float(np.partition(values, middle)[middle])


def z_disparity(disparity: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """1 / z of a camera that is no pinhole: truth is z = range · r_z, the prediction range along rays.

    Args:
        disparity: (B, 1, h, w) 1 / range.
        rays: (B, 3, h, w) unit vectors in the camera's frame, z forward.

    Returns:
        (B, 1, h, w). Rays at right angles to the axis, and beyond, have z = 0 as nearly as numbers allow: no truth is
        there.
    """
    least = np.finfo(rays.dtype).eps
    return np.asarray(disparity / np.maximum(rays[:, 2:], least))


def _inside(truth: GroundTruth, bounds: tuple[int, int, int, int]) -> np.ndarray:
    """(M,) bool: which of the known pixels lie within first row, end of rows, first column, end of columns."""
    top, bottom, left, right = bounds
    row, column = np.divmod(truth.index, truth.shape[1])
    return np.asarray((row >= top) & (row < bottom) & (column >= left) & (column < right))
