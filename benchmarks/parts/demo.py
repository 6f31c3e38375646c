"""The short run of the main job on the rendered drive: its table, and the seconds to each accuracy."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rendering import ROOT
from benchmarks.results import Report
from core.errors import UserError

if TYPE_CHECKING:
    from benchmarks.setting import Setting

JOB = "configs/monodepthv2/mdp.sh"
SMALL_PYTHON = ROOT / "benchmarks" / "small_python.sh"
METRICS = ("abs_rel", "rmse", "a1")


def measure(setting: "Setting") -> None:
    """Follows the job as it prints."""
    follow = Follower(setting.report, setting.output / "demo")
    with subprocess.Popen(
        ["bash", JOB],
        cwd=ROOT,
        env=environment(setting),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            follow.line(line.rstrip())
    if process.returncode != 0:
        raise UserError(f"{JOB} ended with exit code {process.returncode}; see demo.log")
    for text in follow.table:
        setting.report.note(text)


def environment(setting: "Setting") -> dict[str, str]:
    """What the job reads: this interpreter, and folders of the check."""
    found = os.environ | {"TOOLBOX_PYTHON": sys.executable, "BACKEND": "torch"}
    street = "street_small" if setting.small else "street"  # benchmarks/rendering.py begins the large one
    found |= {"LOG_DIR": str(setting.output / "demo"), "DEMO_DATA": str(setting.output / street)}
    for name in ("DATA_PATH", "MODE", "PNG", "WEIGHTS_INIT"):
        found.pop(name, None)
    if setting.small:
        found |= {"TOOLBOX_PYTHON": str(SMALL_PYTHON), "SMALL_PYTHON": sys.executable}
    return found


class Follower:
    """Notes when each step of the job began, and the seconds of training behind each run."""

    def __init__(self, report: Report, logs: Path) -> None:
        self.report, self.logs = report, logs
        self.since = time.monotonic()
        self.step = ""
        self.trained: dict[str, float] = {}
        self.table: list[str] = []

    def line(self, text: str) -> None:
        """Takes one line that the job printed."""
        if title := re.fullmatch(r"== (.*?)(?: \(\d+ s\))?", text):
            self.end_step()
            self.step, self.since = title[1], time.monotonic()
        elif self.step == "the result" and text:
            self.table.append(text)

    def end_step(self) -> None:
        """Keeps the time of the step that ended."""
        seconds = time.monotonic() - self.since
        if self.step:
            self.report.speed(f"seconds to {self.step}", seconds)
        if self.step.startswith("train "):
            self.trained[self.step.removeprefix("train ")] = seconds
        if self.step.startswith("evaluate "):
            self.accuracy(self.step.removeprefix("evaluate "))

    def accuracy(self, run: str) -> None:
        """The accuracy of a run, beside the seconds of all training that led to it, its starts counted."""
        runs = list(self.trained)
        seconds = sum(self.trained[name] for name in runs[: runs.index(run) + 1])
        means = json.loads((self.logs / run / "metrics.json").read_text(encoding="utf-8"))["mean"]
        numbers = ", ".join(f"{name} {means[name]:.4f}" for name in METRICS)
        after = f" after {seconds:.1f} s of training" if self.report.absolute else ""
        self.report.value(f"accuracy of {run}", numbers + after)
