"""A run in an object store: what lies there as a checkpoint is whole.

A store renames nothing and knows no folders; an object in it is there whole or not at all. So the files of a
checkpoint go there under names of their own, are moved when all have arrived, and its record comes last: a folder
without one is no checkpoint, and one that gets a new content has none meanwhile. Imports neither NumPy nor a
framework, and fsspec late.
"""

import contextlib
import importlib
import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.training.claim import FOLDERS
from core.training.resume import MAX_RECORD_BYTES, RECORD_FILE

# Stores where an object is written whole and a folder is but a part of its name; elsewhere a file is renamed.
FLAT = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"}
CURE = "pip install -r requirements-extras.txt, or leave out --s3_path"
PROBE = ".reachable"
REASON_SHOWN = 200


class ChangedError(Exception):
    """A checkpoint was replaced while it was read."""


class Remote:
    """The folder of a run in a store.

    Args:
        url: of the store and a folder there, as fsspec takes it.
        name: of the run.
        endpoint: address of a server that speaks S3; None: Amazon's, or as the environment says.

    Raises:
        UserError: a package is missing, or there is no such kind of store.
    """

    def __init__(self, url: str, name: str, endpoint: str | None = None) -> None:
        self.url = f"{url.rstrip('/')}/{name}"
        more = {} if endpoint is None else {"endpoint_url": endpoint}
        try:
            fsspec: Any = importlib.import_module("fsspec")
            self._files, root = fsspec.url_to_fs(url, skip_instance_cache=True, **more)
        except ImportError as error:
            raise UserError(f"option s3_path: {url}: not without a package: {line(error)}; {CURE}") from None
        except Exception as error:  # whatever such a package raises
            raise UserError(f"option s3_path: {url}: {line(error)}; such as s3://bucket/folder") from None
        self._root = f"{root.rstrip('/')}/{name}"
        protocols = self._files.protocol
        self._flat = bool(FLAT & {*([protocols] if isinstance(protocols, str) else protocols)})

    def check(self) -> None:
        """Writes, reads and removes a small object; raises whatever goes wrong."""
        self.write(PROBE, b"reachable\n")
        if self.read(PROBE) != b"reachable\n":
            raise OSError("what was written there is not what is read")
        self._files.rm_file(self._path(PROBE))

    def read(self, name: str) -> bytes | None:
        """The content of a small object; None where there is none, or one that is no record.

        Raises:
            Exception: of the store.
        """
        self._files.invalidate_cache()
        try:
            if self._files.info(self._path(name))["size"] > MAX_RECORD_BYTES:
                return b""
            content = self._files.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        return bytes(content)

    def write(self, name: str, content: bytes) -> None:
        """Writes a small object, whole or not at all.

        Raises:
            Exception: of the store.
        """
        folder, _, last = name.rpartition("/")
        temporary = f"{folder}/.{last}-uploading".lstrip("/")
        self._make_folder(folder)
        self._files.pipe_file(self._path(temporary), content)
        self._move(temporary, name)

    def upload(self, folder: Path, names: Collection[str], record: bytes) -> None:
        """Writes a checkpoint, in the place of an older one of its name; what the older one has is not sent again.

        Args:
            folder: `models/weights_<epoch>` of the run.
            names: of its files, without the record.
            record: content of its record, read before any of the files.

        Raises:
            ChangedError: the folder was replaced meanwhile; nothing there has changed.
            Exception: of the store, or of the disk.
        """
        target, stage = f"models/{folder.name}", f"models/.{folder.name}-uploading"
        wanted, there = digests_of(record), digests_of(self.read(f"{target}/{RECORD_FILE}"))
        sent = [name for name in names if name not in there or there[name] != wanted.get(name)]
        self._make_folder(stage)
        for name in sent:
            self._files.put_file(str(folder / name), self._path(f"{stage}/{name}"))
            if self._files.info(self._path(f"{stage}/{name}"))["size"] != (folder / name).stat().st_size:
                raise OSError(f"{name} did not arrive whole")
        if (folder / RECORD_FILE).read_bytes() != record:
            raise ChangedError(f"{folder.name} was replaced meanwhile")
        self._make_folder(target)
        self.forget(folder.name, keep=names)
        for name in sent:
            self._move(f"{stage}/{name}", f"{target}/{name}")
        self.write(f"{target}/{RECORD_FILE}", record)
        if not self._flat:
            with contextlib.suppress(Exception):
                self._files.rmdir(self._path(stage))

    def forget(self, name: str, keep: Collection[str] = ()) -> None:
        """Removes a checkpoint: its record first, then the files that the record names.

        Args:
            keep: names of files that stay, to be replaced.

        Raises:
            Exception: of the store.
        """
        record, aside = f"models/{name}/{RECORD_FILE}", f"models/.{name}-replaced.json"
        content = self.read(record)
        if content is not None:
            self._move(record, aside)  # whoever is killed from here on leaves word of what is to be removed
        else:
            content = self.read(aside)
        if content is None:
            return
        for file in digests_of(content):
            if file not in keep and file == os.path.basename(file) and file not in ("", ".", ".."):
                with contextlib.suppress(FileNotFoundError):
                    self._files.rm_file(self._path(f"models/{name}/{file}"))
        self._files.rm_file(self._path(aside))

    def forget_others(self, started: str) -> None:
        """Removes the checkpoints of other runs than the one that was started then.

        Raises:
            Exception: of the store.
        """
        for name in self._checkpoints():
            run = fields(self.read(f"models/{name}/{RECORD_FILE}")).get("run", started)
            if run != started:
                self.forget(name)

    def _checkpoints(self) -> Iterator[str]:
        """The names of folders that may be checkpoints."""
        try:
            found = self._files.ls(self._path("models"), detail=False)
        except FileNotFoundError:
            found = []
        names = sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)
        return (name for name in names if FOLDERS.fullmatch(name))

    def _move(self, name: str, other: str) -> None:
        """Moves an object in one step; in a flat store it is there twice for a moment."""
        if self._flat:
            self._files.cp_file(self._path(name), self._path(other))
            self._files.rm_file(self._path(name))
        else:
            self._files.mv(self._path(name), self._path(other))

    def _make_folder(self, name: str) -> None:
        if not self._flat:  # there it would make a bucket
            self._files.makedirs(self._path(name), exist_ok=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")


def fields(content: bytes | None) -> dict[str, Any]:
    """What a record says, by name; nothing where it is none."""
    try:
        record = json.loads(content or b"")
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def digests_of(content: bytes | None) -> dict[str, Any]:
    """The digests of a checkpoint's files, by name, as its record says; nothing where it is none."""
    files = fields(content).get("files")
    return files if isinstance(files, dict) else {}


def line(error: BaseException) -> str:
    """A short line of what an error says."""
    text = " ".join(str(error).split())[:REASON_SHOWN]
    return text if text and isinstance(error, UserError) else f"{type(error).__name__}{text and ': '}{text}"
