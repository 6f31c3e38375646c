"""Views rebuilt through a surface of viewing rays: lift, move, project, sample (Vasiljevic et al. 2020, section 3).

Depth here is range, along the ray. Maps have their corner pixels at −1 and 1. Everything is in the precision of the
disparities: in single precision coordinates are right to 2e-5, on average to 1e-6.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from backends.torch import geometry
from backends.torch.losses.ray_refinement import coarse_search, refined_pixels
from backends.torch.losses.ray_search import soft_search
from backends.torch.losses.view_synthesis import inverse, resize_corners

CENTRE = 1e-12  # squared length of a vector that has none
ROUNDING = 1e-6  # of a mask between pixels
STANDARD_DEVIATIONS = 3.0  # of the softmax, beyond which no ray is that of a point


@dataclass(frozen=True)
class ProjectionSettings:
    """How a point is projected.

    Attributes:
        kind: soft, a softmax over a window; or refined, Gauss-Newton steps from the best of coarse candidates.
        patch_side: radius of the window, in pixels of half size.
        downsample: soft searches at half size.
        temperature: of the softmax, in squared radians.
        renormalise: rays of half size are made unit again.
        chunk: rows of the windows at a time.
        mask_unseen: what no ray of the surface points at counts in no loss.
    """

    kind: str = "soft"
    patch_side: int = 20
    downsample: bool = True
    temperature: float = 1e-4
    renormalise: bool = False
    chunk: int = 1
    mask_unseen: bool = False


def unit(vectors: Tensor, axis: int = 1) -> Tensor:
    """Vectors along an axis over their length; one of length 0 stays so, with a gradient that is finite."""
    square = vectors.square().sum(dim=axis, keepdim=True)
    return vectors / torch.where(square == 0, torch.full_like(square, CENTRE), square).sqrt()


def ray_surface(template: Tensor, residual: Tensor, coefficient: float) -> Tensor:
    """Unit rays (B, 3, H, W): template (1, 3, H, W) + coefficient · residual (B, 3, H, W), normalised.

    With a coefficient of 0 the residual's gradient is zero, not absent: an optimiser counts its steps.
    """
    return unit(template + coefficient * residual)


def moved(points: Tensor, T: Tensor) -> Tensor:
    """Points (B, 3, H, W) by T_source_target (B, 4, 4)."""
    # A sum of products: a matrix product may be one of fewer digits.
    return sum(points[:, None, axis] * T[:, :3, axis, None, None] for axis in range(3)) + T[:, :3, 3:, None]


def project_rays(
    disparities: list[Tensor],
    rays: Tensor,
    motions: list[Tensor],
    settings: ProjectionSettings,
    valid: Tensor | None = None,
) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """Where the points of a target lie in its sources.

    Args:
        disparities: (B, 1, H, W) each, 1 / range, of several scales that have full size.
        rays: (B, 3, H, W), of the target and the sources.
        motions: T_source_target (B, 4, 4) of each source.
        settings: how.
        valid: (1 or B, 1, H, W), 1 where the template has a ray; none: everywhere.

    Returns:
        Per scale and source: x and y, (B, H, W, 2), −1 and 1 at the centres of the corners, beyond them where a refined
        point has left the image; and whether any ray points there, (B, 1, H, W).
    """
    precision = disparities[0].dtype
    rays = rays.to(precision)
    points = [rays * inverse(disparity) for disparity in disparities]
    transforms = [T.to(precision) for T in motions]
    valid = None if valid is None else valid.to(precision)
    height, width = rays.shape[2:]
    if settings.kind == "refined":
        directions = _directions(points, transforms)
        grids, seen = _refined(directions, rays, settings, valid)
    else:
        if settings.downsample:
            size = height // 2, width // 2
            rays = resize_corners(rays, *size)
            rays = unit(rays) if settings.renormalise else rays
            points = [resize_corners(one, *size) for one in points]
            valid = None if valid is None else (resize_corners(valid, *size) > 1 - ROUNDING).to(precision)
        directions = _directions(points, transforms)
        grids, seen = _soft(directions, rays, settings, valid, precision)
        grids, seen = _enlarged(grids, height, width), _enlarged(seen.to(precision), height, width) > 0.5
    of_scales = range(0, grids.shape[1], len(motions))
    grids, seen = grids.to(precision).permute(0, 1, 3, 4, 2), seen
    return (
        [list(grids[:, first : first + len(motions)].unbind(dim=1)) for first in of_scales],
        [list(seen[:, first : first + len(motions)].unbind(dim=1)) for first in of_scales],
    )


def _directions(points: list[Tensor], motions: list[Tensor]) -> Tensor:
    """(B, scales · sources, 3, h, w) unit, scale by scale."""
    return unit(torch.stack([moved(one, T) for one in points for T in motions], dim=1), axis=2)


def _soft(
    directions: Tensor,
    rays: Tensor,
    settings: ProjectionSettings,
    valid: Tensor | None,
    precision: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """x and y (B, N, 2, h, w) by the softmax, and (B, N, 1, h, w) whether a ray is near."""
    height, width = rays.shape[2:]
    radius = settings.patch_side
    row, column, best = soft_search(
        directions, rays, settings.temperature, radius, settings.chunk, valid, precision
    )
    # The nearest of rays further apart than the softmax is wide may be far in its terms.
    apart = (rays[..., 1:] - rays[..., :-1]).square().sum(dim=1).mean()
    least = torch.clamp(apart / (2 * settings.temperature), min=STANDARD_DEVIATIONS**2 / 2)
    return _corners(column, row, height, width), (best >= -least)[:, :, None]


def _refined(
    directions: Tensor, rays: Tensor, settings: ProjectionSettings, valid: Tensor | None
) -> tuple[Tensor, Tensor]:
    """x and y (B, N, 2, H, W) by Gauss-Newton steps, and (B, N, 1, H, W) whether they ended inside."""
    height, width = rays.shape[2:]
    radius = settings.patch_side * (2 if settings.downsample else 1)
    x, y = coarse_search(directions.detach(), rays.detach(), radius, valid)
    x, y, converged = refined_pixels(directions, rays, x, y)
    grid = _corners(x, y, height, width)
    seen = converged[:, :, None] & (grid.detach().abs() <= 1).all(dim=2, keepdim=True)
    if valid is not None:
        places = grid.detach().permute(0, 1, 3, 4, 2).flatten(1, 2)
        found = geometry.sample(valid.expand(grid.shape[0], -1, -1, -1), places)
        seen = seen & (found > 1 - ROUNDING).reshape(seen.shape)
    return grid, seen


def _corners(x: Tensor, y: Tensor, height: int, width: int) -> Tensor:
    """Pixels (B, N, h, w) → (B, N, 2, h, w), −1 and 1 at the centres of the corners."""
    return torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], dim=2)


def _enlarged(maps: Tensor, height: int, width: int) -> Tensor:
    """(B, N, C, h, w) → (B, N, C, height, width)."""
    return resize_corners(maps.flatten(0, 1), height, width).unflatten(0, maps.shape[:2])


def sampled(source: Tensor, grid: Tensor) -> Tensor:
    """A source (B, C, H, W) at (B, H, W, 2): a point that has left it lies on its border."""
    return geometry.sample(source, grid.clamp(-1, 1), padding="zeros")
