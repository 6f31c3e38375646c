"""The one way in which files of data are opened: regular files only, for a pipe or a device would be waited for.

What is wrong raises an OSError, whose text the readers say after the file's name, as of any other.
"""

import codecs
import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MAX_TEXT_BYTES = 256 << 20  # of lists, calibrations, trajectories: the longest here has some megabytes


class NoPlainFileError(OSError):
    """A file that cannot be data: a pipe, a device, a socket, a folder, or one that is far too large."""

    def __str__(self) -> str:
        """Why, without a number: the readers say the file before it."""
        return str(self.strerror)


class Utf16Error(NoPlainFileError):
    """A text as PowerShell's > writes it."""

    cure = "save it as UTF-8"

    def __str__(self) -> str:
        """With the cure, for readers that do not ask `core.faults`."""
        return f"{self.strerror}; {self.cure}"


def open_regular(path: Path, limit: int | None = None) -> BinaryIO:
    """Opens a file for reading, in bytes.

    Args:
        limit: bytes that it may have; None: any number.

    Raises:
        OSError: absent, forbidden, no regular file, or larger than the limit.
    """
    if "\0" in str(path):
        raise NoPlainFileError(errno.EINVAL, "its name holds a zero byte", str(path))
    # Without O_NONBLOCK the opening of a pipe waits for a writer.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode) and (limit is None or status.st_size <= limit):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise NoPlainFileError(
            errno.EINVAL, "it is no regular file but a pipe, a device or a socket", str(path)
        )
    raise NoPlainFileError(errno.EFBIG, f"it has {status.st_size} bytes, far more than such files", str(path))


def read_text(path: Path, encoding: str = "utf-8-sig", limit: int = MAX_TEXT_BYTES) -> str:
    """The text of a file, its line ends as `\\n`.

    Raises:
        OSError: see `open_regular`.
        UnicodeDecodeError: it is no such text.
    """
    with open_regular(path, limit) as file:
        content = file.read()
    refuse_utf_16(path, content)
    text = content.decode(encoding)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def refuse_utf_16(path: Path, content: bytes) -> None:
    """Raises Utf16Error for such a text."""
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise Utf16Error(errno.EILSEQ, "it is UTF-16", str(path))
