"""Where PaddlePaddle differs from PyTorch and this backend makes up for it."""

import numpy as np
import pytest

from tests.tolerances import assert_close


@pytest.fixture(autouse=True)
def only_paddle(backend):
    if backend.name != "paddle":
        pytest.skip("about PaddlePaddle")


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(3, 4, 5, 7))


@pytest.fixture
def layers(backend):
    return backend.module("networks.layers")


def gradient(backend, function, x):
    """Value and gradient of a function of one tensor, weighted so that no element's gradient equals another's."""
    tensor = backend.tensor(x, gradient=True)
    value = function(tensor)
    weights = backend.tensor(np.arange(np.prod(value.shape), dtype=x.dtype).reshape(tuple(value.shape)) / 100)
    return backend.array(value), backend.gradients((value * weights).sum(), [tensor])[0]


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_reflect_pad_is_that_of_the_framework(backend, layers, x, precision):
    F = backend.framework.nn.functional
    x = x.astype(precision)
    found = gradient(backend, layers.reflect_pad, x)
    expected = gradient(backend, lambda t: F.pad(t, [1, 1, 1, 1], mode="reflect"), x)
    np.testing.assert_array_equal(found[0], expected[0])
    assert_close(found[1], expected[1])


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_upsample_is_nearest_interpolation(backend, layers, x, precision):
    x = x.astype(precision)
    value, slope = gradient(backend, layers.upsample, x)
    np.testing.assert_array_equal(value, x.repeat(2, axis=2).repeat(2, axis=3))
    weights = np.arange(value.size).reshape(value.shape) / 100
    assert_close(slope, weights.reshape(3, 4, 5, 2, 7, 2).sum(axis=(3, 5)))


def test_upsample_takes_16_bits(backend, layers, x):
    half = backend.tensor(x.astype(np.float32)).astype("bfloat16")
    value = layers.upsample(half)
    assert "bfloat16" in str(value.dtype)
    expected = backend.array(half.astype("float32")).repeat(2, axis=2).repeat(2, axis=3)
    np.testing.assert_array_equal(backend.array(value.astype("float32")), expected)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_batch_norm_moves_to_the_unbiased_variance(backend, layers, x, precision):
    layer = layers.BatchNorm2D(4, epsilon=1e-5, momentum=0.9).to(dtype=np.dtype(precision).name)
    layer.train()
    tensor = backend.tensor(x.astype(precision), gradient=True)
    for step in (1, 2):
        normalised = layer(tensor)
        kept = 0.9**step
        close = "float64" if precision == np.float64 else "formula"
        variance = x.var(axis=(0, 2, 3), ddof=1)
        assert_close(backend.array(layer._variance), kept + (1 - kept) * variance, close)
        assert_close(backend.array(layer._mean), (1 - kept) * x.mean(axis=(0, 2, 3)), close)
    deviation = x - x.mean(axis=(0, 2, 3), keepdims=True)
    expected = deviation / np.sqrt(x.var(axis=(0, 2, 3), keepdims=True) + 1e-5)
    assert_close(backend.array(normalised), expected, close)
    assert np.abs(backend.gradients(normalised.square().sum(), [tensor])[0]).max() < 1e-3
    layer.eval()
    moved = backend.array(layer._variance)
    layer(tensor)
    np.testing.assert_array_equal(backend.array(layer._variance), moved)


def test_batch_norm_refuses_to_train_on_one_value(backend, layers):
    layer = layers.BatchNorm2D(4)
    layer.train()
    with pytest.raises(ValueError, match="more than one value per channel"):
        layer(backend.tensor(np.zeros((1, 4, 1, 1), np.float32)))


def test_files_have_the_names_and_layouts_of_the_framework(backend, layers, tmp_path):
    """Read by the framework's own loader, and back, bit for bit; a matrix is the transpose of the official one."""
    nn, checkpoint = backend.framework.nn, backend.module("checkpoint")
    network = nn.Sequential(nn.Conv2D(3, 4, 3), layers.BatchNorm2D(4), nn.Flatten(), nn.Linear(6, 6))
    official = checkpoint.network_state(network)
    assert set(official) == {
        *("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "3.weight", "3.bias")
    }
    np.testing.assert_array_equal(official["3.weight"].T, backend.array(network[3].weight))

    checkpoint.save_networks({"network": network}, tmp_path, {})
    native = backend.framework.load(str(tmp_path / "network.pdparams"))
    other = nn.Sequential(nn.Conv2D(3, 4, 3), layers.BatchNorm2D(4), nn.Flatten(), nn.Linear(6, 6))
    assert other.set_state_dict(native) == ([], [])
    checkpoint.load_networks({"network": network}, tmp_path, ["network"])
    for name, array in checkpoint.network_state(other).items():
        np.testing.assert_array_equal(array, official[name])
        np.testing.assert_array_equal(array, checkpoint.network_state(network)[name])


def test_moments_of_a_matrix_are_transposed_too(backend, tmp_path):
    from safetensors.numpy import load_file

    nn, checkpoint = backend.framework.nn, backend.module("checkpoint")
    network = nn.Linear(3, 2)
    optimizer = backend.adam([{"params": network.parameters()}], 1e-3)
    x = np.array([[1, 2, 3]], np.float32)
    backend.step(optimizer, network(backend.tensor(x)).sum())
    checkpoint.save_optimizer(optimizer, {"n": network}, tmp_path / "state", 1)
    moment = load_file(tmp_path / "state")["exp_avg/n/weight"]
    assert_close(moment, 0.1 * np.repeat(x, 2, axis=0))
    checkpoint.load_optimizer(optimizer, {"n": network}, tmp_path / "state")
    assert_close(backend.array(optimizer._accumulators["moment1"][network.weight.name]), moment.T)


def test_running_statistics_are_no_parameters(backend):
    network = backend.module("networks.resnet").ResNetEncoder(18)
    names = [name for name, _ in backend.module("checkpoint").named_parameters({"encoder": network})]
    assert len(names) == 60 and not any("running" in name or "_mean" in name for name in names)


@pytest.mark.parametrize(
    "how", ["paddle.grad(sampled.sum(), [grid])[0]", "sampled.sum().backward() or grid.grad"]
)
def test_gradient_of_the_grid_alone_does_not_crash(starter, how, tmp_path):
    """In a process of its own: the framework's kernel takes the process down."""
    script = f"""
import numpy as np
from backends.paddle import geometry, tensors
import paddle
image = tensors.to_tensor(np.random.default_rng(0).normal(size=(1, 2, 5, 6)).astype(np.float32))
grid = tensors.to_tensor(np.linspace(-1.2, 1.2, 40, dtype=np.float32).reshape(1, 4, 5, 2))
grid.stop_gradient = False
sampled = geometry.sample(image, grid)
slope = {how}
assert slope.shape == grid.shape and float(slope.abs().sum()) > 0
assert image.stop_gradient
"""
    (tmp_path / "slope.py").write_text(script)
    done = starter.start([tmp_path / "slope.py"], tmp_path).wait(120)
    assert done.returncode == 0, done.stderr[-2000:]
