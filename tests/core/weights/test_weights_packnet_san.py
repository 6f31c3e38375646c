"""PackNet-SAN's files: names and shapes, recognised apart from PackNet's, converted and back; what lies beside them."""

import math
from pathlib import Path

import numpy as np
import pytest

import convert_weights
from core.errors import UserError
from core.options.methods.packnet_san import SHAPES
from core.weights import read_weights_file
from core.weights.continued import kept_moments
from core.weights.families import matches, packnet
from core.weights.families.packnet_san import FAMILY, NETWORK, GroupPose, ResNetPose, SANDepth, join
from core.weights.files import MAX_CHECKPOINT_BYTES
from core.weights.folder import model_options
from core.weights.sources import read_source
from tests.core.packnet_files import Checkpoint, configuration, node
from tests.core.weights.test_weights_packnet import shapes_of, states_of

PARAMETERS = 110_809_742
NARROW = ((16, 16, 16, 16, 16, 16), 2)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least widths that 16 groups allow: half a million numbers."""
    monkeypatch.setitem(SHAPES, NETWORK, NARROW)


@pytest.fixture(scope="module")
def names(golden):
    return golden("packnet/names.json")


def written(path: Path, pose=None, **changed) -> Path:
    """A checkpoint of different numbers in each tensor, in the spelling with dropout."""
    rules = {"depth": SANDepth()} | ({"pose": pose} if pose else {})
    states = {
        file: {
            own: np.full(shape, row, np.int64 if own.endswith("tracked") else np.float32)
            for row, (own, shape) in enumerate(rule.shapes.items())
        }
        for file, rule in rules.items()
    }
    joined = join(states)
    checkpoint = Checkpoint({"both": joined}, {"both": ""})
    checkpoint.content["config"] = node(configuration(**changed))
    return checkpoint.write(path)


def test_official_names_and_shapes(names) -> None:
    """In the order of the official file, which is that of dropout; a network is told with it and without."""
    official = {
        f"model.depth_net.{own}": shape for own, shape in shapes_of(names, "packnet_san01_1A").items()
    }
    rule = SANDepth()
    assert list(join({"depth": rule.shapes}).items()) == list(official.items())
    assert FAMILY.parts("any", official) == {"depth": rule.shapes}
    trained = [own for own in rule.shapes if not own.endswith(("running_mean", "running_var", "tracked"))]
    assert sum(math.prod(rule.shapes[own]) for own in trained) == PARAMETERS
    for files in ({"any": official}, {"depth": rule.shapes}):
        (match,) = matches(files, of_methods=True)
        assert match.family is FAMILY and match.exact == 1 and match.networks == {"depth": rule}


def test_told_from_packnet(names) -> None:
    """Each by its depth network, whichever pose network is beside it."""
    for pose in (GroupPose(2), ResNetPose(18)):
        for depth, method in (
            (SANDepth(2), "packnet_san"),
            (packnet.PackNetDepth("packnet_slim01"), "packnet"),
            (packnet.ResNetDepth(18), "packnet"),
        ):
            files = {"depth": depth.shapes, "pose": pose.shapes}
            (match,) = matches(files, of_methods=True)
            assert (match.family.method, match.exact) == (method, 2)
            (match,) = matches({"any": packnet.join(files)}, of_methods=True)
            assert (match.family.method, match.exact) == (method, 2)


def test_a_damaged_file(tmp_path: Path, narrow: None) -> None:
    """It is called what it is."""
    shapes = dict(SANDepth().shapes)
    shapes["lost.kernel"] = shapes.pop("mconvs.mconvs.2.layer2.3.kernel")
    path = Checkpoint({"depth": shapes}).write(tmp_path / "a.ckpt")
    with pytest.raises(
        UserError, match=r"1 missing: mconvs\.mconvs\.2\.layer2\.3\.kernel; 1 unexpected: lost"
    ):
        read_source(path)
    shapes = SANDepth().shapes | {"mconvs.mconvs.0.layer1.0.kernel": (9, 1, 16)}
    path = Checkpoint({"depth": shapes}).write(tmp_path / "b.ckpt")
    with pytest.raises(UserError, match=r"layer1\.0\.kernel \(9×1×16, needed 25×1×16\).*PackNetSAN01"):
        read_source(path)


@pytest.mark.parametrize(
    ("depth", "pose", "expected"),
    [
        (SANDepth(), None, {"width_divisor": 1, "has_views": False}),
        (SANDepth(2), GroupPose(1), {"width_divisor": 2, "frame_ids": [0, -1]}),
        (SANDepth(4), None, {"width_divisor": 4, "has_views": False}),
        (SANDepth(), ResNetPose(50), {"pose_network": "pose_resnet50"}),
    ],
)
def test_options_of_a_model(capsys, depth, pose, expected: dict) -> None:
    options = model_options(Path("nowhere"), states_of(depth, pose), {})
    assert (options.method, options.metres_per_unit) == ("packnet_san", 1)
    assert {key: getattr(options, key) for key in expected} == expected
    assert "its files do not say height and width" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"loss": {"supervised_method": "sparse-silog", "supervised_loss_weight": 1.0}},
            {"supervision": "semi", "supervised_loss_weight": 1.0, "has_views": False},
        ),
        (
            {"name": "SemiSupModel", "loss": {"supervised_loss_weight": 0.9}},
            {"supervision": "semi", "supervised_loss_weight": 0.9, "has_views": True},
        ),
        (
            {"name": "OtherModel", "depth_net": {"name": "PackNetSAN01", "dropout": 0.25}},
            {"dropout": 0.25, "supervised_method": "sparse-l1"},
        ),
    ],
)
def test_what_the_configuration_says(tmp_path: Path, narrow: None, changed: dict, expected: dict) -> None:
    path = written(tmp_path / "PackNetSAN01_HR_sup_K.ckpt", GroupPose(2), **changed)
    options = model_options(path, {}, {})
    assert options.method == "packnet_san" and options.is_metric
    assert (options.height, options.width) == (64, 96)
    assert {key: getattr(options, key) for key in expected} == expected


@pytest.mark.parametrize("pose", [None, GroupPose(2)], ids=["depth", "both"])
def test_converted_and_back(tmp_path: Path, monkeypatch, capsys, narrow: None, pose) -> None:
    """To PaddlePaddle's files, which have no counters and other names, and to the program's again."""
    monkeypatch.setattr("core.files.whole._synchronise", lambda path: None)

    def writer(key):
        assert key == "state_dict"
        return lambda path, state: Checkpoint({"": state}, {"": ""}).write(path)

    monkeypatch.setattr(convert_weights, "pth_writer", writer)
    model, folder, again = written(tmp_path / "a.ckpt", pose), tmp_path / "paddle", tmp_path / "again.ckpt"
    convert_weights.main([str(model), "--to", "paddle", "--output", str(folder)])
    expected = ["depth.pdparams", "options.yaml", *(["pose.pdparams"] if pose else [])]
    assert sorted(path.name for path in folder.iterdir()) == expected
    assert model_options(folder, {}, {}) == model_options(model, {}, {})
    convert_weights.main([str(folder), "--joined", str(again)])
    assert capsys.readouterr().out.count("bit-identical") == 2
    before, after = read_weights_file(model), read_weights_file(again)
    assert list(before) == list(after)
    assert "model.depth_net.encoder.conv3.0.conv3.0.weight" in after
    for own, array in before.items():
        assert own.endswith("tracked") or after[own].tobytes() == array.tobytes()


def test_moments(tmp_path: Path, narrow: None) -> None:
    """Of parameters alone, which the program's optimiser counts in the order of the file."""
    shapes = SANDepth().shapes
    buffers = ("running_mean", "running_var", "tracked")
    checkpoint = Checkpoint({"depth": {n: s for n, s in shapes.items() if not n.endswith(buffers)}})
    path = checkpoint.with_optimizer().write(tmp_path / "a.ckpt")
    states = states_of(SANDepth())
    found = kept_moments(path, states, "packnet_san")
    trained = [own for own in shapes if not own.endswith(buffers)]
    assert sum(name.startswith("exp_avg/") for name in found) == len(trained) == 288
    for number, own in enumerate(trained):
        assert (found[f"exp_avg/depth/{own}"] == number + 0.5).all(), own


def test_a_checkpoint_with_moments_may_be_read() -> None:
    assert 4 * 3 * PARAMETERS < MAX_CHECKPOINT_BYTES
