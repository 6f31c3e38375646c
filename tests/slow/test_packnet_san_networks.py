"""PackNet-SAN's network against the recorded outputs and gradients of the published program: 110 million parameters.

tests/backends/methods/test_packnet_san_networks.py compares its sparse branch; encoder and decoder are PackNet's.
"""

import re

import numpy as np
import pytest

from tests.backends.methods.test_packnet_networks import (
    BATCH_STATISTICS,
    GRADIENT_STATISTICS,
    OUTPUT,
    P,
    check_gradients,
)
from tests.backends.methods.test_packnet_san_networks import (
    FEATURES,
    NAME,
    WIDTHS,
    check_levels,
    check_moved,
    inputs_of,
    names,
    recorded,
    statistics,
    trainable,
)
from tests.core.packnet_files import Checkpoint
from tests.tolerances import assert_close

__all__ = ["names", "recorded"]  # fixtures


@pytest.fixture(scope="module")
def san(backend, arrays, recorded, names):
    """Made once."""
    network = backend.module("networks.packnet_san").PackNetSAN(WIDTHS, FEATURES)
    state = published(arrays, recorded, names)
    return backend.fill(network, {without_dropout(name): array for name, array in state.items()})


def published(arrays, recorded, names):
    """The recorded weights, made one by one: `arrays.weights` keeps what it makes."""
    gain = float(recorded["gain"])
    return {
        name: arrays.weight(name, tuple(shape), f"{P}/{NAME}", ".bn." in name, gain)
        for name, shape in names[NAME].items()
    }


def without_dropout(name):
    """The name that a parameter has in a network without dropout."""
    return re.sub(r"\.conv3\.0\.(weight|bias)$", r".conv3.\1", str(name))


def keep_levels(backend, network):
    """Features of the sparse branch, put into a list whenever it runs."""
    kept = []
    branch = network.mconvs
    hook = branch.register_forward_hook if backend.name == "torch" else branch.register_forward_post_hook
    return kept, hook(lambda _, __, output: kept.extend(output))


def test_evaluation(backend, recorded, san):
    kept, hook = keep_levels(backend, san)
    image, depth = inputs_of(backend, recorded)
    san.eval()
    with backend.no_gradients():
        plain = backend.array(san.disparity(image))
        assert not kept
        completed = backend.array(san.disparity(image, depth))
    hook.remove()
    assert_close(plain, recorded["evaluation/inverse_depth_rgb"], OUTPUT)
    assert_close(completed, recorded["evaluation/inverse_depth_rgbd"], OUTPUT)
    check_levels(backend, kept, recorded, "evaluation", OUTPUT)


def check_training(backend, arrays, recorded, found):
    """Both passes and how far they are apart; the objective."""
    plain, completed, apart = found
    assert_close(backend.array(apart), recorded["training/depth_loss"], BATCH_STATISTICS)
    objective, terms = apart, float(backend.array(apart))
    for kind, seed, disparities in (("", "san", plain), ("rgbd_", "san_rgbd", completed)):
        for number, disparity in enumerate(disparities):
            one = backend.array(disparity)
            wanted = recorded[f"training/inverse_depth_{kind}{number}"]
            assert_close(one, wanted, BATCH_STATISTICS, label=f"{kind}{number}")
            weights = arrays.uniform(f"{P}/objective/{seed}/{number}", one.shape, -1, 1)
            objective = objective + (disparity * backend.tensor(weights)).mean()
            terms += float(abs(one * weights).mean())
    assert_close(backend.array(objective), recorded["training/objective"], (0, 1e-5 * terms))
    return objective


def test_training(backend, arrays, recorded, san):
    """Both passes, the running statistics after, and all gradients.

    The gradients with the sparse branch in double precision: some of its ReLUs have values within 4e-6 of zero, where
    the rounding of single precision decides about 2e-3 of the first kernel's gradient.
    """
    kept, hook = keep_levels(backend, san)
    before = statistics(backend, san)
    san.train()
    image, depth = inputs_of(backend, recorded)
    with backend.no_gradients():
        check_training(backend, arrays, recorded, san.both(image, depth))
    hook.remove()
    check_levels(backend, kept, recorded, "training", BATCH_STATISTICS)
    check_moved(recorded, before, statistics(backend, san))
    compute_wide(backend, san)
    objective = check_training(backend, arrays, recorded, san.both(image, depth))
    parameters = trainable(backend, san)
    gradients = backend.gradients(objective, list(parameters.values()))
    found = dict(zip(parameters, gradients, strict=True))
    for name, own in (("weight",) * 2, ("bias",) * 2, ("kernel_0", "mconvs.mconvs.0.layer3.0.kernel")):
        wanted = recorded[f"training/gradient_{name}"]
        assert_close(found[own], wanted, GRADIENT_STATISTICS, label=name)
    rows = {
        "training/gradient_names": np.array(
            [without_dropout(name) for name in recorded["training/gradient_names"]]
        ),
        "training/gradient_statistics": recorded["training/gradient_statistics"],
    }
    check_gradients(rows, "training", parameters, gradients)


def compute_wide(backend, san):
    """The sparse branch of a network in double precision, with its input and output in single precision."""
    framework = backend.framework
    backend.to_float64(san.mconvs)
    forward = san.mconvs.forward
    san.mconvs.forward = lambda depth: [
        level.to(framework.float32) for level in forward(depth.to(framework.float64))
    ]


def test_a_whole_checkpoint(backend, arrays, recorded, names, tmp_path):
    """As its program writes it, predicted without depth and with: 440 MB."""
    checkpoint = Checkpoint({"depth": published(arrays, recorded, names)})
    path = checkpoint.write(tmp_path / "PackNetSAN01_HR_sup_K.ckpt")
    del checkpoint
    predictor = backend.module("predictor").Predictor(path, "cpu")
    assert predictor.options.method == "packnet_san" and not predictor.method.pose_networks
    path.unlink()
    images = list(recorded["images"])
    found = predictor.disparity(images)
    assert_close(found, recorded["evaluation/inverse_depth_rgb"][:, 0], OUTPUT)
    found = predictor.disparity(images, inputs={"input_depth": recorded["input_depth"]})
    assert_close(found, recorded["evaluation/inverse_depth_rgbd"][:, 0], OUTPUT)
