"""Predicted depth in a folder, a file for each image, as `predict.py --save npy` writes it."""

from pathlib import Path

import numpy as np

from core.errors import UserError
from core.weights.npz import read_npy

CURE = "save positive depth (height, width) by np.save, or by predict.py --save npy"


def find_predictions(folder: Path, images: int) -> list[Path]:
    """The files of a folder in the order of their names, one for each image.

    Raises:
        UserError: no such folder, or another number of files.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of predicted depth; predict.py --save npy writes one")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".npy" and file.is_file())
    if len(files) != images:
        raise UserError(
            f"{folder}: holds {len(files)} predictions, .npy files, but there are {images} images; predict these "
            "images, or name theirs"
        )
    return files


def read_prediction(path: Path) -> np.ndarray:
    """The 1 / depth of a file: (h, w) float64, so that nothing is lost where it is inverted again.

    Raises:
        UserError: damaged, or no map of positive numbers.
    """
    depth = read_npy(path, CURE)
    if depth.ndim != 2 or depth.size == 0 or depth.dtype.kind not in "fiu":
        raise UserError(
            f"{path}: no depth map: {depth.dtype} of shape {depth.shape} instead of numbers (height, width); {CURE}"
        )
    depth = depth.astype(np.float64)
    if not (np.isfinite(depth).all() and depth.min() > 0):
        raise UserError(f"{path}: depth must be positive and finite; {CURE}")
    return np.asarray(1 / depth)
