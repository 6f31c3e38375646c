"""Arrays to tensors and back, the device, and the random state."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from core.datasets.floats import unit_images, unit_planes
from core.datasets.sample import augmented_key, is_image
from core.errors import UserError

# Name, shape and "normal" or "uniform" (in [0, 1)) to float32 numbers on a device.
Draw = Callable[[str, tuple[int, ...], str], Tensor]


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """`auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`.

    Args:
        name: one of these.
        local_rank: the GPU where the name does not say which.

    Raises:
        UserError: the name is none of these, or the GPU is not there.
    """
    gpus = torch.cuda.device_count() if name != "cpu" else 0
    if name == "auto":
        name = "cuda" if gpus else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind != "cuda" or not (number or "0").isdigit():
        raise UserError(f"--device {name}: choose auto, cpu or cuda:N")
    index = int(number or local_rank)
    if index >= gpus:
        raise UserError(f"--device cuda:{index}: PyTorch sees {gpus} GPUs here; choose auto or cpu")
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    """`cpu`, or the GPU with its model."""
    return "cpu" if device.type == "cpu" else f"{device} ({torch.cuda.get_device_name(device)})"


def to_tensor(array: np.ndarray, device: torch.device | None = None) -> Tensor:
    """A tensor of the array's shape and type."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device or "cpu")


def to_array(tensor: Tensor) -> np.ndarray:
    """A NumPy array of the tensor's shape and type, detached."""
    return tensor.detach().cpu().numpy()


def to_numbers(scalars: dict[str, Tensor]) -> dict[str, float]:
    """Named scalars as numbers, fetched from the device at once."""
    return dict(
        zip(
            scalars,
            to_array(torch.stack([scalar.detach() for scalar in scalars.values()])).tolist(),
            strict=True,
        )
    )


def to_image(
    array: np.ndarray, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """uint8 (B, H, W, 3), or float32 in [0, 1] → (B, 3, H, W) in [0, 1]."""
    if _fast(array, device, dtype):
        return torch.from_numpy(unit_planes(array))
    # Bytes are moved before they are four times as many.
    return _unit(to_tensor(array, device).permute(0, 3, 1, 2).contiguous(), dtype)


def _fast(array: np.ndarray, device: torch.device | None, dtype: torch.dtype) -> bool:
    """Whether `core.datasets.floats` makes these floats: of bytes, in single precision, on the CPU."""
    on_cpu = device is None or device.type == "cpu"
    return on_cpu and array.dtype == np.uint8 and dtype == torch.float32


def _unit(values: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy as floats; bytes in units of 255."""
    greatest = 255 if values.dtype == torch.uint8 else 1
    return values.to(dtype, copy=True).div_(greatest)


def _last(array: np.ndarray, device: torch.device | None, dtype: torch.dtype) -> Tensor:
    """As `to_image`, in the memory with its channels last: the layout of the networks' kernels."""
    fast = _fast(array, device, dtype)
    floats = torch.from_numpy(unit_images(array)) if fast else _unit(to_tensor(array, device), dtype)
    return floats.permute(0, 3, 1, 2)


def to_batch(
    batch: dict[str, np.ndarray], device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """A collated sample (see `core/datasets/sample.py`) → tensors on the device; images as (B, 3, H, W) in [0, 1]."""
    tensors = {}
    for name, array in batch.items():
        if is_image(name):
            seen = name.startswith(augmented_key(""))  # by networks
            tensors[name] = (_last if seen else to_image)(array, device, dtype)
        elif np.issubdtype(array.dtype, np.floating):
            tensors[name] = to_tensor(array, device).to(dtype)
        else:
            tensors[name] = to_tensor(array, device)
    return tensors


def check_precision(precision: str, device: torch.device) -> None:
    """Raises UserError for a precision that the device cannot compute in."""
    if precision == "16" and device.type == "cpu":
        raise UserError("--precision 16 is for GPUs: a CPU is slower in float16; choose bf16 or 32")


def order_additions(device: torch.device) -> None:
    """From now on kernels add in one order where PyTorch has such; it warns by name of one that has none (CUDA)."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at the first product
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads what it has not written


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Inside, convolutions and products compute in bfloat16 or float16, with `precision` 32 as ever."""
    if precision == "32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def widen(tensor: Tensor) -> Tensor:
    """float32 in place of bfloat16 or float16; other tensors as they are."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def draw_on(device: torch.device) -> Draw:
    """Draws from the random state of the framework, on a device."""

    def draw(name: str, shape: tuple[int, ...], kind: str) -> Tensor:
        return (torch.randn if kind == "normal" else torch.rand)(shape, device=device)

    return draw


draw = draw_on(torch.device("cpu"))


def use_channels_last(network: nn.Module) -> None:
    """Kernels of 2-D convolutions with their channels last: half the time of a convolution on many devices.

    `nn.Module.to` does the same, but refuses networks that have 3-D kernels, too.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)


def seed_everything(seed: int) -> None:
    """Initial weights and the auto-mask noise follow from this seed."""
    torch.manual_seed(seed)
