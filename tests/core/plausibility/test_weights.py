"""Weights that are no numbers, what colleagues put beside them, and files that hold none."""

import argparse
import datetime
import pickle
import plistlib
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import UserError
from core.plausibility import checks
from core.plausibility.evaluation import check_one_depth, is_flat
from core.plausibility.weights import check_weights
from core.training.collapse import PATIENCE, CollapseGuard
from core.weights import format_of, read_weights_file
from core.weights.conversion import convert
from core.weights.families.monodepth2 import Decoder, Encoder
from core.weights.folder import model_options
from core.weights.layouts import read_state
from core.weights.pdparams import write_pdparams
from core.weights.pretrained import imagenet_state
from core.weights.safetensors_file import write_safetensors
from core.weights.sources import read_network
from tests.core.weight_files import Raw, call, name, storage, tensor, whole, write_pth, write_zip

STATE = {
    "encoder.conv1.weight": np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3),
    "encoder.bn1.running_mean": np.zeros(4, np.float32),
    "encoder.bn1.running_var": np.full(4, 0.5, np.float32),
    "encoder.bn1.num_batches_tracked": np.array(7),
    "height": np.array(64),
}


def encoder(kind: type = np.float32) -> dict[str, np.ndarray]:
    """A whole encoder, small numbers in it."""
    return {
        key: np.full(shape, 0.5, kind) if shape else np.array(64)
        for key, shape in Encoder(18).shapes.items()
        if key not in ("height", "width", "use_stereo") and not key.startswith("encoder.fc")
    }


def with_value(key: str, value: float, kind: type = np.float32) -> dict[str, np.ndarray]:
    array = STATE[key].astype(kind)
    array.flat[0] = value
    return STATE | {key: array}


# ---- numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_right_weights_pass_without_a_word(tmp_path: Path, capsys, kind: str) -> None:
    state = {key: array.astype(kind) if array.ndim else array for key, array in STATE.items()}
    found, _ = read_state(write_pth(tmp_path / "encoder.pth", state))
    assert all(
        np.array_equal(found[key], array) and found[key].dtype == array.dtype for key, array in state.items()
    )
    assert capsys.readouterr().err == ""


WRONG = {
    "int8": (
        STATE | {"encoder.conv1.weight": np.ones((4, 3), np.int8)},
        r"conv1\.weight holds whole numbers \(int8\)",
    ),
    "uint8": (
        {key: array.astype(np.uint8) if array.ndim else array for key, array in STATE.items()},
        r"encoder\.\S+ and 2 more tensors hold whole numbers \(uint8\): quantised weights\?.*dequantise",
    ),
    "int64": (STATE | {"encoder.conv1.weight": np.ones((4, 3), np.int64)}, r"whole numbers \(int64\)"),
    "bool": (STATE | {"encoder.conv1.weight": np.ones((4, 3), bool)}, r"other numbers \(bool\)"),
    "nan": (with_value("encoder.conv1.weight", np.nan), r"conv1\.weight holds .* not finite \(1 of 12"),
    "infinite": (
        with_value("encoder.bn1.running_mean", -np.inf),
        r"running_mean holds .* not finite \(1 of 4",
    ),
    "nan in 16 bits": (with_value("encoder.conv1.weight", np.nan, np.float16), "not finite"),
    "beyond float32": (with_value("encoder.conv1.weight", 1e300, np.float64), "beyond float32"),
    "variance": (
        with_value("encoder.bn1.running_var", -0.25),
        r"running_var holds negative variances \(down to -0\.25",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_weights_are_refused_where_they_are_read(tmp_path: Path, kind: str) -> None:
    state, words = WRONG[kind]
    write_pth(tmp_path / "encoder.pth", state)
    write_safetensors(tmp_path / "encoder.safetensors", state)
    for path in (tmp_path / "encoder.pth", tmp_path / "encoder.safetensors"):
        with pytest.raises(UserError, match=words) as error:
            read_state(path)
        assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_native_names_of_variances(tmp_path: Path) -> None:
    path = tmp_path / "encoder.pdparams"
    write_pdparams(
        path, {"encoder.bn1._mean": np.zeros(2, np.float32), "encoder.bn1._variance": -np.ones(2, np.float32)}
    )
    with pytest.raises(UserError, match="_variance holds negative variances"):
        read_state(path)


def test_imagenet_weights(tmp_path: Path, capsys) -> None:
    state = {key.removeprefix("encoder."): array for key, array in encoder().items()}
    whole_one = state | {
        "fc.weight": np.zeros((1000, 512), np.float32),
        "fc.bias": np.zeros(1000, np.float32),
    }
    path = tmp_path / "resnet18_pretrain.safetensors"
    write_safetensors(path, whole_one)
    imagenet_state(path)
    assert capsys.readouterr().err == ""
    write_safetensors(path, state)
    imagenet_state(path)
    (tmp_path / "converted").mkdir()
    convert([read_network(path)], "safetensors", tmp_path / "converted", write_safetensors)
    said = capsys.readouterr().err
    assert said.count("is taken for ImageNet's weights, but has no classifier") == 1
    write_safetensors(path, whole_one | {"bn1.weight": np.full(64, np.nan, np.float32)})
    with pytest.raises(UserError, match=r"bn1\.weight holds numbers that are not finite"):
        imagenet_state(path)


def test_accepted(tmp_path: Path, capsys) -> None:
    checks.begin(["weight_values"])
    read_state(write_pth(tmp_path / "a.pth", WRONG["nan"][0]))
    assert capsys.readouterr().err.startswith("accepted (weight_values): ")


# ---- beside the tensors --------------------------------------------------------------------------------------


class Made:
    """An object of a colleague's program."""

    def __init__(self) -> None:
        self.values = [1, 2]


OBJECTS = {
    "namespace": argparse.Namespace(lr=0.1, path=PurePosixPath("/a/b")),
    "time": datetime.datetime(2024, 5, 1, 12, 0),
    "path": PurePosixPath(*(["/"] + ["a"] * 30)),
    "of its program": Made(),
    "difference": datetime.timedelta(3),
    "simple": SimpleNamespace(a=[1, {"b": 2}]),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_objects_beside_the_state(tmp_path: Path, capsys, kind: str) -> None:
    content = {"state_dict": STATE, "args": OBJECTS[kind], "epoch": 3}
    path = tmp_path / "a.pdparams"
    path.write_bytes(pickle.dumps(content, protocol=2))
    found = read_weights_file(path)
    assert set(found) == set(STATE)
    assert np.array_equal(found["encoder.conv1.weight"], STATE["encoder.conv1.weight"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("module", ["os.system", "builtins.eval", "subprocess.Popen", "torch.hub.load"])
def test_what_means_harm_is_refused_all_the_same(tmp_path: Path, module: str) -> None:
    place, _, function = module.rpartition(".")
    path = write_pth(tmp_path / "a.pth", {"w": np.ones(2, np.float32)}, args=call(name(place, function), "x"))
    with pytest.raises(UserError, match=f"asks for {module}, which weights do not need"):
        read_weights_file(path)


def test_what_is_put_into_an_object_is_lost(tmp_path: Path) -> None:
    """Items, attributes and arguments go nowhere; an object in place of a tensor is no tensor."""
    state = {"w": tensor(np.ones(2, np.float32), "0"), "v": call(name("a", "Parameter"), 1)}
    odd = name("a", "Dict").content + b")\x81" + b"(X\x01\x00\x00\x00kK\x01u" + b"]K\x01ab"
    path = write_zip(tmp_path / "a.pth", whole({"model_state_dict": state, "odd": Raw(odd)}), {"0": bytes(8)})
    assert list(read_weights_file(path)) == ["w"]


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "net", "network", "module", "generator"])
def test_states_by_other_names(tmp_path: Path, key: str) -> None:
    path = tmp_path / "a.pdparams"
    path.write_bytes(pickle.dumps({key: STATE, "epoch": 3, "mean": np.zeros(3)}, protocol=2))
    assert set(read_weights_file(path)) == set(STATE)


def test_several_states_and_none(tmp_path: Path) -> None:
    path = tmp_path / "a.pdparams"
    path.write_bytes(pickle.dumps({"one": STATE, "two": STATE}, protocol=2))
    with pytest.raises(UserError, match=r"several states, 'one', 'two'.*; save the one of the network"):
        read_weights_file(path)
    path.write_bytes(pickle.dumps({"epoch": 3, "best": {"a": 1}}, protocol=2))
    with pytest.raises(
        UserError, match=r"holds no arrays by name, but 'epoch', 'best'.*; save only the state_dict"
    ):
        read_weights_file(path)


def test_tensors_of_other_kinds(tmp_path: Path) -> None:
    quantised = call(name("torch._utils", "_rebuild_qtensor"), storage("ByteStorage", "0", 2), 0, (2,), (1,))
    path = write_zip(tmp_path / "a.pth", whole({"w": quantised}), {"0": bytes(2)})
    with pytest.raises(UserError, match=r"quantised ones, .*; dequantise them first, and save float32"):
        read_weights_file(path)


# ---- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "model.net."])
def test_prefixes_of_wrappers(tmp_path: Path, capsys, prefix: str) -> None:
    write_safetensors(tmp_path / "a.safetensors", {prefix + key: array for key, array in encoder().items()})
    assert set(read_state(tmp_path / "a.safetensors")[0]) == set(encoder())
    assert read_network(tmp_path / "a.safetensors").network == Encoder(18)
    assert capsys.readouterr().err == ""


def test_wrapped_parts(tmp_path: Path) -> None:
    names = {f"encoder._orig_mod.{key.removeprefix('encoder.')}": array for key, array in encoder().items()}
    write_safetensors(tmp_path / "a.safetensors", names)
    assert set(read_state(tmp_path / "a.safetensors")[0]) == set(encoder())


def test_no_advice_leads_to_imagenet(tmp_path: Path) -> None:
    state = {f"backbone.{key.removeprefix('encoder.')}": array for key, array in encoder().items()}
    write_safetensors(tmp_path / "a.safetensors", state)
    with pytest.raises(UserError, match="all below backbone: an encoder\\? save them below encoder") as error:
        read_network(tmp_path / "a.safetensors")
    assert "without that prefix" not in str(error.value)


def test_a_profilers_counts_and_numbers(tmp_path: Path, capsys) -> None:
    counts = {
        f"{key.rpartition('.')[0]}.total_ops": np.zeros(1) for key in encoder() if key.endswith("weight")
    }
    state = encoder() | counts | {"total_params": np.zeros(1), "epoch": np.array(3)}
    write_safetensors(tmp_path / "a.safetensors", state)
    assert set(read_network(tmp_path / "a.safetensors").state) == set(encoder())
    first, second = capsys.readouterr().err.splitlines()
    assert f"passed over: {len(counts) + 1} counts of a profiler" in first
    assert second.endswith("passed over: numbers beside the tensors: epoch")


def test_an_encoder_that_does_not_say_its_size(tmp_path: Path, capsys) -> None:
    depth = {key: np.full(shape, 0.5, np.float32) for key, shape in Decoder(bottleneck=False).shapes.items()}
    states = {"encoder": encoder(), "depth": depth}
    options = model_options(tmp_path, states, {})
    assert (options.height, options.width) == (192, 640)
    assert "do not say height and width; taken for it: --height 192, --width 640" in capsys.readouterr().err
    options = model_options(tmp_path, states, {}, untold={"height": 64, "width": 96})
    assert (options.height, options.width) == (64, 96)
    numbers = {"height": np.array(128), "width": np.array(416), "use_stereo": np.array(False)}
    options = model_options(tmp_path, states | {"encoder": encoder() | numbers}, {})
    assert (options.height, options.width) == (128, 416) and capsys.readouterr().err == ""


# ---- no weights ----------------------------------------------------------------------------------------------


def tar(path: Path) -> None:
    (path.parent / "encoder.pth").write_bytes(b"x")
    with tarfile.open(path, "w") as archive:
        archive.add(path.parent / "encoder.pth", "a/encoder.pth")


def packed(path: Path) -> None:
    (path.parent / "encoder.pth").write_bytes(b"x")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(path.parent / "encoder.pth", "a/encoder.pth")
        archive.add(path.parent / "encoder.pth", "a/depth.pth")


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mono/encoder.pth", b"x")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 46819013\n"
INFERENCE = bytes(16) + b"\x08\0\0\0\x08\x05\x10\x40\x10\x03" + bytes(40)
NO_WEIGHTS = {
    "pointer": (POINTER, "pointer of a large-file store .*git lfs pull"),
    "page": (b"\n<!DOCTYPE html><html><head>", r"web page \(HTML\)"),
    "page without a head": (b"<HTML>\n<body>Sign in", r"web page \(HTML\)"),
    "tar": (tar, r"tar archive; unpack it \(tar -xf a\.pth\)"),
    "tar.gz": (packed, r"several files of weights; unpack it \(tar -xzf a\.pth\)"),
    "zip": (zipped, r"zip archive that holds mono/encoder\.pth; unpack it \(unzip a\.pth\)"),
    "plist": (plistlib.dumps({"a": 1}, fmt=plistlib.FMT_BINARY), "property list"),
    "plist as text": (plistlib.dumps({"a": 1}), "property list"),
    "nothing": (b"", r"empty \(zero bytes\)"),
    "zeros": (bytes(5000), "nothing but zero bytes"),
    "inference": (INFERENCE, "exported by PaddlePaddle for inference; name the weights"),
    "program": (
        b"\x0a\xc2\x07\x08\x00\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a",
        "exported by PaddlePaddle",
    ),
    "onnx": (b"\x08\x08\x12\x07pytorch\x1a\x05", "ONNX export.*name the weights"),
    "rar": (b"Rar!\x1a\x07\x01\x00", "RAR archive"),
    "json": (b'{"weight_map": {}}', "JSON"),
    "array": (b"\x93NUMPY\x01\x00", "single NumPy array"),
}


@pytest.mark.parametrize("kind", NO_WEIGHTS)
def test_what_is_no_file_of_weights_is_called_what_it_is(tmp_path: Path, kind: str) -> None:
    content, words = NO_WEIGHTS[kind]
    path = tmp_path / "a.pth"
    path.write_bytes(content) if isinstance(content, bytes) else content(path)
    with pytest.raises(UserError, match=words) as error:
        format_of(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert "write or download it again" not in str(error.value)


# ---- one depth -----------------------------------------------------------------------------------------------


def test_one_depth_anywhere_in_the_range_is_told_once() -> None:
    guard = CollapseGuard("another --seed")
    told = [guard.warnings({"0": (0.5, 0.5), "1": (0.47, 0.5)}) for _ in range(2 * PATIENCE)]
    assert [len(lines) for lines in told] == [0] * (PATIENCE - 1) + [1] + [0] * PATIENCE
    assert told[PATIENCE - 1][0].startswith(
        "warning: scale 0 predicts one depth (sigmoid 0.500) for every pixel"
    )
    guard = CollapseGuard("another --seed")
    assert sum(len(guard.warnings({"0": (0.0300000, 0.0300001)})) for _ in range(PATIENCE)) == 1


def test_one_depth_in_prediction(capsys) -> None:
    rng = np.random.default_rng(0)
    flat, slanted = np.full((4, 6), 0.07), np.linspace(0.01, 0.0101, 24).reshape(4, 6)
    assert is_flat(flat) and is_flat(flat + 1e-9 * rng.normal(size=flat.shape)) and not is_flat(slanted)
    check_one_depth("w", 0, 3)
    assert capsys.readouterr().err == ""
    check_one_depth("w", 2, 3)
    assert capsys.readouterr().err.startswith(
        "warning: w: one depth is predicted for all pixels of 2 of 3 images"
    )


@pytest.mark.parametrize("kind", [bool, "c8"])
def test_numbers_that_are_neither_whole_nor_real(kind):
    with pytest.raises(
        UserError, match=r"x\.pth: a holds other numbers \((bool|complex64)\): .*save float32"
    ):
        check_weights("x.pth", {"a": np.ones((4, 3)).astype(kind)})
