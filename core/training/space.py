"""What checkpoints take on a disk, said before a training writes any."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.options import Options

NUMBER_BYTES = 4
MOMENTS = 2  # of Adam, for each number that is trained


def checkpoint_bytes(networks: Mapping[str, Mapping[str, Any]], trained: list[Any]) -> int:
    """Of a checkpoint: the networks' tensors, and the moments of those that are trained.

    Args:
        networks: {network: {name: tensor with a `shape`}}.
        trained: tensors, likewise.
    """
    kept = sum(math.prod(tensor.shape) for state in networks.values() for tensor in state.values())
    return NUMBER_BYTES * (kept + MOMENTS * sum(math.prod(tensor.shape) for tensor in trained))


def space_needed(options: Options, size: int, folder: Path) -> str:
    """A line for the log: what a checkpoint takes, what those of all epochs take, and what the disk has free.

    Args:
        size: of one, bytes.
        folder: of the run; it exists.
    """
    epochs = options.num_epochs - options.start_epoch
    count = max(1, -(-epochs // options.save_frequency))
    free = shutil.disk_usage(folder).free
    line = f"a checkpoint takes {_shown(size)} with Adam's moments, {count} of them {_shown(count * size)}"
    if count * size > free:
        line += (
            f", but only {_shown(free)} are free here: raise --save_frequency, or choose another --log_dir"
        )
    return line


def _shown(size: int) -> str:
    """Bytes as people say them: `1.54 GB`."""
    unit = "GB" if size >= 10**8 else "MB"
    return f"{size / (10**9 if unit == 'GB' else 10**6):.2f} {unit}"
