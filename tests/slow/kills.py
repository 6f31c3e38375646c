"""Kills trainings of `tiny` with signal 9, continues them, and compares the end with that of a training nobody killed.

    .venv/bin/python -m tests.slow.kills --backend torch --kills 20

Every other kill comes at a random moment; the rest come inside a write: when the process is about to make, open or
rename something in a temporary file or folder, the n-th time. After the last kill the run goes on to its end.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.numpy import load_file

import train
from core.errors import run
from core.files.whole import EXTENSIONS
from core.training.claim import LOCK_FILE
from core.training.resume import STATE_FILE
from core.weights import read_weights_file
from tests.backends.drive import make_drive, tiny_training
from tests.scripts import ENVIRONMENT, ROOT
from tests.tiny.register import register

NETWORKS = ("tiny",)
# Two steps an epoch; a checkpoint after each step, those of the second and fourth epoch to stay, and that of the best.
LENGTH = ["--num_epochs", 4, "--save_steps", 1, "--save_frequency", 2, "--validation"]
# A training is a fork of a process that has imported these: that takes longer than the training.
IMPORTS = {"torch": ["backends.torch.trainer", "torch._dynamo"], "paddle": ["backends.paddle.trainer"]}


@dataclass
class Result:
    """What happened to the killed runs."""

    kills: int = 0
    inside_writes: int = 0  # left something half-written
    runs: int = 0
    different: list[str] = field(default_factory=list)


def train_and_die(arguments: list[str], events: int, errors: str) -> None:
    """Runs train.py as its last line does; kills its process when the n-th audited event touches what is still hidden.

    Args:
        events: n; 0 for never.
        errors: file for stderr.
    """
    left = events

    def hook(event: str, found: tuple) -> None:
        nonlocal left
        path = str(found[0]).partition("/runs/")[2]
        if event in ("open", "os.rename", "os.mkdir") and "/." in path and not path.endswith(LOCK_FILE):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    for descriptor, file in ((1, os.devnull), (2, errors)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
    register()
    sys.addaudithook(hook)
    sys.argv = [str(ROOT / "train.py"), *arguments]
    run(train.main)


class Trainings:
    """Starts trainings, each in a process of its own."""

    def __init__(self, backend: str) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(IMPORTS[backend])
        with replaced(os.environ, ENVIRONMENT):
            first = self.context.Process(target=int)  # when it ends, everything is imported
            first.start()
            first.join()

    def run(self, arguments: list[str], events: int = 0, after: float | None = None) -> bool:
        """Runs a training, killed at that event or after so many seconds; returns whether it was killed."""
        with tempfile.NamedTemporaryFile() as errors, replaced(os.environ, ENVIRONMENT):
            process = self.context.Process(target=train_and_die, args=(arguments, events, errors.name))
            process.start()
            process.join(after)
            process.kill()
            process.join()
            assert process.exitcode in (0, -signal.SIGKILL), errors.read().decode()
            return process.exitcode != 0


@contextmanager
def replaced(variables: MutableMapping[str, str], new: dict[str, str]) -> Iterator[None]:
    """Environment variables have other values meanwhile; the first process started keeps them."""
    before = dict(variables)
    variables.update(new)
    try:
        yield
    finally:
        variables.clear()
        variables.update(before)


def kill_and_resume(
    backend: str, drive: Path, runs: Path, count: int, moments: Iterator[int | float], tell: bool = False
) -> Result:
    """Kills runs, one kill after the other, and finishes them.

    Args:
        backend: torch or paddle.
        drive: the data set.
        runs: folder for the run folders; its name must be "runs".
        count: kills, over all runs; a run that ended before its kill does not count.
        moments: of the kills: the number of the event, or the share of the time that a whole run takes.
        tell: print a line for each.
    """
    assert runs.name == "runs"
    trainings = Trainings(backend)
    begin = time.monotonic()
    assert not trainings.run(tiny_training(backend, drive, runs, "whole", *LENGTH))
    duration = time.monotonic() - begin
    result = Result()
    while result.kills < count:
        name = f"killed_{result.runs}"
        folder, killed = runs / name, True
        arguments = tiny_training(backend, drive, runs, name, *LENGTH)
        while killed:
            resume = ["--resume"] if (folder / "run.json").exists() else []
            moment = next(moments) if result.kills < count else 0
            events, after = (moment, None) if isinstance(moment, int) else (0, moment * duration)
            before = leftovers(folder)
            killed = trainings.run(arguments + resume, events, after)
            if killed:
                result.kills += 1
                result.inside_writes += not leftovers(folder) <= before
            if tell:
                what = f"event {events}" if after is None else f"{after:.1f} s"
                print(f"{name} {what}: {'killed' if killed else 'ended'}; {listing(folder)}", flush=True)
        result.runs += 1
        result.different += differences(backend, runs / "whole", folder)
    return result


def leftovers(folder: Path) -> set[Path]:
    """What a killed process was writing."""
    return {*folder.glob(".*"), *(folder / "models").glob(".*")} - {folder / LOCK_FILE}


def listing(folder: Path) -> str:
    return " ".join(sorted(path.name for path in (folder / "models").glob("*")))


def differences(backend: str, whole: Path, other: Path) -> list[str]:
    """Files of two runs, and numbers of their logs, that are not the same bit for bit."""
    found = []
    files = [f"{name}{EXTENSIONS[backend]}" for name in NETWORKS]
    assert sorted(path.name for path in (whole / "models").iterdir()) == listing(other).split(" ")
    for folder in (whole / "models").iterdir():
        twin = other / "models" / folder.name
        states = {path for one in (folder, twin) for path in one.glob(STATE_FILE)}
        for file in (*files, *([STATE_FILE] if states else [])):
            read = load_file if file.endswith(".safetensors") else read_weights_file
            one, same = read(folder / file), read(twin / file)
            equal = one.keys() == same.keys() and all(
                one[name].tobytes() == same[name].tobytes() for name in one
            )
            found += [] if equal else [str(twin / file)]
        records = [json.loads((path / "checkpoint.json").read_text()) for path in (folder, twin)]
        found += [] if records[0]["values"] == records[1]["values"] else [str(twin / "checkpoint.json")]
    if (whole / "scalars.jsonl").read_text() != (other / "scalars.jsonl").read_text():
        found.append(str(other / "scalars.jsonl"))
    return found + [str(path) for path in leftovers(other)]


def main() -> int:
    """Prints a line for each kill, and the sum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=list(EXTENSIONS), default="torch")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    moments = (rng.randint(1, 60) if n % 2 else rng.uniform(0.1, 0.9) for n in itertools.count())
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        drive = make_drive(Path(folder) / "drive")
        runs = Path(folder) / "runs"
        result = kill_and_resume(options.backend, drive, runs, options.kills, moments, tell=True)
    print(
        f"{options.backend}: {result.kills} kills in {result.runs} runs, {result.inside_writes} inside a write; "
        f"different from the run that was not killed: {', '.join(result.different) or 'nothing'}; "
        f"{time.monotonic() - begin:.0f} s"
    )
    return len(result.different)


if __name__ == "__main__":
    sys.exit(main())
