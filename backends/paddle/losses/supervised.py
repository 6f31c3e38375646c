"""Measured depth as a teacher of disparity (Guizilini et al. 2020, CoRL 2019; switches as published)."""

import paddle
from paddle import Tensor

from backends.paddle.losses.view_synthesis import resize_nearest

SPARSE = "sparse-"  # only pixels with truth count
KINDS = ("l1", "mse", "abs_rel", "silog", "berhu")
BERHU_SHARE = 0.2
SILOG_RATIO, SILOG_FACTOR, SILOG_UNIT = 0.85, 10.0, 10.0


def supervised_loss(
    disparities: list[Tensor], truth: Tensor, method: str, scales: int
) -> tuple[Tensor, Tensor]:
    """The loss, unweighted, and how many pixels of the finest scale counted, scalars.

    Args:
        disparities: predicted, (B, 1, h, w), finest first.
        truth: (B, 1, H, W) true disparity, 0 where there is none; nearest-resized to each map.
        method: `l1`, `mse`, `abs_rel`, `silog` or `berhu`, perhaps after `sparse-`.
        scales: how many, finest first, are taught.

    Raises:
        ValueError: there is no such method.
    """
    kind = method.removeprefix(SPARSE)
    if kind not in KINDS:
        raise ValueError(
            f"supervised method {method!r} is none of {', '.join(KINDS)}, perhaps after {SPARSE}"
        )
    parts, counted = [], None
    for disparity in disparities[:scales]:
        there = resize_nearest(truth, disparity.shape[2], disparity.shape[3])
        mask = (there > 0) if method.startswith(SPARSE) else paddle.ones_like(there, dtype="bool")
        counted = mask.sum() if counted is None else counted
        parts.append(difference(kind, disparity, there, mask))
    return paddle.stack(parts).mean(), counted


def difference(kind: str, predicted: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """One of `KINDS` where the mask is true, a scalar; 0 without such a pixel, and then without gradient.

    `abs_rel` divides by the prediction. `berhu` adds squares of differences above a fifth of the largest signed one,
    and counts them again: neither is the textbook's, files were trained with both.
    """
    signed = paddle.where(mask, predicted - true, paddle.zeros_like(true))
    error = paddle.abs(signed)
    if kind == "l1":
        return _mean(error, mask)
    if kind == "mse":
        return _mean(paddle.square(signed), mask)
    if kind == "abs_rel":
        return _mean(error / paddle.where(mask, predicted, paddle.ones_like(true)), mask)
    if kind == "silog":
        return _silog(predicted, true, mask)
    largest = paddle.where(mask, signed, paddle.full_like(true, -float("inf"))).max().detach()
    above = paddle.logical_and(mask, error > BERHU_SHARE * largest)
    total = error.sum() + paddle.where(above, paddle.square(signed), paddle.zeros_like(true)).sum()
    return total / _count(mask, above).astype(total.dtype)


def _silog(predicted: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """10 √(mean e² − 0.85 (mean e)²) of the difference e of logarithms."""
    one = paddle.ones_like(true)
    logarithms = [paddle.log(SILOG_UNIT * paddle.where(mask, values, one)) for values in (predicted, true)]
    error = logarithms[0] - logarithms[1]
    variance = _mean(paddle.square(error), mask) - SILOG_RATIO * paddle.square(_mean(error, mask))
    positive = variance > 0  # the root of 0 has no gradient
    root = paddle.sqrt(paddle.where(positive, variance, paddle.ones_like(variance)))
    return SILOG_FACTOR * paddle.where(positive, root, 0 * variance)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of values that are 0 off the mask."""
    return values.sum() / _count(mask).astype(values.dtype)


def _count(*masks: Tensor) -> Tensor:
    """How many are true, at least 1."""
    return paddle.clip(paddle.stack([mask.sum() for mask in masks]).sum(), min=1)
