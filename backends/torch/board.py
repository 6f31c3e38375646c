"""TensorBoard, where it is installed."""

import importlib.util
from pathlib import Path
from typing import Any


def board_writer(folder: Path, first_step: int = 0) -> Any:
    """A writer of curves and pictures into the run folder, or None without TensorBoard.

    Args:
        folder: of the run.
        first_step: steps done before; what an interrupted run wrote of later ones is hidden.
    """
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=first_step or None)
