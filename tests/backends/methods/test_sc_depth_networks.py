"""SC-Depth's networks with known weights against the recorded outputs, and files of both programs with them."""

import argparse
from collections import OrderedDict
from functools import cache

import numpy as np
import pytest

from core.weights.families.base import is_counter
from core.weights.families.sc_depth import HALVES, TRANSLATION_FIRST, split
from tests.core.twin_family import record, write_nested
from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

CHANNELS = {18: [64, 64, 128, 256, 512], 50: [64, 256, 512, 1024, 2048]}
DEPTH = 1e-4  # relative, of every pixel; so are the others of the recorded numbers
POSE = (0, 1e-6)


@pytest.fixture(scope="module")
def recorded(golden):
    return dict(golden("sc_depth/networks.npz"))


@pytest.fixture(scope="module")
def images(recorded):
    """float32 (2, 3, 96, 320) in [0, 1]."""
    return recorded["images"].transpose(0, 3, 1, 2).astype(np.float32) / 255


@pytest.fixture(scope="module")
def names(golden):
    return golden("sc_depth/names.json")


@pytest.fixture(scope="module")
def official(names, arrays):
    """`official(18, "depth_net")`: the recorded weights by official name; made once."""

    @cache
    def make(layers, network):
        shapes = names["official"][f"resnet{layers}"][network]
        shapes = {own: tuple(s) for own, s in shapes.items() if own not in names["unused_official"]}
        state = arrays.weights(shapes, seed="sc_depth")
        normalised = [own for own in state if f"{own.removesuffix('weight')}running_mean" in state]
        return state | {own: state[own] / 2 for own in normalised}

    return make


@pytest.fixture(scope="module")
def networks(backend, official):
    """`networks(18, "depth_net")`: encoder and decoder, made once, with the recorded weights, in evaluation mode."""

    @cache
    def make(layers, network):
        encoder = backend.module("networks.resnet").ResNetEncoder(layers, 1 if network == "depth_net" else 2)
        if network == "depth_net":
            return encoder, backend.module("networks.bilinear_depth_decoder").BilinearDepthDecoder(
                CHANNELS[layers]
            )
        return encoder, backend.module("networks.mean_pose_decoder").MeanPoseDecoder(CHANNELS[layers])

    def fill(layers, network):
        half = next(half for half in HALVES if half.prefix == f"{network}.")
        state = split(official(layers, network))
        files = (half.encoder, half.decoder)
        return [
            backend.fill(made, state[own]) for made, own in zip(make(layers, network), files, strict=True)
        ]

    return fill


def assert_depth(backend, sigmoid, expected, label):
    """Relative, pixel by pixel."""
    depth = 1 / (10 * np.asarray(backend.array(sigmoid), np.float64) + 0.01)
    assert_close(depth[: len(expected)] / expected, np.ones(expected.shape), (DEPTH, 0), label=label)


def check_names(backend, names, layers, network, encoder, decoder):
    """Every tensor of the official file but the classifier, and nothing else."""
    shapes = names["official"][f"resnet{layers}"][network]
    unused = {own for own in shapes if is_counter(own)} if backend.name == "paddle" else set()
    unused |= set(names["unused_official"])
    state = backend.module("checkpoint").network_state
    found = {f"{network}.encoder.{own}": array.shape for own, array in state(encoder).items()}
    found |= {f"{network}.decoder.{own}": array.shape for own, array in state(decoder).items()}
    assert found == {own: tuple(shape) for own, shape in shapes.items() if own not in unused}


@pytest.mark.parametrize("layers", [18, 50])
def test_names_and_depth_in_evaluation_mode(backend, recorded, images, names, networks, layers):
    encoder, decoder = networks(layers, "depth_net")
    check_names(backend, names, layers, "depth_net", encoder, decoder)
    with backend.no_gradients():
        features = encoder(backend.tensor(images[: 2 if layers == 18 else 1]))
        scales, finest = decoder.all_scales(features), decoder(features)
    key = f"r{layers}_eval"
    assert sorted(scales) == [0, 1, 2, 3]
    assert_depth(backend, finest, recorded[f"{key}_depth"], key)
    assert_close(backend.array(scales[0]), backend.array(finest), "exact")
    for scale in (1, 2, 3):
        expected = recorded[f"{key}_depth_scale{scale}"]
        assert_depth(backend, scales[scale], expected, f"{key} scale {scale}")
    for level, feature in enumerate(features):
        array, name = backend.array(feature), f"{key}_feature{level}"
        statistics = [array.mean(dtype=np.float64), array.std(dtype=np.float64)]
        assert_close(statistics, recorded[f"{name}_mean_std"], (1e-4, 1e-5), label=name)
        first = array[0, :4, :8, :16] if level < 2 else array[0, :4]
        assert_close(first, recorded[f"{name}_first"], (1e-4, 1e-5), label=name)


def test_depth_in_training_mode(backend, recorded, images, networks):
    encoder, decoder = networks(18, "depth_net")
    encoder.train(), decoder.train()
    with backend.no_gradients():
        sigmoid = decoder(encoder(backend.tensor(images)))
    assert_depth(backend, sigmoid, recorded["r18_train_depth"], "training")
    state = backend.module("checkpoint").network_state(encoder)
    start = 0
    for name in recorded["r18_train_running_names"].tolist():
        own = f"encoder.{name.partition('encoder.encoder.')[2]}"
        expected = recorded["r18_train_running_values"][start : start + state[own].size]
        assert_close(state[own], expected, (1e-4, 1e-5), label=name)
        start += state[own].size
    assert start == recorded["r18_train_running_values"].size


def pairs(backend, recorded, images, exchanged=False):
    rows = recorded["pose_pairs"][:, ::-1] if exchanged else recorded["pose_pairs"]
    return backend.tensor(np.concatenate([images[rows[:, 0]], images[rows[:, 1]]], axis=1))


def test_names_and_pose(backend, recorded, images, names, networks):
    encoder, decoder = networks(18, "pose_net")
    check_names(backend, names, 18, "pose_net", encoder, decoder)
    with backend.no_gradients():
        for exchanged, name in ((False, "pose_eval"), (True, "pose_eval_exchanged")):
            found = backend.array(decoder(encoder(pairs(backend, recorded, images, exchanged))))
            assert_close(found, recorded[name], POSE, label=name)
        encoder.train(), decoder.train()
        found = backend.array(decoder(encoder(pairs(backend, recorded, images))))
        assert_close(found, recorded["pose_train"], POSE, label="pose_train")


def unofficial(names, state):
    """The same model as the unofficial program has it: other names, rotation first."""
    renamed, swap = names["seed_from_official"], names["swap_rows"]
    back = np.argsort(swap["official_from_seed"])
    return {renamed[own]: array[back] if own in swap["tensors"] else array for own, array in state.items()}


def test_the_unofficial_order(backend, recorded, images, names, official, networks):
    """Its names without its rows exchanged give its own order; read as its file, they give ours."""
    state = unofficial(names, official(18, "pose_net"))
    encoder, decoder = networks(18, "pose_net")
    ours = split(state)
    theirs = dict(ours["pose"])
    for own in ("weight", "bias"):
        theirs[f"convs_pose.2.{own}"] = state[f"pose_net.decoder.convs.6.{own}"]
    assert names["swap_rows"]["official_from_seed"] == TRANSLATION_FIRST
    with backend.no_gradients():
        features = encoder(pairs(backend, recorded, images))
        for weights, name in ((theirs, "pose_eval_seed_order"), (ours["pose"], "pose_eval")):
            found = backend.array(backend.fill(decoder, weights)(features))
            assert_close(found, recorded[name], POSE, label=name)


# ---- files -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def write(backend, names, official):
    """`write(path, "official")`: a file of all networks as a program has it; or two without prefixes."""

    def make(folder, program):
        state = official(18, "depth_net") | official(18, "pose_net")
        hyper = {"lr": 1e-4}
        if program == "official":  # written by the very library
            tensors = {own: backend.framework.from_numpy(np.array(array)) for own, array in state.items()}
            content = {"epoch": 3, "global_step": 4000, "pytorch-lightning_version": "1.5.10", "loops": {}}
            content |= {"hyper_parameters": {"hparams": argparse.Namespace(**hyper)}}
            backend.framework.save(content | {"state_dict": OrderedDict(tensors)}, folder / "last.ckpt")
            return folder / "last.ckpt"
        if program == "unofficial":
            hidden = record("argparse", "Namespace", hyper)
            path = folder / "epoch=1-loss_val=0.1.ckpt"
            theirs = unofficial(names, state)
            return write_nested(path, {"state_dict": theirs}, epoch=3, hyper_parameters={"hparams": hidden})
        for half in HALVES:
            own = {n.removeprefix(half.prefix): a for n, a in state.items() if n.startswith(half.prefix)}
            write_nested(folder / f"{half.prefix}pth", {"state_dict": own})
        return folder

    return make


@pytest.mark.parametrize("program", ["official", "unofficial"])
def test_files_are_loaded(backend, recorded, write, tmp_path, program):
    """Counted as loaded when they give the recorded depth and motion."""
    if (
        program == "official" and backend.name == "paddle"
    ):  # the reader is the same: something else for the time
        program = "without prefixes"
    place = write(tmp_path, program)
    predictor = backend.module("predictor").Predictor(place, "cpu", height=96, width=320)
    images = recorded["images"]
    depth = 1 / predictor.disparity(list(images)).astype(np.float64)
    expected = recorded["r18_eval_depth"][:, 0]
    assert_close(depth / expected, np.ones(expected.shape), (DEPTH, 0), label=program)
    assert predictor.pose_frames() == [0, 1]
    first, second = recorded["pose_pairs"].T
    T = predictor.T_sources_target([images[first], images[second]])
    assert_close(T[:, 0, :3, 3], recorded["pose_eval"][:, :3], POSE, label=program)
    # Of small angles a rotation's corner is its sines, to the second order.
    assert_close(np.arcsin(T[:, 0, 0, 2]), recorded["pose_eval"][:, 4], POSE, label=program)
