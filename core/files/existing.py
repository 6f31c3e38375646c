"""Which of many files exist, without asking the system for each of them."""

import os
from collections import Counter
from pathlib import Path

FEW = 16  # files of a folder that are asked for one by one: it may hold millions of others


class ExistingFiles:
    """Answers as `Path.is_file` does; a folder that many files are looked for in is listed once, and then remembered.

    What is in no list is asked for all the same: there are systems to which `A.JPG` is `a.jpg`.
    """

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._names: dict[str, frozenset[str]] = {}

    def __call__(self, path: Path) -> bool:
        """Whether it is a file, or a link to one."""
        folder, _, name = str(path).rpartition(os.sep)
        names = self._names.get(folder)
        if names is None:
            self._asked[folder] += 1
            if self._asked[folder] <= FEW:
                return path.is_file()
            names = self._names[folder] = _files_in(path.parent)
        return name in names or path.is_file()


def _files_in(folder: Path) -> frozenset[str]:
    """The names of the files in a folder; none where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if _is_file(entry))
    except OSError:
        return frozenset()


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False
