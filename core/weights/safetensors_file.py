"""`.safetensors`: a JSON header and numbers. Read here: the library holds a file three times in memory."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from core.files.whole import write_atomically
from core.weights.files import MAX_TENSOR_BYTES, allowance, open_file, unreadable
from core.weights.stand_ins import MAX_DIMENSIONS, plain_array

BFLOAT16 = "BF16"
MAX_HEADER_BYTES = 8 << 20  # parsing takes many times that
ELEMENTS = {
    **{"F16": "<f2", "F32": "<f4", "F64": "<f8", "BOOL": "|b1"},
    **{"I8": "|i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"},
    **{"U8": "|u1", "U16": "<u2", "U32": "<u4", "U64": "<u8"},
}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads every tensor of a file.

    Returns:
        `{name: array}`, alphabetical; bfloat16 is widened to float32, which is exact.

    Raises:
        UserError: unreadable, damaged, a header that lies, or elements that are no plain numbers.
    """
    file, size = open_file(Path(path))
    try:
        with file:
            entries = _read_header(file, size)
            widened = sum(entry.end - entry.start for entry in entries if entry.kind == BFLOAT16)
            if size + widened > allowance(size):
                raise ValueError("it declares more numbers than the file holds")
            found = {entry.name: _array(file, entry) for entry in entries}  # as they lie
            return {name: found[name] for name in sorted(found)}
    except Exception as error:  # a damaged file can raise nearly anything
        raise unreadable(path, ".safetensors file", error) from None


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes `{name: array}`, atomically.

    Raises:
        UserError: the file cannot be written.
    """
    from safetensors.numpy import save_file

    # The library writes bytes in memory order, whatever the strides say.
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    write_atomically(Path(path), lambda temporary: save_file(plain, temporary))


@dataclass(frozen=True)
class Entry:
    """What the header says of a tensor; start and end are bytes of the file."""

    name: str
    kind: str
    shape: tuple[int, ...]
    start: int
    end: int


def _read_header(file: BinaryIO, size: int) -> list[Entry]:
    """The tensors of a file in the order in which they lie, without gap or overlap, to its end.

    Raises:
        ValueError: they do not, or the header is none.
    """
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > size - 8:
        raise ValueError("its header is longer than the file")
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"its header takes {length} bytes")
    header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_once)
    if not isinstance(header, dict):
        raise ValueError("its header is no table of tensors")
    texts = header.pop("__metadata__", {})
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("its metadata are no texts")
    entries = sorted((_entry(name, entry, 8 + length) for name, entry in header.items()), key=_place)
    at = 8 + length
    for entry in entries:
        if entry.start != at:
            raise ValueError(f"{entry.name[:80]!r} does not begin where the numbers before it end")
        at = entry.end
    if at != size:
        raise ValueError("its tensors do not end where the file ends")
    return entries


def _place(entry: Entry) -> tuple[int, int]:
    return entry.start, entry.end


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header has a name twice")
    return found


def _entry(name: str, entry: Any, start: int) -> Entry:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name[:80]!r} has not the entries dtype, shape, data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or (kind != BFLOAT16 and kind not in ELEMENTS):
        raise ValueError(f"{name[:80]!r} has elements of type {str(kind)[:20]}")
    numbers = isinstance(shape, list) and isinstance(offsets, list) and len(shape) <= MAX_DIMENSIONS
    if not numbers or len(offsets) != 2 or any(type(n) is not int or n < 0 for n in (*shape, *offsets)):
        raise ValueError(f"{name[:80]!r} has an impossible shape or place")
    itemsize = np.dtype(_code(kind)).itemsize
    if math.prod(shape) * itemsize != offsets[1] - offsets[0]:
        raise ValueError(f"{name[:80]!r} has another number of bytes than its shape")
    if offsets[1] - offsets[0] > MAX_TENSOR_BYTES:
        raise ValueError(f"{name[:80]!r} has more than {MAX_TENSOR_BYTES >> 20} MiB")
    return Entry(name, kind, tuple(shape), start + offsets[0], start + offsets[1])


def _code(kind: str) -> str:
    return "<u2" if kind == BFLOAT16 else ELEMENTS[kind]


def _array(file: BinaryIO, entry: Entry) -> np.ndarray:
    """A new array of an entry; the file is positioned at its numbers."""
    data = bytearray(entry.end - entry.start)
    if file.readinto(data) != len(data):  # type: ignore[attr-defined]
        raise ValueError("it is shorter than it was")
    dtype = np.dtype(_code(entry.kind))
    array = np.frombuffer(data, dtype).reshape(entry.shape).astype(dtype.newbyteorder("="), copy=False)
    return array if entry.kind == "U16" else plain_array(array)
