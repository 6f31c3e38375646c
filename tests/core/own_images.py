"""Tiny folders of a user's own images for tests."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from core.files.video import quiet_cv2
from tests.core.kitti_folder import noise

HEIGHT, WIDTH = 48, 96


def write_images(
    folder: Path, names: Iterable[str], seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> Path:
    """Writes noise under these file names."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(noise(*size, seed + number)).save(folder / name)
    return folder


def numbered(numbers: Iterable[int], extension: str = "png") -> list[str]:
    """`000007.png`, …"""
    return [f"{number:06d}.{extension}" for number in numbers]


def write_video(path: Path, frames: int = 6, rate: float = 12.5) -> Path:
    """A video of a pattern that moves."""
    cv2 = quiet_cv2()  # OpenCV takes its settings with the first video, also for tests that come later
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, (WIDTH, HEIGHT))
    wide = noise(HEIGHT, WIDTH + 4 * frames, 5)
    for frame in range(frames):
        writer.write(np.ascontiguousarray(wide[:, 4 * frame : 4 * frame + WIDTH]))
    writer.release()
    return path
