"""Depth metrics of disparities against ground truth, and the protocol that makes them comparable."""

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from core.disparity import STEREO_SCALE_FACTOR, resize_map
from core.errors import UserError
from core.evaluation.disparity_files import checked_disparity
from core.evaluation.metrics import MAKE3D_METRIC_NAMES, METRIC_NAMES, depth_metrics
from core.files.whole import write_text
from core.options import MAKE3D, EvaluationOptions

Scaling = Literal["median", "none"]

# First row, end of rows, first column, end of columns, as shares of the image size.
CROPS = {
    "garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),  # Garg et al. 2016
    "eigen": (0.3324324, 0.91351351, 0.0359477, 0.96405229),  # Eigen et al. 2014
    "2:1": (0.0, 1.0, 0.0, 1.0),  # Make3D: `core.datasets.layouts.make3d` has cut images and ground truth
}
MAX_DEPTH, MAKE3D_MAX_DEPTH = 80.0, 70.0  # metres; Make3D's is that of its error C1


class GroundTruth(Protocol):
    """Depth of one image, stored sparsely: `core.datasets.ground_truth` makes it."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""

    @property
    def index(self) -> np.ndarray:
        """(M,) row-major numbers of the pixels with depth."""

    @property
    def values(self) -> np.ndarray:
        """(M,) their depths, metres."""


@dataclass(frozen=True)
class DepthProtocol:
    """What is compared and how: the only place that knows a crop constant.

    Attributes:
        split: name of the split, for the report.
        crop: "garg", "eigen", "2:1" (Make3D) or "none".
        min_depth, max_depth: predictions are clamped to them, metres.
        limit_ground_truth: leave out ground truth that is not strictly between them.
        scaling: "median": multiply every prediction by median(truth) / median(prediction); "none".
        scale_factor: multiplies the predicted depth before that (5.4 for models trained with stereo).
    """

    split: str
    crop: str = "none"
    min_depth: float = 1e-3
    max_depth: float = MAX_DEPTH
    limit_ground_truth: bool = False
    scaling: Scaling = "median"
    scale_factor: float = 1.0

    @classmethod
    def eigen(cls, scaling: Scaling = "median", scale_factor: float = 1.0) -> "DepthProtocol":
        """Eigen test, velodyne depth: Garg crop, ground truth up to 80 m."""
        return cls("eigen", "garg", limit_ground_truth=True, scaling=scaling, scale_factor=scale_factor)

    @classmethod
    def eigen_benchmark(cls, scaling: Scaling = "median", scale_factor: float = 1.0) -> "DepthProtocol":
        """Eigen test with annotated depth: whole image, ground truth without a limit."""
        return cls("eigen_benchmark", scaling=scaling, scale_factor=scale_factor)

    @classmethod
    def from_options(
        cls, options: EvaluationOptions, stereo_factor: float = STEREO_SCALE_FACTOR
    ) -> "DepthProtocol":
        """The protocol that the options of `evaluate_depth.py` ask for.

        Args:
            stereo_factor: metres in a unit of depth of a model trained with stereo.
        """
        crop = options.crop
        if crop == "auto":
            crop = "garg" if options.split_name == "eigen" else "2:1" if options.of_make3d else "none"
        cap = MAKE3D_MAX_DEPTH if options.of_make3d else MAX_DEPTH
        unscaled = options.eval_stereo or options.disable_median_scaling
        return cls(
            MAKE3D if options.of_make3d else options.eval_split,
            crop,
            max_depth=cap if options.depth_cap is None else options.depth_cap,
            limit_ground_truth=crop != "none",
            scaling="none" if unscaled else "median",
            scale_factor=options.pred_depth_scale_factor * (stereo_factor if options.eval_stereo else 1.0),
        )

    @property
    def metric_names(self) -> tuple[str, ...]:
        """What is measured, in the order of the columns."""
        return MAKE3D_METRIC_NAMES if self.split == MAKE3D else METRIC_NAMES

    def describe(self, images: int | None = None) -> str:
        """One line for the report: split, crop, cap, scaling and number of images."""
        cap = f"cap {self.max_depth:g} m" + ("" if self.limit_ground_truth else " (predictions only)")
        scaling = "median scaling" if self.scaling == "median" else "no median scaling"
        factor = f", depth x {self.scale_factor:g}" if self.scale_factor != 1 else ""
        line = f"split {self.split} | crop {self.crop} | {cap} | {scaling}{factor}"
        return line if images is None else f"{line} | {images} images"

    def crop_bounds(self, height: int, width: int) -> tuple[int, int, int, int]:
        """First row, end of rows, first column, end of columns; products are truncated."""
        if self.crop == "none":
            return 0, height, 0, width
        top, bottom, left, right = CROPS[self.crop]
        return int(top * height), int(bottom * height), int(left * width), int(right * width)

    def select(self, truth: GroundTruth) -> np.ndarray:
        """(M,) bool: which pixels of a sparse ground truth are compared."""
        height, width = truth.shape
        values = truth.values
        if self.limit_ground_truth:
            chosen = (values > self.min_depth) & (values < self.max_depth)
        else:
            chosen = values > 0
        top, bottom, left, right = self.crop_bounds(height, width)
        row, column = np.divmod(truth.index, width)
        return chosen & (row >= top) & (row < bottom) & (column >= left) & (column < right)


@dataclass(frozen=True)
class DepthMetrics:
    """Result of `evaluate_depth`.

    Attributes:
        protocol: how it was measured.
        per_image: (N, M) in the order of `protocol.metric_names`.
        valid_pixels: (N,) number of pixels compared.
        scale_ratios: (N,) median(truth) / median(prediction), or None without median scaling.
    """

    protocol: DepthProtocol
    per_image: np.ndarray
    valid_pixels: np.ndarray
    scale_ratios: np.ndarray | None

    @property
    def mean(self) -> np.ndarray:
        """(M,) means over the images, unweighted."""
        return np.asarray(self.per_image.mean(axis=0))

    def scale_summary(self) -> tuple[float, float] | None:
        """Median of the scale ratios, and the standard deviation of ratio / median."""
        if self.scale_ratios is None:
            return None
        median = float(np.median(self.scale_ratios))
        return median, float(np.std(self.scale_ratios / median))

    def printed(self) -> str:
        """The lines that Monodepth2 users know: scale ratios, names, a row ready for LaTeX."""
        lines = []
        summary = self.scale_summary()
        if summary is not None:
            lines.append(f" Scaling ratios | med: {summary[0]:0.3f} | std: {summary[1]:0.3f}")
        lines.append("  " + "".join(f"{name:>8} | " for name in self.protocol.metric_names))
        lines.append("".join(f"&{value:8.3f}  " for value in self.mean) + "\\\\")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything, as types that `json` writes."""
        summary = self.scale_summary()
        ratios = {} if summary is None else {"median": summary[0], "relative_deviation": summary[1]}
        return {
            "protocol": dataclasses.asdict(self.protocol),
            "description": self.protocol.describe(len(self.per_image)),
            "images": len(self.per_image),
            "mean": dict(zip(self.protocol.metric_names, self.mean.tolist(), strict=True)),
            "scale_ratio": ratios,
            "names": list(self.protocol.metric_names),
            "per_image": self.per_image.tolist(),
            "valid_pixels": self.valid_pixels.tolist(),
            "scale_ratios": None if self.scale_ratios is None else self.scale_ratios.tolist(),
        }


def evaluate_depth(
    disparities: Sequence[np.ndarray] | np.ndarray,
    ground_truth: Sequence[GroundTruth],
    protocol: DepthProtocol,
) -> DepthMetrics:
    """Compares predictions with ground truth, image by image.

    Every disparity map is resized (bilinear, half-pixel centres) to the size of its ground truth and only
    then inverted, as the published numbers were made.

    Args:
        disparities: N maps (h, w) of 1 / depth, any size.
        ground_truth: N sparse depth maps.

    Raises:
        UserError: the numbers of images differ, a prediction is not a map of positive numbers, or an image
            has no ground truth inside the crop.
    """
    if len(disparities) != len(ground_truth):
        raise UserError(
            f"{len(disparities)} predictions but {len(ground_truth)} ground truths: "
            "both must come from the same split list"
        )
    if len(ground_truth) == 0:
        raise UserError("no image to evaluate: the ground truth is empty")
    pairs: Iterable[tuple[np.ndarray, GroundTruth]] = zip(disparities, ground_truth, strict=True)
    rows = [_evaluate_image(number, *pair, protocol) for number, pair in enumerate(pairs)]
    metrics, pixels, ratios = zip(*rows, strict=True)
    return DepthMetrics(
        protocol,
        np.stack(metrics),
        np.array(pixels),
        np.array(ratios) if protocol.scaling == "median" else None,
    )


def _evaluate_image(
    number: int, disparity: np.ndarray, truth: GroundTruth, protocol: DepthProtocol
) -> tuple[np.ndarray, int, float]:
    """The metrics (M,) of one image, the number of its pixels, its scale ratio (1 without median scaling)."""
    disparity = checked_disparity(number, disparity)
    chosen = protocol.select(truth)
    if not chosen.any():
        raise UserError(
            f"image {number} (counted from 0): no ground truth inside crop {protocol.crop} and depth range; "
            "check the ground truth, the crop and the depth cap"
        )
    resized = resize_map(disparity, *truth.shape).ravel()[truth.index[chosen]]
    depth = protocol.scale_factor / resized.astype(np.float64)
    values = truth.values[chosen].astype(np.float64)
    ratio = float(np.median(values) / np.median(depth)) if protocol.scaling == "median" else 1.0
    depth = np.clip(depth * ratio, protocol.min_depth, protocol.max_depth)
    return depth_metrics(values, depth, protocol.metric_names), values.size, ratio


def save_json(path: Path, metrics: DepthMetrics, lines: Sequence[str]) -> None:
    """Writes protocol, means and every image's numbers as JSON, atomically.

    Args:
        lines: the split's line of each image.
    """
    write_text(path, json.dumps(metrics.to_json() | {"lines": list(lines)}, indent=1))


def save_csv(path: Path, metrics: DepthMetrics, lines: Sequence[str]) -> None:
    """Writes one row per image, atomically: its number from 0, line, metrics, scale ratio, pixels compared.

    Args:
        lines: the split's line of each image.
    """
    ratios = [""] * len(lines) if metrics.scale_ratios is None else metrics.scale_ratios.tolist()
    columns = zip(lines, metrics.per_image.tolist(), ratios, metrics.valid_pixels.tolist(), strict=True)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["index", "line", *metrics.protocol.metric_names, "scale_ratio", "valid_pixels"])
    table.writerows(
        [n, line, *values, ratio, pixels] for n, (line, values, ratio, pixels) in enumerate(columns)
    )
    write_text(path, text.getvalue())
