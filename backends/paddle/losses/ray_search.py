"""The pixel whose viewing ray points in a direction: a softmax over a window, streamed (Vasiljevic et al. 2020, eq. 6).

A window of 41 × 41 candidates around each pixel does not fit into memory. Here one row of all windows is there at a
time, forward as in an online softmax and backward once more, so that O(h · w · 41) numbers suffice; O(h · w) are kept.
"""

import math
from collections.abc import Iterator
from typing import Any

import paddle
from paddle import Tensor
from paddle.autograd import PyLayer

NEGLIGIBLE = 50.0  # below the best logit: exp(−50) = 2e-22
MASKED = -1e30  # logit of a candidate that does not count; finite: a window of such has a softmax, too


def window(count: int, radius: int) -> tuple[int, list[int]]:
    """The side of the windows along an axis of `count` pixels, and where that of each pixel starts.

    At borders a window is shifted inwards, never cut; an axis shorter than the window is its window.
    """
    side = min(2 * radius + 1, count)
    return side, [min(max(pixel - radius, 0), count - side) for pixel in range(count)]


def soft_search(
    directions: Tensor,
    rays: Tensor,
    temperature: float,
    radius: int = 20,
    chunk: int = 1,
    valid: Tensor | None = None,
    precision: paddle.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The mean pixel of a window, weighted by softmax(⟨direction, ray⟩ / temperature).

    Args:
        directions: (B, N, 3, h, w), N of each pixel, unit.
        rays: (B, 3, h, w), which need not be unit.
        temperature: of the softmax.
        radius: of the window around each pixel.
        chunk: rows of the windows at a time; what is found does not depend on it.
        valid: (1 or B, 1, h, w), above 0 where a ray counts; none: everywhere.
        precision: of the softmax; none: that of the directions. Logits are made of differences, so that float32 does.

    Returns:
        Rows and columns, (B, N, h, w), in pixels; and the logit of the best candidate, (cos − 1) / temperature, which
        has no gradient.
    """
    precision = precision or directions.dtype
    settings = temperature, radius, chunk, precision
    # A layer of its own is not told which gradients are asked for, and must not answer the others.
    wanted = not directions.stop_gradient, not rays.stop_gradient
    return _SoftSearch.apply(directions, rays, valid, settings, wanted)


class _Candidates:
    """Rays of the windows, row by row, scaled so that a logit is bias − ‖direction − ray‖².

    ⟨d, r⟩ − 1 = −½ ‖d − r‖² + ½ (‖r‖² − 1) for a unit d: the plain product loses in float32 what a temperature of 1e-4
    asks for. Sums of products, as no matrix product is exact enough on every device.

    Candidates are the first axis: on a CPU all else, here a number for each pixel of the batch, is broadcast and added
    up five times as fast.
    """

    def __init__(
        self,
        rays: Tensor,
        valid: Tensor | None,
        temperature: float,
        radius: int,
        chunk: int,
        precision: paddle.dtype,
    ) -> None:
        self.shape = batch, self.height, self.width = [rays.shape[axis] for axis in (0, 2, 3)]
        self.chunk, self.scale = chunk, math.sqrt(0.5 / temperature)
        bias = (paddle.square(rays).sum(axis=1, keepdim=True) - 1) * (0.5 / temperature)
        if valid is not None:
            bias = paddle.where(valid.expand_as(bias) > 0, bias, paddle.full_like(bias, MASKED))
        fields = paddle.concat([rays * self.scale, bias], axis=1).astype(precision)
        self.rows, first_rows = window(self.height, radius)
        self.columns, first_columns = window(self.width, radius)
        self.first_rows = paddle.to_tensor(first_rows, dtype="int64")
        self.first_columns = paddle.to_tensor(first_columns, dtype="int64")
        index = self.first_columns + paddle.arange(self.columns, dtype="int64")[:, None]
        wide = paddle.index_select(fields, index.flatten(), axis=3)
        wide = wide.reshape([batch, 4, self.height, self.columns, self.width])
        self.wide = wide.transpose([1, 3, 0, 2, 4]).contiguous()

    def blocks(self) -> Iterator[tuple[int, int, list[Tensor]]]:
        """The first row and the number of rows; x y z, bias (rows · columns of the window, B, h, w).

        From the middle outwards: what is far from the best candidate can be left out once that is known.
        """
        starts = range(0, self.rows, self.chunk)
        for first in sorted(starts, key=lambda start: abs(2 * start + self.chunk - self.rows)):
            count = min(self.chunk, self.rows - first)
            taken = (
                paddle.index_select(self.wide, self.first_rows + row, axis=3)
                for row in range(first, first + count)
            )
            yield first, count, paddle.concat(list(taken), axis=1).unbind(axis=0)

    def places(self, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Row and column of each candidate of a block in its window, (rows · columns, 1)."""
        rows, columns = paddle.meshgrid(paddle.arange(first, first + count), paddle.arange(self.columns))
        kind = self.wide.dtype
        return rows.astype(kind).reshape([-1, 1]), columns.astype(kind).reshape([-1, 1])


def _logits(direction: list[Tensor], block: list[Tensor]) -> Tensor:
    """Of a direction, three of (B, h, w), and a block: (candidates, B, h, w)."""
    logits = None
    for mine, ray in zip(direction, block[:3], strict=True):
        apart = ray - mine
        apart.multiply_(apart)
        logits = block[3] - apart if logits is None else logits.subtract_(apart)
    return logits


def _near(greatest: Tensor, best: Tensor) -> slice:
    """The rows of (B, h, w), from the first to the last, where a candidate has any weight.

    All of them on a GPU, which would have to be waited for.
    """
    if greatest.place.is_gpu_place():
        return slice(0, greatest.shape[1])
    found = (greatest > best - NEGLIGIBLE).any(axis=[0, 2]).numpy().nonzero()[0]
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)


def _scaled(directions: Tensor, candidates: _Candidates, precision: paddle.dtype) -> list[list[Tensor]]:
    """Of each direction x y z, (B, h, w)."""
    scaled = (directions * candidates.scale).astype(precision)
    return [one.unbind(axis=1) for one in scaled.unbind(axis=1)]


def _exponentials(logits: Tensor, near: slice, best: Tensor) -> Tensor:
    """exp(logits − best) of some rows, (candidates, B, rows, w)."""
    taken = logits if near == slice(0, logits.shape[2]) else logits[:, :, near].contiguous()
    return taken.subtract_(best).exp_()


class _SoftSearch(PyLayer):
    @staticmethod
    def forward(
        ctx: Any,
        directions: Tensor,
        rays: Tensor,
        valid: Tensor | None,
        settings: tuple[float, int, int, paddle.dtype],
        wanted: tuple[bool, bool],
    ) -> tuple[Tensor, Tensor, Tensor]:
        *_, precision = settings
        candidates = _Candidates(rays, valid, *settings)
        scaled = _scaled(directions, candidates, precision)
        zero = paddle.zeros(candidates.shape, dtype=precision)
        best = [paddle.full_like(zero, 2 * MASKED) for _ in scaled]
        total, row, column = ([zero.clone() for _ in scaled] for _ in range(3))
        for first, count, block in candidates.blocks():
            rows, columns = candidates.places(first, count)
            terms = paddle.concat([paddle.ones_like(rows), rows, columns], axis=1).t()
            for n, direction in enumerate(scaled):
                logits = _logits(direction, block)
                greatest = logits.max(axis=0)
                near = _near(greatest, best[n])
                if near.start == near.stop:
                    continue
                before = best[n][:, near]
                greatest = paddle.maximum(before, greatest[:, near])
                fade = paddle.exp(before - greatest)
                weights = _exponentials(logits, near, greatest)
                sums = (terms @ weights.flatten(1)).reshape([3, *before.shape])
                best[n][:, near] = greatest
                for state, added in zip((total[n], row[n], column[n]), sums, strict=True):
                    state[:, near] = state[:, near] * fade + added
        row, column = (
            [one / whole for one, whole in zip(part, total, strict=True)] for part in (row, column)
        )
        ctx.inputs = directions, rays, valid
        ctx.found = best, total, row, column
        ctx.settings, ctx.wanted = settings, wanted
        kind = directions.dtype
        rows = candidates.first_rows[:, None].astype(kind) + paddle.stack(row, axis=1).astype(kind)
        columns = candidates.first_columns.astype(kind) + paddle.stack(column, axis=1).astype(kind)
        logits = paddle.stack(best, axis=1)
        ctx.mark_non_differentiable(logits)
        return rows, columns, logits

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        directions, rays, valid = ctx.inputs
        best, total, row, column = ctx.found
        *_, precision = ctx.settings
        of_directions_too, of_rays_too = ctx.wanted
        candidates = _Candidates(rays, valid, *ctx.settings)
        scaled = _scaled(directions, candidates, precision)
        by_row, by_column = (gradient.astype(precision).unbind(axis=1) for gradient in gradients[:2])
        zero = paddle.zeros(candidates.shape, dtype=precision)
        of_directions = [[zero.clone() for _ in range(3)] for _ in scaled]
        of_windows = [paddle.zeros_like(candidates.wide[0]) for _ in range(3)]
        for first, count, block in candidates.blocks():
            of_block = [paddle.zeros_like(block[0]) for _ in range(3)] if of_rays_too else []
            rows, columns = candidates.places(first, count)
            terms = paddle.concat([paddle.ones_like(rows), rows, columns], axis=1)
            ones = terms[:, :1].t()
            for n, direction in enumerate(scaled):
                logits = _logits(direction, block)
                near = _near(logits.max(axis=0), best[n])
                if near.start == near.stop:
                    continue
                at = slice(None), near
                g = _exponentials(logits, near, best[n][at])
                in_row, in_column = (one[n][at] / total[n][at] for one in (by_row, by_column))
                constant = -in_row * row[n][at] - in_column * column[n][at]
                factors = terms @ paddle.stack([constant, in_row, in_column]).flatten(1)
                g.multiply_(factors.reshape(g.shape))
                for axis, of_direction in enumerate(of_directions[n]):
                    sums = ones @ (g * block[axis][:, :, near]).flatten(1)
                    of_direction[at] = of_direction[at] + sums.reshape(in_row.shape)
                for part, mine in zip(of_block, direction, strict=False):
                    part[:, :, near] = part[:, :, near] + g * mine[at]
            for part, of_window in zip(of_block, of_windows, strict=False):
                for k, of_row in enumerate(part.split(count, axis=0)):
                    folded = _folded(of_row, 2, candidates.rows)
                    end = first + k + folded.shape[2]
                    of_window[:, :, first + k : end] = of_window[:, :, first + k : end] + folded
        factor = 2 * candidates.scale  # d / temperature, of a scaled d
        found: list[Tensor | None] = [None, None]
        if of_directions_too:
            stacked = paddle.stack([paddle.stack(one, axis=1) for one in of_directions], axis=1)
            found[0] = (stacked * factor).astype(directions.dtype)
        if of_rays_too:
            of_rays = [_of_columns(one, candidates.columns) for one in of_windows]
            found[1] = (paddle.stack(of_rays, axis=1) * factor).astype(rays.dtype)
        return *found, *(() if valid is None else (None,))


def _of_columns(of_windows: Tensor, side: int) -> Tensor:
    """(columns of the windows, B, h, w) added up where each column lies, (B, h, w)."""
    folded, found = _folded(of_windows, 3, side), paddle.zeros_like(of_windows[0])
    width = folded.shape[3]
    for k in range(side):
        found[:, :, k : k + width] = found[:, :, k : k + width] + folded[k]
    return found


def _folded(x: Tensor, axis: int, side: int) -> Tensor:
    """Sums over the pixels along an axis whose windows, `side` long, start alike: one for each start.

    They start apart in the middle, and alike at either end. Sums of slices: adding by index has no fixed order on GPUs.
    """
    count = x.shape[axis]
    starts = count - side + 1
    if starts == 1:
        return x.sum(axis=axis, keepdim=True)
    ahead = side // 2 + 1
    parts = x.split([size for size in (ahead, starts - 2, count - ahead - starts + 2) if size], axis=axis)
    ends = [part.sum(axis=axis, keepdim=True) for part in (parts[0], parts[-1])]
    return paddle.concat([ends[0], *parts[1:-1], ends[1]], axis=axis)
