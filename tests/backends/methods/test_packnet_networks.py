"""PackNet's layers and networks against the recorded outputs and gradients of the published program."""

import numpy as np
import pytest

from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

LAYER = (1e-5, 0)
OUTPUT = (1e-4, 0)
BATCH_STATISTICS = (1e-3, 0)
FUSED = (1e-5, 0)
GRADIENT_STATISTICS = (1e-3, 0)
P = "golden/packnet"
SLIM = ((32, 32, 64, 128, 256, 512), 4)
LAYERS = {
    "conv2d_k5": ("NormalizedConv", (16, 32, 5)),
    "conv2d_k7": ("NormalizedConv", (16, 16, 7)),
    "residual": ("ResidualConv", (16, 32)),
    "pack_k5_d4": ("Pack", (16, 5, 4)),
    "pack_k3_d8": ("Pack", (16, 3, 8)),
    "unpack_k3_d4": ("Unpack", (16, 32, 3, 4)),
    "unpack_k3_d8": ("Unpack", (16, 32, 3, 8)),
    "inverse_depth": ("DisparityHead", (16,)),
}


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("packnet/networks.npz")


@pytest.fixture(scope="module")
def layers(golden):
    return golden("packnet/layers.npz")


@pytest.fixture(scope="module")
def names(golden):
    return golden("packnet/names.json")


def state_of(arrays, names, network, gain):
    """The recorded weights, without the classifier that nothing reads."""
    shapes = {name: tuple(shape) for name, shape in names[network].items()}
    state = arrays.weights(shapes, f"{P}/{network}", gain)
    return {name: array for name, array in state.items() if ".fc." not in name}


def images_of(backend, recorded, *numbers):
    """(len(numbers), 3, H, W) in [0, 1]."""
    return backend.tensors.to_image(recorded["images"][list(numbers)], backend.device)


def parameters_of(backend, network):
    named = backend.module("checkpoint").named_parameters({"": network})
    return {name.partition("/")[2]: parameter for name, parameter in named}


def has_no_gradient(name, parameters):
    """A bias of 16 channels before a normalisation of 16 groups changes nothing: what is recorded is rounding."""
    normalized = name.endswith("conv_base.bias") or name == "conv1.0.bias"
    return normalized and parameters[name].shape[0] == 16


def make_layer(backend, arrays, names, layer):
    module = backend.module("networks.packing")
    kind, arguments = LAYERS[layer]
    network = getattr(module, kind)(*arguments)
    shapes = {name: tuple(shape) for name, shape in names[f"layers/{layer}"].items()}
    return backend.fill(network, arrays.weights(shapes, f"{P}/layers/{layer}"))


def check_layer(backend, arrays, layers, layer, network):
    """Output and all gradients."""
    x = backend.tensor(layers["input"], gradient=True)
    output = network(x)
    assert_close(backend.array(output), layers[f"{layer}/output"], LAYER)
    weights = arrays.uniform(f"{P}/layers/{layer}/objective", tuple(output.shape), -1, 1)
    parameters = parameters_of(backend, network)
    objective = (output * backend.tensor(weights)).sum()
    first, *others = backend.gradients(objective, [x, *parameters.values()])
    assert_close(first, layers[f"{layer}/gradient_input"], LAYER)
    prefix = f"{layer}/gradient/"
    wanted = {name.removeprefix(prefix) for name in layers if name.startswith(prefix)}
    assert wanted <= set(parameters)
    for name, gradient in zip(parameters, others, strict=True):
        if has_no_gradient(name, parameters):
            scale = abs(layers[prefix + name.replace("conv_base.", "normalize.")]).max()
            assert abs(gradient).max() <= LAYER[0] * scale
        elif name in wanted:
            assert_close(gradient, layers[prefix + name], LAYER, label=name)


@pytest.mark.parametrize("layer", LAYERS)
def test_layers(backend, arrays, layers, names, layer):
    check_layer(backend, arrays, layers, layer, make_layer(backend, arrays, names, layer))


def test_a_block_of_three(backend, arrays, layers, names):
    """Of residual convolutions, as a stage of the network has them."""
    module = backend.module("networks.packing")
    nn = backend.framework.nn
    network = nn.Sequential(*(module.ResidualConv(16 if number == 0 else 32, 32) for number in range(3)))
    shapes = {name: tuple(shape) for name, shape in names["layers/residual_block_3"].items()}
    backend.fill(network, arrays.weights(shapes, f"{P}/layers/residual_block_3"))
    check_layer(backend, arrays, layers, "residual_block_3", network)


@pytest.mark.parametrize("layer", ["pack_k5_d4", "pack_k3_d8"])
def test_packing_by_one_convolution(backend, arrays, layers, names, layer):
    """Equal to that by two, borders and corners included."""
    pack = make_layer(backend, arrays, names, layer)
    module = backend.module("networks.packing")
    packed = backend.array(module.space_to_depth(backend.tensor(layers["input"])))
    np.testing.assert_array_equal(packed, layers["packed"])
    with backend.no_gradients():
        tensor = backend.tensor(packed)
        two_steps, fused = backend.array(pack.two_steps(tensor)), backend.array(pack.fused(tensor))
        volume = pack.conv3d(tensor.unsqueeze(1)).flatten(1, 2)
    assert_close(backend.array(volume)[:, ::7], layers[f"{layer}/conv3d"], LAYER)
    assert_close(two_steps, layers[f"{layer}/before_normalisation"], LAYER)
    assert_close(fused, layers[f"{layer}/before_normalisation"], FUSED)


def test_when_packing_is_fused(backend, arrays, names):
    """In evaluation without gradients, on maps that are large enough; by the weights that are there then."""
    pack = make_layer(backend, arrays, names, "pack_k3_d8")
    ran = []
    fused = pack.fused
    pack.fused = lambda packed: ran.append(tuple(packed.shape)) or fused(packed)
    x = backend.tensor(arrays.uniform("fusing", (1, 16, 80, 64), -1, 1))
    pack(x)  # gradients may be asked for
    with backend.no_gradients():
        assert not ran
        once = backend.array(pack(x))
        assert len(ran) == 1
        pack(x[:, :, :40, :48])
        pack.train()
        pack(x)
        pack.eval()
        pack.fused_packing = False
        assert_close(backend.array(pack(x)), once, FUSED)
        assert len(ran) == 1
        pack.fused_packing = True
        state = arrays.weights(
            {name: tuple(shape) for name, shape in names["layers/pack_k3_d8"].items()}, "other weights"
        )
        backend.module("checkpoint").load_network_state(pack, state, "test")
        other = backend.array(pack(x))
        assert len(ran) == 2
        pack.fused_packing = False
        assert_close(other, backend.array(pack(x)), FUSED)
    assert abs(other - once).max() > 0.1


@pytest.fixture(scope="module")
def slim(backend, arrays, recorded, names):
    """PackNetSlim01, made once."""
    network = backend.module("networks.packnet").PackNet(*SLIM)
    return backend.fill(network, state_of(arrays, names, "packnet_slim01_1A", float(recorded["gain"])))


def keep_outputs(backend, network, parts):
    """`{part: output}`, filled whenever the network runs."""
    kept = {}
    for part in parts:
        layer = getattr(network, part)
        hook = layer.register_forward_hook if backend.name == "torch" else layer.register_forward_post_hook
        hook(lambda _, __, output, part=part: kept.update({part: output}))
    return kept


def check_parts(backend, kept, recorded, network):
    for part, output in kept.items():
        found = backend.array(output)
        steps = [max(1, side // most) for side, most in zip(found.shape[1:], (8, 8, 12), strict=True)]
        cut = found[:, :: steps[0], :: steps[1], :: steps[2]]
        assert_close(cut, recorded[f"{network}/{part}_slice"], OUTPUT, label=part)
        statistics = [found.mean(dtype=np.float64), abs(found).mean(dtype=np.float64)]
        statistics += [found.std(dtype=np.float64), found.min(), found.max()]
        assert_close(statistics, recorded[f"{network}/{part}_statistics"], OUTPUT, label=part)


def check_gradients(recorded, network, parameters, gradients):
    """Sum, sum of absolute values and L2 norm of each parameter's, by name."""
    names = recorded[f"{network}/gradient_names"].tolist()
    assert set(names) == set(parameters)
    rows = dict(zip(names, recorded[f"{network}/gradient_statistics"], strict=True))
    for name, gradient in zip(parameters, gradients, strict=True):
        wide = gradient.astype(np.float64)
        found = [wide.sum(), abs(wide).sum(), np.linalg.norm(wide)]
        if has_no_gradient(name, parameters):
            scale = rows[name.replace("bias", "weight")][1]
            assert abs(wide).sum() <= GRADIENT_STATISTICS[0] * scale
            continue
        assert_close(found, rows[name], GRADIENT_STATISTICS, label=name)


def test_the_slim_network(backend, arrays, recorded, slim):
    """Parts, disparities, objective; and packing by one convolution, which changes nothing.

    All gradients: tests/slow; those of a loss: the first recorded step.
    """
    with backend.no_gradients():
        check_slim_network(backend, arrays, recorded, slim)


def check_slim_network(backend, arrays, recorded, slim, gradients=False):
    name = "packnet_slim01_1A"
    parts = [part.rpartition("/")[2] for part in recorded if part.startswith(name) and "_slice" in part]
    kept = keep_outputs(backend, slim, [part.removesuffix("_slice") for part in parts])
    image = backend.tensor(backend.array(images_of(backend, recorded, 0, 1)), gradient=True)
    disparities = slim(image)
    check_parts(backend, kept, recorded, name)
    objective, terms = 0, 0.0
    for number, disparity in enumerate(disparities):
        found = backend.array(disparity)
        assert_close(found, recorded[f"{name}/inverse_depth_{number}"], OUTPUT)
        weights = arrays.uniform(f"{P}/objective/{name}/{number}", found.shape, -1, 1)
        objective = objective + (disparity * backend.tensor(weights)).mean()
        terms += float(abs(found * weights).mean())
    # Terms of both signs leave a thousandth of their size, and with it a thousand times their rounding.
    assert_close(backend.array(objective), recorded[f"{name}/objective"], (0, 1e-6 * terms))
    if gradients:
        parameters = parameters_of(backend, slim)
        first, *others = backend.gradients(objective, [image, *parameters.values()])
        assert_close(first, recorded[f"{name}/gradient_image"], GRADIENT_STATISTICS)
        check_gradients(recorded, name, parameters, others)
        return
    found = backend.array(slim.disparity(image))
    assert_close(found, recorded[f"{name}/inverse_depth_0"], OUTPUT)
    difference = abs(found - backend.array(disparities[0])).max()
    assert difference <= recorded[f"{name}/evaluation_maximum_difference"] + FUSED[0] * found.max()


def test_sizes_that_do_not_fit(slim, backend):
    with pytest.raises(ValueError, match="multiples of 32"):
        slim(backend.tensor(np.zeros((1, 3, 32, 48), np.float32)))


@pytest.mark.parametrize("sources", [1, 2])
def test_the_pose_network(backend, arrays, recorded, names, sources):
    name = f"pose_net_{sources}"
    network = backend.module("networks.group_pose_net").GroupPoseNet(sources)
    backend.fill(network, state_of(arrays, names, name, float(recorded["gain"])))
    target, *others = (images_of(backend, recorded, *pair) for pair in ((0, 1), (1, 1), (2, 3)))
    pose = network(target, others[:sources])
    assert_close(backend.array(pose), recorded[f"{name}/pose"], OUTPUT)
    weights = arrays.uniform(f"{P}/objective/{name}/0", tuple(pose.shape), -1, 1)
    objective = 100 * (pose * backend.tensor(weights)).mean()
    assert_close(backend.array(objective), recorded[f"{name}/objective"], OUTPUT)
    parameters = parameters_of(backend, network)
    check_gradients(recorded, name, parameters, backend.gradients(objective, [*parameters.values()]))


def test_the_pose_resnet(backend, arrays, recorded, names):
    network = backend.module("networks.pose_resnet").PoseResNet(18)
    backend.fill(network, state_of(arrays, names, "pose_resnet_18", 1.0))
    target, *sources = (images_of(backend, recorded, *pair) for pair in ((0, 1), (1, 1), (2, 3)))
    with backend.no_gradients():
        pose = network(target, sources)
        assert_close(backend.array(pose), recorded["pose_resnet_18/evaluation_pose"], OUTPUT)
        network.train()
        pose = network(target, sources)
        assert_close(backend.array(pose), recorded["pose_resnet_18/training_pose"], BATCH_STATISTICS)


def check_depth_resnet(backend, arrays, recorded, names, layers):
    name = f"depth_resnet_{layers}"
    network = backend.module("networks.depth_resnet").DepthResNet(layers)
    backend.fill(network, state_of(arrays, names, name, 1.0))
    image = images_of(backend, recorded, 0, 1)
    with backend.no_gradients():
        found = backend.array(network.disparity(image))
        assert_close(found, recorded[f"{name}/evaluation_inverse_depth_0"], OUTPUT)
        network.train()
        for number, disparity in enumerate(network(image)):
            wanted = recorded[f"{name}/training_inverse_depth_{number}"]
            assert_close(backend.array(disparity), wanted, BATCH_STATISTICS)


def test_the_depth_resnet(backend, arrays, recorded, names):
    check_depth_resnet(backend, arrays, recorded, names, 18)


def test_dropout(backend, arrays):
    """Whole channels of a sample, the others larger by their share; drawn by name, and in training alone."""
    drawn = []

    def draw(name, shape, kind):
        drawn.append((name, shape, kind))
        return backend.tensor(arrays.uniform(name, shape, 0, 1))

    module = backend.module("networks.packing")
    network = module.ResidualConv(16, 32, 0.25, draw, "dropout/conv2.0")
    network.to(device=backend.device)
    seen = []
    network.normalize.forward = lambda x: seen.append(backend.array(x)) or x
    x = backend.tensor(arrays.uniform("dropout/input", (2, 16, 8, 12), -1, 1))
    with backend.no_gradients():
        shortcut = backend.array(network.conv3(x))
        rest = backend.array(network.conv2(network.conv1(x)))
        network.eval()
        network(x)
        assert not drawn
        network.train()
        network(x)
    assert drawn == [("dropout/conv2.0", (2, 32, 1, 1), "uniform")]
    kept = arrays.uniform("dropout/conv2.0", (2, 32, 1, 1), 0, 1) >= 0.25
    assert 0 < kept.mean() < 1
    assert_close(seen[0], rest + shortcut, "operator")
    assert_close(seen[1], rest + shortcut * kept / 0.75, "operator")
