"""The depth that a network takes beside an image: some or all of its points, of a data set or of files of their own."""

import zlib
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.datasets.augmentation import Augmentation
from core.datasets.depth_files import (
    DEPTH_SUFFIXES,
    find_depth_files,
    in_order_of_lines,
    read_metric_depth,
)
from core.datasets.preparation import DEPTHS, View
from core.datasets.sample import Sample
from core.errors import UserError
from core.files.images import image_size
from core.options.needs import Preparation

if TYPE_CHECKING:
    from core.datasets.samples import SequenceDataset

INPUT_DEPTH = "input_depth"  # the input of a method, and the key of a sample
POINTS_STREAM = 2  # keeps which points stay apart from the draws of samples (core/datasets/samples.py)


def thin(depth: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A sparse map (h, w) with a share of its known points (above 0), the others 0; if it has points, one at least.

    With the same random numbers a larger share has all points of a smaller one.

    Args:
        share: above 0, up to 1, which leaves the map as it is and draws nothing.
    """
    if share >= 1:
        return depth
    known = np.flatnonzero(depth > 0)
    kept = known[rng.permutation(known.size)[: max(1, round(share * known.size))]]
    thinned = np.zeros_like(depth)
    thinned.ravel()[kept] = depth.ravel()[kept]
    return thinned


def draw_share(rng: np.random.Generator, least: float, most: float) -> float:
    """A share of points between two, evenly in its logarithm; `most` where `least` is 0, and nothing is drawn."""
    return float(most * (least / most) ** rng.uniform()) if least > 0 else most


def fixed_points(name: str, seed: int = 0) -> np.random.Generator:
    """Random numbers for `thin` that are the same every time.

    Args:
        name: of the map, such as its line in a list or its file.
    """
    return np.random.default_rng([POINTS_STREAM, seed, zlib.crc32(name.encode())])


def require_input_depth(
    inputs: Collection[str], model: str, method: str, option: str = "--input_depth"
) -> None:
    """Makes sure that a model takes depth beside the image.

    Args:
        inputs: names of what it takes.
        model: where it lies, for the message.
        option: what asks for it.

    Raises:
        UserError: it does not.
    """
    if INPUT_DEPTH not in inputs:
        raise UserError(f"{model}: a model of {method} takes {', '.join(inputs)} alone; leave out {option}")


def find_input_depth(path: Path, images: Sequence[Path]) -> list[Path]:
    """The file of depth of each image: the one file of one image, or in a folder that of the image's name.

    Raises:
        UserError: there is none, or a name does not tell which.
    """
    if not path.is_dir():
        if not path.is_file():
            raise UserError(f"{path}: no such file or folder; see --input_depth")
        if len(images) > 1:
            raise UserError(
                f"{path}: one file of depth for {len(images)} images; name a folder with one for "
                "each, under the names of the images"
            )
        return [path]
    stem, times = Counter(image.stem for image in images).most_common(1)[0]
    if times > 1:
        raise UserError(f"{path}: {times} images are called {stem}; predict them one by one")
    return [_depth_of(image, path) for image in images]


def _depth_of(image: Path, folder: Path) -> Path:
    files = [folder / f"{image.stem}{suffix}" for suffix in DEPTH_SUFFIXES]
    for file in files:
        if file.is_file() and not (image.is_file() and file.samefile(image)):
            return file
    names = ", ".join(file.name for file in files[:-1])
    raise UserError(
        f"{folder}: no depth of {image}: {names} or {files[-1].name}; add it, or leave out the image"
    )


def read_input_depth(path: Path, size: tuple[int, int], share: float) -> np.ndarray:
    """Reads the depth of an image, or a share of its points: float32 (h, w), metres, 0 = unknown.

    Args:
        size: (height, width) of the image.

    Raises:
        UserError: damaged, or of another size.
    """
    depth = read_metric_depth(path)
    if depth.shape != size:
        raise UserError(
            f"{path}: depth of {depth.shape[1]}x{depth.shape[0]}, but its image has {size[1]}x{size[0]}; project it "
            "into that image"
        )
    return thin(depth, share, fixed_points(path.stem))


def network_depths(depths: Sequence[np.ndarray], preparation: Preparation) -> np.ndarray:
    """Depths (h, w) of images as a network takes them: float32 (N, 1, height, width). Nothing is cut."""
    view, medium = View(preparation.height, preparation.width), DEPTHS[preparation.input_depth]
    return np.stack([view.apply(depth, medium)[None] for depth in depths])


class WithDepthFiles:
    """Samples with an `input_depth` of a folder of files, one for each line, in the order of their names.

    Raises:
        UserError: there is another number of files.
    """

    def __init__(self, dataset: "SequenceDataset", folder: Path) -> None:
        self.dataset, self.files = dataset, find_depth_files(folder)
        if len(self.files) != len(dataset):
            raise UserError(
                f"{folder}: holds {len(self.files)} files of depth, but there are {len(dataset)} images; give "
                "one for each, in the order of the names"
            )
        self.files = in_order_of_lines(self.files, dataset.lines)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        preparation, index = self.dataset.preparation, key[1]
        size = image_size(self.dataset.target_path(index))
        depth = read_input_depth(self.files[index], size, preparation.input_depth_points)
        view = View.of(preparation, Augmentation())
        return self.dataset[key] | {INPUT_DEPTH: view.apply(depth, DEPTHS[preparation.input_depth])[None]}

    def describe(self, index: int) -> str:
        """Where a sample comes from, for messages."""
        return self.dataset.describe(index)

    def news(self) -> list[str]:
        """See `SequenceDataset.news`."""
        return self.dataset.news()
