"""The depth network of a method as an ONNX model."""

import logging
import warnings

import torch
from torch import Tensor, nn

from backends.torch.methods.base import Method
from core.prediction.onnx_file import IMAGE, OPSET


class _Disparity(nn.Module):
    """A method's disparity as a network of its own, of an image."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, image: Tensor) -> Tensor:
        return self.method.predict({IMAGE: image})["disparity"]


class _DisparityOfTwo(_Disparity):
    """The same of an image and what the method takes beside it."""

    def __init__(self, method: Method, name: str) -> None:
        super().__init__(method)
        self.name = name

    def forward(self, image: Tensor, other: Tensor) -> Tensor:
        return self.method.predict({IMAGE: image, self.name: other})["disparity"]


def to_onnx(method: Method, batch_size: int, height: int, width: int, inputs: tuple[str, ...] = ()) -> bytes:
    """Exports `method.predict` for images of one size.

    Args:
        method: in evaluation mode, on the CPU.
        inputs: the name of one beside the image, if any.

    Returns:
        A model of `image` (B, 3, H, W) float32, of such an input (B, channels, H, W) under its name, and of one output
        (B, 1, H, W).
    """
    # It says of every operator of torchvision, of which there is none here, that torchvision is not installed.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    given = [torch.zeros(batch_size, 3, height, width)]
    given += [torch.zeros(batch_size, method.inputs[name].channels, height, width) for name in inputs]
    network = _DisparityOfTwo(method, *inputs) if inputs else _Disparity(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of PyTorch to itself
        program = torch.onnx.export(
            network.eval(),
            tuple(given),
            input_names=[IMAGE, *inputs],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto.SerializeToString()
