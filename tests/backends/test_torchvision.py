"""The ResNets against torchvision's, of every depth: the official weights are torchvision's. PyTorch only."""

import numpy as np
import pytest

from tests.tolerances import assert_close


@pytest.fixture(scope="module")
def models(backend):
    """`torchvision.models`."""
    if backend.name != "torch":
        pytest.skip("torchvision belongs to PyTorch")
    import torch

    # Built for CUDA, torchvision does not import beside a CPU torch unless the schemas of two operators are known.
    try:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    except RuntimeError:
        pass  # known already: torchvision fits this torch
    return pytest.importorskip("torchvision.models", reason="needs torchvision (requirements-dev.txt)")


@pytest.mark.parametrize("layers", [18, 34, 50, 101, 152])
def test_features_equal_torchvision(backend, models, layers):
    import torch

    torch.manual_seed(0)
    expected = getattr(models, f"resnet{layers}")(weights=None).eval()
    network = backend.module("networks.resnet").ResNetEncoder(layers)
    state = {f"encoder.{name}": tensor.numpy() for name, tensor in expected.state_dict().items()}
    backend.fill(network, state)
    image = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
    with torch.no_grad():
        features = network(torch.from_numpy(image))
        x = expected.bn1(expected.conv1((torch.from_numpy(image) - 0.45) / 0.225)).relu()
        assert_close(features[0].numpy(), x.numpy(), "operator")
        x = expected.maxpool(x)
        for i in range(1, 5):
            x = getattr(expected, f"layer{i}")(x)
            assert_close(features[i].numpy(), x.numpy(), "operator", label=f"feature {i}")
