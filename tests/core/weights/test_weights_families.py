"""The rules of each release: names and shapes of its files, and which network a file holds."""

import math
import re

import numpy as np
import pytest

from core.errors import UserError
from core.weights.families import explain, recognise
from core.weights.families.base import is_counter
from core.weights.families.monodepth2 import Decoder, Encoder, PoseCNN, PoseDecoder
from core.weights.families.torchvision import ImageNetResNet
from core.weights.layouts import (
    BATCH_NORM,
    LINEAR,
    PADDLE,
    TORCH,
    layer_kinds,
    layout_of,
    native_names,
    official_shapes,
    read_state,
    to_native,
    to_official,
)
from core.weights.pdparams import write_pdparams
from core.weights.safetensors_file import write_safetensors

NETWORKS = {
    "encoder.pth (ResNet-18)": Encoder(18),
    "depth.pth (ResNet-18)": Decoder(False),
    "encoder.pth (ResNet-34)": Encoder(34),
    "depth.pth (ResNet-34)": Decoder(False),
    "encoder.pth (ResNet-50)": Encoder(50),
    "depth.pth (ResNet-50)": Decoder(True),
    "pose_encoder.pth (ResNet-18, 2 images)": Encoder(18, 2),
    "pose_encoder.pth (ResNet-18, 3 images)": Encoder(18, 3),
    "pose.pth (separate_resnet, ResNet-18)": PoseDecoder(False),
    "pose_encoder.pth (ResNet-50, 2 images)": Encoder(50, 2),
    "pose_encoder.pth (ResNet-50, 3 images)": Encoder(50, 3),
    "pose.pth (separate_resnet, ResNet-50)": PoseDecoder(True),
    "pose.pth (shared, ResNet-18, 2 images)": PoseDecoder(False, inputs=2, poses=1),
    "pose.pth (shared, ResNet-18, 3 images)": PoseDecoder(False, inputs=3, poses=2),
    "pose.pth (posecnn, 2 images)": PoseCNN(2),
    "pose.pth (posecnn, 3 images)": PoseCNN(3),
    # With one source it cannot be told from a depth decoder.
    "predictive_mask.pth (ResNet-18, 1 sources)": Decoder(False),
    "predictive_mask.pth (ResNet-18, 2 sources)": Decoder(False, outputs=2, mask=True),
    "predictive_mask.pth (ResNet-18, 3 sources)": Decoder(False, outputs=3, mask=True),
    "depth.pth (ResNet-18, scales 0)": Decoder(False, scales=(0,)),
}
# Published with torchvision.
PARAMETERS = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}
RULES = [
    *set(NETWORKS.values()),
    *(Encoder(layers, 2) for layers in PARAMETERS),
    *(Decoder(True, scales=(2, 0)), Decoder(True, scales=(3, 1, 0), outputs=2, mask=True)),
    *(PoseDecoder(True, inputs=4, poses=3), PoseDecoder(False, poses=1), PoseCNN(5)),
]


def test_every_recorded_file(golden) -> None:
    files = golden("monodepth2/names.json")["files"]
    assert files.keys() == NETWORKS.keys()
    for file, network in NETWORKS.items():
        recorded = {name: tuple(shape) for name, shape, _ in files[file]["tensors"]}
        recorded |= dict.fromkeys(files[file].get("scalars", {}), ())
        assert list(network.shapes.items()) == list(recorded.items()), file  # the order too
        assert recognise(recorded) == network
        assert file.startswith(f"{network.file}.pth") or "1 sources" in file


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_recognises_its_own_shapes(rule) -> None:
    assert recognise(rule.shapes) == rule
    needed = {name: shape for name, shape in rule.shapes.items() if name not in rule.optional}
    assert recognise(needed) == rule  # of an old file, without counters, classifier and numbers


@pytest.mark.parametrize("layers", PARAMETERS)
def test_torchvision(layers: int) -> None:
    shapes = ImageNetResNet(layers).shapes
    assert recognise(shapes) == ImageNetResNet(layers)
    assert recognise(ImageNetResNet(layers, 3).shapes) == ImageNetResNet(layers, 3)
    trained = [name for name in shapes if not is_counter(name) and "running" not in name]
    assert sum(math.prod(shapes[name]) for name in trained) == PARAMETERS[layers]
    assert shapes["fc.weight"][0] == 1000 and ImageNetResNet(layers).file == f"resnet{layers}_pretrain"


def native_shapes(network):
    """Name to shape of a network's `.pdparams`: no counters, PaddlePaddle's names, matrices transposed."""
    expected = {name: shape for name, shape in network.shapes.items() if not is_counter(name)}
    return {
        native: expected[name][::-1] if transposed else expected[name]
        for name, (native, transposed) in native_names(expected).items()
    }


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_paddle_folders(rule) -> None:
    native = native_shapes(rule)
    assert not any(is_counter(name) or "running" in name for name in native)
    assert recognise(official_shapes(native)) == rule


def test_names_and_layouts_of_paddle() -> None:
    native = native_shapes(Encoder(18))
    assert native["encoder.fc.weight"] == (512, 1000) and native["encoder.conv1.weight"] == (64, 3, 7, 7)
    assert [name for name in native if name.startswith("encoder.bn1")] == [
        f"encoder.bn1.{name}" for name in ("weight", "bias", "_mean", "_variance")
    ]
    assert {"height", "width", "use_stereo"} < native.keys()


def test_damaged_files_are_recognised_all_the_same() -> None:
    shapes = Encoder(50).shapes
    shapes["encoder.layer1.0.conv1.wieght"] = shapes.pop("encoder.layer1.0.conv1.weight")
    shapes["encoder.fc.weight"] = (10, 2048)
    assert recognise(shapes) == Encoder(50)


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"w": ()},
        {"encoder.conv1.weight": ()},
        {"encoder.layer9.0.x": (1,), "encoder.layer1.999999999.x": (1,)},
        {"net.0.weight": (1,)},
        {"conv1.weight": (64, 3, 7, 7), "fc.weight": (1000, 512)},
    ],
)
def test_what_is_no_network(shapes) -> None:
    assert recognise(shapes) is None


@pytest.mark.parametrize(
    "shapes",
    [
        {"decoder.0.conv.conv.weight": ()},
        {"decoder.10.conv.weight": (1, 17, 3, 3)},
        {"net.0.weight": (1, 1, 1, 1)},
        {"pose_conv.weight": (2**48, 256)},
    ],
)
def test_shapes_may_be_anything(shapes) -> None:
    assert recognise(shapes) is not None


# ---- what a file looks like instead --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "needed", "words"),
    [
        (Encoder(50), Encoder(18), "encoder, ResNet-50, not Monodepth2's encoder, ResNet-18; check --num_layers"),
        (Encoder(50, 2), Encoder(18), "pose encoder, ResNet-50, 2 images, not .*give the file of that network"),
        (Encoder(18, 3), Encoder(18, 2), "3 images, not .*2 images; check --pose_model_input"),
        (PoseCNN(2), PoseDecoder(False), "PoseCNN, 2 images, not .*give the file of that network"),
        (PoseDecoder(False, 2, 1), PoseDecoder(False), "shared by 2 .*check --pose_model_type, --pose_model_input"),
        (Decoder(False, (0,)), Decoder(False), "scales 0, not .*scales 0 1 2 3; check --scales"),
        (Decoder(True), Decoder(False), "ResNet-50 and deeper.*; check --num_layers"),
        (Decoder(False), PoseDecoder(False), "depth decoder .*not .*pose decoder.*give the file"),
        (ImageNetResNet(18), Encoder(18), "torchvision's ResNet-18, not Monodepth2's encoder"),
        (Encoder(18), Encoder(18), "looks like Monodepth2's encoder, ResNet-18, but is not quite that"),
    ],
)  # fmt: skip
def test_explanation(found, needed, words) -> None:
    assert re.search(words, explain(found.shapes, needed.shapes))


def test_explanation_of_what_is_not_known() -> None:
    assert (
        explain({"w": (1,)}, Encoder(18).shapes) == "it looks like no release that is known; check the file"
    )
    assert explain(Encoder(18).shapes, {"w": (1,)}) == "it looks like Monodepth2's encoder, ResNet-18"


# ---- names and layouts ---------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
OFFICIAL = {
    "a.weight": RNG.normal(size=(3, 3)).astype(np.float32),  # square: a wrong layout has the right shape
    "a.bias": RNG.normal(size=3).astype(np.float32),
    "b.weight": RNG.normal(size=(4, 3, 1, 1)).astype(np.float32),
    "c.weight": RNG.normal(size=4).astype(np.float32),
    "c.running_mean": RNG.normal(size=4).astype(np.float32),
    "c.running_var": RNG.uniform(size=4).astype(np.float32),
    "c.num_batches_tracked": np.array(3),
    "height": np.array(192),
}
NATIVE = {
    **{
        name: OFFICIAL[name] for name in ("a.bias", "b.weight", "c.weight", "c.num_batches_tracked", "height")
    },
    "a.weight": OFFICIAL["a.weight"].T,
    "c._mean": OFFICIAL["c.running_mean"],
    "c._variance": OFFICIAL["c.running_var"],
}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    assert one.keys() == other.keys()
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_kinds_of_layers() -> None:
    for state in (OFFICIAL, NATIVE):
        shapes = {name: array.shape for name, array in state.items()}
        assert layer_kinds(shapes) == {"a": LINEAR, "c": BATCH_NORM}


def test_both_directions() -> None:
    assert same(to_native(OFFICIAL), NATIVE) and same(to_official(NATIVE), OFFICIAL)


def test_the_layout_follows_from_the_names_where_they_tell(tmp_path) -> None:
    assert layout_of(NATIVE, "safetensors") == PADDLE and layout_of(OFFICIAL, "pdparams") == TORCH
    plain = {"a.weight": OFFICIAL["a.weight"]}
    assert layout_of(plain, "pdparams") == PADDLE and layout_of(plain, "h5") == TORCH
    write_safetensors(tmp_path / "paddle.safetensors", NATIVE)
    write_pdparams(tmp_path / "torch.pdparams", OFFICIAL)
    for file, layout in (("paddle.safetensors", PADDLE), ("torch.pdparams", TORCH)):
        state, found = read_state(tmp_path / file)
        assert same(state, OFFICIAL) and found == layout


def test_wrapped_by_data_parallel(tmp_path) -> None:
    wrapped = {f"module.{name}" if "." in name else name: array for name, array in OFFICIAL.items()}
    write_safetensors(tmp_path / "a.safetensors", wrapped)
    assert same(read_state(tmp_path / "a.safetensors")[0], OFFICIAL)


def test_names_of_both_frameworks_at_once(tmp_path) -> None:
    write_pdparams(tmp_path / "a.pdparams", NATIVE | {"c.running_mean": np.zeros(4, np.float32)})
    with pytest.raises(UserError, match=r"a\.pdparams: mixes the names"):
        read_state(tmp_path / "a.pdparams")
