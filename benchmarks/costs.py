"""What a whole command costs: processor time, so that others on the machine do not count, and its largest memory."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks import Row
from benchmarks.run import ROOT, environment
from core.errors import UserError

LAST = 300  # characters of what a command said before it failed
# A small process between: the system counts the memory of whoever starts a process as that process's.
BETWEEN = """
import os, sys
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(process, 0)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Costs:
    """Of one command.

    Attributes:
        seconds: of all processors together.
        mebibytes: the most that was in memory at once.
    """

    seconds: float
    mebibytes: float

    def rows(self, job: str) -> Iterator[Row]:
        """One for each, without a plain version."""
        yield Row(job, None, self.seconds, None, unit="s")
        yield Row(f"{job}, memory", None, self.mebibytes, None, unit="MiB")


def costs_of(words: Sequence[str], root: str = str(ROOT)) -> Costs:
    """Runs a script of a checkout, with its words, to its end.

    Raises:
        UserError: it failed; the end of what it said.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-c", BETWEEN, sys.executable, *words],
        cwd=root,
        env=environment() | {"PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        raise UserError(
            f"{' '.join(words[:2])}: exit code {done.returncode}: {' '.join(done.stdout.split())[-LAST:]}"
        )
    seconds, kibibytes = done.stdout.split()[-2:]
    return Costs(float(seconds), int(kibibytes) / 1024)
