"""How many processor cores this process may use, and how long it may use them for another."""

import multiprocessing
import os
import threading
import time
from multiprocessing.connection import wait

POLL_SECONDS = 0.5


def available_cores() -> int:
    """Cores this process may run on, which a container or `taskset` may limit; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def end_with_parent() -> None:
    """Ends this process as soon as the one that started it is no more, however that ended; for what only helps another.

    Nothing that it has opened is finished: files are whole or absent all the same.
    """
    threading.Thread(target=_wait_for_end, args=(os.getppid(),), daemon=True).start()


def _wait_for_end(parent: int) -> None:
    starter = multiprocessing.parent_process()
    if starter is not None:
        wait([starter.sentinel])
    else:
        while os.getppid() == parent:  # another one adopts an orphan
            time.sleep(POLL_SECONDS)
    os._exit(1)
