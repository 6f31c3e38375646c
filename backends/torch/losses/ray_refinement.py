"""The pixel whose viewing ray points in a direction, exactly: Gauss-Newton steps on the surface of the rays."""

import torch
from torch import Tensor

from backends.torch.losses.ray_search import window

STRIDE = 4  # pixels between candidates
STEPS = 2  # without gradient; one more has it
LARGEST_STEP = 2.0  # pixels
CONVERGED = 0.5  # pixels that the last step may still ask for
LEAST_DETERMINANT = 1e-24  # of the normal equations


def coarse_search(
    directions: Tensor, rays: Tensor, radius: int, valid: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The best of the candidates in each window, every fourth pixel; without gradients.

    Args:
        directions: (B, N, 3, H, W), unit.
        rays: (B, 3, H, W), unit.
        radius: of the window around each pixel, in pixels.
        valid: (1 or B, 1, H, W), above 0 where a ray counts; none: everywhere.

    Returns:
        x and y, (B, N, H, W), in pixels.
    """
    height, width = rays.shape[2:]
    rows, row_of = _grid(height, rays)
    columns, column_of = _grid(width, rays)
    fields = rays if valid is None else torch.cat([rays, valid.expand(rays.shape[0], -1, -1, -1)], dim=1)
    fields = fields.index_select(2, rows).index_select(3, columns)
    side_rows, first_rows = window(len(rows), -(-radius // STRIDE))
    side_columns, first_columns = window(len(columns), -(-radius // STRIDE))
    row_starts = torch.tensor(first_rows, device=rays.device)[row_of]
    column_starts = torch.tensor(first_columns, device=rays.device)[column_of]
    best = directions.new_full((*directions.shape[:2], height, width), -3.0)
    x, y = torch.zeros_like(best), torch.zeros_like(best)
    for i in range(side_rows):
        of_row = fields.index_select(2, row_starts + i)
        candidate_y = rows[row_starts + i].to(best)[:, None]
        for j in range(side_columns):
            index = column_starts + j
            ray = of_row.index_select(3, index)[:, None]
            cosine = (directions[:, :, 0] * ray[:, :, 0]).addcmul_(directions[:, :, 1], ray[:, :, 1])
            cosine.addcmul_(directions[:, :, 2], ray[:, :, 2])
            if valid is not None:
                cosine = cosine.masked_fill(ray[:, :, 3] <= 0, -2.0)
            better = cosine > best
            best = torch.where(better, cosine, best)
            x = torch.where(better, columns[index].to(best), x)
            y = torch.where(better, candidate_y, y)
    return x, y


def _grid(count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels that are candidates, the last among them, and which of them is nearest to each pixel."""
    pixels = torch.arange(0, count, STRIDE, device=like.device)
    last = torch.tensor([count - 1], device=like.device)
    candidates = pixels if (count - 1) % STRIDE == 0 else torch.cat([pixels, last])
    nearest = torch.arange(count, device=like.device).add(STRIDE // 2).div(STRIDE, rounding_mode="floor")
    return candidates, nearest.clamp(max=len(candidates) - 1)


def refined_pixels(directions: Tensor, rays: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Steps towards r(x, y) × d = 0, the last with the gradient of the implicit function.

    Args:
        directions: (B, N, 3, H, W), unit.
        rays: (B, 3, H, W); beyond the border the surface goes on as it ends.
        x, y: (B, N, H, W) to start from, in pixels.

    Returns:
        x and y; and whether the last step was small.
    """
    with torch.no_grad():
        for _ in range(STEPS):
            step_x, step_y, _ = _step(directions.detach(), rays.detach(), x, y)
            x, y = x + step_x, y + step_y
    step_x, step_y, length = _step(directions, rays, x, y)
    return x + step_x, y + step_y, length <= CONVERGED


def _step(directions: Tensor, rays: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A Gauss-Newton step, at most two pixels along each axis, and how long it would have been.

    Only what is to vanish has a gradient: its factor's would be multiplied by nearly 0.
    """
    ray, in_x, in_y = _surface(rays, x, y)
    error = torch.linalg.cross(ray, directions, dim=2)
    with torch.no_grad():
        of_x = torch.linalg.cross(in_x, directions, dim=2)
        of_y = torch.linalg.cross(in_y, directions, dim=2)
        xx, yy, xy = ((one * other).sum(dim=2) for one, other in ((of_x, of_x), (of_y, of_y), (of_x, of_y)))
        determinant = (xx * yy - xy * xy).clamp(min=LEAST_DETERMINANT)[:, :, None]
        solve_x = (yy[:, :, None] * of_x - xy[:, :, None] * of_y) / determinant
        solve_y = (xx[:, :, None] * of_y - xy[:, :, None] * of_x) / determinant
    step_x, step_y = -(solve_x * error).sum(dim=2), -(solve_y * error).sum(dim=2)
    length = torch.maximum(step_x.detach().abs(), step_y.detach().abs())
    return (*(step.clamp(-LARGEST_STEP, LARGEST_STEP) for step in (step_x, step_y)), length)


def _surface(rays: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The ray at a pixel, bilinear, and its derivatives there without gradients, (B, N, 3, H, W) each."""
    height, width = rays.shape[2:]
    left = x.floor().clamp(0, width - 2)
    top = y.floor().clamp(0, height - 2)
    a, b = (x - left)[:, :, None], (y - top)[:, :, None]
    first = (top * width + left).long().flatten(1)[:, None].expand(-1, 3, -1)
    shape = (rays.shape[0], 3, *x.shape[1:])
    corners = (
        rays.flatten(2).gather(2, first + further).view(shape).transpose(1, 2)
        for further in (0, 1, width, width + 1)
    )
    top_left, top_right, bottom_left, bottom_right = corners
    above = top_left + (top_right - top_left) * a
    below = bottom_left + (bottom_right - bottom_left) * a
    with torch.no_grad():
        in_x = (top_right - top_left) * (1 - b) + (bottom_right - bottom_left) * b
        in_y = below - above
    return above + (below - above) * b, in_x, in_y
