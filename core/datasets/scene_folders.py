"""Folders of scenes, `<root>/training/<scene>/`: which there are, their frames, and what lies beside their images.

training/train.txt, val.txt         a scene a line
training/<scene>/*.jpg or *.png     sorted by name
training/<scene>/cam.txt            K, 3x3, pixels of these images
training/<scene>/frame_index.txt    positions of the frames to take, from 0; optional
training/<scene>/depth/             a map of an image under its name; optional
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from core.datasets.depth_files import DEPTH_SUFFIXES
from core.datasets.frame_names import natural_key
from core.datasets.known_poses import Intrinsics
from core.datasets.sequences import images_in
from core.datasets.splits import LISTS
from core.errors import UserError
from core.faults import why_not_read
from core.files.images import BadImageError, image_size
from core.files.regular import open_regular, read_text
from core.files.whole import write_text
from core.options.base import list_name
from core.plausibility.cameras import OF_FILES, check_camera, is_camera

PARTS = ("train", "val")
CAMERA_FILE = "cam.txt"
INDEX_FILE = "frame_index.txt"
DEPTH_FOLDER = "depth"
MAX_CAMERA_BYTES = 10_000
CAMERA_CURE = "write K, rows fx 0 cx, 0 fy cy and 0 0 1, in pixels of the images beside it"


# ---- the lists -------------------------------------------------------------------------------------------


def training_folder(root: Path) -> Path:
    """The folder of the scenes: `training` in a root, or `Training`, or the root itself."""
    candidates = [root / "training", root / "Training", root]
    with_lists = [folder for folder in candidates if _has_lists(folder)]
    return next(iter(with_lists + [folder for folder in candidates if folder.is_dir()]), root)


def _has_lists(folder: Path) -> bool:
    return any(os.path.isfile(folder / f"{part}.txt") for part in PARTS)


def scene_list(folder: Path, split: str, part: str) -> Path:
    """The list of the scenes of a part: beside the scenes, or where a split says so.

    Args:
        folder: of the scenes.
        split: a folder with `train.txt` and `val.txt`, or such a list; the name of a list known by rule, as it is
            usual for other data sets, counts for nothing.
        part: train or val.

    Raises:
        UserError: it is none of these, or there is no such part.
    """
    if part not in PARTS:
        raise UserError(f"part {part!r}: folders of scenes have the lists {' and '.join(PARTS)}.txt")
    if _has_lists(Path(split)):
        return Path(split) / f"{part}.txt"
    if split and list_name(split) not in LISTS:
        if not os.path.isfile(split):
            raise UserError(
                f"split {split[:300]!r}: neither a folder with train.txt and val.txt nor a list of scenes; leave it "
                f"out to take those in {folder}"
            )
        return Path(split)
    return folder / f"{part}.txt"


def read_scenes(path: Path, folder: Path) -> list[str]:
    """The names of the scenes on a list, in their order; empty lines are skipped.

    Raises:
        UserError: the list is unreadable or empty, or names a scene twice, one that is not there or one outside.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such list; write the name of a scene per line; check --data_path"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a list of scenes: {why_not_read(error)}") from None
    names: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not (name := line.strip()):
            continue
        plain = PurePosixPath(name)
        if plain.is_absolute() or ".." in plain.parts or "\0" in name:
            raise UserError(f"{path}: line {number}: {name!r} must be the name of a folder in {folder}")
        name = plain.as_posix()
        if name in names:
            raise UserError(
                f"{path}: line {number}: scene {name} is already in line {names[name]}; remove one"
            )
        if not os.path.isdir(folder / name):  # no error where a name is longer than names can be
            raise UserError(
                f"{path}: line {number}: {str(folder / name)[:300]}: no such scene; unpack it or remove the line"
            )
        names[name] = number
    if not names:
        raise UserError(f"{path}: lists no scenes; write the name of a scene per line")
    return list(names)


# ---- a scene ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """The images of a scene in their order.

    Attributes:
        folder: where they lie.
        images: those that count as its frames 0, 1, …
    """

    folder: Path
    images: list[Path]

    @classmethod
    def read(cls, folder: Path, indexed: bool = False) -> "Scene":
        """Reads the names in a folder.

        Args:
            indexed: only those that `frame_index.txt` names.

        Raises:
            UserError: no such folder; or the index is missing or wrong.
        """
        images = list(images_in(folder).values())
        if indexed:
            images = [images[position] for position in read_frame_index(folder / INDEX_FILE, len(images))]
        return cls(folder, images)

    @cached_property
    def depths(self) -> dict[str, Path]:
        """The file of each depth map, by its name without extension."""
        folder = self.folder / DEPTH_FOLDER
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        by_suffix = [path for suffix in DEPTH_SUFFIXES for path in found if path.suffix.lower() == suffix]
        return {path.stem: path for path in reversed(by_suffix)}

    def depth_path(self, frame: int) -> Path | None:
        """The depth map of a frame; None where there is none."""
        return self.depths.get(self.images[frame].stem)

    @property
    def is_padded(self) -> bool:
        """Whether sorting the names as text keeps the order of their numbers."""
        names = [path.name for path in self.images]
        return names == sorted(names, key=natural_key)

    def intrinsics(self) -> Intrinsics:
        """fx, fy, cx, cy in units of the image size, by `cam.txt`.

        Raises:
            UserError: the file is missing, malformed or of another image; or no image is readable.
        """
        return read_camera(self.folder / CAMERA_FILE, self._image_size())

    def _image_size(self) -> tuple[int, int]:
        error: UserError = UserError(f"{self.folder}: no images")
        for path in self.images:
            try:
                return image_size(path)
            except BadImageError as bad:
                error = bad
        raise error


def read_camera(path: Path, size: tuple[int, int]) -> Intrinsics:
    """Reads `cam.txt`: K in pixels, their centres at integers; a skew is passed over.

    Args:
        size: (height, width) of the images.

    Returns:
        fx, fy, cx, cy in units of the image size, see `core.geometry.relative_intrinsics`.

    Raises:
        UserError: missing, no 3x3 numbers, or no camera of such an image.
    """
    try:
        with open_regular(path) as file:
            text = file.read(MAX_CAMERA_BYTES).decode("utf-8-sig")
        rows = [[float(word) for word in line.replace(",", " ").split()] for line in text.splitlines()]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {CAMERA_CURE}") from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read as K: {' '.join(str(error).split())}; {CAMERA_CURE}"
        ) from None
    rows = [row for row in rows if row]
    if [len(row) for row in rows] != [3, 3, 3] or not all(math.isfinite(n) for row in rows for n in row):
        raise UserError(f"{path}: not 3x3 numbers; {CAMERA_CURE}")
    (fx, _, cx), (lower, fy, cy), last = rows
    (height, width), whole = size, lower == 0 and last == [0, 0, 1]
    values = fx / width, fy / height, (cx + 0.5) / width, (cy + 0.5) / height
    if not (whole and is_camera(values)):
        raise UserError(f"{path}: no possible K of images of {width}x{height}; {CAMERA_CURE}")
    check_camera(path, values, size, cure=CAMERA_CURE, square=OF_FILES)
    return values


# ---- samples ---------------------------------------------------------------------------------------------


def target_positions(count: int, frames: Sequence[int]) -> range:
    """The frames of a scene that are targets: those whose sources exist; none unless it has more than a sample has.

    Args:
        count: frames of the scene.
        frames: of a sample, as offsets: the target 0, and its sources.
    """
    if len(frames) > 1 and count <= len(frames):
        return range(0)
    return range(-min(frames), max(-min(frames), count - max(frames)))


# ---- the index of frames ---------------------------------------------------------------------------------

INDEX_CURE = "make it with make_frame_index.py"


def read_frame_index(path: Path, count: int) -> list[int]:
    """The positions of the frames to take, among the images sorted by name.

    Args:
        count: how many images there are.

    Raises:
        UserError: missing, or not ascending positions below `count`.
    """
    try:
        words = read_text(path).split()
    except FileNotFoundError:
        raise UserError(f"{path}: no such index of frames; {INDEX_CURE}, or leave the index out") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: cannot be read as an index of frames: {why_not_read(error)}; {INDEX_CURE}"
        ) from None
    for word in words:
        if not (word.isascii() and word.isdigit() and len(word) < 10 and int(word) < count):
            raise UserError(
                f"{path}: {word[:20]!r} is no position among {count} images (0 to {count - 1}); {INDEX_CURE}"
            )
    positions = [int(word) for word in words]
    if not positions or (np.diff(positions) <= 0).any():
        raise UserError(f"{path}: must list positions of images, ascending, each once; {INDEX_CURE}")
    return positions


def write_frame_index(path: Path, positions: Sequence[int]) -> None:
    """Writes what `read_frame_index` reads, a position a line."""
    write_text(path, "".join(f"{position}\n" for position in positions))
