"""What a backend returns: arrays by `section/precision/item`, in the order in which they were computed."""

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

# Elements compared of one array, evenly spread: all of any layer but the largest convolutions.
LIMIT = 1 << 16

Result = dict[str, np.ndarray]


def save_result(path: Path, result: Result) -> None:
    """Writes an `.npz` without pickles."""
    arrays: dict[str, Any] = dict(result)
    np.savez(path, **arrays)


def load_result(path: Path) -> Result:
    """Reads what `save_result` wrote, in the same order."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def sampled(array: np.ndarray) -> np.ndarray:
    """The array, or `LIMIT` elements of it at even distances."""
    if array.size <= LIMIT:
        return array
    return array.reshape(-1)[np.linspace(0, array.size - 1, LIMIT).astype(np.int64)]


def digest(array: np.ndarray) -> np.ndarray:
    """sha256 of the values and the shape, as text in a 0-d array: for what must be equal to the bit."""
    content = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    content.update(np.ascontiguousarray(array).tobytes())
    return np.array(content.hexdigest())


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The tensors of a network's output, nested in dicts, lists, tuples and records, as `name.key`."""
    if dataclasses.is_dataclass(value):
        items: list[tuple[Any, Any]] = [
            (field.name, getattr(value, field.name)) for field in dataclasses.fields(value)
        ]
    elif isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    else:
        yield name, value
        return
    for key, item in items:
        yield from leaves(f"{name}.{key}", item)


def unused(name: str, taken: dict[str, Any]) -> str:
    """`name`, or `name (call 2)`, … for a layer that runs several times."""
    call = 1
    while name in taken:
        call += 1
        name = f"{name.partition(' (call')[0]} (call {call})"
    return name
