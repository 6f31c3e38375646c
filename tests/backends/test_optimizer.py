"""Rates of parameter groups, and gradients clipped by the norm of all of them."""

import numpy as np
import pytest

from tests.tolerances import assert_close


def parameters(backend, count):
    rng = np.random.default_rng(0)
    layer = backend.framework.nn
    made = []
    for _ in range(count):
        network = layer.Linear(3, 2)
        state = {"weight": rng.normal(size=(2, 3)).astype(np.float32), "bias": np.zeros(2, np.float32)}
        backend.module("checkpoint").load_network_state(network, state, "test")
        made.append(network)
    return made


def test_each_group_has_its_rate(backend):
    """Adam's first step moves a weight by its rate, whatever the gradient."""
    networks = parameters(backend, 3)
    groups = [{"params": list(network.parameters())} for network in networks]
    trainer = backend.module("trainer")
    optimizer = trainer.make_optimizer(groups, 1.0)
    before = [backend.array(network.weight).copy() for network in networks]
    for rates in ([1e-2, 1e-3, 5e-2], [2e-3, 2e-3, 2e-3]):
        trainer.set_rates(optimizer, rates)
        x = backend.tensor(np.ones((4, 3), np.float32))
        backend.step(optimizer, sum((network(x) * 2).sum() for network in networks))
        after = [backend.array(network.weight).copy() for network in networks]
        moved = [np.abs(new - old).mean() for new, old in zip(after, before, strict=True)]
        np.testing.assert_allclose(moved, rates, rtol=1e-4)
        before = after


@pytest.mark.parametrize("largest", [0.5, 100.0])
def test_clipping(backend, largest):
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 4), (5,), (2, 2, 2))]
    gradients = [backend.tensor(array) for array in arrays]
    backend.module("trainer").clip_gradients(gradients, largest)
    norm = np.sqrt(sum((array.astype(np.float64) ** 2).sum() for array in arrays))
    factor = min(1.0, largest / norm)
    for found, array in zip(gradients, arrays, strict=True):
        assert_close(backend.array(found), factor * array, (1e-5, 0))


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_weight_decay_of_a_group(backend, kind):
    """Two steps by the formulas of Kingma and Ba (2015) and of Loshchilov and Hutter (2019), in NumPy."""
    decays, rate = (0.0, 0.3), 1e-2
    networks = parameters(backend, 2)
    groups = [
        {"params": [net.weight], "weight_decay": decay} for net, decay in zip(networks, decays, strict=True)
    ]
    expected = [backend.array(network.weight).astype(np.float64) for network in networks]
    optimizer = backend.module("trainer").make_optimizer(groups, rate, kind)
    x = backend.tensor(np.ones((4, 3), np.float32))
    moments = [(0.0, 0.0) for _ in networks]
    for step in (1, 2):
        losses = [(network(x) ** 2).sum() for network in networks]
        gradients = [
            gradient.astype(np.float64)
            for gradient in backend.gradients(sum(losses), [network.weight for network in networks])
        ]
        backend.step(optimizer, sum((network(x) ** 2).sum() for network in networks))
        for i, (gradient, decay) in enumerate(zip(gradients, decays, strict=True)):
            gradient = gradient + (decay * expected[i] if kind == "adam" else 0)
            first, second = 0.9 * moments[i][0] + 0.1 * gradient, 0.999 * moments[i][1] + 0.001 * gradient**2
            moments[i] = first, second
            expected[i] *= 1 - (rate * decay if kind == "adamw" else 0)
            expected[i] -= rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    for network, weight in zip(networks, expected, strict=True):
        assert_close(backend.array(network.weight), weight, (1e-5, 1e-6))
