"""What a training run tells: progress on the console, numbers in `scalars.jsonl`, pictures for a board."""

import contextlib
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO

import numpy as np

from core.errors import UserError
from core.faults import printable, why_not_written
from core.files.whole import write_text

SCALARS = "scalars.jsonl"


class BoardWriter(Protocol):
    """What TensorBoard's `SummaryWriter` and VisualDL's `LogWriter` have in common."""

    def add_scalar(self, tag: str, value: float, step: int) -> Any:
        """Adds one point of a curve."""

    def add_image(self, tag: str, image: np.ndarray, step: int, dataformats: str) -> Any:
        """Adds one picture."""

    def close(self) -> Any:
        """Writes what is left."""


class RunLog:
    """Log of one training run; a context manager that closes what it opened.

    Args:
        folder: the run folder; made when absent. None: of a process that only helps another, nothing is told.
        total_steps: of the whole run.
        writer: a board's writer, or None where no board is installed.
        first_step: steps done before, when a run is continued: what `scalars.jsonl` says of later ones is
            dropped, and it is extended; otherwise begun anew.
        clock: seconds, for tests.

    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path | None,
        total_steps: int,
        writer: BoardWriter | None = None,
        first_step: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from tqdm import tqdm

        self._file = None if folder is None else _open_scalars(Path(folder) / SCALARS, first_step)
        self.writer = writer
        self.total_steps = total_steps
        self.step = self._first_step = first_step
        self._clock = clock
        self._start = self._last_time = clock()
        self._examples = 0
        # disable=None: a bar on a terminal only; files get the lines of `entry`.
        self._bar = tqdm(
            total=total_steps,
            initial=first_step,
            unit="step",
            dynamic_ncols=True,
            disable=None if self._file else True,
            smoothing=0.05,
        )

    def advance(self, examples: int, loss: float) -> None:
        """Counts one training step of so many examples."""
        self.step += 1
        self._examples += examples
        self._bar.update(1)
        self._bar.set_postfix_str(f"{self._rate():.1f} examples/s, loss {loss:.4f}", refresh=False)

    def entry(self, epoch: int, batch: int, loss: float) -> str:
        """Prints one line on where the run stands, and returns it; its rate is that since the line before."""
        elapsed = self._clock() - self._start
        done = self.step - self._first_step
        left = elapsed / done * (self.total_steps - self.step) if done else 0.0
        line = (
            f"epoch {epoch:>3} | batch {batch:>6} | examples/s: {self._rate():5.1f} | loss: {loss:.5f} | "
            f"time elapsed: {hours_minutes_seconds(elapsed)} | time left: {hours_minutes_seconds(left)}"
        )
        self._examples, self._last_time = 0, self._clock()
        self.message(line)
        return line

    def message(self, text: str) -> None:
        """Prints a line without tearing the progress bar."""
        if self._file is not None:
            self._bar.write(printable(text))

    def scalars(self, step: int, part: str, values: Mapping[str, float]) -> None:
        """Appends a line to `scalars.jsonl`, and a point to every curve of the board.

        Args:
            part: "train", "val" (one batch) or "validation" (the whole list, after so many steps).
            values: by name, such as `loss`, `loss/0`, `de/abs_rel`; what is not finite is written as null.
        """
        numbers = {name: float(value) for name, value in values.items()}
        finite = {name: number if math.isfinite(number) else None for name, number in numbers.items()}
        line = json.dumps({"step": step, "part": part, "values": finite}, allow_nan=False)
        if self._file is not None:
            try:
                self._file.write(line + "\n")
                self._file.flush()
            except OSError as error:
                raise _not_written(Path(self._file.name), error) from error
        if self.writer is not None:
            for name, number in numbers.items():
                self.writer.add_scalar(f"{part}/{name}", number, step)

    def images(self, step: int, part: str, images: Mapping[str, np.ndarray]) -> None:
        """Hands pictures, uint8 (H, W, 1 or 3), to the board; nothing without one."""
        if self.writer is not None:
            for name, image in images.items():
                self.writer.add_image(f"{part}/{name}", image, step, dataformats="HWC")

    def close(self) -> None:
        """Closes the progress bar, `scalars.jsonl` and the board."""
        self._bar.close()
        if self._file is not None:
            with contextlib.suppress(OSError):  # of what could not be written, and has been said
                self._file.close()
        if self.writer is not None:
            self.writer.close()

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rate(self) -> float:
        return self._examples / max(self._clock() - self._last_time, 1e-9)


def _open_scalars(path: Path, first_step: int) -> TextIO:
    """`scalars.jsonl`, to be continued after so many steps."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: is no regular file; remove it")
        if first_step and path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
            write_text(path, "".join(line for line in lines if _is_before(line, first_step)))
        return path.open("a" if first_step else "w", encoding="utf-8")
    except OSError as error:
        raise _not_written(path, error) from None


def _not_written(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot be written{why_not_written(error, path)}")


def _is_before(line: str, step: int) -> bool:
    """Whether a line of `scalars.jsonl` is whole and of an earlier step."""
    try:
        return line.endswith("\n") and json.loads(line)["step"] < step
    except (
        ValueError,
        TypeError,
        KeyError,
        RecursionError,
    ):  # the process was killed while it wrote the line
        return False


def hours_minutes_seconds(seconds: float) -> str:
    """3725.4 → `01h02m05s`."""
    whole = int(seconds)
    return f"{whole // 3600:02d}h{whole // 60 % 60:02d}m{whole % 60:02d}s"


def is_log_step(step: int, batch: int, frequency: int) -> bool:
    """Whether to log: every `frequency` batches of an epoch while step < 2000, and at every 2000th step."""
    return (batch % frequency == 0 and step < 2000) or step % 2000 == 0
