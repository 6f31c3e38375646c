"""The boards that a run's curves and pictures go to beside its own files: the framework's, and Weights & Biases.

Weights & Biases is asked for by `--wandb` and then writes into the run folder; only `--wandb_send` beside it lets
anything leave the machine. What goes wrong there ends no training.
"""

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError, say
from core.options import Options
from core.training.log import BoardWriter

CURE = "pip install -r requirements-extras.txt, or leave out --wandb"


def with_wandb(
    writer: BoardWriter | None, options: Options, folder: Path, first_step: int = 0
) -> BoardWriter | None:
    """A board's writer, and beside it that of Weights & Biases where `--wandb` asks for it.

    Args:
        writer: of the framework's own board, or None.
        folder: of the run.
        first_step: steps done before, when a run is continued.

    Raises:
        UserError: the package is absent, or does not begin.
    """
    if not options.wandb:
        return writer
    board = WandbBoard(options, folder, first_step)
    return board if writer is None else Boards([writer, board])


class Boards:
    """Several boards as one."""

    def __init__(self, writers: list[BoardWriter]) -> None:
        self.writers = writers

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """Adds a point to a curve of each."""
        for writer in self.writers:
            writer.add_scalar(tag, value, step)

    def add_image(self, tag: str, image: np.ndarray, step: int, dataformats: str) -> None:
        """Adds a picture to each."""
        for writer in self.writers:
            writer.add_image(tag, image, step, dataformats=dataformats)

    def close(self) -> None:
        """Closes each."""
        for writer in self.writers:
            writer.close()


class WandbBoard:
    """A run of Weights & Biases, offline unless it may send.

    Raises:
        UserError: the package is absent, or does not begin.
    """

    def __init__(self, options: Options, folder: Path, first_step: int = 0) -> None:
        try:
            self._wandb: Any = importlib.import_module("wandb")
        except ImportError:
            raise UserError(f"option wandb: the package is not installed; {CURE}") from None
        digest = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
        try:
            self._run: Any = self._wandb.init(
                mode="online" if options.wandb_send else "offline",
                dir=str(folder),
                project=options.wandb_project,
                entity=options.wandb_entity,
                name=options.model_name,
                config=asdict(options),
                id=digest,  # of the same run, when it is continued
                resume="allow" if first_step and options.wandb_send else None,
                save_code=False,
            )
        except Exception as error:  # whatever the package raises
            raise UserError(f"option wandb: does not begin: {_line(error)}; {CURE}") from None

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """Adds a point to a curve."""
        self._try(lambda: self._run.log({tag: value}, step=step))

    def add_image(self, tag: str, image: np.ndarray, step: int, dataformats: str) -> None:
        """Adds a picture, (H, W, 1 or 3)."""
        self._try(lambda: self._run.log({tag: self._wandb.Image(image)}, step=step))

    def close(self) -> None:
        """Ends the run there."""
        self._try(lambda: self._run.finish())

    def _try(self, act: Callable[[], Any]) -> None:
        """What fails is said once; then nothing more goes there."""
        if self._run is None:
            return
        try:
            act()
        except Exception as error:  # a network, a disk, a server: the training has its own files
            self._run = None
            say(f"--wandb: stopped, the training goes on: {_line(error)}")


def _line(error: Exception) -> str:
    """A short line of what an error says."""
    return " ".join(str(error).split())[:200] or type(error).__name__
