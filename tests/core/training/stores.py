"""A store in memory that fails when told, and the folder of a run to send there."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

from core.options.methods import OPTIONS
from core.training.resume import Checkpoint, Run

STARTED = "2026-01-01T00:00:00+00:00"


class Flaky(MemoryFileSystem):
    """Keeps objects as S3 does, and asks `before` and `after` at everything that changes one."""

    protocol = ("memory", "flaky")
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    before: ClassVar[Callable[[str, str], None]] = staticmethod(lambda what, path: None)
    after: ClassVar[Callable[[str, str], None]] = staticmethod(lambda what, path: None)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("flaky://"))

    def put_file(self, lpath: str, rpath: str, **more: Any) -> None:
        self._told("put", rpath, lambda: super(Flaky, self).pipe_file(rpath, Path(lpath).read_bytes()))

    def pipe_file(self, path: str, value: bytes, **more: Any) -> None:
        self._told("write", path, lambda: super(Flaky, self).pipe_file(path, value))

    def cp_file(self, path1: str, path2: str, **more: Any) -> None:
        self._told("copy", path2, lambda: super(Flaky, self).cp_file(path1, path2))

    def rm_file(self, path: str) -> None:
        self._told("remove", path, lambda: super(Flaky, self).rm_file(path))

    def _told(self, what: str, path: str, act: Callable[[], None]) -> None:
        type(self).before(what, path)
        act()
        type(self).after(what, path)


@contextmanager
def flaky() -> Iterator[type[Flaky]]:
    """`flaky://` is such a store, empty."""

    class Fresh(Flaky):
        store: ClassVar[dict[str, Any]] = {}
        pseudo_dirs: ClassVar[list[str]] = [""]

    fsspec.register_implementation("flaky", Fresh, clobber=True)
    yield Fresh


def contents(store: type[MemoryFileSystem]) -> dict[str, bytes]:
    """Every object by its key."""
    return {name: file.getvalue() for name, file in store.store.items()}


def checkpoints(found: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    """The records of what a reader takes for checkpoints, by folder; each must be whole."""
    records = {}
    for name, content in found.items():
        folder, _, last = name.rpartition("/")
        if last == "checkpoint.json" and not folder.rpartition("/")[2].startswith("."):
            records[folder.rpartition("/")[2]] = record = json.loads(content)
            for file, digest in record["files"].items():
                assert sha256(found[f"{folder}/{file}"]).hexdigest() == digest, f"{folder}/{file}"
    return records


def make_run(folder: Path, started: str = STARTED) -> Path:
    """The folder of a run, without checkpoints."""
    folder.mkdir(parents=True)
    Run(started, {}, 1, 1, "nowhere").write(folder)
    (folder / "options.yaml").write_text("method: tiny\n")
    (folder / "scalars.jsonl").write_text('{"step": 0}\n{"step": 1')  # the second is being written
    return folder


def add(
    run: Path, name: str, step: int, started: str = STARTED, files: tuple[str, ...] = ("a.pth", "b.pth")
) -> Path:
    """A checkpoint, in the place of an older one."""
    folder = run / "models" / name
    fresh = folder.with_name(f".{name}")
    fresh.mkdir(parents=True)
    for file in files:
        (fresh / file).write_bytes(f"{name} {file} after {step}".encode() * 9)
    Checkpoint(fresh, started, step).seal()
    if folder.exists():
        shutil.rmtree(folder)
    fresh.rename(folder)
    return folder


def options(**values: Any) -> Any:
    """Of a training that has a store."""
    return next(iter(OPTIONS.values()))(model_name="run", **{"s3_path": "flaky://bucket/all", **values})
