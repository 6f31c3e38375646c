"""PackNet's checkpoints as its program writes them: predicted, compared and gone on from as they lie."""

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import predict
from core.options.methods.packnet import PackNetOptions
from core.weights.families.packnet import GroupPose, PackNetDepth, ResNetDepth, ResNetPose
from tests.core.packnet_files import Checkpoint, configuration, node
from tests.tolerances import assert_close

OUTPUT = (1e-4, 0)
P = "golden/packnet"
SIZE = {"width_divisor": 4, "height": 64, "width": 96}
SMALL = {"depth": PackNetDepth("packnet01", 4), "pose": GroupPose(2)}


def with_dropout(state):
    """The names that a network with dropout has."""
    bare = (".conv3.weight", ".conv3.bias")
    return {
        name.replace(".conv3.", ".conv3.0.") if name.endswith(bare) else name: array
        for name, array in state.items()
    }


def predicted(backend, path, images, tmp_path):
    """What `predict.py` writes of some images: disparities (N, H, W), and what it says of the first."""
    (tmp_path / "images").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
    words = ["--backend", backend.name, "--load_weights_folder", path, "--image_path", tmp_path / "images"]
    words += ["--output", tmp_path / "out", "--save", "disparity", "--device", "cpu"]
    predict.main([str(word) for word in words])
    files = sorted((tmp_path / "out").glob("*_disp.npy"))
    disparities = np.concatenate([np.load(file)[:, 0] for file in files])
    return disparities, json.loads(files[0].with_suffix(".json").read_text())


def predict_recorded(backend, recorded, state, network, count, tmp_path):
    """The recorded disparities of a whole network, from the weights of its checkpoint, which have dropout's names."""
    checkpoint = Checkpoint({"depth": with_dropout(state), "pose": GroupPose(2).shapes})
    path = checkpoint.write(tmp_path / "PackNet_selfsup_K.ckpt")
    del checkpoint, state
    found, said = predicted(backend, path, recorded["images"][:count], tmp_path)
    path.unlink()
    assert_close(found, recorded[f"{network}/inverse_depth_0"][:, 0], OUTPUT)
    assert str(said["unit"]).startswith("relative")


def test_a_checkpoint_predicts_what_is_recorded(backend, arrays, golden, tmp_path):
    """Of the slim network; tests/slow has the other."""
    recorded, network = golden("packnet/networks.npz"), "packnet_slim01_1A"
    shapes = {name: tuple(shape) for name, shape in golden("packnet/names.json")[network].items()}
    state = arrays.weights(shapes, f"{P}/{network}", float(recorded["gain"]))
    predict_recorded(backend, recorded, state, network, 2, tmp_path)


@pytest.fixture(scope="module")
def states():
    """Of a quarter of the channels."""
    rng = np.random.default_rng(0)
    return {
        file: {name: rng.uniform(-0.1, 0.1, shape).astype(np.float32) for name, shape in rule.shapes.items()}
        for file, rule in SMALL.items()
    }


@pytest.fixture(scope="module")
def small(states, tmp_path_factory):
    """A checkpoint of a training that measured speed taught, after nine epochs; not to be changed."""
    checkpoint = Checkpoint(states).with_optimizer()
    checkpoint.content["config"] = node(configuration(name="VelSupModel"))
    return checkpoint.write(tmp_path_factory.mktemp("small") / "small.ckpt")


def test_metres_where_speed_taught(backend, small, tmp_path):
    """The size and the unit stand in the configuration; images of other sizes are resized to it."""
    image = np.random.default_rng(0).integers(0, 256, (80, 110, 3)).astype(np.uint8)
    predictor = backend.module("predictor").Predictor(small, "cpu")
    assert (predictor.height, predictor.width) == (64, 96)
    assert predictor.options.metres_per_unit == 1 and predictor.pose_frames() == [0, -1, 1]
    assert predictor.disparity(image).shape == (1, 64, 96)


def loaded(backend, options):
    """Networks and optimiser of a run that starts as its options say."""
    options.validate()
    method = backend.module("methods").make_method(options)
    optimizer = backend.adam(method.parameter_groups(), 1e-4)
    before = {name: state_of(backend, network) for name, network in method.networks().items()}
    backend.module("start").load_start(method.networks(), optimizer, options)
    return method.networks(), optimizer, before


def state_of(backend, network):
    return backend.module("checkpoint").network_state(network)


def assert_equal(found, expected):
    for key, array in found.items():
        np.testing.assert_array_equal(array, expected[key], err_msg=key)


def test_going_on_with_both_groups(backend, states, small, tmp_path):
    """Weights and moments of both networks; with dropout in the network, too, whose parameters keep their names."""
    options = PackNetOptions(**SIZE, load_weights_folder=str(small), dropout=0.5)
    networks, optimizer, _ = loaded(backend, options)
    checkpoint = backend.module("checkpoint")
    for name, network in networks.items():
        assert_equal(state_of(backend, network), states[name])
    checkpoint.save_optimizer(optimizer, networks, tmp_path / "state", 5)
    moments = load_file(tmp_path / "state")
    names = [f"{file}/{name}" for file, state in states.items() for name in state]
    for number, name in enumerate(names):
        assert (moments[f"exp_avg/{name}"] == number + 0.5).all(), name
        assert moments[f"steps/{name}"] == 5


@pytest.mark.parametrize(("name", "other"), [("depth", "pose"), ("pose", "depth")])
def test_one_network_of_a_checkpoint(backend, states, small, name, other):
    """Their `depth_net.checkpoint_path` and `pose_net.checkpoint_path`."""
    options = PackNetOptions(**SIZE, **{f"{name}_weights_folder": str(small)})
    networks, _, before = loaded(backend, options)
    assert_equal(state_of(backend, networks[name]), states[name])
    assert_equal(state_of(backend, networks[other]), before[other])


RULES = [PackNetDepth("packnet01", 4, False), PackNetDepth("packnet_slim01", 2), GroupPose(1)]
RULES += [ResNetDepth(18), ResNetPose(18)]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_networks_of_the_rules(backend, rule):
    """They have the names of their rule, but for the classifier, and what is compared of them is finite."""
    module = backend.module("builders").builder(rule)
    network = module.make_network(rule)
    state = backend.module("checkpoint").network_state(network)
    shapes = {name: array.shape for name, array in state.items()}
    assert {name: shapes[name] for name in rule.needed} == rule.needed
    assert shapes.keys() <= rule.shapes.keys()
    network.eval()
    with backend.no_gradients():
        outputs = [backend.array(output) for output in module.network_outputs(rule, {rule.file: network})]
    assert len(outputs) == (4 if rule.file == "depth" else 1)
    assert all(np.isfinite(output).all() for output in outputs)
