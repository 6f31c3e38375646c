"""VisualDL, where it is installed."""

import importlib.util
from pathlib import Path
from typing import Any


def board_writer(folder: Path, first_step: int = 0) -> Any:
    """A writer of curves and pictures into the run folder, or None without VisualDL.

    Args:
        folder: of the run.
        first_step: steps done before; VisualDL shows twice what an interrupted run wrote of later ones.
    """
    if importlib.util.find_spec("visualdl") is None:
        return None
    from visualdl import LogWriter

    return LogWriter(logdir=str(folder))
