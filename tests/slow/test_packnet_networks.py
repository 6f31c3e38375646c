"""PackNet's large networks against the recorded outputs of the published program: half a gigabyte each, 40 s.

The classes and their parts are compared in tests/backends/methods/test_packnet_networks.py, at smaller widths.
"""

import pytest

from tests.backends.methods.test_packnet_networks import (
    FUSED,
    OUTPUT,
    check_depth_resnet,
    check_parts,
    check_slim_network,
    images_of,
    keep_outputs,
    names,
    recorded,
    slim,
)
from tests.backends.methods.test_packnet_weights import predict_recorded
from tests.tolerances import assert_close

__all__ = ["names", "recorded", "slim"]  # fixtures

WIDTHS, FEATURES = (64, 64, 64, 128, 256, 512), 8


@pytest.mark.parametrize("version", ["A", "B"])
def test_the_whole_network(backend, arrays, recorded, names, version):
    name = f"packnet01_1{version}"
    network = backend.module("networks.packnet").PackNet(WIDTHS, FEATURES, version == "A")
    seed, gain = f"golden/packnet/{name}", float(recorded["gain"])
    # Made one by one: `arrays.weights` keeps what it makes.
    state = {
        parameter: arrays.weight(parameter, tuple(shape), seed, False, gain)
        for parameter, shape in names[name].items()
    }
    backend.fill(network, state)
    del state
    parts = [part.split("/")[1] for part in recorded if part.startswith(name) and "_slice" in part]
    kept = keep_outputs(backend, network, [part.removesuffix("_slice") for part in parts])
    image = images_of(backend, recorded, 0)
    with backend.no_gradients():
        network.fuse_packing(False)
        disparities = [backend.array(disparity) for disparity in network(image)]
        check_parts(backend, kept, recorded, name)
        for number, disparity in enumerate(disparities):
            assert_close(disparity, recorded[f"{name}/inverse_depth_{number}"], OUTPUT, label=str(number))
        network.fuse_packing(True)
        fused = backend.array(network.disparity(image))
    # Recorded: evaluation equals training. Ours differs by the fusing alone.
    assert recorded[f"{name}/evaluation_maximum_difference"] == 0
    assert_close(fused, disparities[0], FUSED)


def test_a_whole_checkpoint(backend, arrays, recorded, names, tmp_path):
    """PackNet01 as its program writes it, through `predict.py`: 530 MB."""
    name = "packnet01_1A"
    seed, gain = f"golden/packnet/{name}", float(recorded["gain"])
    state = {
        parameter: arrays.weight(parameter, tuple(shape), seed, False, gain)
        for parameter, shape in names[name].items()
    }
    predict_recorded(backend, recorded, state, name, 1, tmp_path)


def test_all_gradients_of_the_slim_network(backend, arrays, recorded, slim):
    check_slim_network(backend, arrays, recorded, slim, gradients=True)


def test_the_depth_resnet_50(backend, arrays, recorded, names):
    check_depth_resnet(backend, arrays, recorded, names, 50)


def test_an_exported_network(backend, arrays):
    """Of a small width: dark images, whose variances are of the size of epsilon, show whether the graph has it."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript" if backend.name == "torch" else "paddle2onnx")
    Method = backend.module("methods.base").Method
    PackNet = backend.module("networks.packnet").PackNet

    class Small(Method):
        def __init__(self):
            super().__init__(None)
            self.network = PackNet((16, 16, 16, 32, 64, 128), 2)

        def predict(self, inputs):
            return {"disparity": self.network.disparity(inputs["image"])}

    method = Small()
    method.eval()
    model = backend.module("export").to_onnx(method, 1, 32, 64)
    image = arrays.uniform("export/image", (1, 3, 32, 64), 0, 0.01)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": image})
    with backend.no_gradients():
        wanted = backend.array(method.predict({"image": backend.tensor(image)})["disparity"])
    assert_close(found, wanted, OUTPUT)
