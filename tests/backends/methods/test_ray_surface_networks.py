"""The networks of neural ray surfaces against the recorded outputs and gradients of the published program."""

import numpy as np
import pytest

from tests.backends.methods.test_packnet_networks import parameters_of
from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

P = "golden/ray_surface"
EXACT = (1e-6, 0)  # recorded in double precision, stored in single
SINGLE = (1e-4, 0)  # ResNet-18; 50 in training mode 5e-4
NORMS = (2e-2, 0)  # of gradients, in single precision


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("ray_surface/networks.npz")


@pytest.fixture(scope="module")
def names(golden):
    return golden("ray_surface/names.json")


def state_of(arrays, names, network):
    """The recorded weights, without the classifier that nothing reads."""
    shapes = {name: tuple(shape) for name, shape in names[network].items()}
    state = arrays.weights(shapes, f"{P}/{network}", 1.0)
    return {name: array for name, array in state.items() if ".fc." not in name}


def image_of(backend, arrays, recorded, precision):
    image = arrays.smooth(f"{P}/network_image", (2, 3, 64, 96), (16, 24), 0, 1)
    assert_close(image.sum(dtype=np.float64), recorded["image_sum"], EXACT)
    return backend.tensor(image.astype(precision), gradient=True)


def make_network(backend, arrays, names, layers, precision):
    network = backend.module("networks.ray_surface_resnet").RaySurfaceResNet(layers)
    backend.fill(network, state_of(arrays, names, f"ray_surface_resnet_{layers}"))
    return backend.to_float64(network) if precision == "float64" else network


def check_evaluation(backend, recorded, name, network, image, tolerance):
    """With the given running statistics."""
    with backend.no_gradients():
        output = network(image)
        disparity = backend.array(network.disparity(image))
    assert_close(disparity, recorded[f"{name}/evaluation_inverse_depth"], tolerance)
    np.testing.assert_array_equal(disparity, backend.array(output.disparities[0]))
    assert_close(backend.array(output.ray_residual), recorded[f"{name}/evaluation_residual"], tolerance)
    return output


def check_training(backend, arrays, recorded, names, layers, precision):
    """Evaluation, then one training pass: outputs, objective, gradients, moved statistics."""
    name = f"ray_surface_resnet_{layers}"
    tolerance = EXACT if precision == "float64" else (SINGLE if layers == 18 else (5e-4, 0))
    network = make_network(backend, arrays, names, layers, precision)
    image = image_of(backend, arrays, recorded, precision)
    output = check_evaluation(backend, recorded, name, network, image, tolerance)
    if layers == 18:
        check_points(backend, recorded, output, tolerance)
    network.train()
    output = network(image)
    found = [*output.disparities, output.ray_residual]
    keys = [*(f"training_inverse_depth_{scale}" for scale in range(4)), "training_residual"]
    objective, terms, step = 0, 0.0, 1 if layers == 18 else 2
    for number, (key, one) in enumerate(zip(keys, found, strict=True)):
        values = backend.array(one)
        assert_close(values[..., ::step, ::step], recorded[f"{name}/{key}"], tolerance, label=key)
        weights = arrays.uniform(f"{P}/objective/{name}/{number}", values.shape, -1, 1)
        objective = objective + (one * backend.tensor(weights.astype(precision))).mean()
        terms += float(abs(values * weights).mean())
    # Terms of both signs leave little of their size.
    assert_close(backend.array(objective), recorded[f"{name}/objective"], (0, tolerance[0] * terms))
    parameters = parameters_of(backend, network)
    first, *others = backend.gradients(objective, [image, *parameters.values()])
    if precision == "float64" or layers == 18:  # of 50, batch statistics of 12 values
        wanted = recorded[f"{name}/gradient_image"]
        assert_close(first[..., ::2, ::2], wanted, EXACT if precision == "float64" else SINGLE)
    check_gradients(recorded, name, parameters, others, precision)
    state = backend.module("checkpoint").network_state(network)
    for statistic in ("running_mean", "running_var"):
        found = state[f"encoder.encoder.bn1.{statistic}"]
        assert_close(found, recorded[f"{name}/{statistic}"], tolerance, label=statistic)


def check_points(backend, recorded, output, tolerance):
    """Rays of the dummy template and the whole residual, times range."""
    projection = backend.module("losses.ray_projection")
    v, u = np.mgrid[:64, :96].astype(np.float64)
    template = np.stack([(u - 48) / 48, (v - 32) / 32, np.ones_like(u)])[None]
    template = (template / np.linalg.norm(template, axis=1, keepdims=True)).astype(np.float32)
    precision = backend.array(output.ray_residual).dtype
    rays = projection.ray_surface(backend.tensor(template.astype(precision)), output.ray_residual, 1.0)
    points = backend.array(rays / output.disparities[0])
    name = "ray_surface_resnet_18/evaluation_points"
    assert_close(points[..., ::2, ::2], recorded[name], (10 * tolerance[0], 0))


def check_gradients(recorded, name, parameters, gradients, precision):
    """Sum, sum of absolute values and L2 norm of each parameter's, by name."""
    listed = recorded[f"{name}/gradient_names"].tolist()
    assert set(listed) == set(parameters)
    rows = dict(zip(listed, recorded[f"{name}/gradient_statistics"], strict=True))
    for parameter, gradient in zip(parameters, gradients, strict=True):
        wide = gradient.astype(np.float64)
        found = [wide.sum(), abs(wide).sum(), np.linalg.norm(wide)]
        if precision == "float64":
            assert_close(found, rows[parameter], EXACT, label=parameter)
        else:
            assert_close(found[2], rows[parameter][2], NORMS, label=parameter)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_network(backend, arrays, recorded, names, precision):
    check_training(backend, arrays, recorded, names, 18, precision)


@pytest.mark.parametrize(("layers", "count"), [(18, 17_993_231), (34, 28_101_391), (50, 43_583_503)])
def test_names_and_sizes(backend, names, layers, count):
    """Those that are recorded, and no others but the template's; the classifier is left out."""
    network = backend.module("networks.ray_surface_resnet").RaySurfaceResNet(layers, (64, 96), masked=True)
    state = backend.module("checkpoint").network_state(network)
    found = {name: array.shape for name, array in state.items() if not name.endswith("num_batches_tracked")}
    wanted = {name: tuple(shape) for name, shape in names[f"ray_surface_resnet_{layers}"].items()}
    classifier = {name: shape for name, shape in wanted.items() if ".fc." in name}
    assert len(classifier) == 2
    assert (found.pop("ray_template"), found.pop("valid")) == ((1, 3, 64, 96), (1, 1, 64, 96))
    counted = {name for name in wanted if name.endswith("num_batches_tracked")}  # which PaddlePaddle has not
    assert found == {name: shape for name, shape in wanted.items() if name not in {*classifier, *counted}}
    own = {name: shape for name, shape in found.items() if not name.endswith(("running_mean", "running_var"))}
    assert sum(int(np.prod(shape)) for shape in (*own.values(), *classifier.values())) == count


@pytest.mark.parametrize("size", [(64, 80), (32, 64)])
def test_sizes_that_do_not_fit(backend, size):
    network = backend.module("networks.ray_surface_resnet").RaySurfaceResNet(18)
    with pytest.raises(ValueError, match="multiples of 32, at least 64"):
        network(backend.tensor(np.zeros((1, 3, *size), np.float32)))


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_pose_network(backend, arrays, recorded, names, precision):
    """Two training passes, one for each source, then evaluation with the moved statistics."""
    network = backend.module("networks.pose_resnet").PoseResNet(18)
    backend.fill(network, state_of(arrays, names, "pose_resnet_18"))
    if precision == "float64":
        backend.to_float64(network)
    tolerance = EXACT if precision == "float64" else SINGLE
    image = image_of(backend, arrays, recorded, precision)
    pair = arrays.smooth(f"{P}/network_source", (2, 2, 3, 64, 96), (16, 24), 0, 1).astype(precision)
    sources = [backend.tensor(one) for one in pair]
    with backend.no_gradients():
        network.train()
        found = backend.array(network(image, sources))
        assert_close(found, recorded["pose_resnet_18/training_pose"], tolerance)
        network.eval()
        found = backend.array(network(image, sources))
        assert_close(found, recorded["pose_resnet_18/evaluation_pose_after"], tolerance)
