"""NumPy's `.npz`, objects included, without NumPy's way of reading them, which executes what they hide.

The ground truth that Godard et al. 2019 export is one array of objects, each a depth map.
"""

import copy
import math
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, overload

import numpy as np

from core.errors import UserError
from core.weights.archives import open_archive
from core.weights.beside import ContentError
from core.weights.files import CURE, MAX_TENSOR_BYTES, open_file, unreadable
from core.weights.pickles import Unpickler
from core.weights.stand_ins import MAX_DIMENSIONS, OBJECT_ELEMENTS, PLAIN_ELEMENTS, Array

CHUNK = 1 << 20
MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 10_000
HEADER = re.compile(
    rb"\{'descr': '(?P<order>[<>|=])(?P<code>[A-Za-z]\d*)', 'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>[\d, ]*)\),? *\}\s*"
)
SUFFIX = ".npy"
MAX_ARRAYS_BYTES = 1 << 30
MAX_PICKLED_BYTES = 3 << 29  # the maps of the Eigen test take 1.3 GB
MAX_MAP_BYTES = 256 << 20


def read_npz(path: Path, cure: str = CURE, limit: int = MAX_ARRAYS_BYTES) -> dict[str, np.ndarray]:
    """Reads every array of a file.

    Args:
        cure: what to do about a bad file, for the message.
        limit: bytes of all arrays.

    Returns:
        `{name: array}` in the file's order.

    Raises:
        UserError: unreadable, damaged, unpacking to far more than the file holds, or holding objects.
    """
    try:
        with open_archive(path, limit) as (archive, _):
            members = [member for member in archive.infolist() if member.filename.endswith(SUFFIX)]
            if not members or len(members) != len(archive.infolist()):
                raise zipfile.BadZipFile("its members are no arrays")
            return {member.filename.removesuffix(SUFFIX): _read(archive, member) for member in members}
    except UserError:
        raise
    except Exception as error:  # a damaged file can raise nearly anything
        raise unreadable(path, ".npz file of arrays", error, cure) from None


def read_npy(path: Path, cure: str = CURE, limit: int = MAX_ARRAYS_BYTES) -> np.ndarray:
    """Reads a file of one array; see `read_npz`.

    Raises:
        UserError: unreadable, damaged, larger than the limit, or holding objects.
    """
    try:
        stream, size = open_file(path, limit=None)
        with stream:
            if size > limit:
                raise ValueError(f"it has {size} bytes")
            return read_array(stream, size, path.name)
    except UserError:
        raise
    except Exception as error:  # a damaged file can raise nearly anything
        raise unreadable(path, ".npy file of an array", error, cure) from None


def map_npy(path: Path, cure: str = CURE) -> np.ndarray:
    """A file of one array as `read_npy` reads it, each number when it is looked at; read-only.

    Raises:
        UserError: unreadable, damaged, or holding objects.
    """
    try:
        stream, size = open_file(path, limit=None)
        with stream:
            dtype, column_major, shape = _read_header(stream)
            start = stream.tell()
            if dtype.hasobject or math.prod(shape) * dtype.itemsize != size - start:
                raise ValueError("it holds objects, or another number of bytes than its shape")
            if start == size:
                return np.empty(shape, dtype)
            return np.memmap(stream, dtype, "r", start, shape, "F" if column_major else "C")
    except UserError:
        raise
    except Exception as error:  # a damaged file can raise nearly anything
        raise unreadable(path, ".npy file of an array", error, cure) from None


class NpyRows(Sequence[np.ndarray]):
    """The parts of a file of one array along its first side, each read when it is asked for, and not kept.

    Attributes:
        shape: of all parts together.
        dtype: of their numbers.

    Raises:
        UserError: unreadable, damaged, holding objects, or numbers whose first side runs fastest.
    """

    def __init__(self, path: Path, cure: str = CURE) -> None:
        self._path, self._cure = path, cure
        try:
            stream, size = open_file(path, limit=None)
            with stream:
                self.dtype, column_major, self.shape = _read_header(stream)
                self._start = stream.tell()
            self._bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
            if self.dtype.hasobject or not self.shape or column_major:
                raise ValueError("it holds objects, one number, or columns before rows")
            if self.shape[0] * self._bytes != size - self._start:
                raise ValueError("it holds another number of bytes than its shape")
        except UserError:
            raise
        except Exception as error:  # a damaged file can raise nearly anything
            raise unreadable(path, ".npy file of an array", error, cure) from None
        self._rows: Sequence[int] = range(self.shape[0])

    def take(self, rows: Sequence[int]) -> "NpyRows":
        """Some of the parts, by their numbers."""
        chosen = copy.copy(self)
        chosen._rows = [self._rows[row] for row in rows]
        chosen.shape = (len(chosen._rows), *self.shape[1:])
        return chosen

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice) -> "NpyRows": ...

    def __getitem__(self, index: int | slice) -> "np.ndarray | NpyRows":
        """A part; raises UserError where the file has become another."""
        if isinstance(index, slice):
            return self.take(range(len(self))[index])
        row = self._rows[index]
        stream, _ = open_file(self._path, limit=None)
        with stream:
            stream.seek(self._start + row * self._bytes)
            content = bytearray(stream.read(self._bytes))
        if len(content) != self._bytes:
            error = ValueError("it has become shorter")
            raise unreadable(self._path, ".npy file of an array", error, self._cure)
        return np.frombuffer(content, self.dtype).reshape(self.shape[1:])


def is_column_major(path: Path) -> bool:
    """Whether the first side of a file's array runs fastest; False for what is no such file."""
    try:
        with open_file(path, limit=None)[0] as stream:
            return _read_header(stream)[1]
    except (UserError, OSError, ValueError):
        return False


def read_object_maps(path: Path, name: str, cure: str = CURE) -> list[np.ndarray]:
    """Reads an array of arrays, such as the published ground truth; also a plain array, along its first side.

    Args:
        name: of the member, without `.npy`.
        cure: what to do about a bad file, for the message.

    Raises:
        UserError: unreadable, damaged, too large, absent, or asking for anything but arrays of numbers.
    """
    try:
        with open_archive(path, MAX_PICKLED_BYTES) as (archive, _):
            member = archive.getinfo(name + SUFFIX)
            with archive.open(member) as stream:
                if _read_header(stream)[0].hasobject:
                    loaded = Unpickler(stream, member.file_size, limit=MAX_MAP_BYTES).load()
                    return _maps(loaded, member.file_size)
            return list(np.atleast_1d(_read(archive, member)))
    except UserError:
        raise
    except ContentError as error:  # speaks of weights, and has a cure for them
        raise unreadable(
            path, ".npz file of maps", str(error).replace("weights do", "maps do"), cure
        ) from None
    except Exception as error:  # a damaged file can raise nearly anything
        raise unreadable(path, ".npz file of maps", error, cure) from None


def _maps(loaded: object, size: int) -> list[np.ndarray]:
    if not isinstance(loaded, Array):
        raise ValueError("it is no array of arrays")
    items = loaded.items()
    if any(item.dtype.code == "u2" for item in items):  # which in weights are bfloat16
        raise ValueError("it holds whole numbers, uint16, whose unit is not known: save metres as float32")
    if sum(item.nbytes for item in items) > size:
        raise ValueError("it declares more numbers than the file holds")
    items.reverse()
    return [items.pop().array() for _ in range(len(items))]  # only one map is in memory twice


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as stream:
        return read_array(stream, member.file_size, member.filename)


def read_array(stream: IO[bytes], size: int, name: str) -> np.ndarray:
    """The array of a stream of so many bytes, which is read to its end.

    Raises:
        ValueError: it holds objects, or something else than it says.
    """
    dtype, column_major, shape = _read_header(stream)
    if dtype.hasobject:
        raise ValueError(f"{name!r} holds objects")
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > size:
        raise ValueError(f"{name!r} declares {wanted} bytes that the file does not hold")
    plain = dtype.isnative and not column_major
    if not plain and wanted > MAX_TENSOR_BYTES:  # it would be in memory twice
        raise ValueError(
            f"{name!r} has {wanted} bytes in another order than this machine's; save it row by row"
        )
    content = _numbers(stream, wanted)
    if content is None or stream.read(1):
        raise ValueError(f"{name!r} has another number of bytes than its shape")
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if column_major else "C")
    return array.astype(dtype.newbyteorder("="), order="C", copy=False)


def _numbers(stream: IO[bytes], wanted: int) -> bytearray | None:
    """So many bytes of a stream, in no more memory; None where it ends before."""
    content, at = bytearray(wanted), 0
    view = memoryview(content)
    while at < wanted:
        chunk = stream.read(min(CHUNK, wanted - at))
        if not chunk:
            return None
        view[at : at + len(chunk)] = chunk
        at += len(chunk)
    return content


def _read_header(stream: IO[bytes]) -> tuple[np.dtype, bool, tuple[int, ...]]:
    """The element type, whether columns come first, and the shape; the stream is left at the numbers.

    NumPy's own reader compiles the header as a Python expression.
    """
    start = stream.read(8)
    if start[:6] != MAGIC or len(start) < 8 or start[6] not in (1, 2, 3):
        raise ValueError("it is no NumPy array")
    length = int.from_bytes(stream.read(2 if start[6] == 1 else 4), "little")
    match = HEADER.fullmatch(stream.read(length)) if length <= MAX_HEADER_BYTES else None
    if match is None:
        raise ValueError("its header is none of a plain array")
    code = match["code"].decode()
    plain = code in PLAIN_ELEMENTS | OBJECT_ELEMENTS or re.fullmatch(r"[US]\d{1,6}", code) or code == "O"
    sides = [side.strip() for side in match["shape"].split(b",") if side.strip()]
    if not plain or len(sides) > MAX_DIMENSIONS or any(len(side) > 15 for side in sides):
        raise ValueError(f"an array of type {code} or of an impossible shape")
    return np.dtype(match["order"].decode() + code), match["fortran"] == b"True", tuple(map(int, sides))
