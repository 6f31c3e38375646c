"""Monodepth2 with depth hints: by the recorded numbers of the program that has the same rule."""

import numpy as np
import pytest

from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from tests.backends.methods.test_epcdepth import Inputs
from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

STEREO = {"frame_ids": [0], "use_stereo": True, "height": 64, "width": 192, "disparity_smoothness": 0.0}


@pytest.fixture(scope="module")
def recorded(golden):
    return dict(golden("epcdepth/losses.npz"))


@pytest.fixture(scope="module")
def inputs(backend, recorded, arrays):
    return Inputs(backend, recorded, arrays)


def synthesis(backend, inputs, batch, training=True, **values):
    options = Monodepth2Options(**{**STEREO, "use_depth_hints": True, **values})
    method = backend.module("methods.monodepth2").Monodepth2(options, inputs.noise)
    (method.train if training else method.eval)()
    sigmoids = dict(enumerate(inputs.sigmoids(4)))
    images = {f"image_0_{scale}": batch["image_0_0"][:, :, :: 2**scale, :: 2**scale] for scale in range(4)}
    return method.synthesis_losses(batch | images, sigmoids, {}, None)


@pytest.mark.parametrize("name", ["hint", "hint_no_automasking"])
def test_a_hint_teaches_where_it_wins(backend, recorded, inputs, name):
    found = synthesis(backend, inputs, inputs.batch, disable_automasking="no_automasking" in name)
    terms = {key: float(backend.array(term)) for key, term in found.terms.items()}
    for scale in range(4):
        both = terms[f"photometric/{scale}"] + terms[f"hint/{scale}"]
        assert_close(4 * both, recorded[f"{name}/reprojection_plus_hint"][scale], (1e-9, 0))
        assert_close(4 * terms[f"hint/{scale}"], recorded[f"{name}/hint_term"][scale], (1e-9, 0))
        if name == "hint":
            mask = backend.array(found.maps[f"automask_{scale}"])
            np.testing.assert_array_equal(mask, recorded["winner"][scale][:, 0] != 1)
    assert_close(float(backend.array(found.loss)), sum(terms.values()), "float64")


def test_a_validation_goes_without(backend, inputs):
    """No noise, no hint: the loss of every other run."""
    batch = {key: value for key, value in inputs.batch.items() if key != "hint"}
    found = synthesis(backend, inputs, batch, training=False)
    plain = synthesis(backend, inputs, batch, training=False, use_depth_hints=False)
    assert not any(key.startswith("hint") for key in found.terms)
    assert float(backend.array(found.loss)) == float(backend.array(plain.loss))
    with pytest.raises(KeyError, match="hint"):
        synthesis(backend, inputs, batch)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"use_stereo": False, "frame_ids": [0, 1]}, "--use_stereo"),
        ({"v1_multiscale": True}, "v1_multiscale"),
        ({"predictive_mask": True, "disable_automasking": True}, "predictive_mask"),
        ({"use_depth_hints": False, "depth_hints": "hints"}, "--use_depth_hints"),
    ],
)
def test_what_does_not_fit(values, words):
    options = Monodepth2Options(**{**STEREO, "use_depth_hints": True, **values})
    with pytest.raises(UserError, match=words):
        options.validate()
