"""Temporary files and folders, each locked by the process that writes it: what nobody holds was left by a kill.

A lock ends with its process, however that ends. It is one of the file itself, for a second file beside each, as the
package filelock makes, would be left by a kill as well, and a result may be 100,000 files. Where there are no such
locks (Windows, some disks of a network), nothing is taken for stale, and nothing cleared.
"""

import contextlib
import os
import re
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

MARK = "-unfinished-"
NAME = re.compile(rf"\..*{MARK}[a-z0-9_]{{8}}(\.\w+)?", re.DOTALL)
LONGEST_NAME = 40  # characters of the file's own name in the temporary one, which may have 255 bytes
INTERVAL = 60.0  # seconds after which a folder is looked at again: it may hold 100,000 files
_looked: dict[Path, float] = {}


def make_file(path: Path) -> tuple[Path, int | None]:
    """A new file beside another, of the same extension, and its lock, for `release`.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        prefix, suffix = f".{path.stem[:LONGEST_NAME]}{MARK}", path.suffix
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=path.parent)
        if _hold(handle, Path(name)):
            return Path(name), handle


def make_folder(name: str, parent: Path) -> tuple[Path, int | None]:
    """A new folder beside the one of that name, and its lock, for `release`.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{name[:LONGEST_NAME]}{MARK}", dir=parent))
        if fcntl is None:
            return folder, None
        handle = os.open(folder, os.O_RDONLY)
        if _hold(handle, folder):
            return folder, handle


def release(lock: int | None) -> None:
    """Lets go of the lock of a file or folder that has its own name by now, or is removed."""
    if lock is not None:
        os.close(lock)


def clear(folder: Path) -> None:
    """Removes what killed processes left in a folder: of these names, and held by nobody. Errors are passed over."""
    now, folder = time.monotonic(), folder.absolute()
    if fcntl is None or now - _looked.get(folder, -INTERVAL) < INTERVAL:
        return
    _looked[folder] = now
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if NAME.fullmatch(entry.name)]:
            with contextlib.suppress(OSError):
                _remove(folder / name)


def remove_folder(folder: Path) -> None:
    """Removes a folder of ours with all that is in it, also folders that were made such that nobody may write there."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        return
    for name, folders, _ in os.walk(folder):
        for path in [name, *(os.path.join(name, below) for below in folders)]:
            with contextlib.suppress(OSError):
                if not os.path.islink(path):
                    os.chmod(path, stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)


def _hold(handle: int, path: Path) -> bool:
    """Locks a new file or folder; False where another process has taken it for stale in between, and removed it."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # a disk without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
    if path.exists():
        return True
    os.close(handle)
    return False


def _remove(path: Path) -> None:
    """Removes what is stale.

    Raises:
        OSError: somebody holds it, or it cannot be removed.
    """
    kind = path.lstat().st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        return
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if stat.S_ISDIR(kind):
            remove_folder(path)
        else:
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)
