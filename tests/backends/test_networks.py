"""Networks with known weights against the recorded outputs, in evaluation and training mode."""

import numpy as np
import pytest

from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

SEEDS = {"encoder": 1.0, "depth": 0.8, "depth_fewer": 0.8, "predictive_mask": 0.8}  # others have gain 1
FEATURE_CHANNELS = {18: [64, 64, 128, 256, 512], 50: [64, 256, 512, 1024, 2048]}


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("monodepth2/networks.npz")


@pytest.fixture(scope="module")
def images(recorded):
    """{target, next, previous}: float32 (2, 3, 96, 320)."""
    pixels = recorded["images"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    return {name: pixels[recorded[f"{name}_index"]] for name in ("target", "next", "previous")}


@pytest.fixture(scope="module")
def make(backend, golden, arrays):
    """`make(network, "depth.pth (ResNet-18)", "depth")`: the network with its recorded weights, in evaluation mode."""
    files = golden("monodepth2/names.json")["files"]

    def fill(network, file, seed):
        shapes = {name: tuple(shape) for name, shape, _ in files[file]["tensors"]}
        state = arrays.weights(shapes, f"golden/{seed}", SEEDS.get(seed, 1.0))
        return backend.fill(network, state)

    return fill


def encoder(backend, make, layers, images=1):
    network = backend.module("networks.resnet").ResNetEncoder(layers, images)
    if images == 1:
        return make(network, f"encoder.pth (ResNet-{layers})", "encoder")
    return make(network, f"pose_encoder.pth (ResNet-{layers}, {images} images)", "pose_encoder")


def decoder(backend, make, layers):
    network = backend.module("networks.depth_decoder").DepthDecoder(FEATURE_CHANNELS[layers], [0, 1, 2, 3])
    return make(network, f"depth.pth (ResNet-{layers})", "depth")


def statistics(array):
    """Mean, standard deviation, mean absolute value."""
    array = np.asarray(array, np.float64)
    return np.array([array.mean(), array.std(), np.abs(array).mean()])


@pytest.mark.parametrize("layers", [18, 50])
def test_evaluation_mode(backend, recorded, images, make, layers):
    with backend.no_gradients():
        features = encoder(backend, make, layers)(backend.tensor(images["target"]))
        sigmoids = decoder(backend, make, layers)(features)
    for i, feature in enumerate(features):
        array, t = backend.array(feature), 4 if i < 2 else 2
        # `names` of the golden file: c = 8 or 16 for ResNet-18; deeper ones have four times the channels from 1 on.
        name = f"resnet{layers}_eval/feature_{i}"
        c = array.shape[1] // recorded[f"{name}_slice"].shape[1]
        assert_close(array[:, ::c, ::t, ::t], recorded[f"{name}_slice"], (1e-4, 0), label=name)
        assert_close(statistics(array), recorded[f"{name}_statistics"], (1e-4, 0), label=name)
    for scale in range(4):
        name = f"resnet{layers}_eval/sigmoid_{scale}"
        assert_close(backend.array(sigmoids[scale]), recorded[name], (0, 2e-6), label=name)


@pytest.mark.parametrize("layers", [18, 50])
def test_training_mode_and_gradients(backend, recorded, images, arrays, make, layers):
    group = f"resnet{layers}_train"
    networks = {"encoder": encoder(backend, make, layers), "depth": decoder(backend, make, layers)}
    for network in networks.values():
        network.train()
    sigmoids = networks["depth"](networks["encoder"](backend.tensor(images["target"])))
    objective = 0
    for scale, sigmoid in sigmoids.items():
        cotangent = arrays.uniform(f"golden/cotangent_{scale}", tuple(sigmoid.shape), -1, 1)
        objective = objective + (sigmoid * backend.tensor(cotangent)).sum() / 100
        name = f"{group}/sigmoid_{scale}"
        if name in recorded.files:
            assert_close(backend.array(sigmoid), recorded[name], (0, 3e-5), label=name)
        else:
            found = backend.array(sigmoid)[:, :, ::2, ::2]
            assert_close(found, recorded[f"{name}_stride2"], (0, 3e-5), label=name)
    assert_close(backend.array(objective), recorded[f"{group}/objective"], (1e-4, 1e-5), label="objective")
    check_running_statistics(backend, recorded, group, networks["encoder"])
    check_gradients(backend, recorded, group, networks, objective)


def check_running_statistics(backend, recorded, group, network):
    state = backend.module("checkpoint").network_state(network)
    names = [name for name in recorded.files if name.startswith(f"{group}/after/") and "running" in name]
    for name in names:
        assert_close(state[name.removeprefix(f"{group}/after/")], recorded[name], (1e-5, 0), label=name)
    assert bool(names) == (group == "resnet18_train")


def check_gradients(backend, recorded, group, networks, objective):
    parameters = {
        (network, name.partition("/")[2]): parameter
        for network, module in networks.items()
        for name, parameter in backend.module("checkpoint").named_parameters({network: module})
    }
    found = dict(zip(parameters, backend.gradients(objective, list(parameters.values())), strict=True))
    for network in networks:
        names = recorded[f"{group}/gradient_names_{network}"].tolist()
        assert sorted(names) == sorted(name for kind, name in parameters if kind == network)
        expected = recorded[f"{group}/gradient_statistics_{network}"]
        for name, row in zip(names, expected, strict=True):
            # The mean cancels; the standard deviation gives the size against which all three are judged.
            bound = (0, 1e-2 * max(row[1], row[2]))
            assert_close(statistics(found[network, name]), row, bound, label=f"{network} {name}")
    for name in (name for name in recorded.files if name.startswith(f"{group}/gradient/")):
        parameter = name.removeprefix(f"{group}/gradient/")
        network = "encoder" if parameter.startswith("encoder.") else "depth"
        bound = 2e-2 if network == "encoder" else 1e-4
        assert_close(found[network, parameter], recorded[name], (bound, 0), label=name)


def test_predictive_mask(backend, recorded, images, make):
    network = backend.module("networks.depth_decoder").DepthDecoder(FEATURE_CHANNELS[18], [0, 1, 2, 3], 2)
    network = make(network, "predictive_mask.pth (ResNet-18, 2 sources)", "predictive_mask")
    with backend.no_gradients():
        masks = network(encoder(backend, make, 18)(backend.tensor(images["target"])))
    for scale, mask in masks.items():
        expected = recorded[f"predictive_mask/mask_{scale}_stride2"]
        assert_close(backend.array(mask)[:, :, ::2, ::2], expected, (0, 2e-6))


def test_fewer_scales(backend, recorded, images, make):
    network = backend.module("networks.depth_decoder").DepthDecoder(FEATURE_CHANNELS[18], [0])
    network = make(network, "depth.pth (ResNet-18, scales 0)", "depth_fewer")
    with backend.no_gradients():
        sigmoids = network(encoder(backend, make, 18)(backend.tensor(images["target"])))
    assert list(sigmoids) == [0]
    assert_close(
        backend.array(sigmoids[0])[:, :, ::2, ::2], recorded["fewer_scales/sigmoid_0_stride2"], (0, 2e-6)
    )


def check_pose(backend, recorded, case, output):
    for kind, tensor in zip(("axisangle", "translation"), output, strict=True):
        assert_close(backend.array(tensor), recorded[f"{case}/{kind}"], (0, 1e-7), label=f"{case} {kind}")


def stacked(backend, images, names):
    return backend.tensor(np.concatenate([images[name] for name in names], axis=1))


PAIR, ALL = ("target", "next"), ("target", "previous", "next")


@pytest.mark.parametrize(("case", "frames"), [("pairs", PAIR), ("all", ALL)])
def test_separate_pose_network(backend, recorded, images, make, case, frames):
    pose_encoder = encoder(backend, make, 18, len(frames))
    network = backend.module("networks.pose_decoder").PoseDecoder(512, inputs=1, poses=2)
    pose = make(network, "pose.pth (separate_resnet, ResNet-18)", "pose")
    with backend.no_gradients():
        features = pose_encoder(stacked(backend, images, frames))
        check_pose(backend, recorded, f"pose_{case}_resnet18", pose([features]))
        if case == "pairs":
            found = backend.array(features[4])[:, ::16]
            assert_close(found, recorded["pose_pairs_resnet18/feature_4_slice"], (1e-4, 0))
            pose_encoder.train()
            output = pose([pose_encoder(stacked(backend, images, frames))])
            check_pose(backend, recorded, "pose_pairs_resnet18_train", output)


@pytest.mark.parametrize(("case", "frames"), [("pairs", PAIR), ("all", ALL)])
def test_shared_pose_network(backend, recorded, images, make, case, frames):
    depth_encoder, count = encoder(backend, make, 18), len(frames)
    network = backend.module("networks.pose_decoder").PoseDecoder(512, inputs=count, poses=count - 1)
    pose = make(network, f"pose.pth (shared, ResNet-18, {count} images)", f"pose_shared_{case}")
    with backend.no_gradients():
        output = pose([depth_encoder(backend.tensor(images[name])) for name in frames])
    check_pose(backend, recorded, f"shared_{case}", output)


@pytest.mark.parametrize(("case", "frames"), [("pairs", PAIR), ("all", ALL)])
def test_pose_cnn(backend, recorded, images, make, case, frames):
    network = backend.module("networks.pose_cnn").PoseCNN(len(frames))
    network = make(network, f"pose.pth (posecnn, {len(frames)} images)", f"posecnn_{case}")
    with backend.no_gradients():
        check_pose(backend, recorded, f"posecnn_{case}", network(stacked(backend, images, frames)))


@pytest.mark.parametrize("layers", [18, 34, 50])
def test_names_and_shapes_are_those_of_the_official_files(backend, golden, layers):
    files = golden("monodepth2/names.json")["files"]
    network = backend.module("networks.resnet").ResNetEncoder(layers)
    state = backend.module("checkpoint").network_state(network)
    official = {name: tuple(shape) for name, shape, _ in files[f"encoder.pth (ResNet-{layers})"]["tensors"]}
    unused = {name for name in official if ".fc." in name or name.endswith("num_batches_tracked")}
    found = {name: array.shape for name, array in state.items() if name not in unused}
    assert found == {name: shape for name, shape in official.items() if name not in unused}


@pytest.mark.parametrize("layers", [101, 152])
def test_deep_encoders_run(backend, layers):
    network = backend.module("networks.resnet").ResNetEncoder(layers, 2)
    network.to(device=backend.device)
    network.eval()
    with backend.no_gradients():
        features = network(backend.tensor(np.zeros((1, 6, 64, 64), np.float32)))
    assert [tuple(feature.shape[1:]) for feature in features] == [
        (64, 32, 32),
        (256, 16, 16),
        (512, 8, 8),
        (1024, 4, 4),
        (2048, 2, 2),
    ]


def test_batches_normalised_each_by_itself(backend, arrays):
    """Several at once are as one after the other: what comes out, and the statistics that training leaves."""
    layers = backend.module("networks.layers")
    x = arrays.uniform("groups", (6, 3, 4, 5), -1, 2)
    one_by_one, at_once = layers.BatchNorm2D(3), layers.BatchNorm2D(3)
    layers.normalise_by_groups(at_once, 3)
    for layer in (one_by_one, at_once):
        layer.train()
    expected = [backend.array(one_by_one(backend.tensor(x[n : n + 2]))) for n in (0, 2, 4)]
    assert_close(backend.array(at_once(backend.tensor(x))), np.concatenate(expected), "exact")
    state = {name: backend.array(array) for name, array in at_once.state_dict().items()}
    for name, array in one_by_one.state_dict().items():
        assert_close(state[name], backend.array(array), "exact", label=name)
    at_once.eval(), one_by_one.eval()
    found, alone = (backend.array(layer(backend.tensor(x))) for layer in (at_once, one_by_one))
    assert_close(found, alone, "exact")
