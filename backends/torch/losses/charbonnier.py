"""Errors by a smooth absolute difference, of images and of features (Shu et al. 2020; Charbonnier et al. 1994)."""

import torch
from torch import Tensor

from backends.torch.losses.photometric import SSIM_WEIGHT, weighted_error, window_statistics

SMOOTHING = 1e-6


def charbonnier(one: Tensor, other: Tensor) -> Tensor:
    """sqrt((one − other)² + 1e-6), averaged over the channels: (B, C, H, W) → (B, 1, H, W)."""
    return torch.sqrt((one - other) ** 2 + SMOOTHING).mean(dim=1, keepdim=True)


class CharbonnierError:
    """Compares images with one target, whose window statistics are computed once.

    Args:
        target: (B, 3, H, W) in [0, 1], without colour augmentation.
    """

    def __init__(self, target: Tensor) -> None:
        self.target, self.statistics = target, window_statistics(target)

    def __call__(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) → 0.85 · SSIM loss + 0.15 · smooth absolute difference of each pixel, (B, 1, H, W)."""
        structure = weighted_error(image, self.statistics, SSIM_WEIGHT, 0)
        return structure + (1 - SSIM_WEIGHT) * charbonnier(image, self.target)
