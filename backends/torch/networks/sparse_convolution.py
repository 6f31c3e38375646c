"""Convolutions over the sites of a sparse map, as dense operations under a mask (Guizilini et al. 2021, section 3.2).

A sparse map is features (B, C, H, W) that are 0 away from its sites, and a mask (B, 1, H, W), 1 at the sites.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backends.torch.tensors import widen

EPSILON = 1e-5
MOMENTUM = 0.1  # of the running statistics: the share of a new batch
LOWEST = -1e30  # below all features, and finite: times 0 it is 0, for gradients too


class SparseConv(nn.Module):
    """Convolution without bias whose sites stay where they are.

    Attributes:
        kernel: (size², in_channels, out_channels); of the positions the row varies fastest.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        # As all other convolutions (Glorot 2010).
        bound = math.sqrt(6 / (size**2 * (in_channels + out_channels)))
        self.kernel = nn.Parameter(torch.empty(size**2, in_channels, out_channels))
        nn.init.uniform_(self.kernel, -bound, bound)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Features (B, in_channels, H, W) → (B, out_channels, H, W), 0 away from the sites."""
        weight = self.kernel.unflatten(0, (self.size, self.size)).permute(3, 2, 1, 0)
        return mask * widen(F.conv2d(x, weight, padding=self.size // 2))


class SparseBatchNorm(nn.Module):
    """Batch norm over the sites of the whole batch; the running variance is the unbiased one.

    Fewer than two sites have no variance: they are normalised as in evaluation, and the running statistics stay.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Holds the tensors and their names.
        self.bn = nn.BatchNorm1d(channels, eps=EPSILON, momentum=MOMENTUM)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Features (B, C, H, W) → the same shape, 0 away from the sites."""
        mean, variance = self.bn.running_mean, self.bn.running_var
        if self.training:
            mean, variance = self._of_batch(x, mask)
        factor = self.bn.weight / torch.sqrt(variance + EPSILON)
        return mask * ((x - mean[:, None, None]) * factor[:, None, None] + self.bn.bias[:, None, None])

    def _of_batch(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (C,) of the sites, by which the running ones move."""
        sites = mask.sum()
        mean = x.sum(dim=(0, 2, 3)) / sites.clamp(min=1)
        centred = mask * (x - mean[:, None, None])
        variance = centred.square().sum(dim=(0, 2, 3)) / sites.clamp(min=1)
        enough = sites > 1
        kept = self.bn.running_mean.clone(), self.bn.running_var.clone()
        with torch.no_grad():
            share = MOMENTUM * enough.to(x.dtype)
            self.bn.running_mean.copy_(kept[0] + share * (mean - kept[0]))
            unbiased = variance * sites / (sites - 1).clamp(min=1)
            self.bn.running_var.copy_(kept[1] + share * (unbiased - kept[1]))
            self.bn.num_batches_tracked += enough
        return torch.where(enough, mean, kept[0]), torch.where(enough, variance, kept[1])


def sparse_pool(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Half the size, rounded up: the largest of the sites in 3×3 pixels, for every 2×2 pixels that have a site."""
    smaller = F.max_pool2d(mask, 2, stride=2, ceil_mode=True)
    pooled = F.max_pool2d(x + LOWEST * (1 - mask), 3, stride=2, padding=1)
    return smaller * pooled, smaller


class SparseStack(nn.Module):
    """Convolutions in sequence, and between them batch norm and ReLU.

    Args:
        channels: of the input, then of each convolution.
        size: of the kernels.
    """

    def __init__(self, channels: tuple[int, ...], size: int) -> None:
        super().__init__()
        self.count = len(channels) - 1
        for number, (inputs, outputs) in enumerate(pairwise(channels)):
            self.add_module(str(3 * number), SparseConv(inputs, outputs, size))
            if number < self.count - 1:
                self.add_module(str(3 * number + 1), SparseBatchNorm(outputs))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Features (B, channels[0], H, W) → (B, channels[-1], H, W)."""
        for number in range(self.count):
            if number:
                x = F.relu(self.get_submodule(str(3 * number - 2))(x, mask))
            x = self.get_submodule(str(3 * number))(x, mask)
        return x


class SparseLevel(nn.Module):
    """Half the size, then the sum of one, two and three convolutions, normalised.

    Args:
        in_channels, out_channels: of input and output.
        size: of the kernels.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__()
        wide = 2 * out_channels
        # In this order an optimiser counts the parameters.
        self.layer3 = SparseStack((in_channels, wide, wide, out_channels), size)
        self.layer2 = SparseStack((in_channels, wide, out_channels), size)
        self.layer1 = SparseStack((in_channels, out_channels), size)
        self.layer_final = nn.ModuleList([SparseBatchNorm(out_channels)])

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, in_channels, H, W) and mask → (B, out_channels, ⌈H / 2⌉, ⌈W / 2⌉) and mask."""
        x, mask = sparse_pool(x, mask)
        summed = self.layer1(x, mask) + self.layer2(x, mask) + self.layer3(x, mask)
        return F.relu(self.layer_final[0](summed, mask)), mask


class SparseBranch(nn.Module):
    """Sparse depth → features at 1/2, 1/4, …

    Args:
        widths: channels of the levels.
        sizes: of their kernels.
    """

    def __init__(self, widths: tuple[int, ...], sizes: tuple[int, ...]) -> None:
        super().__init__()
        levels = zip((1, *widths), widths, sizes, strict=False)
        self.mconvs = nn.ModuleList([SparseLevel(*level) for level in levels])

    def forward(self, depth: Tensor) -> list[Tensor]:
        """Depth (B, 1, H, W), 0 where unknown → features (B, widths[i], H / 2^(i + 1), W / 2^(i + 1)) of each level."""
        mask = (depth > 0).to(depth.dtype)
        x = depth * mask
        found = []
        for level in self.mconvs:
            x, mask = level(x, mask)
            found.append(x)
        return found
