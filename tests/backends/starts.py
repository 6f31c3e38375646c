"""Processes that have imported their framework before they begin: a copy of one that waits, made in milliseconds.

A start of a framework takes 3 to 6 s, of which a run of the tests needs one, not one for each process that it asks
for. That a script starts as a user starts it is in `test_resume.py` and `tests/slow/`.

python -m tests.backends.starts MODULE ...
"""

import atexit
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.scripts import ENVIRONMENT, ROOT

ONE_THREAD = ENVIRONMENT | {"OMP_NUM_THREADS": "1"}  # a copy has none of the other threads


class Starter:
    """A process that waits with a framework, and copies itself.

    Args:
        modules: what it imports.
    """

    def __init__(self, *modules: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.backends.starts", *modules],
            cwd=ROOT,
            env=os.environ | ONE_THREAD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(
        self, words: list[Any], folder: Path, name: str = "said", cwd: Path = ROOT, **variables: Any
    ) -> "Started":
        """Runs `python words`, where the first is a file, or `-m` before the name of a module.

        Args:
            folder: for what it prints, in `name.out` and `name.err`.
            variables: of its environment, beside those of this process.
        """
        out, err = folder / f"{name}.out", folder / f"{name}.err"
        environment = os.environ | ONE_THREAD | {key: str(value) for key, value in variables.items()}
        for path in (out, err):
            path.touch()
        call = {"words": list(map(str, words)), "cwd": str(cwd), "environment": dict(environment)}
        started = Started(self, out, err)
        started.pid = self.ask(call | {"out": str(out), "err": str(err)}, 60)
        return started

    def ask(self, call: Mapping[str, Any], seconds: float) -> int:
        """What the process that waits answers."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(call), file=self._process.stdin, flush=True)
        assert select.select([self._process.stdout], [], [], seconds)[0], f"no answer to {call}"
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """Ends it."""
        self._process.communicate(timeout=60)


class Started:
    """A process that runs.

    Attributes:
        pid: for signals.
        out, err: files of what it prints.
    """

    def __init__(self, starter: Starter, out: Path, err: Path) -> None:
        self.starter, self.out, self.err, self.pid = starter, out, err, 0

    def wait(self, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Its exit code, negative for a signal, and what it printed."""
        try:
            code = self.starter.ask({"wait": self.pid}, timeout)
        except AssertionError:
            os.kill(self.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess([], code, self.out.read_text(), self.err.read_text())


def main() -> None:
    """Reads what to start or to wait for, a line of JSON each; answers by a process number or an exit code."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
    for line in sys.stdin:
        call = json.loads(line)
        if "wait" in call:
            print(os.waitstatus_to_exitcode(os.waitpid(call["wait"], 0)[1]), flush=True)
            continue
        process = os.fork()
        if process == 0:
            os._exit(_run(call))
        print(process, flush=True)


def _run(call: dict[str, Any]) -> int:
    """In the copy: becomes what it is asked to be, as Python would; its exit code."""
    for descriptor, path in ((0, os.devnull), (1, call["out"]), (2, call["err"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC if descriptor else os.O_RDONLY), descriptor)
    os.environ.clear()
    os.environ.update(call["environment"])
    os.chdir(call["cwd"])
    module = call["words"][0] == "-m"
    target, *sys.argv[1:] = call["words"][module:]
    sys.argv[0], sys.path[0] = target, str(ROOT)
    code = 0
    try:
        for folder in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)):
            sys.path.insert(1, folder)
            if (Path(folder) / "sitecustomize.py").is_file():
                runpy.run_path(str(Path(folder) / "sitecustomize.py"))
        if module:
            runpy.run_module(target, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(target, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code


if __name__ == "__main__":
    main()
