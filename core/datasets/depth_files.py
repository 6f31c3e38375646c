"""Depth of one image in one file: a 16-bit image, a dense array, or a sparse matrix as SciPy saves it."""

import math
import zipfile
from pathlib import Path

import numpy as np

from core.datasets.kitti import MAX_IMAGE_SIDE
from core.errors import UserError
from core.files.images import open_image
from core.weights.npz import read_npy, read_npz

SUFFIXES = (".png", ".npy", ".npz")
# Steps of a 16-bit image in a metre, by the name of the data set.
DIVISORS = {"kitti": 256.0, "ddad": 256.0, "nyu": 5000.0, "bonn": 1000.0, "tum": 1000.0, "scannet": 1000.0}
SPARSE = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "coo": ("data", "row", "col"),
}
CURE = "save it as a 16-bit .png, an .npy of metres (height, width), or by scipy.sparse.save_npz"
MAX_DEPTH_BYTES = 1 << 30  # of a file's arrays


def find_depth_files(folder: Path) -> list[Path]:
    """The files of depth in a folder, in the order of their names.

    Raises:
        UserError: no such folder, no such file in it, or files of several kinds.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder of depth; it must hold a .png, .npy or .npz for every image"
        )
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    kinds = sorted({file.suffix.lower() for file in files})
    if not files:
        raise UserError(f"{folder}: no depth in it: a .png, .npy or .npz for every image")
    if len(kinds) > 1:
        raise UserError(
            f"{folder}: holds {' and '.join(kinds)} files; keep one kind, one file for every image"
        )
    return files


def read_depth_file(path: Path, divisor: float) -> np.ndarray:
    """The depth in a file.

    Args:
        path: a 16-bit `.png`; `.npy` (h, w) of metres; or `.npz`, a matrix of metres that `scipy.sparse.save_npz`
            wrote (csr, csc or coo).
        divisor: steps of a `.png` in a metre.

    Returns:
        (h, w) float32, metres, 0 = unknown: whatever is not finite, or not above 0, in the file.

    Raises:
        UserError: absent, damaged, or something else.
    """
    kind = path.suffix.lower()
    if not path.is_file():
        raise UserError(f"{path}: no such file of depth; check the folder")
    if kind == ".png":
        depth = _read_png(path, divisor)
    elif kind == ".npy":
        depth = read_npy(path, CURE)
    elif kind == ".npz":
        depth = _read_sparse(path)
    else:
        raise UserError(f"{path}: is none of {', '.join(SUFFIXES)}; {CURE}")
    sides = depth.ndim == 2 and min(depth.shape) > 0 and max(depth.shape) <= MAX_IMAGE_SIDE
    if not sides or depth.dtype.kind not in "fiu":
        raise UserError(
            f"{path}: no depth map: {depth.dtype} of shape {depth.shape} instead of numbers (height, width); {CURE}"
        )
    with np.errstate(over="ignore"):
        depth = depth.astype(np.float32)
    depth[~(np.isfinite(depth) & (depth > 0))] = 0
    return np.asarray(depth)


def _read_png(path: Path, divisor: float) -> np.ndarray:
    image = open_image(path)
    if not image.mode.startswith("I"):
        raise UserError(f"{path}: is no 16-bit image of one channel ({image.mode}); {CURE}")
    return np.asarray(image).astype(np.float32) / np.float32(divisor)


def _read_sparse(path: Path) -> np.ndarray:
    """The dense form of a sparse matrix, without SciPy: its own reader would take a pickle."""
    arrays = read_npz(path, CURE, MAX_DEPTH_BYTES)
    name = arrays["format"].item() if "format" in arrays and arrays["format"].shape == () else b""
    kind = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
    wanted = ("shape", *SPARSE.get(kind, ("format",)))
    lacking = [key for key in wanted if key not in arrays]
    if kind not in SPARSE or lacking:
        raise UserError(f"{path}: no sparse matrix of kind csr, csc or coo; {CURE}")
    try:
        return _dense(kind, arrays)
    except (ValueError, IndexError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: damaged: {error}; {CURE}") from None


def _dense(kind: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Raises ValueError where the arrays do not fit together."""
    data, first, second = (arrays[key] for key in SPARSE[kind])
    sides, numbers = arrays["shape"], (first, second)
    if any(array.dtype.kind not in "iu" for array in (sides, *numbers)) or data.dtype.kind not in "fiu":
        raise ValueError("its arrays are of other types")
    height, width = (int(side) for side in sides)
    if not (0 < height <= MAX_IMAGE_SIDE and 0 < width <= MAX_IMAGE_SIDE):
        raise ValueError(f"a matrix of {height}x{width} is no image")
    if kind == "coo":
        rows, columns = numbers
    else:
        counts = np.asarray(np.diff(second.astype(np.int64)), np.int64)
        lines = height if kind == "csr" else width
        if second.shape != (lines + 1,) or second[0] != 0 or (counts < 0).any() or second[-1] != data.size:
            raise ValueError("its rows do not fit together")
        along = np.repeat(np.arange(lines), counts)
        rows, columns = (along, first) if kind == "csr" else (first, along)
    if not rows.shape == columns.shape == data.shape == (math.prod(data.shape),):
        raise ValueError("its arrays do not fit together")
    if data.size and (min(rows.min(), columns.min()) < 0 or rows.max() >= height or columns.max() >= width):
        raise ValueError("it has numbers outside the matrix")
    dense = np.zeros((height, width), np.float32)
    with np.errstate(over="ignore"):
        dense[rows, columns] = data
    return dense
