"""EPCDepth's networks against the recorded outputs, running statistics and gradients of the published program."""

from functools import partial

import numpy as np
import pytest

from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

OUTPUTS = (0, 1e-5)
FEATURES = (1e-4, 1e-5)
CHANNELS = {18: [64, 64, 128, 256, 512], 50: [64, 256, 512, 1024, 2048]}


@pytest.fixture(scope="module")
def networks(golden):
    return dict(golden("epcdepth/networks.npz"))


@pytest.fixture(scope="module")
def names(golden):
    return golden("epcdepth/names.json")


@pytest.fixture(scope="module")
def image(arrays):
    return arrays.smooth("epcdepth/image", (2, 3, 96, 320), (8, 24))


@pytest.fixture(scope="module")
def reflected_image(arrays):
    return arrays.smooth("epcdepth/image_reflect", (1, 3, 160, 320), (8, 24))


def shapes(named):
    return {name: tuple(shape) for name, shape in named.items()}


def make_encoder(backend, arrays, names, layers):
    network = backend.module("networks.resnet").ResNetEncoder(layers)
    state = arrays.weights(shapes(names[f"encoder{layers}"]), f"epcdepth/encoder{layers}")
    return backend.fill(network, {name: array for name, array in state.items() if ".fc." not in name})


def make_decoder(backend, arrays, names, layers, padding="zeros"):
    module = backend.module("networks.full_scale_decoder")
    state = arrays.weights(
        shapes(names[f"full_scale_decoder{layers}"]), f"epcdepth/decoder{layers}", gain=0.8
    )
    return backend.fill(module.FullScaleDecoder(CHANNELS[layers], padding), state)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("levels", [3, 4, 5, 6, 7])
def test_u_blocks(backend, arrays, networks, names, levels, padding):
    module = backend.module("networks.residual_u_block")
    state = arrays.weights(shapes(names["rsu"][f"rsu{levels}_6_4_5"]), f"epcdepth/rsu{levels}")
    network = backend.fill(module.ResidualUBlock(levels, 6, 4, 5, padding), state)
    recorded = networks[f"rsu{levels}_{padding}/output"]
    x = arrays.uniform(f"epcdepth/rsu{levels}/input", (1, 6, *recorded.shape[2:]), -1, 1)
    with backend.no_gradients():
        assert_close(backend.array(network(backend.tensor(x))), recorded, OUTPUTS)


def compare_features(backend, features, networks, layers):
    for number, feature in enumerate(map(backend.array, features)):
        _, channels, height, width = feature.shape
        step = max(1, channels // 8), max(1, height // 6), max(1, width // 10)
        name = f"resnet{layers}_eval/feature_{number}"
        assert_close(feature[:, :: step[0], :: step[1], :: step[2]], networks[f"{name}_slice"], FEATURES)
        found = [feature.mean(dtype=np.float64), feature.std(dtype=np.float64), np.abs(feature).max()]
        assert_close(found, networks[f"{name}_statistics"], FEATURES)


@pytest.fixture(scope="module")
def encoder(backend, arrays, names):
    """A ResNet-18, which `test_training_mode` trains at the end."""
    return make_encoder(backend, arrays, names, 18)


@pytest.fixture(scope="module")
def decoder(backend, arrays, names):
    """Of the ResNet-18, zeros."""
    return make_decoder(backend, arrays, names, 18)


@pytest.fixture(scope="module")
def features(backend, encoder, image):
    """Of the ResNet-18."""
    with backend.no_gradients():
        return encoder(backend.tensor(image))


def test_all_outputs_from_a_resnet18(backend, networks, decoder, features):
    compare_features(backend, features, networks, 18)
    with backend.no_gradients():
        sigmoids = decoder(features)
        assert len(sigmoids) == 10
        for number, sigmoid in enumerate(sigmoids):
            recorded = networks[f"full_scale18_zeros/sigmoid_{number}"]
            assert_close(backend.array(sigmoid), recorded, OUTPUTS, label=str(number))
        for wanted in ((0,), (1, 2), (2,)):
            found = decoder.decode(features, wanted)
            assert sorted(found) == sorted(wanted)
            for number, sigmoid in found.items():
                np.testing.assert_array_equal(backend.array(sigmoid), backend.array(sigmoids[number]))


def test_prediction_runs_only_what_it_needs(backend, decoder, features):
    """No head on the encoder; for the third output alone no finer stage."""
    ran, handles = [], []
    parts = {f"stage{number}d": getattr(decoder, f"stage{number}d") for number in range(1, 6)}
    parts |= {f"head {number}": head for number, head in enumerate(decoder.encoder_disps)}
    for name, part in parts.items():
        hook = partial(lambda name, *_: ran.append(name), name)
        register = part.register_forward_hook if backend.name == "torch" else part.register_forward_post_hook
        handles.append(register(hook))
    with backend.no_gradients():
        decoder.decode(features, (2,))
        assert ran == ["stage5d", "stage4d", "stage3d"]
        ran.clear()
        decoder.decode(features, (0,))
    assert ran == ["stage5d", "stage4d", "stage3d", "stage2d", "stage1d"]
    for handle in handles:
        handle.remove()


def test_reflection_from_a_resnet18(backend, arrays, networks, names, encoder, features, reflected_image):
    decoder = make_decoder(backend, arrays, names, 18, "reflect")
    with backend.no_gradients():
        for number, sigmoid in enumerate(decoder(encoder(backend.tensor(reflected_image)))):
            recorded = networks[f"full_scale18_reflect/sigmoid_{number}"]
            assert_close(backend.array(sigmoid), recorded, OUTPUTS, label=str(number))
        small = [feature[:1] for feature in features]
        for number, sigmoid in decoder.decode(small, range(3)).items():
            recorded = networks[f"full_scale18_reflect_without_heads/sigmoid_{number}"]
            assert_close(backend.array(sigmoid), recorded, OUTPUTS, label=str(number))


def test_the_plain_decoder(backend, arrays, networks, names, features):
    module = backend.module("networks.plain_depth_decoder")
    state = arrays.weights(shapes(names["plain_decoder18"]), "epcdepth/plain18", gain=0.8)
    decoder = backend.fill(module.PlainDepthDecoder(CHANNELS[18]), state)
    small = [feature[:1] for feature in features]
    with backend.no_gradients():
        sigmoids = decoder(small)
        assert len(sigmoids) == 4
        for number, sigmoid in enumerate(sigmoids):
            recorded = networks[f"plain18/sigmoid_{number}"]
            assert_close(backend.array(sigmoid), recorded, OUTPUTS, label=str(number))
        found = decoder.decode(small, (2,))
    assert list(found) == [2]
    np.testing.assert_array_equal(backend.array(found[2]), backend.array(sigmoids[2]))
