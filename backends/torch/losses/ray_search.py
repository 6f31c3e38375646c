"""The pixel whose viewing ray points in a direction: a softmax over a window, streamed (Vasiljevic et al. 2020, eq. 6).

A window of 41 × 41 candidates around each pixel does not fit into memory. Here one row of all windows is there at a
time, forward as in an online softmax and backward once more, so that O(h · w · 41) numbers suffice; O(h · w) are kept.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

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
    precision: torch.dtype | None = None,
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
    return _SoftSearch.apply(directions, rays, valid, temperature, radius, chunk, precision)


class _Candidates:
    """Rays of the windows, row by row, scaled so that a logit is bias − ‖direction − ray‖².

    ⟨d, r⟩ − 1 = −½ ‖d − r‖² + ½ (‖r‖² − 1) for a unit d: the plain product loses in float32 what a temperature of 1e-4
    asks for. Sums of products, as no matrix product is exact enough on every device.
    """

    def __init__(
        self,
        rays: Tensor,
        valid: Tensor | None,
        temperature: float,
        radius: int,
        chunk: int,
        precision: torch.dtype,
    ) -> None:
        self.batch, _, self.height, self.width = rays.shape
        self.chunk, self.scale = chunk, math.sqrt(0.5 / temperature)
        bias = (rays.square().sum(dim=1, keepdim=True) - 1) * (0.5 / temperature)
        if valid is not None:
            bias = bias.masked_fill(valid <= 0, MASKED)
        fields = torch.cat([rays * self.scale, bias], dim=1).to(precision)
        self.rows, first_rows = window(self.height, radius)
        self.columns, first_columns = window(self.width, radius)
        self.first_rows = torch.tensor(first_rows, device=rays.device)
        self.first_columns = torch.tensor(first_columns, device=rays.device)
        # (columns of the window, 1), to go with (…, columns of the window, width).
        self.offsets = torch.arange(self.columns, device=rays.device)[:, None]
        index = self.first_columns + self.offsets
        self.wide = fields.index_select(3, index.flatten())

    def blocks(self) -> Iterator[tuple[int, int, Tensor]]:
        """The first row and the number of rows; (B, 4, h, rows · columns of the window, w): x y z, bias.

        From the middle outwards: what is far from the best candidate can be left out once that is known.
        """
        starts = range(0, self.rows, self.chunk)
        for first in sorted(starts, key=lambda start: abs(2 * start + self.chunk - self.rows)):
            count = min(self.chunk, self.rows - first)
            taken = torch.arange(first, first + count, device=self.wide.device)
            index = (self.first_rows[:, None] + taken).flatten()
            block = self.wide.index_select(2, index)
            yield first, count, block.reshape(self.batch, 4, self.height, -1, self.width)


def _logits(direction: Tensor, block: Tensor, logits: Tensor, spare: Tensor) -> None:
    """Of a direction (B, 3, h, w) and a block, into (B, h, candidates, w)."""
    for axis in range(3):
        torch.sub(block[:, axis], direction[:, axis, :, None], out=spare)
        torch.addcmul(block[:, 3] if axis == 0 else logits, spare, spare, value=-1, out=logits)


def _near(greatest: Tensor, best: Tensor) -> slice:
    """The rows of (B, h, w), from the first to the last, where a candidate has any weight.

    All of them on a GPU, which would have to be waited for.
    """
    if greatest.is_cuda:
        return slice(0, greatest.shape[1])
    found = (greatest > best - NEGLIGIBLE).any(dim=2).any(dim=0).nonzero()
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)


class _SoftSearch(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        directions: Tensor,
        rays: Tensor,
        valid: Tensor | None,
        temperature: float,
        radius: int,
        chunk: int,
        precision: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        candidates = _Candidates(rays, valid, temperature, radius, chunk, precision)
        scaled = (directions * candidates.scale).to(precision)
        batch, number, _, height, width = directions.shape
        best = scaled.new_full((batch, number, height, width), -torch.inf)
        total, row, column = (torch.zeros_like(best) for _ in range(3))
        offsets = candidates.offsets.to(precision)
        for first, count, block in candidates.blocks():
            logits, spare = (torch.empty_like(block[:, 0]) for _ in range(2))
            rows = torch.arange(first, first + count, device=rays.device).to(precision)[:, None]
            for n in range(number):
                _logits(scaled[:, n], block, logits, spare)
                greatest = logits.amax(dim=2)
                near = _near(greatest, best[:, n])
                at = slice(None), n, near
                greatest = torch.maximum(best[at], greatest[:, near])
                fade = torch.exp(best[at] - greatest)
                weights = logits[:, near].sub_(greatest[:, :, None]).exp_().unflatten(2, (count, -1))
                of_rows = weights.sum(dim=3)
                best[at] = greatest
                total[at] = total[at] * fade + of_rows.sum(dim=2)
                row[at] = row[at] * fade + (of_rows * rows).sum(dim=2)
                column[at] = column[at] * fade + weights.mul_(offsets).sum(dim=(2, 3))
        row, column = row / total, column / total
        ctx.save_for_backward(directions, rays, valid, best, total, row, column)
        ctx.settings = temperature, radius, chunk, precision
        ctx.mark_non_differentiable(best)
        kind = directions.dtype
        rows = candidates.first_rows[:, None] + row.to(kind)
        return rows, candidates.first_columns + column.to(kind), best

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        directions, rays, valid, best, total, row, column = ctx.saved_tensors
        temperature, radius, chunk, precision = ctx.settings
        candidates = _Candidates(rays, valid, temperature, radius, chunk, precision)
        scaled = (directions * candidates.scale).to(precision)
        batch, number, _, height, width = directions.shape
        by_row, by_column = (gradient.to(precision) / total for gradient in gradients[:2])
        offsets = candidates.offsets.to(precision)
        of_directions = torch.zeros_like(scaled)
        of_windows = torch.zeros_like(candidates.wide[:, :3]).view(batch, 3, height, -1, width)
        for first, count, block in candidates.blocks():
            logits, spare = (torch.empty_like(block[:, 0]) for _ in range(2))
            of_block = torch.zeros_like(block[:, :3]) if ctx.needs_input_grad[1] else None
            rows = torch.arange(first, first + count, device=rays.device).to(precision)[:, None]
            for n in range(number):
                _logits(scaled[:, n], block, logits, spare)
                near = _near(logits.amax(dim=2), best[:, n])
                at = slice(None), n, near, None
                g, product = logits[:, near].sub_(best[at]).exp_(), spare[:, near]
                in_row = by_row[at] * (rows - row[at])
                in_column = by_column[at] * (offsets - column[at])
                apart = product.unflatten(2, (count, -1))
                g.mul_(torch.add(in_row[:, :, :, None], in_column[:, :, None], out=apart).flatten(2, 3))
                for axis in range(3):
                    torch.mul(g, block[:, axis, near], out=product)
                    of_directions[:, n, axis, near] += product.sum(dim=2)
                    if of_block is not None:
                        of_block[:, axis, near].addcmul_(g, scaled[:, n, axis, near, None])
            if of_block is not None:
                folded = _folded(of_block.view(batch, 3, height, count, -1, width), 2, candidates.rows)
                for k in range(count):
                    of_windows[:, :, first + k : first + k + folded.shape[2]] += folded[:, :, :, k]
        factor = 2 * candidates.scale  # d / temperature, of a scaled d
        of_directions = (of_directions * factor).to(directions.dtype)
        if not ctx.needs_input_grad[1]:
            return of_directions, *[None] * 6
        folded = _folded(of_windows, 4, candidates.columns)
        of_rays = torch.zeros_like(rays, dtype=precision)
        for k in range(candidates.columns):
            of_rays[..., k : k + folded.shape[4]] += folded[:, :, :, k]
        return of_directions, (of_rays * factor).to(rays.dtype), *[None] * 5


def _folded(x: Tensor, axis: int, side: int) -> Tensor:
    """Sums over the pixels along an axis whose windows, `side` long, start alike: one for each start.

    They start apart in the middle, and alike at either end. Sums of slices: adding by index has no fixed order on GPUs.
    """
    count = x.shape[axis]
    starts = count - side + 1
    if starts == 1:
        return x.sum(dim=axis, keepdim=True)
    ahead = side // 2 + 1
    first, middle, last = x.split([ahead, starts - 2, count - ahead - starts + 2], dim=axis)
    return torch.cat([first.sum(dim=axis, keepdim=True), middle, last.sum(dim=axis, keepdim=True)], dim=axis)
