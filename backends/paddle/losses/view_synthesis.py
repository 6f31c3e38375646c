"""Views rebuilt from disparities by motions of translation and Euler angles (Guizilini et al. 2020, section 3)."""

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from backends.paddle import geometry

LEAST = 1e-6  # disparity whose inverse is taken, and depth, likewise
LEAST_Z = 1e-5  # of points in the source camera
FARTHEST = 1e3  # a grid coordinate, beyond which a kernel's whole numbers could overflow


def inverse(values: Tensor) -> Tensor:
    """1 / max(values, 1e-6): disparity to depth."""
    return 1 / paddle.clip(values, min=LEAST)


def true_disparity(depth: Tensor) -> Tensor:
    """Measured depth, 0 where there is none → disparity, likewise."""
    return paddle.where(depth > 0, inverse(depth), paddle.zeros_like(depth))


def motion(pose: Tensor) -> Tensor:
    """(B, 6), translation, then angles about x y z, radians → T_source_target (B, 4, 4)."""
    return geometry.transform(geometry.euler_rotation(pose[:, 3:]), pose[:, :3, None])


def inverse_motion(T: Tensor) -> Tensor:
    """Exact inverse [Rᵀ | −Rᵀ t] of rigid motions (B, 4, 4)."""
    rotation = T[:, :3, :3].transpose([0, 2, 1])
    return geometry.transform(rotation, -rotation @ T[:, :3, 3:])


def scaled_intrinsics(K: Tensor, x_scale: float, y_scale: float) -> Tensor:
    """K (B, 3, 3) of an image that is resized by these factors, pixel centres at integers: c' = (c + 1/2) s − 1/2."""
    scale = paddle.to_tensor([[x_scale] * 3, [y_scale] * 3, [1] * 3], dtype=K.dtype)
    shift = paddle.to_tensor([[0, 0, (x_scale - 1) / 2], [0, 0, (y_scale - 1) / 2], [0] * 3], dtype=K.dtype)
    return K * scale + shift


def normalized_pixels(points: Tensor, K: Tensor, T: Tensor, height: int, width: int) -> Tensor:
    """Points (B, 3, H · W) of the target's camera → where they lie in the source, (B, H, W, 2).

    x, then y: −1 and 1 are the centres of the corners. z is at least 1e-5, which puts points behind the camera far
    outside.
    """
    numerators, z, axis = geometry.projected(points, K, T, height, width)
    return geometry.grid_of(numerators, z, axis, paddle.clip(z, min=LEAST_Z), height, width)


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
    grid = paddle.clip(normalized_pixels(points, K, T, *depth.shape[2:]), -FARTHEST, FARTHEST)
    return geometry.sample(source, grid, padding=padding)


def resize_corners(image: Tensor, height: int, width: int) -> Tensor:
    """Bilinear resize whose corner pixels stay corner pixels."""
    if image.shape[2:] == [height, width]:
        return image
    # Written out: the kernel computes positions in single precision, also of tensors in double.
    for axis, size in ((2, height), (3, width)):
        length = image.shape[axis]
        position = paddle.arange(size, dtype="float64") * ((length - 1) / max(size - 1, 1))
        first = paddle.clip(position.astype("int64"), 0, max(length - 2, 0))
        share = (position - first.astype("float64")).astype(image.dtype)
        share = share.reshape([-1, 1] if axis == 2 else [-1])
        start = paddle.index_select(image, first, axis=axis)
        end = paddle.index_select(image, paddle.clip(first + 1, max=length - 1), axis=axis)
        image = start + (end - start) * share
    return image


def resize_nearest(x: Tensor, height: int, width: int) -> Tensor:
    """Nearest resize: index floor(i n / N)."""
    if x.shape[2:] == [height, width]:
        return x
    return F.interpolate(x, size=[height, width], mode="nearest")
