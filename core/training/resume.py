"""What a run leaves so that it can be continued: `run.json`, and checkpoints that say whether they are whole.

Imports neither NumPy nor a framework.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.datasets.splits import Lines
from core.errors import UserError
from core.files.whole import write_text
from core.training.processes import Processes

RUN_FILE = "run.json"
RECORD_FILE = "checkpoint.json"

# What may differ on --resume: it changes neither the weights at a step nor what a step is.
HARMLESS = {
    *("data_path", "log_dir", "model_name", "device"),  # where things lie
    *("num_workers", "cache_images"),  # how fast they come
    "bad_images",  # a run that met one failed, and may go on without it
    *(
        "num_epochs",
        "log_frequency",
        "save_frequency",
        "save_steps",
        "validation",
    ),  # when to stop, and what to keep
}

PATHS = {"split", "load_weights_folder"}  # of those that may not differ

CHECKPOINT = re.compile(r"(weights|step)_\d+")
# Names of files and folders in the making, as `core.files.whole` gives them.
LEFTOVER = re.compile(
    r"\.((weights|step|nonfinite)_\w+|options|run|scalars|opt)-(old-|removed-)?[a-z0-9_]{8}(\.\w+)?"
)


@dataclass(frozen=True)
class Run:
    """What a run was begun with.

    Attributes:
        started: when; tells its checkpoints from those of an earlier run in the same folder.
        options: all of them, by name.
        samples: in the training list.
        processes: that share a step.
        environment: framework, device and threads, of which the last bits of the weights are a function too.
        lists: digest of the lines to train and to validate on.
    """

    started: str
    options: dict[str, Any]
    samples: int
    processes: int
    environment: str
    lists: str = ""

    @classmethod
    def begin(cls, options: Any, train: Lines, val: Lines, processes: int, device: str) -> "Run":
        """A run that starts now.

        Args:
            train, val: what it trains and validates on.
            device: framework and device.
        """
        return cls(
            started=datetime.now(UTC).isoformat(),
            options=dataclasses.asdict(options),
            samples=len(train),
            lists=hashlib.sha256("\n".join(map(str, [*train, "", *val])).encode()).hexdigest(),
            processes=processes,
            environment=f"{device}, {os.environ.get('OMP_NUM_THREADS', '?')} threads",
        )

    @classmethod
    def read(cls, run_folder: Path) -> "Run":
        """The run that lies in a folder.

        Raises:
            UserError: there is none.
        """
        path = run_folder / RUN_FILE
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise UserError(
                f"{run_folder}: no run to continue (no {RUN_FILE}); check --log_dir and --model_name, "
                "or leave out --resume"
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"{path}: not the record of a run ({error}); start anew without --resume"
            ) from None

    def write(self, run_folder: Path) -> None:
        """Writes `run.json`."""
        write_text(run_folder / RUN_FILE, json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    def check_unchanged(self, now: "Run", defaults: Mapping[str, Any]) -> None:
        """Makes sure that going on means the same run.

        Args:
            now: with the options of the command line.
            defaults: of options that the record, written by an older version, lacks.

        Raises:
            UserError: names every option that differs, with both values.
        """
        before = {**defaults, **self.options}
        may_differ = HARMLESS | (
            {"split"} if now.lists == self.lists else set()
        )  # wherever the lists lie now
        changes = [
            f"{name} {value} (was {before.get(name)})"
            for name, value in now.options.items()
            if name not in may_differ and _plain(name, value) != _plain(name, before.get(name))
        ]
        if now.samples != self.samples:
            changes.append(f"training samples {now.samples} (was {self.samples})")
        elif self.lists not in (now.lists, ""):  # a record of an older version has none
            changes.append("lines of the training or the validation list")
        if now.processes != self.processes:
            changes.append(f"processes {now.processes} (was {self.processes})")
        if changes:
            raise UserError(
                f"--resume continues a run as it was begun, but changed: {', '.join(changes)}; "
                "change them back, or start another --model_name"
            )


@dataclass(frozen=True)
class Checkpoint:
    """A folder of weights that a run can be continued from.

    Attributes:
        folder: `models/weights_<epoch>` or `models/step_<step>`, or the one it is written in.
        run: `Run.started`.
        step: steps done.
        values: of the validation, where it follows one.
        loss_scale: state of `core.training.loss_scale`.
    """

    folder: Path
    run: str
    step: int
    values: dict[str, float] = dataclasses.field(default_factory=dict)
    loss_scale: list[float] = dataclasses.field(default_factory=list)

    @property
    def ends_epoch(self) -> bool:
        """Whether it was written after an epoch, not between."""
        return self.folder.name.startswith("weights_")

    def seal(self) -> None:
        """Writes the record, with a digest of every file, beside the files of the folder."""
        record = dataclasses.asdict(self) | {
            "files": digests(self.folder, [path.name for path in self.folder.iterdir()])
        }
        record.pop("folder")
        (self.folder / RECORD_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> tuple["Checkpoint", dict[str, str]]:
        """A checkpoint and the digests of its files.

        Raises:
            OSError, ValueError, TypeError: there is no record, or it is damaged.
        """
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        files = record.pop("files")
        return cls(folder=folder, **record), files


def _plain(name: str, value: Any) -> Any:
    """The value of an option, a path without what makes no other path of it, such as a `/` at its end."""
    return os.path.normpath(value) if name in PATHS and isinstance(value, str) else value


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """`{name: SHA-256}` of the files of these names in a folder; those are left out that cannot be read as files.

    What else lies there, put by a user or by a command, is not looked at.
    """
    found = {}
    for name in sorted(names):
        path = folder / name
        if path.is_file():  # a pipe would wait for ever
            with contextlib.suppress(OSError), path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def find_run(
    run_folder: Path, now: Run, defaults: Mapping[str, Any]
) -> tuple[Run, Checkpoint | None, list[str]]:
    """The run in a folder, for `--resume`.

    Args:
        run_folder: of the run.
        now: as the command line would begin it.
        defaults: see `Run.check_unchanged`.

    Returns:
        The run with what may change as it is now, its newest whole checkpoint (None: it begins anew), and notes.

    Raises:
        UserError: there is no run, or something changed that may not.
    """
    run, notes = Run.read(run_folder), []
    run.check_unchanged(now, defaults)
    if run.environment != now.environment:
        notes.append(f"the run was on {run.environment}: it goes on, but not to the same last bits")
    checkpoint = newest_checkpoint(run_folder, run, notes.append)
    if checkpoint is None:
        notes.append(f"{run_folder}: no whole checkpoint yet; the run begins anew")
    else:
        notes.append(f"continues after step {checkpoint.step} from {checkpoint.folder}")
    return dataclasses.replace(now, started=run.started), checkpoint, notes


def newest_checkpoint(run_folder: Path, run: Run, tell: Callable[[str], None]) -> Checkpoint | None:
    """The whole checkpoint of a run with the most steps, or None; says what is skipped, a line each."""
    found = []
    folders = sorted((run_folder / "models").glob("*"))
    for folder in (folder for folder in folders if CHECKPOINT.fullmatch(folder.name) and folder.is_dir()):
        try:
            checkpoint, files = Checkpoint.read(folder)
        except FileNotFoundError:
            continue  # a folder of weights, but not one of ours
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            tell(f"{folder}: skipped, its {RECORD_FILE} is damaged")
            continue
        if checkpoint.run == run.started:
            found.append((checkpoint, files))
    for checkpoint, files in sorted(found, key=lambda pair: -pair[0].step):
        present = digests(checkpoint.folder, files)
        damaged = [name for name, digest in files.items() if present.get(name) != digest]
        if not damaged:
            return checkpoint
        tell(f"{checkpoint.folder}: skipped, {', '.join(damaged)} is damaged")
    return None


def best_so_far(folder: Path, run: Run) -> dict[str, float]:
    """The validation of `weights_best`; empty where there is none of this run."""
    try:
        checkpoint, _ = Checkpoint.read(folder)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    return checkpoint.values if checkpoint.run == run.started else {}


def step_folder(run_folder: Path, step: int) -> Path:
    """`<run_folder>/models/step_<step>`: a checkpoint in the middle of an epoch."""
    return run_folder / "models" / f"step_{step}"


def remove_steps(run_folder: Path, newest: Path) -> None:
    """Removes the checkpoints in the middle of epochs, except the newest; none is ever seen half-removed."""
    for folder in (run_folder / "models").glob("step_*"):
        ours = CHECKPOINT.fullmatch(folder.name) and (folder / RECORD_FILE).is_file()
        if folder != newest and ours:
            aside = tempfile.mkdtemp(prefix=f".{folder.name}-removed-", dir=folder.parent)
            os.rename(folder, aside)
            shutil.rmtree(aside, ignore_errors=True)


def remove_leftovers(run_folder: Path) -> None:
    """Removes what a killed process was writing: temporary files and folders beside those they were to become."""
    for path in [*run_folder.glob(".*"), *(run_folder / "models").glob(".*")]:
        if LEFTOVER.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def resume_command(processes: Processes) -> str:
    """The command line that continues this process's run; in words, where several machines share it."""
    if processes.count > 1 and not processes.launcher:
        return "the same launcher command with --resume"
    words = [*processes.launcher, *sys.argv] if processes.count > 1 else sys.orig_argv
    # With a word behind it, `--resume` names weights to start from.
    following = [*words[1:], "--"]
    flag = any(
        word == "--resume" and after.startswith("--") for word, after in zip(words, following, strict=True)
    )
    return shlex.join(words if flag else [*words, "--resume"])
