"""Edge-aware smoothness (Godard et al. 2017, eq. 3; normalised as in Wang et al. 2018)."""

import torch
from torch import Tensor

from backends.torch.losses.means import mean_of_all


def normalize_by_mean(sigmoid: Tensor) -> Tensor:
    """(B, 1, H, W) divided by its mean over each image."""
    return sigmoid / (sigmoid.mean(dim=(2, 3), keepdim=True) + 1e-7)


def smoothness_loss(disparity: Tensor, image: Tensor) -> Tensor:
    """Mean of |∂x d| exp(−|∂x I|) plus the same in y, a scalar; forward differences.

    Args:
        disparity: (B, 1, H, W), usually normalised by its mean.
        image: (B, 3, H, W) in [0, 1], of the same size.
    """
    disparity_x = torch.abs(disparity[:, :, :, :-1] - disparity[:, :, :, 1:])
    disparity_y = torch.abs(disparity[:, :, :-1] - disparity[:, :, 1:])
    image_x = torch.abs(image[:, :, :, :-1] - image[:, :, :, 1:]).mean(dim=1, keepdim=True)
    image_y = torch.abs(image[:, :, :-1] - image[:, :, 1:]).mean(dim=1, keepdim=True)
    return mean_of_all(disparity_x * torch.exp(-image_x)) + mean_of_all(disparity_y * torch.exp(-image_y))
