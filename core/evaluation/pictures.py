"""Colour pictures of predicted and true disparity, a file for each image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from core.files.arrays import require_finite
from core.files.colour import magma_map
from core.files.images import write_image
from core.plausibility.evaluation import GroundTruth

TRUTH = "ground-truth"  # the folder of its pictures
BESIDE = "disps_vis"  # where those of a file of disparities go


def save_disparity_pictures(folder: Path, disparities: Sequence[np.ndarray] | np.ndarray) -> None:
    """Writes `<folder>/disp0.png` and so on, each file whole or not at all.

    Args:
        disparities: maps (h, w), each painted at its own size from its minimum to its 95th percentile.

    Raises:
        UserError: a file cannot be written, or a disparity is not finite.
    """
    for number, disparity in enumerate(_progress(disparities)):
        path = folder / f"disp{number}.png"
        _save(
            path,
            require_finite(np.asarray(disparity), f"{path}: not written", "mend the file of disparities"),
        )


def save_truth_pictures(folder: Path, truths: Sequence[GroundTruth] | Sequence[np.ndarray]) -> None:
    """Writes `<folder>/ground-truth/gt0.png` and so on, 1 / depth painted likewise; what is unknown is black.

    Args:
        truths: maps (h, w) of depth, metres, 0 where unknown; or sparse.

    Raises:
        UserError: a file cannot be written, or the truth is damaged.
    """
    for number, truth in enumerate(_progress(truths)):
        _save(folder / TRUTH / f"gt{number}.png", _inverse(truth))


def _inverse(truth: GroundTruth | np.ndarray) -> np.ndarray:
    """(h, w) 1 / depth, NaN where it is unknown."""
    if isinstance(truth, np.ndarray):
        return np.divide(1, truth, out=np.full(truth.shape, np.nan, truth.dtype), where=truth > 0)
    inverse = np.full(truth.shape, np.nan, truth.values.dtype)
    inverse.ravel()[truth.index] = 1 / truth.values
    return inverse


def _progress(maps: Sequence[Any] | np.ndarray) -> Any:
    return tqdm(maps, desc="pictures", unit="image", disable=None)


def _save(path: Path, values: np.ndarray) -> None:
    write_image(path, Image.fromarray(magma_map(values)))
