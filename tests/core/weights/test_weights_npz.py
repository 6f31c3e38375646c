"""`.npz`: plain arrays, arrays of maps, and files that hide or claim something."""

import io
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import UserError
from core.weights import format_of, read_weights_file
from core.weights.npz import read_npy, read_npz, read_object_maps

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big": np.array([1, 2], ">i4"),
    "count": np.array(2**40),
    "empty": np.zeros((0, 4), np.float16),
    "flags": np.array([True, False]),
    "text": np.array(["a", "ü"]),
    "bytes": np.array(b"csr"),
}
MAPS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((4, 1), np.float32)]


def objects(items: list[Any]) -> np.ndarray:
    array = np.empty(len(items), object)
    array[:] = items
    return array


def npy(content: bytes, header: str, version: bytes = b"\1\0") -> bytes:
    """A `.npy` with any header."""
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header.encode() + content


def write(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_round_trip(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "a.npz"
    save(path, **ARRAYS)
    assert format_of(path) == "npz"
    for loaded in (read_npz(path), read_weights_file(path)):
        assert list(loaded) == list(ARRAYS)
        for name, array in ARRAYS.items():
            assert loaded[name].dtype == array.dtype.newbyteorder("=") and loaded[name].shape == array.shape
            np.testing.assert_array_equal(loaded[name], array)
            assert loaded[name].flags.c_contiguous and loaded[name].flags.writeable


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_array_of_maps(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "a.npz"
    save(path, data=objects(MAPS))
    for loaded, expected in zip(read_object_maps(path, "data"), MAPS, strict=True):
        assert loaded.dtype == np.float32
        np.testing.assert_array_equal(loaded, expected)
    with pytest.raises(UserError, match="holds objects"):
        read_npz(path)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_array_of_maps_by_older_pickles(tmp_path: Path, protocol: int) -> None:
    import pickle

    header = io.BytesIO()
    fields = {"descr": "|O", "fortran_order": False, "shape": (2,)}
    np.lib.format.write_array_header_1_0(header, fields)
    content = header.getvalue() + pickle.dumps(objects(MAPS), protocol=protocol)
    loaded = read_object_maps(write(tmp_path / "a.npz", data=content), "data")
    assert [depth.tolist() for depth in loaded] == [depth.tolist() for depth in MAPS]


def test_objects_that_would_run_something(tmp_path: Path) -> None:
    """The message is of maps, and so is the cure."""

    class Makes:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "made"),)

    np.savez(tmp_path / "a.npz", data=objects([Makes()]))
    with pytest.raises(UserError, match=r"which maps do not need\); export them anew$"):
        read_object_maps(tmp_path / "a.npz", "data", "export them anew")
    assert not (tmp_path / "made").exists()


def test_plain_array_of_maps(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=np.stack([MAPS[0], MAPS[0]]))
    loaded = read_object_maps(tmp_path / "a.npz", "data")
    assert [depth.tolist() for depth in loaded] == [MAPS[0].tolist()] * 2


@pytest.mark.parametrize("items", [[MAPS[0], None], [[1, 2]], [objects(MAPS)], ["text"], [{}]], ids=str)
def test_objects_that_are_no_maps(tmp_path: Path, items: list[Any]) -> None:
    np.savez(tmp_path / "a.npz", data=objects(items))
    with pytest.raises(UserError, match=r"a\.npz: not a readable \.npz file of maps"):
        read_object_maps(tmp_path / "a.npz", "data")


def test_the_same_map_again_and_again(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=objects([np.zeros(10_000)] * 100))
    with pytest.raises(UserError, match="more numbers than the file holds"):
        read_object_maps(tmp_path / "a.npz", "data")


def peak_of(read: Callable[[], object]) -> int:
    """Bytes of memory that it takes at most."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_numbers_are_in_memory_once(tmp_path: Path) -> None:
    path, size = tmp_path / "a.npz", 16 << 20
    np.savez(path, data=np.zeros(size // 4, np.float32))
    assert peak_of(lambda: read_npz(path)) < 1.4 * size
    np.savez(path, data=objects([np.full(size // 64, row, np.float32) for row in range(16)]))
    assert peak_of(lambda: read_object_maps(path, "data")) < 1.4 * size


def test_more_than_a_limit(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.zeros(1000))
    with pytest.raises(UserError, match="claims to unpack to 8128 bytes"):
        read_npz(tmp_path / "a.npz", limit=8000)


@pytest.mark.parametrize("name", ARRAYS)
def test_one_array(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "a.npy", ARRAYS[name])
    loaded = read_npy(tmp_path / "a.npy")
    assert loaded.dtype == ARRAYS[name].dtype.newbyteorder("=")
    np.testing.assert_array_equal(loaded, ARRAYS[name])


def test_one_array_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, objects([None]))
    contents = [path.read_bytes(), *DAMAGED]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.npy: not a readable \.npy file"):
            read_npy(path)
    with pytest.raises(UserError, match="no such file"):
        read_npy(tmp_path / "absent.npy")
    np.save(path, np.zeros(1000))
    with pytest.raises(UserError, match="it has 8128 bytes"):
        read_npy(path, limit=8000)


PLAIN = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"


DAMAGED = [
    b"",
    b"text",
    npy(b"\0" * 8, PLAIN)[:20],
    npy(b"\0" * 7, PLAIN),
    npy(b"\0" * 9, PLAIN),
    npy(b"\0" * 8, PLAIN, b"\7\0"),
    npy(b"\0" * 8, PLAIN.replace("(2,)", "(100000000000,)")),
    npy(b"\0" * 8, PLAIN.replace("(2,)", "(-2,)")),
    npy(b"\0" * 8, PLAIN.replace("(2,)", "(" + "9" * 5000 + ",)")),
    npy(b"\0" * 8, PLAIN.replace("(2,)", "(" + "1," * 40 + ")")),
    npy(b"\0" * 8, PLAIN.replace("(2,)", "(print(1),)")),
    npy(b"\0" * 8, PLAIN.replace("<f4", "<V4")),
    npy(b"\0" * 8, PLAIN.replace("'<f4'", "[('a', '<f4')]")),
    npy(b"\0" * 8, PLAIN + " " * 20_000),
    npy(b"\0" * 8, "(" * 5000),
]


@pytest.mark.parametrize("content", DAMAGED, ids=range(15))
def test_damaged_members(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "a.npz", data=content)
    for read in (read_npz, read_weights_file, lambda path: read_object_maps(path, "data")):
        with pytest.raises(UserError, match=r"a\.npz: not a readable \.npz file") as error:
            read(path)
        assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_unchanged_header_passes(tmp_path: Path) -> None:
    assert read_npz(write(tmp_path / "a.npz", data=npy(b"\0" * 8, PLAIN)))["data"].tolist() == [0, 0]


def test_absent(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_npz(tmp_path / "absent.npz")
    np.savez(tmp_path / "a.npz", other=np.ones(2))
    with pytest.raises(UserError, match=r"a\.npz: not a readable \.npz file of maps"):
        read_object_maps(tmp_path / "a.npz", "data")
