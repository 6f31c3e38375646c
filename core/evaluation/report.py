"""What a training run achieved: a table beside three yardsticks, and one picture of several test frames.

The yardsticks know the training ground truth and look at no image. What a network is better by, it sees.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.datasets.ground_truth import SparseDepth
from core.errors import UserError
from core.evaluation.comparison import Scaling, floored, floored_depth, median, resized_truth, select
from core.evaluation.depth import DepthMetrics, evaluate_depth
from core.evaluation.metrics import METRIC_NAMES
from core.evaluation.resizing import resize
from core.files.colour import colour_map
from core.options.protocols import Protocol

MARGIN = 6
ERROR_LIMIT = 0.5  # relative error that is painted lightest


def yardsticks(
    training: Iterable[SparseDepth], test: Sequence[SparseDepth], protocol: Protocol, scaling: Scaling
) -> dict[str, DepthMetrics]:
    """The best that can be said of a test image without looking at it.

    Args:
        training: ground truth of the training images, all of one size.
        test: ground truth of the test images.
        protocol: chooses the pixels of both.
        scaling: of the guesses, as of predictions.

    Returns:
        Metrics by name: one depth for all pixels, one depth for each image row, each the one with the least abs_rel
        on the training images (under median scaling any constant is as good), and the median depth of each pixel.
    """
    chosen = [_chosen(depth, protocol) for depth in training]
    if len({values.shape for values in chosen}) > 1:
        raise UserError("the training maps differ in size: the yardsticks need images of one size")
    maps = np.stack(chosen)
    if not np.isfinite(maps).any():
        raise UserError(
            f"no training pixel with depth inside crop {protocol.subject.crop.name}: export maps that have some"
        )
    height, width = maps.shape[1:]
    constant = _best_depth(maps[np.isfinite(maps)])
    rows = np.full((height, width), constant)
    for y in range(height):
        known = maps[:, y][np.isfinite(maps[:, y])]
        if known.size:
            rows[y] = _best_depth(known)
    pixels = rows.copy()
    known = np.isfinite(maps).any(axis=0)
    pixels[known] = np.nanmedian(maps[:, known], axis=0)
    guesses = {
        "best constant depth": np.full((height, width), constant),
        "best depth per image row": rows,
        "median depth per pixel": pixels,
    }
    return {
        name: evaluate_depth([1 / guess.astype(np.float32)] * len(test), test, protocol, scaling)
        for name, guess in guesses.items()
    }


def _chosen(depth: SparseDepth, protocol: Protocol) -> np.ndarray:
    """(H, W) with NaN wherever the protocol compares nothing."""
    truth = resized_truth(depth, protocol.rule, depth.shape)
    values = np.full(truth.shape, np.nan, np.float32)
    chosen = select(truth, protocol)
    values.ravel()[truth.index[chosen]] = truth.values[chosen]
    return values


def _best_depth(values: np.ndarray) -> float:
    """The p that minimises the mean of |g - p| / g over depths g: their median, weighted by 1 / g."""
    values = np.sort(values.astype(np.float64))
    weights = np.cumsum(1 / values)
    return float(values[np.searchsorted(weights, weights[-1] / 2)])


def table(results: dict[str, np.ndarray]) -> str:
    """Markdown table of mean metrics (7,) by name."""
    width = max(map(len, results))
    lines = [
        f"| {'':{width}} | " + " | ".join(f"{name:>8}" for name in METRIC_NAMES) + " |",
        f"|{'-' * (width + 2)}|" + "|".join("-" * 9 + ":" for _ in METRIC_NAMES) + "|",
    ]
    lines += [
        f"| {name:{width}} | " + " | ".join(f"{value:8.3f}" for value in values) + " |"
        for name, values in results.items()
    ]
    return "\n".join(lines)


def picture(
    images: Sequence[Image.Image],
    disparities: Sequence[np.ndarray],
    truths: Sequence[SparseDepth],
    protocol: Protocol,
    scaling: Scaling,
) -> Image.Image:
    """A row per frame: image, predicted depth, true depth, relative error.

    Depth is painted as its inverse, light = near, with the same colours for prediction and truth; the error from
    0 (dark) to 50 % (light). Black in the last two: unknown.

    Args:
        images: RGB, at the size of the ground truth.
        disparities: predictions (h, w) of 1 / depth.
        truths: ground truth.
        protocol, scaling: how predictions are resized and scaled; all is shown at the size of the truth.
    """
    rows = [_row(*frame, protocol, scaling) for frame in zip(images, disparities, truths, strict=True)]
    height, width = rows[0][0].shape[:2]
    size = max(12, height // 8)
    font = ImageFont.load_default(size)
    header = int(size * 1.6)
    canvas = Image.new(
        "RGB", (4 * (width + MARGIN) - MARGIN, header + len(rows) * (height + MARGIN) - MARGIN), "white"
    )
    draw = ImageDraw.Draw(canvas)
    titles = ("image", "predicted depth", "true depth", f"relative error, 0 to {ERROR_LIMIT:.0%}")
    for column, title in enumerate(titles):
        draw.text((column * (width + MARGIN) + 4, header // 8), title, fill="black", font=font)
        for number, row in enumerate(rows):
            position = (column * (width + MARGIN), header + number * (height + MARGIN))
            canvas.paste(Image.fromarray(row[column]), position)
    return canvas


def _row(
    image: Image.Image, disparity: np.ndarray, truth: SparseDepth, protocol: Protocol, scaling: Scaling
) -> tuple[np.ndarray, ...]:
    """Four uint8 (H, W, 3) tiles."""
    depth_truth = truth.dense()
    known = depth_truth > 0
    rule = protocol.rule
    interpolation = "nearest_centres" if rule.resize == "truth" else rule.interpolation
    if rule.quantity == "disparity":
        depth = scaling.factor / resize(floored(disparity, rule), *truth.shape, interpolation)
    else:
        depth = scaling.factor * resize(floored_depth(disparity, rule), *truth.shape, interpolation)
    if scaling.kind == "median":
        chosen = truth.index[select(truth, protocol)]
        depth = depth * (median(depth_truth.ravel()[chosen], rule) / median(depth.ravel()[chosen], rule))
    depth = np.clip(depth, rule.clamp, protocol.subject.cap)
    inverse = np.where(known, 1 / np.where(known, depth_truth, 1), np.nan)
    limits = (0.0, float(np.nanpercentile(inverse, 95)))
    error = np.where(known, np.abs(depth - depth_truth) / np.where(known, depth_truth, 1), np.nan)
    rgb = np.asarray(image.resize((truth.shape[1], truth.shape[0]), Image.Resampling.LANCZOS))
    return (
        rgb,
        colour_map(1 / depth, limits=limits),
        colour_map(inverse, limits=limits),
        colour_map(error, limits=(0.0, ERROR_LIMIT)),
    )


def spread(count: int, wanted: int) -> list[int]:
    """`wanted` numbers spread evenly over 0 … count - 1."""
    return [round((i + 0.5) * count / wanted - 0.5) for i in range(min(wanted, count))]


def load_frames(paths: Sequence[Path]) -> list[Image.Image]:
    """The images of the picture."""
    from core.files.images import load_image

    return [load_image(path) for path in paths]
