"""Damaged heads of `.npy` files, wherever one is read: one line, and nothing is evaluated."""

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.datasets.depth_files import read_depth
from core.datasets.hints.files import read_hint
from core.errors import UserError
from core.evaluation.disparity_files import load_disparities, open_disparities
from core.odometry.trajectories import load_motions
from core.weights.npz import NpyRows

READERS: dict[str, Callable[[Path], object]] = {
    "disparities": load_disparities,
    "disparities, mapped": lambda path: load_disparities(path, mapped=True),
    "disparities, one by one": open_disparities,
    "motions": load_motions,
    "depth": lambda path: read_depth(path, "nyu"),
    "hint": read_hint,
}


def head(text: str, version: int = 1, size: int | None = None) -> bytes:
    content = text.encode("latin1")
    length = len(content) if size is None else size
    return b"\x93NUMPY" + bytes([version, 0]) + length.to_bytes(2 if version == 1 else 4, "little") + content


PLAIN = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4, 4), }"
DAMAGED = {
    "no end": head(PLAIN[:-8]),
    "an open bracket": head(PLAIN.replace("(2", "((2")),
    "an open quotation": head(PLAIN.replace("'shape'", "'shape")),
    "a line that is indented": head("\n  {'a': 1}\n {'b'\n"),
    "odd characters": head(PLAIN.replace("False", "\0\xff")),
    "an expression": head(PLAIN.replace("(2,", "(1 + 1,")),
    "brackets": head("(" * 9000),
    "other keys": head("{'descr': '<f4'}"),
    "a structure": head(PLAIN.replace("'<f4'", "[('a', '<f4')]")),
    "objects": head(PLAIN.replace("<f4", "|O")),
    "text of no length": head(PLAIN.replace("<f4", "<U0")),
    "a negative side": head(PLAIN.replace("(2", "(-2")),
    "a huge side": head(PLAIN.replace("(2", "(99999999999999")),
    "a longer head": head(PLAIN, 2, 1 << 31),
    "another version": head(PLAIN, 9),
    "nothing": b"",
    "the magic alone": b"\x93NUMPY",
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_damaged_heads(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "a.npy"
    for content in DAMAGED.values():
        path.write_bytes(content + bytes(128))
        with pytest.raises(UserError, match=r"a\.npy: ") as error:
            read(path)
        assert str(error.value).isprintable() and len(str(error.value)) < 500


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_random_edits(tmp_path: Path, read: Callable[[Path], object]) -> None:
    """Of the head: another array or one line."""
    stream, rng, path = io.BytesIO(), np.random.default_rng(0), tmp_path / "a.npy"
    np.save(stream, np.ones((2, 4, 4), np.float32))
    for _ in range(200):
        content = bytearray(stream.getvalue())
        for place in rng.integers(0, 128, rng.integers(1, 4)):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            read(path)
        except UserError as error:
            assert "\n" not in str(error)


def test_right_ones_as_before(tmp_path: Path) -> None:
    for array in (np.random.default_rng(0).random((3, 4, 5)), np.asfortranarray(np.ones((2, 3, 4), ">f4"))):
        np.save(tmp_path / "a.npy", array)
        for mapped in (False, True):
            found = load_disparities(tmp_path / "a.npy", mapped)
            assert np.array_equal(found, array) and found.dtype.itemsize == array.dtype.itemsize
    np.save(tmp_path / "a.npy", np.zeros((0, 4, 5)))
    assert load_disparities(tmp_path / "a.npy", mapped=True).shape == (0, 4, 5)


@pytest.mark.parametrize("kind", ["<f4", ">f8", "<u2"])
def test_one_by_one(tmp_path: Path, kind: str) -> None:
    """The same maps, of which no two are in memory."""
    array = np.random.default_rng(0).integers(1, 99, (40, 50, 60)).astype(kind)
    np.save(tmp_path / "a.npy", array)
    tracemalloc.start()
    rows = open_disparities(tmp_path / "a.npy")
    sums = [int(row.sum()) for row in rows]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sums == array.sum((1, 2)).tolist() and peak < array.nbytes / 4
    assert rows.shape == array.shape and all(
        row.dtype == array.dtype and np.array_equal(row, expected)
        for row, expected in zip(rows, array, strict=True)
    )
    assert isinstance(rows, NpyRows)
    chosen = rows.take([3, 30])
    assert chosen.shape == (2, 50, 60) and np.array_equal(chosen[1], array[30])
    assert np.array_equal(np.asarray(chosen[1:]), array[[30]]) and np.array_equal(rows[-1], array[-1])


def test_columns_before_rows_are_read_whole(tmp_path: Path) -> None:
    array = np.asfortranarray(np.random.default_rng(0).random((3, 4, 5)))
    np.save(tmp_path / "a.npy", array)
    assert np.array_equal(open_disparities(tmp_path / "a.npy"), array)


def test_a_file_that_becomes_shorter(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 4, 5)))
    rows = open_disparities(tmp_path / "a.npy")
    with (tmp_path / "a.npy").open("r+b") as file:
        file.truncate(300)
    assert rows[0].sum() == 20
    with pytest.raises(UserError, match=r"a\.npy: .*shorter"):
        rows[2]
