"""PyTorch's `.pth` (also `.pt`, `.pth.tar`, `.ckpt`), read without PyTorch and without executing anything.

Two formats: since PyTorch 1.6 a zip file with a pickle and one member per storage; before, several pickles and
then the storages, one after the other. In both, tensors are views of storages: an offset, sizes and strides.
"""

import io
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from core.errors import UserError
from core.weights.archives import open_archive, read_member, require_stored
from core.weights.files import MAX_CHECKPOINT_BYTES, allowance, open_file, unreadable
from core.weights.pickles import Unpickler, kept_number, kept_record, optimizer_arrays, state_arrays
from core.weights.stand_ins import (
    Function,
    Numbers,
    StandIn,
    dropped,
    plain_array,
    require_sides,
    require_tensor,
    shown,
)

ZIP_START = b"PK\x03\x04"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
PICKLE_NAME = "data.pkl"
MAX_PICKLE_BYTES = 64 << 20

# Parts of a storage are taken from what is kept of it; a storage of one tensor is never in memory twice.
MAX_KEPT_BYTES = 512 << 20

Content = TypeVar("Content")


def read_pth(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a checkpoint.

    Returns:
        `{name: array}` in the file's order, of the top or of `state_dict` or `model` in it. bfloat16 is widened to
        float32, which is exact. Python's numbers beside the tensors become 0-d arrays; text and containers beside
        them are passed over.

    Raises:
        UserError: unreadable, damaged, without tensors, big-endian, or asking for anything but tensors.
    """
    return _read(path, state_arrays)


def read_optimizer(path: Path) -> list[dict[str, np.ndarray]]:
    """Adam's moments beside the tensors of a checkpoint; see `core.weights.pickles.optimizer_arrays`.

    Raises:
        UserError: as `read_pth`, or the state of its optimiser is none of Adam's.
    """
    return _read(path, optimizer_arrays)


def read_number(path: Path, *names: str) -> int | None:
    """A whole number in a checkpoint by the keys from its top, such as `epoch`; None where there is none.

    Raises:
        UserError: as `read_pth`.
    """
    return _read(path, lambda loaded, size: kept_number(loaded, *names))


def read_record(path: Path, name: str) -> dict[str, Any]:
    """Plain values in a dict at the top of a checkpoint, such as `config`; {} where there is none.

    Raises:
        UserError: as `read_pth`; see `core.weights.pickles.kept_record`.
    """
    return _read(path, lambda loaded, size: kept_record(loaded, name))


def _read(path: Path, extract: Callable[[Any, int], Content]) -> Content:
    """What `extract` takes from what was unpickled and the size of the file."""
    path = Path(path)
    file, size = open_file(path, MAX_CHECKPOINT_BYTES)
    try:
        with file:
            if file.read(len(ZIP_START)) != ZIP_START:
                file.seek(0)
                return _read_legacy(file, size, extract)
        return _read_zip(path, extract)
    except UserError:
        raise
    except Exception as error:  # a damaged file can raise nearly anything
        raise unreadable(path, ".pth file of tensors", error) from None


# ---- stand-ins -------------------------------------------------------------------------------------------


class Storages:
    """The storages of a file by key, read when they are needed.

    Args:
        read: the bytes of one, anew.
        size: of the file, bytes; no more than its arrays may have is ever read.
    """

    def __init__(self, read: Callable[[str], bytearray], size: int) -> None:
        self._read, self._left = read, allowance(size)
        self._kept: dict[str, bytearray] = {}

    def whole(self, key: str) -> bytearray:
        """For whoever needs all of it: bytes of its own."""
        content = self._read(key)
        self._spend(len(content))
        return content

    def shared(self, key: str) -> bytearray:
        """For whoever needs a part of it."""
        if key not in self._kept:
            self._kept[key] = self._read(key)
            if sum(map(len, self._kept.values())) > MAX_KEPT_BYTES:
                raise pickle.UnpicklingError(
                    "tensors that are small parts of far more numbers; save clones of them"
                )
        return self._kept[key]

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise pickle.UnpicklingError("it declares more numbers than the file holds")


class StorageType(StandIn):
    """`torch.FloatStorage` and its kin: NumPy's type of the elements, little-endian."""

    __slots__ = ("dtype",)

    def __init__(self, code: str) -> None:
        self.dtype = np.dtype(code)


class Storage(StandIn):
    """Numbers in the file, of which tensors are views; `start` counts elements."""

    __slots__ = ("count", "dtype", "key", "start", "storages", "total")

    def __init__(self, dtype: np.dtype[Any], key: str, count: int, storages: Storages) -> None:
        self.dtype, self.key, self.count, self.storages = dtype, key, count, storages
        self.start, self.total = 0, count  # `total` of the file, where this is a view of a part

    def numbers(self) -> np.ndarray:
        """(count,), a view of what the file holds."""
        return np.frombuffer(
            self.storages.shared(self.key),
            self.dtype,
            count=self.count,
            offset=self.start * self.dtype.itemsize,
        )


class Tensor(Numbers):
    """`_rebuild_tensor(storage, offset, size, stride)`; what `_v2` adds concerns gradients."""

    __slots__ = ("offset", "size", "storage", "stride")

    def __init__(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> None:
        if not isinstance(storage, Storage):
            raise pickle.UnpicklingError("a tensor without storage")
        self.storage, self.size, self.stride = storage, require_sides(size), require_sides(stride)
        (self.offset,) = require_sides((offset,))
        if len(self.size) != len(self.stride):
            raise pickle.UnpicklingError("a tensor with more sizes than strides")
        last = sum((side - 1) * step for side, step in zip(self.size, self.stride, strict=True))
        if 0 not in self.size and self.offset + last >= storage.count:
            raise pickle.UnpicklingError("a tensor that reaches beyond its storage")

    @property
    def nbytes(self) -> int:
        widened = 2 if self.storage.dtype == np.uint16 else 1
        return math.prod(self.size) * self.storage.dtype.itemsize * widened

    def array(self) -> np.ndarray:
        if 0 in self.size:
            return plain_array(np.zeros(self.size, self.storage.dtype.newbyteorder("=")))
        require_tensor(self.nbytes)
        if self._is_whole():
            numbers = np.frombuffer(self.storage.storages.whole(self.storage.key), self.storage.dtype)
            return plain_array(numbers.reshape(self.size).astype(numbers.dtype.newbyteorder("="), copy=False))
        numbers = self.storage.numbers()[self.offset :]
        # A side of 1 may have any stride.
        steps = [
            step * numbers.itemsize if side > 1 else 0
            for side, step in zip(self.size, self.stride, strict=True)
        ]
        view = np.lib.stride_tricks.as_strided(numbers, self.size, steps, writeable=False)
        return plain_array(np.array(view, numbers.dtype.newbyteorder("="), order="C"))

    def _is_whole(self) -> bool:
        """Whether it is all of a storage, row by row."""
        steps = [math.prod(self.size[axis + 1 :]) for axis in range(len(self.size))]
        dense = all(
            side == 1 or step == own for side, step, own in zip(self.size, self.stride, steps, strict=True)
        )
        return dense and math.prod(self.size) == self.storage.total


def _parameter(data: Any = None, *_: Any) -> Tensor:
    """`Parameter(tensor, requires_grad, …)`: the tensor."""
    if not isinstance(data, Tensor):
        raise pickle.UnpicklingError("a parameter without tensor")
    return data


# uint16 stands for bfloat16, of which it holds the bits; PyTorch has no storage of uint16.
STORAGE_TYPES = {
    ("torch", f"{name}Storage"): StorageType(code)
    for name, code in {
        **{"Half": "<f2", "Float": "<f4", "Double": "<f8", "BFloat16": "<u2", "Bool": "|b1"},
        **{"Byte": "|u1", "Char": "|i1", "Short": "<i2", "Int": "<i4", "Long": "<i8"},
    }.items()
}
DTYPES = (
    *("float16", "float32", "float64", "bfloat16", "complex64", "complex128"),
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
)
ALLOWED: dict[tuple[str, str], StandIn] = {
    **STORAGE_TYPES,
    **{("torch", name): StandIn() for name in DTYPES},
    ("torch", "Size"): Function(dropped),
    ("torch", "device"): Function(dropped),
    ("torch._utils", "_rebuild_tensor"): Function(Tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Function(Tensor),
    ("torch._utils", "_rebuild_parameter"): Function(_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): Function(_parameter),
    ("torch.nn.parameter", "Parameter"): Function(_parameter),
}


def _storage(pid: Any, storages: Storages) -> Storage:
    """`("storage", type, key, location, count)`; in old files, with a view of it: `(key, start, count)`."""
    if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
        raise pickle.UnpicklingError("it refers to something that is no storage")
    kind, key, count = pid[1], pid[2], pid[4]
    if not isinstance(kind, StorageType) or not isinstance(key, str):
        raise pickle.UnpicklingError("a storage of an unexpected kind")
    (count,) = require_sides((count,))
    return Storage(kind.dtype, key, count, storages)


# ---- since PyTorch 1.6 -----------------------------------------------------------------------------------


def _read_zip(path: Path, extract: Callable[[Any, int], Content]) -> Content:
    with open_archive(path, MAX_CHECKPOINT_BYTES) as (archive, size):
        members = {member.filename: member for member in archive.infolist()}
        pickles = [name for name in members if name.count("/") == 1 and name.endswith(f"/{PICKLE_NAME}")]
        if len(pickles) != 1:
            raise zipfile.BadZipFile(f"it holds {len(pickles)} members {PICKLE_NAME}, expected one")
        for member in members.values():
            require_stored(member)
        prefix = pickles[0].removesuffix(PICKLE_NAME)
        byte_order = members.get(f"{prefix}byteorder")
        if byte_order is not None and read_member(archive, byte_order, limit=16) != b"little":
            raise pickle.UnpicklingError("its numbers are big-endian; save it again on another machine")
        storages = Storages(lambda key: read_member(archive, members[f"{prefix}data/{key}"]), size)

        def storage(pid: Any) -> Storage:
            found = _storage(pid, storages)
            member = members.get(f"{prefix}data/{found.key}")
            if member is None or member.file_size != found.count * found.dtype.itemsize:
                raise pickle.UnpicklingError(f"the storage {shown(found.key)} is absent or of another size")
            return found

        content = read_member(archive, members[pickles[0]], limit=MAX_PICKLE_BYTES)
        loaded = Unpickler(io.BytesIO(content), len(content), ALLOWED, storage).load()
        return extract(loaded, size)


# ---- before PyTorch 1.6 ----------------------------------------------------------------------------------


def _read_legacy(file: BinaryIO, size: int, extract: Callable[[Any, int], Content]) -> Content:
    places: dict[str, tuple[int, int]] = {}  # start, bytes
    roots: dict[str, Storage] = {}

    def read(key: str) -> bytearray:
        start, count = places[key]
        file.seek(start)
        content = bytearray(count)
        if file.readinto(content) != count:  # type: ignore[attr-defined]
            raise EOFError("it is shorter than it was")
        return content

    storages = Storages(read, size)

    def storage(pid: Any) -> Storage:
        root, view = _storage(pid, storages), pid[5] if len(pid) == 6 else None
        known = roots.setdefault(root.key, root)
        if (known.dtype, known.count) != (root.dtype, root.count):
            raise pickle.UnpicklingError(f"the storage {shown(root.key)} is declared twice, differently")
        if view is None:
            return root
        if not isinstance(view, tuple) or len(view) != 3:
            raise pickle.UnpicklingError("a view of a storage of an unexpected kind")
        part = Storage(root.dtype, root.key, root.count, storages)
        part.start, part.count = require_sides(view[1:])
        if part.start + part.count > root.count:
            raise pickle.UnpicklingError("a view that reaches beyond its storage")
        return part

    def load(persistent: Callable[[Any], Any] | None = None) -> Any:
        return Unpickler(file, size - file.tell(), ALLOWED, persistent, MAX_PICKLE_BYTES).load()

    if load() != LEGACY_MAGIC or load() != LEGACY_PROTOCOL:
        raise pickle.UnpicklingError("it does not start as such files do")
    system = load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise pickle.UnpicklingError("its numbers are big-endian; save it again on another machine")
    loaded = load(storage)
    keys = load()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise pickle.UnpicklingError("its list of storages is none")
    if len(set(keys)) != len(keys) or set(keys) != set(roots):
        raise pickle.UnpicklingError("its list of storages is not the one that its tensors need")
    position = file.tell()
    for key in keys:
        file.seek(position)
        count = int.from_bytes(file.read(8), "little", signed=True)
        end = position + 8 + roots[key].count * roots[key].dtype.itemsize
        if count != roots[key].count or end > size:
            raise pickle.UnpicklingError(f"the storage {shown(key)} is not whole")
        places[key] = position + 8, end - position - 8
        position = end
    return extract(loaded, size)
