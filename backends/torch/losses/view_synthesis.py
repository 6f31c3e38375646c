"""Views rebuilt from disparities by motions of translation and Euler angles (Guizilini et al. 2020, section 3)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from backends.torch import geometry

LEAST = 1e-6  # disparity whose inverse is taken, and depth, likewise
LEAST_Z = 1e-5  # of points in the source camera
FARTHEST = 1e3  # a grid coordinate, beyond which a kernel's whole numbers could overflow


def inverse(values: Tensor) -> Tensor:
    """1 / max(values, 1e-6): disparity to depth."""
    return 1 / values.clamp(min=LEAST)


def true_disparity(depth: Tensor) -> Tensor:
    """Measured depth, 0 where there is none → disparity, likewise."""
    return torch.where(depth > 0, inverse(depth), torch.zeros_like(depth))


def motion(pose: Tensor) -> Tensor:
    """(B, 6), translation, then angles about x y z, radians → T_source_target (B, 4, 4)."""
    return geometry.transform(geometry.euler_rotation(pose[:, 3:]), pose[:, :3, None])


def inverse_motion(T: Tensor) -> Tensor:
    """Exact inverse [Rᵀ | −Rᵀ t] of rigid motions (B, 4, 4)."""
    rotation = T[:, :3, :3].transpose(1, 2)
    return geometry.transform(rotation, -rotation @ T[:, :3, 3:])


def scaled_intrinsics(K: Tensor, x_scale: float, y_scale: float) -> Tensor:
    """K (B, 3, 3) of an image that is resized by these factors, pixel centres at integers: c' = (c + 1/2) s − 1/2."""
    scale = torch.tensor([[x_scale] * 3, [y_scale] * 3, [1] * 3]).to(K)
    shift = torch.tensor([[0, 0, (x_scale - 1) / 2], [0, 0, (y_scale - 1) / 2], [0, 0, 0]]).to(K)
    return K * scale + shift


def normalized_pixels(points: Tensor, K: Tensor, T: Tensor, height: int, width: int) -> Tensor:
    """Points (B, 3, H · W) of the target's camera → where they lie in the source, (B, H, W, 2).

    x, then y: −1 and 1 are the centres of the corners. z is at least 1e-5, which puts points behind the camera far
    outside.
    """
    numerators, z, axis = geometry.projected(points, K, T, height, width)
    return geometry.grid_of(numerators, z, axis, z.clamp(min=LEAST_Z), height, width)


def warp(source: Tensor, depth: Tensor, K: Tensor, T: Tensor, padding: str = "zeros") -> Tensor:
    """The target's view from a source.

    Args:
        source: (B, 3, H, W).
        depth: (B, 1, H, W) of the target.
        K: (B, 3, 3) of both.
        T: (B, 4, 4) T_source_target.
        padding: zeros or border, outside the source.
    """
    points = geometry.backproject(depth, K)
    grid = normalized_pixels(points, K, T, *depth.shape[2:]).clamp(-FARTHEST, FARTHEST)
    return geometry.sample(source, grid, padding=padding)


def resize_corners(image: Tensor, height: int, width: int) -> Tensor:
    """Bilinear resize whose corner pixels stay corner pixels."""
    if image.shape[2:] == (height, width):
        return image
    return F.interpolate(image, size=(height, width), mode="bilinear", align_corners=True)


def resize_nearest(x: Tensor, height: int, width: int) -> Tensor:
    """Nearest resize: index floor(i n / N)."""
    if x.shape[2:] == (height, width):
        return x
    return F.interpolate(x, size=(height, width), mode="nearest")
