"""The processes that share the steps of one run, as their launcher tells them.

Imports neither NumPy nor a framework.
"""

import os
from dataclasses import dataclass

from core.errors import UserError

# Variables with the rank, the number of processes and the rank on this machine; how such processes are started.
LAUNCHERS = {
    "torch": (("RANK", "WORLD_SIZE", "LOCAL_RANK"), ("torchrun", "--nproc_per_node")),
    "paddle": (
        ("PADDLE_TRAINER_ID", "PADDLE_TRAINERS_NUM", "PADDLE_RANK_IN_NODE"),
        ("python", "-m", "paddle.distributed.launch", "--nproc_per_node"),
    ),
}


@dataclass(frozen=True)
class Processes:
    """Where this process stands among those that share a step.

    Attributes:
        rank: from 0; the first one writes and prints.
        count: of all.
        local_rank: rank on this machine, which chooses the GPU.
        launcher: the words before `train.py`.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    launcher: tuple[str, ...] = ()

    @property
    def is_first(self) -> bool:
        """Whether this one writes and prints."""
        return self.rank == 0


def read_processes(backend: str) -> Processes:
    """What the environment of this process says.

    Raises:
        UserError: the processes were started by the other framework's launcher.
    """
    counts = {name: int(os.environ.get(LAUNCHERS[name][0][1], 1)) for name in LAUNCHERS}
    (rank, _, local_rank), words = LAUNCHERS[backend]
    if counts[backend] > 1:
        count = counts[backend]
        return Processes(
            int(os.environ[rank]), count, int(os.environ.get(local_rank, 0)), (*words, str(count))
        )
    if max(counts.values()) > 1:
        raise UserError(
            f"--backend {backend}: the launcher of the other framework started it; "
            f"use {' '.join(words)} {max(counts.values())} train.py …"
        )
    return Processes()
