"""Zip files and streams that cannot grow: what they declare is compared with what they are before it is unpacked."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from core.weights.files import open_file

CHUNK = 1 << 20
MAX_DIRECTORY_BYTES = 4 << 20  # of the central directory: some ten thousand members
# Ground truth compresses 20:1, zeros 1000:1.
MAX_RATIO = 64
FREE_BYTES = 256 << 20  # small files may unpack to this, whatever the ratio
# Of these Python unpacks no more than is asked for; of bzip2 and LZMA a block, whose size the file chooses.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 1
MAX_LINE_BYTES = 64 << 10  # of a pickle: names and numbers


class _Bounded(io.BufferedReader):
    """A file that `zipfile` cannot make read an endless directory."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__(io.FileIO(file.fileno(), closefd=False))
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(self._size - self.tell(), 0)
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its list of members is too long")
        return super().read(wanted)


@contextmanager
def open_archive(path: Path, limit: int) -> Iterator[tuple[zipfile.ZipFile, int]]:
    """Opens a zip file; yields it and the size of the file in bytes.

    Args:
        limit: bytes that it may unpack to.

    Raises:
        UserError: see `open_file`.
        zipfile.BadZipFile: damaged, names twice, members that overlap or lie outside, that are encrypted or
            packed by another method than "stored" and "deflated", or a bomb.
    """
    file, size = open_file(path, limit=None)
    with file, _Bounded(file, size) as bounded, zipfile.ZipFile(bounded) as archive:
        members = archive.infolist()
        if len({member.filename for member in members}) != len(members):
            raise zipfile.BadZipFile("two members have the same name")
        for member in members:
            _require_plain(member)
        if any(not 0 <= member.header_offset < size for member in members):
            raise zipfile.BadZipFile("a member lies beyond the end of the file")
        if sum(member.compress_size for member in members) > size:
            raise zipfile.BadZipFile("its members declare more bytes than the file holds")
        unpacked = sum(member.file_size for member in members)
        if unpacked > min(FREE_BYTES + MAX_RATIO * size, limit):
            raise zipfile.BadZipFile(f"it claims to unpack to {unpacked} bytes")
        yield archive, size


def _require_plain(member: zipfile.ZipInfo) -> None:
    if member.compress_type not in METHODS:
        raise zipfile.BadZipFile(f"{member.filename[:80]!r} is compressed in a way that is not allowed")
    if member.flag_bits & ENCRYPTED:
        raise zipfile.BadZipFile(f"{member.filename[:80]!r} is encrypted")


def require_stored(member: zipfile.ZipInfo) -> None:
    """Raises zipfile.BadZipFile for a member that is compressed or lies about it."""
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise zipfile.BadZipFile(f"{member.filename!r} is compressed")


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int | None = None) -> bytearray:
    """The content of a member, its checksum verified.

    Raises:
        zipfile.BadZipFile: larger than `limit`, shorter than declared, or damaged.
    """
    if limit is not None and member.file_size > limit:
        raise zipfile.BadZipFile(f"{member.filename!r} declares {member.file_size} bytes")
    content = bytearray()
    with archive.open(member) as stream:
        while chunk := stream.read(CHUNK):
            content += chunk
    if len(content) != member.file_size:
        raise zipfile.BadZipFile(f"{member.filename!r} is shorter than it declares")
    return content


class BoundedStream:
    """A stream for the unpickler that hands out no more than `limit` bytes at once, and never more than there are.

    Args:
        stream: positioned anywhere.
        size: bytes from there on.
        limit: bytes at once.
    """

    def __init__(self, stream: IO[bytes], size: int, limit: int) -> None:
        self._stream, self._left, self._limit = stream, size, limit

    def read(self, size: int) -> bytes:
        if size > min(self._limit, self._left):
            raise EOFError(f"it asks for {size} bytes at once")
        self._left -= size
        return self._stream.read(size)

    def readline(self) -> bytes:
        line = self._stream.readline(MAX_LINE_BYTES)
        self._left -= len(line)
        if len(line) == MAX_LINE_BYTES:
            raise EOFError("a line of it is longer than names and numbers are")
        return line
