"""Damaged heads of `.npy` files, wherever one is read: one line, and nothing is evaluated."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.datasets.depth_files import read_depth
from core.datasets.hints.files import read_hint
from core.errors import UserError
from core.evaluation.disparity_files import load_disparities
from core.odometry.trajectories import load_motions

READERS: dict[str, Callable[[Path], object]] = {
    "disparities": load_disparities,
    "disparities, mapped": lambda path: load_disparities(path, mapped=True),
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
