"""Folders of images as they come: which of them are sequences, and which image is which frame."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from core.datasets.frame_names import (
    MOST_FRAME,
    ONE_MOMENT,
    describe_pairs,
    file_numbers,
    find_pairs,
    frame_numbers,
    natural_key,
)
from core.errors import UserError
from core.files.images import BadImageError, image_size
from core.files.inputs import OUTPUTS
from core.files.listing import entries, walk

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
# Names of images: a number, with zeros up to its width, and text around it.
NAME_FORMAT = re.compile(r"(?P<before>[^{}]*)\{(?::(?:0(?P<width>[0-9]{1,2}))?d?)?\}(?P<after>[^{}]*)")
# Of the two cameras, below the folder of a sequence; the first pair that is there counts.
MOST_FOLDERS = 100_000  # below a data folder; the largest collections have a fifth
STEREO_FOLDERS = (
    ("left", "right"),
    ("Left", "Right"),
    ("image_left", "image_right"),
    ("image_02/data", "image_03/data"),
    ("image_02", "image_03"),
    ("image_2", "image_3"),
    ("image_0", "image_1"),
    ("cam0/data", "cam1/data"),
    ("rgb", "rgb2"),
)
MOST_DIGITS = 99


@dataclass(frozen=True)
class ImageSequence:
    """Images of one camera or stereo pair in the order in which they were taken.

    Attributes:
        folder: where they lie.
        cameras: the file of each frame, by camera: 2 (the only one, or the left) and 3 (the right).
        numbers: what lists and poses call each frame: the number in its name; empty where that is the frame.
        notes: what the user should know of how they were read, a line each.
    """

    folder: Path
    cameras: dict[int, dict[int, Path]]
    numbers: Mapping[int, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_stereo(self) -> bool:
        """Whether it has two cameras."""
        return len(self.cameras) > 1

    def number_of(self, frame: int) -> int:
        """What lists and poses call a frame."""
        return self.numbers.get(frame, frame)

    def frame_of(self, number: int) -> int | None:
        """The frame that a list or a pose means; also of an image that is missing where the others are regular.

        None where no image may have that number.
        """
        if not self.numbers:
            return number
        return self._frames[number] if number in self._frames else self._frame_between(number)

    def written_numbers(self) -> dict[int, int | None]:
        """The number in the name of each image of the only or left camera, by frame; None where they have none."""
        stems = {frame: path.stem for frame, path in self.cameras[2].items()}
        numbers = file_numbers(set(stems.values()))
        return {frame: numbers.get(stem) for frame, stem in stems.items()}

    @cached_property
    def _frames(self) -> dict[int, int]:
        return {number: frame for frame, number in self.numbers.items()}

    def _frame_between(self, number: int) -> int | None:
        """Of a hole, at whole steps from the image before."""
        known = sorted(self._frames)
        steps = sorted(
            (after - before) / (self._frames[after] - self._frames[before])
            for before, after in pairwise(known)
            if self._frames[after] > self._frames[before]
        )
        before = max((one for one in known if one < number), default=known[0])
        count = (number - before) / steps[len(steps) // 2] if steps else 0.5
        frame = self._frames[before] + round(count)
        return frame if abs(count - round(count)) <= ONE_MOMENT and frame not in self.numbers else None

    def image_size(self) -> tuple[int, int]:
        """(height, width) of its first readable image.

        Raises:
            BadImageError: none is readable.
        """
        return image_size(self.first_image())

    def first_image(self) -> Path:
        """Its first readable image.

        Raises:
            BadImageError: none is readable.
        """
        for path in self.cameras[2].values():
            try:
                image_size(path)
                return path
            except BadImageError as bad:
                error = bad
        raise error


def sizes_of(files: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """(height, width) of each image, by its header; without those that are missing or unreadable."""
    sizes = {}
    for file in files:
        try:
            sizes[file] = image_size(file)
        except BadImageError:  # what to do about it is for whoever reads it
            continue
    return sizes


def read_sequence(folder: Path) -> ImageSequence:
    """Reads the names in a folder of images, or in those of two cameras, see `STEREO_FOLDERS`.

    Raises:
        UserError: there are no images, or no moment was seen by both cameras.
    """
    pair = _stereo_folders(folder)
    names = [images_in(camera) for camera in pair or (folder,)]
    if not all(names):
        raise UserError(f"{folder}: no images ({', '.join(EXTENSIONS)}); check --data_path and --split")
    notes: tuple[str, ...] = ()
    moments = [{stem: stem for stem in stems} for stems in names]  # of each image
    if pair is not None:
        pairs = find_pairs(*names)
        if not pairs.paired:
            left, right = (camera.relative_to(folder) for camera in pair)
            raise UserError(
                f"{folder}: no two images of {left} and {right} have the same name, number or time (to "
                f"{ONE_MOMENT:.0%} of the usual step); give the two images of a moment the same name"
            )
        moments[1] = pairs.names
        notes = (f"{folder}: {describe_pairs(pairs)}",) if pairs.by_time else ()
    every = {moment for of_camera in moments for moment in of_camera.values()}
    frames = frame_numbers(every)
    numbered = [
        {frames[of_camera[stem]]: path for stem, path in stems.items() if stem in of_camera}
        for stems, of_camera in zip(names, moments, strict=True)
    ]
    cameras = {2 + n: dict(sorted(images.items())) for n, images in enumerate(numbered)}
    return ImageSequence(folder, cameras, _list_numbers(frames), notes)


def _list_numbers(frames: dict[str, int]) -> dict[int, int]:
    """`ImageSequence.numbers`: those in the names, where each has one that fits into a list."""
    numbers = file_numbers(set(frames))
    if not numbers or numbers == frames or max(numbers.values()) > MOST_FRAME:
        return {}
    return {frames[name]: number for name, number in numbers.items()}


def find_sequences(root: Path) -> dict[str, ImageSequence]:
    """All sequences below a folder, by their path from there; `.` is the folder itself.

    Raises:
        UserError: there are none, or a name has a blank, which would tear the lines of a split list.
    """
    found = {}
    for folder in folders_below(root):
        if "proj_depth" in folder.relative_to(root).parts:  # KITTI's depth, no images
            continue
        if _stereo_folders(folder) or (images_in(folder) and not _is_of_pair(folder)):
            found[folder.relative_to(root).as_posix()] = read_sequence(folder)
    if not found:
        raise UserError(
            f"{root}: holds no images ({', '.join(EXTENSIONS)}) and no folders of them; check --data_path"
        )
    for name in found:
        if re.search(r"\s", name):
            raise UserError(f"{root / name}: a blank in the name of a sequence tears split lists; rename it")
    return found


def named_sequences(root: Path, name_format: str) -> dict[str, ImageSequence]:
    """The sequences of one camera below a folder, of the images whose names a format makes.

    Args:
        name_format: such as `{:010d}` or `frame{}`, without the extension; the number is the frame.

    Raises:
        UserError: it is no such format, or no image has such a name.
    """
    pattern = _name_pattern(name_format)
    found, others = {}, []
    for folder in folders_below(root):
        frames = {}
        for stem, path in images_in(folder).items():
            if match := pattern.fullmatch(stem):
                frames[int(match["number"])] = path
            else:
                others.append(path)
        if frames:
            name = folder.relative_to(root).as_posix()
            found[name] = ImageSequence(folder, {2: dict(sorted(frames.items()))})
    if not found:
        there = f"the first of {len(others)} is {min(others)}" if others else "there are none at all"
        raise UserError(f"{root}: no image has a name of the form {name_format!r}; {there}; change the form")
    return found


def _name_pattern(name_format: str) -> re.Pattern[str]:
    parts = NAME_FORMAT.fullmatch(name_format)
    if parts is None:
        raise UserError(
            f"split {name_format!r}: is no form of an image's name; it has one number, such as {{:010d}} or frame{{}}"
        )
    width = int(parts["width"] or 1)
    number = f"(?P<number>[0-9]{{{width}}}|[1-9][0-9]{{{width},{MOST_DIGITS}}})"
    return re.compile(re.escape(parts["before"]) + number + re.escape(parts["after"]))


def folders_below(root: Path) -> Iterator[Path]:
    """A folder and all below it in natural order; hidden ones are left out, links followed once.

    A link to a folder that the root lies in, such as `/`, is not followed: what is there does not belong to it.

    Raises:
        UserError: there are far more folders than data have.
    """
    seen: set[str] = set()
    around = {str(folder) for folder in Path(os.path.realpath(root)).parents}
    for name, folders, _ in walk(root, follow=True):
        folders[:] = sorted((f for f in folders if not f.startswith(".")), key=natural_key)
        real = os.path.realpath(name)
        if real in seen or real in around:
            folders.clear()
            continue
        if len(seen) == MOST_FOLDERS:
            raise UserError(
                f"{root}: more than {MOST_FOLDERS} folders, such as {name}; name the folder of the data, "
                "or remove the link that leads out of it"
            )
        seen.add(real)
        yield name


def _stereo_folders(folder: Path) -> tuple[Path, Path] | None:
    for left, right in STEREO_FOLDERS:
        if (folder / left).is_dir() and (folder / right).is_dir():
            return folder / left, folder / right
    return None


def _is_of_pair(folder: Path) -> bool:
    """Whether a folder is that of one camera of a sequence."""
    above = (folder.parent, folder.parent.parent)
    return any(folder in (_stereo_folders(sequence) or ()) for sequence in above)


def images_in(folder: Path) -> dict[str, Path]:
    """The images in a folder by their names without extension; not what predict.py wrote beside them.

    Raises:
        UserError: the folder cannot be read, or two images differ in their extension only.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of images; check --data_path and --split")
    images: dict[str, Path] = {}
    for path in entries(folder):
        hidden = path.name.startswith(".")
        if path.suffix.lower() in EXTENSIONS and not hidden and not path.name.endswith(OUTPUTS):
            if path.stem in images:
                raise UserError(f"{path} and {images[path.stem]} have the same name; remove one of them")
            images[path.stem] = path
    return images
