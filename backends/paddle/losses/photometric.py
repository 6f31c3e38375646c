"""Photometric error of two images: SSIM and absolute difference (Godard et al. 2017, eq. 2; 2019, section 3)."""

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import paddle
from paddle import Tensor
from paddle.autograd import PyLayer

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

    On a CPU it takes half the time of `avg_pool2d`. Two convolutions take a third of its, but round otherwise: where
    images are flat, variances are rounding alone, and the auto-mask changes at two pixels of a thousand.
    """
    padded, (height, width) = _reflected(image, side // 2), image.shape[2:]
    rows = reduce(add, (padded[:, :, first : first + height] for first in range(side)))
    return reduce(add, (rows[:, :, :, first : first + width] for first in range(side))) / side**2


def _reflected(x: Tensor, pixels: int) -> Tensor:
    """Equal to `F.pad(x, [pixels] * 4, mode="reflect")`, whose kernel takes twice as long on a CPU."""
    for axis in (3, 2):
        last = x.shape[axis] - 1
        before = paddle.slice(x, [axis], [1], [pixels + 1]).flip(axis)
        after = paddle.slice(x, [axis], [last - pixels], [last]).flip(axis)
        x = paddle.concat([before, x, after], axis=axis)
    return x


def border_weights(image: Tensor) -> Tensor:
    """(1, 1, H, W): 1, halved in the first and the last row and column.

    With them the adjoint of `window_mean`, what a gradient of its result is to its image, is `window_mean` itself:
    weights · window_mean(gradient / weights). A reflected border counts in the windows twice, an inner pixel once.
    """
    weights = paddle.ones([1, 1, 1, 1], image.dtype)
    for axis in (2, 3):
        line = paddle.ones([image.shape[axis]], image.dtype)
        line[0] = 0.5
        line[-1] = 0.5
        weights = weights * line.reshape([-1, 1] if axis == 2 else [-1])
    return weights


class PhotometricFunction(PyLayer):
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
        own_square = paddle.square(own_mean)
        contrast = window_mean(paddle.square(prediction), side) - own_square + target.variance + C2
        light = own_square + paddle.square(mean) + C1
        product = own_mean * mean
        covariance = (window_mean(prediction * target.image, side) - product).scale_(2, C2)
        product = product.scale_(2, C1)
        divisor = light * contrast
        ssim = product * covariance / divisor
        loss = ssim.scale(-0.5, 0.5)
        error = paddle.clip(loss, 0, 1).mean(axis=1, keepdim=True) * ssim_weight
        if difference_weight != 0:
            difference = paddle.abs(target.image - prediction).mean(axis=1, keepdim=True)
            error = error + difference * difference_weight
        if not prediction.stop_gradient:
            inside = (loss >= 0) & (loss <= 1)  # where `clip` lets the gradient through
            inside = (inside | paddle.isnan(loss)).astype(loss.dtype)
            by_mean = (covariance - product) * mean - own_mean * ssim * (contrast - light)
            by_product = product * (inside / divisor)
            by_mean = by_mean * (inside / divisor)
            by_square = ssim * inside / -contrast
            context.save_for_backward(prediction, target.image, by_mean, by_square, by_product)
            context.numbers = ssim_weight, difference_weight, side
        return error

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """Of the error, (B, 1, H, W) → of the prediction, (B, C, H, W)."""
        prediction, target, by_mean, by_square, by_product = context.saved_tensor()
        ssim_weight, difference_weight, side = context.numbers
        channels, weights = prediction.shape[1], border_weights(prediction)
        share = gradient * (-ssim_weight / channels) / weights  # of the loss by SSIM / 2
        result = window_mean(by_mean * share, side)
        result = result.add_(prediction * window_mean(by_square * share, side))
        result = result.add_(target * window_mean(by_product * share, side)) * weights
        if difference_weight != 0:
            result = result.add_(
                paddle.sign(prediction - target) * (gradient * (difference_weight / channels))
            )
        return result


def window_statistics(image: Tensor, side: int = SIDE) -> WindowStatistics:
    """What the error needs of a target; computed once for all that are compared with it. It has no gradient."""
    image = image.detach()
    mean = window_mean(image, side)
    variance = window_mean(paddle.square(image), side) - paddle.square(mean)
    return WindowStatistics(image, mean, variance, side)


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
    prediction = prediction.astype(target.image.dtype)
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
            return paddle.abs(self.target - prediction).mean(axis=1, keepdim=True)
        return weighted_error(prediction, self.statistics)
