"""Processes that work for another end with it, however it ends.

.venv/bin/python -m pytest tests/slow/test_workers_end.py
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.scripts import ENVIRONMENT, ROOT

LIMIT = 60.0  # seconds for what takes a few: a failure must end, too
# A process that starts one of another program and waits for it, as check_parity.py and convert_weights.py --verify do.
STARTS = """
import subprocess, sys
code = "import time; from core.cores import end_with_parent; end_with_parent(); print(1, flush=True); time.sleep(300)"
subprocess.run([sys.executable, "-c", code])
"""


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    try:
        threads = Path(f"/proc/{pid}/task").iterdir()
        return [int(word) for thread in threads for word in (thread / "children").read_text().split()]
    except OSError:
        return []


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition) -> bool:
    end = time.monotonic() + LIMIT
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(condition())


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks at processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=str)
@pytest.mark.parametrize("what", ["render_drive.py", "a program"])
def test_workers_end_with_their_parent(tmp_path: Path, number: int, what: str) -> None:
    out = tmp_path / "out"
    rendering = [str(ROOT / "render_drive.py"), "--output", str(out), "--workers", "2", "--train_drives", "2"]
    words = ["-c", STARTS] if what == "a program" else rendering
    with (tmp_path / "printed").open("wb") as printed:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, env=os.environ | ENVIRONMENT, stdout=printed, stderr=printed
        )
    workers: list[int] = []
    try:
        ready = (
            (lambda: (tmp_path / "printed").read_bytes().startswith(b"1"))
            if what == "a program"
            else (lambda: any(out.rglob("velodyne_points/data/*.bin")))
        )
        assert until(ready), (tmp_path / "printed").read_text()
        workers = children(process.pid)
        assert workers
        process.send_signal(number)
        process.wait(LIMIT)
        assert until(lambda: not any(map(is_alive, workers)))
    finally:
        for pid in (process.pid, *workers):
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        process.wait()
