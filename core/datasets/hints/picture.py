"""A hint as a picture: the image, the hint, and the measured depth below each other."""

from pathlib import Path

import numpy as np
from PIL import Image

from core.datasets.preparation import scatter
from core.files.colour import colour_map, robust_limits
from core.files.images import resize_array, write_image

DOT = 3  # pixels of a measured point


def paint(image: np.ndarray, hint: np.ndarray, truth: np.ndarray | None) -> np.ndarray:
    """uint8 (2 or 3 times H, W, 3): disparities in the same colours, light is near, black where nothing is known.

    Args:
        image: uint8 (h, w, 3).
        hint: (H, W) depth, 0 where there is none.
        truth: (h, w) depth in the same unit, 0 = unknown; None where there is none.
    """
    size = hint.shape
    parts = [hint] if truth is None else [hint, _points(truth, *size)]
    near = [np.where(depth > 0, 1 / np.where(depth > 0, depth, 1), np.nan) for depth in parts]
    limits = robust_limits(np.concatenate([disparity[np.isfinite(disparity)] for disparity in near]))
    painted = [colour_map(disparity, limits=limits) for disparity in near]
    return np.concatenate([resize_array(image, *size), *painted])


def _points(truth: np.ndarray, height: int, width: int) -> np.ndarray:
    """Measured points in another size, each as a dot, the nearest on top."""
    import cv2

    near = scatter(np.where(truth > 0, 1 / np.where(truth > 0, truth, 1), 0), height, width)
    dots = cv2.dilate(near, np.ones((DOT, DOT), np.uint8))
    return np.where(dots > 0, 1 / np.where(dots > 0, dots, 1), 0)


def compare(hint: np.ndarray, truth: np.ndarray) -> str:
    """One line of numbers: how a hint (H, W) differs from the truth (h, w), both depth in metres, 0 = unknown."""
    rows, columns = np.nonzero(truth)
    y, x = (hint.shape[axis] / truth.shape[axis] for axis in (0, 1))
    measured = truth[rows, columns]
    found = hint[(rows * y).astype(int), (columns * x).astype(int)]
    known = found > 0
    if not known.any():
        return f"of {rows.size} measured pixels the hint knows none"
    error = np.abs(found - measured)[known] / measured[known]
    return (
        f"of {rows.size} measured pixels the hint knows {known.mean():.0%}; relative error of its depth there: median "
        f"{np.median(error):.3f}, mean {error.mean():.3f}, above 10 % at {(error > 0.1).mean():.0%}"
    )


def save(path: Path, picture: np.ndarray) -> None:
    """Writes a picture whole or not at all; raises UserError."""
    write_image(path, Image.fromarray(picture))
