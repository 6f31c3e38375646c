"""Archives of weights, unpacked so that nothing leaves the folder and nothing grows beyond measure."""

import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from core.files.whole import write_folder_atomically
from core.weights.archives import CHUNK, open_archive
from core.weights.files import MAX_FILE_BYTES, unreadable

MAX_MEMBERS = 1000


def unpack(archive: Path, folder: Path, files: Sequence[str]) -> None:
    """Unpacks a zip archive of weights: the folder inside it that holds `files`, flat, whole or not at all.

    Args:
        archive: a zip file. Where in it the files lie does not matter; what lies elsewhere is left out.
        folder: made by `write_folder_atomically`.
        files: names that must be there, such as `encoder.pth`.

    Raises:
        UserError: damaged, without these files, or anything in it has an absolute path, `..`, an odd name, is a
            link, a device, encrypted, twice there, or a bomb; or the folder cannot be written.
    """
    try:
        with open_archive(archive, MAX_FILE_BYTES) as (opened, _):
            members = _members_beside(files, opened.infolist())

            def fill(temporary: Path) -> None:
                for name, member in members.items():
                    _extract(opened, member, temporary / name)

            write_folder_atomically(folder, fill)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise unreadable(archive, "archive of weights", error, "download it again") from None


def _members_beside(files: Sequence[str], members: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """`{file name: member}` of the one folder that holds all the files. Refuses whatever is odd, wherever it lies."""
    if len(members) > MAX_MEMBERS:
        raise zipfile.BadZipFile(f"it has {len(members)} members")
    folders: dict[str, dict[str, zipfile.ZipInfo]] = {}
    for member in members:
        _check(member)
        if not member.is_dir():
            path = PurePosixPath(member.filename)
            folders.setdefault(str(path.parent), {})[path.name] = member
    holding = [inside for inside in folders.values() if set(files) <= set(inside)]
    if len(holding) != 1:
        problem = "no folder in it holds" if not holding else "several folders in it hold"
        raise zipfile.BadZipFile(f"{problem} {', '.join(files)}")
    if len({name.casefold() for name in holding[0]}) != len(holding[0]):
        raise zipfile.BadZipFile("two members have the same name but for capitals")
    return holding[0]


def _check(member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = name.removesuffix("/").split("/")
    # orig_filename: zipfile cuts a name at its first zero byte.
    odd = any(part in ("", ".", "..") for part in parts) or re.search(
        r"[\\:\x00-\x1f\x7f]", member.orig_filename
    )
    if odd:
        raise zipfile.BadZipFile(f"{name!r} is no plain name below the archive's root")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if member.is_dir() else stat.S_IFREG):
        raise zipfile.BadZipFile(f"{name!r} is a link or a device, not a file")


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    with archive.open(member) as source, open(path, "xb") as target:  # verifies length and CRC as it reads
        shutil.copyfileobj(source, target, CHUNK)
    if path.stat().st_size != member.file_size:
        raise zipfile.BadZipFile(f"{member.filename!r} is shorter than it declares")
