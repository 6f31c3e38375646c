"""Range along rays and the rays themselves, compared with the truth of a rendered drive."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.cameras.comparison import RayError, alignment, ray_error, ray_spread
from core.cameras.pictures import angle_picture
from core.cameras.templates import Template, angles_between
from core.datasets.depth_files import read_map
from core.disparity import resize_map
from core.errors import UserError
from core.evaluation.metrics import METRIC_NAMES, depth_metrics
from core.files.colour import colour_map
from core.files.listing import matching
from core.weights.npz import read_npz

Array = np.ndarray
LEAST = 1e-3  # metres, of a prediction
SUFFIX = "_depth.npz"
CURE = "write it with predict.py --save depth"
MARGIN = 4
KITTI_DEPTH_STEPS = 256  # of a metre, in a .png
LARGEST_BYTES = 1 << 28


@dataclass(frozen=True)
class Found:
    """What was predicted of an image.

    Attributes:
        distance: (H, W) float64 range, up to a scale.
        rays: (3, H, W) unit; None: depth along the axis of a pinhole whose numbers are not known was taken for range.
        finds_rays: the rays are predicted, and not those of the pinhole that the model was trained with.
    """

    distance: Array
    rays: Array | None
    finds_rays: bool


def read_truths(folder: Path) -> dict[str, Array]:
    """Range maps (H, W) in metres, 0 = unknown, by the name of their image.

    Raises:
        UserError: no such folder, no map in it, or a damaged one.
    """
    files = matching(folder, "*.png")
    if not files:
        raise UserError(f"{folder}: no range maps .png in it; check the path of the drive's folder range")
    return {path.stem: read_map(path) / np.float32(KITTI_DEPTH_STEPS) for path in files}


def read_predictions(folder: Path, truths: dict[str, Array]) -> dict[str, Found]:
    """The predictions of the images that have a truth, at its size.

    Raises:
        UserError: one is missing or damaged.
    """
    found = {}
    for name, truth in truths.items():
        path = folder / (name + SUFFIX)
        if not path.is_file():
            raise UserError(f"{path}: no such prediction; {CURE}")
        found[name] = _prediction(path, read_npz(path, CURE, LARGEST_BYTES), *truth.shape)
    return found


def _prediction(path: Path, arrays: dict[str, Array], height: int, width: int) -> Found:
    depth = arrays.get("depth")
    if depth is None or depth.ndim != 2 or depth.dtype.kind != "f" or not (depth > 0).all():
        raise UserError(f"{path}: has no map `depth` (H, W) above 0; {CURE}")
    rays, K = arrays.get("rays"), arrays.get("intrinsics")
    if rays is not None:
        if rays.shape != (3, *depth.shape) or rays.dtype.kind != "f":
            raise UserError(f"{path}: `rays` are not {3, *depth.shape}; {CURE}")
        return Found(_sized(depth, height, width), unit(_sized_rays(rays, height, width)), True)
    if K is None or K.shape != (3, 3) or K.dtype.kind != "f":
        return Found(_sized(depth, height, width), None, False)
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]].astype(np.float64)
    plane = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)])
    distance = depth * np.linalg.norm(plane, axis=0)
    return Found(_sized(distance, height, width), unit(_sized_rays(unit(plane), height, width)), False)


def unit(vectors: Array) -> Array:
    """Vectors (3, …) of length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=0), np.finfo(np.float32).tiny))


def _sized(values: Array, height: int, width: int) -> Array:
    wide = values.astype(np.float64)
    return wide if values.shape == (height, width) else 1 / resize_map(1 / wide, height, width)


def _sized_rays(rays: Array, height: int, width: int) -> Array:
    return np.stack([resize_map(component.astype(np.float64), height, width) for component in rays])


def compared(truth: Array, valid: Array, cap: float) -> Array:
    """(H, W) bool, which pixels count."""
    return np.asarray(valid & (truth > LEAST) & (truth <= cap))


def range_metrics(found: Sequence[Array], truths: Sequence[Array], valid: Array, cap: float) -> Array:
    """The seven metrics of range maps (H, W), each scaled by medians, means over the images.

    Raises:
        UserError: no pixel of any image counts.
    """
    rows = []
    for distance, truth in zip(found, truths, strict=True):
        counts = compared(truth, valid, cap)
        if counts.any():
            known, guessed = truth[counts].astype(np.float64), distance[counts]
            guessed = np.clip(guessed * np.median(known) / np.median(guessed), LEAST, cap)
            rows.append(depth_metrics(known, guessed))
    if not rows:
        raise UserError("no pixel of any range map counts; check --truth, --rays and --depth_cap")
    return np.asarray(np.mean(rows, axis=0))


def range_yardsticks(training: Sequence[Array]) -> dict[str, Array]:
    """The best that can be said of an image without looking at it: one range, and the median of each pixel."""
    maps = np.where(np.stack(training) > LEAST, np.stack(training), np.nan)
    constant = float(np.nanmedian(maps))
    known = np.isfinite(maps).any(axis=0)
    pixels = np.full(maps.shape[1:], constant)
    pixels[known] = np.nanmedian(maps[:, known], axis=0)
    return {"the same range everywhere": np.full(maps.shape[1:], constant), "median range per pixel": pixels}


def ray_rows(
    found: dict[str, dict[str, Found]], template: Template | None, truth: Template
) -> dict[str, RayError]:
    """How far the mean rays of each row are from the true ones, aligned; a row without rays is left out."""
    rows = {}
    if template is not None:
        rows["template"] = ray_error(template.rays, truth.rays, truth.valid)
    for name, predictions in found.items():
        rays = [one.rays for one in predictions.values() if one.rays is not None]
        if rays:
            rows[name] = ray_error(np.mean(rays, axis=0), truth.rays, truth.valid)
    return rows


def spread_of(predictions: dict[str, Found], valid: Array | None) -> float | None:
    """Degrees by which the rays of single images differ from their mean; None where they are not predicted."""
    rays = [one.rays for one in predictions.values() if one.rays is not None and one.finds_rays]
    return ray_spread(np.stack(rays), valid) if rays else None


def ray_table(rows: dict[str, RayError], spreads: dict[str, float | None]) -> str:
    """Markdown table of degrees."""
    width = max(map(len, rows), default=0)
    titles = ("mean", "median", "95 %", "between images")
    lines = [
        f"| {'rays, degrees off':{width}} | " + " | ".join(titles) + " |",
        f"|{'-' * (width + 2)}|" + "|".join("---:" for _ in titles) + "|",
    ]
    for name, error in rows.items():
        spread = spreads.get(name)
        numbers = [f"{value:.2f}" for value in (error.mean, error.median, error.percentile_95)]
        lines.append(
            f"| {name:{width}} | " + " | ".join([*numbers, "" if spread is None else f"{spread:.2f}"]) + " |"
        )
    return "\n".join(lines)


def range_picture(
    images: Sequence[Array],
    found: Sequence[Found],
    truths: Sequence[Array],
    template: Template | None,
    truth: Template,
) -> Image.Image:
    """A row per image: it, predicted range and true range, light = near; below, angles of rays before and after."""
    rows = []
    for image, one, range_map in zip(images, found, truths, strict=True):
        known = range_map > LEAST
        limits = (0.0, float(np.percentile(1 / range_map[known], 95)) if known.any() else 1.0)
        scale = np.median(range_map[known]) / np.median(one.distance[known]) if known.any() else 1.0
        true = np.divide(1, range_map, where=known, out=np.zeros(range_map.shape))
        rows.append(
            [image, colour_map(1 / (scale * one.distance), limits=limits), colour_map(true, limits=limits)]
        )
    panels = [[Image.fromarray(cell) for cell in row] for row in rows]
    seen = np.ones(truth.rays.shape[1:], bool) if truth.valid is None else truth.valid
    mean = [one.rays for one in found if one.rays is not None]
    compared = [template.rays] if template is not None else []
    compared += [np.mean(mean, axis=0)] if mean else []
    angles = []
    for rays in compared:
        flat = unit(rays.astype(np.float64))
        turned = np.einsum("ij,jhw->ihw", alignment(flat, truth.rays, truth.valid), flat)
        angles.append(angles_between(turned, unit(truth.rays.astype(np.float64))))
    largest = max((float(angle[seen].max()) for angle in angles), default=0.0)
    if angles:
        panels.append([angle_picture(angle, truth.valid, largest) for angle in angles])
    width = max(sum(cell.width + MARGIN for cell in row) for row in panels)
    height = sum(max(cell.height for cell in row) + MARGIN for row in panels)
    canvas, top = Image.new("RGB", (width, height), "white"), 0
    for row in panels:
        left = 0
        for cell in row:
            canvas.paste(cell, (left, top))
            left += cell.width + MARGIN
        top += max(cell.height for cell in row) + MARGIN
    return canvas


def as_json(
    metrics: dict[str, Array], rows: dict[str, RayError], spreads: dict[str, float | None]
) -> dict[str, dict[str, object]]:
    """All numbers, by row."""
    ranges = {
        name: dict(zip(METRIC_NAMES, map(float, values), strict=True)) for name, values in metrics.items()
    }
    rays = {
        name: {
            "mean": e.mean,
            "median": e.median,
            "percentile_95": e.percentile_95,
            "spread": spreads.get(name),
        }
        for name, e in rows.items()
    }
    return {"range": dict(ranges), "rays": dict(rays)}
