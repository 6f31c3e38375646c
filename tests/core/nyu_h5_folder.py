"""Folders of `.h5` files as NYU's test images come, for tests: made up, or of the real sample."""

from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
from PIL import Image

SIZE = (480, 640)


def write_h5(path: Path, rgb: np.ndarray, depth: np.ndarray, **more: Any) -> Path:
    """Writes an image uint8 (480, 640, 3) and its depth (480, 640), metres, with the names and order of the files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["rgb"], file["depth"] = rgb.transpose(2, 0, 1), depth
        file["mask"] = depth > 0
        for name, value in more.items():
            file[name] = value
    return path


def write_real(root: Path, shared: Path, recorded: Any) -> list[Path]:
    """The two real frames that numbers were recorded of, `<root>/nyu_test/00001.h5` and on.

    Args:
        recorded: nyuv2.npz of the recorded numbers, which says which frames.
    """
    files = []
    for number in range(2):
        frame = int(recorded[f"sample_{number}/frame"])
        rgb = np.asarray(Image.open(shared / f"data/nyuv2_rgbd/color/{frame}.png").convert("RGB"))
        millimetres = np.asarray(Image.open(shared / f"data/nyuv2_rgbd/depth/{frame}.pgm"))
        depth = millimetres.astype(np.float32) / np.float32(1000)
        files.append(write_h5(root / "nyu_test" / f"{number + 1:05d}.h5", rgb, depth))
    return files


def given_disparities(arrays: ModuleType, post_process: bool) -> np.ndarray:
    """Those that the numbers `given_*` were recorded of: (2, 288, 384)."""
    from core.disparity import blend_mirrored, sigmoid_to_disparity

    names = [f"epcdepth/nyu/{number}" for number in range(2)]
    sigmoids = np.stack([arrays.smooth(name, (2, 1, 288, 384), (5, 7), 0.01, 0.09)[:, 0] for name in names])
    disparity = sigmoid_to_disparity(sigmoids, 0.1, 10.0)
    return blend_mirrored(disparity[:, 0], disparity[:, 1, :, ::-1]) if post_process else disparity[:, 0]
