"""Folders of images as they come: which of them are sequences, and which image is which frame."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from core.errors import UserError
from core.files.images import BadImageError, image_size
from core.files.inputs import OUTPUTS

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
# Names of images: a number, with zeros up to its width, and text around it.
NAME_FORMAT = re.compile(r"(?P<before>[^{}]*)\{(?::(?:0(?P<width>[0-9]{1,2}))?d?)?\}(?P<after>[^{}]*)")
# Of the two cameras, below the folder of a sequence; the first pair that is there counts.
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
MOST_FRAME = 10**10 - 1  # a split list has ten digits for it
MOST_DIGITS = 99
LONGEST_GAP = 1000  # in counted frames: one gap is like another, and no source is that far away


@dataclass(frozen=True)
class ImageSequence:
    """Images of one camera or stereo pair in the order in which they were taken.

    Attributes:
        folder: where they lie.
        cameras: the file of each frame, by camera: 2 (the only one, or the left) and 3 (the right).
    """

    folder: Path
    cameras: dict[int, dict[int, Path]]

    @property
    def is_stereo(self) -> bool:
        """Whether it has two cameras."""
        return len(self.cameras) > 1

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
    if len(names) == 1 or set(names[0]) & set(names[1]):
        frames = frame_numbers({stem for stems in names for stem in stems})
        numbered = [{frames[stem]: path for stem, path in stems.items()} for stems in names]
    else:  # such as left_0001.png and right_0001.png
        each = [frame_numbers(set(stems)) for stems in names]
        numbered = [{f[stem]: stems[stem] for stem in stems} for f, stems in zip(each, names, strict=True)]
        if not set(numbered[0]) & set(numbered[1]):
            raise UserError(
                f"{folder}: no two images of {pair[0].name} and {pair[1].name} have the same name"  # type: ignore[index]
            )
    return ImageSequence(folder, {2 + n: dict(sorted(images.items())) for n, images in enumerate(numbered)})


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
    """A folder and all below it in natural order; hidden ones are left out, links followed once."""
    seen = set()
    for name, folders, _ in os.walk(root, followlinks=True):
        folders[:] = sorted((f for f in folders if not f.startswith(".")), key=natural_key)
        real = os.path.realpath(name)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield Path(name)


def natural_key(text: str) -> list[str | int]:
    """Sorts `frame9` before `frame10`."""
    return [int(part) if n % 2 else part for n, part in enumerate(re.split(r"([0-9]+)", text))]


def frame_numbers(names: set[str]) -> dict[str, int]:
    """The frame of each image, by its name without extension.

    It is the last number in the name that is not the same in all (as a camera's may be), where any two differ by one.
    Where all differ by more (every fifth image of a video, times in nanoseconds) the usual difference counts as one,
    from 0 on. So a hole in the numbers is a hole in the frames: 7 and 9 are no neighbours. A change in the rest of
    the name is a hole too. Names without numbers are counted from 0 in natural order.
    """
    ordered = sorted(names, key=natural_key)
    numbers = _numbers(ordered)
    steps = [
        number - before if rest == rest_before else None
        for (rest_before, before), (rest, number) in pairwise(numbers)
    ]
    regular = sorted(step for step in steps if step)
    if len(numbers) < len(ordered) or (steps and not regular):
        return {name: frame for frame, name in enumerate(ordered)}
    usual = 1 if regular[:1] in ([], [1]) else regular[(len(regular) - 1) // 2]
    if usual == 1 and not {0, None} & set(steps) and numbers[-1][1] <= MOST_FRAME:
        return {name: number for name, (_, number) in zip(ordered, numbers, strict=True)}
    frames = [0]
    for step in steps:
        frames.append(frames[-1] + (2 if step is None else min(max(1, round(step / usual)), LONGEST_GAP)))
    return dict(zip(ordered, frames, strict=True))


def file_numbers(names: set[str]) -> dict[str, int]:
    """The number that `frame_numbers` looks at, as it is written; empty where some have none, or the same."""
    ordered = sorted(names, key=natural_key)
    numbers = [number for _, number in _numbers(ordered)]
    return dict(zip(ordered, numbers, strict=True)) if len(set(numbers)) == len(ordered) else {}


def _numbers(ordered: list[str]) -> list[tuple[str, int]]:
    """The rest and the last number that is not the same in all, of each of the names that have one."""
    split = [re.split(r"([0-9]+)", name) for name in ordered]  # numbers at odd places
    shared = min((len(parts) // 2 for parts in split), default=0)
    varying = [n for n in range(1, shared + 1) if len({int(parts[-2 * n]) for parts in split}) > 1]
    place = -2 * min(varying, default=1)
    return [
        ("".join([*parts[:place], "\0", *parts[place + 1 :]]), int(parts[place]))
        for parts in split
        if len(parts) > 1
    ]


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
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except OSError as error:
        raise UserError(
            f"{folder}: no such folder of images ({error.strerror}); check --data_path and --split"
        ) from None
    images: dict[str, Path] = {}
    for name in sorted(names):
        path = folder / name
        if path.suffix.lower() in EXTENSIONS and not name.startswith(".") and not name.endswith(OUTPUTS):
            if path.stem in images:
                raise UserError(f"{path} and {images[path.stem]} have the same name; remove one of them")
            images[path.stem] = path
    return images
