"""FeatDepth's ResNet-50, and its joint training in double precision, against the recorded numbers: 15 s.

The rest is in tests/backends/methods/test_featdepth_{networks,losses}.py.
"""

import numpy as np
import pytest

from tests.backends.methods.test_featdepth_losses import (
    check_case,
    divisors_of_the_recording,
    networks,
    sigmoids,
)
from tests.backends.methods.test_featdepth_networks import (
    OUTPUT,
    check_autoencoder,
    check_depth,
    images,
    make,
    names,
    recorded,
)
from tests.tolerances import assert_close

__all__ = [
    "divisors_of_the_recording",
    "images",
    "make",
    "names",
    "networks",
    "recorded",
    "sigmoids",
]  # fixtures


def test_depth(backend, arrays, recorded, images, make):
    check_depth(backend, arrays, recorded, images, make, 50)


def test_the_autoencoder(backend, recorded, images, make):
    check_autoencoder(backend, recorded, images, make, 50)


def test_joint_training(backend, golden, sigmoids, networks, divisors_of_the_recording):
    check_case(backend, dict(golden("featdepth/losses.npz")), sigmoids, networks, "joint_mono_stereo")


def test_an_exported_network(backend, arrays):
    """Of a small ResNet, with the pooling and the leaky ReLU that are this decoder's own."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript" if backend.name == "torch" else "paddle2onnx")
    Method = backend.module("methods.base").Method
    encoder = backend.module("networks.classified_resnet").ClassifiedEncoder(18)
    decoder = backend.module("networks.residual_pooling_decoder").ResidualPoolingDecoder(encoder.channels)

    class Small(Method):
        def __init__(self):
            super().__init__(None)
            self.encoder, self.decoder = encoder, decoder

        def predict(self, inputs):
            return {"disparity": self.decoder(self.encoder(inputs["image"]))[0]}

    method = Small()
    method.eval()
    model = backend.module("export").to_onnx(method, 1, 64, 96)
    image = arrays.uniform("export/image", (1, 3, 64, 96))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": image})
    with backend.no_gradients():
        wanted = backend.array(method.predict({"image": backend.tensor(image)})["disparity"])
    assert_close(found, wanted, OUTPUT)
    assert np.ptp(wanted) > 0.01
