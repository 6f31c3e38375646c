"""`.pdparams`: exact round trips, Paddle's own files, and files that try something."""

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import UserError
from core.weights.pdparams import read_pdparams, write_pdparams

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "scalar": np.array(3.5, np.float64),
    "empty": np.zeros((0, 4), np.float16),
    "count": np.array([2**40], np.int64),
    "wide": np.array([2**32 - 1], np.uint32),
    "flags": np.array([True, False]),
}


def assert_same(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(actual) == list(expected)
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype and actual[name].shape == array.shape
        assert actual[name].tobytes() == array.tobytes()
        assert actual[name].flags.writeable


def pickled(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "depth.pdparams"
    write_pdparams(path, ARRAYS)
    assert_same(read_pdparams(path), ARRAYS)
    assert os.listdir(path.parent) == ["depth.pdparams"]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_pickle_of_arrays(tmp_path: Path, protocol: int) -> None:
    assert_same(read_pdparams(pickled(tmp_path / "a", ARRAYS, protocol)), ARRAYS)


def test_name_table_column_major_and_byte_order(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = {
        "F": np.asfortranarray(values),
        ">": values.astype(">f4"),
        "StructuredToParameterName@@": {"F": "w_0"},
    }
    loaded = read_pdparams(pickled(tmp_path / "a", content))
    assert_same(loaded, {"F": values, ">": values})
    assert loaded["F"].flags.c_contiguous


class Evil:
    """A pickle of it calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


def array_pickle(shape: tuple[Any, ...], content: bytes, code: str = "f4") -> bytes:
    """A pickle of {"w": array} with any state."""
    state = (1, shape, Evil(np.dtype, code), False, content)
    body = pickle.dumps(state, protocol=4)[2:-1]  # without PROTO and STOP
    start = b"\x80\x04}\x8c\x01wcnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    return start + body + b"bs."


def test_hand_made_array_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(array_pickle((2,), struct.pack("<2f", 1, 2)))
    assert read_pdparams(path)["w"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("shape", "content", "code"),
    [
        ((10**12,), b"", "f4"),
        ((2,), b"\0" * 7, "f4"),
        ((-1, -2), b"\0" * 8, "f4"),
        ((True, 2), b"\0" * 8, "f4"),
        ((1.0, 2), b"\0" * 8, "f4"),
        ((1,) * 40 + (2,), b"\0" * 8, "f4"),
        ((1,), b"\0" * 8, "O"),
        ((1,), b"\0" * 8, "O8"),
        ((1,), b"\0" * 8, "V8"),
        ((1,), b"\0" * 8, "S8"),
    ],
)
def test_arrays_that_do_not_fit_their_bytes(tmp_path: Path, shape: Any, content: bytes, code: str) -> None:
    path = tmp_path / "evil.pdparams"
    path.write_bytes(array_pickle(shape, content, code))
    with pytest.raises(UserError, match=r"evil\.pdparams"):
        read_pdparams(path)


def test_nothing_is_executed(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    attacks = [
        Evil(os.mkdir, str(target)),
        {"w": Evil(os.mkdir, str(target))},
        {"w": Evil(eval, f"__import__('os').mkdir({str(target)!r})")},
        {Evil(os.mkdir, str(target)): np.zeros(1)},
        [Evil(getattr, "text", "join")],
    ]
    for number, attack in enumerate(attacks):
        for protocol in (0, 2, 4, 5):
            path = pickled(tmp_path / f"{number}.pdparams", attack, protocol)
            with pytest.raises(UserError, match="which weights do not need"):
                read_pdparams(path)
    assert not target.exists()


@pytest.mark.parametrize(
    "content",
    [
        [np.zeros(2)],
        {"w": [np.zeros(2)]},
        {"w": {"deep": np.zeros(2)}, "v": {"deep": np.zeros(2)}},
        {"w": 3},
        {3: np.zeros(2)},
        {"w": np.array(["text"])},
        {"w": np.array([None])},
        {"w": np.zeros(2, [("a", "f4")])},
        {"w": np.zeros(2, np.complex64)},
        np.zeros(2),
        None,
    ],
)
def test_anything_but_a_dict_of_arrays(tmp_path: Path, content: Any) -> None:
    with pytest.raises(UserError, match=r"a\.pdparams"):
        read_pdparams(pickled(tmp_path / "a.pdparams", content))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        b"\x80\x04",
        b"\x80\x04\x8e" + b"\xff" * 8,  # bytes of 2^64 - 1
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 36) + b".",  # a bytearray of 64 GiB
        b"\x80\x04}r\xff\xff\xff\x7f.",  # memo index 2^31 - 1
        b"\x80\x04}\x82\x01.",
        b"\x80\x04Ppersistent\n.",
        b"\x80\x04cnumpy\ndtype\n}\x8c\x08__call__Nsb.",  # state for a global
        b"\x80\x04cnumpy\ndtype\n(\x8c\x02f4I00\nI01\ntR}\x8c\x04codeNsb.",
        b"\x80\x04cnumpy\nndarray\n)R.",
        b"\x80\x04}\x8c\x01wcnumpy._core.multiarray\n_reconstruct\n)Rs.",  # an array without state
    ],
)
def test_damaged_and_crafted_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pdparams"
    path.write_bytes(content)
    try:
        assert read_pdparams(path) == {}  # some are an empty dict after all
    except UserError as error:
        assert "\n" not in str(error)


def test_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pdparams"
    write_pdparams(path, {"w": np.zeros(1000)})
    content = path.read_bytes()
    for size in range(0, len(content), 97):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match=r"a\.pdparams"):
            read_pdparams(path)


def test_many_names_for_the_same_bytes(tmp_path: Path) -> None:
    array = np.zeros(100_000)
    with pytest.raises(UserError, match="more numbers than the file holds"):
        read_pdparams(pickled(tmp_path / "a", {str(i): array for i in range(100)}))


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file of weights"):
        read_pdparams(tmp_path / "absent.pdparams")


def test_bfloat16_is_widened_exactly(tmp_path: Path) -> None:
    bits = np.array([0x3F80, 0xC049, 0x0001, 0x7F80], np.uint16)
    loaded = read_pdparams(pickled(tmp_path / "a", {"w": bits}))["w"]
    assert loaded.dtype == np.float32
    assert loaded.tolist() == [1, -3.140625, 2.0**-133, np.inf]


def test_state_inside_a_checkpoint_and_what_lies_beside_it(tmp_path: Path) -> None:
    state = {"w": np.ones(2, np.float32), "epoch": 3, "rate": np.float64(0.5), "name": "x", "list": [1]}
    expected = {"w": np.ones(2, np.float32), "epoch": np.array(3), "rate": np.array(0.5)}
    for protocol in (2, 4):
        assert_same(read_pdparams(pickled(tmp_path / "a", state, protocol)), expected)
        for name in ("state_dict", "model"):
            nested = {"epoch": 3, "best": np.float32(1), name: state}
            assert_same(read_pdparams(pickled(tmp_path / "a", nested, protocol)), expected)


def test_optimiser_state(tmp_path: Path) -> None:
    content = {"moment1_0": np.ones(2), "LR_Scheduler": {"last_epoch": 3}, "master_weights": {}}
    assert list(read_pdparams(pickled(tmp_path / "a.pdopt", content))) == ["moment1_0"]


def test_the_same_text_encoded_again_and_again(tmp_path: Path) -> None:
    """Protocol 2 holds bytes as text; a megabyte of it must not become a terabyte."""
    text = b"X" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"q\x00"
    again = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R"
    (tmp_path / "a").write_bytes(b"\x80\x02" + text + again * 3 + b".")
    with pytest.raises(UserError, match="more bytes than the file holds"):
        read_pdparams(tmp_path / "a")
