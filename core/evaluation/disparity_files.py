"""Disparities of a whole split in files: one `.npy` for evaluation, or the PNGs that KITTI's benchmark takes."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from core.disparity import resize_map
from core.errors import UserError
from core.faults import why_not_read
from core.files.arrays import save_array, write_json
from core.files.images import encoded
from core.files.regular import read_text
from core.files.whole import write_folder_atomically
from core.options.protocols import PROTOCOLS
from core.weights.npz import NpyRows, is_column_major, map_npy, read_npy

Maps = TypeVar("Maps", np.ndarray, NpyRows)
BENCHMARK_FOLDER = "benchmark_predictions"
MAX_BYTES = 8 << 30  # the Eigen test at the size of its images has 1.3
UNIT = ".json"  # beside disparities
CURE = "save it with np.save"
KITTI_DEPTH_UNIT = 1 / 256  # metres of one step in KITTI's 16-bit depth images


def save_disparities(path: Path, disparities: np.ndarray) -> None:
    """Writes predictions (N, h, w) as `.npy`, atomically; `--ext_disp_to_eval` reads them."""
    save_array(path, disparities)


def save_unit(path: Path, metres: float, origin: Mapping[str, str]) -> None:
    """Writes beside saved disparities what their unit is, and what they are of.

    Args:
        metres: in a unit of depth, 1 / disparity.
        origin: list and data.
    """
    write_json(path.with_suffix(UNIT), {"metres_per_unit": metres, **origin})


def read_unit(path: Path) -> float | None:
    """The metres that `save_unit` wrote beside disparities; None where there is no such file.

    Raises:
        UserError: it is damaged.
    """
    beside = path.with_suffix(UNIT)
    content = _read_unit(beside)
    if content is None:
        return None
    metres = content.get("metres_per_unit")
    if isinstance(metres, bool) or not isinstance(metres, int | float) or not 0 < metres < math.inf:
        raise UserError(f"{beside}: no unit of disparities: metres_per_unit must be above 0; remove it")
    return float(metres)


def free_path(path: Path, origin: Mapping[str, str]) -> Path:
    """That path, or one with a number, where disparities of another list or data set lie there already."""
    for number in range(2, 1000):
        content = _read_unit(path.with_suffix(UNIT))
        if content is None or all(content.get(name, value) == value for name, value in origin.items()):
            return path
        path = path.with_name(f"{path.stem.removesuffix(f'_{number - 1}')}_{number}{path.suffix}")
    raise UserError(f"{path}: there are so many already; remove some")


def _read_unit(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(read_text(path, "utf-8", 1 << 20))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read: {why_not_read(error)}; remove it") from None
    return content if isinstance(content, dict) else {}


def load_disparities(path: Path, mapped: bool = False) -> np.ndarray:
    """Reads predictions (N, h, w) of any program.

    Args:
        mapped: each is read when it is looked at.

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    if not Path(path).exists():
        raise UserError(f"{path}: no such file; evaluate_depth.py --save_pred_disps writes one")
    return _maps(path, map_npy(path, CURE) if mapped else read_npy(path, CURE, MAX_BYTES))


def open_disparities(path: Path) -> np.ndarray | NpyRows:
    """As `load_disparities`, but each is read when it is asked for and not kept, where the file's order allows it.

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    if not Path(path).exists() or is_column_major(path):
        return load_disparities(path)
    return _maps(path, NpyRows(path, CURE))


def _maps(path: Path, disparities: Maps) -> Maps:
    maps = len(disparities.shape) == 3 and 0 not in disparities.shape[1:]
    if not maps or disparities.dtype.kind not in "fiu":
        raise UserError(f"{path}: expected one array (images, height, width); save it with np.save")
    return disparities


def checked_disparity(number: int, disparity: np.ndarray, may_be_zero: bool = False) -> np.ndarray:
    """The prediction of image `number`, float32 or float64.

    Args:
        may_be_zero: it is compared by a rule with a floor.

    Raises:
        UserError: it is not a map of positive numbers.
    """
    disparity = np.asarray(disparity)
    if disparity.ndim != 2 or disparity.size == 0:
        raise UserError(
            f"prediction {number} (counted from 0): shape {disparity.shape}, expected (height, width)"
        )
    if disparity.dtype not in (np.float32, np.float64):
        disparity = disparity.astype(np.float32)
    least = disparity.min()
    if not (np.isfinite(disparity).all() and (least > 0 or (may_be_zero and least == 0))):
        raise UserError(
            f"prediction {number} (counted from 0): disparities must be positive and finite; "
            "mend the file, such as by np.clip(disparities, 1e-3, None)"
        )
    return disparity


def benchmark_pixels(disparity: np.ndarray, scale_factor: float) -> np.ndarray:
    """A depth map as KITTI's benchmark takes it: uint16 (352, 1216), value / 256 = metres.

    Args:
        disparity: (h, w) of 1 / depth; resized first, then inverted, as in evaluation.
        scale_factor: metres of one unit of depth (5.4 for models trained with stereo).
    """
    protocol = PROTOCOLS["benchmark"]
    assert isinstance(protocol.rule.resize, tuple)
    depth = scale_factor / resize_map(disparity, *protocol.rule.resize)
    return (np.clip(depth, protocol.rule.clamp, protocol.subject.cap) / KITTI_DEPTH_UNIT).astype(
        np.uint16
    )  # truncated


def save_benchmark_images(folder: Path, disparities: Iterable[np.ndarray], scale_factor: float) -> None:
    """Writes `<folder>/0000000000.png` and so on, ready for upload; the folder is replaced whole or not at all.

    Raises:
        UserError: a prediction is not a map of positive numbers, or the folder cannot be written.
    """

    def fill(temporary: Path) -> None:
        for number, disparity in enumerate(disparities):
            pixels = benchmark_pixels(checked_disparity(number, disparity), scale_factor)
            (temporary / f"{number:010d}.png").write_bytes(encoded(Image.fromarray(pixels), ".png"))

    write_folder_atomically(folder, fill)
