"""Files of depth: each kind against what was written, SciPy's by SciPy itself; and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import sparse

from core.datasets.depth_files import find_depth_files, read_depth_file
from core.errors import UserError

DEPTH = np.array([[0, 1.25, 0, 3.5], [80.0, 0, 0, 0.5], [0, 0, 7.75, 0]], np.float32)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix, sparse.coo_matrix, sparse.csr_array])
@pytest.mark.parametrize("compressed", [True, False])
def test_sparse_matrices(tmp_path: Path, kind: Callable, compressed: bool) -> None:
    sparse.save_npz(tmp_path / "a.npz", kind(DEPTH), compressed=compressed)
    found = read_depth_file(tmp_path / "a.npz", 1000)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, DEPTH)
    np.testing.assert_array_equal(found, sparse.load_npz(tmp_path / "a.npz").toarray())


def test_a_sparse_matrix_of_float64_without_any_number(tmp_path: Path) -> None:
    sparse.save_npz(tmp_path / "a.npz", sparse.csr_matrix((3, 4)))
    np.testing.assert_array_equal(read_depth_file(tmp_path / "a.npz", 1), np.zeros((3, 4)))


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint16])
def test_dense_arrays(tmp_path: Path, kind: type) -> None:
    np.save(tmp_path / "a.npy", DEPTH.astype(kind))
    np.testing.assert_array_equal(read_depth_file(tmp_path / "a.npy", 1000), DEPTH.astype(kind))


def test_what_is_unknown_is_0(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[np.nan, np.inf, -1.0, 1e300, 2.0]]))
    np.testing.assert_array_equal(read_depth_file(tmp_path / "a.npy", 1), [[0, 0, 0, 0, 2]])


@pytest.mark.parametrize(("divisor", "expected"), [(5000, [0, 1.0, 13.107]), (1000, [0, 5.0, 65.535])])
def test_images(tmp_path: Path, divisor: float, expected: list[float]) -> None:
    Image.fromarray(np.array([[0, 5000, 65535]], np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_depth_file(tmp_path / "a.png", divisor)[0], expected, rtol=1e-6)


CSR: dict[str, Any] = {
    "format": np.array(b"csr"),
    "shape": np.array([3, 4]),
    "data": np.array([1.0, 2.0], np.float32),
    "indices": np.array([1, 3], np.int32),
    "indptr": np.array([0, 1, 2, 2], np.int32),
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"indices": np.array([1, 4], np.int32)}, "numbers outside the matrix"),
        ({"indices": np.array([-1, 3], np.int32)}, "numbers outside the matrix"),
        ({"indptr": np.array([0, 2, 1, 2], np.int32)}, "rows do not fit together"),
        ({"indptr": np.array([0, 1, 2], np.int32)}, "rows do not fit together"),
        ({"indptr": np.array([0, 1, 2, 9], np.int32)}, "rows do not fit together"),
        ({"indices": np.array([1], np.int32)}, "arrays do not fit together"),
        ({"indices": np.array([1.0, 3.0])}, "of other types"),
        ({"data": np.array(["a", "b"])}, "of other types"),
        ({"shape": np.array([3, 10**9])}, "is no image"),
        ({"shape": np.array([3])}, "damaged: "),
        ({"format": np.array(b"bsr")}, "no sparse matrix of kind"),
        ({"format": None}, "no sparse matrix of kind"),
        ({"indptr": None}, "no sparse matrix of kind"),
        ({"data": np.array([{}, {}])}, "not a readable .npz file of arrays"),
    ],
)
def test_matrices_that_lie(tmp_path: Path, changes: dict, message: str) -> None:
    arrays = {name: value for name, value in (CSR | changes).items() if value is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError) as error:
        read_depth_file(tmp_path / "a.npz", 1)
    assert message in str(error.value) and str(tmp_path / "a.npz") in str(error.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"no array")
    np.save(tmp_path / "b.npy", np.zeros((1, 3, 4)))
    np.save(tmp_path / "c.npy", np.array([[{}]]))
    Image.new("RGB", (4, 3)).save(tmp_path / "d.png")
    (tmp_path / "e.npz").write_bytes(b"no archive")
    cases = {
        "a.npy": "not a readable .npy file",
        "b.npy": r"float64 of shape \(1, 3, 4\)",
        "c.npy": "holds objects",
        "d.png": "is no 16-bit image of one channel",
        "e.npz": "not a readable .npz file",
        "f.npy": "no such file of depth",
    }
    for name, message in cases.items():
        with pytest.raises(UserError, match=message):
            read_depth_file(tmp_path / name, 1)


def test_a_file_that_promises_more_than_it_holds(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"(3, 4)", b"(9, 4)"))
    with pytest.raises(UserError, match="declares 288 bytes that the file does not hold"):
        read_depth_file(tmp_path / "a.npy", 1)


def test_the_files_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder of depth"):
        find_depth_files(tmp_path / "absent")
    with pytest.raises(UserError, match="no depth in it"):
        find_depth_files(tmp_path)
    for name in ("b.npy", "a.npy", "readme.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_depth_files(tmp_path)] == ["a.npy", "b.npy"]
    (tmp_path / "c.png").touch()
    with pytest.raises(UserError, match=r"holds \.npy and \.png files; keep one kind"):
        find_depth_files(tmp_path)
