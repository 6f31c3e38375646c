"""PackNet-SAN's checkpoints as its program writes them: predicted with and without depth, and gone on from."""

import numpy as np
import pytest

from core.options.methods.packnet_san import SHAPES, PackNetSANOptions
from core.weights.families.packnet_san import NETWORK, GroupPose, SANDepth, join
from tests.core.packnet_files import Checkpoint, configuration, node
from tests.core.weights.test_weights_packnet_san import NARROW
from tests.tolerances import assert_close

SIZE = {"height": 64, "width": 96}


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setitem(SHAPES, NETWORK, NARROW)


@pytest.fixture
def states():
    rng = np.random.default_rng(0)

    def made(name, shape):
        if name.endswith("tracked"):
            return np.zeros(shape, np.int64)
        low, high = (0.5, 1.5) if name.endswith("var") else (-0.1, 0.1)
        return rng.uniform(low, high, shape).astype(np.float32)

    rules = {"depth": SANDepth(), "pose": GroupPose(2)}
    return {
        file: {name: made(name, shape) for name, shape in rule.shapes.items()} for file, rule in rules.items()
    }


def write(states, path):
    checkpoint = Checkpoint({"both": join(states)}, {"both": ""})
    checkpoint.content["config"] = node(configuration(loss={"supervised_loss_weight": 0.9}))
    return checkpoint.write(path)


def without_counters(state):
    return {name: array for name, array in state.items() if not name.endswith("tracked")}


def assert_holds(backend, network, state):
    found = without_counters(backend.module("checkpoint").network_state(network))
    assert found.keys() == without_counters(state).keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)


def test_prediction_and_completion(backend, states, tmp_path):
    """Size and unit stand in the configuration; the numbers are those of the network itself."""
    path = write(states, tmp_path / "PackNetSAN01_HR_sup_K.ckpt")
    predictor = backend.module("predictor").Predictor(path, "cpu")
    assert (predictor.height, predictor.width, predictor.options.metres_per_unit) == (64, 96, 1)
    assert predictor.pose_frames() == [0, -1, 1]
    assert_holds(backend, predictor.method.depth, states["depth"])
    assert_holds(backend, predictor.method.pose, states["pose"])
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (64, 96, 3)).astype(np.uint8)
    depth = np.where(rng.uniform(size=(1, 1, 64, 96)) < 0.1, 20, 0).astype(np.float32)
    network = backend.module("networks.packnet_san").PackNetSAN(*NARROW)
    backend.fill(network, states["depth"] if backend.name == "torch" else without_counters(states["depth"]))
    given = backend.tensors.to_image(image[None], backend.device)
    with backend.no_gradients():
        alone, completed = network.disparity(given), network.disparity(given, backend.tensor(depth))
    found = predictor.disparity(image)
    assert_close(found, backend.array(alone)[:, 0], "operator")
    assert_close(
        predictor.disparity(image, inputs={"input_depth": depth}), backend.array(completed)[:, 0], "operator"
    )
    assert abs(backend.array(completed)[:, 0] - found).max() > 1e-3


def test_going_on(backend, states, tmp_path):
    """From both networks, with dropout, whose parameters keep their names."""
    path = write(states, tmp_path / "epoch=9.ckpt")
    options = PackNetSANOptions(**SIZE, load_weights_folder=str(path), supervised_loss_weight=0.9)
    options.validate()
    method = backend.module("methods").make_method(options)
    optimizer = backend.adam(method.parameter_groups(), 1e-4)
    backend.module("start").load_start(method.networks(), optimizer, options)
    assert options.dropout == 0.5
    for name, network in method.networks().items():
        assert_holds(backend, network, states[name])


@pytest.mark.parametrize("rule", [SANDepth(), GroupPose(1)], ids=str)
def test_networks_of_the_rules(backend, rule):
    """They have the names of their rule, and what is compared of them is finite and sees the depth."""
    module = backend.module("builders").builder(rule)
    network = module.make_network(rule)
    shapes = {name: a.shape for name, a in backend.module("checkpoint").network_state(network).items()}
    assert without_counters(shapes) == rule.needed
    network.eval()
    with backend.no_gradients():
        outputs = [backend.array(output) for output in module.network_outputs(rule, {rule.file: network})]
    assert len(outputs) == (8 if rule.file == "depth" else 1)
    assert all(np.isfinite(output).all() for output in outputs)
    assert rule.file == "pose" or abs(outputs[0] - outputs[4]).max() > 1e-3
