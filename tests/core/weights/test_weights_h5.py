"""HDF5 weights: flat names are read, everything that leads elsewhere or is not there is refused."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from core.errors import UserError
from core.weights.h5 import read_h5


def write(path: Path, **content: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            file[name] = value
    return path


def test_flat_names(tmp_path: Path) -> None:
    arrays = {
        "bn1.running_mean": np.arange(3.0),
        "conv1.weight": np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2),
        "count": np.array(5, np.int64),
    }
    loaded = read_h5(write(tmp_path / "a.h5", **arrays))
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        assert np.array_equal(loaded[name], array) and loaded[name].shape == array.shape


def test_big_endian(tmp_path: Path) -> None:
    """PyTorch takes no numbers of the other byte order."""
    loaded = read_h5(write(tmp_path / "a.h5", w=np.arange(3, dtype=">f4")))
    assert loaded["w"].dtype.isnative and loaded["w"].tolist() == [0, 1, 2]


def soft_link(file: h5py.File, folder: Path) -> None:
    file["w"] = h5py.SoftLink("/plain")


def external_link(file: h5py.File, folder: Path) -> None:
    file["w"] = h5py.ExternalLink(str(write(folder / "secret.h5", x=np.ones(3))), "/x")


def external_storage(file: h5py.File, folder: Path) -> None:
    secret = folder / "secret.txt"
    secret.write_bytes(b"\0" * 64)
    file.create_dataset("w", (8,), "f4", external=[(str(secret), 0, 32)])


def virtual(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource(write(folder / "secret.h5", x=np.ones(3)), "x", shape=(3,))
    file.create_virtual_dataset("w", layout)


def group(file: h5py.File, folder: Path) -> None:
    file.create_group("w")


def cycle(file: h5py.File, folder: Path) -> None:
    file["w"] = file["/"]


def huge_contiguous(file: h5py.File, folder: Path) -> None:
    file.create_dataset("w", (40_000_000_000,), "f4")


def huge_chunked(file: h5py.File, folder: Path) -> None:
    file.create_dataset("w", (40_000_000_000,), "f4", chunks=(1024,))


def compressed(file: h5py.File, folder: Path) -> None:
    file.create_dataset("w", data=np.zeros(100_000), compression="gzip")


def many_names(file: h5py.File, folder: Path) -> None:
    file["w"] = np.zeros(10_000)
    for i in range(10):
        file[f"w{i}"] = file["w"]


def text(file: h5py.File, folder: Path) -> None:
    file["w"] = "text"


def structured(file: h5py.File, folder: Path) -> None:
    file["w"] = np.zeros(2, [("a", "f4")])


def nothing(file: h5py.File, folder: Path) -> None:
    file["w"] = h5py.Empty("f4")


REFUSED: list[tuple[Any, str]] = [
    (soft_link, "is a link to somewhere else"),
    (external_link, "is a link to somewhere else"),
    (external_storage, "lies in another file"),
    (virtual, "lies in another file"),
    (group, "is a group"),
    (cycle, "is a group"),
    (huge_contiguous, "declares 160000000000 bytes that the file does not hold"),
    (huge_chunked, "declares 160000000000 bytes that the file does not hold"),
    (compressed, "is compressed or filtered"),
    (many_names, "more than the file holds"),
    (text, "is no array of numbers"),
    (structured, "is no array of numbers"),
    (nothing, "is no array of numbers"),
]


@pytest.mark.parametrize(("fill", "message"), REFUSED)
def test_refused(tmp_path: Path, fill: Any, message: str) -> None:
    path = tmp_path / "evil.h5"
    with h5py.File(path, "w") as file:
        file["plain"] = np.ones(3)
        fill(file, tmp_path)
    with pytest.raises(UserError, match=message) as error:
        read_h5(path)
    assert str(error.value).startswith(str(path)) and "; write it again as plain data sets" in str(
        error.value
    )


def test_absent_and_damaged(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file of weights; check the path"):
        read_h5(tmp_path / "absent.h5")
    path = write(tmp_path / "a.h5", w=np.arange(5000.0))
    content = path.read_bytes()
    for size in (0, 7, 100, len(content) // 2, len(content) - 8):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match="not a readable HDF5 file") as error:
            read_h5(path)
        assert "\n" not in str(error.value)
