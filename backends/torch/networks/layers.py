"""Layers shared by the networks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Conv3x3(nn.Module):
    """3×3 convolution with bias over a reflection-padded input; keeps the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H, W)."""
        return self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect"))


class ConvBlock(nn.Module):
    """ELU(Conv3x3(x)), α = 1."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Conv3x3(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H, W)."""
        return F.elu(self.conv(x), alpha=1.0)


class BatchNorm2D(nn.BatchNorm2d):
    """BatchNorm that can take several batches at once, each with statistics of its own.

    Attributes:
        groups: of equal size along the batch: training normalises each by itself, and moves the running statistics by
            one after the other, as if they had come in as many calls.
    """

    groups = 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        if not self.training or self.groups == 1:
            return super().forward(x)
        normalise = super().forward
        return torch.cat([normalise(part) for part in x.chunk(self.groups)])


def normalise_by_groups(network: nn.Module, groups: int) -> None:
    """Makes every BatchNorm of a network take so many batches at once."""
    for layer in network.modules():
        if isinstance(layer, BatchNorm2D):
            layer.groups = groups
