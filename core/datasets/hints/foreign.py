"""Hints from other sources: files of depth or disparity of a scanner, a matcher, a network, whatever their unit."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.datasets.depth_files import DEPTH_SUFFIXES, find_depth_files, in_order_of_lines, read_map
from core.datasets.hints.files import relative_path
from core.datasets.preparation import nearest, scatter
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.options.hints import UNITS

# Where a tree may have the files of a camera, below the folder of a line.
PLACES = ("{camera}", "{camera}/data", "proj_depth/groundtruth/{camera}")
SPARSE = 0.5  # share of known pixels below which a map is points
LEAST_SHARED = 100  # pixels where both are known, to align by
ROUNDS = 10


@dataclass(frozen=True)
class Pixels:
    """How a map becomes a disparity in pixels.

    Attributes:
        unit: a name of `core.options.hints.UNITS`.
        numerator: depth = numerator / disparity, in the unit of the network, of a disparity at `width`.
        width: of the hints, pixels.
        metres_per_unit: None where it is not known, and not needed.
    """

    unit: str
    numerator: float
    width: int
    metres_per_unit: float | None

    def disparity(self, values: np.ndarray, zeros_count: bool = False) -> np.ndarray:
        """float32 (h, w), pixels at `width`; NaN where nothing is known.

        Args:
            values: float32 (h, w), numbers of a file of that width.
            zeros_count: 0 and below are values, too: of a map that has an unknown shift.
        """
        kind, unit = UNITS[self.unit]
        known = np.isfinite(values) & (zeros_count | (values > 0))
        values = np.where(known, values, np.float32(1))
        factor = self.numerator * (self.metres_per_unit or 1.0)
        if kind == "depth":
            found = np.float32(factor / unit) / values
        elif kind == "inverse":
            found = np.float32(factor * unit) * values
        else:
            found = np.float32(unit * self.width / values.shape[1]) * values
        return np.where(known, found, np.float32(np.nan))


def find_maps(folder: Path, lines: list[SplitLine]) -> list[Path]:
    """The file of each line.

    Where the folder holds files of depth itself they are, by their names, those of the lines in their order. Otherwise
    it is a tree such as the images': `<folder of the line>/image_02|03/<frame, ten digits>`, see `PLACES`.

    Raises:
        UserError: there is no such folder, or it has another number of files than there are lines.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; --from_folder has the files of depth")
    if not any(file.suffix.lower() in DEPTH_SUFFIXES for file in folder.iterdir() if file.is_file()):
        return [_in_tree(folder, line) for line in lines]
    files = find_depth_files(folder)
    if len(files) != len(lines):
        raise UserError(
            f"{folder}: {len(files)} files of depth, but the split has {len(lines)} lines; files of one folder are "
            "those of the lines in their order"
        )
    return in_order_of_lines(files, lines)


def _in_tree(folder: Path, line: SplitLine) -> Path:
    """The file of a line; where there is none, one that says where it was looked for."""
    path = relative_path(line)
    drive, camera = path.parent.parent, path.parent.name
    stems = [folder / drive / place.format(camera=camera) / path.name for place in PLACES]
    found = [stem.with_name(stem.name + ending) for stem in stems for ending in DEPTH_SUFFIXES]
    return next((path for path in found if path.is_file()), found[0])


def read_values(path: Path) -> np.ndarray:
    """The numbers of a map, float32 (h, w).

    Raises:
        UserError: missing, damaged, or no map.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of depth (.npz, .npy or .png)")
    return read_map(path)


def resized(disparity: np.ndarray, height: int, width: int) -> np.ndarray:
    """A disparity (h, w) in another size, NaN where nothing is known: points keep their values, maps are sampled."""
    known = np.isfinite(disparity)
    if known.mean() >= SPARSE:
        return nearest(disparity, height, width)
    lowest = disparity[known].min() if known.any() else np.float32(0)
    points = scatter(np.where(known, disparity - lowest + 1, 0), height, width)  # those above 0 are points
    return np.where(points > 0, points - 1 + lowest, np.float32(np.nan))


def scaled(disparity: np.ndarray, matched: np.ndarray) -> np.ndarray:
    """A disparity times the median of matched / disparity, over the pixels where both are known.

    Args:
        disparity: (h, w), NaN where nothing is known.
        matched: of the stereo pair, 0 where nothing is known.

    Raises:
        UserError: too few pixels are known in both.
    """
    x, y = _shared(disparity, matched)
    return disparity * np.float32(np.median(y / x))


def scaled_and_shifted(disparity: np.ndarray, matched: np.ndarray) -> np.ndarray:
    """scale · disparity + shift; see `scaled`. What comes to 0 or below is at infinity, and no hint.

    They begin as the medians and mean distances from these agree, and are then fitted by least squares, in which what
    is off by more than a pixel counts as if it were off by the root of that (Huber).

    Raises:
        UserError: too few pixels are known in both, or near and far are exchanged.
    """
    x, y = (values.astype(np.float64) for values in _shared(disparity, matched))
    middle_x, middle_y = np.median(x), np.median(y)
    spread = np.abs(x - middle_x).mean()
    if not spread > 0:
        raise UserError("is the same everywhere")
    rising = 1.0 if np.mean((x - middle_x) * (y - middle_y)) >= 0 else -1.0
    scale = rising * np.abs(y - middle_y).mean() / spread
    shift = middle_y - scale * middle_x
    for _ in range(ROUNDS):
        weight = 1 / np.maximum(1, np.abs(scale * x + shift - y))
        mean_x, mean_y = np.average(x, weights=weight), np.average(y, weights=weight)
        variance = np.average((x - mean_x) ** 2, weights=weight)
        if not variance > 0:
            raise UserError("is the same nearly everywhere")
        scale = np.average((x - mean_x) * (y - mean_y), weights=weight) / variance
        shift = mean_y - scale * mean_x
    if scale <= 0:
        raise UserError("grows with distance; is it depth? See --unit")
    return (disparity * scale + shift).astype(np.float32)


def _shared(disparity: np.ndarray, matched: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    both = np.isfinite(disparity) & (matched > 0)
    count = int(np.count_nonzero(both))
    if count < LEAST_SHARED:
        raise UserError(
            f"cannot be aligned: {count} pixels are known in it and by matching, less than {LEAST_SHARED}"
        )
    return disparity[both], matched[both]
