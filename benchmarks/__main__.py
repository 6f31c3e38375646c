"""Every benchmark beside its plain version: one table of ratios, for the README. On one thread, on the CPU.

python -m benchmarks takes 15 minutes at most; --growth measures how cost grows with size instead, without that limit.
"""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

import importlib.util
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from benchmarks import Row, table
from benchmarks.jobs import GROWTH, JOBS, WHOLE_SECONDS, Job
from benchmarks.run import LEAST_SECONDS, wait
from core.errors import UserError, run, say
from core.options.base import option
from core.options.parsing import parse

QUIET = 0.05  # two runs' ratios differ by less on a quiet machine
SHOWN = 300  # characters of what a process said before it failed


@dataclass
class BenchmarkOptions:
    """What `python -m benchmarks` takes."""

    EXAMPLE: ClassVar[str] = "-m benchmarks"

    only: list[str] = option((), "names of benchmarks to run; none: all", choices=(*JOBS, *GROWTH))
    growth: bool = option(False, "how cost grows with size, in place of the comparisons; takes longer")

    def validate(self) -> None:
        """Raises `UserError` where a name is of the other kind."""
        kind = GROWTH if self.growth else JOBS
        for name in self.only:
            if name not in kind:
                raise UserError(f"option only: {name}: {'leave out' if self.growth else 'add'} --growth")


def main(argv: list[str] | None = None) -> None:
    """Runs the benchmarks one after another and prints their table."""
    options = parse(BenchmarkOptions, argv, (__doc__ or "").splitlines()[0])
    jobs = {
        name: job
        for name, job in (GROWTH if options.growth else JOBS).items()
        if not options.only or name in options.only
    }
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that measure
    start = time.monotonic()
    rows, failures = run_jobs(jobs, None if options.growth else WHOLE_SECONDS)
    print(table(rows))
    for row in rows:
        if row.remark:
            print(f"{row.job}: {row.remark}")
    print(summary(rows, failures, time.monotonic() - start))
    if failures:
        sys.exit(1)


def run_jobs(jobs: Mapping[str, Job], limit: float | None) -> tuple[list[Row], dict[str, str]]:
    """The rows of all that ran, and by its name what became of each that did not come to its end."""
    end, rows, failures = None if limit is None else time.monotonic() + limit, [], {}
    with TemporaryDirectory() as folder:
        for name, job in jobs.items():
            left = float(job.seconds) if end is None else min(job.seconds, end - time.monotonic())
            found, failure = run_job(name, job, Path(folder), left)
            rows += found
            if failure:
                failures[name] = failure
                say(f"{name}: {failure}")
    return rows, failures


def run_job(name: str, job: Job, folder: Path, seconds: float) -> tuple[list[Row], str]:
    """What one benchmark found within so many seconds, and why it did not come to its end, if so."""
    if job.package and importlib.util.find_spec(job.package) is None:
        return [], f"not begun: {job.package} is not installed"
    if seconds < LEAST_SECONDS:
        return [], "not begun: no time was left"
    file, said = folder / f"{name}.rows", folder / f"{name}.log"
    say(f"{name}: {job.subject}")
    with open(said, "w", encoding="utf-8") as log:
        code = wait([sys.executable, "-m", "benchmarks.job", name, str(file)], log.fileno(), seconds)
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    rows = [Row(**json.loads(line)) for line in lines]
    if code is None:
        return rows, f"cut off after {seconds:.0f} s"
    if code != 0:
        end = " ".join(said.read_text(encoding="utf-8", errors="replace").split())[-SHOWN:]
        return rows, f"failed: exit code {code}: {end}"
    return rows, ""


def summary(rows: list[Row], failures: Mapping[str, str], seconds: float) -> str:
    """The last line: how many rows are met, which are not, and whether the machine was quiet."""
    promised = [row for row in rows if row.wanted is not None]
    short = [f"{row.job} ({row.ratio:.3g} of {row.wanted:.3g})" for row in promised if not row.met]
    text = f"{len(promised) - len(short)} of {len(promised)} rows met in {seconds:.0f} s"
    if short:
        text += f"; not met: {', '.join(short)}"
    if failures:
        text += f"; not done: {', '.join(failures)}"
    unsteady = max((row.unsteadiness or 0 for row in rows), default=0)
    quiet = f"quiet: ratios of two halves differ by {unsteady:.1%} at most"
    return f"{text}; the machine was {'' if unsteady < QUIET else 'not '}{quiet}"


if __name__ == "__main__":
    run(main)
