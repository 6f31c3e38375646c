"""Depth, rigid motion and pinhole cameras on tensors; `core/geometry.py` is the NumPy oracle."""

import torch
import torch.nn.functional as F
from torch import Tensor


def sigmoid_to_depth(sigmoid: Tensor, min_depth: float, max_depth: float) -> tuple[Tensor, Tensor]:
    """Network output in (0, 1) → disparity = 1 / depth, and depth, within the depth range (Godard et al. 2019, sec. 4).

    Args:
        sigmoid: any shape.
        min_depth, max_depth: metres, or metres up to the scale of a monocular model.
    """
    disparity = 1 / max_depth + (1 / min_depth - 1 / max_depth) * sigmoid
    return disparity, 1 / disparity


def rotation_matrix(axisangle: Tensor) -> Tensor:
    """Axis-angle (B, 3), radians → rotation matrices (B, 3, 3) by Rodrigues' formula.

    The axis is v / (‖v‖ + 1e-7), so the gradient at v = 0 is exactly 0.
    """
    angle = torch.linalg.vector_norm(axisangle, dim=1, keepdim=True)
    axis = axisangle / (angle + 1e-7)
    x, y, z = axis.unbind(dim=1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(-1, 3, 3)
    outer = axis[:, :, None] * axis[:, None, :]
    identity = torch.eye(3, dtype=axisangle.dtype, device=axisangle.device)
    cosine, sine = torch.cos(angle)[:, :, None], torch.sin(angle)[:, :, None]
    return cosine * identity + (1 - cosine) * outer + sine * cross


def euler_rotation(angles: Tensor) -> Tensor:
    """Angles (B, 3) about x, y and z, radians → Rx · Ry · Rz, (B, 3, 3): right-handed, z acts first."""
    (cx, cy, cz), (sx, sy, sz) = torch.cos(angles).unbind(dim=1), torch.sin(angles).unbind(dim=1)
    rows = [
        *(cy * cz, -cy * sz, sy),
        *(cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy),
        *(sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy),
    ]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def rigid_transform(axisangle: Tensor, translation: Tensor, invert: bool = False) -> Tensor:
    """Axis-angle (B, 3) and translation (B, 3) → T = [R | t], (B, 4, 4); `invert`: its exact inverse [Rᵀ | −Rᵀ t]."""
    rotation, translation = rotation_matrix(axisangle), translation[:, :, None]
    if invert:
        rotation = rotation.transpose(1, 2)
        translation = -rotation @ translation
    return transform(rotation, translation)


def transform(rotation: Tensor, translation: Tensor) -> Tensor:
    """Rotation (B, 3, 3) and translation (B, 3, 1) → T = [R | t], (B, 4, 4)."""
    top = torch.cat([rotation, translation], dim=2)
    bottom = torch.tensor([0, 0, 0, 1], dtype=top.dtype, device=top.device).expand(top.shape[0], 1, 4)
    return torch.cat([top, bottom], dim=1)


def invert_intrinsics(K: Tensor) -> Tensor:
    """Exact inverse of pinhole intrinsics without skew, (B, 3, 3)."""
    fx, fy, cx, cy = K[:, 0, 0], K[:, 1, 1], K[:, 0, 2], K[:, 1, 2]
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    return torch.stack([1 / fx, zero, -cx / fx, zero, 1 / fy, -cy / fy, zero, zero, one], dim=1).reshape(
        -1, 3, 3
    )


def intrinsics_at_scale(K: Tensor, scale: int, height: int, width: int) -> Tensor:
    """Intrinsics (B, 3, 3) of an image height × width → those at `scale`, (height // 2^s, width // 2^s)."""
    ratios = [(width // 2**scale) / width, (height // 2**scale) / height, 1.0]
    return K * torch.tensor(ratios, dtype=K.dtype, device=K.device)[:, None]


def backproject(depth: Tensor, K: Tensor) -> Tensor:
    """Depth (B, 1, H, W) and intrinsics (B, 3, 3) → camera points (B, 3, H · W); pixel centres at integers."""
    _, _, height, width = depth.shape
    v, u = torch.meshgrid(
        torch.arange(height, dtype=depth.dtype, device=depth.device),
        torch.arange(width, dtype=depth.dtype, device=depth.device),
        indexing="ij",
    )
    pixels = torch.stack([u, v, torch.ones_like(u)]).reshape(1, 3, -1)
    return depth.flatten(2) * (invert_intrinsics(K) @ pixels)


def projected(
    points: Tensor, K: Tensor, T_source_target: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Target camera points (B, 3, H · W) as the source camera sees them, in half sides of its view.

    Returns:
        Numerators (B, 2, H · W) and depth z (B, 1, H · W): numerators / z are x and y from the optical axis; and where
        that lies, (B, 2, 1), 0 at the centre of the first pixel and 2 at that of the last. See `grid_of`.
    """
    # In single precision the grid is as exact as it can be: the principal point is added last, so large terms do not
    # cancel, and what does not depend on the pixel is multiplied beforehand.
    half = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=K.dtype, device=K.device)[:, None]
    rotation, translation = T_source_target[:, :3, :3], T_source_target[:, :3, 3:]
    focal = torch.cat([K[:, :2, :2] / half, torch.zeros_like(K[:, :2, :1])], dim=2)
    axes = torch.cat([focal, T_source_target.new_tensor([0, 0, 1]).expand(len(K), 1, 3)], dim=1)
    seen = (axes @ rotation) @ points + axes @ translation
    return seen[:, :2], seen[:, 2:], K[:, :2, 2:] / half


def grid_of(numerators: Tensor, z: Tensor, axis: Tensor, divisor: Tensor, height: int, width: int) -> Tensor:
    """What `projected` returns → sampling grid (B, H, W, 2), corner centres at ±1.

    Args:
        divisor: what is divided by in place of z, (B, 1, H · W).
    """
    grid = (numerators + axis * (z - divisor)) / divisor + (axis - 1)
    return grid.transpose(1, 2).reshape(-1, height, width, 2)


def project(points: Tensor, K: Tensor, T_source_target: Tensor, height: int, width: int) -> Tensor:
    """Target camera points (B, 3, H · W) → sampling grid (B, H, W, 2) of the source view, corner centres at ±1.

    Points behind the source camera are not masked, as published (Godard et al. 2019).
    """
    numerators, z, axis = projected(points, K, T_source_target, height, width)
    return grid_of(numerators, z, axis, z + 1e-7, height, width)


def sample(source: Tensor, grid: Tensor, align_corners: bool = True, padding: str = "border") -> Tensor:
    """Bilinear samples of (B, C, H, W) at a grid (B, H', W', 2); outside the image the border continues, or all is 0.

    `padding` is border or zeros.

    `align_corners` True puts the corner centres at ±1, as `project` does. False is what the published program does on
    PyTorch ≥ 1.3, by a changed default: its warp is off by up to half a pixel.
    """
    # A NaN in the grid crashes the CPU kernel's backward; the sample there is NaN instead, for the loss to show.
    unknown = torch.isnan(grid).any(dim=3)[:, None]
    grid = torch.nan_to_num(grid, nan=0.0, posinf=torch.inf, neginf=-torch.inf)
    sampled = F.grid_sample(source, grid, mode="bilinear", padding_mode=padding, align_corners=align_corners)
    return sampled.masked_fill(unknown, torch.nan)


def warp(
    source: Tensor, depth: Tensor, K: Tensor, T_source_target: Tensor, align_corners: bool = True
) -> Tensor:
    """Rebuilds the target view by sampling a source view (Zhou et al. 2017, eq. 2).

    Args:
        source: (B, C, H, W) image or feature map.
        depth: (B, 1, H, W) depth of the target view, metres.
        K: (B, 3, 3) intrinsics shared by both views, pixels.
        T_source_target: (B, 4, 4) target camera to source camera.
        align_corners: see `sample`.

    Returns:
        The rebuilt view, (B, C, H, W).
    """
    return warp_points(source, backproject(depth, K), K, T_source_target, align_corners)


def warp_points(
    source: Tensor, points: Tensor, K: Tensor, T_source_target: Tensor, align_corners: bool = True
) -> Tensor:
    """`warp` for target points (B, 3, H · W) back-projected once for several sources."""
    height, width = source.shape[2:]
    return sample(source, project(points, K, T_source_target, height, width), align_corners)


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear resize of (B, C, h, w) with half-pixel centres."""
    if x.shape[2:] == (height, width):
        return x
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)
