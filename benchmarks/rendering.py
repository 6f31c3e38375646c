"""The rendered drive of the last part, made while the GPU does what no rendering can disturb."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOB = ROOT / "configs" / "job.sh"


def rendering_options() -> list[str]:
    """What the jobs render their street with; with other options they would refuse the folder."""
    found = re.search(r'render_drive\.py --output "\$data" (.*)', JOB.read_text(encoding="utf-8"))
    assert found is not None, f"{JOB} does not render"
    return found[1].split()


class Rendering:
    """A process that renders with lowest priority, and stands still while times are measured.

    Args:
        folder: to render to; nothing happens where it is all there.
        log: file for what it prints.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        polite = ["nice", "-n", "19"] if shutil.which("nice") else []
        command = [sys.executable, "render_drive.py", "--output", str(folder), *rendering_options()]
        with log.open("w", encoding="utf-8") as file:
            self.process = subprocess.Popen(
                [*polite, *command],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def pause(self, still: bool) -> None:
        """Lets it stand still, with its workers, or go on."""
        self._signal(signal.SIGSTOP if still else signal.SIGCONT)

    def wait(self, seconds: float) -> None:
        """Waits until the drive is there, so long at most."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)

    def end(self) -> None:
        """Ends it where it stands: the next one goes on from there."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: int) -> None:
        if self.process.poll() is None:  # afterwards its group may be somebody else's
            os.killpg(self.process.pid, number)
