"""Several processes, a GPU each, that share every step.

`python -m paddle.distributed.launch --nproc_per_node 2 train.py …` starts them.
"""

import os
from collections.abc import Iterable

import paddle
import paddle.distributed as dist
from paddle import Tensor, nn

from core.training.processes import Processes, read_processes


def find_processes() -> Processes:
    """Where this process stands among those of its launcher.

    Raises:
        UserError: the launcher was another one.
    """
    return read_processes("paddle")


def connect(
    processes: Processes, device: paddle.CPUPlace | paddle.CUDAPlace, networks: dict[str, nn.Layer]
) -> None:
    """Meets the other processes, and takes the weights of the first one; nothing to do where there is one."""
    if processes.count == 1:
        return
    if isinstance(device, paddle.CPUPlace):
        os.environ["PADDLE_DISTRI_BACKEND"] = "gloo"  # otherwise it would take a GPU where there is one
    dist.init_parallel_env()
    for network in networks.values():
        for tensor in network.state_dict().values():
            dist.broadcast(tensor, 0)


def average_gradients(parameters: Iterable[Tensor], flag: bool) -> bool:
    """Replaces every gradient by its mean over the processes.

    Returns:
        Whether the flag of any of them is set.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    last = paddle.full([1], float(flag), dtype=gradients[0].dtype)
    joined = paddle.concat([*(gradient.reshape([-1]) for gradient in gradients), last])
    dist.all_reduce(joined)
    joined = joined / dist.get_world_size()
    pieces = joined[:-1].split([gradient.size for gradient in gradients])
    for gradient, piece in zip(gradients, pieces, strict=True):
        paddle.assign(piece.reshape(gradient.shape), output=gradient)
    return bool(joined[-1].item() > 0)


def any_of(flags: list[bool], device: paddle.CPUPlace | paddle.CUDAPlace) -> list[bool]:
    """For each flag, whether it is set in any of the processes; returns when all of them have asked."""
    if not dist.is_initialized():
        return flags
    sums = paddle.to_tensor([float(flag) for flag in flags], place=device)
    dist.all_reduce(sums)
    return [total > 0 for total in sums.tolist()]


def disconnect() -> None:
    """Takes leave of the others."""
    if dist.is_initialized():
        dist.destroy_process_group()
