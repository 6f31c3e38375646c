"""The scripts, run as a user runs them: each in a process of its own, or here where that is not the point."""

import importlib
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO

from core.errors import run

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


def run_here(
    script: str, *arguments: object, cwd: Path = ROOT, without: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Runs `python script.py arguments` like `run_script`, but in this process, which has imported everything.

    Its main function is run as its last line does, so exit codes and messages are those of a process.

    Args:
        script, cwd: see `run_script`.
        without: packages that are not found meanwhile; what has imported them before keeps them.
    """
    words, folder = sys.argv, os.getcwd()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with (
            written_to(1, out),
            redirect_stdout(out),
            written_to(2, err),
            redirect_stderr(err),
            usual_warnings(),
            hidden(without),
        ):
            try:
                sys.argv = [str(ROOT / script), *map(str, arguments)]
                os.chdir(cwd)
                run(importlib.import_module(Path(script).stem).main)
            except SystemExit as end:
                code = end.code
            finally:
                sys.argv = words
                os.chdir(folder)
        texts = [file.read() for file in (out, err) if file.seek(0) == 0]
    return subprocess.CompletedProcess([script, *map(str, arguments)], code, *texts)


@contextmanager
def written_to(descriptor: int, file: IO[str]) -> Iterator[None]:
    """What a library in C prints goes to the file, too."""
    kept = os.dup(descriptor)
    os.dup2(file.fileno(), descriptor)
    try:
        yield
    finally:
        file.flush()
        os.dup2(kept, descriptor)
        os.close(kept)


@contextmanager
def hidden(packages: tuple[str, ...]) -> Iterator[None]:
    """Packages that look as if they were not installed."""
    kept = {name: sys.modules[name] for name in packages if name in sys.modules}
    sys.modules.update(dict.fromkeys(packages))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in packages:
            del sys.modules[name]
        sys.modules.update(kept)


@contextmanager
def usual_warnings() -> Iterator[None]:
    """Warnings are printed as outside of pytest."""

    def show(message: Warning | str, category: type[Warning], file: str, line: int, *_: object) -> None:
        print(warnings.formatwarning(message, category, file, line), file=sys.stderr)

    with warnings.catch_warnings():
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        warnings.showwarning = show
        yield


def succeeds(
    script: str, *arguments: object, quiet: bool = True, without: tuple[str, ...] = (), here: bool = False
) -> str:
    """Runs a script that must succeed, without a word on stderr if quiet; returns what it printed.

    Args:
        here: in this process.
    """
    done = (run_here if here else run_script)(script, *arguments, without=without)
    assert done.returncode == 0, done.stderr
    assert not quiet or done.stderr == "", done.stderr
    return done.stdout


def refused(
    script: str,
    *arguments: object,
    folder: Path,
    without: tuple[str, ...] = (),
    made: str | None = None,
    here: bool = False,
) -> str:
    """Runs a script that must refuse in one line, and leave the folder it is run in as it was.

    Args:
        folder: where the user stands.
        without: see `run_script`.
        made: a folder below that may come into being all the same: a training had begun.
        here: in this process.

    Returns:
        The message, without `error: `.
    """
    before = listing(folder)
    done = (run_here if here else run_script)(script, *arguments, cwd=folder, without=without)
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
