"""Photometric and geometry consistency of two views, each warped into the other (Bian et al. 2021, section 3).

Everything is on normalised images, (x - 0.45) / 0.225. A pair is directed: view B is warped into view A.
"""

from dataclasses import dataclass, fields
from typing import Any

import paddle
from paddle import Tensor

from backends.paddle import geometry
from backends.paddle.losses.photometric import WindowStatistics, weighted_error, window_statistics

SSIM_WEIGHT = 0.85
WINDOW = 7  # of SSIM, pixels
LEAST_LIGHT = 1e-3  # mean |value| of a pixel that is there: outside the view samples are exactly 0
LEAST_PIXELS = 100  # a term of no more is 0
LEAST_DEPTH, LARGEST_DEPTH = 0.01, 100.0  # of `depth_range_mask`
CLAMPED_DEPTH = 1e-3  # of points behind the camera that are put before it
FAR = 2.0  # a coordinate where nothing is sampled
FARTHEST = 1e3  # beyond it a kernel's whole numbers could overflow


@dataclass(frozen=True)
class Switches:
    """What the published programs do not agree on; see `core/options/methods/sc_depth.py`."""

    ssim: bool = True
    auto_mask: bool = True
    self_discovered_mask: bool = True
    minimum: bool = True
    minimum_over: str = "all"
    behind_camera: str = "drop"
    outside: str = "keep"
    detach_mask: bool = True
    align_corners: bool = False
    depth_range_mask: bool = False
    projection_epsilon: float = 1e-7
    difference_epsilon: float = 0.0

    @classmethod
    def of(cls, options: Any) -> "Switches":
        """Those among the options."""
        return cls(**{field.name: getattr(options, field.name) for field in fields(cls)})


@dataclass
class View:
    """An image (B, 3, H, W), normalised; its depth (B, 1, H, W); the image's statistics where SSIM is used."""

    image: Tensor
    depth: Tensor
    statistics: WindowStatistics | None = None

    @classmethod
    def of(cls, image: Tensor, depth: Tensor, ssim: bool) -> "View":
        """With the statistics computed, once for all pairs."""
        return cls(image, depth, window_statistics(image, WINDOW) if ssim else None)


@dataclass
class Warped:
    """View B as seen from A.

    Attributes:
        image: (B, 3, H, W), 0 outside.
        projected_depth: (B, 1, H, W) depth of B, sampled where A's pixels lie in it.
        computed_depth: (B, 1, H, W) depth that A's points have in B's camera.
        in_front: (B, 1, H, W) bool, of A's points in B's camera; None where that does not matter.
    """

    image: Tensor
    projected_depth: Tensor
    computed_depth: Tensor
    in_front: Tensor | None = None


@dataclass
class Maps:
    """What is known of each pixel of a directed pair, (B, 1, H, W) each.

    Attributes:
        warped: view B as seen from A.
        relative_depth_difference: |Z - D| / (Z + D) of computed and projected depth.
        color_error: mean |A - warped|; by it the minimum chooses.
        photometric_error: what is minimised, weighted by the self-discovered mask.
        valid: bool; whether the pixel counts.
    """

    warped: Warped
    relative_depth_difference: Tensor
    color_error: Tensor
    photometric_error: Tensor
    valid: Tensor


def warp(
    image: Tensor,
    depth_B: Tensor,
    depth_A: Tensor,
    T_B_A: Tensor,
    K: Tensor,
    switches: Switches,
) -> Warped:
    """Image and depth of view B, sampled where the points of A lie in it.

    As published the grid divides by width - 1 although corners are not aligned, so an identity pose is not the
    identity; with `align_corners` it is.

    Args:
        image: (B, 3, H, W) of view B.
        depth_B, depth_A: (B, 1, H, W).
        T_B_A: (B, 4, 4) points of A to points of B.
        K: (B, 3, 3) of both, pixels, without skew.
    """
    height, width = depth_A.shape[2:]
    points = geometry.backproject(depth_A, K)
    numerators, z, axis = geometry.projected(points, K, T_B_A, height, width)
    in_front, computed = None, z
    if switches.behind_camera == "clamp":
        computed = divisor = paddle.clip(z, min=CLAMPED_DEPTH)
    elif switches.behind_camera == "keep":
        divisor = z + switches.projection_epsilon
    else:
        in_front = z > 0
        divisor = paddle.where(in_front, z + switches.projection_epsilon, paddle.ones_like(z))
    grid = paddle.clip(geometry.grid_of(numerators, z, axis, divisor, height, width), -FARTHEST, FARTHEST)
    if switches.outside == "far":
        grid = paddle.where(paddle.abs(grid) > 1, paddle.full_like(grid, FAR), grid)
    if in_front is not None:
        grid = paddle.where(in_front.reshape([-1, height, width, 1]), grid, paddle.full_like(grid, FAR))
        in_front = in_front.reshape(depth_A.shape)
    stacked = paddle.concat([image, depth_B], axis=1)
    sampled = geometry.sample(stacked, grid, switches.align_corners, padding="zeros")
    return Warped(sampled[:, :3], sampled[:, 3:], computed.reshape(depth_A.shape), in_front)


def relative_depth_difference(warped: Warped, epsilon: float = 0.0) -> Tensor:
    """|Z - D| / (Z + D), (B, 1, H, W); in [0, 1], and 0 behind the camera where such points are dropped."""
    computed, projected = warped.computed_depth, warped.projected_depth
    total = computed + projected + epsilon
    if warped.in_front is None:
        return paddle.abs(computed - projected) / total
    safe = paddle.where(warped.in_front, total, paddle.ones_like(total))
    difference = paddle.abs(computed - projected) / safe
    return paddle.where(warped.in_front, difference, paddle.zeros_like(difference))


def pair_maps(A: View, B: View, T_B_A: Tensor, K: Tensor, switches: Switches) -> Maps:
    """The maps of B warped into A."""
    warped = warp(B.image, B.depth, A.depth, T_B_A, K, switches)
    difference = relative_depth_difference(warped, switches.difference_epsilon)
    channels = paddle.abs(A.image - warped.image)
    color_error = channels.mean(axis=1, keepdim=True)
    valid = (_light(warped.image) > LEAST_LIGHT) & (_light(A.image) > LEAST_LIGHT)
    if warped.in_front is not None:
        valid = valid & warped.in_front
    if switches.auto_mask:
        valid = valid & (color_error < _light(A.image - B.image))
    if switches.depth_range_mask:
        for depth in (warped.computed_depth, warped.projected_depth):
            valid = valid & (depth > LEAST_DEPTH) & (depth < LARGEST_DEPTH)
    error = paddle.clip(channels, 0, 1).mean(axis=1, keepdim=True)
    if A.statistics is not None:
        structure = weighted_error(warped.image, A.statistics, SSIM_WEIGHT, 0)
        error = (1 - SSIM_WEIGHT) * error + structure
    if switches.self_discovered_mask:
        error = error * (1 - (difference.detach() if switches.detach_mask else difference))
    return Maps(warped, difference, color_error, error, valid)


def pair_terms(maps: list[Maps], switches: Switches) -> tuple[Tensor, Tensor]:
    """Photometric and geometry consistency of all pairs, two scalars.

    Args:
        maps: of the pairs target ← source 0, source 0 ← target, target ← source 1, …
    """
    if switches.minimum and switches.minimum_over == "target":
        chosen = [best(maps[::2]), *(_stacked([pair]) for pair in maps[1::2])]
    else:
        chosen = [best(maps)] if switches.minimum else [_stacked(maps)]
    error, difference, valid = (paddle.concat(part, axis=1) for part in zip(*chosen, strict=True))
    return masked_mean(error, valid), masked_mean(difference, valid)


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over the valid pixels; 0 where there are too few, still attached to its graph."""
    mask = valid.astype(values.dtype)
    total, count = (values * mask).sum(), mask.sum()
    return paddle.where(count > LEAST_PIXELS, total / paddle.clip(count, min=1), 0 * total)


Stack = tuple[Tensor, Tensor, Tensor]  # photometric error, relative depth difference, valid: (B, pairs, H, W)


def _stacked(maps: list[Maps]) -> Stack:
    return (
        paddle.concat([pair.photometric_error for pair in maps], axis=1),
        paddle.concat([pair.relative_depth_difference for pair in maps], axis=1),
        paddle.concat([pair.valid for pair in maps], axis=1),
    )


def best(maps: list[Maps]) -> Stack:
    """Of every pixel the pair with the least colour error, the first of equals; invalid pixels take part."""
    color_error = paddle.concat([pair.color_error.detach() for pair in maps], axis=1)
    # `argmin` passes over NaN, which the loss must show: it wins here, as in PyTorch.
    comparable = paddle.masked_fill(color_error, paddle.isnan(color_error), -float("inf"))
    index = paddle.argmin(comparable, axis=1, keepdim=True)
    error, difference, valid = _stacked(maps)
    return (
        _taken(error, index),
        _taken(difference, index),
        _taken(valid.astype("uint8"), index).astype("bool"),
    )


def _taken(stack: Tensor, index: Tensor) -> Tensor:
    """Of (B, pairs, H, W) the pair that (B, 1, H, W) names; there is no kernel for bool."""
    return paddle.take_along_axis(stack, index, axis=1, broadcast=False)


def _light(image: Tensor) -> Tensor:
    """Mean absolute value over the channels, (B, 1, H, W)."""
    return paddle.abs(image).mean(axis=1, keepdim=True)
