"""Maps of prediction and truth brought to one size, by the interpolations that a rule can name."""

import numpy as np

from core.disparity import resize_map
from core.errors import UserError
from core.options.protocols import Interpolation


def resize(values: np.ndarray, height: int, width: int, interpolation: Interpolation) -> np.ndarray:
    """(h, w) → (height, width) of the same type; see `core.options.protocols.Rule`.

    Raises:
        UserError: "top_center", and the map is larger.
    """
    if interpolation == "bilinear":
        return resize_map(values, height, width)
    if interpolation == "align_corners":
        rows = _between_corners(values.astype(np.float64), height)
        return _between_corners(rows.T, width).T.astype(values.dtype)
    if interpolation == "top_center":
        top, bottom, left, right = pasted(values.shape, height, width)
        whole = np.zeros((height, width), values.dtype)
        whole[top:bottom, left:right] = values
        return whole
    rows, columns = (_nearest(values.shape[axis], (height, width)[axis], interpolation) for axis in (0, 1))
    return values[np.ix_(rows, columns)]


def pasted(shape: tuple[int, ...], height: int, width: int) -> tuple[int, int, int, int]:
    """Where "top_center" lays a map (h, w): first row, end of rows, first column, end of columns."""
    top, left = height - shape[0], (width - shape[1]) // 2
    if top < 0 or left < 0:
        raise UserError(
            f"the prediction, {shape[0]}x{shape[1]} (height x width), is larger than the truth, {height}x{width}: the "
            "protocol lays it into the truth's image; predict at a smaller size"
        )
    return top, height, left, left + shape[1]


def _between_corners(values: np.ndarray, count: int) -> np.ndarray:
    """(n, …) float64 → (count, …): the first and the last stay where they are."""
    position = np.linspace(0, len(values) - 1, count)
    low = position.astype(np.int64)
    high = np.minimum(low + 1, len(values) - 1)
    share = (position - low)[:, None]
    return (1 - share) * values[low] + share * values[high]


def _nearest(source: int, target: int, interpolation: Interpolation) -> np.ndarray:
    """For each of `target` rows one of `source`; in whole numbers, where floating point could miss a boundary."""
    number = np.arange(target)
    if interpolation == "nearest":
        return number * source // target
    return (2 * number + 1) * source // (2 * target)
