"""Files with the official names: loaded as they are, converted, verified; the recorded outputs come out."""

import importlib.util
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from backends import outputs as outputs_of_files
from core.errors import UserError
from core.files.whole import EXTENSIONS
from core.weights import verification
from core.weights.conversion import WRITERS
from core.weights.families.monodepth2 import Decoder, Encoder, PoseCNN, PoseDecoder
from core.weights.layouts import layer_kinds, read_state
from core.weights.sources import read_network
from core.weights.verification import BOUND, compare
from tests.backends.drive import link_weights
from tests.core.weight_files import write_pth
from tests.scripts import assert_says, refused, succeeds
from tests.tolerances import assert_close

SIZE = 96, 320  # of the recorded images
LOW, HIGH = 1 / 100, 1 / 0.1

NUMBERS = {"height": SIZE[0], "width": SIZE[1], "use_stereo": False}


def release(layers: int) -> dict:
    """The files of a release, and the seed and gain of each."""
    return {
        "encoder": (f"encoder.pth (ResNet-{layers})", "encoder", 1, NUMBERS),
        "depth": (f"depth.pth (ResNet-{layers})", "depth", 0.8, {}),
    }


POSES = {
    "pairs_resnet18": {
        "pose_encoder": ("pose_encoder.pth (ResNet-18, 2 images)", "pose_encoder", 1, {}),
        "pose": ("pose.pth (separate_resnet, ResNet-18)", "pose", 1, {}),
    },
    "all_resnet18": {
        "pose_encoder": ("pose_encoder.pth (ResNet-18, 3 images)", "pose_encoder", 1, {}),
        "pose": ("pose.pth (separate_resnet, ResNet-18)", "pose", 1, {}),
    },
    "shared_pairs": {"pose": ("pose.pth (shared, ResNet-18, 2 images)", "pose_shared_pairs", 1, {})},
    "shared_all": {"pose": ("pose.pth (shared, ResNet-18, 3 images)", "pose_shared_all", 1, {})},
    "posecnn_pairs": {"pose": ("pose.pth (posecnn, 2 images)", "posecnn_pairs", 1, {})},
    "posecnn_all": {"pose": ("pose.pth (posecnn, 3 images)", "posecnn_all", 1, {})},
}


def write(backend, path, state, numbers, legacy):
    """By PyTorch itself, or by hand."""
    if backend.name != "torch":
        write_pth(path, state, legacy, **numbers)
        return
    tensors = {name: backend.framework.from_numpy(array) for name, array in state.items()}
    backend.framework.save(tensors | numbers, path, _use_new_zipfile_serialization=not legacy)


@pytest.fixture(scope="module")
def official(backend, golden, arrays, tmp_path_factory):
    """The folder of all releases: `18`, `18_zip`, `50`, `one_scale`, and a folder for each kind of pose network.

    Official files as PyTorch writes them; where it is not under test, the same made by hand.
    """
    folder, files = tmp_path_factory.mktemp("official"), golden("monodepth2/names.json")["files"]
    folders = {"18": release(18), "18_zip": release(18), "50": release(50), **POSES}
    folders["one_scale"] = {"depth": ("depth.pth (ResNet-18, scales 0)", "depth_fewer", 0.8, {})}
    for name, networks in folders.items():
        (folder / name).mkdir()
        for network, (file, seed, gain, numbers) in networks.items():
            shapes = {key: tuple(shape) for key, shape, _ in files[file]["tensors"]}
            state = arrays.fresh_weights(shapes, f"golden/{seed}", gain)
            write(backend, folder / name / f"{network}.pth", state, numbers, legacy=name != "18_zip")
    for name in (*POSES, "one_scale"):
        (folder / name / "encoder.pth").symlink_to(folder / "18" / "encoder.pth")
    for name in POSES:
        (folder / name / "depth.pth").symlink_to(folder / "18" / "depth.pth")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("monodepth2/networks.npz")


@pytest.fixture
def predict(backend, recorded):
    """`predict(folder)`: the sigmoid of scale 0 of the recorded images, (2, 96, 320)."""

    def run(folder, **overrides):
        predictor = backend.module("predictor").Predictor(folder, "cpu", **overrides)
        disparity = predictor.disparity(list(recorded["images"][recorded["target_index"]]))
        return (disparity - LOW) / (HIGH - LOW)

    return run


@pytest.mark.parametrize(("folder", "layers"), [("18", 18), ("18_zip", 18), ("50", 50)])
def test_official_folders(official, recorded, predict, folder, layers):
    """Both formats of PyTorch; no options beside them: size, ResNet and scales follow from the files."""
    expected = recorded[f"resnet{layers}_eval/sigmoid_0"][:, 0]
    assert_close(predict(official / folder), expected, (0, 2e-6))


def test_fewer_scales(official, recorded, predict):
    expected = recorded["fewer_scales/sigmoid_0_stride2"][:, 0]
    assert_close(predict(official / "one_scale")[:, ::2, ::2], expected, (0, 2e-6))


@pytest.mark.parametrize("case", POSES)
def test_pose_networks(backend, official, recorded, case):
    """Their kind follows from the files as well."""
    predictor = backend.module("predictor").Predictor(official / case, "cpu")
    options, checkpoint = predictor.options, backend.module("checkpoint")
    assert (options.pose_model_input == "all") == ("all" in case)
    networks = {name: network for name, network in predictor.method.networks().items() if "pose" in name}
    assert set(networks) == set(POSES[case])
    checkpoint.load_networks(networks, official / case, list(networks))
    pixels = recorded["images"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    order = ("target", "previous", "next") if "all" in case else ("target", "next")
    images = [pixels[recorded[f"{name}_index"]] for name in order]
    stacked = backend.tensor(np.concatenate(images, axis=1))
    with backend.no_gradients():
        if "shared" in case:
            output = networks["pose"]([predictor.method.encoder(backend.tensor(image)) for image in images])
        elif "posecnn" in case:
            output = networks["pose"](stacked)
        else:
            output = networks["pose"]([networks["pose_encoder"](stacked)])
    key = f"pose_{case}" if "resnet" in case else case
    for kind, tensor in zip(("axisangle", "translation"), output, strict=True):
        assert_close(backend.array(tensor), recorded[f"{key}/{kind}"], (0, 1e-7), label=f"{key} {kind}")


# ---- conversion ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["paddle", "safetensors", "h5"])
def test_converted_folders_give_the_same_outputs(official, recorded, predict, tmp_path, to):
    succeeds("convert_weights.py", official / "18", "--to", to, "--output", tmp_path / to, here=True)
    assert_close(predict(tmp_path / to), recorded["resnet18_eval/sigmoid_0"][:, 0], (0, 2e-6))


def test_verified_against_the_other_backend(backend, other_starter, trained_whole, tmp_path, monkeypatch):
    """What this backend trained, in the other's files, and each side run by its own framework: this one here."""

    def answered(command, cwd, **_):
        """A copy of the process that has begun, in place of the one that is asked for."""
        assert command[:3] == [sys.executable, "-m", "backends.outputs"]
        if command[3] != backend.name:
            return other_starter.start(command[1:], tmp_path, cwd=cwd).wait()
        outputs_of_files.main(command[3:])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(verification.subprocess, "run", answered)
    to = {"torch": "paddle", "paddle": "torch"}[backend.name]
    if importlib.util.find_spec("torch") is None:
        pytest.skip(".pth files are written by PyTorch")
    words = [trained_whole, "--to", to, "--output", tmp_path / "new", "--verify"]
    printed = succeeds("convert_weights.py", *words, quiet=False, here=True)
    lines = [line for line in printed.splitlines() if "bound 1e-05" in line]
    assert len(lines) == 4 and all(line.endswith(": ok") for line in lines)
    assert "training_state.safetensors" in printed and "bit-identical" in printed
    present = {f"{name}{EXTENSIONS[to]}" for name in ("encoder", "depth", "pose_encoder", "pose")}
    assert set(os.listdir(tmp_path / "new")) == present | {"options.yaml"}
    make = backend.module("predictor").Predictor
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    np.testing.assert_array_equal(
        make(tmp_path / "new", "cpu").disparity([image]), make(trained_whole, "cpu").disparity([image])
    )


def test_outputs_of_single_networks(backend, official, tmp_path):
    """A decoder without its encoder sees fixed features; another weight is seen in the output."""
    outputs = backend.module("outputs").network_outputs
    path = official / "posecnn_pairs" / "pose.pth"
    found = outputs([path])
    assert [array.shape for array in found.values()] == [(1, 1, 1, 3)] * 2
    state = read_state(path)[0]
    state["net.0.weight"] = state["net.0.weight"] * np.float32(1.001)
    WRITERS["paddle"](tmp_path / "pose.pdparams", state)
    (difference,) = compare(found, outputs([tmp_path / "pose.pdparams"]))
    assert difference.network == "pose" and not difference.passed and difference.largest < 1e3 * BOUND
    for case in ("pairs_resnet18", "shared_all", "one_scale"):
        for alone in ("pose", "depth"):
            if (official / case / f"{alone}.pth").is_file():
                assert all(
                    np.isfinite(array).all() for array in outputs([official / case / f"{alone}.pth"]).values()
                )


@pytest.mark.parametrize(
    "rule",
    [Encoder(18), Encoder(50, 2), Decoder(True, (2, 0), 3, True), PoseDecoder(False, 2, 1), PoseCNN(3)],
    ids=str,
)
def test_rules_are_those_of_the_networks(backend, rule):
    """Names, shapes, and the layers that the frameworks treat differently, by their true type."""
    network = backend.module("outputs").make_network(rule)
    state = backend.module("checkpoint").network_state(network)
    needed = {name: shape for name, shape in rule.shapes.items() if name not in rule.optional}
    found = {name: array.shape for name, array in state.items() if name not in rule.optional}
    assert found == needed
    nn = backend.framework.nn
    norm, layers = (
        ("BatchNorm2d", "named_modules") if backend.name == "torch" else ("BatchNorm2D", "named_sublayers")
    )
    types = {getattr(nn, norm): "batch normalisation", nn.Linear: "linear"}
    kinds = {
        name: kind
        for name, layer in getattr(network, layers)()
        for kind in [next((kind for type_, kind in types.items() if isinstance(layer, type_)), None)]
        if kind
    }
    assert layer_kinds(found) == kinds


def test_the_framework_itself_loads_what_is_written(backend, official, tmp_path):
    """PyTorch's and PaddlePaddle's own loaders; the latter passes over counters, classifier and numbers."""
    source, framework = official / "18" / "encoder.pth", backend.framework
    rule = read_network(source).network
    network = backend.module("outputs").make_network(rule)
    succeeds("convert_weights.py", source, "--to", backend.name, "--output", tmp_path, here=True)
    path = tmp_path / f"encoder{EXTENSIONS[backend.name]}"
    if backend.name == "torch":
        state = framework.load(path, weights_only=True)
        assert (state.pop("height"), state.pop("width"), state.pop("use_stereo")) == (96, 320, False)
        assert [state.pop(f"encoder.fc.{kind}").shape[0] for kind in ("weight", "bias")] == [1000, 1000]
        network.load_state_dict(state, strict=True)
    else:
        missing, unexpected = network.set_state_dict(framework.load(str(path)))
        assert missing == [] and set(unexpected) <= rule.optional
        assert framework.load(str(path))["encoder.fc.weight"].shape == (512, 1000)
    expected, found = read_state(source)[0], backend.module("checkpoint").network_state(network)
    for name in found:
        np.testing.assert_array_equal(found[name], expected[name])


# ---- mistakes ------------------------------------------------------------------------------------------------


def test_wrong_number_of_layers(backend, official, tmp_path):
    with pytest.raises(UserError, match="--num_layers 18, but its encoder is a ResNet-50; leave the option"):
        backend.module("predictor").Predictor(official / "50", "cpu", num_layers=18)
    network = backend.module("networks.resnet").ResNetEncoder(18)
    words = r"do not fit the network: 1\d\d unexpected.*looks like .*ResNet-50, not .*ResNet-18; check --num_layers"
    with pytest.raises(UserError, match=words):
        backend.module("checkpoint").load_networks({"encoder": network}, official / "50", ["encoder"])


def test_another_network_in_place_of_the_encoder(backend, official, tmp_path):
    folder = link_weights(official / "18", tmp_path / "a", ("encoder.pth",))
    (folder / "encoder.pth").symlink_to(official / "pairs_resnet18" / "pose_encoder.pth")
    words = (
        r"encoder\.pth: .*\(64×6×7×7, needed 64×3×7×7\); it looks like .*pose encoder, ResNet-18, 2 images"
    )
    with pytest.raises(UserError, match=words):
        backend.module("predictor").Predictor(folder, "cpu")


def test_misspelt_name(backend, official, tmp_path):
    folder = link_weights(official / "18", tmp_path / "a", ("depth.pth",))
    state = read_state(official / "18" / "depth.pth")[0]
    state["decoder.3.conv.conv.wieght"] = state.pop("decoder.3.conv.conv.weight")
    write_pth(folder / "depth.pth", state, legacy=True)
    words = r"1 unexpected: decoder\.3\.conv\.conv\.wieght \(for decoder\.3\.conv\.conv\.weight\?\); it looks like"
    with pytest.raises(UserError, match=words):
        backend.module("predictor").Predictor(folder, "cpu")


def test_damaged_source_and_nothing_written(official, tmp_path):
    folder = link_weights(official / "18", tmp_path / "a", ("depth.pth",))
    content = (official / "18" / "depth.pth").read_bytes()
    (folder / "depth.pth").write_bytes(content[: len(content) // 2])
    message = refused("convert_weights.py", "a", "--to", "paddle", "--verify", folder=tmp_path, here=True)
    assert_says(message, "a/depth.pth: not a readable .pth file of tensors")
