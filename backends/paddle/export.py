"""The depth network of a method as an ONNX model."""

import subprocess
import sys
import tempfile
from pathlib import Path

import paddle
from paddle import Tensor, nn

from backends.paddle.methods.base import Method
from core.errors import UserError
from core.prediction.onnx_file import IMAGE, OPSET


class _Disparity(nn.Layer):
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

    Raises:
        UserError: paddle2onnx failed.
    """
    given = [paddle.static.InputSpec([batch_size, 3, height, width], "float32", IMAGE)]
    for name in inputs:
        shape = [batch_size, method.inputs[name].channels, height, width]
        given.append(paddle.static.InputSpec(shape, "float32", name))
    network = _DisparityOfTwo(method, *inputs) if inputs else _Disparity(method)
    network.eval()
    with tempfile.TemporaryDirectory() as folder:
        paddle.jit.save(network, f"{folder}/model", given)
        return _convert(Path(folder))


def _convert(folder: Path) -> bytes:
    """paddle2onnx in a process of its own: it talks, and where it fails it aborts its process."""
    files = {"model_dir": folder, "model_filename": "model.json", "params_filename": "model.pdiparams"}
    settings = {"save_file": folder / "model.onnx", "opset_version": OPSET, "optimize_tool": "None"}
    arguments = [str(word) for name, value in (files | settings).items() for word in (f"--{name}", value)]
    # -P: modules in the folder where the user stands are none of its business.
    command = [sys.executable, "-P", "-m", "paddle2onnx.command", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not (folder / "model.onnx").is_file():
        reason = ((done.stderr + done.stdout).strip().splitlines() or ["no reason given"])[-1]
        raise UserError(
            f"--backend paddle: paddle2onnx failed: {reason}; pip install -r requirements-onnx.txt, "
            "or use --backend torch, which reads PaddlePaddle's weights as well"
        )
    return (folder / "model.onnx").read_bytes()
