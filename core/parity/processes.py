"""Runs the backends side by side, each in a process of its own, so that one may crash or hang alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from core.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.05


class BackendError(Exception):
    """A backend ended without a result. The message is one line that says how, and what it was doing."""


def ask(backends: list[str], request: Path, results: dict[str, Path], threads: int, timeout: float) -> None:
    """Lets every backend answer a request.

    Args:
        request: file that `Request.save` wrote.
        results: file for each backend to write.
        threads: of each process.
        timeout: seconds after which a backend counts as hanging.

    Raises:
        UserError: a backend refused the request.
        BackendError: a backend crashed or hangs.
    """
    commands = {
        name: [sys.executable, "-m", f"backends.{name}.parity", str(request), str(results[name])]
        for name in backends
    }
    count = str(threads)
    variables = {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
    run_all(commands, request.parent, os.environ | variables, timeout)


def run_all(
    commands: dict[str, list[str]], folder: Path, environment: dict[str, str], timeout: float
) -> None:
    """Runs all commands at once, from the project's root, until all have succeeded or one has failed; then none runs.

    Args:
        commands: `{name: words}`.
        folder: for what they print.

    Raises:
        UserError: one ended with exit code 2 and its message.
        BackendError: one ended otherwise, or did not end in time.
    """
    deadline = time.monotonic() + timeout
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            with open(folder / f"{name}.out", "wb") as out, open(folder / f"{name}.err", "wb") as err:
                running[name] = subprocess.Popen(
                    command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err
                )
        waiting = list(running)
        while waiting:
            time.sleep(POLL_SECONDS)
            for name in list(waiting):
                code = running[name].poll()
                if code == 0:
                    waiting.remove(name)
                elif code is not None:
                    raise _failure(name, code, folder)
                elif time.monotonic() > deadline:
                    during = _last_line(folder / f"{name}.out")
                    raise BackendError(f"{name}: no end after {timeout:g} s, during {during}; see --timeout")
    finally:
        for process in running.values():
            if process.poll() is None:
                process.kill()
            process.wait()


def _failure(name: str, code: int, folder: Path) -> Exception:
    message = _last_line(folder / f"{name}.err")
    during = _last_line(folder / f"{name}.out")
    if code == 2 and message.startswith("error: "):
        return UserError(f"{name}: {message.removeprefix('error: ')}")
    if code < 0:
        return BackendError(f"{name}: killed by {signal.Signals(-code).name} during {during}")
    return BackendError(f"{name}: exit code {code} during {during}: {message}")


def _last_line(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "start")
