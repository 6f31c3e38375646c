"""Files of weights that cost their sender nothing and the reader gigabytes, at sizes that a test can afford.

`tests/slow/test_memory.py` has them at their full size.
"""

import bz2
import io
import json
import lzma
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from core.datasets.ground_truth import load_ground_truth
from core.errors import UserError
from core.weights import files, h5, pth, read_weights_file, safetensors_file, stand_ins
from core.weights.archives import MAX_LINE_BYTES
from core.weights.npz import read_npz, read_object_maps
from core.weights.unpack import unpack
from tests.core.weight_files import rebuild, storage, tensor, whole, write_legacy, write_zip

METHODS = {"bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}


def packed(path: Path, method: int, member: str = "data.npy") -> Path:
    """A zip file of one array, packed in a way that is none of NumPy's or PyTorch's."""
    content = io.BytesIO()
    np.save(content, np.zeros(1000, np.float32))
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(member, content.getvalue())
    return path


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize(
    "read",
    [
        read_weights_file,
        read_npz,
        load_ground_truth,
        lambda path: read_object_maps(path, "data"),
        lambda path: unpack(path, path.parent / "unpacked", ["data.npy"]),
    ],
    ids=["weights", "npz", "ground truth", "maps", "archive"],
)
def test_packed_by_another_method(
    tmp_path: Path, method: int, read: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused before a byte is unpacked: of these a block is unpacked whole, whatever was asked for."""
    path = packed(tmp_path / "a.npz", method)
    for module, name in ((bz2, "BZ2Decompressor"), (lzma, "LZMADecompressor")):
        monkeypatch.setattr(module, name, None)
    with pytest.raises(UserError, match=r"a\.npz: .*is compressed in a way that is not allowed") as error:
        read(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_pth_with_a_member_packed_by_another_method(tmp_path: Path, method: int) -> None:
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", whole({"w": tensor(np.zeros(2, np.float32), "0")}))
        archive.writestr("archive/data/0", bytes(8), method)
    with pytest.raises(UserError, match="compressed in a way that is not allowed"):
        read_weights_file(path)


def test_encrypted_member(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.npz", zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is encrypted"):
        read_npz(path)


LINE = b"1" * MAX_LINE_BYTES
ODD_TEXT = "\N{GRINNING FACE}".encode() + b"a" * (1 << 17)
PICKLES = {
    "a long line of text": b"V" + LINE + b"\n.",
    "a long line of a number": b"I" + LINE + b"\n.",
    "a long line of an integer": b"L" + LINE + b"L\n.",
    "a long line of a place": b"g" + LINE + b"\n.",
    "a long line of a name": b"c" + LINE + b"\nx\n.",
    "an integer of many bytes": b"\x8b" + struct.pack("<i", 1 << 17) + b"\1" * (1 << 17) + b".",
    "a text of which one character is wide": b"X" + struct.pack("<I", len(ODD_TEXT)) + ODD_TEXT + b".",
    "another text of these": b"\x8d" + struct.pack("<Q", len(ODD_TEXT)) + ODD_TEXT + b".",
    "bytes that are not there": b"B" + struct.pack("<I", 1 << 31) + b".",
}


@pytest.mark.parametrize("kind", ["pdparams", "pth", "legacy"])
@pytest.mark.parametrize("content", PICKLES.values(), ids=PICKLES)
def test_pickles_that_grow(tmp_path: Path, kind: str, content: bytes) -> None:
    path, content = tmp_path / "a", b"\x80\x04" + content
    if kind == "pdparams":
        path.write_bytes(content)
    else:
        (write_zip if kind == "pth" else write_legacy)(path, content, {})
    with pytest.raises(
        UserError, match=r"asks for \d+ bytes|line of it is longer|an instruction that|a text of \d+ bytes"
    ):
        read_weights_file(path)


def test_numbers_in_a_text_are_held_once(tmp_path: Path) -> None:
    """As protocol 2 has them; the text is let go of when it has become bytes."""
    array = np.arange(100_000, dtype=np.float32)
    (tmp_path / "a").write_bytes(pickle.dumps({"w": array}, protocol=2))
    assert np.array_equal(read_weights_file(tmp_path / "a")["w"], array)


def test_a_frame_of_the_whole_file_is_not_read_ahead(tmp_path: Path) -> None:
    plain = pickle.dumps({"w": np.arange(3)}, protocol=4)
    body = plain[11:] if plain[2:3] == b"\x95" else plain[2:]
    (tmp_path / "a").write_bytes(b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + body)
    assert read_weights_file(tmp_path / "a")["w"].tolist() == [0, 1, 2]


# ---- more numbers than the file has ------------------------------------------------------------------------


def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of kilobytes in place of hundreds of megabytes."""
    monkeypatch.setattr(files, "MAX_EXTRA_BYTES", 1000)
    monkeypatch.setattr(pth, "MAX_KEPT_BYTES", 3000)
    for module in (stand_ins, safetensors_file, h5):
        monkeypatch.setattr(module, "MAX_TENSOR_BYTES", 4096)


def safetensors(path: Path, kind: str, count: int, size: int) -> None:
    header = json.dumps({"w": {"dtype": kind, "shape": [count], "data_offsets": [0, count * size]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(count * size))


def test_one_array_under_several_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch)
    array = np.zeros(500, np.float32)
    (tmp_path / "a").write_bytes(pickle.dumps({"w": array, "v": array}, protocol=4))
    write_zip(tmp_path / "b", whole({"w": tensor(array, "0"), "v": tensor(array, "0")}), {"0": bytes(2000)})
    same = tensor(array, "0", None)
    write_legacy(tmp_path / "c", whole({"w": same, "v": same}), {"0": (500, bytes(2000))})
    for name in "abc":
        with pytest.raises(UserError, match="more numbers than the file holds"):
            read_weights_file(tmp_path / name)


def test_bfloat16_that_becomes_twice_as_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch)
    (tmp_path / "a").write_bytes(pickle.dumps({"w": np.zeros(1000, np.uint16)}, protocol=4))
    safetensors(tmp_path / "b", "BF16", 1000, 2)
    for name in "ab":
        with pytest.raises(UserError, match="more numbers than the file holds"):
            read_weights_file(tmp_path / name)


def test_a_tensor_larger_than_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch)
    array = np.zeros(2000, np.float32)
    write_zip(tmp_path / "a", whole({"w": tensor(array, "0")}), {"0": bytes(8000)})
    safetensors(tmp_path / "b", "F32", 2000, 4)
    with h5py.File(tmp_path / "c", "w") as file:
        file["w"] = array
    for name in "abc":
        with pytest.raises(UserError, match=r"array of 8000 bytes|has more than"):
            read_weights_file(tmp_path / name)


def test_small_parts_of_many_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch)
    storages = {str(key): bytes(2000) for key in range(2)}
    parts = {f"w{key}": rebuild(storage("FloatStorage", str(key), 500), 0, (1,), (1,)) for key in range(2)}
    write_zip(tmp_path / "a", whole(parts), storages)
    with pytest.raises(UserError, match="small parts of far more numbers"):
        read_weights_file(tmp_path / "a")
