"""View synthesis of images and of features, and smoothness: what teaches depth and motion (Shu et al. 2020)."""

from collections.abc import Callable
from dataclasses import dataclass, field

import paddle
from paddle import Tensor

from backends.paddle import geometry
from backends.paddle.losses.charbonnier import CharbonnierError, charbonnier
from backends.paddle.losses.means import mean_of_all
from backends.paddle.losses.reprojection import minimum_error
from backends.paddle.losses.second_order import smoothness_loss

AUTOMASK_NOISE = 1e-5
# Numbers N(0, 1) like a tensor, for a scale.
Noise = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class DepthSettings:
    """Of the terms of depth.

    Attributes:
        min_depth, max_depth: where a sigmoid is 1 and 0.
        automask: the errors of the unwarped sources compete with those of the warped ones.
        disp_norm: smoothness is of a map over its mean.
        perception_weight: of the feature-metric term.
        smoothness_weight: of the smoothness of the finest scale; half as much at each further one.
        align_corners: of sampling; True is what the coordinates are made for.
    """

    min_depth: float = 0.1
    max_depth: float = 100.0
    automask: bool = True
    disp_norm: bool = True
    perception_weight: float = 1e-3
    smoothness_weight: float = 1e-3
    align_corners: bool = True


@dataclass
class Views:
    """A target and its sources, without colour augmentation.

    Attributes:
        target, sources: (B, 3, H, W) in [0, 1].
        K: (B, 3, 3) of all, pixels.
        motions: T_source_target (B, 4, 4) of each source.
    """

    target: Tensor
    sources: list[Tensor]
    K: Tensor
    motions: list[Tensor]


@dataclass
class Photometric:
    """What the photometric term is made of.

    Attributes:
        terms: of each scale, weighted: the term is their sum.
        warped: at the finest scale, (B, 3, H, W) of each source.
        automask: likewise, (B, H, W), true where a warped source won; None without auto-mask.
    """

    terms: list[Tensor] = field(default_factory=list)
    warped: list[Tensor] = field(default_factory=list)
    automask: Tensor | None = None


def warped_views(
    maps: list[Tensor], sigmoid: Tensor, K: Tensor, motions: list[Tensor], settings: DepthSettings
) -> list[Tensor]:
    """Maps of the sources, (B, C, h, w), sampled where the target's pixels lie in them; K is that of their size."""
    resized = geometry.resize(sigmoid, *maps[0].shape[2:])
    _, depth = geometry.sigmoid_to_depth(resized, settings.min_depth, settings.max_depth)
    points = geometry.backproject(depth, K)
    return [
        geometry.warp_points(one, points, K, T, settings.align_corners)
        for one, T in zip(maps, motions, strict=True)
    ]


def photometric_terms(
    sigmoids: list[Tensor], views: Views, settings: DepthSettings, noise: Noise | None = None
) -> Photometric:
    """Per pixel the least error of all sources, at full size for the sigmoids (B, 1, h, w) of every scale.

    Args:
        noise: breaks ties of the unwarped sources; None: there is none.
    """
    error, found, identity = CharbonnierError(views.target), Photometric(), None
    if settings.automask:
        identity = paddle.concat([error(source) for source in views.sources], axis=1)
    for scale, sigmoid in enumerate(sigmoids):
        warped = warped_views(views.sources, sigmoid, views.K, views.motions, settings)
        still = identity
        if still is not None and noise is not None:
            still = still + AUTOMASK_NOISE * noise(still, scale)
        least, automask = minimum_error(paddle.concat([error(view) for view in warped], axis=1), still)
        found.terms.append(mean_of_all(least) / len(sigmoids))
        if scale == 0:
            found.warped, found.automask = warped, automask
    return found


def feature_metric_term(
    sigmoid: Tensor, target: Tensor, sources: list[Tensor], views: Views, settings: DepthSettings
) -> tuple[Tensor, list[Tensor]]:
    """Per pixel the least error of all sources' features, weighted, a scalar; and the warped features.

    The published program adds a part of it at each scale, and always the same: this is their sum.

    Args:
        sigmoid: (B, 1, h, w) of the finest scale.
        target, sources: features (B, C, H / 2, W / 2).
    """
    # Rows of K halve, without a term for the pixels' centres.
    K = geometry.intrinsics_at_scale(views.K, 1, *views.target.shape[2:])
    warped = warped_views(sources, sigmoid, K, views.motions, settings)
    errors = paddle.concat([charbonnier(target, one) for one in warped], axis=1)
    return settings.perception_weight * mean_of_all(minimum_error(errors, None)[0]), warped


def smoothness_terms(sigmoids: list[Tensor], target: Tensor, settings: DepthSettings) -> list[Tensor]:
    """Of each scale, weighted, at its own size; the term is their sum."""
    weights = [settings.smoothness_weight / 2**scale / len(sigmoids) for scale in range(len(sigmoids))]
    return [
        weight * smoothness_loss(sigmoid, target, settings.disp_norm)
        for weight, sigmoid in zip(weights, sigmoids, strict=True)
    ]
