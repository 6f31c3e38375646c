"""SC-Depth's files: names of two programs, networks that are recognised, and what lies beside the tensors."""

import re
from pathlib import Path

import numpy as np
import pytest

import convert_weights
from core.errors import UserError
from core.weights import read_weights_file
from core.weights.families import matches
from core.weights.families.base import is_counter
from core.weights.families.sc_depth import FAMILY, Depth, Encoder, Pose, PoseEncoder, join, split
from core.weights.folder import model_options
from core.weights.safetensors_file import write_safetensors
from core.weights.sources import read_source
from tests.core.payloads import PAYLOADS
from tests.core.twin_family import record, write_nested
from tests.core.weight_files import Raw, call, name, tensor, whole, write_zip

MODELS = {
    18: {"encoder": Encoder(18), "depth": Depth(False), "pose_encoder": PoseEncoder(18), "pose": Pose(False)},
    50: {"encoder": Encoder(50), "depth": Depth(True), "pose_encoder": PoseEncoder(18), "pose": Pose(False)},
}
CLASSIFIER = re.compile(r"encoder\.fc\.(weight|bias)$")


@pytest.fixture(scope="module")
def names(golden):
    return golden("sc_depth/names.json")


def official(names, layers: int) -> dict[str, tuple[int, ...]]:
    """Official name to shape, of both networks."""
    return {
        own: tuple(shape)
        for network, key in (("depth_net", f"resnet{layers}"), ("pose_net", "resnet18"))
        for own, shape in names["official"][key][network].items()
    }


def unofficial(names, layers: int) -> dict[str, str]:
    """Official to unofficial name."""
    found = dict(names["seed_from_official"])
    if layers == 50:
        pose = {own: other for own, other in found.items() if own.startswith("pose_net.")}
        found = names["seed_from_official_resnet50_depth_net"] | pose
    return found


def marked(shapes) -> dict[str, np.ndarray]:
    """Under every name another number, in an array that takes no memory."""
    return {own: np.broadcast_to(np.float32(row), shape) for row, (own, shape) in enumerate(shapes.items())}


# ---- names and shapes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", MODELS)
def test_official_names_and_shapes(names, layers: int) -> None:
    shapes = official(names, layers)
    assert join({file: rule.shapes for file, rule in MODELS[layers].items()}) == shapes
    assert sorted(filter(CLASSIFIER.search, shapes)) == sorted(names["unused_official"])
    parts = split(shapes)
    assert (
        parts is not None and {file: FAMILY.recognise(own) for file, own in parts.items()} == MODELS[layers]
    )


def test_counts(names) -> None:
    for key, rules in {
        "depth_net_resnet18": (Encoder(18), Depth(False)),
        "depth_net_resnet50": (Encoder(50), Depth(True)),
        "pose_net": (PoseEncoder(18), Pose(False)),
    }.items():
        shapes = join({rule.file: rule.shapes for rule in rules})
        trained = {
            own: shape for own, shape in shapes.items() if "running" not in own and not is_counter(own)
        }
        assert len(shapes) == names["entries"][key]
        assert sum(int(np.prod(shape)) for shape in trained.values()) == names["parameters"][key]


@pytest.mark.parametrize("layers", MODELS)
def test_names_of_both_programs_are_one_to_one(names, layers: int) -> None:
    """Whatever the name, the number under it arrives under the same one; the motion's rows are exchanged."""
    shapes = {own: shape for own, shape in official(names, layers).items() if not CLASSIFIER.search(own)}
    state, renamed = marked(shapes), unofficial(names, layers)
    swapped = names["swap_rows"]["tensors"]
    for own in swapped:
        state[own] = np.arange(6.0).reshape(6, *[1] * (len(shapes[own]) - 1))
    ours = split(state)
    assert ours is not None and [*ours] == [*MODELS[layers]] and join(ours).keys() == state.keys()
    assert all(value is state[own] for own, value in join(ours).items())
    assert renamed.keys() == state.keys()
    theirs = split({renamed[own]: value for own, value in state.items()})
    assert theirs is not None
    for own, value in join(theirs).items():
        rows = names["swap_rows"]["official_from_seed"] if own in swapped else slice(None)
        np.testing.assert_array_equal(value, state[own][rows] if state[own].ndim else state[own])


@pytest.mark.parametrize("program", ["official", "unofficial"])
@pytest.mark.parametrize("half", ["depth_net.", "pose_net."])
@pytest.mark.parametrize("prefix", [True, False])
def test_one_network_a_file(names, program: str, half: str, prefix: bool) -> None:
    renamed = unofficial(names, 18)
    shapes = {
        (own if program == "official" else renamed[own]).removeprefix("" if prefix else half): shape
        for own, shape in official(names, 18).items()
        if own.startswith(half) and own in renamed
    }
    (found,) = matches({"model": shapes | {"epoch": ()}})
    files = ("encoder", "depth") if half == "depth_net." else ("pose_encoder", "pose")
    assert found.networks == {file: MODELS[18][file] for file in files} and found.exact == 2


# ---- what is refused -----------------------------------------------------------------------------------------


def half_shapes(names, half: str) -> dict[str, tuple[int, ...]]:
    return {own.removeprefix(half): s for own, s in official(names, 18).items() if own.startswith(half)}


def write(path: Path, shapes, **beside) -> Path:
    """A `.ckpt` of zeros."""
    return write_nested(
        path, {"state_dict": {own: np.zeros(shape, np.float32) for own, shape in shapes.items()}}, **beside
    )


def small(shapes) -> dict[str, tuple[int, ...]]:
    """Names of some tensors whose sizes do not matter, for files that are refused by their names."""
    return {own: shape for own, shape in shapes.items() if np.prod(shape) < 1000}


@pytest.mark.parametrize("prefix", ["", "pose_net."])
@pytest.mark.parametrize(
    ("old", "new", "unexpected"),
    [
        ("decoder.conv_squeeze.", "decoder.squeeze.", {"squeeze.weight", "squeeze.bias"}),
        ("decoder.convs_pose.2.", "decoder.convs.6.", {"convs.6.weight", "convs.6.bias"}),
        ("encoder.encoder.conv1", "encoder.conv1", {"encoder.conv1.weight"}),
    ],
)
def test_names_of_neither_program_stay(names, prefix: str, old: str, new: str, unexpected: set) -> None:
    shapes = {prefix + own.replace(old, new): shape for own, shape in half_shapes(names, "pose_net.").items()}
    parts = split(shapes)
    assert parts is not None and parts["pose"].keys() - Pose(False).shapes.keys() == unexpected
    assert sum(map(len, parts.values())) == len(shapes)


def test_names_of_neither_program(names, tmp_path: Path) -> None:
    shapes = {f"pose_net.{own}": shape for own, shape in half_shapes(names, "pose_net.").items()}
    shapes["pose_net.decoder.squeeze.bias"] = shapes.pop("pose_net.decoder.conv_squeeze.bias")
    words = (
        r"a\.ckpt: .* 1 missing: conv_squeeze\.bias; 1 unexpected: squeeze\.bias \(for conv_squeeze\.bias\?\)"
    )
    with pytest.raises(UserError, match=words):
        read_source(write(tmp_path / "a.ckpt", shapes))


def test_prefix_free_names_of_neither_program(names, tmp_path: Path) -> None:
    shapes = {own.replace("decoder.", "head."): s for own, s in half_shapes(names, "pose_net.").items()}
    with pytest.raises(
        UserError, match=r"a\.ckpt: holds arrays of no network that is known: .*encoder\.encoder"
    ):
        read_source(write(tmp_path / "a.ckpt", small(shapes)))


def test_a_name_that_nobody_uses(names) -> None:
    parts = split(official(names, 18) | {"loss.weight": (3,), "depth_net.gain.weight": (1,)})
    assert parts is not None
    assert parts["depth"].keys() - Depth(False).shapes.keys() == {"loss.weight", "gain.weight"}
    doubled = official(names, 18) | {"pose_net.conv_squeeze.bias": (256,)}
    parts = split(doubled)
    assert parts is not None and sum(map(len, parts.values())) == len(doubled)


@pytest.mark.parametrize(
    ("encoder", "sides"),
    [
        ("resnext50_32x4d", (128, 4)),
        ("wide_resnet50_2", (128, 128)),
        ("resnext101_32x8d", (256, 8)),
        ("resnext101_64x4d", (256, 4)),
        ("wide_resnet101_2", (128, 128)),
    ],
)
def test_encoders_that_are_not_here(tmp_path: Path, encoder: str, sides: tuple[int, int]) -> None:
    rule = Encoder(101 if "101" in encoder else 50)
    shapes = rule.shapes | {"encoder.layer1.0.conv2.weight": (*sides, 3, 3)}
    found = FAMILY.recognise(shapes)
    assert isinstance(found, Encoder) and found.foreign == encoder
    few = {
        own: shape
        for own, shape in shapes.items()
        if own.endswith((".bn1.bias", "conv3.weight", "layer1.0.conv2.weight")) and "layer4" not in own
    } | {f"encoder.layer4.{row}.bn1.bias": (1,) for row in range(3)}
    path = write(tmp_path / "a.ckpt", {f"depth_net.{own}": shape for own, shape in few.items()})
    with pytest.raises(
        UserError, match=rf"a\.ckpt: its encoder is a {encoder}, which is not here; take weights with"
    ):
        read_source(path)


def test_layers_that_contradict_the_files() -> None:
    assert Encoder(50).denial({"num_layers": 18, "pose_layers": 34}) == (
        "--num_layers 18, but its encoder is a ResNet-50"
    )
    assert PoseEncoder(18).denial({"num_layers": 50, "pose_layers": 34}) == (
        "--pose_layers 34, but its pose encoder is a ResNet-18"
    )
    assert Depth(True).fits(Encoder(50)) and not Depth(True).fits(Encoder(18))
    assert Depth(True).fits(PoseEncoder(18)) and not Pose(True).fits(PoseEncoder(18))


# ---- files ---------------------------------------------------------------------------------------------------


def lightning(**hyper) -> dict:
    """What Lightning keeps beside `state_dict`."""
    hidden = record("argparse", "Namespace", {"lr": 1e-4, "hparams": "v1"} | hyper)
    score = tensor(np.ones((), np.float32), "score")
    keeper = name("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
    state = {"best_model_score": score, "dirpath": call(name("pathlib", "PosixPath"), "/", "ckpts", "v1")}
    return {
        "epoch": 3,
        "global_step": 4000,
        "pytorch-lightning_version": "1.5.10",
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"current": {"ready": 4}}}},
        "callbacks": {keeper: state, "ModelCheckpoint{'monitor': 'val_loss'}": state},
        "optimizer_states": [{"state": {0: {"step": 1, "exp_avg": score}}, "param_groups": [{"lr": 1e-4}]}],
        "lr_schedulers": [],
        "hparams_name": "hparams",
        "hyper_parameters": {"hparams": hidden},
    }


def write_lightning(path: Path, state: dict[str, np.ndarray], **beside) -> Path:
    keys = {own: str(row) for row, own in enumerate(state)}
    content = {"state_dict": {own: tensor(array, keys[own]) for own, array in state.items()}, **beside}
    storages = {keys[own]: array.tobytes() for own, array in state.items()} | {"score": bytes(4)}
    return write_zip(path, whole(content), storages)


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyTorch, and without waiting for the disk."""
    monkeypatch.setattr("core.files.whole._synchronise", lambda path: None)

    def writer(key: str | None = None):
        return lambda path, state: write_nested(
            path, {key or "": {k: np.asarray(a) for k, a in state.items()}}
        )

    monkeypatch.setattr(convert_weights, "pth_writer", writer)


def test_a_file_of_lightning_and_back(names, by_hand, tmp_path: Path, capsys) -> None:
    """Read as it lies, with all that is beside the tensors; then to PaddlePaddle and back to one file, bit for bit."""
    shapes = {
        own: shape for own, shape in official(names, 18).items() if ".decoder." in own
    }  # the small ones
    state = {own: np.full(shape, row, np.float32) for row, (own, shape) in enumerate(shapes.items())}
    path = write_lightning(tmp_path / "epoch=3-val_loss=0.1234.ckpt", state, **lightning())
    convert_weights.main([str(path), "--to", "paddle", "--output", str(tmp_path / "paddle")])
    assert sorted(file.name for file in (tmp_path / "paddle").iterdir()) == [
        *("depth.pdparams", "pose.pdparams")
    ]
    options = model_options(tmp_path / "paddle", {}, {})
    assert (options.method, options.num_layers, options.pose_layers) == ("sc_depth", 18, 18)
    convert_weights.main([str(tmp_path / "paddle"), "--joined", str(tmp_path / "last.ckpt")])
    assert capsys.readouterr().out.count("bit-identical") == 2
    again = read_weights_file(tmp_path / "last.ckpt")
    assert [*again] == [*state]
    assert all(array.dtype == state[own].dtype for own, array in again.items())
    assert all(array.tobytes() == state[own].tobytes() for own, array in again.items())


def test_options_of_a_deeper_model() -> None:
    states = {file: marked(rule.shapes) for file, rule in MODELS[50].items()}
    options = model_options(Path("nowhere"), states, {})
    assert (options.method, options.num_layers, options.pose_layers) == ("sc_depth", 50, 18)
    with pytest.raises(UserError, match="--pose_layers 50, but its pose encoder is a ResNet-18; leave"):
        model_options(Path("nowhere"), states, {"pose_layers": 50})


def test_a_folder_of_files_of_ours_is_not_taken_for_another(tmp_path: Path) -> None:
    """Its encoder could be another method's; the decoder tells."""
    write_safetensors(tmp_path / "pose.safetensors", marked(Pose(False).shapes))
    write_safetensors(tmp_path / "pose_encoder.safetensors", marked(PoseEncoder(18).shapes))
    assert {file.family for file in read_source(tmp_path)} == {"SC-Depth"}
    assert model_options(tmp_path, {}, {}).method == "sc_depth"


def test_hostile_hyper_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in for Lightning's classes opens no door."""
    monkeypatch.chdir(tmp_path)
    small = {"depth_net.encoder.encoder.bn1.bias": np.zeros(64, np.float32)}
    path = write_lightning(tmp_path / "good.ckpt", small, **lightning())
    assert list(read_weights_file(path)) == list(small)
    refused = 0
    for payload in PAYLOADS.values():
        hidden = record("argparse", "Namespace", {"a": Raw(payload)})
        path = write_lightning(
            tmp_path / "bad.ckpt", small, **lightning() | {"hyper_parameters": {"h": hidden}}
        )
        try:
            assert list(read_weights_file(path)) == list(
                small
            )  # such as a list that holds itself: passed over
        except UserError as error:
            refused += "bad.ckpt: not a readable .pth file of tensors" in str(error)
    assert refused > 100  # the others are inert objects beside the tensors
    assert [file.name for file in tmp_path.iterdir() if file.suffix != ".ckpt"] == []
