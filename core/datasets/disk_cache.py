"""Resized images in a folder, for the epochs and runs to come; shared by threads and processes.

An entry is a file of raw numbers whose type and shape are known beforehand: reading it runs nothing and cannot ask for
more memory than an image takes. Its name follows from all that its numbers follow from; its head says that name again
and a checksum.
"""

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL

from core.files.whole import require_writable_folder
from core.options.needs import Preparation

VERSION = b"resized1"  # another one where the same file gives other numbers
NAME_BYTES, SUM_BYTES = 32, 4
HEAD = len(VERSION) + NAME_BYTES + SUM_BYTES
RESERVE = 4 << 30  # bytes of the disk that stay free for what cannot be made again
END = ".image"


class DiskCache:
    """Images of one preparation in files of a folder.

    A file that is damaged, not regular, or of something else is never used: it is replaced. Where the disk is nearly
    full, or cannot be written, nothing more is kept, which is said once.

    Args:
        folder: made when the first image is kept.
        preparation: size, filter and what is cut.
        say: takes what the user should know, a line.

    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(self, folder: Path, preparation: Preparation, say: Callable[[str], None]) -> None:
        require_writable_folder(folder, "cache")
        self.folder, self._say = folder, say
        self._shape = preparation.height, preparation.width, 3
        self._type = np.dtype("<f4" if preparation.filter == "float_bilinear" else "u1")
        # Decoding and resizing are Pillow's: another one may round otherwise.
        of_all = (self._shape, preparation.filter, list(preparation.border_crop or ()), PIL.__version__)
        self._of_all = repr(of_all).encode()
        self._bytes = HEAD + int(np.prod(self._shape)) * self._type.itemsize
        self._lock, self._full, self._damaged = threading.Lock(), False, False

    def get(self, path: Path, way: bool | None) -> np.ndarray | None:
        """The array of a file, read-only; None where it is not kept, or the file has changed since.

        Args:
            way: whether mirrored before it was resized; None: neither way differs, see `image_cache`.
        """
        name = self._name(path, way)
        if name is None:
            return None
        content = self._read(self._file(name))
        if content is None:
            return None
        if not self._is_whole(content, name):
            self._tell_damaged(self._file(name))
            return None
        return np.frombuffer(content, self._type, offset=HEAD).reshape(self._shape)

    def put(self, path: Path, way: bool | None, array: np.ndarray) -> None:
        """Keeps the array of a file, if there is room."""
        name = self._name(path, way)
        if name is None or self._full or array.shape != self._shape or array.dtype != self._type:
            return
        numbers = np.ascontiguousarray(array).tobytes()
        file = self._file(name)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(file.parent).free < RESERVE:
                self._stop(f"less than {RESERVE >> 30} GiB are free")
                return
            _replace(file, VERSION + name + zlib.crc32(numbers).to_bytes(SUM_BYTES, "little") + numbers)
        except OSError as error:
            self._stop(error.strerror or str(error))

    def _name(self, path: Path, way: bool | None) -> bytes | None:
        """What the numbers of an image follow from, hashed; None where its file is gone."""
        try:
            found = os.stat(path)
        except OSError:
            return None
        place = os.fsencode(os.path.abspath(path))
        of_file = f"{found.st_size} {found.st_mtime_ns} {way}".encode()
        return hashlib.sha256(b"\0".join([VERSION, self._of_all, of_file, place])).digest()

    def _file(self, name: bytes) -> Path:
        """One of 256 folders, so that none has too many files."""
        text = name.hex()
        return self.folder / text[:2] / f"{text[2:]}{END}"

    def _read(self, file: Path) -> bytes | None:
        """What a regular file of the right size holds; empty where it is another one, None where there is none."""
        # A link may lead anywhere, and a pipe would never end.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            handle = os.open(file, flags | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            return None
        except OSError:
            return b""
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or found.st_size != self._bytes:
                return b""
            with os.fdopen(handle, "rb", closefd=False) as stream:
                return stream.read(self._bytes + 1)
        except OSError:
            return b""
        finally:
            os.close(handle)

    def _is_whole(self, content: bytes, name: bytes) -> bool:
        numbers = memoryview(content)[HEAD:]
        head = VERSION + name + zlib.crc32(numbers).to_bytes(SUM_BYTES, "little")
        return len(content) == self._bytes and content.startswith(head)

    def _tell_damaged(self, file: Path) -> None:
        with self._lock:
            told, self._damaged = self._damaged, True
        if not told:
            self._say(
                f"option cache: {file}: damaged, or none of this cache; made anew, like others of its kind"
            )

    def _stop(self, why: str) -> None:
        with self._lock:
            told, self._full = self._full, True
        if not told:
            self._say(f"option cache: {self.folder}: {why}; no further images are kept there")


def _replace(file: Path, content: bytes) -> None:
    """Puts a file in place, whole or not at all; not waited for until it is on the disk: a checksum tells."""
    handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.replace(temporary, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
