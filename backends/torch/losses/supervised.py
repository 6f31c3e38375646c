"""Measured depth as a teacher of disparity (Guizilini et al. 2020, CoRL 2019; switches as published)."""

import torch
from torch import Tensor

from backends.torch.losses.view_synthesis import resize_nearest

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
        mask = (there > 0) if method.startswith(SPARSE) else torch.ones_like(there, dtype=torch.bool)
        counted = mask.sum() if counted is None else counted
        parts.append(difference(kind, disparity, there, mask))
    return torch.stack(parts).mean(), counted


def difference(kind: str, predicted: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """One of `KINDS` where the mask is true, a scalar; 0 without such a pixel, and then without gradient.

    `abs_rel` divides by the prediction. `berhu` adds squares of differences above a fifth of the largest signed one,
    and counts them again: neither is the textbook's, files were trained with both.
    """
    signed = torch.where(mask, predicted - true, 0)
    error = signed.abs()
    if kind == "l1":
        return _mean(error, mask)
    if kind == "mse":
        return _mean(signed**2, mask)
    if kind == "abs_rel":
        return _mean(error / torch.where(mask, predicted, 1), mask)
    if kind == "silog":
        return _silog(predicted, true, mask)
    largest = torch.where(mask, signed, -torch.inf).max().detach()
    above = mask & (error > BERHU_SHARE * largest)
    total = error.sum() + torch.where(above, signed**2, 0).sum()
    return total / _count(mask, above)


def _silog(predicted: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """10 √(mean e² − 0.85 (mean e)²) of the difference e of logarithms."""
    logarithms = [torch.log(SILOG_UNIT * torch.where(mask, values, 1)) for values in (predicted, true)]
    error = logarithms[0] - logarithms[1]
    variance = _mean(error**2, mask) - SILOG_RATIO * _mean(error, mask) ** 2
    positive = variance > 0  # the root of 0 has no gradient
    root = torch.sqrt(torch.where(positive, variance, 1))
    return SILOG_FACTOR * torch.where(positive, root, 0 * variance)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of values that are 0 off the mask."""
    return values.sum() / _count(mask)


def _count(*masks: Tensor) -> Tensor:
    """How many are true, at least 1."""
    return torch.stack([mask.sum() for mask in masks]).sum().clamp(min=1)
