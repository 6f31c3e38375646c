"""The pixel whose viewing ray points in a direction, exactly: Gauss-Newton steps on the surface of the rays."""

import paddle
from paddle import Tensor

from backends.paddle.losses.ray_search import window

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
    rows, row_of = _grid(height)
    columns, column_of = _grid(width)
    fields = (
        rays if valid is None else paddle.concat([rays, valid.expand([rays.shape[0], -1, -1, -1])], axis=1)
    )
    fields = paddle.index_select(paddle.index_select(fields, rows, axis=2), columns, axis=3)
    side_rows, first_rows = window(len(rows), -(-radius // STRIDE))
    side_columns, first_columns = window(len(columns), -(-radius // STRIDE))
    row_starts = paddle.to_tensor(first_rows, dtype="int64")[row_of]
    column_starts = paddle.to_tensor(first_columns, dtype="int64")[column_of]
    best = paddle.full([*directions.shape[:2], height, width], -3.0, dtype=directions.dtype)
    x, y = paddle.zeros_like(best), paddle.zeros_like(best)
    for i in range(side_rows):
        of_row = paddle.index_select(fields, row_starts + i, axis=2)
        candidate_y = rows[row_starts + i].astype(best.dtype)[:, None]
        for j in range(side_columns):
            index = column_starts + j
            ray = paddle.index_select(of_row, index, axis=3)[:, None]
            cosine = (directions * ray[:, :, :3]).sum(axis=2)
            if valid is not None:
                cosine = paddle.where(
                    (ray[:, :, 3] > 0).expand_as(cosine), cosine, paddle.full_like(cosine, -2.0)
                )
            better = cosine > best
            best = paddle.where(better, cosine, best)
            x = paddle.where(better, columns[index].astype(best.dtype).expand_as(x), x)
            y = paddle.where(better, candidate_y.expand_as(y), y)
    return x, y


def _grid(count: int) -> tuple[Tensor, Tensor]:
    """Pixels that are candidates, the last among them, and which of them is nearest to each pixel."""
    pixels = paddle.arange(0, count, STRIDE, dtype="int64")
    last = paddle.to_tensor([count - 1], dtype="int64")
    candidates = pixels if (count - 1) % STRIDE == 0 else paddle.concat([pixels, last])
    nearest = (paddle.arange(count, dtype="int64") + STRIDE // 2) // STRIDE
    return candidates, paddle.clip(nearest, max=len(candidates) - 1)


def refined_pixels(directions: Tensor, rays: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Steps towards r(x, y) × d = 0, the last with the gradient of the implicit function.

    Args:
        directions: (B, N, 3, H, W), unit.
        rays: (B, 3, H, W); beyond the border the surface goes on as it ends.
        x, y: (B, N, H, W) to start from, in pixels.

    Returns:
        x and y; and whether the last step was small.
    """
    with paddle.no_grad():
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
    error = _cross(ray, directions)
    with paddle.no_grad():
        of_x = _cross(in_x, directions)
        of_y = _cross(in_y, directions)
        xx, yy, xy = ((one * other).sum(axis=2) for one, other in ((of_x, of_x), (of_y, of_y), (of_x, of_y)))
        determinant = paddle.clip(xx * yy - xy * xy, min=LEAST_DETERMINANT)[:, :, None]
        solve_x = (yy[:, :, None] * of_x - xy[:, :, None] * of_y) / determinant
        solve_y = (xx[:, :, None] * of_y - xy[:, :, None] * of_x) / determinant
    step_x, step_y = -(solve_x * error).sum(axis=2), -(solve_y * error).sum(axis=2)
    length = paddle.maximum(paddle.abs(step_x.detach()), paddle.abs(step_y.detach()))
    return (*(paddle.clip(step, -LARGEST_STEP, LARGEST_STEP) for step in (step_x, step_y)), length)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """a × b, (B, N, 3, H, W). The kernel's backward crashes where a gradient is asked for of one alone."""
    (ax, ay, az), (bx, by, bz) = a.unbind(axis=2), b.unbind(axis=2)
    return paddle.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=2)


def _surface(rays: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The ray at a pixel, bilinear, and its derivatives there without gradients, (B, N, 3, H, W) each."""
    height, width = rays.shape[2:]
    left = paddle.clip(paddle.floor(x), 0, width - 2)
    top = paddle.clip(paddle.floor(y), 0, height - 2)
    a, b = (x - left)[:, :, None], (y - top)[:, :, None]
    first = (top * width + left).astype("int64").flatten(1)[:, None].expand([-1, 3, -1])
    shape = [rays.shape[0], 3, *x.shape[1:]]
    corners = (
        paddle.take_along_axis(rays.flatten(2), first + further, 2).reshape(shape).transpose([0, 2, 1, 3, 4])
        for further in (0, 1, width, width + 1)
    )
    top_left, top_right, bottom_left, bottom_right = corners
    above = top_left + (top_right - top_left) * a
    below = bottom_left + (bottom_right - bottom_left) * a
    with paddle.no_grad():
        in_x = (top_right - top_left) * (1 - b) + (bottom_right - bottom_left) * b
        in_y = below - above
    return above + (below - above) * b, in_x, in_y
