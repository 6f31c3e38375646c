"""Structural dissimilarity over larger windows (Wang et al. 2004, eq. 13, with plain means)."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

C1, C2 = 0.01**2, 0.03**2
SIZE = 7  # of a window


class BoxMean(torch.autograd.Function):
    """Mean over 7×7 windows, stride 1: rows, then columns.

    The filter is its own adjoint, so its gradient is the same filter over the zero-padded gradient.
    """

    @staticmethod
    def forward(context: Any, padded: Tensor) -> Tensor:
        """(B, C, H + 6, W + 6) → (B, C, H, W)."""
        height, width = padded.shape[2] - SIZE + 1, padded.shape[3] - SIZE + 1
        rows = padded[:, :, :height] + padded[:, :, 1 : 1 + height]
        for first in range(2, SIZE):
            rows += padded[:, :, first : first + height]
        means = rows[:, :, :, :width] + rows[:, :, :, 1 : 1 + width]
        for first in range(2, SIZE):
            means += rows[:, :, :, first : first + width]
        return means.div_(SIZE**2)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H + 6, W + 6)."""
        return BoxMean.forward(context, F.pad(gradient, (SIZE - 1,) * 4))


@dataclass
class BoxStatistics:
    """An image reflect-padded by three pixels, (B, C, H + 6, W + 6); its 7×7 means and variances, (B, C, H, W)."""

    padded: Tensor
    mean: Tensor
    variance: Tensor


def box_statistics(image: Tensor) -> BoxStatistics:
    """What the dissimilarity needs of one image (B, C, H, W); computed once for all that it is compared with."""
    padded = F.pad(image, (SIZE // 2,) * 4, mode="reflect")
    mean = BoxMean.apply(padded)
    return BoxStatistics(padded, mean, BoxMean.apply(padded**2) - mean**2)


def structure_error(one: BoxStatistics, other: BoxStatistics) -> Tensor:
    """clamp((1 − SSIM) / 2, 0, 1) per channel, (B, C, H, W)."""
    product = one.mean * other.mean
    covariance = BoxMean.apply(one.padded * other.padded) - product
    numerator = (2 * product + C1) * (2 * covariance + C2)
    denominator = (one.mean**2 + other.mean**2 + C1) * (one.variance + other.variance + C2)
    return torch.clamp((1 - numerator / denominator) / 2, 0, 1)
