"""PackNet's files: names and shapes of its networks, its program's file of both, and what lies beside them."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

import convert_weights
from core.errors import UserError
from core.options.parsing import parse_method
from core.weights import read_weights_file
from core.weights.continued import kept_moments, with_start_epoch
from core.weights.families import matches, sc_depth
from core.weights.families.packnet import (
    FAMILY,
    FIRST_AND_LAST,
    GroupPose,
    PackNetDepth,
    ResNetDepth,
    ResNetPose,
    configured,
    join,
    split,
)
from core.weights.files import MAX_CHECKPOINT_BYTES
from core.weights.folder import Folder, model_options
from core.weights.pth import read_record
from core.weights.sources import read_source
from tests.core.packnet_files import Checkpoint, configuration, node
from tests.core.payloads import PAYLOADS
from tests.core.weight_files import Raw, call, name
from tests.core.weights.test_continued import scalar

NETWORKS = {
    "packnet01_1A": PackNetDepth("packnet01"),
    "packnet01_1B": PackNetDepth("packnet01", concatenate=False),
    "packnet_slim01_1A": PackNetDepth("packnet_slim01"),
    "depth_resnet_18": ResNetDepth(18),
    "depth_resnet_50": ResNetDepth(50),
    "pose_net_1": GroupPose(1),
    "pose_net_2": GroupPose(2),
    "pose_resnet_18": ResNetPose(18),
}
PARAMETERS = {
    "packnet01_1A": 128_294_020,
    "packnet01_1B": 124_164_580,
    "packnet_slim01_1A": 76_997_796,
    "pose_net_2": 1_592_684,
}
FEW = {
    "pre_calc.conv_base.weight": (2, 3, 1, 1),
    "conv3.0.conv3.weight": (1, 1, 1, 1),
    "disp1_layer.conv1.bias": (1,),
}
FEW_POSE = {"conv1.0.weight": (2, 3, 1, 1), "pose_pred.bias": (6,)}


@pytest.fixture(scope="module")
def names(golden):
    return golden("packnet/names.json")


def shapes_of(names, key: str) -> dict[str, tuple[int, ...]]:
    return {own: tuple(shape) for own, shape in names[key].items()}


def empty(shapes) -> dict[str, np.ndarray]:
    """Zeros that take no memory."""
    return {own: np.broadcast_to(np.float32(0), shape) for own, shape in shapes.items()}


def states_of(depth, pose=None) -> dict[str, dict[str, np.ndarray]]:
    found = {"depth": empty(depth.shapes)}
    return found | ({"pose": empty(pose.shapes)} if pose else {})


# ---- names and shapes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", NETWORKS)
def test_official_names_and_shapes(names, key: str) -> None:
    """In the order of the official file, by which its optimiser counts."""
    shapes = shapes_of(names, key)
    assert list(NETWORKS[key].shapes.items()) == list(shapes.items())
    assert FAMILY.recognise(shapes) == NETWORKS[key]
    assert key not in PARAMETERS or sum(map(math.prod, shapes.values())) == PARAMETERS[key]


@pytest.mark.parametrize("first_and_last", FIRST_AND_LAST)
def test_divided_widths(first_and_last) -> None:
    """Each is told from all others; a damaged one is still called what it is."""
    rule = PackNetDepth(*FIRST_AND_LAST[first_and_last])
    assert FAMILY.recognise(rule.shapes) == rule and rule.widths[::5] == first_and_last
    damaged = dict(rule.shapes)
    del damaged["pre_calc.conv_base.weight"], damaged["iconv5.conv_base.weight"]
    found = FAMILY.recognise(damaged)
    assert isinstance(found, PackNetDepth) and found.widths[-1] == first_and_last[1] and found.concatenate


def test_dropout_renames_parameters(names) -> None:
    """Of PackNet alone: PoseNet's `conv3.0.weight` stays, and so does the third stage of PackNet."""
    dropout = {
        f"model.depth_net.{own}": shape for own, shape in shapes_of(names, "packnet01_1A_dropout").items()
    }
    pose = {f"model.pose_net.{own}": shape for own, shape in shapes_of(names, "pose_net_2").items()}
    assert any(".conv3.0.weight" in own for own in dropout)
    found = split(dropout | pose)
    assert found == {"depth": shapes_of(names, "packnet01_1A"), "pose": shapes_of(names, "pose_net_2")}
    assert split(shapes_of(names, "packnet01_1A_dropout")) == {"depth": found["depth"]}  # without prefixes
    assert split(found["depth"]) is None and split(found["pose"]) is None


@pytest.mark.parametrize(
    ("depth", "pose"),
    [
        ("module.model.depth_net.", "module.model.pose_net."),
        ("depth_net.", "pose_net."),
        ("disp_network.", "pose_network."),
        ("model.model.disp_network.", "model.model.pose_network."),
        ("model.depth_net.module.", "model.pose_net.module."),
    ],
)
def test_other_names_of_the_networks(names, depth: str, pose: str) -> None:
    own = {"depth": shapes_of(names, "packnet01_1A"), "pose": shapes_of(names, "pose_net_2")}
    state = {depth + key: s for key, s in own["depth"].items()} | {
        pose + key: s for key, s in own["pose"].items()
    }
    assert split(state) == own
    (match,) = matches({"any": state}, of_methods=True)
    assert match.family.method == "packnet" and match.exact == 2


def test_names_that_it_cannot_have() -> None:
    """Nothing is lost: the rule refuses it by its name."""
    state = {"model.depth_net.a": (1,), "disp_network.a": (2,), "loss.weight": (3,), "model.pose_net.b": (4,)}
    assert split(state) == {
        "depth": {"a": (1,), "disp_network.a": (2,), "loss.weight": (3,)},
        "pose": {"b": (4,)},
    }
    assert split({"encoder.conv1.weight": (1,)}) is None


def test_added_skips_of_the_slim_network() -> None:
    rule = PackNetDepth("packnet_slim01", concatenate=False)
    assert rule.refusal and PackNetDepth("packnet01", concatenate=False).refusal is None
    with pytest.raises(UserError, match="its skips are added, which its widths do not allow"):
        model_options(Path("nowhere"), states_of(rule), {})


def test_resnets_are_told_from_those_of_others(names) -> None:
    """SC-Depth's program begins its names with `depth_net.` as well, and its encoder is the same ResNet."""
    own = {"depth": shapes_of(names, "depth_resnet_18"), "pose": shapes_of(names, "pose_net_2")}
    state = join(own)
    (match,) = matches({"any": state}, of_methods=True)
    assert match.family.method == "packnet"
    theirs = {
        "depth": sc_depth.Depth(False).shapes,
        "pose": sc_depth.Pose(False).shapes,
        "encoder": sc_depth.Encoder(18).shapes,
        "pose_encoder": sc_depth.PoseEncoder(18).shapes,
    }
    (match,) = matches({"any": sc_depth.join(theirs)}, of_methods=True)
    assert match.family.method == "sc_depth"


# ---- which model it is ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "pose", "expected"),
    [
        (PackNetDepth("packnet01"), GroupPose(2), {"frame_ids": [0, -1, 1], "version": "1A"}),
        (
            PackNetDepth("packnet01", 4, False),
            GroupPose(1),
            {"width_divisor": 4, "version": "1B", "frame_ids": [0, -1]},
        ),
        (PackNetDepth("packnet_slim01", 2), None, {"depth_network": "packnet_slim01", "width_divisor": 2}),
        (
            ResNetDepth(50),
            ResNetPose(18),
            {"depth_network": "depth_resnet50", "pose_network": "pose_resnet18"},
        ),
    ],
)
def test_options_of_a_model(capsys, depth, pose, expected: dict) -> None:
    options = model_options(Path("nowhere"), states_of(depth, pose), {})
    assert options.method == "packnet" and options.metres_per_unit is None
    assert {key: getattr(options, key) for key in expected} == expected
    assert "its files do not say height and width; taken for it: --height 192" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {"supervision": "none", "metres_per_unit": None, "height": 64, "width": 96, "dropout": 0.0}),
        ({"name": "VelSupModel"}, {"supervision": "velocity", "metres_per_unit": 1.0}),
        ({"name": "SemiSupModel"}, {"supervision": "semi", "metres_per_unit": 1.0}),
        (
            {"name": "SemiSupModel", "loss": {"supervised_loss_weight": 1.0, "supervised_method": "silog"}},
            {"supervision": "full", "metres_per_unit": 1.0, "supervised_method": "sparse-l1"},
        ),
        (
            {"name": "OtherModel", "loss": {"padding_mode": "odd", "clip_loss": scalar(0.5)}},
            {"clip_loss": 0.5},
        ),
        ({"image_shape": ()}, {"height": 192, "width": 640}),
        ({"depth_net": {"name": "PackNet01", "dropout": 0.5}}, {"dropout": 0.5}),
        ({"depth_net": {"name": "DepthResNet", "dropout": 0.5}}, {"dropout": 0.0}),
    ],
)
def test_what_the_configuration_says(tmp_path: Path, changed: dict, expected: dict) -> None:
    checkpoint = Checkpoint({"depth": FEW, "pose": FEW_POSE})
    checkpoint.content["config"] = node(configuration(**changed))
    path = checkpoint.write(tmp_path / "PackNet01_MR_selfsup_K.ckpt")
    states = states_of(PackNetDepth("packnet01"), GroupPose(2))
    options = model_options(path, Folder(path, states=states, loose="packnet"), {})
    assert {key: getattr(options, key) for key in expected} == expected
    assert options.version == "1A"


def test_configurations_without_what_is_looked_for() -> None:
    for kept in (
        {},
        {"model": 1},
        {"model": {"name": ["x"], "loss": None}, "datasets": {"augmentation": []}},
    ):
        assert configured(kept) == {}


# ---- the program's file --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model of eight million numbers, in the spelling with dropout, by which zeros and ones can be told."""
    rules = {"depth": PackNetDepth("packnet01", 4), "pose": GroupPose(2)}
    states = {
        file: {own: np.full(shape, row, np.float32) for row, (own, shape) in enumerate(rule.shapes.items())}
        for file, rule in rules.items()
    }
    spelled = {
        own.replace(".conv3.", ".conv3.0.") if ".conv3.weight" in own or ".conv3.bias" in own else own: array
        for own, array in states["depth"].items()
    }
    path = tmp_path_factory.mktemp("model") / "PackNet01_MR_velsup_CStoK.ckpt"
    checkpoint = Checkpoint(states | {"depth": spelled})
    checkpoint.content["config"] = node(configuration(name="VelSupModel"))
    return checkpoint.write(path)


def test_converted_and_back(model: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """To a file of each network, PaddlePaddle's, and to the program's again; size and unit are not forgotten."""
    monkeypatch.setattr("core.files.whole._synchronise", lambda path: None)

    def writer(key):
        assert key == "state_dict"

        def write(path, state):
            checkpoint = Checkpoint(
                {"both": {own: np.asarray(array) for own, array in state.items()}}, {"both": ""}
            )
            del checkpoint.content["config"]
            checkpoint.write(path)

        return write

    monkeypatch.setattr(convert_weights, "pth_writer", writer)
    folder = tmp_path / "paddle"
    convert_weights.main([str(model), "--to", "paddle", "--output", str(folder)])
    assert sorted(path.name for path in folder.iterdir()) == [
        "depth.pdparams",
        "options.yaml",
        "pose.pdparams",
    ]
    options = model_options(folder, {}, {})
    assert options == model_options(model, {}, {})
    assert (options.width_divisor, options.height, options.metres_per_unit) == (4, 64, 1.0)
    convert_weights.main([str(folder), "--joined", str(tmp_path / "again.ckpt")])
    assert capsys.readouterr().out.count("bit-identical") == 2
    before, after = (split(read_weights_file(path)) for path in (model, tmp_path / "again.ckpt"))
    assert before is not None and after is not None and list(before) == list(after) == ["depth", "pose"]
    for file, state in before.items():
        assert list(state) == list(after[file])
        assert all(after[file][own].tobytes() == array.tobytes() for own, array in state.items())
    assert "model.depth_net.conv3.0.conv3.weight" in read_weights_file(tmp_path / "again.ckpt")


def test_depth_alone_is_a_model(tmp_path: Path) -> None:
    """Where measured depth alone taught, its program has no pose network."""
    checkpoint = Checkpoint({"depth": PackNetDepth("packnet01", 4).shapes})
    path = checkpoint.write(tmp_path / "sup.ckpt")
    assert [file.network.file for file in read_source(path)] == ["depth"]
    assert model_options(path, {}, {}).width_divisor == 4


def test_names_that_are_missing(tmp_path: Path) -> None:
    shapes = dict(PackNetDepth("packnet01", 4).shapes)
    shapes["lost.weight"] = shapes.pop("iconv3.conv_base.bias")
    path = Checkpoint({"depth": shapes, "pose": GroupPose(2).shapes}).write(tmp_path / "a.ckpt")
    with pytest.raises(
        UserError, match=r"a\.ckpt: .*1 missing: iconv3\.conv_base\.bias; 1 unexpected: lost\.w"
    ):
        read_source(path)


# ---- going on ------------------------------------------------------------------------------------------------


def test_going_on_after_the_epoch_that_was_finished(tmp_path: Path) -> None:
    path = Checkpoint({"depth": FEW, "pose": FEW_POSE}).with_optimizer().write(tmp_path / "epoch=9.ckpt")
    options = with_start_epoch(parse_method(["--method", "packnet", "--resume", str(path)]))
    assert (options.load_weights_folder, options.start_epoch) == (str(path), 10)
    begun = dataclasses.replace(options, start_epoch=30)
    assert begun.rates(30 * 100, 100) == [pytest.approx(1e-4)] * 2


@pytest.mark.parametrize(
    "networks", [{"depth": FEW, "pose": FEW_POSE}, {"depth": FEW}], ids=["both", "depth"]
)
def test_moments_of_depth_then_of_pose(tmp_path: Path, networks: dict) -> None:
    path = Checkpoint(networks).with_optimizer().write(tmp_path / "a.ckpt")
    found = kept_moments(path, {file: empty(shapes) for file, shapes in networks.items()}, "packnet")
    known = [f"{file}/{own}" for file, shapes in networks.items() for own in shapes]
    assert found.keys() == {
        "step",
        *(f"{key}/{own}" for key in ("steps", "exp_avg", "exp_avg_sq") for own in known),
    }
    for number, own in enumerate(known):
        assert (found[f"exp_avg/{own}"] == number + 0.5).all() and (
            found[f"exp_avg_sq/{own}"] == number + 0.25
        ).all()


def test_a_checkpoint_with_moments_may_be_read() -> None:
    assert 4 * 3 * (PARAMETERS["packnet01_1A"] + PARAMETERS["pose_net_2"]) < MAX_CHECKPOINT_BYTES


# ---- what is hostile -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["config", "scheduler", "optimizer"])
def test_hostile_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Nothing that lies beside the networks is executed, whoever reads it, and yacs is never imported."""
    monkeypatch.chdir(tmp_path)
    checkpoint, refused = Checkpoint({"depth": FEW, "pose": FEW_POSE}), 0
    for number, payload in enumerate(PAYLOADS.values()):
        if number % 15 != len(place):
            continue  # all of them are tried elsewhere
        content = {"a": Raw(payload)}
        checkpoint.content[place] = node(content) if place == "config" else content
        path = checkpoint.write(tmp_path / "bad.ckpt")
        try:
            assert len(read_weights_file(path)) == 5  # such as a list that holds itself: passed over
        except UserError as error:
            refused += "bad.ckpt: not a readable .pth file of tensors" in str(error)
    assert refused > 3
    assert [file.name for file in tmp_path.iterdir()] == ["bad.ckpt"]


@pytest.mark.parametrize(
    "kept",
    [
        call(name("yacs.config", "CfgNode"), {"a": 1}),
        call(name("yacs.config", "load_cfg"), "a: 1"),
        call(name("yacs.config", "_load_cfg_py_source"), "a.py"),
        Raw(name("yacs.config", "CfgNode").content + b")\x81X\x01\x00\x00\x00ab0."),
    ],
)
def test_hostile_configurations(tmp_path: Path, kept: Raw) -> None:
    checkpoint = Checkpoint({"depth": FEW, "pose": FEW_POSE})
    checkpoint.content["config"] = kept
    path = checkpoint.write(tmp_path / "bad.ckpt")
    with pytest.raises(UserError, match=r"bad\.ckpt: not a readable"):
        read_record(path, "config")
        model_options(path, {}, {})
