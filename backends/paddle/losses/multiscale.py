"""Self-supervised terms over several scales, each as large as its map (Guizilini et al. 2020, eq. 2 to 6).

SSIM has its usual constants, 1e-4 and 9e-4.
"""

import math
from dataclasses import dataclass

import paddle
from paddle import Tensor

from backends.paddle.losses.means import mean_of_all
from backends.paddle.losses.photometric import WindowStatistics, weighted_error, window_statistics
from backends.paddle.losses.reprojection import minimum_error
from backends.paddle.losses.view_synthesis import inverse, resize_corners, scaled_intrinsics, warp

LEAST_MEAN = 1e-6  # disparity


@dataclass(frozen=True)
class PhotometricSettings:
    """Of the photometric term.

    Attributes:
        ssim_weight: of the SSIM loss, the rest is the absolute difference's; 0: its three channels stay apart.
        clip: errors above mean + clip · standard deviation of their map are cut to that; 0: none.
        minimum: per pixel the least error of all maps counts; otherwise the mean of all.
        automask: the errors of the unwarped sources are among them; only with the minimum.
        padding: zeros or border, outside the sources.
    """

    ssim_weight: float = 0.85
    clip: float = 0.0
    minimum: bool = True
    automask: bool = True
    padding: str = "zeros"


@dataclass
class View:
    """A target at one scale: the image, its sources, and what errors against it share."""

    image: Tensor
    sources: list[Tensor]
    statistics: WindowStatistics | None
    identity: list[Tensor]


def scales_in_use(progress: float, progressive_scaling: float, scales: int) -> int:
    """How many scales, the finest first, count at a progress in [0, 1]: all, then one less after each part."""
    if progressive_scaling <= 0:
        return scales
    ends = [*(progressive_scaling * part for part in range(1, scales)), 1.0]
    return max(1, scales - sum(end < progress for end in ends))


def photometric_loss(
    disparities: list[Tensor],
    target: Tensor,
    sources: list[Tensor],
    K: Tensor,
    motions: list[Tensor],
    settings: PhotometricSettings,
) -> tuple[Tensor, list[list[Tensor]], list[list[Tensor]]]:
    """The photometric term, a scalar.

    Args:
        disparities: (B, 1, h, w) of the scales that count; images are resized to smaller ones.
        target, sources: (B, 3, H, W) in [0, 1], their colours as they are.
        K: (B, 3, 3) at H × W.
        motions: T_source_target (B, 4, 4) of each source.

    Returns:
        The loss; per scale the errors: source 0 warped, unwarped where they are masked, source 1 warped, …; and per
        scale the warped sources.
    """
    losses, errors, warped = [], [], []
    view = None
    for disparity in disparities:
        if view is None or view.image.shape[2:] != disparity.shape[2:]:
            view = view_of(target, sources, disparity.shape[2], disparity.shape[3], settings)
            # The factor of the width is that of both axes, as published.
            scale = disparity.shape[3] / target.shape[3]
            scaled_K = K if scale == 1 else scaled_intrinsics(K, scale, scale)
        depth = inverse(disparity)
        views = [
            warp(source, depth, scaled_K, T, settings.padding)
            for source, T in zip(view.sources, motions, strict=True)
        ]
        maps = error_maps(views, view, settings)
        losses.append(reduced(maps, settings.minimum))
        errors.append(maps)
        warped.append(views)
    return paddle.stack(losses).mean(), errors, warped


def view_of(
    target: Tensor, sources: list[Tensor], height: int, width: int, settings: PhotometricSettings
) -> View:
    """Images (B, 3, H, W) in [0, 1] at one size, with the errors of the unwarped sources where they count."""
    image = resize_corners(target, height, width)
    statistics = window_statistics(image) if settings.ssim_weight > 0 else None
    view = View(
        image,
        [resize_corners(source, height, width) for source in sources],
        statistics,
        [],
    )
    if settings.automask and settings.minimum:
        view.identity = [
            clipped(photometric_error(source, view, settings.ssim_weight), settings.clip)
            for source in view.sources
        ]
    return view


def error_maps(views: list[Tensor], view: View, settings: PhotometricSettings) -> list[Tensor]:
    """Of each source warped, (B, 3, H, W), the error, each followed by that of the unwarped one where they count."""
    maps = [clipped(photometric_error(one, view, settings.ssim_weight), settings.clip) for one in views]
    if view.identity:
        maps = [one for pair in zip(maps, view.identity, strict=True) for one in pair]
    return maps


def photometric_error(image: Tensor, view: View, ssim_weight: float) -> Tensor:
    """(B, 3, H, W) against the target → (B, 1, H, W), or the three channels where SSIM has no weight (eq. 3)."""
    if view.statistics is None:
        return paddle.abs(image - view.image)
    return weighted_error(image, view.statistics, ssim_weight, 1 - ssim_weight)


def clipped(error: Tensor, clip: float) -> Tensor:
    """An error map of a whole batch, cut to mean + clip · standard deviation, which has no gradient; 0: as it is."""
    if clip <= 0:
        return error
    values = error.detach()
    return paddle.minimum(error, mean_of_all(values) + clip * values.std(unbiased=True))


def reduced(errors: list[Tensor], minimum: bool) -> Tensor:
    """Mean of the least error of each pixel, the first of equals; or of all maps (eq. 4)."""
    if minimum:
        return mean_of_all(minimum_error(paddle.concat(errors, axis=1), None)[0])
    return paddle.stack([mean_of_all(error) for error in errors]).mean()


def weighted_differences(disparity: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """|∂x d*| exp(−|∂x I|), (B, 1, H, W − 1), and in y, (B, 1, H − 1, W); d* is d over its mean of an image."""
    # One axis after the other: more exact, and twenty times as fast backward, as over both at once.
    mean = disparity.mean(axis=3, keepdim=True).mean(axis=2, keepdim=True)
    normal = disparity / paddle.clip(mean, min=LEAST_MEAN)
    disparity_x = paddle.abs(normal[:, :, :, :-1] - normal[:, :, :, 1:])
    disparity_y = paddle.abs(normal[:, :, :-1] - normal[:, :, 1:])
    image_x = paddle.abs(image[:, :, :, :-1] - image[:, :, :, 1:]).mean(axis=1, keepdim=True)
    image_y = paddle.abs(image[:, :, :-1] - image[:, :, 1:]).mean(axis=1, keepdim=True)
    return disparity_x * paddle.exp(-image_x), disparity_y * paddle.exp(-image_y)


def smoothness_loss(disparities: list[Tensor], target: Tensor) -> Tensor:
    """Mean over the scales i of the mean weighted differences / 2^i, unweighted, a scalar (eq. 6)."""
    parts = []
    for scale, disparity in enumerate(disparities):
        image = resize_corners(target, disparity.shape[2], disparity.shape[3])
        in_x, in_y = weighted_differences(disparity, image)
        parts.append((mean_of_all(in_x) + mean_of_all(in_y)) / math.pow(2, scale))
    return paddle.stack(parts).mean()
