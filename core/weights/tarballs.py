"""Tar archives packed by gzip, in which authors publish a file of weights: unpacked in memory, never to a folder."""

import gzip
import io
import os
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, TypeVar

import numpy as np

from core.errors import UserError
from core.weights.archives import CHUNK, FREE_BYTES, MAX_RATIO
from core.weights.files import MAX_CHECKPOINT_BYTES, MAX_TENSOR_BYTES, open_plain, unreadable
from core.weights.npz import read_array
from core.weights.strange import UNPACK

WEIGHTS = (".ckpt", ".pth", ".pt")
MAX_MEMBERS = 1000
CURE = "download it again"

Content = TypeVar("Content")


class _Bounded(io.RawIOBase):
    """What a packed file unpacks to, up to a limit: headers of an archive may ask for any amount.

    Args:
        file: packed.
        limit: bytes.
    """

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._left = gzip.GzipFile(fileobj=file, mode="rb"), limit

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left + 1 if size < 0 else min(size, self._left + 1)
        content = self._file.read(wanted)
        self._left -= len(content)
        if self._left < 0:
            raise tarfile.TarError("it unpacks to more bytes than weights can be")
        return content


def open_tarball(path: Path, limit: int | None = None) -> tuple[BinaryIO, int]:
    """The one file of weights in an archive, in memory, and its size in bytes.

    Args:
        limit: bytes that it may have.

    Raises:
        UserError: damaged, a bomb, without such a file or with several; or it is a link or a device.
    """

    def take(archive: tarfile.TarFile) -> tuple[BinaryIO, int]:
        found: tuple[BinaryIO, int] | None = None
        for member in _members(archive, WEIGHTS):
            if found is not None:
                cure = UNPACK.format(f" (tar -xzf {path.name})")
                raise UserError(f"{path}: an archive of several files of weights; {cure}")
            found = _in_memory(archive, member), member.size
        if found is None:
            raise tarfile.TarError(f"it holds no file {', '.join(WEIGHTS)}")
        return found

    return _read(path, take, limit or MAX_CHECKPOINT_BYTES)


def tarball_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays beside the weights in an archive, by the names of their files, such as `rays` of `rays.npy`.

    Raises:
        UserError: the archive or an array is damaged.
    """

    def take(archive: tarfile.TarFile) -> dict[str, np.ndarray]:
        found = {}
        for member in _members(archive, (".npy",)):
            stream = archive.extractfile(member)
            assert stream is not None
            if member.size > MAX_TENSOR_BYTES:
                raise tarfile.TarError(f"an array in it has {member.size} bytes")
            path = PurePosixPath(member.name)
            found[path.stem] = read_array(stream, member.size, path.name)
        return found

    return _read(path, take, MAX_CHECKPOINT_BYTES)


def _read(path: Path, take: Callable[[tarfile.TarFile], Content], limit: int) -> Content:
    file, size = open_plain(path)
    bounded = _Bounded(file, min(FREE_BYTES + MAX_RATIO * size, limit))
    try:
        with file, tarfile.open(fileobj=bounded, mode="r|", errorlevel=2) as archive:
            return take(archive)
    except UserError:
        raise
    except (
        tarfile.TarError,
        OSError,
        EOFError,
        ValueError,
        zlib.error,
        RuntimeError,
        OverflowError,
    ) as error:
        raise unreadable(path, "archive of weights", error, CURE) from None


def _members(archive: tarfile.TarFile, suffixes: tuple[str, ...]) -> Iterator[tarfile.TarInfo]:
    """Those regular files with such names, one after the other; hidden ones, which some systems add, are left out."""
    for number, member in enumerate(archive):
        if number >= MAX_MEMBERS:
            raise tarfile.TarError(f"it has more than {MAX_MEMBERS} members")
        name = PurePosixPath(member.name).name
        if name.endswith(suffixes) and not name.startswith("."):
            if not member.isreg() or member.issparse():
                raise tarfile.TarError(f"{name[:80]!r} in it is no regular file")
            yield member


def _in_memory(archive: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    """A file without a name that holds a member."""
    stream = archive.extractfile(member)
    assert stream is not None
    named = hasattr(os, "memfd_create")  # of Linux; elsewhere a file that has no name
    file: BinaryIO = os.fdopen(os.memfd_create("weights"), "w+b") if named else tempfile.TemporaryFile()  # noqa: SIM115
    left = member.size
    while left > 0 and (chunk := stream.read(min(CHUNK, left))):
        file.write(chunk)
        left -= len(chunk)
    if left:
        raise EOFError("it ends within its file of weights")
    file.seek(0)
    return file
