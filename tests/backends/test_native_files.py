"""Files that a framework itself writes: read by `core/weights`, and converted through every format and back."""

from collections import OrderedDict

import numpy as np
import pytest

import convert_weights
from core.weights import read_weights_file
from core.weights.families.monodepth2 import Decoder, Encoder, PoseCNN, PoseDecoder
from core.weights.pdparams import read_pdparams, write_pdparams
from core.weights.pth import read_pth
from tests.core.weights.test_conversion import random_state
from tests.core.weights.test_weights_pth import assert_same


@pytest.fixture(scope="module")
def torch(backend):
    if backend.name != "torch":
        pytest.skip("about PyTorch's files")
    return backend.framework


# ---- PyTorch ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch_files(torch, tmp_path_factory):
    """Of each kind of content `<name>.zip` and `<name>.legacy`, and its arrays; once by another protocol of pickles."""
    folder, base = tmp_path_factory.mktemp("torch"), torch.randn(4, 5, 6)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 4))
    network[2].weight = torch.nn.Parameter(network[2].weight.t())
    tensors = {
        **{"base": base, "permuted": base.permute(2, 0, 1), "part": base[1:3, ::2, 3]},
        **{"expanded": base[:1].expand(3, 5, 6), "half": base.half(), "bfloat16": base.bfloat16()},
        **{"double": base.double(), "parameter": torch.nn.Parameter(base), "bool": base > 0},
        **{"uint8": base.byte(), "int8": torch.tensor([-3], dtype=torch.int8), "int16": base.short()},
        **{"int32": base.int(), "int64": torch.tensor(2**40), "empty": torch.zeros(0, 3)},
        "nan": torch.tensor([float("nan")]),
    }
    state = network.state_dict()
    beside = {"best": np.float64(0.5), "step": base.sum()}
    optimizer = torch.optim.Adam(network.parameters()).state_dict()
    files = {
        "flat": tensors | {"height": 192, "use_stereo": True, "text": "x", "list": [1, base]},
        "module": state,
        "nested": {"state_dict": state, "epoch": 3, **beside, "optimizer": optimizer},
        "model": {"model": OrderedDict(state)},
    }
    arrays = {}
    for name, content in files.items():
        arrays[name] = {
            key: array_of(torch, one) for key, one in (tensors if name == "flat" else state).items()
        }
        for kind, new in (("zip", True), ("legacy", False)):
            torch.save(content, folder / f"{name}.{kind}", _use_new_zipfile_serialization=new)
    torch.save(tensors, folder / "flat4.zip", pickle_protocol=4)
    return folder, arrays


def array_of(torch, tensor):
    tensor = tensor.detach().float() if tensor.dtype == torch.bfloat16 else tensor.detach()
    return np.ascontiguousarray(tensor.numpy()).reshape(tensor.shape)


@pytest.mark.parametrize("kind", ["zip", "legacy"])
@pytest.mark.parametrize("name", ["flat", "module", "nested", "model"])
def test_what_torch_writes(torch_files, name, kind):
    folder, arrays = torch_files
    beside = {"height": np.array(192), "use_stereo": np.array(True)} if name == "flat" else {}
    assert_same(read_weights_file(folder / f"{name}.{kind}"), arrays[name] | beside)


def test_another_pickle_protocol(torch_files):
    folder, arrays = torch_files
    assert_same(read_pth(folder / "flat4.zip"), arrays["flat"])


# ---- PaddlePaddle ----------------------------------------------------------------------------------------


def test_paddle_reads_ours_and_we_read_paddles(backend, tmp_path):
    if backend.name != "paddle":
        pytest.skip("about PaddlePaddle's files")
    paddle, name = backend.framework, "conv.weight"
    expected = {name: np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)}
    write_pdparams(tmp_path / "ours.pdparams", expected)
    loaded = backend.framework.load(str(tmp_path / "ours.pdparams"))
    assert list(loaded) == [name] and (loaded[name].numpy() == expected[name]).all()
    tensor = loaded[name]
    for file, content, more in (
        ("theirs", {name: tensor}, {}),
        ("two", {name: tensor}, {"protocol": 2}),
        ("nested", {"model": {name: tensor}, "epoch": 3}, {}),
        ("bfloat16", {name: tensor.astype("bfloat16")}, {}),  # integers below 256 are exact in it
    ):
        paddle.save(content, str(tmp_path / f"{file}.pdparams"), **more)
        assert_same(read_pdparams(tmp_path / f"{file}.pdparams"), expected)


# ---- through every format --------------------------------------------------------------------------------

NETWORKS = {
    18: {
        "encoder": ("encoder", Encoder(18)),
        "depth": ("depth", Decoder(False)),
        "one scale": ("depth", Decoder(False, (0,))),
        "predictive mask": ("predictive_mask", Decoder(False, outputs=2, mask=True)),
        "pose encoder": ("pose_encoder", Encoder(18, 2)),
        "pose encoder of all frames": ("pose_encoder", Encoder(18, 3)),
        "pose": ("pose", PoseDecoder(False)),
        "shared pose": ("pose", PoseDecoder(False, 2, 1)),
        "shared pose of all frames": ("pose", PoseDecoder(False, 3, 2)),
        "PoseCNN": ("pose", PoseCNN(2)),
        "PoseCNN of all frames": ("pose", PoseCNN(3)),
    },
    50: {
        "encoder": ("encoder", Encoder(50)),
        "depth": ("depth", Decoder(True)),
        "pose encoder": ("pose_encoder", Encoder(50, 2)),
        "pose": ("pose", PoseDecoder(True)),
        "shared pose": ("pose", PoseDecoder(True, 2, 1)),
        "shared pose of all frames": ("pose", PoseDecoder(True, 3, 2)),
        "pose encoder of all frames": ("pose_encoder", Encoder(50, 3)),
    },
}
# One of each kind of layer and of number beside them; the others, unlike these in sizes alone: tests/slow.
SMALLER = [(18, case) for case in ("encoder", "predictive mask", "shared pose", "PoseCNN")]
LARGE = [(layers, case) for layers in NETWORKS for case in NETWORKS[layers] if (layers, case) not in SMALLER]


@pytest.mark.parametrize("layers_case", SMALLER, ids=lambda case: case[1])
def test_round_trip_through_every_format_is_bit_identical(torch, tmp_path, monkeypatch, capsys, layers_case):
    monkeypatch.setattr("core.files.whole._synchronise", lambda path: None)
    check_round_trip(torch, tmp_path, *layers_case)
    printed = capsys.readouterr().out
    assert printed.count("bit-identical: ") == 4 and "CHANGED" not in printed


def check_round_trip(torch, folder, layers, case):
    """torch → paddle → safetensors → h5 → torch, of a file that torch wrote; torch compares the two ends.

    Each step reads what it wrote again, as the next one does.
    """
    file, network = NETWORKS[layers][case]
    source = folder / "start"
    source.mkdir(parents=True)
    state = {
        name: torch.from_numpy(array) if array.ndim or "." in name else array.item()
        for name, array in random_state(network).items()
    }
    torch.save(state, source / f"{file}.pth", _use_new_zipfile_serialization=False)
    for step, to in enumerate(("paddle", "safetensors", "h5", "torch")):
        output = folder / f"{step}_{to}"
        convert_weights.main([str(source), "--to", to, "--output", str(output)])
        next(source.iterdir()).unlink()
        source = output
    found = torch.load(source / f"{file}.pth", weights_only=True)
    (source / f"{file}.pth").unlink()
    assert list(found) == list(state)
    for name, expected in state.items():
        one = found[name]
        assert type(one) is type(expected)
        if isinstance(one, torch.Tensor):
            assert one.dtype == expected.dtype and one.shape == expected.shape, name
            one, expected = one.numpy().tobytes(), expected.numpy().tobytes()
        assert one == expected, name
