"""`.safetensors`: a JSON header and numbers, checked by the safetensors library."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.files.whole import write_atomically
from core.weights.files import read_file, unreadable
from core.weights.stand_ins import plain_array

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
    from safetensors import deserialize

    content = read_file(Path(path))
    try:
        _check_header(content)
        bytearray(len(content))  # for want of memory the library panics, past every `except`
        entries = sorted(deserialize(content), key=lambda entry: entry[0])
        return {name: _array(name, entry) for name, entry in entries}
    except Exception as error:  # the library's error is no ValueError
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


def _check_header(content: bytes) -> None:
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise ValueError("its header is longer than the file")
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"its header takes {length} bytes")


def _array(name: str, entry: dict[str, Any]) -> np.ndarray:
    """A new array of one entry: `dtype`, `shape`, `data`."""
    kind, shape, data = entry["dtype"], tuple(entry["shape"]), entry["data"]
    if kind != "BF16" and kind not in ELEMENTS:
        raise ValueError(f"{name!r} has elements of type {kind}")
    dtype = np.dtype("<u2" if kind == "BF16" else ELEMENTS[kind])
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"{name!r} has another number of bytes than its shape")
    array = np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))
    return array if kind == "U16" else plain_array(array)
