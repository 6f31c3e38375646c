"""Depth maps in files: every kind against the map itself; files that are none."""

import numpy as np
import pytest
from PIL import Image

from core.datasets.depth_files import find_depth_files, read_depth
from core.errors import UserError

DEPTH = np.round(np.random.default_rng(0).uniform(0.1, 12, (6, 9)), 3).astype(np.float32)
DEPTH[np.random.default_rng(1).random((6, 9)) < 0.6] = 0
DEPTH[2] = 0  # a row without points


def sparse(kind="csr", depth=DEPTH):
    """The arrays that SciPy writes."""
    rows, columns = np.nonzero(depth)
    if kind == "csc":
        rows, columns = (index[np.argsort(columns, kind="stable")] for index in (rows, columns))
    arrays = {"format": np.array(kind.encode()), "shape": np.array(depth.shape), "data": depth[rows, columns]}
    if kind == "coo":
        return arrays | {"row": rows.astype(np.int32), "col": columns.astype(np.int32)}
    major, minor, count = (rows, columns, 6) if kind == "csr" else (columns, rows, 9)
    indptr = np.searchsorted(major, np.arange(count + 1)).astype(np.int32)
    return arrays | {"indptr": indptr, "indices": minor.astype(np.int32)}


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_sparse_matrices(tmp_path, kind, save):
    save(tmp_path / "a.npz", **sparse(kind))
    found = read_depth(tmp_path / "a.npz", "kitti")
    assert found.dtype == np.float32 and (DEPTH > 0).sum() > 10
    np.testing.assert_array_equal(found, DEPTH)


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_array", "coo_matrix", "coo_array"])
def test_what_scipy_itself_writes(tmp_path, kind):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    scipy_sparse.save_npz(tmp_path / "a.npz", getattr(scipy_sparse, kind)(DEPTH))
    np.testing.assert_array_equal(read_depth(tmp_path / "a.npz", "ddad"), DEPTH)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("kind", ["kitti", "nyu"])
def test_dense_arrays(tmp_path, dtype, kind):
    depth = DEPTH.astype(dtype)
    np.save(tmp_path / "a.npy", depth)
    np.savez(tmp_path / "a.npz", depth=depth)
    for name in ("a.npy", "a.npz"):
        np.testing.assert_array_equal(read_depth(tmp_path / name, kind), depth.astype(np.float32))


@pytest.mark.parametrize(("kind", "unit"), [("nyu", 5000), ("bonn", 1000), ("tum", 1000), ("scannet", 1000)])
def test_images(tmp_path, kind, unit):
    pixels = np.random.default_rng(2).integers(0, 65536, (6, 9)).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_depth(tmp_path / "a.png", kind), pixels / np.float32(unit))
    for other in ("kitti", "ddad"):
        with pytest.raises(UserError, match=rf"a\.png: the unit of a depth \.png of {other} is not known"):
            read_depth(tmp_path / "a.png", other)


def test_what_is_no_depth_is_unknown(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[1, 0, -2], [np.nan, np.inf, 3]]))
    np.testing.assert_array_equal(read_depth(tmp_path / "a.npy", "kitti"), [[1, 0, 0], [0, 0, 3]])


def test_entries_of_one_place_are_added(tmp_path):
    arrays = sparse("coo") | {"row": np.array([1, 1]), "col": np.array([2, 2]), "data": np.array([1.5, 2.0])}
    np.savez(tmp_path / "a.npz", **arrays)
    assert read_depth(tmp_path / "a.npz", "kitti")[1, 2] == 3.5


@pytest.mark.parametrize(
    "changes",
    [
        {"format": np.array(b"dia")},
        {"format": np.array(["csr", "csr"])},
        {"shape": np.array([6])},
        {"shape": np.array([6, 3])},
        {"shape": np.array([7, 9])},
        {"shape": np.array([6, 10**9])},
        {"shape": np.array([-6, 9])},
        {"shape": np.array([np.inf, 9])},
        {"data": np.ones(3, np.float32)},
        {"data": np.array(["a"] * np.count_nonzero(DEPTH))},
        {"indptr": np.zeros(7, np.int32)},
        {"indptr": np.array([0, 0, 0, 0, 0, 0, 2**40])},
        {"indptr": np.array([0, 9, 3, 9, 9, 9, np.count_nonzero(DEPTH)])},
        {"indices": np.full(np.count_nonzero(DEPTH), -1)},
        {"indices": np.full(np.count_nonzero(DEPTH), 0.5)},
        {"indices": None},
    ],
    ids=str,
)
def test_matrices_that_do_not_fit(tmp_path, changes):
    arrays = {name: array for name, array in (sparse() | changes).items() if array is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=r"a\.npz: no sparse matrix as SciPy writes it") as caught:
        read_depth(tmp_path / "a.npz", "kitti")
    assert "\n" not in str(caught.value)


def test_counts_that_only_add_up_because_they_overflow(tmp_path):
    """Four rows of 2 ** 62 entries each: to NumPy's `repeat` they would be 0, and it would write beyond its memory."""
    indptr = np.array([0, 2**62, 2**63, 2**63 + 2**62, 0], np.uint64)
    arrays = {"format": np.array(b"csr"), "shape": np.array([4, 9]), "indptr": indptr}
    np.savez(tmp_path / "a.npz", data=np.zeros(0), indices=np.zeros(0, np.int32), **arrays)
    with pytest.raises(UserError, match="indptr does not fit the shape"):
        read_depth(tmp_path / "a.npz", "kitti")


def test_files_that_are_no_maps(tmp_path):
    for array in (
        np.zeros(4),
        np.zeros((1, 2, 3)),
        np.zeros((0, 3)),
        np.zeros((2, 2), bool),
        np.array(["a"]),
    ):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(UserError, match=r"a\.npy: holds .* not a depth map \(h, w\)"):
            read_depth(tmp_path / "a.npy", "kitti")
    np.savez(tmp_path / "two.npz", a=DEPTH, b=DEPTH)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "text.npz").write_text("text")
    (tmp_path / "text.npy").write_text("text")
    for name, message in (
        ("two.npz", "holds a, b, no sparse matrix and not one array"),
        ("a.png", "not a 16-bit depth image but of mode L"),
        ("text.npz", "not a readable"),
        ("text.npy", "not a readable"),
        ("absent.png", "no such image"),
        ("absent.npy", "no such file"),
    ):
        with pytest.raises(UserError, match=message):
            read_depth(tmp_path / name, "nyu")


def test_the_files_of_a_folder(tmp_path):
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
