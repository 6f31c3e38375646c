"""What the readers share: the file is looked at before it is read, and every failure is one line that names it."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from core.errors import UserError
from core.faults import why_not_read

# Of one file: the largest networks here have half a GiB. Some formats are held in memory three times.
MAX_FILE_BYTES = 1088 << 20
# Of a checkpoint, whose numbers are read when they are needed: with an optimiser's two moments of every number.
MAX_CHECKPOINT_BYTES = 1600 << 20
# Of one tensor: 100 million numbers of float32; a convolution from 16384 to 512 channels has 75.
MAX_TENSOR_BYTES = 384 << 20
# What arrays may take beyond the file's own bytes: names that share numbers, bfloat16 that is widened.
MAX_EXTRA_BYTES = 384 << 20
TOGETHER_SUFFIXES = (".pth", ".pt", ".tar", ".ckpt", ".gz")  # of files in which authors keep whole models
GZIP_START = b"\x1f\x8b"
REASON_SHOWN = 160
CURE = "write or download it again"
CHECK_PATH = "check the path and its permissions"


def open_file(path: Path, limit: int | None = MAX_FILE_BYTES) -> tuple[BinaryIO, int]:
    """Opens a file of weights; returns it and its size in bytes. Of an archive packed by gzip that is the one inside.

    Raises:
        UserError: absent, not a regular file (a pipe would never end), or larger than `limit`; or a bad archive.
    """
    file, size = open_plain(path, limit)
    start = file.read(len(GZIP_START))
    file.seek(0)
    if start != GZIP_START:
        return file, size
    file.close()
    from core.weights.tarballs import open_tarball

    return open_tarball(path, limit)


def open_plain(path: Path, limit: int | None = None) -> tuple[BinaryIO, int]:
    """Opens a file as it is; see `open_file`.

    Raises:
        UserError: absent, not a regular file (a pipe would never end), or larger than `limit`.
    """
    try:
        # Without O_NONBLOCK the opening of a pipe waits for a writer.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of weights; {CHECK_PATH}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {why_not_read(error)}") from None
    except ValueError:  # a zero byte
        raise UserError(f"{printable(str(path))}: is no name of a file; {CHECK_PATH}") from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise UserError(f"{path}: is no regular file; {CHECK_PATH}")
    if limit is not None and status.st_size > limit:
        os.close(handle)
        raise UserError(
            f"{path}: is larger than weights can be, {limit >> 20} MiB; save only the weights of one network"
        )
    return os.fdopen(handle, "rb"), status.st_size


def is_packed(path: Path) -> bool:
    """Whether a file is an archive packed by gzip."""
    file, _ = open_plain(path)
    with file:
        return file.read(len(GZIP_START)) == GZIP_START


def allowance(size: int) -> int:
    """Bytes of arrays that a file of `size` bytes may become at once: names may share numbers, but not without limit.

    Of a checkpoint the networks are read, or the moments; never both.
    """
    return min(size, MAX_FILE_BYTES) + min(3 * size + (16 << 20), MAX_EXTRA_BYTES)


def unreadable(path: Path, kind: str, error: Exception | str, cure: str = CURE) -> UserError:
    """The error for a file that is damaged or says what it should not: one line, whatever the file put into it.

    An error that knows a cure of its own, see `core.weights.beside.ContentError`, has it in place of that.
    """
    cure = getattr(error, "cure", cure)
    return UserError(f"{path}: not a readable {kind} ({reason_of(error)}); {cure}")


def reason_of(error: Exception | str) -> str:
    """The text of an error, short and printable."""
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split()) or type(error).__name__
    text = printable(text[: REASON_SHOWN + 1])
    return text if len(text) <= REASON_SHOWN else text[:REASON_SHOWN] + "…"


def printable(text: str) -> str:
    """A text of a file, which may hold anything, in one line."""
    return "".join(character if character.isprintable() else "?" for character in text)
