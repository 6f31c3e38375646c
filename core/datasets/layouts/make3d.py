"""The test set of Make3D (Saxena et al. 2009): photographs, each with a grid of laser depth. For evaluation only.

Both are cut to the middle whose width is twice its height, as Godard et al. (2017; 2019) evaluate.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.datasets.evaluated_images import EvaluatedImages
from core.datasets.ground_truth import SparseDepth
from core.datasets.mat_file import read_mat_array
from core.datasets.sample import Sample, image_key
from core.errors import UserError
from core.files.images import BadImageError, load_image, resize, to_array
from core.files.listing import walk
from core.options import EvaluationOptions
from core.options.needs import Preparation
from core.plausibility.truth import check_truth

PUBLISHED_IMAGES = 134
IMAGE, DEPTH = ("img-", ".jpg"), ("depth_sph_corr-", ".mat")  # before and after the name of a photograph
GRID, GRID_SHAPE = "Position3DGrid", (55, 305, 4)  # the last of the four is the depth in metres
MAX_METRES = 1e6  # NaN is not below either
GRID_ROWS = 21  # 55 · 852 / 2272 = 20.6: 852 of the 2272 rows of an image 1704 wide are kept


@dataclass(frozen=True)
class Photograph:
    """An image and its depth, two files."""

    image: Path
    depth: Path

    def __str__(self) -> str:
        return self.image.stem

    def ground_truth(self) -> SparseDepth:
        """The middle 21 rows of the grid, (21, 305), metres; what is not above 0 is unknown.

        Raises:
            UserError: the file is damaged or holds something else.
        """
        cure = "unpack Make3D's depth again"
        grid = read_mat_array(self.depth, GRID, cure)
        if grid.shape != GRID_SHAPE:
            shapes = " instead of ".join("x".join(map(str, shape)) for shape in (grid.shape, GRID_SHAPE))
            raise UserError(f"{self.depth}: {GRID} has shape {shapes}; {cure}")
        depth = grid[centre(GRID_SHAPE[0], GRID_ROWS), :, 3]
        if not (np.abs(depth) < MAX_METRES).all():
            raise UserError(f"{self.depth}: {GRID} holds depths that are no metres; {cure}")
        return SparseDepth.from_dense(depth, str(self))


class Make3D:
    """Samples (see `core/datasets/sample.py`) of nothing but `image_0_0`: `dataset[(epoch, index)]`."""

    def __init__(self, photographs: list[Photograph], height: int, width: int) -> None:
        """Prepares; loads nothing.

        Args:
            height, width: size of the samples.
        """
        self.photographs, self.height, self.width = photographs, height, width

    def __len__(self) -> int:
        return len(self.photographs)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """The middle of a photograph, resized.

        Raises:
            UserError: the image is missing, damaged, or not upright with sides of 4:3.
        """
        path = self.photographs[key[1]].image
        image = load_image(path)
        width, height = image.size
        if 3 * height != 4 * width:
            raise BadImageError(
                path,
                f"is {height}x{width} (height x width), not 2272x1704 or as 4:3; unpack the images again",
            )
        rows = centre(height, width // 2)
        image = image.crop((0, rows.start, width, rows.stop))
        return {image_key(0): to_array(resize(image, self.height, self.width))}

    def describe(self, index: int) -> str:
        """Where a sample comes from, for messages."""
        return str(self.photographs[index].image)


class Make3DImages(EvaluatedImages):
    """All photographs below `data_path`.

    Raises:
        UserError: see `find_photographs`.
    """

    def __init__(self, options: EvaluationOptions) -> None:
        self.root, self.limit = Path(options.data_path), options.chosen_protocol.subject.cap
        self.photographs = find_photographs(self.root)
        self.names, self.notes = [str(photograph) for photograph in self.photographs], []
        if len(self.photographs) != PUBLISHED_IMAGES:
            self.notes.append(
                f"{options.data_path}: {len(self.photographs)} images; the published numbers are of Make3D's "
                f"{PUBLISHED_IMAGES} test images"
            )

    def truths(self) -> list[SparseDepth]:
        """The grids of the laser."""
        maps = [photograph.ground_truth() for photograph in self.photographs]
        # What the scanner did not reach is all of about 80 m, and is not compared.
        near = [depth.values[depth.values < self.limit] for depth in maps]
        of_metres = sum(map(np.size, near)) > sum(depth.values.size for depth in maps) / 2
        values = near if of_metres else [depth.values for depth in maps]
        check_truth(f"{DEPTH[0]}*{DEPTH[1]} in {self.root}", values, self.names)
        return maps

    def samples(self, preparation: Preparation) -> Make3D:
        """Their middles."""
        return Make3D(self.photographs, preparation.height, preparation.width)


def centre(length: int, rows: int) -> slice:
    """The middle `rows` of `length` rows."""
    first = (length - rows) // 2
    return slice(first, first + rows)


def find_photographs(root: Path) -> list[Photograph]:
    """All photographs in a folder and below, in the order of their names.

    Raises:
        UserError: no such folder, no image in it, an image without its depth, or a name twice.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; --data_path must hold Make3D's images and depth")
    images, depths = _by_name(root, *IMAGE), _by_name(root, *DEPTH)
    if not images:
        raise UserError(f"{root}: no {'*'.join(IMAGE)} in it or below; unpack Make3D's Test134 there")
    missing = [name for name in images if name not in depths]
    if missing:
        raise UserError(
            f"{root}: no {missing[0].join(DEPTH)} in it or below, which {images[missing[0]]} needs "
            f"({len(missing)} are missing); unpack Make3D's depth there, or remove the image"
        )
    return [Photograph(image, depths[name]) for name, image in images.items()]


def _by_name(root: Path, prefix: str, suffix: str) -> dict[str, Path]:
    """The files `<prefix><name><suffix>` by name."""

    def fits(name: str) -> bool:
        return len(name) >= len(prefix + suffix) and name.startswith(prefix) and name.endswith(suffix)

    found: dict[str, Path] = {}
    paths = [folder / name for folder, _, names in walk(root) for name in names if fits(name)]
    for path in sorted(paths, key=lambda path: path.name):
        name = path.name[len(prefix) : -len(suffix)]
        if not path.is_file():
            continue
        if name in found:
            raise UserError(f"{path}: the same name as {found[name]}; keep one of them")
        found[name] = path
    return found
