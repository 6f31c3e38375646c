"""MATLAB files: as SciPy writes them, of another byte order, damaged and hostile."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.io.matlab import MatlabObject
from scipy.sparse import csc_array

from core.datasets.mat_file import MAX_BYTES, read_mat_array
from core.errors import UserError

DOUBLE, INT16, MATRIX, COMPRESSED = 9, 3, 14, 15


def element(kind: int, content: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(shape: tuple[int, ...], kind: int, data: bytes, order: str = "<", name: bytes = b"grid") -> bytes:
    """A variable of class double."""
    parts = [
        element(6, struct.pack(f"{order}II", 6, 0), order),
        element(5, struct.pack(f"{order}{len(shape)}i", *shape), order),
        element(1, name, order),
        element(kind, data, order),
    ]
    return element(MATRIX, b"".join(parts), order)


def file(*elements: bytes, order: str = "<", version: int = 0x0100) -> bytes:
    mark = struct.pack(f"{order}HH", version, 0x4D49)
    return b"MATLAB 5.0 MAT-file".ljust(124) + mark + b"".join(elements)


def read(folder: Path, content: bytes, name: str = "grid") -> np.ndarray:
    (folder / "a.mat").write_bytes(content)
    return read_mat_array(folder / "a.mat", name)


def written(compress: bool = False, **variables: object) -> bytes:
    target = io.BytesIO()
    savemat(target, variables, do_compression=compress)
    return target.getvalue()


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("kind", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 3), (5, 7), (0, 3)])
def test_as_scipy_writes_them(tmp_path: Path, kind: str, shape: tuple[int, ...], compress: bool) -> None:
    """Small ones stand in the tag itself; variables before and after are passed over."""
    values = np.random.default_rng(0).uniform(0, 100, shape).astype(kind)
    others = {"before": "text", "cell": np.array([1, "a"], object), "after": {"x": np.ones(3)}}
    for name in ("grid", "a_longer_name", "g"):
        found = read(tmp_path, written(compress, **others, **{name: values}, z=1), name)
        assert found.dtype == np.float64 and found.flags["C_CONTIGUOUS"]
        np.testing.assert_array_equal(found, values.astype(np.float64), strict=True)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders(tmp_path: Path, order: str) -> None:
    """Numbers of class double, stored as what takes least, columns first."""
    data = matrix((2, 2), INT16, np.array([1, -2, 3, 4], f"{order}i2").tobytes(), order)
    np.testing.assert_array_equal(read(tmp_path, file(data, order=order)), [[1, 3], [-2, 4]])
    packed = element(COMPRESSED, zlib.compress(data), order).rstrip(b"\0")  # not padded
    assert read(tmp_path, file(packed, data, order=order)).shape == (2, 2)


@pytest.mark.parametrize(
    "value",
    [
        "text",
        np.array([[1 + 2j]]),
        np.array([[1.5, "a"]], object),
        {"x": 1.0},
        csc_array(np.eye(3)),
        MatlabObject(np.zeros((1, 1), [("x", "O")]), "inline"),
    ],
    ids=["text", "complex", "cell", "structure", "sparse", "object"],
)
def test_what_is_no_array_of_numbers(tmp_path: Path, value: object) -> None:
    with pytest.raises(UserError, match="not a readable MATLAB file"):
        read(tmp_path, written(grid=value))


ONES = np.ones(4).tobytes()
HOSTILE = {
    "empty": (b"", "of no version from 5 to 7"),
    "text": (b"1 2 3\n" * 100, "of no version from 5 to 7"),
    "HDF5": (file(version=0x0200) + bytes(400), "of no version from 5 to 7"),
    "no variables": (file(), "holds no array grid"),
    # 1.17.1 of SciPy crashes here.
    "unknown numbers": (file(matrix((2, 2), 100, ONES)), "no array of real numbers"),
    "too few numbers": (file(matrix((2, 3), DOUBLE, ONES)), "another number of values"),
    "negative": (file(matrix((-2, -2), DOUBLE, ONES)), "another number of values"),
    "product beyond 64 bits": (file(matrix((1 << 30,) * 4, DOUBLE, ONES)), "another number of values"),
    "half a number": (file(matrix((2, 2), DOUBLE, ONES[:-1])), "buffer size"),
    "too many sides": (file(matrix((1,) * 100, DOUBLE, ONES[:8])), "maximum supported dimension"),
    "no numbers": (file(matrix((2, 2), DOUBLE, b"")), "another number of values"),
    "endless": (file(struct.pack("<II", MATRIX, 1 << 31)), "ends beyond the end"),
    "a list of nothing": (file(bytes(4 << 20)), "something else than variables"),
    "a small one of 60000 bytes": (file(struct.pack("<II", 60000 << 16 | MATRIX, 0)), "ends beyond the end"),
    "not compressed": (file(element(COMPRESSED, b"abcdefgh")), "incorrect header"),
    "cut": (file(element(COMPRESSED, zlib.compress(matrix((2, 2), DOUBLE, ONES))[:-9])), "ends early"),
    "a bomb": (file(element(COMPRESSED, zlib.compress(bytes(MAX_BYTES + 1)))), "unpacks to too much"),
    "many": (
        file(element(COMPRESSED, zlib.compress(element(MATRIX, bytes(MAX_BYTES // 2)))) * 3),
        "unpacks to too much",
    ),
    "large": (file(bytes(MAX_BYTES)), "larger than 16 MiB"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path: Path, name: str) -> None:
    content, reason = HOSTILE[name]
    with pytest.raises(UserError, match=rf"a\.mat: not a readable MATLAB file \(.*{reason}.*\); write or"):
        read(tmp_path, content)


@pytest.mark.parametrize("compress", [False, True])
def test_cut_anywhere_and_changed_anywhere(tmp_path: Path, compress: bool) -> None:
    """Whatever a disk or a stranger does to a file: an array, or one line. In tests/slow at more places."""
    cut_and_change(tmp_path, compress, step=7, changes=200)


def cut_and_change(tmp_path: Path, compress: bool, step: int, changes: int) -> None:
    """Cuts every `step` bytes, and so many changed files."""
    values = np.random.default_rng(0).uniform(size=(3, 4))
    content, rng = written(compress, grid=values, other=1.0), np.random.default_rng(1)
    for end in range(0, 136 + struct.unpack_from("<I", content, 132)[0], step):  # the first variable
        with pytest.raises(UserError):
            read(tmp_path, content[:end])
    for _ in range(changes):
        changed = bytearray(content)
        for place in rng.integers(100, len(content), rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        try:
            found = read(tmp_path, bytes(changed))
        except UserError as error:
            assert len(str(error).splitlines()) == 1
        else:
            assert found.dtype == np.float64


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.mat: cannot be read: No such file"):
        read_mat_array(tmp_path / "a.mat", "grid")
