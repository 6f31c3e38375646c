"""What a run leaves so that it can be continued: `run.json`, and checkpoints that say whether they are whole.

Imports neither NumPy nor a framework.
"""

import dataclasses
import hashlib
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.datasets.splits import Lines
from core.errors import UserError
from core.faults import why_not_read
from core.files.listing import entries, matching
from core.files.stale import remove_folder
from core.files.whole import move_aside, restore_folders, write_text
from core.training.processes import Processes

RUN_FILE = "run.json"
RECORD_FILE = "checkpoint.json"

# What may differ on --resume: it changes neither the weights at a step nor what a step is.
HARMLESS = {
    *("data_path", "train_path", "validation_path", "log_dir", "model_name", "device"),  # where things lie
    *("num_workers", "cache_images", "cache"),  # how fast they come
    "deterministic",  # in which order a GPU adds: without it, in none that is known
    "overwrite",  # no word to a run that goes on
    "accept",  # what it accepts of its data does not change them
    "bad_images",  # a run that met one failed, and may go on without it
    *(
        "num_epochs",
        "log_frequency",
        "save_frequency",
        "save_steps",
        "keep_moments",
        "max_cpu_seconds",
        "validation",
    ),  # when to stop, and what to keep
    *("wandb", "wandb_send", "wandb_project", "wandb_entity"),  # who else is told
    *("s3_path", "s3_frequency", "s3_url"),  # where else
}

PATHS = {"split", "load_weights_folder"}  # of those that may not differ

STATE_FILE = "training_state.safetensors"  # as the backends write it
SEAL = "sha256"  # of the record itself
MAX_RECORD_BYTES = 8 << 20
# What reading a record may raise, whatever is in it.
UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
)
CHECKPOINT = re.compile(r"(weights|step)_\d+")
# Names of files and folders in the making, as `core.files.whole` gives them.
LEFTOVER = re.compile(
    r"\.((weights|step|nonfinite)_\w+|options|run|scalars|opt)-(unfinished-)?(old-|removed-)?[a-z0-9_]{8}(\.\w+)?"
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
            found = cls(**_unsealed(path))
            found.require_types()
            return found
        except FileNotFoundError:
            raise UserError(
                f"{run_folder}: no run to continue (no {RUN_FILE}); check --log_dir and --model_name, "
                "or leave out --resume"
            ) from None
        except PermissionError:
            raise
        except UNREADABLE as error:
            raise UserError(
                f"{path}: not the record of a run ({why_not_read(error)}); start anew without --resume"
            ) from None

    def write(self, run_folder: Path) -> None:
        """Writes `run.json`."""
        write_text(run_folder / RUN_FILE, _sealed(dataclasses.asdict(self)))

    def require_types(self) -> None:
        """Raises TypeError if a value, of a file, is of another type than it should be."""
        texts = (self.started, self.environment, self.lists)
        counts = (self.samples, self.processes)
        if not (all(isinstance(text, str) for text in texts) and all(map(_is_count, counts))):
            raise TypeError("a value is of another type than it should be")
        if not isinstance(self.options, dict):
            raise TypeError("its options are none")

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
        files = digests(self.folder, {path.name for path in self.folder.iterdir()} - {RECORD_FILE})
        (self.folder / RECORD_FILE).write_text(self._record(files), encoding="utf-8")

    def write(self, files: Mapping[str, str]) -> None:
        """Writes the record of a folder that others see already, with the digests of its files, whole or not at all."""
        write_text(self.folder / RECORD_FILE, self._record(files))

    def _record(self, files: Mapping[str, str]) -> str:
        record = dataclasses.asdict(self) | {"files": dict(files)}
        record.pop("folder")
        return _sealed(record)

    @classmethod
    def read(cls, folder: Path) -> tuple["Checkpoint", dict[str, str]]:
        """A checkpoint and the digests of its files.

        Raises:
            OSError, ValueError, TypeError, RecursionError: there is no record, or it is damaged.
        """
        record = _unsealed(folder / RECORD_FILE)
        files = record.pop("files", None)
        checkpoint = cls(folder=folder, **record)
        checkpoint.require_types()
        if not isinstance(files, dict) or not all(_is_name(name) for name in files):
            raise TypeError("its files are no table of digests")
        return checkpoint, files

    def require_types(self) -> None:
        """Raises TypeError if a value, of a file, is of another type than it should be."""
        values = self.values if isinstance(self.values, dict) else {"": None}
        scale = self.loss_scale if isinstance(self.loss_scale, list) else [None]
        numbers = [*values.values(), *scale]
        if not (isinstance(self.run, str) and _is_count(self.step) and all(map(_is_number, numbers))):
            raise TypeError("a value is of another type than it should be")
        if len(scale) not in (0, 2) or not all(number >= 0 for number in scale):
            raise TypeError("its loss scale is none")


def _has_record(folder: Path) -> bool:
    return (folder / RECORD_FILE).is_file()


def _sealed(record: dict[str, Any]) -> str:
    """The text of a record, with a digest of what it says."""
    record = json.loads(json.dumps(record))  # as it will be read: keys are texts, tuples are lists
    return json.dumps(record | {SEAL: _digest(record)}, indent=1) + "\n"


def _unsealed(path: Path) -> dict[str, Any]:
    """What a record says. One of an older version has no digest.

    Raises:
        OSError, ValueError, RecursionError: there is none, or a bit of it has changed.
    """
    if path.exists() and not path.is_file():
        raise ValueError("not a file")
    with path.open("rb") as file:
        content = file.read(MAX_RECORD_BYTES + 1)
    record = json.loads(content) if len(content) <= MAX_RECORD_BYTES else None
    if not isinstance(record, dict):
        raise ValueError("not a record")
    if SEAL in record and record.pop(SEAL) != _digest(record):
        raise ValueError("it was changed, or is damaged")
    return record


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_name(name: str) -> bool:
    """Whether it is the name of a file in a folder, and not a way to another."""
    return name == os.path.basename(name) and name not in ("", ".", "..")


def _step_of_state(path: Path) -> int | None:
    """The step that a training state says, read without a framework; None where it says none.

    It is a `.safetensors`: the length of a head, which names types and places of the arrays, and their bytes.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            entry = json.loads(file.read(min(length, MAX_RECORD_BYTES)))["step"]
            file.seek(8 + length + entry["data_offsets"][0])
            return int.from_bytes(file.read(8), "little", signed=True) if entry["dtype"] == "I64" else None
    except UNREADABLE:
        return None


def _plain(name: str, value: Any) -> Any:
    """The value of an option, a path without what makes no other path of it, such as a `/` at its end."""
    return os.path.normpath(value) if name in PATHS and isinstance(value, str) else value


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """`{name: SHA-256}` of the files of these names in a folder; those are left out that cannot be read as files.

    What else lies there, put by a user or by a command, is not looked at.

    Raises:
        PermissionError: one may not be read, and so nobody knows whether it is damaged.
    """
    found = {}
    for name in sorted(names):
        path = folder / name
        if not path.is_file():  # a pipe would wait for ever
            continue
        try:
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except PermissionError:
            raise
        except OSError:
            continue
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
    restore_folders(run_folder / "models", _has_record)
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
    """The whole checkpoint of a run with the most steps, or None; says what is skipped, a line each.

    Raises:
        UserError: those with Adam's moments are damaged, and others are there.
        PermissionError: one may not be read.
    """
    found = []
    folders = entries(run_folder / "models")
    for folder in (folder for folder in folders if CHECKPOINT.fullmatch(folder.name) and folder.is_dir()):
        try:
            checkpoint, files = Checkpoint.read(folder)
        except FileNotFoundError:
            continue  # a folder of weights, but not one of ours
        except PermissionError:  # it may be whole: a run that began anew would replace it
            raise
        except UNREADABLE:
            tell(f"{folder}: skipped, its {RECORD_FILE} is damaged")
            continue
        if checkpoint.run == run.started:
            found.append((checkpoint, files))
    bare = None
    for checkpoint, files in sorted(found, key=lambda pair: -pair[0].step):
        if STATE_FILE not in files:
            bare = bare or checkpoint
            continue
        present = digests(checkpoint.folder, files)
        damaged = [name for name, digest in files.items() if present.get(name) != digest]
        if not damaged and _agrees(checkpoint, files):
            return checkpoint
        damaged = damaged or [f"{RECORD_FILE}, which is of another step than {STATE_FILE},"]
        tell(f"{checkpoint.folder}: skipped, {', '.join(damaged)} is damaged")
    if bare is not None:
        raise UserError(_no_moments(bare))
    return None


def _no_moments(checkpoint: Checkpoint) -> str:
    """What to say where the checkpoints that have Adam's moments are damaged, and an older one has weights alone."""
    kept = checkpoint.folder
    epochs = f" --start_epoch {int(kept.name.partition('_')[2]) + 1}" if checkpoint.ends_epoch else ""
    return (
        f"{kept.parent}: its newest checkpoint is damaged, and {kept.name} has weights without Adam's moments, so "
        "the run cannot go on as if nothing had happened; begin another from them, with another --model_name and "
        f"--load_weights_folder {kept}{epochs}"
    )


def _agrees(checkpoint: Checkpoint, files: Mapping[str, str]) -> bool:
    """Whether record and training state are of one step; if not, a step would be done twice or left out."""
    return STATE_FILE not in files or _step_of_state(checkpoint.folder / STATE_FILE) == checkpoint.step


def best_so_far(folder: Path, run: Run) -> dict[str, float]:
    """The validation of `weights_best`; empty where there is none of this run."""
    try:
        checkpoint, _ = Checkpoint.read(folder)
    except PermissionError:
        raise
    except UNREADABLE:
        return {}
    return checkpoint.values if checkpoint.run == run.started else {}


def step_folder(run_folder: Path, step: int) -> Path:
    """`<run_folder>/models/step_<step>`: a checkpoint in the middle of an epoch."""
    return run_folder / "models" / f"step_{step}"


def remove_steps(run_folder: Path, newest: Path) -> None:
    """Removes the checkpoints in the middle of epochs, except the newest; none is ever seen half-removed."""
    for folder in matching(run_folder / "models", "step_*"):
        ours = CHECKPOINT.fullmatch(folder.name) and (folder / RECORD_FILE).is_file()
        if folder != newest and ours:
            remove_folder(move_aside(folder, "removed"))


def remove_leftovers(run_folder: Path) -> None:
    """Removes what a killed process was writing: temporary files and folders beside those they were to become.

    An older folder that was moved aside for a new one comes back first, where none has its name.
    """
    restore_folders(run_folder / "models", _has_record)
    for path in [*entries(run_folder), *entries(run_folder / "models")]:
        if LEFTOVER.fullmatch(path.name):
            if path.is_dir():
                remove_folder(path)
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
