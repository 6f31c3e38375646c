"""Several processes, a GPU each, that share every step.

`torchrun --nproc_per_node 2 train.py …` starts them.
"""

from collections.abc import Iterable
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from core.training.processes import Processes, read_processes


def find_processes() -> Processes:
    """Where this process stands among those of its launcher.

    Raises:
        UserError: the launcher was another one.
    """
    return read_processes("torch")


def connect(processes: Processes, device: torch.device, networks: dict[str, nn.Module]) -> None:
    """Meets the other processes, and takes the weights of the first one; nothing to do where there is one."""
    if processes.count == 1:
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # The others wait while the first one writes, perhaps to a slow disk.
    patience = timedelta(hours=12)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=patience)
    for network in networks.values():
        for tensor in network.state_dict().values():
            dist.broadcast(tensor, 0)


def average_gradients(parameters: Iterable[Tensor], flag: bool) -> bool:
    """Replaces every gradient by its mean over the processes.

    Returns:
        Whether the flag of any of them is set.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    last = torch.full([1], float(flag), dtype=gradients[0].dtype, device=gradients[0].device)
    joined = torch.cat([*(gradient.reshape(-1) for gradient in gradients), last])
    dist.all_reduce(joined)
    joined /= dist.get_world_size()
    pieces = joined[:-1].split([gradient.numel() for gradient in gradients])
    for gradient, piece in zip(gradients, pieces, strict=True):
        gradient.copy_(piece.view(gradient.shape))
    return bool(joined[-1] > 0)


def any_of(flags: list[bool], device: torch.device) -> list[bool]:
    """For each flag, whether it is set in any of the processes; returns when all of them have asked."""
    if not dist.is_initialized():
        return flags
    sums = torch.tensor([float(flag) for flag in flags], device=device)
    dist.all_reduce(sums)
    return [total > 0 for total in sums.tolist()]


def disconnect() -> None:
    """Takes leave of the others."""
    if dist.is_initialized():
        dist.destroy_process_group()
