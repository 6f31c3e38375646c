"""What predict.py may replace: files that it wrote itself, told by what they say, and never one of its inputs."""

import json
import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from core.errors import UserError
from core.files.arrays import has_mark
from core.files.images import COMMENT, UNREADABLE
from core.files.listing import matching
from core.files.video import is_marked
from core.prediction.files import WRITERS, file_of

RECORD = {"unit", "scale_factor", "model"}
MAX_HEAD_BYTES = 1 << 16  # of a record, or of a point cloud's head


def files_of(stems: Iterable[Path], kinds: Sequence[str]) -> list[Path]:
    """Every file that is written for images whose results begin with these stems."""
    files = [file_of(kind, stem) for stem in stems for kind in kinds]
    return files + [
        file.with_suffix(".json") for file in files if file.name.endswith(WRITERS["disparity"][0])
    ]


def files_of_frames(stem: Path, kinds: Sequence[str]) -> list[Path]:
    """The files of an earlier video's frames, which those of this one may replace: they have a folder of their own."""
    frames = Path(f"{stem}_predictions")
    patterns = [file_of(kind, frames / "[0-9]*") for kind in kinds]
    patterns += [
        path.with_suffix(".json") for path in patterns if path.name.endswith(WRITERS["disparity"][0])
    ]
    return [file for path in patterns for file in matching(path.parent, path.name)]


def require_replaceable(outputs: Iterable[Path], inputs: Iterable[Path], overwrite: bool) -> list[Path]:
    """Makes sure, before anything is predicted, that no file is lost.

    Args:
        outputs: the files to write.
        inputs: the files that are read.
        overwrite: whether the user lets files of others be replaced.

    Returns:
        Those of others that will be replaced.

    Raises:
        UserError: an output is an input; or a file that predict.py did not write, and may not be replaced.
    """
    outputs = [path for path in outputs if os.path.lexists(path)]
    if not outputs:
        return []
    known = {identity: path for path in inputs if (identity := _identity(path)) is not None}
    for path in outputs:
        if (identity := _identity(path)) in known:
            raise UserError(
                f"{path}: is an input ({known[identity]}), and a result would replace it; name another folder by "
                "--output"
            )
    foreign = [path for path in outputs if not is_ours(path)]
    if foreign and not overwrite:
        more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
        raise UserError(
            f"{foreign[0]}{more}: not written by predict.py, and a result would replace it; name another folder by "
            "--output, or give --overwrite"
        )
    return foreign


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_ours(path: Path) -> bool:
    """Whether a file says that predict.py wrote it."""
    if not path.is_file():
        return False
    try:
        return _says_so(path)
    except (*UNREADABLE, zipfile.BadZipFile, RecursionError, NotImplementedError):
        return False


def _says_so(path: Path) -> bool:
    name = path.name
    if name.endswith(WRITERS["disparity"][0]):
        return is_ours(path.with_suffix(".json"))
    if name.endswith(".json"):
        return _record_in(path)
    if name.endswith(".npz"):
        with zipfile.ZipFile(path) as archive:
            return {f"{key}.npy" for key in RECORD | {"depth"}} <= set(archive.namelist())
    if name.endswith(".ply"):
        with path.open("rb") as file:
            head = file.read(MAX_HEAD_BYTES).partition(b"end_header\n")[0]
        return all(f"\ncomment {key}: ".encode() in head for key in RECORD)
    if name.endswith(".npy"):
        return has_mark(path)
    if name.endswith(".mp4"):
        return is_marked(path)
    with Image.open(path, formats=("PNG", "JPEG")) as image:
        return image.info.get("comment") == COMMENT or (image.format == "PNG" and image.info.keys() >= RECORD)


def _record_in(path: Path) -> bool:
    with path.open("rb") as file:
        content = file.read(MAX_HEAD_BYTES + 1)
    record = json.loads(content) if len(content) <= MAX_HEAD_BYTES else None
    return isinstance(record, dict) and record.keys() >= RECORD | {"quantity"}
