"""What becomes of the few globals that weights name in a pickle: inert objects that check what they are given."""

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from core.weights.families.base import DROPPED, RECORD
from core.weights.files import MAX_TENSOR_BYTES

MAX_SIDE = 1 << 48
MAX_DIMENSIONS = 32
PLAIN_ELEMENTS = frozenset(["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"])
OBJECT_ELEMENTS = frozenset(["O", "O8"])


# ---- checks ----------------------------------------------------------------------------------------------


def shown(value: Any) -> str:
    """A value for a message; anything but short text by its type, for what a pickle nests may print forever."""
    return repr(value[:80]) if isinstance(value, str) else f"of type {type(value).__name__}"


def require_sides(shape: Any) -> tuple[int, ...]:
    """A shape, once it is known to be one."""
    plain = isinstance(shape, tuple) and len(shape) <= MAX_DIMENSIONS
    if not plain or not all(type(side) is int and 0 <= side <= MAX_SIDE for side in shape):
        raise pickle.UnpicklingError("an array whose shape is none")
    return shape


def require_plain_names(names: list[Any]) -> None:
    """Names of a dict that cost nothing to hash and do not collide by design.

    Numbers of 64 bits, since optimisers once numbered parameters by their place in memory; hardly any two of them have
    the same hash.

    A class or another object, too: trainings once kept the state of each callback under its class. Their stand-ins are
    hashed by their place.
    """
    for name in names:
        plain = type(name) in (str, *HASHED_BY_PLACE) or (isinstance(name, int) and abs(name) < 1 << 63)
        if not plain:
            raise pickle.UnpicklingError("a dict whose names are neither text nor plain integers")


def require_tensor(nbytes: int) -> None:
    """Raises pickle.UnpicklingError for an array of so many bytes if no network has one so large."""
    if nbytes > MAX_TENSOR_BYTES:
        raise pickle.UnpicklingError(f"an array of {nbytes} bytes, more than {MAX_TENSOR_BYTES >> 20} MiB")


def plain_array(array: np.ndarray) -> np.ndarray:
    """The values of a freshly made array: uint16 is how NumPy holds the bits of bfloat16, truth is 0 or 1."""
    if array.dtype == np.uint16:
        bits = array.astype(np.uint32)
        bits <<= 16
        return bits.view(np.float32)
    if array.dtype == np.bool_:
        return np.asarray(array.view(np.uint8) != 0)  # of 0-d arrays it would be no array
    return array


# ---- stand-ins: objects ----------------------------------------------------------------------------------


class StandIn:
    """An object whose state a pickle cannot set except through a checked `__setstate__`."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("state of an unexpected object")


class Function(StandIn):
    """A function that a pickle may call."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


class Thing(StandIn):
    """An object that lies beside the tensors: options, a time, a path. Nothing put into it is kept, or looked at.

    Attributes:
        kind: the name of its class, for messages.
    """

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, name: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """Of lists, and what is made of them."""

    def extend(self, items: Any) -> None:
        """Of lists, and what is made of them."""


class Unknown(Thing):
    """A class or a function that a file names and the readers do not know; whatever is made by it is a `Thing`."""

    __slots__ = ()


# Names of a dict that are no text: none has a hash of its own.
HASHED_BY_PLACE = (Function, Thing, Unknown)


class Numbers(StandIn):
    """Something that becomes an array once it is known that it may."""

    __slots__ = ()

    @property
    def nbytes(self) -> int:
        """Of the array."""
        raise NotImplementedError

    def array(self) -> np.ndarray:
        """A new array in C order and native byte order; bfloat16 widened to float32."""
        raise NotImplementedError


class Names(dict[Any, Any]):
    """An `OrderedDict`; attributes that PyTorch hangs onto it are dropped."""

    __slots__ = ()

    def __init__(self, items: Any = ()) -> None:
        super().__init__()
        for key, value in items:
            require_plain_names([key])
            self[key] = value

    def __setstate__(self, state: Any) -> None:
        pass


class Dtype(StandIn):
    """`numpy.dtype(code, align, copy)`, then its state (version, byte order, …)."""

    __slots__ = ("byte_order", "code")

    def __init__(self, code: Any = None, *_: Any) -> None:
        if not isinstance(code, str) or code not in PLAIN_ELEMENTS | OBJECT_ELEMENTS:
            raise pickle.UnpicklingError(f"an element type {shown(code)}")
        self.code = code
        self.byte_order = "="

    def __setstate__(self, state: Any) -> None:
        plain = isinstance(state, tuple) and len(state) >= 5 and state[2:5] == (None, None, None)
        if not plain or state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("a structured element type")
        self.byte_order = state[1]

    def numpy(self) -> np.dtype[Any]:
        if self.code in OBJECT_ELEMENTS:
            raise pickle.UnpicklingError("an array of objects")
        return np.dtype(self.byte_order + self.code)


class Text(StandIn):
    """A long text, as the bytes of its Latin-1: protocol 2 holds numbers so."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content


class Array(Numbers):
    """`_reconstruct(ndarray, (0,), b"b")`, then its state (version, shape, dtype, column-major, content).

    The content is the bytes of the numbers, or a list when the elements are objects. Bytes are let go of once the array
    is made: all arrays of a file take little more memory than the file.
    """

    __slots__ = ("_made", "column_major", "content", "dtype", "shape")

    def __init__(self, *_: Any) -> None:
        self.content: bytes | list[Any] | None = None
        self._made: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array without shape, type and bytes")
        _, shape, dtype, column_major, content = state
        self.shape = require_sides(shape)
        if not isinstance(dtype, Dtype):
            raise pickle.UnpicklingError("an array of an unexpected kind")
        objects = dtype.code in OBJECT_ELEMENTS
        if not isinstance(content, list if objects else bytes):
            raise pickle.UnpicklingError("an array whose content is of another kind")
        if len(content) != math.prod(self.shape) * (1 if objects else dtype.numpy().itemsize):
            raise pickle.UnpicklingError(f"an array of shape {self.shape} with another number of bytes")
        self.dtype, self.column_major, self.content = dtype, bool(column_major), content

    @property
    def nbytes(self) -> int:
        held = self._made.nbytes if self._made is not None else len(self._bytes())
        return held * (2 if self.dtype.code == "u2" and self._made is None else 1)

    def array(self) -> np.ndarray:
        if self._made is not None:
            return self._made.copy()
        require_tensor(self.nbytes)
        kind = self.dtype.numpy()
        flat = np.frombuffer(self._bytes(), kind)
        array = flat.reshape(self.shape, order="F" if self.column_major else "C")
        self._made = plain_array(array.astype(kind.newbyteorder("="), order="C"))
        self.content = None
        return self._made

    def items(self) -> list["Array"]:
        """The elements of an array of arrays."""
        if not isinstance(self.content, list) or not all(isinstance(item, Array) for item in self.content):
            raise pickle.UnpicklingError("it is no array of arrays")
        return self.content

    def _bytes(self) -> bytes:
        if not isinstance(self.content, bytes):
            raise pickle.UnpicklingError("an array without numbers")
        return self.content


def _scalar(dtype: Any, content: Any) -> Array:
    """A NumPy scalar."""
    array = Array()
    array.__setstate__((1, (), dtype, False, content))
    return array


def _empty_bytes(*arguments: Any) -> bytes:
    """`bytes()`: how protocol 2 holds no bytes."""
    if arguments:
        raise pickle.UnpicklingError("bytes of something else")
    return b""


def dropped(*_: Any) -> StandIn:
    """What trainings keep beside their weights: its arguments are not even looked at."""
    return StandIn()


def record(*arguments: Any) -> Names:
    """An object beside the weights that is made without arguments: a dict, whose state is dropped."""
    if arguments:
        raise pickle.UnpicklingError("a record made of something else")
    return Names()


# What a family may make of a global that its pickles name, and nothing else.
INERT: dict[str, StandIn] = {RECORD: Function(record), DROPPED: Function(dropped)}

_RECONSTRUCT, _NDARRAY, _DTYPE, _SCALAR = Function(Array), StandIn(), Function(Dtype), Function(_scalar)

ALLOWED_GLOBALS: dict[tuple[str, str], StandIn] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy._core.multiarray", "scalar"): _SCALAR,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _DTYPE,
    ("__builtin__", "bytes"): Function(_empty_bytes),
    ("collections", "Counter"): Function(dropped),  # the milestones of a schedule
    ("collections", "defaultdict"): Function(lambda *_: Names()),  # what makes its missing values is not
    ("builtins", "set"): Function(dropped),
    ("__builtin__", "set"): Function(dropped),
}
