"""What moves by itself and what does not, measured apart: depth learned from video errs most where things move."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.evaluation.comparison import Pixels, scaled_metrics
from core.options.protocols import Protocol

REGIONS = ("dynamic", "static")  # what moves by itself, and all the rest


@dataclass(frozen=True)
class RegionMetrics:
    """The metrics of some pixels of each image, whose depth was scaled by the medians of all.

    Attributes:
        per_image: (N, M); NaN where an image has no such pixel.
        valid_pixels: (N,) number of pixels compared.
    """

    per_image: np.ndarray
    valid_pixels: np.ndarray

    @property
    def images(self) -> int:
        """How many have such pixels."""
        return int(np.sum(self.valid_pixels > 0))

    @property
    def mean(self) -> np.ndarray:
        """(M,) means over the images that have such pixels, unweighted; NaN of none."""
        if self.images == 0:
            return np.full(self.per_image.shape[1], math.nan)
        return np.asarray(self.per_image[self.valid_pixels > 0].mean(axis=0))

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Everything, as types that `json` writes; null where there is no such pixel.

        Args:
            names: of the metrics.
        """
        return {
            "images": self.images,
            "mean": dict(zip(names, without_nan(self.mean.tolist(), None), strict=True)),
            "per_image": [without_nan(row, None) for row in self.per_image.tolist()],
            "valid_pixels": self.valid_pixels.tolist(),
        }


def region_metrics(
    compared: Pixels, moving: np.ndarray | None, protocol: Protocol, ratio: float
) -> list[tuple[np.ndarray, int]]:
    """The metrics (M,), NaN of nothing, and the number of pixels of every one of `REGIONS`."""
    if moving is None:
        return []
    assert compared.index is not None and protocol.rule.resize == "prediction"
    dynamic, found = moving.ravel()[compared.index], []
    for chosen in (dynamic, ~dynamic):
        part = Pixels(compared.depth[chosen], compared.truth[chosen])
        count = part.truth.size
        values = (
            scaled_metrics(part, protocol, ratio) if count else np.full(len(protocol.rule.metrics), math.nan)
        )
        found.append((values, count))
    return found


def without_nan(values: Sequence[float], instead: Any) -> list[Any]:
    """The values, with something else for what is not a number."""
    return [instead if math.isnan(value) else value for value in values]
