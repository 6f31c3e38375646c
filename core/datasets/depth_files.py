"""Depth maps in files of their own: 16-bit images, and NumPy's arrays, dense or sparse."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.datasets.frame_names import file_numbers, natural_key, sorted_by_numbers
from core.datasets.kitti import MAX_IMAGE_SIDE
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.files.arrays import as_float32
from core.files.images import open_image
from core.plausibility.checks import unlikely
from core.plausibility.truth import check_steps_of_kitti
from core.weights.npz import read_npy, read_npz

DEPTH_SUFFIXES = (".npz", ".npy", ".png")  # of several under one name the first counts
# Units of a metre in the 16-bit images of a data set; of the others it is not known.
PNG_UNITS = {"nyu": 5000.0, "bonn": 1000.0, "tum": 1000.0, "scannet": 1000.0}
KITTI_UNIT = 256.0
STEP_TEXT = "value * "  # before the metres of a step, in the text `depth` of a picture that predict.py wrote
MOST_METRES = 1e3  # of a step
CURE = "copy or make it again"


def find_depth_files(folder: Path) -> list[Path]:
    """The files of depth in a folder, in the order of their names.

    Raises:
        UserError: no such folder, no such file in it, or files of several kinds.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder of depth; it must hold a .png, .npy or .npz for every image"
        )
    files = sorted(
        file for file in folder.iterdir() if file.suffix.lower() in DEPTH_SUFFIXES and file.is_file()
    )
    kinds = sorted({file.suffix.lower() for file in files})
    if not files:
        raise UserError(f"{folder}: no depth in it: a .png, .npy or .npz for every image")
    if len(kinds) > 1:
        raise UserError(
            f"{folder}: holds {' and '.join(kinds)} files; keep one kind, one file for every image"
        )
    return files


def in_order_of_lines(files: list[Path], lines: Sequence[SplitLine]) -> list[Path]:
    """The file of depth of each line: that of its number where the names have all their numbers, else in their order.

    Args:
        files: from `find_depth_files`, as many as lines.

    Raises:
        UserError: the order of the names is not clear: numbers without zeros before them, and lines do not ascend.
    """
    by_name = {file.stem: file for file in files}
    by_number = {number: by_name[name] for name, number in file_numbers(set(by_name)).items()}
    numbers = [line.frame for line in lines]
    shared = set(numbers) & by_number.keys()
    if len({line.folder for line in lines}) == 1 and len(set(numbers)) == len(numbers) == len(by_number):
        if len(shared) == len(lines):
            return [by_number[number] for number in numbers]
        if shared:
            unlikely(
                "truth_order",
                f"{files[0].parent}: is taken in the order of the names, {by_number[min(by_number)].name} for "
                f"{str(lines[0])!r}, though {by_number[min(shared)].name} is the number of another line; name the "
                "files by the numbers of their lines",
            )
    ordered = sorted_by_numbers(by_name)
    if ordered != [file.stem for file in files]:
        places = [(natural_key(line.folder), line.frame) for line in lines]
        if places != sorted(places):
            raise UserError(
                f"{files[0].parent}: is {files[1].name} the second file, or {by_name[ordered[1]].name}? Write zeros "
                "before the numbers in the names, in the order of the lines"
            )
    return [by_name[name] for name in ordered]


def read_depth(path: Path, kind: str) -> np.ndarray:
    """Reads the depth map of an image.

    A `.npz` holds a sparse matrix as SciPy writes it (csr, csc or coo) or one dense array, a `.npy` one dense array,
    both in metres; a `.png` has 16 bits.

    Args:
        kind: whose it is; says the unit of a `.png`, see `PNG_UNITS`.

    Returns:
        float32 (h, w), metres; 0 = unknown, as is what is not above 0 or not finite.

    Raises:
        UserError: missing, damaged, no map, or of a unit that is not known.
    """
    is_png = path.suffix.lower() == ".png"
    if is_png and kind not in PNG_UNITS:
        known = ", ".join(f"{name} 1/{unit:.0f} m" for name, unit in PNG_UNITS.items())
        raise UserError(
            f"{path}: the unit of a depth .png of {kind} is not known ({known}); take another kind"
        )
    depth, step = read_map_and_step(path)
    if is_png:
        depth = depth / np.float32(PNG_UNITS[kind]) if step is None else depth * np.float32(step)
    return _known(depth)


def read_metric_depth(path: Path) -> np.ndarray:
    """Reads a depth map as `read_depth`, whose `.png` is in the steps that its text says, else in 1/256 m, as KITTI's.

    Raises:
        UserError: missing, damaged, no map, relative by its text, or all of it below a metre, so of another unit.
    """
    depth, step = read_map_and_step(path)
    if path.suffix.lower() != ".png":
        return _known(depth)
    if step is not None:
        return _known(depth * np.float32(step))
    depth = depth / np.float32(KITTI_UNIT)
    check_steps_of_kitti(path, depth)
    return _known(depth)


def read_named_depth(path: Path, name: str) -> np.ndarray:
    """Reads a dense map in metres, as `read_depth`, that is one of the arrays of an `.npz`.

    Raises:
        UserError: missing, damaged, without that array, or it is no map.
    """
    arrays = read_npz(path, CURE)
    if name not in arrays:
        raise UserError(f"{path}: holds {', '.join(arrays)}, but no {name}; {CURE}")
    return _known(_checked_map(path, arrays[name]))


def _known(depth: np.ndarray) -> np.ndarray:
    """0 for what is no depth."""
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def read_map(path: Path) -> np.ndarray:
    """Reads a map of numbers as they stand in a file of `read_depth`, whatever they mean: float32 (h, w).

    Raises:
        UserError: missing, damaged, or no map.
    """
    return read_map_and_step(path)[0]


def read_map_and_step(path: Path) -> tuple[np.ndarray, float | None]:
    """As `read_map`, and the metres of a step where a picture's text says them, as that of predict.py does.

    Raises:
        UserError: missing, damaged, no map, or its text says that it is no depth in metres.
    """
    suffix = path.suffix.lower()
    if suffix == ".png":
        image = _open_png(path)
        return _checked_map(path, np.asarray(image)), _step(path, image.info)
    values = read_npy(path, CURE) if suffix == ".npy" else _read_npz(path)
    return _checked_map(path, values), None


def _checked_map(path: Path, values: np.ndarray) -> np.ndarray:
    plain = values.ndim == 2 and values.dtype.kind in "fiu" and min(values.shape) > 0
    if not plain or max(values.shape) > MAX_IMAGE_SIDE:
        raise UserError(
            f"{path}: holds {values.dtype} of shape {values.shape}, not a depth map (h, w); {CURE}"
        )
    return as_float32(values, str(path), CURE)


def _open_png(path: Path) -> Image.Image:
    image = open_image(path, CURE, exact=True)
    if not image.mode.startswith("I"):
        raise UserError(f"{path}: not a 16-bit depth image but of mode {image.mode}; {CURE}")
    return image


def _step(path: Path, texts: Mapping[Any, Any]) -> float | None:
    """Metres of a step by the texts of a picture; None where they are not of predict.py."""
    said, unit = texts.get("depth"), texts.get("unit")
    if not (isinstance(said, str) and said.startswith(STEP_TEXT) and isinstance(unit, str)):
        return None
    if not unit.startswith("metres"):
        raise UserError(
            f"{path}: its text says that its depth is {unit[:80]!r}, so it is no depth in metres; predict it with "
            "--pred_metric_depth"
        )
    try:
        step = float(said.removeprefix(STEP_TEXT)[:40])
    except ValueError:
        step = math.nan
    if not 0 < step < MOST_METRES:
        raise UserError(f"{path}: its text says {said[:80]!r}, which is no step in metres; {CURE}")
    return step


def _read_npz(path: Path) -> np.ndarray:
    arrays = read_npz(path, CURE)
    if "format" not in arrays:
        if len(arrays) != 1:
            raise UserError(f"{path}: holds {', '.join(arrays)}, no sparse matrix and not one array; {CURE}")
        return next(iter(arrays.values()))
    try:
        return _dense(arrays)
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise UserError(f"{path}: no sparse matrix as SciPy writes it ({error}); {CURE}") from None


def _dense(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The dense array (h, w) of a sparse matrix; like SciPy's, entries of one place are added.

    Raises:
        KeyError, ValueError: its arrays do not fit together.
    """
    kind = bytes(arrays["format"].astype("S").item()).decode("ascii")
    data = arrays["data"]
    height, width = (int(side) for side in arrays["shape"].tolist())
    if not (0 < height <= MAX_IMAGE_SIDE and 0 < width <= MAX_IMAGE_SIDE) or data.dtype.kind not in "fiu":
        raise ValueError(f"{data.dtype} of shape {height}, {width}")
    if kind == "coo":
        rows, columns = arrays["row"], arrays["col"]
    elif kind in ("csr", "csc"):
        majors = _majors(arrays["indptr"], height if kind == "csr" else width, data.size)
        rows, columns = (majors, arrays["indices"]) if kind == "csr" else (arrays["indices"], majors)
    else:
        raise ValueError(f"of format {kind!r}; known: csr, csc, coo")
    for index, side in ((rows, height), (columns, width)):
        if index.dtype.kind not in "iu" or index.shape != data.shape or data.ndim != 1:
            raise ValueError("indices and data are not of one shape")
        if index.size and not (index.min() >= 0 and index.max() < side):
            raise ValueError("an index lies outside")
    dense = np.zeros((height, width), data.dtype)
    np.add.at(dense, (rows, columns), data)
    return dense


def _majors(indptr: np.ndarray, count: int, entries: int) -> np.ndarray:
    """The row of each entry of a csr matrix (the column of a csc one)."""
    counts: np.ndarray = np.diff(indptr.astype(np.int64))
    ends = (indptr[0], indptr[-1]) if indptr.shape == (count + 1,) else None
    # None may be larger than all: huge ones would add up to `entries` where the sum overflows.
    if ends != (0, entries) or (counts < 0).any() or (counts > entries).any():
        raise ValueError("indptr does not fit the shape")
    return np.repeat(np.arange(count), counts)
