"""What lies in folders; a folder that may not be looked into is an error, and never one that holds less.

`Path.glob`, `Path.rglob`, `glob.glob` and `os.walk` pass over such a folder without a word: a data set would have fewer
images, a run no checkpoint. So nothing else calls them (`tests/core/files/test_listing.py`).
"""

import errno
import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path

from core.errors import UserError
from core.faults import in_words

MAGIC = re.compile(r"[*?[]")
ITSELF = f"{os.sep}."
NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # of a name, a file, a link to itself
# What a system keeps at the root of a disk, for itself alone: no data of anybody.
OF_SYSTEMS = ("lost+found", "System Volume Information", "$RECYCLE.BIN")


def entries(folder: Path) -> list[Path]:
    """All that lies in a folder, sorted; nothing in one that is not there, or is none.

    Raises:
        UserError: it cannot be listed or entered.
    """
    try:
        names = os.listdir(folder)
        os.stat(os.path.join(folder, "."))  # names that lead nowhere would be taken for files that are absent
    except OSError as error:
        if error.errno in NO_FOLDER:
            return []
        raise _not_listed(folder, error) from error
    return sorted(Path(folder) / name for name in names)


def matching(folder: Path, pattern: str) -> list[Path]:
    """What lies in a folder under a name of such a pattern, sorted; see `entries`.

    Raises:
        UserError: it cannot be listed or entered.
    """
    return [path for path in entries(folder) if fnmatch.fnmatch(path.name, pattern)]


def walk(root: Path, follow: bool = False) -> Iterator[tuple[Path, list[str], list[str]]]:
    """A folder and those below it, each before its own: the folder, the names of its folders, and of all else in it.

    Whoever changes the list of folders decides which are walked, and in which order. Folders of the system are left
    out.

    Args:
        follow: whether links to folders are such.

    Raises:
        UserError: one cannot be listed or entered.
    """
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        folders, others = _sorted_out(folder, follow)
        yield folder, folders, others
        waiting += [folder / name for name in reversed(folders)]


def _sorted_out(folder: Path, follow: bool) -> tuple[list[str], list[str]]:
    folders: list[str] = []
    others: list[str] = []
    try:
        with os.scandir(folder) as found:
            os.stat(os.path.join(folder, "."))
            for entry in found:
                (folders if _is_folder(entry, follow) else others).append(entry.name)
    except OSError as error:
        raise _not_listed(folder, error) from error
    return [name for name in folders if name not in OF_SYSTEMS], others


def _is_folder(entry: "os.DirEntry[str]", follow: bool) -> bool:
    try:
        return entry.is_dir() and (follow or not entry.is_symlink())
    except PermissionError:
        raise
    except OSError:  # a link to itself
        return False


def expand(pattern: str) -> list[Path]:
    """What matches a pattern, sorted, as a shell finds it: hidden names only where the pattern says so.

    Raises:
        UserError: a folder that may hold matches cannot be listed or entered.
    """
    places, path = [Path()], Path(pattern)
    if path.anchor:
        places = [Path(path.anchor)]
    for part in path.parts[1 if path.anchor else 0 :]:
        places = [found for place in places for found in _below(place, part)]
    return sorted(places)


def _below(folder: Path, part: str) -> list[Path]:
    if not MAGIC.search(part):
        return [folder / part] if os.path.lexists(folder / part) else []
    hidden = part.startswith(".")
    return [
        path
        for path in matching(folder, part)
        if (hidden or not path.name.startswith(".")) and path.name not in OF_SYSTEMS
    ]


def _not_listed(folder: Path, error: OSError) -> UserError:
    """Of the folder itself, or of what a link in it leads to."""
    place = os.path.dirname(error.filename) if str(error.filename).endswith(ITSELF) else error.filename
    return UserError(f"{place or folder}: cannot be listed: {'; '.join(in_words(error))}")
