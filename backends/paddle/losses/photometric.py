"""Photometric error of two images: SSIM and absolute difference (Godard et al. 2017, eq. 2; 2019, section 3)."""

from dataclasses import dataclass
from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import Tensor
from paddle.autograd import PyLayer

from backends.paddle.networks.layers import reflect_pad

C1, C2 = 0.01**2, 0.03**2
SSIM_WEIGHT = 0.85


@dataclass
class WindowStatistics:
    """An image reflect-padded by one pixel, (B, C, H + 2, W + 2); its 3×3 means and variances, (B, C, H, W)."""

    padded: Tensor
    mean: Tensor
    variance: Tensor


class WindowMean(PyLayer):
    """Mean over 3×3 windows, stride 1: rows, then columns.

    The filter is its own adjoint, so its gradient is the same filter over the zero-padded gradient. On a CPU both take
    half the time of `avg_pool2d`.
    """

    @staticmethod
    def forward(context: Any, padded: Tensor) -> Tensor:
        """(B, C, H + 2, W + 2) → (B, C, H, W)."""
        rows = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
        return (rows[:, :, :, :-2] + rows[:, :, :, 1:-1] + rows[:, :, :, 2:]) / 9

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H + 2, W + 2)."""
        return WindowMean.forward(context, F.pad(gradient, [2, 2, 2, 2]))


def window_mean(padded: Tensor) -> Tensor:
    """Mean over 3×3 windows, stride 1: (B, C, H + 2, W + 2) → (B, C, H, W)."""
    return WindowMean.apply(padded)


def window_statistics(image: Tensor) -> WindowStatistics:
    """What the SSIM loss needs of one image; computed once for a target that is compared with many predictions."""
    padded = reflect_pad(image)
    mean = window_mean(padded)
    return WindowStatistics(padded, mean, window_mean(paddle.square(padded)) - paddle.square(mean))


def ssim_loss(prediction: WindowStatistics, target: WindowStatistics) -> Tensor:
    """clamp((1 − SSIM) / 2, 0, 1) per channel, (B, C, H, W), with plain 3×3 means (Wang et al. 2004, eq. 13)."""
    product = prediction.mean * target.mean
    covariance = window_mean(prediction.padded * target.padded) - product
    numerator = (2 * product + C1) * (2 * covariance + C2)
    denominator = (paddle.square(prediction.mean) + paddle.square(target.mean) + C1) * (
        prediction.variance + target.variance + C2
    )
    return paddle.clip((1 - numerator / denominator) / 2, 0, 1)


class PhotometricError:
    """Compares predictions with one target, whose window statistics are computed once.

    Args:
        target: (B, 3, H, W) in [0, 1], without colour augmentation.
        ssim: 0.85 · SSIM loss + 0.15 · absolute difference; otherwise the absolute difference with weight 1.
    """

    def __init__(self, target: Tensor, ssim: bool = True) -> None:
        self.target = target
        self.statistics = window_statistics(target) if ssim else None

    def __call__(self, prediction: Tensor) -> Tensor:
        """(B, 3, H, W) → error per pixel, (B, 1, H, W)."""
        difference = paddle.abs(self.target - prediction).mean(axis=1, keepdim=True)
        if self.statistics is None:
            return difference
        structure = ssim_loss(window_statistics(prediction), self.statistics).mean(axis=1, keepdim=True)
        return SSIM_WEIGHT * structure + (1 - SSIM_WEIGHT) * difference
