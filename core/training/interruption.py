"""Ctrl-C and `kill`, noted, so that a step and a checkpoint can be finished before the process ends."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 1.0  # launchers hand a signal on that the terminal has sent already: not a second one of the user


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, and did so in good order.

    Attributes:
        code: of the process: 128 and the number of the signal.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.code = 128 + number


class Interruption:
    """Takes note of SIGINT and SIGTERM while it is entered (by the main thread; elsewhere it does nothing).

    A second signal, a second or more after the first, ends the process at once.

    Attributes:
        number: of the signal that came, or 0.
    """

    def __init__(self) -> None:
        self.number = 0
        self._since = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if (
                    signal.getsignal(number) != signal.SIG_IGN
                ):  # as `nohup` and shells in the background set it
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def stop(self, message: str) -> NoReturn:
        """Raises Interrupted, by the signal that came here or to another process."""
        raise Interrupted(message, self.number or signal.SIGTERM)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number and time.monotonic() - self._since > PATIENCE:
            raise Interrupted("interrupted at once, nothing saved since the last checkpoint", number)
        if not self.number:
            self.number, self._since = number, time.monotonic()
