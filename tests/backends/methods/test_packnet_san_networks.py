"""PackNet-SAN's sparse branch against the published program's recorded outputs; tests/slow has the whole network."""

import numpy as np
import pytest

from tests.backends.methods.test_packnet_networks import BATCH_STATISTICS, LAYER, OUTPUT, P, parameters_of
from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

NAME = "packnet_san01_1A"
WIDTHS, FEATURES = (32, 32, 64, 128, 256, 512), 4
MCONVS = "mconvs."
SMALL = ((16, 16, 16, 32, 64, 128), 2)  # the least that 16 groups allow


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("packnet/san.npz")


@pytest.fixture(scope="module")
def names(golden):
    return golden("packnet/names.json")


# ---- operators -----------------------------------------------------------------------------------------------


def test_a_sparse_convolution(backend, recorded):
    module = backend.module("networks.sparse_convolution")
    mask = recorded["single/mask"].astype(np.float32)
    x = backend.tensor(recorded["single/features"] * mask)
    layer = backend.fill(module.SparseConv(3, 4, 5), {"kernel": recorded["single/kernel"]})
    found = backend.array(layer(x, backend.tensor(mask)))
    assert_close(found, recorded["single/convolution"], LAYER)


def test_sparse_pooling(backend, recorded):
    """Of odd sides. Gradients are finite and those of the largest."""
    module = backend.module("networks.sparse_convolution")
    mask = recorded["single/mask"].astype(np.float32)
    features = recorded["single/features"] * mask
    x = backend.tensor(features, gradient=True)
    pooled, smaller = module.sparse_pool(x, backend.tensor(mask))
    np.testing.assert_array_equal(backend.array(pooled), recorded["single/pool"])
    np.testing.assert_array_equal(backend.array(smaller)[0, 0] > 0, recorded["single/pool_mask"])
    (gradient,) = backend.gradients(pooled.sum(), [x])
    assert np.isfinite(gradient).all() and not gradient[features == 0].any()
    assert gradient.sum() == 3 * recorded["single/pool_mask"].sum()
    assert_close((gradient * features).sum(), recorded["single/pool"].sum(), "operator")


def test_batch_norm_over_sites(backend):
    """The frameworks' one-dimensional normalisation of a list of sites, in NumPy."""
    rng = np.random.default_rng(0)
    mask = (rng.uniform(size=(2, 1, 4, 6)) < 0.3).astype(np.float32)
    x = (rng.normal(1, 2, (2, 3, 4, 6)) * mask).astype(np.float32)
    state = {"weight": np.array([1, 2, 3]), "bias": np.array([0.5, 0, -1])}
    state |= {"running_mean": np.array([0, 1, 2]), "running_var": np.array([1, 2, 4])}
    layer = backend.module("networks.sparse_convolution").SparseBatchNorm(3)
    state = {f"bn.{name}": array.astype(np.float32) for name, array in state.items()}
    backend.fill(layer, with_counters(backend, state))
    sites = x.transpose(0, 2, 3, 1)[mask[:, 0] > 0]

    def expected(mean, variance):
        normal = (sites - mean) / np.sqrt(variance + 1e-5) * state["bn.weight"] + state["bn.bias"]
        whole = np.zeros((2, 4, 6, 3))
        whole[mask[:, 0] > 0] = normal
        return whole.transpose(0, 3, 1, 2)

    def found(mask):
        with backend.no_gradients():
            return backend.array(layer(backend.tensor(x * mask), backend.tensor(mask)))

    running = [state["bn.running_mean"], state["bn.running_var"]]
    assert_close(found(mask), expected(*running), "operator")
    layer.train()
    assert_close(found(mask), expected(sites.mean(0), sites.var(0)), "operator")
    moved = [0.9 * running[0] + 0.1 * sites.mean(0), 0.9 * running[1] + 0.1 * sites.var(0, ddof=1)]
    assert_close(statistics(backend, layer)["bn.running_mean"], moved[0], "operator")
    assert_close(statistics(backend, layer)["bn.running_var"], moved[1], "operator")
    # Of no site, and of one, there is no variance: nothing moves.
    assert not found(np.zeros_like(mask)).any()
    one = np.zeros_like(mask)
    one[np.unravel_index(mask.argmax(), mask.shape)] = 1
    assert_close(found(one), one * expected(*moved), "operator")
    assert_close(statistics(backend, layer)["bn.running_mean"], moved[0], "operator")
    assert_close(statistics(backend, layer)["bn.running_var"], moved[1], "operator")


def with_counters(backend, state):
    """PyTorch counts batches."""
    counters = {"bn.num_batches_tracked": np.zeros((), np.int64)}
    return state | (counters if backend.name == "torch" else {})


def statistics(backend, network):
    """Running ones, copied."""
    state = backend.module("checkpoint").network_state(network)
    return {name: array.copy() for name, array in state.items() if ".running_" in name}


# ---- the branch ----------------------------------------------------------------------------------------------


def check_levels(backend, levels, recorded, mode, tolerance):
    """Features of all levels, every fourth channel; and, in evaluation, the sites."""
    assert len(levels) == 5
    for number, level in enumerate(levels):
        found = backend.array(level)
        assert_close(found[:, ::4], recorded[f"{mode}/level_{number}"], tolerance, label=str(number))
        if mode == "evaluation":
            sites = recorded[f"{mode}/level_{number}_sites"]
            np.testing.assert_array_equal(found.sum(1) != 0, sites, err_msg=str(number))


def check_moved(recorded, before, after):
    """The recorded running statistics, and that all others moved, too."""
    prefix = "training/after/"
    moved = [name.removeprefix(prefix) for name in recorded if name.startswith(prefix)]
    assert len(moved) == 10
    for name in moved:
        assert_close(after[name], recorded[prefix + name], BATCH_STATISTICS, label=name)
    assert all(abs(after[name] - before[name]).max() > 0 for name in after)


def test_the_branch(backend, arrays, recorded, names):
    """At its published width, by running statistics, by those of the batch, and what moves."""
    branch = backend.module("networks.sparse_convolution").SparseBranch(WIDTHS[1:], (5, 5, 3, 3, 3))
    shapes = {name: tuple(shape) for name, shape in names[NAME].items() if name.startswith(MCONVS)}
    state = arrays.weights(shapes, f"{P}/{NAME}", float(recorded["gain"]))
    backend.fill(branch, {name.removeprefix(MCONVS): array for name, array in state.items()})
    depth = backend.tensor(recorded["input_depth"])
    before = named_as_recorded(backend, branch)
    with backend.no_gradients():
        check_levels(backend, branch(depth), recorded, "evaluation", OUTPUT)
        branch.train()
        check_levels(backend, branch(depth), recorded, "training", BATCH_STATISTICS)
    check_moved(recorded, before, named_as_recorded(backend, branch))


def named_as_recorded(backend, branch):
    return {MCONVS + name: array for name, array in statistics(backend, branch).items()}


# ---- the network at the least width --------------------------------------------------------------------------


@pytest.fixture
def small(backend):
    network = backend.module("networks.packnet_san").PackNetSAN(*SMALL)
    network.to(device=backend.device)
    return network


def inputs_of(backend, recorded):
    image = backend.tensors.to_image(recorded["images"], backend.device)
    return image, backend.tensor(recorded["input_depth"])


def test_no_depth_at_all(backend, recorded, small):
    """The depth that is unknown everywhere: finite, nothing moves; only the factors of the features count."""
    image, depth = inputs_of(backend, recorded)
    before = statistics(backend, small)
    plain, completed, apart = small.both(image, depth * 0)
    assert all(np.array_equal(array, before[name]) for name, array in statistics(backend, small).items())
    for one, other in zip(plain, completed, strict=True):
        np.testing.assert_array_equal(backend.array(one), backend.array(other))  # factors 1, offsets 0
    assert float(backend.array(apart)) == 0
    objective = sum((disparity**2).sum() for disparity in completed) + apart
    gradients = backend.gradients(objective, list(trainable(backend, small).values()))
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def trainable(backend, network):
    named = parameters_of(backend, network)
    return {name: parameter for name, parameter in named.items() if backend.is_trainable(parameter)}


def test_dropout_of_the_two_passes(backend, arrays, recorded):
    """Names tell them apart; without it, and in evaluation, the encoder runs once."""
    drawn = []

    def draw(name, shape, kind):
        drawn.append(name)
        return backend.tensor(arrays.uniform(name, shape, 0, 1))

    network = backend.module("networks.packnet_san").PackNetSAN(*SMALL, True, 0.5, draw)
    network.to(device=backend.device)
    ran = []
    encode = network.encoder.encode
    network.encoder.encode = lambda image: ran.append(1) or encode(image)
    image, depth = inputs_of(backend, recorded)
    with backend.no_gradients():
        network.both(image, depth * 0)
        assert len(ran) == 2 and len(drawn) == 20
        assert drawn[:10] == [
            f"dropout/conv{a}.{b}" for a, n in ((2, 2), (3, 2), (4, 3), (5, 3)) for b in range(n)
        ]
        assert drawn[10:] == [f"{name}/rgbd" for name in drawn[:10]]
        network.eval()
        plain, completed, _ = network.both(image, depth * 0)
        assert len(ran) == 3 and len(drawn) == 20
        np.testing.assert_array_equal(backend.array(plain[0]), backend.array(completed[0]))
        np.testing.assert_array_equal(backend.array(plain[0]), backend.array(network.disparity(image)))
