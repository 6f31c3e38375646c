"""One array of numbers from a MATLAB 5 file, which runs nothing and cannot grow (MathWorks, "MAT-File Format").

Not by SciPy: its `loadmat` ends the process by a segmentation fault where the file names an unknown type of numbers,
which takes one changed byte (1.17.1).
"""

import math
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.faults import why_not_read
from core.files.regular import open_regular
from core.weights.files import CURE, unreadable

MAX_BYTES = 16 << 20  # of a file, and of what it unpacks to
HEADER_BYTES = 128
VERSION = 0x0100
MATRIX, COMPRESSED = 14, 15  # types of elements
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMERIC_CLASSES = range(
    6, 16
)  # double, single, int8 to uint64; below are cells, structures, objects, text, sparse
COMPLEX = 0x0800


def read_mat_array(path: Path, name: str, cure: str = CURE) -> np.ndarray:
    """Reads an array of real numbers; what else the file holds is skipped unread.

    Args:
        name: of the variable.
        cure: what to do about a bad file, for the message.

    Returns:
        float64, of the shape it has in MATLAB.

    Raises:
        UserError: unreadable, damaged, too large, of another version than 5, or without such an array.
    """
    try:
        with open_regular(path) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {why_not_read(error)}") from None
    try:
        return _find(content, name)
    except (ValueError, struct.error, zlib.error, MemoryError) as error:
        raise unreadable(path, "MATLAB file", error, cure) from None


def _find(content: bytes, name: str) -> np.ndarray:
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:HEADER_BYTES])
    if order is None or struct.unpack_from(f"{order}H", content, 124)[0] != VERSION:
        raise ValueError("it is of no version from 5 to 7")
    for matrix in _matrices(memoryview(content)[HEADER_BYTES:], order):
        parts = _elements(matrix, order)
        flags, dimensions, found = (data for _, data in islice(parts, 3))
        if bytes(found) == name.encode():
            return _numbers(order, flags, dimensions, *next(parts, (0, found)))
    raise ValueError(f"it holds no array {name}")


def _matrices(data: memoryview, order: str) -> Iterator[memoryview]:
    """The variables of a file, each unpacked where it was compressed."""
    left = MAX_BYTES
    for kind, element in _elements(data, order):
        if kind == COMPRESSED:
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(element, left + 1)
            left -= len(unpacked)
            if left < 0 or not unpacker.eof:
                raise ValueError("a variable ends early, or unpacks to too much")
            kind, element = next(_elements(memoryview(unpacked), order), (0, element))
        if kind != MATRIX:
            raise ValueError("it holds something else than variables")
        yield element


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and content of one element after the other."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        start = at + 8
        if (
            kind >> 16
        ):  # a small one: size and type in the first four bytes, up to four of content in the next
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
        if start + size > len(data) or (start == at + 4 and size > 4):
            raise ValueError("an element ends beyond the end of the file")
        yield kind, data[start : start + size]
        end = max(start + size, at + 8)
        at = end if kind == COMPRESSED else at - (at - end) // 8 * 8  # the next multiple of eight


def _numbers(
    order: str, flags: memoryview, dimensions: memoryview, kind: int, data: memoryview
) -> np.ndarray:
    (word,) = struct.unpack_from(f"{order}I", flags)
    if word & 0xFF not in NUMERIC_CLASSES or word & COMPLEX or kind not in NUMBERS:
        raise ValueError("the variable is no array of real numbers")
    numbers = np.frombuffer(data, np.dtype(order + NUMBERS[kind]))
    shape = np.frombuffer(dimensions, np.dtype(f"{order}i4")).tolist()
    if min(shape, default=-1) < 0 or math.prod(shape) != numbers.size:
        raise ValueError("the array has another number of values than its shape")
    return numbers.reshape(shape, order="F").astype(np.float64, order="C")
