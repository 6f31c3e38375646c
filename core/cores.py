"""How many processor cores this process may use."""

import os


def available_cores() -> int:
    """Cores this process may run on, which a container or `taskset` may limit; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
