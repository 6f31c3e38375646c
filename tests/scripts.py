"""The scripts, run as a user runs them: each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Two threads that sleep while they wait: several tests and a training may share the machine.
ENVIRONMENT = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive", "PYTHONPATH": ""}
# A module that is None in sys.modules looks like one that is not installed.
WITHOUT = """
import runpy, sys
script, *sys.argv[1:] = sys.argv[2:]
sys.modules |= dict.fromkeys({without!r})
sys.path[0] = {root!r}
sys.argv[0] = script
runpy.run_path(script, run_name="__main__")
"""


def run_script(
    script: str, *arguments: object, cwd: Path = ROOT, without: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Runs `python script.py arguments`.

    Args:
        script: file in the root folder.
        cwd: where the user stands.
        without: packages that the process finds not installed.
    """
    start = [str(ROOT / script)]
    if without:
        start = ["-c", WITHOUT.format(without=without, root=str(ROOT)), "", *start]
    return subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )


def succeeds(script: str, *arguments: object, quiet: bool = True, without: tuple[str, ...] = ()) -> str:
    """Runs a script that must succeed, without a word on stderr if quiet; returns what it printed."""
    done = run_script(script, *arguments, without=without)
    assert done.returncode == 0, done.stderr
    assert not quiet or done.stderr == "", done.stderr
    return done.stdout


def refused(
    script: str, *arguments: object, folder: Path, without: tuple[str, ...] = (), made: str | None = None
) -> str:
    """Runs a script that must refuse in one line, and leave the folder it is run in as it was.

    Args:
        folder: where the user stands.
        without: see `run_script`.
        made: a folder below that may come into being all the same: a training had begun.

    Returns:
        The message, without `error: `.
    """
    before = listing(folder)
    done = run_script(script, *arguments, cwd=folder, without=without)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    after = listing(folder)
    if made is not None:
        after = {name: file for name, file in after.items() if name.split(os.sep)[0] != made}
    assert after == before
    return lines[0].removeprefix("error: ")


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below a folder: its size and when it was last written."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def assert_says(message: str, *parts: object) -> None:
    """The message names all of these."""
    for part in parts:
        assert str(part) in message, message
