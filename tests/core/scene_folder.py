"""A tiny data set in the layout of scenes for tests."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.core.kitti_folder import noise

HEIGHT, WIDTH = 40, 96
K = np.array([[60.0, 0, 47], [0, 55, 18.5], [0, 0, 1]])


def write_scene(
    folder: Path, frames: int = 6, extension: str = "png", seed: int = 0, K: np.ndarray = K
) -> Path:
    """A scene with `cam.txt`; its images are noise, 40x96, named 000000 to 5 * (frames - 1)."""
    folder.mkdir(parents=True)
    for frame in range(frames):
        image = Image.fromarray(noise(HEIGHT, WIDTH, seed + frame))
        image.save(folder / f"{5 * frame:06d}.{extension}")
    np.savetxt(folder / "cam.txt", K)
    return folder


def write_scenes(
    root: Path, train: dict[str, int], val: dict[str, int] | None = None, **words: object
) -> Path:
    """Scenes of so many frames under `training`, and their lists, whose last line does not end."""
    for part, scenes in (("train", train), ("val", val)):
        if scenes is None:
            continue
        for number, (name, frames) in enumerate(scenes.items()):
            write_scene(root / "training" / name, frames, seed=100 * number, **words)  # type: ignore[arg-type]
        (root / "training" / f"{part}.txt").write_text("\n".join(scenes))
    return root
