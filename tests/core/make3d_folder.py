"""Tiny photographs with depth in the layout of Make3D; the depth files by SciPy."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

ROWS, COLUMNS = slice(17, 38), 305  # of the grid, that are compared


def write_photograph(
    root: Path, name: str, depth: np.ndarray, image: np.ndarray | None = None, compress: bool = True
) -> None:
    """Writes `Test134/img-<name>.jpg` and `Gridlaserdata/depth_sph_corr-<name>.mat`.

    Args:
        depth: (21, 305) of the middle rows; the others are 1 m away, which would spoil every median.
        image: uint8 (h, w, 3) of proportions 4:3; None: grey, 40x30.
    """
    grid = np.full((55, COLUMNS, 4), 7.0)
    grid[:, :, 3] = 1.0
    grid[ROWS, :, 3] = depth
    for folder in ("Test134", "Gridlaserdata"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    path = root / "Gridlaserdata" / f"depth_sph_corr-{name}.mat"
    savemat(path, {"Position3DGrid": grid, "other": [[1, 2]]}, do_compression=compress)
    pixels = np.full((40, 30, 3), 90, np.uint8) if image is None else image
    Image.fromarray(pixels).save(root / "Test134" / f"img-{name}.jpg", quality=95)
