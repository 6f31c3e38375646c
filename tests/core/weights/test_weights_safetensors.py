"""`.safetensors`: exact values, bfloat16, and headers that lie."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.errors import UserError
from core.weights import format_of, read_weights_file
from core.weights.safetensors_file import read_safetensors

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "count": np.array(2**40),
    "empty": np.zeros((0, 4), np.float16),
    "flags": np.array([True, False]),
    "wide": np.array([2**64 - 1], np.uint64),
}


def write(path: Path, header: Any, numbers: bytes = b"", length: int | None = None) -> Path:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(content) if length is None else length) + content + numbers)
    return path


def entry(dtype: str, shape: list[Any], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    save_file(ARRAYS, path)
    assert format_of(path) == "safetensors"
    for loaded in (read_safetensors(path), read_weights_file(path)):
        assert list(loaded) == sorted(ARRAYS)
        for name, array in ARRAYS.items():
            assert loaded[name].dtype == array.dtype and loaded[name].shape == array.shape
            assert loaded[name].tobytes() == array.tobytes() and loaded[name].flags.writeable


def test_half_precision(tmp_path: Path) -> None:
    bits = np.array([0x3F80, 0xC049, 0x0001, 0x7F80], "<u2")
    header = {"w": entry("BF16", [2, 2], 0, 8), "h": entry("F16", [2], 8, 12), "u": entry("U16", [1], 12, 14)}
    numbers = bits.tobytes() + np.array([1.5, -2], "<f2").tobytes() + b"\x80\x3f"
    loaded = read_safetensors(write(tmp_path / "a", header, numbers))
    assert loaded["w"].dtype == np.float32 and loaded["w"].tolist() == [[1, -3.140625], [2.0**-133, np.inf]]
    assert loaded["h"].dtype == np.float16 and loaded["h"].tolist() == [1.5, -2]
    assert loaded["u"].dtype == np.uint16 and loaded["u"].tolist() == [0x3F80]


LIES = {
    "header longer than the file": ({}, b"", 2**40),
    "header of 2^64 - 1 bytes": ({}, b"", 2**64 - 1),
    "no JSON": (b"{nonsense}", b"", None),
    "no object": (b"[1, 2]    ", b"", None),
    "no text": (b"{\xff\xfe", b"", None),
    "deep nesting": (b'{"a":' * 100_000, b"", None),
    "numbers beyond the end": ({"w": entry("F32", [2], 0, 8)}, b"\0" * 4, None),
    "more numbers than declared": ({"w": entry("F32", [2], 0, 8)}, b"\0" * 12, None),
    "a gap": ({"w": entry("F32", [1], 0, 4), "v": entry("F32", [1], 8, 12)}, b"\0" * 12, None),
    "overlap": ({"w": entry("F32", [2], 0, 8), "v": entry("F32", [2], 4, 12)}, b"\0" * 12, None),
    "backwards": ({"w": entry("F32", [2], 8, 0)}, b"\0" * 8, None),
    "negative": ({"w": entry("F32", [-2], 0, 8)}, b"\0" * 8, None),
    "huge": ({"w": entry("F32", [2**62], 0, 8)}, b"\0" * 8, None),
    "product overflows": ({"w": entry("F32", [2**32, 2**32], 0, 0)}, b"", None),
    "another size": ({"w": entry("F32", [3], 0, 8)}, b"\0" * 8, None),
    "fractions": ({"w": entry("F32", [2.5], 0, 8)}, b"\0" * 8, None),
    "unknown type": ({"w": entry("F99", [2], 0, 8)}, b"\0" * 8, None),
    "type without numbers": ({"w": entry("F8_E4M3", [8], 0, 8)}, b"\0" * 8, None),
    "no offsets": ({"w": {"dtype": "F32", "shape": [2]}}, b"\0" * 8, None),
    "other entries": ({"w": 3}, b"", None),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_headers_that_lie(tmp_path: Path, lie: tuple[Any, bytes, int | None]) -> None:
    path = write(tmp_path / "a.safetensors", *lie)
    with pytest.raises(UserError, match=r"a\.safetensors: not a readable \.safetensors file") as error:
        read_safetensors(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_header_without_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"{" + b" " * (9 << 20))
    with pytest.raises(UserError, match="its header takes"):
        read_safetensors(path)


def test_truncated_and_absent(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(ARRAYS, path)
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match=r"a\.safetensors"):
            read_weights_file(path)
        with pytest.raises(UserError, match=r"a\.safetensors"):
            read_safetensors(path)
    with pytest.raises(UserError, match="no such file"):
        read_safetensors(tmp_path / "absent")
