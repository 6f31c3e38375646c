"""A folder of test images: `<root>/testing/color/*.png`, `depth/`, and, for what moves, `seg_mask/`.

The files of each are taken in the order of their names: the first depth is that of the first image, and so on. Depth is
whatever `core.datasets.depth_files` reads. For evaluation only.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.datasets.depth_files import find_depth_files, read_depth
from core.datasets.evaluated_images import EvaluatedImages, OnDemand, checked_truths, size_of
from core.datasets.known_poses import Intrinsics
from core.datasets.sample import Frame
from core.datasets.samples import SequenceDataset
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.faults import why_not_read
from core.files.images import load_image
from core.files.regular import read_text
from core.options import EvaluationOptions
from core.options.needs import Needs, Preparation

FOLDER, COLOUR, DEPTH, MASKS = "testing", "color", "depth", "seg_mask"
IMAGES = (".png", ".jpg", ".jpeg")
COLOURS_FILE = "dynamic_colors.txt"
MAX_COLOURS = 1 << 12
COLOURS_CURE = "a line is three whole numbers from 0 to 255, red green blue, the colour of what moves"


class TestingSamples(SequenceDataset):
    """The images of a folder, each a line of its own; samples of nothing but `image_0_0`."""

    __test__ = False  # for pytest

    def __init__(self, files: Sequence[Path], preparation: Preparation) -> None:
        """Prepares; loads nothing."""
        self.files = files
        lines = [SplitLine(COLOUR, number) for number in range(len(files))]
        super().__init__(str(files[0].parent), lines, Needs(augmented=False, intrinsics=False), preparation)

    def image_path(self, line: SplitLine, frame: Frame) -> Path:
        """The file of a line."""
        return self.files[line.frame]

    def intrinsics(self, line: SplitLine) -> Intrinsics:
        """Nobody says."""
        raise UserError(f"{self.root}: test images have no intrinsics")

    def describe(self, index: int) -> str:
        """The file."""
        return str(self.files[index])

    def _open(self, png: bool | None) -> None:
        """The files are known."""


class TestingImages(EvaluatedImages):
    """All images of `<data_path>/testing`, or of the folder itself; or saved depth and truth, which need no image.

    Args:
        options: of the evaluation.

    Raises:
        UserError: a folder is missing, empty, or has another number of files than the others.
    """

    __test__ = False  # for pytest

    def __init__(self, options: EvaluationOptions) -> None:
        self.notes = []
        self.kind = options.chosen_protocol.subject.name
        seen = options.load_weights_folder is not None
        own = options.gt_depth is None or seen  # whether anything is read below data_path
        root = find_folder(Path(options.data_path)) if own else None
        self.images = _find_images(root, required=seen) if root is not None else []
        self.depths = [] if options.no_eval else self._find_depths(options, root)
        self.names = [file.stem for file in self.images or self.depths]
        self._sequence = root.name if root is not None else str(options.gt_depth)
        self.masks, self.colours = self._find_masks(options, root)

    @property
    def sequences(self) -> list[str]:
        """One."""
        return [self._sequence] * len(self.names)

    def truths(self) -> OnDemand[np.ndarray]:
        """Dense maps."""
        truths = OnDemand(self.depths, lambda path: read_depth(path, self.kind))
        sizes = [size_of(file) for file in self.images]
        return checked_truths(f"true depth in {self.depths[0].parent}", truths, self.names, sizes)

    def regions(self) -> OnDemand[np.ndarray] | None:
        """Where the masks have a colour of the list."""
        return OnDemand(self.masks, self._moving) if self.masks else None

    def samples(self, preparation: Preparation) -> TestingSamples:
        """The images."""
        return TestingSamples(self.images, preparation)

    def _moving(self, path: Path) -> np.ndarray:
        return np.isin(_codes(np.asarray(load_image(path))), self.colours)

    def _find_depths(self, options: EvaluationOptions, root: Path | None) -> list[Path]:
        if options.gt_depth is None:
            assert root is not None
            folder = _child(root, DEPTH) or root / DEPTH
        else:
            folder = Path(options.gt_depth)
        files = find_depth_files(folder)
        if self.images:
            _require_as_many(folder, files, "depth files", self.images)
        return files

    def _find_masks(self, options: EvaluationOptions, root: Path | None) -> tuple[list[Path], np.ndarray]:
        """The files of masks, and the colours of what moves; none where nobody asks for them or has them."""
        nothing: tuple[list[Path], np.ndarray] = [], np.zeros(0, np.int64)
        if options.no_eval:
            return nothing
        if options.seg_mask is not None:
            folder: Path | None = Path(options.seg_mask)
        else:
            folder = None if root is None or options.gt_depth is not None else _child(root, MASKS)
        if folder is None:
            return nothing
        listed = [place / COLOURS_FILE for place in (folder, folder.parent)]
        found = [file for file in listed if file.is_file()]
        if not found and options.seg_mask is None:
            self.notes.append(
                f"{folder}: without {COLOURS_FILE} nobody knows what moves; put one there for metrics of dynamic pixels"
            )
            return nothing
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder of masks; check --seg_mask")
        if not found:
            raise UserError(f"{listed[0]}: no such file; {COLOURS_CURE}")
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".png" and file.is_file())
        _require_as_many(folder, files, "masks, .png files,", self.depths)
        return files, read_colours(found[0])


def find_folder(data_path: Path) -> Path:
    """The folder of the test images: `testing` in a folder, in whichever case, or that folder itself.

    Raises:
        UserError: there is none.
    """
    if not data_path.is_dir():
        raise UserError(
            f"{data_path}: no such folder; --data_path must hold {FOLDER}/{COLOUR} and {FOLDER}/{DEPTH}"
        )
    folder = _child(data_path, FOLDER) or data_path
    if _child(folder, COLOUR) is None and _child(folder, DEPTH) is None:
        raise UserError(f"{data_path}: holds no {FOLDER}/{COLOUR} and {FOLDER}/{DEPTH}; check --data_path")
    return folder


def read_colours(path: Path) -> np.ndarray:
    """The colours of a list, red green blue a line: int64 (n,), red · 65536 + green · 256 + blue.

    Raises:
        UserError: the file is no such list.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: cannot be read as a list of colours: {why_not_read(error)}; {COLOURS_CURE}"
        ) from None
    rows = []
    for number, line in enumerate(lines, 1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        whole = all(word.isascii() and word.isdigit() and len(word) < 4 and int(word) < 256 for word in words)
        if len(words) != 3 or not whole:
            raise UserError(f"{path}: line {number}: {line.strip()[:80]!r}; {COLOURS_CURE}")
        rows.append([int(word) for word in words])
    if not 0 < len(rows) <= MAX_COLOURS:
        raise UserError(f"{path}: lists {len(rows)} colours, not 1 to {MAX_COLOURS}; {COLOURS_CURE}")
    return _codes(np.array(rows))


def _codes(colours: np.ndarray) -> np.ndarray:
    """(…, 3) → int64 (…)."""
    return np.asarray(colours.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1]))


def _child(folder: Path, name: str) -> Path | None:
    """The folder of that name in whichever case, if it is there."""
    found = [path for path in folder.iterdir() if path.name.lower() == name and path.is_dir()]
    return min(found, key=lambda path: path.name != name, default=None)


def _find_images(root: Path, required: bool) -> list[Path]:
    folder = _child(root, COLOUR) or root / COLOUR
    if not folder.is_dir() and not required:
        return []
    files = (
        [] if not folder.is_dir() else [file for file in folder.iterdir() if file.suffix.lower() in IMAGES]
    )
    if not files:
        raise UserError(
            f"{folder}: no images {', '.join(f'*{ending}' for ending in IMAGES)} in it; check --data_path"
        )
    return sorted(files)


def _require_as_many(folder: Path, files: list[Path], what: str, others: list[Path]) -> None:
    if len(files) != len(others):
        raise UserError(
            f"{folder}: holds {len(files)} {what} but {others[0].parent} holds {len(others)} files; each belongs to "
            "one of the others, in the order of the names"
        )
