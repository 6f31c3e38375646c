"""`.pth` files made by hand, of both formats, so that their reader is tested without PyTorch."""

import io
import pickle
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

STORAGE_TYPES = {
    **{"f2": "HalfStorage", "f4": "FloatStorage", "f8": "DoubleStorage", "b1": "BoolStorage"},
    **{
        "u1": "ByteStorage",
        "i1": "CharStorage",
        "i2": "ShortStorage",
        "i4": "IntStorage",
        "i8": "LongStorage",
    },
}
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class Raw:
    """Pickle instructions, to be inserted as they are (protocol 2, no memo)."""

    def __init__(self, content: bytes) -> None:
        self.content = content


def name(module: str, attribute: str) -> Raw:
    """A global."""
    return Raw(f"c{module}\n{attribute}\n".encode())


def code(value: Any) -> bytes:
    """Instructions that leave a value on the stack; `Raw` anywhere inside."""
    if isinstance(value, Raw):
        return value.content
    if isinstance(value, dict):
        return b"}(" + b"".join(code(k) + code(v) for k, v in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(code, value)) + b"e"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(code, value)) + b"t"
    if isinstance(value, str):
        content = value.encode()
        return b"X" + struct.pack("<I", len(content)) + content
    return pickle.dumps(value, protocol=2)[2:-1]


def call(function: Raw, *arguments: Any) -> Raw:
    """A call of a global."""
    return Raw(function.content + code(arguments) + b"R")


def whole(value: Any) -> bytes:
    """A complete pickle."""
    return b"\x80\x02" + code(value) + b"."


def storage(kind: str, key: Any, count: Any, *view: Any) -> Raw:
    """A reference to a storage; in the old format with a view of it or None."""
    return Raw(code(("storage", name("torch", kind), key, "cpu", count, *view)) + b"Q")


def rebuild(numbers: Raw, offset: Any, size: Any, stride: Any) -> Raw:
    """A tensor."""
    hooks = call(name("collections", "OrderedDict"))
    return call(name("torch._utils", "_rebuild_tensor_v2"), numbers, offset, size, stride, False, hooks)


def tensor(array: np.ndarray, key: str, *view: Any) -> Raw:
    """A tensor that is all of its storage."""
    stride = tuple(step // array.itemsize for step in np.asarray(array, order="C").strides)
    kind = STORAGE_TYPES[array.dtype.str[1:]]
    return rebuild(storage(kind, key, array.size, *view), 0, array.shape, stride)


def write_zip(
    path: Path, content: bytes, storages: dict[str, bytes], extra: Iterable[tuple[str, bytes]] = ()
) -> Path:
    """A file in the format since PyTorch 1.6."""
    members = {"data.pkl": content, "byteorder": b"little", "version": b"3\n"}
    members |= {f"data/{key}": numbers for key, numbers in storages.items()} | dict(extra)
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(f"archive/{member}", data)
    return path


def write_legacy(path: Path, content: bytes, storages: dict[str, tuple[int, bytes]]) -> Path:
    """A file in the format before PyTorch 1.6; a storage is its number of elements and its bytes."""
    system = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2}}
    file = io.BytesIO()
    for part in (MAGIC, PROTOCOL, system):
        file.write(pickle.dumps(part, protocol=2))
    file.write(content + pickle.dumps(list(storages), protocol=2))
    for count, numbers in storages.values():
        file.write(struct.pack("<q", count) + numbers)
    path.write_bytes(file.getvalue())
    return path


def write_pth(path: Path, arrays: dict[str, np.ndarray], legacy: bool = False, **beside: Any) -> Path:
    """A state dict, and values beside its tensors."""
    keys = {name: str(row) for row, name in enumerate(arrays)}
    view = (None,) if legacy else ()
    entries = {name: tensor(array, keys[name], *view) for name, array in arrays.items()}
    content = whole(entries | beside)
    if legacy:
        return write_legacy(path, content, {keys[n]: (a.size, a.tobytes()) for n, a in arrays.items()})
    return write_zip(path, content, {keys[n]: a.tobytes() for n, a in arrays.items()})
