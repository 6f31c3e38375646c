"""TensorBoard, where it is installed."""

import importlib.util
from pathlib import Path
from typing import Any


def board_writer(folder: Path) -> Any:
    """A writer of curves and pictures into the run folder, or None without TensorBoard."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))
