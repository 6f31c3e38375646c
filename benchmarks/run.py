"""The check on a GPU: every part in a process of its own, stopped when its time is over, its findings kept."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.parts import PARTS, WHOLE_SECONDS
from benchmarks.rendering import Rendering
from benchmarks.results import Report, write_summary
from core.errors import UserError, run
from core.options.base import option
from core.options.parsing import parse

ROOT = Path(__file__).resolve().parent.parent
DRIVEN = "demo"  # the part that needs the rendered drive
LEAST_SECONDS = 5  # in which a part can begin to say something
SMALL_SECONDS = 600  # on a CPU nobody waits for a machine that is lent


@dataclass
class CheckOptions:
    """What benchmarks/gpu.sh takes."""

    EXAMPLE: ClassVar[str] = "-m benchmarks.run results --small"

    output: str = option("", "folder for the results", path=True, positional=True)
    only: list[str] = option((), "parts to run; none: all", choices=tuple(PARTS))
    small: bool = option(False, "sizes for a trial of the check on a CPU")

    def validate(self) -> None:
        """Raises `UserError` where the check cannot begin."""
        if not self.output:
            raise UserError(
                "no output folder: bash benchmarks/gpu.sh OUTPUT_FOLDER [--only PART …] [--small]"
            )
        if importlib.util.find_spec("torch") is None:
            raise UserError(
                f"{sys.executable} has no PyTorch: set TOOLBOX_PYTHON to a Python that has it, or pip install torch"
            )


def main(argv: list[str] | None = None) -> None:
    """Runs the parts one after another and prints what each found."""
    options = parse(CheckOptions, argv, (__doc__ or "").splitlines()[0])
    output = Path(options.output).resolve()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{output}: cannot be made: {error.strerror}; give another output folder") from None
    names = [name for name in PARTS if not options.only or name in options.only]
    bad = run_parts(names, output, options.small)
    print(
        f"results in {output}/results.txt and results.json" + (f"; not done: {', '.join(bad)}" if bad else "")
    )
    if bad:
        sys.exit(1)


def run_parts(names: list[str], output: Path, small: bool) -> list[str]:
    """Runs the parts within the time for all of them; returns those that did not come to their end."""
    end, bad = time.monotonic() + (SMALL_SECONDS if small else WHOLE_SECONDS), []
    with rendering(output, needed=DRIVEN in names and not small) as background:
        for name in names:
            if background is not None:
                background.pause(PARTS[name].timed and name != DRIVEN)
                if name == DRIVEN:
                    background.wait(end - time.monotonic())
            left = end - time.monotonic()
            report = run_part(name, output, small, left if small else min(left, PARTS[name].seconds))
            write_summary(output, PARTS)
            print(report.text(), flush=True)
            bad += [name] if report.state != "done" else []
    return bad


@contextmanager
def rendering(output: Path, needed: bool) -> Iterator[Rendering | None]:
    """The rendering in the background, where it is needed; ended afterwards."""
    if not needed:
        yield None
        return
    background = Rendering(output / "street", output / "rendering.log")
    try:
        yield background
    finally:
        background.end()


def run_part(name: str, output: Path, small: bool, seconds: float) -> Report:
    """Runs one part for so many seconds at most; what it printed is in `<name>.log`."""
    path, start = output / f"{name}.json", time.monotonic()
    path.unlink(missing_ok=True)
    if seconds >= LEAST_SECONDS:
        command = [sys.executable, "-m", "benchmarks.part", name, str(output), *(["small"] if small else [])]
        with open(output / f"{name}.log", "w", encoding="utf-8") as log:
            code = wait(command, log.fileno(), seconds)
        report = Report.read(path) if path.is_file() else Report(path, small, state="")
        if code is None:
            report.state = f"cut off after {seconds:.0f} s"
        elif code != 0 and not report.state.startswith("failed"):
            report.state = f"failed: exit code {code}; see {name}.log"
    else:
        report = Report(path, small, state="not begun: no time was left")
    report.seconds = time.monotonic() - start
    report.write()
    return report


def wait(command: list[str], log: int, seconds: float) -> int | None:
    """The exit code of a command; None where its time ran out. It and its children are ended then."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.returncode is None:  # its time is over, or Ctrl-C
            end_group(process)


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """Ends a process and its children, which are in its group and nobody else."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def environment() -> dict[str, str]:
    """That of the parts: TF32 is theirs to switch, see `benchmarks/setting.py`."""
    found = {name: value for name, value in os.environ.items() if name != "NVIDIA_TF32_OVERRIDE"}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return found | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


if __name__ == "__main__":
    run(main)
