"""`.pth`: what PyTorch writes in both formats, bit for bit, and files made by hand that claim too much."""

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import UserError
from core.weights import format_of, read_weights_file
from core.weights.pth import read_pth
from tests.core.weight_files import (
    Raw,
    call,
    name,
    rebuild,
    storage,
    tensor,
    whole,
    write_legacy,
    write_pth,
    write_zip,
)

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "half": np.array([1.5, -2], np.float16),
    "double": np.array(np.pi),
    "empty": np.zeros((0, 4), np.float32),
    "count": np.array([2**40, -1], np.int64),
    "bytes": np.arange(256, dtype=np.uint8),
    "flags": np.array([True, False]),
}


def assert_same(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(actual) == list(expected)
    for key, array in expected.items():
        assert actual[key].dtype == array.dtype and actual[key].shape == array.shape, key
        assert actual[key].tobytes() == array.tobytes(), key
        assert actual[key].flags.writeable and actual[key].flags.c_contiguous


@pytest.fixture(params=[False, True], ids=["zip", "legacy"])
def legacy(request: pytest.FixtureRequest) -> bool:
    return request.param


def write_entries(
    path: Path, entries: Any, numbers: np.ndarray, legacy: bool, key: str = "0", count: int | None = None
) -> Path:
    """A file of one storage."""
    if legacy:
        stored = numbers.size if count is None else count
        return write_legacy(path, whole(entries), {key: (stored, numbers.tobytes())})
    return write_zip(path, whole(entries), {key: numbers.tobytes()})


# ---- made by hand ----------------------------------------------------------------------------------------


def test_handmade_state(tmp_path: Path, legacy: bool) -> None:
    path = write_pth(tmp_path / "a.pth", ARRAYS, legacy)
    assert format_of(path) == "pth"
    assert_same(read_pth(path), ARRAYS)


def test_beside_the_tensors(tmp_path: Path, legacy: bool) -> None:
    arrays = {"w": np.ones(2, np.float32)}
    beside = {"height": 192, "use_stereo": True, "scale": 0.5, "name": "x", "list": [1], "dict": {"a": 2}}
    beside |= {"nothing": None, "huge": 2**80}
    expected = arrays | {"height": np.array(192), "use_stereo": np.array(True), "scale": np.array(0.5)}
    assert_same(read_pth(write_pth(tmp_path / "a.pth", arrays, legacy, **beside)), expected)


def test_what_trainings_keep_beside_the_tensors(tmp_path: Path, legacy: bool) -> None:
    """Nothing is made of any of it."""
    beside = {
        "milestones": call(name("collections", "Counter"), {15: 1}),
        "seen": call(name("__builtin__", "set"), [1, 2]),
        "size": call(name("torch", "Size"), (2, 3)),
        "device": call(name("torch", "device"), "cuda", 0),
        "dtype": name("torch", "float32"),
    }
    arrays = {"w": np.ones(2, np.float32)}
    assert_same(read_pth(write_pth(tmp_path / "a.pth", arrays, legacy, **beside)), arrays)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_nested(tmp_path: Path, legacy: bool, key: str) -> None:
    view = (None,) if legacy else ()
    numbers = np.arange(3, dtype=np.float32)
    state = call(name("collections", "OrderedDict"), [("w", tensor(numbers, "0", *view))])
    entries = {"epoch": 3, "best": tensor(numbers, "0", *view), key: state, "optimizer": {"state": {0: {}}}}
    assert_same(read_pth(write_entries(tmp_path / "a", entries, numbers, legacy)), {"w": numbers})


def test_views(tmp_path: Path, legacy: bool) -> None:
    """Offsets, strides, shared numbers, a parameter."""
    numbers = np.arange(12, dtype=np.float32)
    shared = storage("FloatStorage", "0", 12, *((None,) if legacy else ()))
    entries = {
        "all": rebuild(shared, 0, (3, 4), (4, 1)),
        "transposed": rebuild(shared, 0, (4, 3), (1, 4)),
        "part": rebuild(shared, 5, (2, 2), (4, 1)),
        "expanded": rebuild(shared, 7, (3, 2), (0, 1)),
        "scalar": rebuild(shared, 11, (), ()),
        "side of one": rebuild(shared, 11, (1,), (1000,)),
        "nothing": rebuild(shared, 12, (0, 3), (3, 1)),
        "parameter": call(
            name("torch._utils", "_rebuild_parameter"), rebuild(shared, 0, (2,), (1,)), True, {}
        ),
        "old": call(name("torch._utils", "_rebuild_tensor"), shared, 2, (2,), (1,)),
    }
    table = numbers.reshape(3, 4)
    expected = {
        "all": table,
        "transposed": np.ascontiguousarray(table.T),
        "part": np.ascontiguousarray(table[1:, 1:3]),
        "expanded": np.array([[7, 8]] * 3, np.float32),
        "scalar": np.array(11, np.float32),
        "side of one": np.array([11], np.float32),
        "nothing": np.zeros((0, 3), np.float32),
        "parameter": numbers[:2],
        "old": numbers[2:4],
    }
    loaded = read_pth(write_entries(tmp_path / "a", entries, numbers, legacy))
    assert_same(loaded, expected)
    loaded["all"][:] = -1  # nobody else's numbers
    assert loaded["part"].tolist() == [[5, 6], [9, 10]]


def test_view_of_a_storage_in_the_old_format(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype=np.float32)
    part = storage("FloatStorage", "0", 6, ("view", 2, 3))
    path = write_entries(tmp_path / "a", {"w": rebuild(part, 1, (2,), (1,))}, numbers, legacy=True)
    assert read_pth(path)["w"].tolist() == [3, 4]


def test_bfloat16_is_widened_exactly(tmp_path: Path, legacy: bool) -> None:
    bits = np.array([0x3F80, 0xC049, 0x0001, 0x7F80], np.uint16)
    numbers = storage("BFloat16Storage", "0", 4, *((None,) if legacy else ()))
    path = write_entries(tmp_path / "a", {"w": rebuild(numbers, 0, (4,), (1,))}, bits, legacy)
    loaded = read_pth(path)["w"]
    assert loaded.dtype == np.float32 and loaded.tolist() == [1, -3.140625, 2.0**-133, np.inf]


def test_scalars_that_are_converted_stay_arrays(tmp_path: Path, legacy: bool) -> None:
    view = (None,) if legacy else ()
    for kind, bits, value in (("BFloat16Storage", b"\x80\x3f", 1.0), ("BoolStorage", b"\x02", True)):
        entries = {"w": rebuild(storage(kind, "0", 1, *view), 0, (), ())}
        numbers = np.frombuffer(bits, f"u{len(bits)}")
        loaded = read_pth(write_entries(tmp_path / "a", entries, numbers, legacy))["w"]
        assert isinstance(loaded, np.ndarray) and loaded.shape == () and loaded[()] == value
        assert loaded.view(np.uint8 if value is True else np.uint32).item() in (1, 0x3F800000)


IMPOSSIBLE = {
    "offset": (12, (1,), (1,)),
    "negative offset": (-1, (1,), (1,)),
    "true offset": (True, (1,), (1,)),
    "size": (0, (13,), (1,)),
    "sizes": (0, (2**31, 2**31), (0, 1)),
    "stride": (0, (2, 2), (11, 2)),
    "negative stride": (11, (2,), (-1,)),
    "fractions": (0, (1.0,), (1,)),
    "more sizes than strides": (0, (2, 2), (1,)),
    "expanded beyond reason": (0, (10**9,), (0,)),
    "huge numbers": (0, (1 << 4000,), (1 << 4000,)),
    "text": ("0", ("1",), ("1",)),
    "forty dimensions": (0, (1,) * 40, (1,) * 40),
}


@pytest.mark.parametrize("view", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible_views(tmp_path: Path, legacy: bool, view: tuple[Any, Any, Any]) -> None:
    shared = storage("FloatStorage", "0", 12, *((None,) if legacy else ()))
    path = write_entries(tmp_path / "a.pth", {"w": rebuild(shared, *view)}, np.zeros(12, np.float32), legacy)
    with pytest.raises(UserError, match=r"a\.pth: not a readable \.pth file of tensors") as error:
        read_pth(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def whole_tensor(kind: str, key: Any, count: Any, *view: Any) -> Raw:
    return rebuild(storage(kind, key, count, *view), 0, (2,), (1,))


@pytest.mark.parametrize(
    "reference",
    [
        ("FloatStorage", "0", 13),
        ("FloatStorage", "0", 11),
        ("DoubleStorage", "0", 12),
        ("FloatStorage", "0", -12),
        ("FloatStorage", "0", 12.0),
        ("FloatStorage", "1", 12),
        ("FloatStorage", "../../../etc/passwd", 12),
        ("FloatStorage", 0, 12),
        ("QInt8Storage", "0", 12),
        ("load", "0", 12),
    ],
    ids=str,
)
def test_impossible_storages(tmp_path: Path, legacy: bool, reference: tuple[Any, Any, Any]) -> None:
    entries = {"w": whole_tensor(*reference, *((None,) if legacy else ()))}
    path = write_entries(tmp_path / "a.pth", entries, np.zeros(12, np.float32), legacy)
    with pytest.raises(UserError, match=r"a\.pth: not a readable \.pth file of tensors"):
        read_pth(path)


@pytest.mark.parametrize("view", [("v", 11, 2), ("v", -1, 2), ("v", 0), "view", ("v", 0, 1)], ids=str)
def test_impossible_views_of_storages(tmp_path: Path, view: Any) -> None:
    entries = {"w": whole_tensor("FloatStorage", "0", 12, view)}
    path = write_entries(tmp_path / "a.pth", entries, np.zeros(12, np.float32), legacy=True)
    with pytest.raises(UserError, match=r"view|storage"):
        read_pth(path)


@pytest.mark.parametrize("count", [11, 13, -1, 2**62])
def test_counts_that_lie_in_the_old_format(tmp_path: Path, count: int) -> None:
    entries = {"w": whole_tensor("FloatStorage", "0", 12, None)}
    numbers = np.zeros(12, np.float32)
    with pytest.raises(UserError, match="the storage '0' is not whole"):
        read_pth(write_entries(tmp_path / "a", entries, numbers, legacy=True, count=count))


def test_two_declarations_of_a_storage_in_the_old_format(tmp_path: Path) -> None:
    entries = {
        "a": whole_tensor("FloatStorage", "0", 2, None),
        "b": whole_tensor("FloatStorage", "0", 12, None),
    }
    path = write_entries(tmp_path / "a", entries, np.zeros(12, np.float32), legacy=True)
    with pytest.raises(UserError, match="declared twice"):
        read_pth(path)


def test_big_endian(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.pth", whole({}), {}, [("byteorder", b"big")])
    with pytest.raises(UserError, match="big-endian"):
        read_pth(path)
    content = write_pth(tmp_path / "b.pth", {"w": np.ones(2)}, legacy=True).read_bytes()
    little = b"little_endian" + content.partition(b"little_endian")[2][:3]
    (tmp_path / "b.pth").write_bytes(content.replace(little, little[:-1] + b"\x89"))
    with pytest.raises(UserError, match="big-endian"):
        read_pth(tmp_path / "b.pth")


def test_compressed_doubled_and_missing_members(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", whole({"w": 1}))
    with pytest.raises(UserError, match="is compressed"):
        read_pth(path)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", whole({"w": 1}))
        archive.writestr("archive/data.pkl", whole({"w": 2}))
    with pytest.raises(UserError, match="the same name"):
        read_pth(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/other", b"")
    with pytest.raises(UserError, match=r"0 members data\.pkl"):
        read_pth(path)


@pytest.mark.parametrize(
    "content", [[1], "text", None, {}, {"epoch": 3}, {"state_dict": {}}, {3: 4}], ids=str
)
def test_no_tensors_by_name(tmp_path: Path, content: Any) -> None:
    with pytest.raises(UserError, match=r"not a dict of arrays|holds no arrays by name"):
        read_pth(write_zip(tmp_path / "a", whole(content), {}))


def test_tensor_whose_name_is_a_number(tmp_path: Path) -> None:
    entries = {3: tensor(np.ones(2, np.float32), "0")}
    with pytest.raises(UserError, match="name is no text"):
        read_pth(write_zip(tmp_path / "a", whole(entries), {"0": bytes(8)}))


def test_a_whole_model_is_refused_by_name(tmp_path: Path) -> None:
    entries = {"model": call(name("networks.resnet_encoder", "ResnetEncoder"))}
    with pytest.raises(
        UserError, match=r"asks for networks\.resnet_encoder\.ResnetEncoder.*save only the state_dict"
    ):
        read_pth(write_zip(tmp_path / "a", whole(entries), {}))


def test_files_told_by_content(tmp_path: Path) -> None:
    for legacy in (False, True):
        path = write_pth(tmp_path / "misnamed.h5", ARRAYS, legacy)
        assert_same(read_weights_file(path), ARRAYS)
    for content in (b"", b"text", b"\0" * 100, b"PK\5\6" + bytes(18), struct.pack("<Q", 2**63) + b"{"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"misnamed\.h5: "):
            read_weights_file(path)
    with pytest.raises(UserError, match="no such file"):
        read_weights_file(tmp_path / "absent.pth")
    with pytest.raises(UserError, match="regular file"):
        read_weights_file(tmp_path)
