"""Numbers of a file that are not those that were written: changed bits, and what single precision cannot hold."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.datasets.depth_files import read_depth, read_map, read_named_depth
from core.datasets.ground_truth import SparseDepth, load_ground_truth
from core.datasets.hints.files import Coded, read_hint, write_hint
from core.datasets.kitti import read_annotated_depth
from core.errors import UserError
from core.files.arrays import as_float32
from core.files.images import load_image
from tests.core.kitti_folder import write_first_version

PIXELS = np.random.default_rng(0).integers(1, 1 << 14, (6, 9)).astype(np.uint16)
READERS = {
    "annotated": read_annotated_depth,
    "nyu": lambda path: read_depth(path, "nyu"),
    "map": read_map,
    "hint": read_hint,
}


def write(path: Path, reader: str) -> None:
    if reader == "hint":
        write_hint(path, Coded(PIXELS, 0.1, 1.0), "made")
    else:
        Image.fromarray(PIXELS).save(path)


@pytest.mark.parametrize("reader", READERS)
def test_a_changed_bit_of_a_16_bit_png(tmp_path: Path, reader: str) -> None:
    """Each part of the file in turn, those with the pixels among them."""
    path = tmp_path / "a.png"
    write(path, reader)
    read: Callable[[Path], np.ndarray] = READERS[reader]
    truth, whole = read(path), path.read_bytes()
    for bit in range(5, 8 * len(whole), 11):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(UserError, match=r"a\.png: "):
            read(path)
    path.write_bytes(whole)
    np.testing.assert_array_equal(read(path), truth)


@pytest.mark.parametrize("reader", READERS)
def test_the_reason_is_said(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "a.png"
    write(path, reader)
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 9] ^= 4
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.png: .*its own checksum does not fit"):
        READERS[reader](path)
    path.write_bytes(content[:-13])
    with pytest.raises(UserError, match=r"a\.png: "):
        READERS[reader](path)


def test_photographs_are_not_measurements(tmp_path: Path) -> None:
    """Of other PNGs a wrong checksum of the pixels is passed over, as by every viewer."""
    Image.new("RGB", (9, 6), (1, 2, 3)).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[content.index(b"IEND") - 5] ^= 1  # the checksum before
    (tmp_path / "a.png").write_bytes(content)
    assert load_image(tmp_path / "a.png").getpixel((0, 0)) == (1, 2, 3)


def huge(shape: tuple[int, ...]) -> np.ndarray:
    """Depths of which one is larger than single precision goes."""
    values = np.full(shape, 2.0)
    values.flat[3] = 1e300
    return values


def dense(path: Path) -> object:
    np.save(path.with_suffix(".npy"), huge((6, 9)))
    return read_depth(path.with_suffix(".npy"), "kitti")


def sparse(path: Path) -> object:
    values = huge((6, 9)).ravel()
    np.savez(path, format=b"coo", shape=(6, 9), data=values, row=np.arange(54) // 9, col=np.arange(54) % 9)
    return read_depth(path, "ddad")


def named(path: Path) -> object:
    np.savez(path, depth=huge((6, 9)))
    return read_named_depth(path, "depth")


def hint(path: Path) -> object:
    np.save(path.with_suffix(".npy"), huge((1, 6, 9)))
    return read_hint(path.with_suffix(".npy"))


def truth(path: Path) -> object:
    depth = SparseDepth.from_dense(np.ones((6, 9)), "a 1 l")
    write_first_version(path, [replace(depth, values=huge((54,)))])  # later ones hold float32 alone
    return load_ground_truth(path)


@pytest.mark.parametrize("read", [dense, sparse, named, hint, truth])
def test_what_single_precision_cannot_hold(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(
        UserError, match=r"a\.np[yz]: 1 of \d+ values are too large for single .*1e\+300\); \w+"
    ):
        read(tmp_path / "a.npz")


def test_infinite_values_stay(tmp_path: Path) -> None:
    """They mean that nothing is known there, in every precision."""
    values = np.array([1.0, np.inf, np.nan, 3e38])
    np.testing.assert_array_equal(as_float32(values, "a", "b"), values.astype(np.float32))
    single = values[:3].astype(np.float32)
    assert as_float32(single, "a", "b") is single
    np.save(tmp_path / "a.npy", np.array([[1.0, np.inf], [np.nan, -np.inf]]))
    np.testing.assert_array_equal(read_depth(tmp_path / "a.npy", "kitti"), [[1, 0], [0, 0]])
