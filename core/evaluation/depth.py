"""Depth metrics of disparities against ground truth, by a protocol that makes them comparable."""

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.evaluation.comparison import Known, Pixels, Scaling, measure, pixels
from core.evaluation.disparity_files import checked_disparity
from core.evaluation.metrics import IN_LOG, PIXELS_IN_LOG
from core.evaluation.regions import REGIONS, RegionMetrics, region_metrics, without_nan
from core.files.arrays import require_finite, write_json
from core.files.whole import write_text
from core.options.protocols import PROTOCOLS, Protocol
from core.plausibility.evaluation import GroundTruth, rank_correlation
from core.plausibility.truth import few_pixels

MEDIAN = Scaling()


def describe(protocol: Protocol, scaling: Scaling | str, images: int | None = None, empty: int = 0) -> str:
    """One line for the report: what was changed of the protocol, split, crop, cap, scaling and number of images.

    Args:
        scaling: or words for several.
        empty: images without truth.
    """
    subject, rule = protocol.subject, protocol.rule
    split = subject.list or "none"
    # A list of one's own is no published preset: its crop and cap, which follow, say all.
    plain = protocol.title == split or protocol.name not in PROTOCOLS
    head = f"split {split}" if plain else f"protocol {protocol.title} | split {split}"
    cap = f"cap {subject.cap:g} m" + ("" if rule.limit_truth else " (predictions only)")
    words = scaling if isinstance(scaling, str) else scaling.describe()
    line = f"{head} | crop {subject.crop.name} | {cap} | {words}"
    if images is None:
        return line
    what = "skipped" if rule.empty == "skip" else "counted as zeros"
    return f"{line} | {images} images" + (f", {empty} without truth {what}" if empty else "")


@dataclass(frozen=True)
class DepthMetrics:
    """Result of `evaluate_depth`.

    Attributes:
        protocol, scaling: how it was measured.
        per_image: (N, M) in the order of `names`; NaN where an image was skipped.
        valid_pixels: (N,) number of pixels compared.
        scale_ratios: (N,) median(truth) / median(prediction), NaN where there is no truth, or None without median
            scaling.
        regions: by their names in `REGIONS`, where it is known what moves.
        rank_correlations: (N,) of predicted and true depth, NaN where nothing is compared; None where nobody looked.
    """

    protocol: Protocol
    scaling: Scaling
    per_image: np.ndarray
    valid_pixels: np.ndarray
    scale_ratios: np.ndarray | None
    regions: dict[str, RegionMetrics] = field(default_factory=dict)
    rank_correlations: np.ndarray | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What is measured, in the order of the columns."""
        return self.protocol.rule.metrics

    @property
    def mean(self) -> np.ndarray:
        """(M,) means over the images that count, unweighted."""
        counted = self.per_image
        if self.protocol.rule.empty == "skip":
            counted = counted[self.valid_pixels > 0]
        return np.asarray(counted.mean(axis=0))

    def mean_of(self, names: Sequence[str]) -> np.ndarray:
        """(len(names),) means of some of the metrics, in this order."""
        return self.mean[[self.names.index(name) for name in names]]

    def scale_summary(self) -> tuple[float, float] | None:
        """Median of the scale ratios, and the standard deviation of ratio / median."""
        if self.scale_ratios is None:
            return None
        return _scale_summary(self.scale_ratios[self.valid_pixels > 0])

    def scale_by_sequence(self, sequences: Sequence[str]) -> dict[str, tuple[int, float, float]]:
        """How consistent the scale is within each video: images with truth, and `scale_summary` of these.

        Args:
            sequences: the video of each image.

        Returns:
            By sequence, in the order in which they come; {} without median scaling.
        """
        if self.scale_ratios is None:
            return {}
        found = {}
        for sequence in dict.fromkeys(sequences):
            chosen = np.array([other == sequence for other in sequences]) & (self.valid_pixels > 0)
            if chosen.any():
                found[sequence] = (int(chosen.sum()), *_scale_summary(self.scale_ratios[chosen]))
        return found

    def describe(self) -> str:
        """One line for the report; see `describe`."""
        return describe(self.protocol, self.scaling, len(self.per_image), int(np.sum(self.valid_pixels == 0)))

    def printed(self) -> str:
        """The lines that users of the published programs know: scale ratios, names, a row ready for LaTeX."""
        lines = []
        summary = self.scale_summary()
        if summary is not None:
            lines.append(f" Scaling ratios | med: {summary[0]:0.3f} | std: {summary[1]:0.3f}")
        lines.append("  " + "".join(f"{name:>8} | " for name in self.names))
        lines.append(latex(self.mean))
        for name, region in self.regions.items():
            lines.append(f" {name} pixels of {region.images} images,{counted(region.valid_pixels)}")
            lines += [latex(region.mean)] if region.images else []
        return "\n".join(lines)

    @property
    def pixels(self) -> float:
        """How many pixels were compared, of an image that has any, on average."""
        known = self.valid_pixels[self.valid_pixels > 0]
        return float(known.mean()) if known.size else 0.0

    def counted(self) -> str:
        """A line for the report: how many pixels of an image were compared, and a warning where they are few."""
        return counted(self.valid_pixels)

    def to_json(self) -> dict[str, Any]:
        """Everything, as types that `json` writes; null where an image was skipped."""
        summary = self.scale_summary()
        ratios = {} if summary is None else {"median": summary[0], "relative_deviation": summary[1]}
        return {
            "protocol": dataclasses.asdict(self.protocol),
            "scaling": dataclasses.asdict(self.scaling),
            "description": self.describe(),
            "images": len(self.per_image),
            "mean": dict(zip(self.names, self.mean.tolist(), strict=True)),
            "scale_ratio": ratios,
            "names": list(self.names),
            "per_image": [without_nan(row, None) for row in self.per_image.tolist()],
            "valid_pixels": self.valid_pixels.tolist(),
            "scale_ratios": None
            if self.scale_ratios is None
            else without_nan(self.scale_ratios.tolist(), None),
        } | (
            {"regions": {name: region.to_json(self.names) for name, region in self.regions.items()}}
            if self.regions
            else {}
        )


def counted(valid_pixels: np.ndarray) -> str:
    """Words for a table: how many pixels of an image were compared, and a warning where they are few.

    Args:
        valid_pixels: (N,) of each image.
    """
    known = valid_pixels[valid_pixels > 0]
    if not known.size:
        return " pixels compared: none"
    line = f" pixels compared: {known.mean():.0f} an image ({known.min()} to {known.max()})"
    return f"{line}; {few}" if (few := few_pixels(known)) else line


def printed_scales(scales: dict[str, tuple[int, float, float]]) -> str:
    """A line for every sequence of `scale_by_sequence`."""
    return "\n".join(
        f" Scaling ratios | med: {median:0.3f} | std: {deviation:0.3f} | {count} images of {sequence}"
        for sequence, (count, median, deviation) in scales.items()
    )


def _scale_summary(ratios: np.ndarray) -> tuple[float, float]:
    median = float(np.median(ratios))
    return median, float(np.std(ratios / median))


def latex(values: np.ndarray) -> str:
    """A row of a table."""
    return "".join(f"&{value:8.3f}  " for value in values) + "\\\\"


def evaluate_depth(
    predictions: Sequence[np.ndarray] | np.ndarray,
    truths: Sequence[GroundTruth | np.ndarray],
    protocol: Protocol,
    scaling: Scaling = MEDIAN,
    moving: Sequence[np.ndarray] | None = None,
) -> DepthMetrics:
    """Compares predictions with ground truth, image by image.

    Args:
        predictions: N maps (h, w) of 1 / depth, any size.
        truths: N depth maps, metres: sparse, or (h, w) with 0 where unknown.
        moving: N maps (h, w) bool of the truth's size, what moves by itself; then that and the rest are measured on
            their own as well. Not for a protocol that resizes the truth.

    Raises:
        UserError: the numbers of images differ, a prediction is not a map of positive numbers, an image has no
            truth that the protocol compares, and it takes that for an error, or a map of what moves is of another size.
    """
    if len(predictions) != len(truths):
        raise UserError(
            f"{len(predictions)} predictions but {len(truths)} ground truths: both must come from the same split list"
        )
    if len(truths) == 0:
        raise UserError("no image to evaluate: the ground truth is empty")
    masks = [None] * len(truths) if moving is None else moving
    checked = partial(checked_disparity, may_be_zero=protocol.rule.floor > 0)
    rows = [
        _evaluate_image(number, checked(number, prediction), truth, protocol, scaling, mask)
        for number, (prediction, truth, mask) in enumerate(zip(predictions, truths, masks, strict=True))
    ]
    metrics, counts, ratios, parts, correlations = zip(*rows, strict=True)
    if protocol.rule.empty != "error" and not any(counts):
        raise UserError(f"no image has ground truth inside crop {protocol.subject.crop.name} and depth range")
    regions = {}
    if moving is not None:
        for number, name in enumerate(REGIONS):
            values, known = zip(*(image[number] for image in parts), strict=True)
            regions[name] = RegionMetrics(np.array(values), np.array(known))
    scales = np.array(ratios) if scaling.kind == "median" else None
    found = np.array(metrics), np.array(counts), scales, regions
    return DepthMetrics(protocol, scaling, *found, rank_correlations=np.array(correlations))


def _evaluate_image(
    number: int,
    prediction: np.ndarray,
    truth: GroundTruth | np.ndarray,
    protocol: Protocol,
    scaling: Scaling,
    moving: np.ndarray | None,
) -> tuple[np.ndarray, int, float, list[tuple[np.ndarray, int]], float]:
    """The metrics (M,) of one image, its pixels, its scale ratio, metrics and pixels of its regions, its "
    "correlation."""
    truth = Known.of(truth) if isinstance(truth, np.ndarray) else truth
    if moving is not None and moving.shape != truth.shape:
        sizes = [f"{height}x{width}" for height, width in (moving.shape, truth.shape)]
        raise UserError(
            f"image {number} (counted from 0): the mask of what moves is {sizes[0]} (height x width), the truth "
            f"{sizes[1]}; make the masks at the size of the truth"
        )
    compared = pixels(prediction, truth, protocol, scaling.factor)
    if compared.truth.size:
        metrics, ratio = measure(compared, protocol, scaling)
        regions = region_metrics(compared, moving, protocol, ratio)
        return metrics, compared.truth.size, ratio, regions, rank_correlation(compared.depth, compared.truth)
    if protocol.rule.empty == "error":
        raise UserError(
            f"image {number} (counted from 0): no ground truth inside crop {protocol.subject.crop.name} and depth "
            "range; check the ground truth, the crop and the depth cap"
        )
    value = 0.0 if protocol.rule.empty == "zeros" else math.nan
    nothing = np.full(len(protocol.rule.metrics), math.nan), 0
    return np.full(len(protocol.rule.metrics), value), 0, math.nan, [nothing] * len(REGIONS), math.nan


def training_metrics(
    disparities: Sequence[np.ndarray] | np.ndarray,
    truths: Sequence[np.ndarray] | np.ndarray,
    protocol: Protocol,
    scaling: Scaling = MEDIAN,
    mirrored: Sequence[bool] = (),
) -> dict[str, float] | None:
    """Metrics of all pixels of some images together, scaled by one median: of a batch for the log, or of an image.

    Args:
        disparities: maps (h, w) of 1 / depth.
        truths: as many maps (h, w) of depth, metres, 0 where unknown.
        mirrored: whether each prediction is of the mirrored image; of none unless said.

    Returns:
        By their names in the log, and how many pixels of an image were compared; None when nothing is compared, unless
        the protocol counts that as zeros. A run goes on where an evaluation would stop.
    """
    parts = (
        pixels(disparity, Known.of(truth), protocol, scaling.factor, flip)
        for disparity, truth, flip in zip(disparities, truths, mirrored or [False] * len(truths), strict=True)
    )
    compared = Pixels.joined(parts)
    names = [IN_LOG[name] for name in protocol.rule.metrics]
    counted = {PIXELS_IN_LOG: compared.truth.size / len(truths)}
    if compared.truth.size == 0:
        return dict.fromkeys(names, 0.0) | counted if protocol.rule.empty == "zeros" else None
    metrics, _ = measure(compared, protocol, scaling)
    return dict(zip(names, metrics.tolist(), strict=True)) | counted


def save_json(
    path: Path,
    metrics: DepthMetrics,
    lines: Sequence[str],
    sequences: Sequence[str] | None = None,
    groups: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Writes protocol, means and every image's numbers as JSON, atomically.

    Args:
        lines: the split's line of each image.
        sequences: the video that each is of, where that is known: each gets its `scale_by_sequence`.
        groups: see `core.evaluation.groups.groups_to_json`; left out where there are none.
        origin: what the numbers are of, and what was found in it; left out where nobody says.
    """
    more = {"lines": list(lines), "scale_by_sequence": scales_to_json(metrics, sequences)}
    found = {name: value for name, value in (("groups", groups), ("origin", origin)) if value}
    write_json(path, metrics.to_json() | more | found)


def scales_to_json(metrics: DepthMetrics, sequences: Sequence[str] | None) -> dict[str, dict[str, float]]:
    """`DepthMetrics.scale_by_sequence`, as types that `json` writes; {} where no videos are known."""
    return {
        sequence: {"images": count, "median": median, "relative_deviation": deviation}
        for sequence, (count, median, deviation) in metrics.scale_by_sequence(sequences or []).items()
    }


def save_csv(path: Path, metrics: DepthMetrics, lines: Sequence[str]) -> None:
    """Writes one row per image, atomically: its number from 0, line, metrics, scale ratio, pixels compared.

    Args:
        lines: the split's line of each image.
    """
    ratios = [math.nan] * len(lines) if metrics.scale_ratios is None else metrics.scale_ratios.tolist()
    known = np.where(np.isnan(metrics.per_image), 0, metrics.per_image)  # NaN: skipped, an empty cell
    require_finite(known, f"{path}: not written: metrics", "check predictions, truth and factors")
    columns = zip(lines, metrics.per_image.tolist(), ratios, metrics.valid_pixels.tolist(), strict=True)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["index", "line", *metrics.names, "scale_ratio", "valid_pixels"])
    table.writerows(
        [number, line, *without_nan([*values, ratio], ""), count]
        for number, (line, values, ratio, count) in enumerate(columns)
    )
    write_text(path, text.getvalue())
