"""FeatDepth's files: names and shapes of its networks, its program's file of all of them, and what lies beside them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import convert_weights
from core.errors import UserError
from core.options.parsing import parse_method
from core.weights import read_weights_file
from core.weights.continued import kept_moments, with_start_epoch
from core.weights.families import matches, recognise
from core.weights.families.base import Network
from core.weights.families.featdepth import (
    FAMILY,
    PREFIXES,
    AxisanglePose,
    Encoder,
    Images,
    ResidualPoolingDepth,
    split,
)
from core.weights.folder import Folder, model_options, start_file
from core.weights.sources import read_source
from tests.core.featdepth_files import OFFICIAL, Checkpoint
from tests.core.payloads import PAYLOADS
from tests.core.weight_files import Raw

RULES: dict[str, Network] = {
    "DepthEncoder_50": Encoder(50),
    "DepthEncoder_18": Encoder(18),
    "DepthDecoder_50": ResidualPoolingDepth(True),
    "DepthDecoder_18": ResidualPoolingDepth(False),
    "PoseEncoder_50": Encoder(50, 2, "pose_encoder"),
    "PoseEncoder_18": Encoder(18, 2, "pose_encoder"),
    "PoseDecoder_18": AxisanglePose(False),
    "Encoder_50": Encoder(50),
    "Encoder_18": Encoder(18),
    "Decoder_50": Images(True),
    "Decoder_18": Images(False),
}
# The networks of each model: the key in names.json, and the rules of its parts.
DEPTH = {"encoder": Encoder(50), "depth": ResidualPoolingDepth(True)}
POSE = {"pose_encoder": Encoder(18, 2, "pose_encoder"), "pose": AxisanglePose(False)}
EXTRACTOR = {"extractor": Encoder(50)}
AUTOENCODER = {"image_encoder": Encoder(50), "image_decoder": Images(True)}
MODELS: dict[str, dict[str, Network]] = {
    "mono_fm": DEPTH | POSE | EXTRACTOR,
    "mono_fm_joint": DEPTH | POSE | AUTOENCODER,
    "autoencoder": AUTOENCODER,
    "baseline": DEPTH | POSE,
}
COUNTS = {
    "mono_fm": "mono_fm_50_18",
    "mono_fm_joint": "mono_fm_joint_50_18_prefixes",
    "autoencoder": "autoencoder_50",
}
FEW = {
    "encoder": {"encoder.bn1.weight": (2,), "encoder.bn1.running_mean": (2,), "encoder.fc.bias": (3,)},
    "depth": {"reduce4.conv.weight": (2, 2, 1, 1)},
    "pose_encoder": {"encoder.bn1.weight": (4,), "encoder.bn1.num_batches_tracked": ()},
    "pose": {"reduce.bias": (5,)},
    "extractor": {"encoder.bn1.weight": (2,), "encoder.fc.bias": (3,)},
}


@pytest.fixture(scope="module")
def names(golden):
    return golden("featdepth/names.json")


def empty(shapes) -> dict[str, np.ndarray]:
    """Zeros that take no memory."""
    return {own: np.broadcast_to(np.float32(0), shape) for own, shape in shapes.items()}


def joined(model: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes in a file of the program."""
    return {OFFICIAL[file] + own: s for file, rule in MODELS[model].items() for own, s in rule.shapes.items()}


# ---- names and shapes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", RULES)
def test_official_names_and_shapes(names, key: str) -> None:
    """In the order of the official file, by which its optimiser counts."""
    shapes = {own: tuple(shape) for own, shape in names[key].items()}
    assert list(RULES[key].shapes.items()) == list(shapes.items())
    assert FAMILY.recognise(shapes) == RULES[key]
    assert "Encoder" in key or recognise(shapes) == RULES[key]  # encoders are those of other methods as well


@pytest.mark.parametrize("model", MODELS)
def test_models(names, model: str) -> None:
    """All networks of a file by their prefixes, and back; the options that follow."""
    state = joined(model)
    found = split(state)
    assert found is not None and list(found) == list(MODELS[model])
    assert FAMILY.join and list(FAMILY.join(found).items()) == list(state.items())
    if model in COUNTS:
        assert {OFFICIAL[file].rstrip("."): len(own) for file, own in found.items()} == names[COUNTS[model]]
    (match,) = matches({"epoch_40": state}, of_methods=True)
    assert match.family is FAMILY and match.exact == len(found)
    assert {file: rule.file for file, rule in match.networks.items()} == {file: file for file in found}


@pytest.mark.parametrize("model", MODELS)
def test_options_that_follow(model: str, capsys) -> None:
    states = {file: empty(rule.shapes) for file, rule in MODELS[model].items()}
    options = model_options(Path("nowhere"), states, {}, {"height": 192, "width": None})
    assert (options.method, options.model, options.num_layers, options.feature_layers) == (
        *("featdepth", model, 50, 50),
    )
    assert (options.pose_layers, options.height, options.width) == (18, 192, 1024)
    assert (
        "do not say width and min_depth and max_depth; taken for it: --width 1024" in capsys.readouterr().err
    )
    other = {"extractor": empty(Encoder(18).shapes)} if model == "mono_fm" else {}
    assert model_options(Path("nowhere"), states | other, {}).feature_layers == (18 if other else 50)


def test_layers_that_a_file_contradicts() -> None:
    states = {file: empty(rule.shapes) for file, rule in MODELS["baseline"].items()}
    with pytest.raises(UserError, match="--num_layers 18, but its encoder is a ResNet-50; leave the option"):
        model_options(Path("nowhere"), states, {"num_layers": 18})


def test_an_encoder_alone() -> None:
    """What is beside it tells whose it is; the authors' program knows no ResNet-152."""
    with pytest.raises(UserError, match=r"an encoder of either .* or FeatDepth: give the folder"):
        model_options(Path("nowhere"), {"encoder": empty(Encoder(18).shapes)}, {})
    (match,) = matches({"encoder": Encoder(18).shapes, "depth": ResidualPoolingDepth(False).shapes})
    assert match.release == "FeatDepth" and match.exact == 2
    assert FAMILY.recognise(Encoder(152).shapes) is None
    assert ResidualPoolingDepth(True).fits(Encoder(18, 2, "pose_encoder"))
    assert not ResidualPoolingDepth(True).fits(Encoder(18)) and not Images(True).fits(
        Encoder(18, role="image_encoder")
    )


def test_names_that_it_cannot_have() -> None:
    """Nothing is lost: the rule refuses it by its name."""
    state = {"DepthEncoder.a": (1,), "extractor.b": (2,), "loss.weight": (3,)}
    assert split(state) == {"encoder": {"a": (1,), "loss.weight": (3,)}, "extractor": {"b": (2,)}}
    assert split({"encoder.conv1.weight": (1,)}) is None


# ---- the program's file --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of ResNet-18, by `DataParallel`; every tensor has its number."""
    rules: dict[str, Network] = {"image_encoder": Encoder(18), "image_decoder": Images(False)}
    states = {
        file: {own: np.full(shape, row, np.float32) for row, (own, shape) in enumerate(rule.shapes.items())}
        for file, rule in rules.items()
    }
    classifier = states["image_encoder"]["encoder.fc.weight"]
    classifier += np.arange(classifier.size, dtype=np.float32).reshape(classifier.shape)
    path = tmp_path_factory.mktemp("autoencoder") / "epoch_30.pth"
    return Checkpoint(states, epochs=30).write(path, "module.")


def test_converted_and_back(autoencoder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """To a file of each network, PaddlePaddle's, and to the program's again, with its classifier."""
    monkeypatch.setattr("core.files.whole._synchronise", lambda path: None)

    def writer(key):
        assert key == "state_dict"

        def write(path, state):
            found = split(state)
            assert found is not None
            Checkpoint(found).write(path)

        return write

    monkeypatch.setattr(convert_weights, "pth_writer", writer)
    folder = tmp_path / "paddle"
    convert_weights.main([str(autoencoder), "--to", "paddle", "--output", str(folder)])
    files = ["image_decoder.pdparams", "image_encoder.pdparams"]
    assert sorted(path.name for path in folder.iterdir()) == files
    native = read_weights_file(folder / files[1])
    assert native["encoder.fc.weight"].shape == (512, 1000) and "encoder.bn1._variance" in native
    convert_weights.main([str(folder), "--joined", str(tmp_path / "again.pth")])
    assert capsys.readouterr().out.count("bit-identical") == 2
    before = {
        own.removeprefix("module."): array
        for own, array in read_weights_file(autoencoder).items()
        if own.startswith("module.")
    }
    after = read_weights_file(tmp_path / "again.pth")
    assert list(before) == list(after)
    assert all(after[own].tobytes() == array.tobytes() for own, array in before.items())


def test_the_extractor_of_an_autoencoder(autoencoder: Path) -> None:
    """In a file that does not say `extractor`; the folder of that file will do."""
    options = parse_method(["--method", "featdepth", "--extractor", str(autoencoder)])
    assert options.starts() == {"extractor": (str(autoencoder), "image_encoder")}
    for place in (autoencoder, autoencoder.parent):
        files = Folder(place)
        assert start_file(files, "image_encoder", options, "extractor") == autoencoder
        assert list(files) == ["image_encoder", "image_decoder"]
    with pytest.raises(UserError, match=r"epoch_30\.pth: holds no network encoder"):
        start_file(Folder(autoencoder), "encoder", options, "encoder")


def test_names_that_are_missing(tmp_path: Path) -> None:
    shapes = {own: (1,) for own in Encoder(18).shapes} | dict(Encoder(18).shapes)
    lost = {**shapes}
    lost["encoder.lost.weight"] = lost.pop("encoder.layer4.1.bn2.bias")
    networks = {"image_encoder": lost, "image_decoder": Images(False).shapes}
    path = Checkpoint(networks).write(tmp_path / "a.pth")
    with pytest.raises(
        UserError, match=r"a\.pth: .*1 missing: encoder\.layer4\.1\.bn2\.bias; 1 unexpected: e"
    ):
        read_source(path)
    path = Checkpoint({"image_encoder": Images(False).shapes}).write(tmp_path / "b.pth")
    with pytest.raises(UserError, match=r"b\.pth: holds .* under the names of image_encoder"):
        read_source(path)


# ---- going on ------------------------------------------------------------------------------------------------


def test_going_on_after_the_epochs_that_are_done(tmp_path: Path) -> None:
    path = Checkpoint(FEW, epochs=21).with_optimizer().write(tmp_path / "epoch_21.pth")
    options = with_start_epoch(parse_method(["--method", "featdepth", "--resume_from", str(path)]))
    assert (options.load_weights_folder, options.start_epoch) == (str(path), 21)
    assert options.rates(21 * 1000, 1000) == [pytest.approx(5e-5)]
    assert dataclasses.replace(options, start_epoch=31).rates(31_000, 1000) == [pytest.approx(2.5e-5)]


@pytest.mark.parametrize("without", [(), ("extractor",)], ids=["all parameters", "those that learn"])
@pytest.mark.parametrize("legacy", [True, False])
def test_moments(tmp_path: Path, without: tuple[str, ...], legacy: bool) -> None:
    """The classifiers have numbers and no moments."""
    checkpoint = Checkpoint(FEW)
    checkpoint.legacy = legacy
    path = checkpoint.with_optimizer(without).write(tmp_path / "a.pth")
    found = kept_moments(path, {file: empty(shapes) for file, shapes in FEW.items()}, "featdepth")
    learned = {
        "encoder/encoder.bn1.weight": 0,
        "depth/reduce4.conv.weight": 2,
        "pose_encoder/encoder.bn1.weight": 3,
        "pose/reduce.bias": 4,
    }
    keys = ("steps", "exp_avg", "exp_avg_sq")
    assert found.keys() == {"step", *(f"{key}/{own}" for key in keys for own in learned)}
    for own, number in learned.items():
        assert (found[f"exp_avg/{own}"] == number + 0.5).all()
        assert (found[f"exp_avg_sq/{own}"] == number + 0.25).all() and found[f"steps/{own}"] == 7


def test_hostile_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that lies beside the networks is executed."""
    monkeypatch.chdir(tmp_path)
    checkpoint, refused = Checkpoint({"pose": FEW["pose"]}), 0
    for number, payload in enumerate(PAYLOADS.values()):
        if number % 12 != 3:
            continue  # all of them are tried elsewhere
        checkpoint.content["meta"] = {"epoch": 3, "hook": Raw(payload)}
        path = checkpoint.write(tmp_path / "bad.pth")
        try:
            assert list(read_weights_file(path)) == [f"{OFFICIAL['pose']}reduce.bias"]
        except UserError as error:
            refused += "bad.pth: not a readable .pth file of tensors" in str(error)
    assert refused > 2
    assert [file.name for file in tmp_path.iterdir()] == ["bad.pth"]


def test_prefixes_are_told_apart() -> None:
    """`Encoder.` ends two others, and begins none."""
    for prefix in PREFIXES:
        assert not any(other.startswith(prefix) for other in PREFIXES if other != prefix)
