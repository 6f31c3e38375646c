"""How the toolbox speaks to a user who made a mistake: one line, exit code 2, no traceback."""

import sys
from collections.abc import Callable
from typing import NoReturn


class UserError(Exception):
    """A mistake the user can cure. The message is one line that names the file (or option) and the cure."""


def run(main: Callable[[list[str] | None], None]) -> NoReturn:
    """Runs a script's main function and ends the process with the exit code users may rely on.

    0: done; 2: `UserError`, its message on stderr; 130: interrupted; 143: asked to end by `kill`.
    """
    try:
        main(None)
    except UserError as error:
        print("error:", " ".join(str(error).splitlines()), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted", file=sys.stderr)
        sys.exit(getattr(error, "code", 130))
    sys.exit(0)
