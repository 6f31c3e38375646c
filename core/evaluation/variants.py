"""Several variants of a prediction in one table of one protocol: averaged with the mirror image or not, scaled or not;
of the image alone, or with depth beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.evaluation.comparison import Scaling
from core.evaluation.depth import DepthMetrics, describe, evaluate_depth, latex, scales_to_json
from core.files.arrays import write_json
from core.options.protocols import Protocol
from core.plausibility.evaluation import GroundTruth

PLAIN = "depth"  # the prediction as it is; the names of the others begin with it
BLENDED, SCALED = "_pp", "_gt"
PREDICTION, COMPLETION = "prediction", "completion"
LEGEND = {BLENDED: "averaged with the mirrored image", SCALED: "median scaling"}

Predictions = Sequence[np.ndarray] | np.ndarray


@dataclass(frozen=True)
class Variants:
    """The metrics of every variant, all by one protocol and of the same images.

    Attributes:
        metrics: by name, such as depth, depth_pp, depth_gt, depth_pp_gt; without those of `_pp` where no network ran.
        words: what the names mean, and how predictions were scaled.
    """

    metrics: Mapping[str, DepthMetrics]
    words: str

    @property
    def protocol(self) -> Protocol:
        """By which all are measured."""
        return self._first.protocol

    @property
    def _first(self) -> DepthMetrics:
        return next(iter(self.metrics.values()))

    @property
    def names(self) -> tuple[str, ...]:
        """What is measured, in the order of the columns."""
        return self.protocol.rule.metrics

    def describe(self) -> str:
        """One line for the report, as that of a single variant, which says what the ends of the names mean."""
        count, empty = len(self._first.per_image), int(np.sum(self._first.valid_pixels == 0))
        return describe(self.protocol, self.words, count, empty)

    def printed(self) -> str:
        """A row for every variant, ready for LaTeX, below the names of the metrics."""
        width = max(map(len, self.metrics))
        head = " " * (width + 3) + "".join(f"{name:>8} | " for name in self.names)
        return "\n".join(
            [head, *(f" {name:{width}} {latex(one.mean)}" for name, one in self.metrics.items())]
        )

    def to_json(self, sequences: Sequence[str] | None = None) -> dict[str, Any]:
        """What all share, and the numbers of each, as types that `json` writes.

        Args:
            sequences: the video that each image is of, where that is known.
        """
        shared = ("protocol", "images", "names")
        found, variants = {name: one.to_json() for name, one in self.metrics.items()}, {}
        for name, content in found.items():
            kept = {key: value for key, value in content.items() if key not in (*shared, "description")}
            variants[name] = kept | {"scale_by_sequence": scales_to_json(self.metrics[name], sequences)}
        first = next(iter(found.values()))
        return {key: first[key] for key in shared} | {
            "description": self.describe(),
            "variants": variants,
        }


def evaluate_variants(
    predictions: Mapping[str, Predictions],
    truths: Sequence[GroundTruth | np.ndarray],
    protocol: Protocol,
    unscaled: Scaling,
    scaled: Scaling,
    moving: Sequence[np.ndarray] | None = None,
) -> Variants:
    """Measures every prediction with and without scaling by medians; see `core.evaluation.depth.evaluate_depth`.

    Args:
        predictions: maps of 1 / depth of every image: "", as they are, and `BLENDED`, averaged with those of the
            mirrored image, where there are any.
        unscaled, scaled: how predictions get into metres without medians, and with.

    Raises:
        UserError: as `evaluate_depth`.
    """
    metrics = {
        f"{PLAIN}{blended}{ending}": evaluate_depth(disparities, truths, protocol, scaling, moving)
        for ending, scaling in (("", unscaled), (SCALED, scaled))
        for blended, disparities in predictions.items()
    }
    used = [f"{end}: {words}" for end, words in LEGEND.items() if any(end in name for name in metrics)]
    return Variants(metrics, f"{', '.join(used)}, else {unscaled.describe()}")


def completion_name(share: float) -> str:
    """The row of a prediction with a share of the points of depth beside the image."""
    return COMPLETION if share == 1 else f"{COMPLETION}_{share:g}"


def evaluate_completion(
    predictions: Mapping[str, Predictions],
    truths: Sequence[GroundTruth | np.ndarray],
    protocol: Protocol,
    scaling: Scaling,
    depth: str,
    moving: Sequence[np.ndarray] | None = None,
) -> Variants:
    """Measures predictions of the image alone, and with depth beside it; see `core.evaluation.depth.evaluate_depth`.

    Args:
        predictions: maps of 1 / depth of every image by the name of their row: `PREDICTION`, `completion_name`.
        depth: which depth that is, for the report.

    Raises:
        UserError: as `evaluate_depth`.
    """
    metrics = {
        name: evaluate_depth(disparities, truths, protocol, scaling, moving)
        for name, disparities in predictions.items()
    }
    parts = [name for name in metrics if name not in (PREDICTION, COMPLETION)]
    shares = f", {', '.join(parts)}: a share of its points" if parts else ""
    words = f"{PREDICTION}: from the image alone, {COMPLETION}: also from depth ({depth}){shares}"
    return Variants(metrics, f"{words}, {scaling.describe()}")


def save_variants(
    path: Path,
    variants: Variants,
    lines: Sequence[str],
    sequences: Sequence[str] | None = None,
    groups: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Writes protocol and, of every variant, means and every image's numbers as JSON, atomically.

    Args:
        lines: the split's line of each image.
        sequences: the video that each image is of, where that is known.
        groups: of each variant, see `core.evaluation.groups.groups_to_json`; left out where there are none.
        origin: see `core.evaluation.depth.save_json`.
    """
    found = {name: value for name, value in (("groups", groups), ("origin", origin)) if value}
    write_json(path, variants.to_json(sequences) | {"lines": list(lines)} | found)
