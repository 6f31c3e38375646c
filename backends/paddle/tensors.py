"""Arrays to tensors and back, the device, and the random state."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import paddle
from paddle import Tensor

from core.datasets.floats import unit_planes
from core.datasets.sample import is_image
from core.errors import UserError

# Name, shape and "normal" or "uniform" (in [0, 1)) to float32 numbers on a device.
Draw = Callable[[str, tuple[int, ...], str], Tensor]


def choose_device(name: str, local_rank: int = 0) -> paddle.CPUPlace | paddle.CUDAPlace:
    """`auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`; new tensors are made there from now on.

    Args:
        name: one of these.
        local_rank: the GPU where the name does not say which.

    Raises:
        UserError: the name is none of these, or the GPU is not there.
    """
    gpus = paddle.device.cuda.device_count() if name != "cpu" else 0
    if name == "auto":
        name = "cuda" if gpus else "cpu"
    if name == "cpu":
        return paddle.set_device("cpu")
    kind, _, number = name.partition(":")
    if kind != "cuda" or not (number or "0").isdigit():
        raise UserError(f"--device {name}: choose auto, cpu or cuda:N")
    index = int(number or local_rank)
    if index >= gpus:
        raise UserError(f"--device cuda:{index}: PaddlePaddle sees {gpus} GPUs here; choose auto or cpu")
    return paddle.set_device(f"gpu:{index}")


def device_name(device: paddle.CPUPlace | paddle.CUDAPlace) -> str:
    """`cpu`, or the GPU with its model."""
    if isinstance(device, paddle.CPUPlace):
        return "cpu"
    number = device.get_device_id()
    return f"cuda:{number} ({paddle.device.cuda.get_device_name(number)})"


def to_tensor(array: np.ndarray, device: paddle.CPUPlace | paddle.CUDAPlace | None = None) -> Tensor:
    """A tensor of the array's shape and type."""
    return paddle.to_tensor(
        np.ascontiguousarray(array).reshape(array.shape), place=device or paddle.CPUPlace()
    )


def to_array(tensor: Tensor) -> np.ndarray:
    """A NumPy array of the tensor's shape and type, detached."""
    return tensor.numpy()


def to_numbers(scalars: dict[str, Tensor]) -> dict[str, float]:
    """Named scalars as numbers, fetched from the device at once."""
    return dict(
        zip(
            scalars,
            to_array(paddle.stack([scalar.detach() for scalar in scalars.values()])).tolist(),
            strict=True,
        )
    )


def to_image(
    array: np.ndarray,
    device: paddle.CPUPlace | paddle.CUDAPlace | None = None,
    dtype: paddle.dtype = paddle.float32,
) -> Tensor:
    """uint8 (B, H, W, 3), or float32 in [0, 1] → (B, 3, H, W) in [0, 1]."""
    if _fast(array, device, dtype):
        return paddle.utils.dlpack.from_dlpack(unit_planes(array))  # `to_tensor` would copy them
    image = to_tensor(array, device).transpose([0, 3, 1, 2]).astype(dtype)
    return image.divide_(paddle.full([], 255, dtype)) if array.dtype == np.uint8 else image


def _fast(array: np.ndarray, device: paddle.CPUPlace | paddle.CUDAPlace | None, dtype: paddle.dtype) -> bool:
    """Whether `core.datasets.floats` makes these floats: of bytes, in single precision, on the CPU."""
    on_cpu = device is None or isinstance(device, paddle.CPUPlace)
    return on_cpu and array.dtype == np.uint8 and dtype == paddle.float32


def to_batch(
    batch: dict[str, np.ndarray],
    device: paddle.CPUPlace | paddle.CUDAPlace | None = None,
    dtype: paddle.dtype = paddle.float32,
) -> dict[str, Tensor]:
    """A collated sample (see `core/datasets/sample.py`) → tensors on the device; images as (B, 3, H, W) in [0, 1]."""
    tensors = {}
    for name, array in batch.items():
        if is_image(name):
            tensors[name] = to_image(array, device, dtype)
        elif np.issubdtype(array.dtype, np.floating):
            tensors[name] = to_tensor(array, device).astype(dtype)
        else:
            tensors[name] = to_tensor(array, device)
    return tensors


def check_precision(precision: str, device: paddle.CPUPlace | paddle.CUDAPlace) -> None:
    """Raises UserError for a precision that the device cannot compute in."""
    if precision != "32" and isinstance(device, paddle.CPUPlace):
        raise UserError(
            f"--precision {precision}: PaddlePaddle computes with 16 bits on GPUs only; choose 32 (or --backend torch)"
        )


def order_additions(device: paddle.CPUPlace | paddle.CUDAPlace) -> None:
    """From now on convolutions add in one order on a GPU; PaddlePaddle does not say which other kernels do not."""
    if not isinstance(device, paddle.CPUPlace):
        paddle.set_flags({"FLAGS_cudnn_deterministic": True})  # a build without CUDA does not know it


def autocast(precision: str, device: paddle.CPUPlace | paddle.CUDAPlace) -> AbstractContextManager:
    """Inside, convolutions and products compute in bfloat16 or float16, with `precision` 32 as ever."""
    if precision == "32":
        return nullcontext()
    return paddle.amp.auto_cast(dtype="bfloat16" if precision == "bf16" else "float16", level="O1")


def widen(tensor: Tensor) -> Tensor:
    """float32 in place of bfloat16 or float16; other tensors as they are."""
    return tensor.astype("float32") if tensor.dtype in (paddle.bfloat16, paddle.float16) else tensor


def draw_on(device: paddle.CPUPlace | paddle.CUDAPlace) -> Draw:
    """Draws from the random state of the framework, on a device: the one that `choose_device` chose."""

    def draw(name: str, shape: tuple[int, ...], kind: str) -> Tensor:
        return (paddle.randn if kind == "normal" else paddle.rand)(list(shape), dtype="float32")

    return draw


draw = draw_on(paddle.CPUPlace())


def seed_everything(seed: int) -> None:
    """Initial weights and the auto-mask noise follow from this seed."""
    paddle.seed(seed)
