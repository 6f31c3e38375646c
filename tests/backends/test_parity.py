"""What one backend answers to a parity request; `tests/core/parity/test_parity.py` compares the two."""

import numpy as np
import pytest

from core.options.methods.monodepth2 import Monodepth2Options
from core.parity.bounds import SECTIONS, is_compared
from core.parity.request import Request
from tests.tolerances import assert_close


@pytest.fixture(scope="module")
def question():
    options = Monodepth2Options(height=64, width=64, batch_size=1, pose_model_type="posecnn", device="cpu")
    return Request.make(options, steps=2)


@pytest.fixture(scope="module")
def parity(backend):
    return backend.module("parity")


@pytest.fixture
def method(backend, parity, question):
    return parity.build(question, "float32")


def test_layers_are_noted_by_name_in_the_order_of_execution(backend, parity, method):
    """Each once for every call, with the very values that the layers return, and no longer than asked."""
    pose = method.networks()["pose"]
    images = [backend.tensor(np.full((1, 6, 64, 64), value, np.float32)) for value in (0.2, 0.7)]
    with backend.no_gradients():
        with parity.Recorder({"pose": pose}) as recorder:
            outputs = [pose(image) for image in images]
        pose(images[0])
        first = backend.array(pose.net[0](images[1]))
    layers = [*(f"net.{number}" for number in range(7)), "pose_conv", "output.0", "output.1"]
    assert list(recorder.layers) == [f"pose/{name}{call}" for call in ("", " (call 2)") for name in layers]
    assert_close(recorder.layers["pose/net.0 (call 2)"], first, "exact")
    for number, call in enumerate(("", " (call 2)")):
        for i in (0, 1):
            expected = backend.array(outputs[number][i])
            assert_close(recorder.layers[f"pose/output.{i}{call}"], expected, "exact")
    assert list(recorder.outputs) == [name for name in recorder.layers if "output" in name]


def test_weights_and_noise_are_those_of_the_request(backend, parity, method, question):
    for name, network in method.networks().items():
        state = backend.module("checkpoint").network_state(network)
        made = question.weights(name, {key: array.shape for key, array in state.items()})
        assert made
        for key, array in made.items():
            assert_close(state[key], array, "exact", label=f"{name} {key}")
    method.train()
    drawn = method._noise(backend.tensor(np.zeros((1, 2, 4, 4), np.float32)), 1)
    assert_close(
        backend.array(drawn), question.draw("noise/1", (1, 2, 4, 4), "normal").astype(np.float32), "exact"
    )


def test_gradients_are_those_of_a_formula(backend, parity, method):
    """Of Σ w² / 2 over one layer: w there, and 0 elsewhere."""
    parameters = dict(backend.module("checkpoint").named_parameters(method.networks()))
    weight = parameters["pose/pose_conv.weight"]
    found = parity.gradients(method, (weight * weight).sum() / 2)
    assert list(found) == list(parameters)
    assert_close(found.pop("pose/pose_conv.weight"), backend.array(weight), "exact")
    assert not any(gradient.any() for gradient in found.values())


def test_sections_of_one_precision(parity, question):
    sections = parity.measure(question, "float32")
    assert {name for name in SECTIONS if is_compared(name, "float32")} <= set(sections)
    assert sections["metrics"]["disparity"].shape == (1, 1, 64, 64)
    # Adam's first step is ± the rate wherever a gradient is well above its epsilon.
    update = np.concatenate([array.ravel() for array in sections["update"].values()])
    assert np.abs(update).max() < 1.2 and np.mean(np.abs(np.abs(update) - 1) < 0.2) > 0.5
    # The first step begins where the pass in training mode did.
    total = sum(float(term) for term in sections["training_terms"].values())
    assert_close(sections["losses"]["step 0"], total, (1e-6, 0))
    assert sections["losses"]["step 1"] != sections["losses"]["step 0"]


def test_terms_that_jump_are_left_to_double_precision(backend, parity, method, question, monkeypatch):
    """Of the terms and of the loss of a step; the training itself is the same."""
    batch = backend.batch(question.batch, "float32")
    whole = parity.prediction(method, batch, "float32")["terms"]
    assert {name.partition("/")[0] for name in whole} == {"photometric", "smoothness"}
    monkeypatch.setattr(Monodepth2Options, "JUMPING_TERMS", ("photometric",))
    kept = parity.prediction(method, batch, "float32")["terms"]
    assert kept == {name: term for name, term in whole.items() if name.startswith("smoothness/")}
    assert parity.prediction(method, batch, "float64")["terms"] == whole
    method.train()
    terms = {name: float(backend.array(term)) for name, term in method.losses(batch).terms.items()}
    update, losses = parity.steps(method, batch, 1, "float32")
    smoothness = sum(term for name, term in terms.items() if name.startswith("smoothness/"))
    # What is left of a loss a thousand times as large: it has the rounding of that one.
    assert abs(losses["step 0"] - smoothness) <= 4 * np.finfo(np.float32).eps * sum(terms.values())
    assert any(array.any() for name, array in update.items() if name.startswith("encoder/"))
