"""The depth network of a method as an ONNX model."""

import logging
import warnings

import torch
from torch import Tensor, nn

from backends.torch.methods.base import Method
from core.prediction.onnx_file import IMAGE, OPSET


class _Disparity(nn.Module):
    """A method's disparity as a network of its own."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, image: Tensor) -> Tensor:
        return self.method.predict({IMAGE: image})["disparity"]


def to_onnx(method: Method, batch_size: int, height: int, width: int) -> bytes:
    """Exports `method.predict` for images of one size.

    Args:
        method: in evaluation mode, on the CPU.

    Returns:
        A model of one input, `image` (B, 3, H, W) float32, and one output (B, 1, H, W).
    """
    # It says of every operator of torchvision, of which there is none here, that torchvision is not installed.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    image = torch.zeros(batch_size, 3, height, width)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of PyTorch to itself
        program = torch.onnx.export(
            _Disparity(method).eval(),
            (image,),
            input_names=[IMAGE],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto.SerializeToString()
