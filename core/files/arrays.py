"""Results in files: arrays and JSON, whole, and of finite numbers only."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from core.errors import UserError
from core.files.whole import write_atomically, write_bytes, write_text

MAGIC = b"\x93NUMPY\x01\x00"
MARKED_HEAD = 256


def require_finite(values: np.ndarray, what: str, cure: str) -> np.ndarray:
    """The values themselves.

    Args:
        values: of any shape and type.
        what: whose values, such as a file; begins the message.
        cure: ends the message.

    Raises:
        UserError: one of them is NaN or infinite.
    """
    if values.dtype.kind in "fc" and not np.isfinite(values).all():
        count = int(np.count_nonzero(~np.isfinite(values)))
        raise UserError(f"{what}: {count} of {values.size} values are not finite (NaN or infinite); {cure}")
    return values


def as_float32(values: np.ndarray, what: str, cure: str) -> np.ndarray:
    """The values in single precision, the array itself where they are; infinite ones stay so.

    Args:
        values: numbers of any shape and type.
        what: whose values, such as a file; begins the message.
        cure: ends the message.

    Raises:
        UserError: a finite one becomes infinite.
    """
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32, copy=False)
    if values.dtype.itemsize > 4 and (lost := np.isinf(narrow) & np.isfinite(values)).any():
        largest = float(np.abs(values[lost]).max())
        raise UserError(
            f"{what}: {int(lost.sum())} of {values.size} values are too large for single precision (up to "
            f"{largest:.3g}); {cure}"
        )
    return narrow


def save_array(path: Path, array: np.ndarray, cure: str = "check the weights and the options") -> None:
    """Writes a result as `.npy`, atomically.

    Raises:
        UserError: the file cannot be written, or a value is not finite.
    """
    array = require_finite(np.asarray(array), f"{path}: not written", cure)
    # NumPy leaves the last bytes to C's buffer, and does not ask what became of them.
    write_atomically(path, lambda temporary: np.save(temporary, array), lambda file: _is_whole(file, array))


def save_marked_array(path: Path, array: np.ndarray, cure: str = "check the weights and the options") -> None:
    """As `save_array`, in a file that says whose it is: its head is filled up with blanks to `MARKED_HEAD` bytes.

    Every reader of `.npy` passes over them, and NumPy itself leaves no more than fill 128.
    """
    array = np.ascontiguousarray(require_finite(np.asarray(array), f"{path}: not written", cure))
    description = np.lib.format.header_data_from_array_1_0(array)
    text = ", ".join(f"{key!r}: {value!r}" for key, value in sorted(description.items()))
    head = f"{{{text}, }}".ljust(MARKED_HEAD - len(MAGIC) - 3) + "\n"
    length = (MARKED_HEAD - len(MAGIC) - 2).to_bytes(2, "little")
    write_bytes(path, MAGIC + length + head.encode("ascii") + array.tobytes())


def has_mark(path: Path) -> bool:
    """Whether a `.npy` was written by `save_marked_array`."""
    with path.open("rb") as file:
        head = file.read(MARKED_HEAD)
    length = int.from_bytes(head[len(MAGIC) : len(MAGIC) + 2], "little")
    return head.startswith(MAGIC) and length == MARKED_HEAD - len(MAGIC) - 2 and head.endswith(b"  \n")


def save_arrays(
    path: Path,
    arrays: Mapping[str, Any],
    compressed: bool = False,
    cure: str = "check the weights and the options",
    level: int | None = None,
) -> None:
    """Writes results as `.npz`, atomically.

    Args:
        compressed: as NumPy does.
        level: of deflate, 1 the fastest to 9; None: not by this way.

    Raises:
        UserError: the file cannot be written, or a value is not finite.
    """
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in plain.items():
        require_finite(array, f"{path}: not written: {name}", cure)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            if level is not None:
                _write_deflated(file, plain, level)
                return
            (np.savez_compressed if compressed else np.savez)(file, allow_pickle=False, **plain)

    write_atomically(path, write)


def _write_deflated(file: BinaryIO, arrays: Mapping[str, np.ndarray], level: int) -> None:
    """The same `.npz` as NumPy's, packed with another level."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def write_json(path: Path, content: Any, end: str = "") -> None:
    """Writes a result as JSON, atomically.

    Raises:
        UserError: the file cannot be written, or a number is not finite, which JSON does not know.
    """
    try:
        text = json.dumps(content, indent=1, allow_nan=False)
    except ValueError:
        raise UserError(
            f"{path}: not written: a number is not finite (NaN or infinite); check predictions, truth and factors"
        ) from None
    write_text(path, text + end)


def _is_whole(path: Path, array: np.ndarray) -> bool:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(array))
    return path.stat().st_size == len(head.getvalue()) + array.nbytes
