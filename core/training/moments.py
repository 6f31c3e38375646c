"""Adam's moments of a run: two thirds of a checkpoint, and only whoever goes on from it needs them.

So the newest checkpoint has them, and those that a run is asked to keep for another that starts from there. Imports
neither NumPy nor a framework.
"""

import contextlib
from collections.abc import Collection
from pathlib import Path

from core.errors import UserError
from core.files.listing import entries
from core.training.resume import CHECKPOINT, STATE_FILE, UNREADABLE, Checkpoint


def remove_moments(run_folder: Path, newest: Path, run: str, keep: Collection[Path] = ()) -> None:
    """Removes the moments of a run's checkpoints, except the newest; a record never names a file that is gone.

    The newest must be whole on the disk: what is removed is not needed then. Where it cannot be removed it stays.

    Args:
        run_folder: of the run.
        newest: folder of the checkpoint that `--resume` goes on from.
        run: `Run.started`.
        keep: further folders that keep theirs.
    """
    for folder in entries(run_folder / "models"):
        if CHECKPOINT.fullmatch(folder.name) and folder != newest and folder not in keep:
            with contextlib.suppress(UserError, *UNREADABLE):
                _remove(folder, run)


def _remove(folder: Path, run: str) -> None:
    """The record first: whoever is killed in between leaves a file that nobody misses and the next time removes."""
    checkpoint, files = Checkpoint.read(folder)
    if checkpoint.run != run:
        return
    if files.pop(STATE_FILE, None) is not None:
        checkpoint.write(files)
    (folder / STATE_FILE).unlink(missing_ok=True)
