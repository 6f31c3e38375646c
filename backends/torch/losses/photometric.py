"""Photometric error of two images: SSIM and absolute difference (Godard et al. 2017, eq. 2; 2019, section 3)."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

C1, C2 = 0.01**2, 0.03**2
SSIM_WEIGHT = 0.85
SIDE = 3  # of a window, pixels


@dataclass
class WindowStatistics:
    """An image (B, C, H, W), and its means and variances over square windows, which are reflected at the borders."""

    image: Tensor
    mean: Tensor
    variance: Tensor
    side: int = SIDE


def window_mean(image: Tensor, side: int = SIDE) -> Tensor:
    """Means over square windows, reflected at the borders, (B, C, H, W): along columns, then rows. It has no gradient.

    On a CPU it takes a sixth of the time of `avg_pool2d` over a padded image.
    """
    if side != SIDE:
        return _wide_mean(image, side)
    for axis in (2, 3):
        last = image.shape[axis] - 1
        total = torch.empty_like(image, memory_format=torch.contiguous_format)
        inner = total.narrow(axis, 1, last - 1)
        torch.add(image.narrow(axis, 0, last - 1), image.narrow(axis, 1, last - 1), out=inner)
        inner.add_(image.narrow(axis, 2, last - 1))
        for end, neighbour in ((0, 1), (last, last - 1)):
            both = image.select(axis, end), image.select(axis, neighbour)
            torch.add(*both, alpha=2, out=total.select(axis, end))
        image = total
    return image.div_(9)


def _wide_mean(image: Tensor, side: int) -> Tensor:
    """`window_mean` over larger windows: rows, then columns of a padded image."""
    total = F.pad(image, (side // 2,) * 4, mode="reflect")
    for axis in (2, 3):
        padded, count = total, total.shape[axis] - side + 1
        total = padded.narrow(axis, 0, count) + padded.narrow(axis, 1, count)
        for first in range(2, side):
            total += padded.narrow(axis, first, count)
    return total.div_(side**2)


def border_weights(image: Tensor) -> Tensor:
    """(1, 1, H, W): 1, halved in the first and the last row and column.

    With them the adjoint of `window_mean`, what a gradient of its result is to its image, is `window_mean` itself:
    weights · window_mean(gradient / weights). A reflected border counts in the windows twice, an inner pixel once.
    """
    weights = torch.ones_like(image[:1, :1])
    for axis in (2, 3):
        for end in (0, image.shape[axis] - 1):
            weights.select(axis, end).div_(2)
    return weights


class PhotometricFunction(torch.autograd.Function):
    """SSIM loss and absolute difference in one step, with the gradient written out.

    Beside the images the backward pass keeps three maps, in place of the dozen that the formula leaves behind: how
    SSIM moves with a window's mean (half of it), its mean of squares, and its mean of products (half). Where x is the
    prediction and y the target, SSIM / 2 has as its gradient the first spread over the windows, plus x times the
    second, plus y times the third.
    """

    @staticmethod
    def forward(
        context: Any,
        prediction: Tensor,
        target: WindowStatistics,
        ssim_weight: float,
        difference_weight: float,
    ) -> Tensor:
        """See `weighted_error`."""
        mean, side = target.mean, target.side
        own_mean = window_mean(prediction, side)
        own_square = own_mean.square()
        contrast = window_mean(prediction.square(), side).sub_(own_square).add_(target.variance).add_(C2)
        light = own_square.addcmul_(mean, mean).add_(C1)
        product = own_mean * mean
        covariance = window_mean(prediction * target.image, side).sub_(product).mul_(2).add_(C2)
        product.mul_(2).add_(C1)
        divisor = light * contrast
        ssim = (product * covariance).div_(divisor)
        loss = ssim.neg().add_(1).div_(2)
        error = loss.clamp(0, 1).mean(dim=1, keepdim=True).mul_(ssim_weight)
        if difference_weight != 0:
            difference = (target.image - prediction).abs_().mean(dim=1, keepdim=True)
            error.add_(difference, alpha=difference_weight)
        if context.needs_input_grad[0]:
            outside = (loss < 0).logical_or_(loss > 1)  # where `clamp` lets no gradient through
            by_mean = covariance.sub_(product).mul_(mean)
            by_mean.sub_(own_mean.mul_(ssim).mul_(contrast - light)).div_(divisor).masked_fill_(outside, 0)
            by_product = product.div_(divisor).masked_fill_(outside, 0)
            by_square = ssim.div_(contrast).neg_().masked_fill_(outside, 0)
            context.save_for_backward(prediction, target.image, by_mean, by_square, by_product)
            context.numbers = ssim_weight, difference_weight, side
        return error

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Of the error, (B, 1, H, W) → of the prediction, (B, C, H, W)."""
        prediction, target, by_mean, by_square, by_product = context.saved_tensors
        ssim_weight, difference_weight, side = context.numbers
        channels, weights = prediction.shape[1], border_weights(prediction)
        share = gradient * (-ssim_weight / channels) / weights  # of the loss by SSIM / 2
        result = window_mean(by_mean * share, side)
        result.addcmul_(prediction, window_mean(by_square * share, side))
        result.addcmul_(target, window_mean(by_product * share, side)).mul_(weights)
        if difference_weight != 0:
            result.addcmul_((prediction - target).sign_(), gradient * (difference_weight / channels))
        return result, None, None, None


def window_statistics(image: Tensor, side: int = SIDE) -> WindowStatistics:
    """What the error needs of a target; computed once for all that are compared with it. It has no gradient."""
    image = image.detach()
    mean = window_mean(image, side)
    return WindowStatistics(image, mean, window_mean(image.square(), side).sub_(mean.square()), side)


def weighted_error(
    prediction: Tensor,
    target: WindowStatistics,
    ssim_weight: float = SSIM_WEIGHT,
    difference_weight: float = 1 - SSIM_WEIGHT,
) -> Tensor:
    """ssim_weight · clamp((1 − SSIM) / 2, 0, 1) + difference_weight · |x − y|, both averaged over the channels.

    SSIM is that of Wang et al. (2004, eq. 13) with plain means over the target's windows. The gradient is the
    prediction's alone, and has none itself.

    Args:
        prediction: (B, C, H, W), each side longer than half of a window's.
        target: of the same shape.

    Returns:
        (B, 1, H, W).
    """
    prediction = prediction.to(target.image.dtype)
    return PhotometricFunction.apply(prediction, target, ssim_weight, difference_weight)


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
        if self.statistics is None:
            return torch.abs(self.target - prediction).mean(dim=1, keepdim=True)
        return weighted_error(prediction, self.statistics)
