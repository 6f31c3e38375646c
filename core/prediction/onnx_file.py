"""ONNX files of depth networks: what is the same whichever backend writes them.

Imports its packages, those of requirements-onnx.txt, late: nothing else needs them.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from core.datasets.input_depth import INPUT_DEPTH
from core.errors import UserError
from core.options import Options
from core.prediction.files import DISPARITY, depth_record

if TYPE_CHECKING:
    from onnx import ModelProto

PACKAGES = {
    "torch": ("onnx", "onnxruntime", "onnxscript"),
    "paddle": ("onnx", "onnxruntime", "onnxscript", "paddle2onnx"),
}
IMAGE = "image"
OPSET = 18  # the lowest that PyTorch's exporter writes
BOUND = 1e-4  # of the largest disparity: one network in float32, by two programs


def require_packages(backend: str) -> None:
    """Raises UserError unless a backend's exporter, and what checks its file, are installed."""
    missing = [name for name in PACKAGES[backend] if importlib.util.find_spec(name) is None]
    if not missing:
        return
    cure = "pip install -r requirements-onnx.txt"
    if "paddle2onnx" in missing:
        cure += ", with Python 3.11; or use --backend torch, which reads PaddlePaddle's weights as well"
    raise UserError(f"--backend {backend}: ONNX files take {', '.join(missing)}, not installed here; {cure}")


def properties(trained: Options, model: str, inputs: Sequence[str] = ()) -> dict[str, str]:
    """What the file says of itself: its input, its output, and how metres or relative depth come from it.

    Args:
        trained: options of the weights.
        model: where they come from.
        inputs: names of those beside the image.
    """
    factor = trained.stereo_scale_factor if trained.is_metric else None
    record = DISPARITY | depth_record(trained.is_metric, factor or 1.0, model)
    record |= {
        "input": f"{IMAGE} (B, 3, H, W) float32, RGB from 0 to 1; images of another size are resized before",
        "project": "Self-supervised monocular depth in PyTorch and PaddlePaddle",
    }
    if INPUT_DEPTH in inputs:
        record[INPUT_DEPTH] = f"{INPUT_DEPTH} (B, 1, H, W) float32, metres, 0 where it is not known"
    return {name: str(value) for name, value in record.items()}


def finish(content: bytes, properties: dict[str, str]) -> "ModelProto":
    """Makes the file of an exporter short and its own: constants folded, traces of the exporter's source removed.

    Args:
        content: a model of one output, as an exporter gives it.
        properties: go into the file.
    """
    import onnx
    from onnxscript import optimizer

    model: ModelProto = optimizer.optimize(onnx.load_from_string(content))
    graph = model.graph
    for part in (
        *graph.node,
        *graph.initializer,
        *graph.value_info,
        *graph.input,
        *graph.output,
        graph,
        model,
    ):
        part.ClearField("metadata_props")  # stack traces, with the paths of this machine
    onnx.helper.set_model_props(model, properties)
    name = graph.output[0].name
    for node in graph.node:
        node.output[:] = [DISPARITY["quantity"] if output == name else output for output in node.output]
    graph.output[0].name = DISPARITY["quantity"]
    return model


def operators(model: "ModelProto") -> list[str]:
    """The operators of a graph, each once."""
    return sorted({node.op_type for node in model.graph.node})


def fixed_images(batch_size: int, height: int, width: int) -> np.ndarray:
    """(B, H, W, 3) uint8: the same noise everywhere."""
    return np.random.default_rng(0).integers(0, 256, (batch_size, height, width, 3), np.uint8)


def fixed_depth(batch_size: int, height: int, width: int) -> np.ndarray:
    """(B, 1, H, W) float32, 1 to 80 metres at one pixel of ten, the others 0: the same everywhere."""
    rng = np.random.default_rng(1)
    depth = rng.uniform(1, 80, (batch_size, 1, height, width))
    return np.where(rng.random(depth.shape) < 0.1, depth, 0).astype(np.float32)


def largest_difference(
    content: bytes,
    images: np.ndarray,
    expected: np.ndarray,
    inputs: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> float:
    """Runs a model in onnxruntime.

    Args:
        images: (B, H, W, 3) uint8 RGB.
        expected: (B, H, W) disparity of the framework.
        inputs: what it takes beside images, by name.

    Returns:
        The largest difference, relative to the largest expected value; never a number if a value is none.

    Raises:
        onnx.checker.ValidationError: the model is no valid one.
    """
    import onnx
    import onnxruntime

    onnx.checker.check_model(content, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = (
        1  # more of them are pinned to cores, which a container may forbid, with warnings
    )
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    image = images.transpose(0, 3, 1, 2) / np.float32(255)
    found: Any = session.run([DISPARITY["quantity"]], {IMAGE: image, **inputs})[0]
    difference = np.abs(found[:, 0].astype(np.float64) - expected).max()
    return float(difference / np.abs(expected).max())
