"""Which frames of a scene to take: those in which enough has changed since the last one that was taken."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.cores import available_cores
from core.datasets.scene_folders import (
    INDEX_FILE,
    PARTS,
    Scene,
    read_scenes,
    training_folder,
    write_frame_index,
)
from core.errors import UserError
from core.files.images import load_image


@dataclass(frozen=True)
class FrameIndex:
    """What was done about a scene.

    Attributes:
        path: its `frame_index.txt`.
        images: how many there are.
        kept: how many the index names; None where one was there already and stays.
    """

    path: Path
    images: int
    kept: int | None

    def describe(self) -> str:
        """One line for the user."""
        if self.kept is None:
            return f"{self.path}: is already there and stays; --force makes it again"
        return f"{self.path}: {self.kept} of {self.images} images"


def changed_frames(images: Iterable[np.ndarray], grey_levels: int = 10, share: float = 0.5) -> list[int]:
    """The positions of the images in which enough has changed: the first, and what differs from the last one kept.

    Args:
        images: uint8 (h, w), in their order, all of one size.
        grey_levels: a pixel has changed when it differs by more.
        share: an image is kept when at least so many of its pixels have changed.
    """
    kept: list[int] = []
    last: np.ndarray = np.empty(0)
    for position, image in enumerate(images):
        grey = image.astype(np.int16)  # bytes would wrap around
        if not kept or np.count_nonzero(np.abs(grey - last) > grey_levels) >= share * grey.size:
            kept.append(position)
            last = grey
    return kept


def make_frame_indices(root: Path, grey_levels: int, share: float, force: bool) -> Iterable[FrameIndex]:
    """Writes the `frame_index.txt` of every scene on the lists of a data set, one by one, each whole or not at all.

    Args:
        root: of the scenes, see `core.datasets.scene_folders.training_folder`.
        grey_levels, share: see `changed_frames`.
        force: also where there is one.

    Raises:
        UserError: there are no lists, or a scene has no images, or damaged ones or such of several sizes.
    """
    folder = training_folder(root)
    lists = [path for part in PARTS if (path := folder / f"{part}.txt").is_file()]
    if not lists:
        raise UserError(f"{root}: neither training/train.txt nor val.txt, a scene a line; check --data_path")
    names = dict.fromkeys(name for path in lists for name in read_scenes(path, folder))

    def make(name: str) -> FrameIndex:
        return _make(folder / name, grey_levels, share, force)

    with ThreadPoolExecutor(available_cores()) as pool:
        try:
            yield from pool.map(make, names)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _make(folder: Path, grey_levels: int, share: float, force: bool) -> FrameIndex:
    path, scene = folder / INDEX_FILE, Scene.read(folder)
    if path.exists() and not force:
        return FrameIndex(path, len(scene.images), None)
    if not scene.images:
        raise UserError(f"{folder}: no images; unpack them, or take the scene out of the lists")
    kept = changed_frames(_greys(scene), grey_levels, share)
    write_frame_index(path, kept)
    return FrameIndex(path, len(scene.images), len(kept))


def _greys(scene: Scene) -> Iterable[np.ndarray]:
    shape = None
    for path in scene.images:
        grey = np.asarray(load_image(path).convert("L"))
        if shape not in (None, grey.shape):
            raise UserError(f"{path}: is of another size than the images before it; resize it")
        shape = grey.shape
        yield grey
