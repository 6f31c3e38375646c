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


def space_needed(options: Options, newest: int, older: int, folder: Path) -> str:
    """A line for the log: what the newest checkpoint takes, what those of all epochs take, and what is free.

    Args:
        newest: bytes of a checkpoint with Adam's moments.
        older: bytes of one without them.
        folder: of the run; it exists.
    """
    epochs = options.num_epochs - options.start_epoch
    count = max(1, -(-epochs // options.save_frequency))
    best = 2 if options.validation else 0  # a new one is whole before the older goes
    kept = len(set(options.keep_moments or ()))
    # The one before the newest keeps its moments until the newest is whole.
    full = min(count, 2 + kept)
    total = full * newest + (count - full + best) * older
    free = shutil.disk_usage(folder).free
    line = (
        f"a checkpoint takes {_shown(older)}, the newest {_shown(newest)} with Adam's moments, {count} of them and "
        f"what is in the making {_shown(total)} at most"
    )
    if total > free:
        line += (
            f", but only {_shown(free)} are free here: raise --save_frequency, or choose another --log_dir"
        )
    return line


def _shown(size: int) -> str:
    """Bytes as people say them: `1.54 GB`."""
    unit = "GB" if size >= 10**8 else "MB"
    return f"{size / (10**9 if unit == 'GB' else 10**6):.2f} {unit}"
