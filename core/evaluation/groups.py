"""Metrics of some of the images beside those of all, such as of each camera of several."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.evaluation.depth import DepthMetrics, latex
from core.evaluation.variants import Variants


def chosen(metrics: DepthMetrics, images: np.ndarray) -> DepthMetrics:
    """Those of some of the images, by a mask (N,); without regions."""
    ratios = None if metrics.scale_ratios is None else metrics.scale_ratios[images]
    return dataclasses.replace(
        metrics,
        per_image=metrics.per_image[images],
        valid_pixels=metrics.valid_pixels[images],
        scale_ratios=ratios,
        regions={},
        rank_correlations=None,
    )


def by_group(metrics: DepthMetrics, groups: Sequence[str]) -> dict[str, DepthMetrics]:
    """Those of each group, in the order in which they come; {} where there are not several.

    Args:
        groups: that of each image.
    """
    names = list(dict.fromkeys(groups))
    if len(names) < 2:
        return {}
    masks = {name: np.array([group == name for group in groups]) for name in names}
    return {name: chosen(metrics, mask) for name, mask in masks.items()}


def printed_groups(metrics: DepthMetrics | Variants, groups: Sequence[str]) -> str:
    """A row for every group, ready for LaTeX, of several variants for each; empty where there is one group."""
    variants: Mapping[str, DepthMetrics] = metrics.metrics if isinstance(metrics, Variants) else {"": metrics}
    rows = {
        f"{group} {variant}".strip(): part
        for variant, whole in variants.items()
        for group, part in by_group(whole, groups).items()
    }
    width = max(map(len, rows), default=0)
    return "\n".join(f" {name:{width}} {_row(part)}" for name, part in rows.items())


def groups_to_json(metrics: DepthMetrics | Variants, groups: Sequence[str]) -> dict[str, Any]:
    """Means and number of images of each group, of several variants by their names, as types that `json` writes.

    {} where there are not several groups.
    """
    if isinstance(metrics, Variants):
        found = {name: groups_to_json(one, groups) for name, one in metrics.metrics.items()}
        return found if any(found.values()) else {}
    return {
        name: {
            "images": len(part.per_image),
            "mean": dict(zip(part.names, part.mean.tolist(), strict=True)) if _counts(part) else {},
            "valid_pixels": part.pixels,
        }
        for name, part in by_group(metrics, groups).items()
    }


def _row(part: DepthMetrics) -> str:
    images = f" {len(part.per_image)} images,{part.counted()}"
    return latex(part.mean) + images if _counts(part) else f"no truth in {len(part.per_image)} images"


def _counts(part: DepthMetrics) -> bool:
    """Whether any image counts in the means."""
    return part.protocol.rule.empty != "skip" or bool(part.valid_pixels.any())
