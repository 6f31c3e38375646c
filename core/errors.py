"""How the toolbox speaks to a user who made a mistake: one line, exit code 2, no traceback."""

import contextlib
import os
import select
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from core import faults

NO_READER = 141  # as of a program that the system ends because nobody reads its output any more


class UserError(Exception):
    """A mistake the user can cure. The message is one line that names the file (or option) and the cure."""


def run(main: Callable[[list[str] | None], None]) -> NoReturn:
    """Runs a script's main function and ends the process with the exit code users may rely on.

    0: done; 2: `UserError`, or what the system or a library says of files, disks, memory and packages
    (`core.faults`), its message on stderr; 130: interrupted; 141: nobody reads the output any more, which
    is said to nobody; 143: asked to end by `kill`. A bug of ours is a traceback.
    """
    with contextlib.suppress(AttributeError, ValueError):
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # any name can be printed
    with contextlib.redirect_stdout(_Shown(sys.stdout) if sys.stdout else sys.stdout):
        code = _run(main)
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _output_failed(error)
    sys.exit(code)


class _Shown:
    """Standard output without what a terminal obeys: what is in files, and their names, may hold it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes it, its lines and tabs as they are."""
        return int(self._stream.write(faults.harmless(text)))


def _run(main: Callable[[list[str] | None], None]) -> Any:
    """The exit code; the message is said."""
    try:
        main(None)
    except UserError as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt as error:
        say(str(error) or "interrupted")
        return getattr(error, "code", 130)
    except SystemExit as end:  # after --help, and of what ends with a code of its own
        return end.code
    except BrokenPipeError as error:
        if not (_has_no_reader(sys.stdout) or _has_no_reader(sys.stderr)):
            say(f"error: {faults.describe(error)}")
            return 2
        return _output_failed(error)
    except Exception as error:
        line = faults.describe(error)
        if line is None:
            raise
        say(f"error: {line}")
        return 2
    return 0


def say(text: str) -> None:
    """Prints a line on stderr, whatever a file has put into it, also where nobody reads."""
    with contextlib.suppress(OSError):
        print(faults.printable(text), file=sys.stderr, flush=True)


def _output_failed(error: OSError) -> int:
    """Ends the output, so that nothing more is said of it, and gives the exit code."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    if isinstance(error, BrokenPipeError):
        return NO_READER
    what, cure = faults.in_words(error)
    say(f"error: standard output: {what}; {cure}")
    return 2


def _has_no_reader(stream: Any) -> bool:
    """Whether it is a pipe whose other end is closed."""
    if not hasattr(select, "poll"):
        return True  # Windows cannot say
    with contextlib.suppress(OSError, ValueError, AttributeError):
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(events & select.POLLERR for _, events in poll.poll(0))
    return False
