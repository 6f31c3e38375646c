"""Structural dissimilarity over larger windows (Wang et al. 2004, eq. 13, with plain means)."""

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import Tensor
from paddle.autograd import PyLayer

C1, C2 = 0.01**2, 0.03**2
SIZE = 7  # of a window


class BoxMean(PyLayer):
    """Mean over 7×7 windows, stride 1: rows, then columns.

    The filter is its own adjoint, so its gradient is the same filter over the zero-padded gradient.
    """

    @staticmethod
    def forward(context: Any, padded: Tensor) -> Tensor:
        """(B, C, H + 6, W + 6) → (B, C, H, W)."""
        height, width = padded.shape[2] - SIZE + 1, padded.shape[3] - SIZE + 1
        rows = reduce(add, (padded[:, :, first : first + height] for first in range(SIZE)))
        return reduce(add, (rows[:, :, :, first : first + width] for first in range(SIZE))) / SIZE**2

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H + 6, W + 6)."""
        return BoxMean.forward(context, F.pad(gradient, [SIZE - 1] * 4))


@dataclass
class BoxStatistics:
    """An image reflect-padded by three pixels, (B, C, H + 6, W + 6); its 7×7 means and variances, (B, C, H, W)."""

    padded: Tensor
    mean: Tensor
    variance: Tensor


def box_statistics(image: Tensor) -> BoxStatistics:
    """What the dissimilarity needs of one image (B, C, H, W); computed once for all that it is compared with."""
    padded = _reflect_pad(image)
    mean = BoxMean.apply(padded)
    return BoxStatistics(padded, mean, BoxMean.apply(paddle.square(padded)) - paddle.square(mean))


def structure_error(one: BoxStatistics, other: BoxStatistics) -> Tensor:
    """clamp((1 − SSIM) / 2, 0, 1) per channel, (B, C, H, W)."""
    product = one.mean * other.mean
    covariance = BoxMean.apply(one.padded * other.padded) - product
    numerator = (2 * product + C1) * (2 * covariance + C2)
    denominator = (paddle.square(one.mean) + paddle.square(other.mean) + C1) * (
        one.variance + other.variance + C2
    )
    return paddle.clip((1 - numerator / denominator) / 2, 0, 1)


def _reflect_pad(x: Tensor) -> Tensor:
    """Equal to `F.pad(x, [3] * 4, mode="reflect")`, whose kernel takes twice as long on a CPU."""
    x = paddle.concat([x[:, :, :, 3:0:-1], x, x[:, :, :, -2:-5:-1]], axis=3)
    return paddle.concat([x[:, :, 3:0:-1], x, x[:, :, -2:-5:-1]], axis=2)
