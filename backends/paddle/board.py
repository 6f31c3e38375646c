"""VisualDL, where it is installed."""

import importlib.util
from pathlib import Path
from typing import Any


def board_writer(folder: Path) -> Any:
    """A writer of curves and pictures into the run folder, or None without VisualDL."""
    if importlib.util.find_spec("visualdl") is None:
        return None
    from visualdl import LogWriter

    return LogWriter(logdir=str(folder))
