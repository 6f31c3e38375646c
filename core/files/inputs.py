"""What `--image_path` of `predict.py` may name, and where the results of each input go."""

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from core.errors import UserError, say
from core.faults import why_not_read
from core.files.listing import expand, walk
from core.files.regular import read_text

VIDEO_EXTENSIONS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")
# What an earlier run wrote beside the images is no input.
OUTPUTS = (
    *(
        "_disp.npy",
        "_disp.json",
        "_depth.npz",
        "_disp.jpeg",
        "_depth.png",
        "_points.ply",
        "_rgb_disp.png",
        "_rays.png",
    ),
    *(f"_disp{extension}" for extension in VIDEO_EXTENSIONS),
)

OUTPUT_FOLDERS = ("model_v1", "_predictions")
OTHER_IMAGES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".bmp",
    ".webp",
    ".tif",
    ".tiff",
    ".ppm",
)  # that are read, asked for or not
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

WEIGHTS = (".pth", ".pdparams", ".safetensors", ".h5", ".npz", ".ckpt", ".tar", ".gz")

Item = TypeVar("Item")


def find_images(path: str, extensions: list[str]) -> list[Path]:
    """The image of that name, the images in that folder, on that list, or those that match that pattern.

    A folder and a pattern give sorted images, a folder without any those of the folders below it; a list (`.txt`: a
    path per line, relative to the list) its own order.

    Args:
        extensions: of the images to look for in a folder, without the dot.

    Raises:
        UserError: nothing is there, or an image of a list is missing.
    """
    if Path(path).is_dir():
        return _images_of_folder(Path(path), extensions)
    if Path(path).is_file():
        return _listed_images(Path(path)) if path.lower().endswith(".txt") else [Path(path)]
    images = [file for file in expand(path) if _is_image(file)]
    if not images:
        raise UserError(f"{path}: no such image, and no image matches it as a pattern")
    return images


def _images_of_folder(folder: Path, extensions: list[str]) -> list[Path]:
    """The images of these kinds in a folder; else those of other kinds that are read; else those of folders below."""
    wanted = tuple(f".{extension.lower().lstrip('.')}" for extension in extensions)
    for endings in (wanted, OTHER_IMAGES):
        images = sorted(
            file for file in folder.iterdir() if file.name.lower().endswith(endings) and _is_image(file)
        )
        if images:
            if endings != wanted:
                kinds = ", ".join(f"*{ending}" for ending in wanted)
                say(f"{folder}: no {kinds}; taken: its {len(images)} images of other kinds")
            return images
    images = [file for below in _folders_below(folder) for file in sorted(below.iterdir())]
    images = [
        file for file in images if file.name.lower().endswith((*wanted, *OTHER_IMAGES)) and _is_image(file)
    ]
    if not images:
        files = sum(1 for file in folder.iterdir() if file.is_file())
        kinds = ", ".join(f"*{ending}" for ending in wanted)
        raise UserError(
            f"{folder}: the folder has no images {kinds}; see --ext (it holds {files} other files, and neither it nor "
            "a folder below it an image of another kind that is read)"
        )
    folders = len({file.parent for file in images})
    say(f"{folder}: no images in it; taken: the {len(images)} in {folders} folders below it")
    return images


def _folders_below(folder: Path) -> Iterator[Path]:
    for name, folders, _ in walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not f.endswith(OUTPUT_FOLDERS))
        if name != folder:
            yield name


def _is_image(file: Path) -> bool:
    return file.is_file() and not file.name.endswith(OUTPUTS)


def _listed_images(path: Path) -> list[Path]:
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a list of images: {why_not_read(error)}") from None
    images: dict[Path, None] = {}  # each once, in their order
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        image = path.parent / line.strip()
        if "\0" in line or not image.is_file():
            raise UserError(f"{path}: line {number}: {image}: no such image; paths are relative to the list")
        images[image] = None
    if not images:
        raise UserError(f"{path}: lists no images; write one path per line")
    return list(images)


def find_video(path: str) -> Path | int | None:
    """The video file or the number of the camera that `--image_path` names, None for anything else.

    Raises:
        UserError: the name of a video, but no such file; or an address.
    """
    if ADDRESS.match(path) and not Path(path).exists():
        raise UserError(f"{path}: addresses are not fetched; download it, and name the file")
    camera = re.fullmatch(r"webcam(?::(\d{1,3}))?", path)
    if camera is not None and not Path(path).exists():
        return int(camera[1] or 0)
    if not path.lower().endswith(VIDEO_EXTENSIONS) or Path(path).is_dir():
        return None
    if not Path(path).is_file():
        raise UserError(f"{path}: no such video; check the path (several videos: call once for each)")
    return Path(path)


def videos_in(path: str, extensions: list[str]) -> list[Path]:
    """The videos of a folder that has no images of these kinds, sorted; [] for anything else."""
    if not Path(path).is_dir():
        return []
    files = sorted(file for file in Path(path).iterdir() if _is_image(file))
    images = (*(f".{extension.lower().lstrip('.')}" for extension in extensions), *OTHER_IMAGES)
    if any(file.name.lower().endswith(images) for file in files):
        return []
    return [file for file in files if file.name.lower().endswith(VIDEO_EXTENSIONS)]


def output_stems(images: list[Path], output: str | None, top: Path | None = None) -> dict[Path, Path]:
    """Where the results of each image go: `<folder>/<name of the image>`, to which suffixes are added.

    Args:
        top: the folder that was named; the folders of images below it are made below `output`, too.

    Raises:
        UserError: two images would write the same files.
    """
    stems = {}
    for image in images:
        folder = image.parent if output is None else Path(output)
        if output is not None and top is not None and image.is_relative_to(top):
            folder /= image.parent.relative_to(top)
        stems[image] = folder / image.stem
    taken: dict[Path, Path] = {}
    for image, stem in stems.items():
        if stem in taken:
            raise UserError(
                f"{taken[stem]} and {image} would both be written to {stem}_*; predict them one by one"
            )
        taken[stem] = image
    return stems


def numbered_stems(images: list[Path], output: str | None) -> dict[Path, Path]:
    """Where the results of each image go that lie in a folder of their own, so that their order is that of the images.

    As `output_stems` where these names, sorted, are in that order and none comes twice, in whichever case; otherwise
    every name begins with the image's number, from 0.
    """
    names = [image.stem for image in images]
    differ = len({name.casefold() for name in names}) == len(names)
    # By the whole name of a file: "a" comes before "a-1", but "a.npy" after "a-1.npy".
    if not differ or sorted(names, key=lambda name: f"{name}.") != names:
        names = [f"{number:06d}_{name}" for number, name in enumerate(names)]
    return {image: Path(output or image.parent) / name for image, name in zip(images, names, strict=True)}


def require_no_input(options: Any, *names: str, results: Iterable[Path] = ()) -> None:
    """Makes sure that no result replaces what the same command reads.

    Args:
        options: a dataclass; every text in it that is a file, or a folder of weights, counts as read.
        names: of the options that name files to write.
        results: files in the folder that `output` names.

    Raises:
        UserError: two options name one file, or one the file of a checkpoint in the folder that another names.
    """
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    read = {
        name: Path(value) for name, value in values.items() if isinstance(value, str) and name not in names
    }
    named = [(name, Path(values[name])) for name in names if values[name] is not None]
    for name, path in [*named, *(("output", path) for path in results)]:
        if not path.is_file():
            continue
        for other, source in read.items():
            inside = source.is_dir() and path.resolve().parent == source.resolve() and _is_of_checkpoint(path)
            if inside or (source.is_file() and os.path.samefile(path, source)):
                raise UserError(
                    f"option {name}: {path} belongs to --{other}, and the result would replace it; name another file"
                )


def _is_of_checkpoint(path: Path) -> bool:
    return path.suffix in WEIGHTS or path.resolve().name in ("options.yaml", "checkpoint.json")


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`, the last one perhaps shorter; takes them only as they are needed."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
