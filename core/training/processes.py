"""The processes that share the steps of one run, as their launcher tells them.

Imports neither NumPy nor a framework.
"""

import os
from dataclasses import dataclass

from core.errors import UserError

# Variables with the rank, the number of processes, rank and number on this machine; how such processes are started.
LAUNCHERS = {
    "torch": (("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"), ("torchrun", "--nproc_per_node")),
    "paddle": (
        ("PADDLE_TRAINER_ID", "PADDLE_TRAINERS_NUM", "PADDLE_RANK_IN_NODE", "PADDLE_LOCAL_SIZE"),
        ("python", "-m", "paddle.distributed.launch", "--nproc_per_node"),
    ),
}
PADDLE_GPU = "FLAGS_selected_gpus"


@dataclass(frozen=True)
class Processes:
    """Where this process stands among those that share a step.

    Attributes:
        rank: from 0; the first one writes and prints.
        count: of all.
        local_rank: rank on this machine, or the GPU that the launcher chose.
        launcher: the words before `train.py`; none where several machines take part, whose addresses are not known.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    launcher: tuple[str, ...] = ()

    @property
    def is_first(self) -> bool:
        """Whether this one writes and prints."""
        return self.rank == 0

    def check_device(self, device: str) -> None:
        """Raises UserError for a GPU that several processes would share."""
        if self.count > 1 and device.startswith("cuda:"):
            raise UserError(
                f"--device {device}: {self.count} processes would share it; use --device cuda, a GPU for each"
            )


def read_processes(backend: str) -> Processes:
    """What the environment of this process says.

    Raises:
        UserError: the processes were started by the other framework's launcher.
    """
    counts = {name: int(os.environ.get(LAUNCHERS[name][0][1], 1)) for name in LAUNCHERS}
    (rank, _, local_rank, local_count), words = LAUNCHERS[backend]
    if counts[backend] > 1:
        count = counts[backend]
        # PaddlePaddle moves to the GPU that its launcher names, such as the second of `--devices 2,3`.
        gpu = os.environ.get(PADDLE_GPU, "") if backend == "paddle" else ""
        one_machine = int(os.environ.get(local_count, count)) == count
        return Processes(
            int(os.environ[rank]),
            count,
            int(gpu if gpu.isdecimal() else os.environ.get(local_rank, 0)),
            (*words, str(count)) if one_machine else (),
        )
    if max(counts.values()) > 1:
        raise UserError(
            f"--backend {backend}: the launcher of the other framework started it; "
            f"use {' '.join(words)} {max(counts.values())} train.py …"
        )
    return Processes()
