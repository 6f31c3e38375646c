"""How much of the memory that is free now may be filled with what only saves time."""

import os
import threading
from pathlib import Path

SHARE = 4  # a fourth of it, for all training processes of this machine together
MEMORY = Path("/proc/meminfo")
# The limit of a container and what it has taken, of both generations of control groups.
LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


def free_memory() -> int:
    """Bytes that are free, in a container those that it may still take; 0 where the system does not say."""
    try:
        lines = dict(line.split(":", 1) for line in MEMORY.read_text(encoding="ascii").splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError, IndexError):
        return 0
    for limit, taken in LIMITS:
        try:
            free = min(free, int(limit.read_text(encoding="ascii")) - int(taken.read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such limit: it is called max
            continue
    return max(free, 0)


def _processes() -> int:
    """How many train together on this machine, as their launcher says."""
    said = (os.environ.get(name, "") for name in ("LOCAL_WORLD_SIZE", "PADDLE_LOCAL_SIZE"))
    return max(1, *(int(word) for word in said if word.isdecimal()), 1)


class Allowance:
    """Bytes that all who ask may take together; for several threads. Counted from the free memory at first use."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Whether so many bytes were left; they no longer are."""
        with self._lock:
            if self._left is None:
                self._left = free_memory() // SHARE // _processes()
            if self._left < count:
                return False
            self._left -= count
            return True

    def give_back(self, count: int) -> None:
        """What was taken may be taken again."""
        with self._lock:
            assert self._left is not None
            self._left += count


ALLOWANCE = Allowance()
