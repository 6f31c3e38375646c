"""A run folder has one writer at a time, and holds one run."""

import contextlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from core.errors import UserError
from core.faults import in_words, why_not_written
from core.files.listing import entries
from core.training.resume import CHECKPOINT, RECORD_FILE, RUN_FILE, Checkpoint, Run, find_run

LOCK_FILE = ".lock"
FOLDERS = re.compile(rf"{CHECKPOINT.pattern}|weights_(best|initial)")  # in models/
# What else a run leaves: its log, the files of the boards, the state that led to a loss that is no number.
FILES = re.compile(
    rf"options\.yaml|scalars\.jsonl|{re.escape(RUN_FILE)}|events\.out\.tfevents\..*|vdlrecords\..*|nonfinite_step_\w+"
)


class Claim:
    """The right to write into a run folder, which ends with the process; a context manager that takes it.

    Args:
        folder: of the run; made when it is taken.
        wanted: of a process that only helps another, False: then nothing is taken.
    """

    def __init__(self, folder: Path, wanted: bool = True) -> None:
        self.folder, self.wanted = folder, wanted
        self._lock: Any = None

    def take(self) -> None:
        """Takes the folder, unless that is done.

        Raises:
            UserError: another process has it, or the folder cannot be written to.
        """
        if self._lock is not None or not self.wanted:
            return
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / LOCK_FILE, timeout=0)
            with contextlib.suppress(NotImplementedError):  # a disk without locks
                lock.acquire()
        except Timeout:
            raise UserError(
                f"{self.folder}: another process trains here; wait for it, or choose another --model_name"
            ) from None
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot be written{why_not_written(error, self.folder)}"
            ) from error
        self._lock = lock

    def find_run(self, now: Run, defaults: Mapping[str, Any]) -> tuple[Run, Checkpoint | None, list[str]]:
        """The run in the folder, which stays taken; see `core.training.resume.find_run`.

        Raises:
            UserError: there is no such run, or another process has it; then nothing is taken.
        """
        if self.folder.is_dir():
            self.take()
        try:
            return find_run(self.folder, now, defaults)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Gives the folder back."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> "Claim":
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def make_room(folder: Path, overwrite: bool) -> None:
    """Makes sure that a new run meets no weights of another.

    Args:
        folder: of the run, which this process has claimed.
        overwrite: what an earlier run left is removed, its checkpoints with all that lies in them.

    Raises:
        UserError: there are such weights; where they are to be removed, some that no run wrote, or that stay.
    """
    models = [path for path in entries(folder / "models") if FOLDERS.fullmatch(path.name)]
    if models and not overwrite:
        raise UserError(
            f"{folder}: holds a run already ({models[-1].name}); continue it with --resume, choose another "
            "--model_name, or replace it with --overwrite"
        )
    foreign = [path for path in models if not (path / RECORD_FILE).is_file()]
    if foreign:
        raise UserError(
            f"{foreign[0]}: no training wrote this, so --overwrite does not remove it; choose another --model_name"
        )
    left = [path for path in entries(folder) if FILES.fullmatch(path.name)] if overwrite else []
    for path in [*models, *left]:
        try:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except OSError as error:
            raise UserError(f"{path}: cannot be removed: {'; '.join(in_words(error))}") from error
