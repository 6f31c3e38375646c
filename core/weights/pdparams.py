"""Paddle's `.pdparams`: a pickle of `{name: ndarray}`, read without executing what a pickle may hide.

The unpickler knows three globals and replaces each by an inert stand-in, so that not even NumPy runs on
values that have not been checked. Arrays are made only from bytes that are present in the file.
"""

import io
import math
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.checkpoint import write_atomically
from core.errors import UserError

# Added by Paddle: structured names → automatic names. Not weights.
NAME_TABLE = "StructuredToParameterName@@"

# bfloat16 arrives as u2, its bits.
ELEMENT_TYPES = frozenset(["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"])


def read_pdparams(path: Path) -> dict[str, np.ndarray]:
    """Reads the parameters of one network.

    Returns:
        `{name: array}` in the file's order; bfloat16 as the uint16 of its bits.

    Raises:
        UserError: unreadable, damaged, or anything but a dict of plain arrays.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot read the weights: {error.strerror}") from None
    try:
        loaded = _Unpickler(io.BytesIO(content)).load()
    except Exception as error:  # a damaged pickle can raise nearly anything
        reason = str(error) or type(error).__name__
        raise UserError(
            f"{path}: not a readable .pdparams file of arrays ({reason}); write or download it again"
        ) from None
    return _checked(path, loaded, len(content))


def write_pdparams(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes `{name: array}` so that `paddle.load` reads it (a pickle of protocol 4), atomically."""
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    content = pickle.dumps(plain, protocol=4)
    write_atomically(Path(path), lambda temporary: _write_bytes(temporary, content))


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _checked(path: Path, loaded: Any, size: int) -> dict[str, np.ndarray]:
    if not isinstance(loaded, dict):
        raise UserError(f"{path}: holds a {type(loaded).__name__}, expected a dict of arrays")
    arrays: dict[str, np.ndarray] = {}
    for name, value in loaded.items():
        if name == NAME_TABLE:
            continue
        if not isinstance(name, str) or not isinstance(value, _Array):
            raise UserError(f"{path}: entry {name!r} is no array; only {{name: array}} is read")
        arrays[name] = value.array()
    # Many names could share the same bytes; copies of them must not outgrow the file.
    if sum(array.nbytes for array in arrays.values()) > size:
        raise UserError(f"{path}: declares more numbers than the file holds")
    return {name: array.copy() for name, array in arrays.items()}


# --- stand-ins: what the three globals become ---


class _StandIn:
    """An object whose state a pickle cannot set except through a checked `__setstate__`."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("state of an unexpected object")


class _Callable(_StandIn):
    """A function a pickle may call."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


class _Dtype(_StandIn):
    """`numpy.dtype(code, align, copy)`, then its state (version, byte order, …)."""

    __slots__ = ("byte_order", "code")

    def __init__(self, code: Any = None, *_: Any) -> None:
        if not isinstance(code, str) or code not in ELEMENT_TYPES:
            raise pickle.UnpicklingError(f"element type {code!r}")
        self.code = code
        self.byte_order = "="

    def __setstate__(self, state: Any) -> None:
        plain = isinstance(state, tuple) and len(state) >= 5 and state[2:5] == (None, None, None)
        if not plain or state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("a structured element type")
        self.byte_order = state[1]

    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.byte_order + self.code)


class _Array(_StandIn):
    """`_reconstruct(ndarray, (0,), b"b")`, then its state (version, shape, dtype, column-major, bytes)."""

    __slots__ = ("_array",)

    def __init__(self, *_: Any) -> None:
        self._array: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array without shape, type and bytes")
        _, shape, dtype, column_major, content = state
        sizes_are_plain = isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)
        if not sizes_are_plain or len(shape) > 32 or not isinstance(dtype, _Dtype):
            raise pickle.UnpicklingError("an array of an unexpected kind")
        kind = dtype.numpy()
        if not isinstance(content, bytes) or len(content) != math.prod(shape) * kind.itemsize:
            raise pickle.UnpicklingError(f"an array of shape {shape} with another number of bytes")
        array = np.frombuffer(content, kind).reshape(shape, order="F" if column_major else "C")
        self._array = array.astype(kind.newbyteorder("="), order="C", copy=False)

    def array(self) -> np.ndarray:
        if self._array is None:
            raise UserError("a .pdparams file declares an array without content")
        return self._array


_RECONSTRUCT, _NDARRAY, _DTYPE = _Callable(_Array), _StandIn(), _Callable(_Dtype)

ALLOWED_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _DTYPE,
}


# The Python implementation: the one in C fills its memo up to any index a file names, gigabytes for 5 bytes.
class _Unpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        allowed = ALLOWED_GLOBALS.get((module, name))
        if (module, name) == ("_codecs", "encode"):
            raise pickle.UnpicklingError("written with pickle protocol 2; save it again with protocol=4")
        if allowed is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which weights do not need")
        return allowed
