"""Checkpoints kept in an object store as well (`--s3_path`): sent by a thread, and never at the cost of the run.

The thread compares the run folder with the store and sends what is missing there, after every checkpoint and at the
end. So whatever failed, or was killed, is made up for the next time. Imports neither NumPy nor a framework.
"""

import contextlib
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from core.errors import UserError
from core.files.listing import entries
from core.files.whole import weights_folder
from core.options import Options
from core.training.log import SCALARS
from core.training.remote import Remote, digests_of, fields, line
from core.training.resume import RECORD_FILE, RUN_FILE, STATE_FILE, UNREADABLE, Checkpoint, Run

PAUSES = (1.0, 4.0, 16.0)  # seconds before another try
CHECK_SECONDS = 60.0  # for a store to answer before a training begins
END_SECONDS = 600.0  # for uploads to be finished after the last step
STOP_SECONDS = 30.0  # the same, where the run was stopped or failed
SLOW_SECONDS = 900.0  # of one upload, after which the log says so
FILES = (RUN_FILE, "options.yaml", SCALARS)
EPOCH = re.compile(r"weights_(\d+)")
AGAIN = "the run itself is whole, and the next checkpoint, or --resume, tries again"


class Store:
    """Sends the checkpoints of a run to where its options say; a context manager for the time that the run takes.

    Args:
        options: of the run; without `s3_path` all of this does nothing.
        folder: of the run.
        started: `Run.started`.
        overwrite: whether another run may be replaced there.
        wanted: False for a process that only helps another.
    """

    def __init__(
        self, options: Options, folder: Path, started: str, overwrite: bool = False, wanted: bool = True
    ) -> None:
        self.options, self.folder = options, folder
        self._started, self._overwrite = started, overwrite
        self._wanted = wanted and options.s3_path is not None
        self._remote: Remote | None = None
        self._thread: threading.Thread | None = None
        self._asked, self._given_up = threading.Event(), threading.Event()
        self._begun = self._ending = False
        self._due = True  # whether the newest epoch is one to be sent
        self._late: list[
            Path
        ] = []  # what lost its moments here, and must not there before the newest has arrived
        self._sent: dict[str, bytes] = {}  # a file's content, a checkpoint's record
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._busy: tuple[str, float] | None = None  # with what, and since when
        self._slow: tuple[str, float] | None = None  # the one that was said to take long

    def __enter__(self) -> "Store":
        """Makes sure that the store can be reached, and is this run's.

        Raises:
            UserError: it cannot, a package is missing, or another run lies there.
        """
        if self._wanted:
            self._remote = _within(CHECK_SECONDS, self._open, f"option s3_path: {self.options.s3_path}")
            self._thread = threading.Thread(target=self._work, args=(self._remote,), daemon=True)
            self._thread.start()
            self._lines.put(f"checkpoints are kept in {self._remote.url}, too")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finishes what is to be sent, or gives up after a time, and says so."""
        try:
            if self._thread is not None and (self._begun or kind is None):
                self._finish(self._thread, END_SECONDS if kind is None else STOP_SECONDS)
        finally:
            self._given_up.set()  # also where the user's second Ctrl-C ends the waiting
            self._asked.set()

    def saved(self, folder: Path) -> None:
        """A folder of weights is whole now."""
        epoch = EPOCH.fullmatch(folder.name)
        if epoch is not None:
            self._due = self._is_due(int(epoch[1]))
        self._begun = True
        if self._due:
            self._asked.set()

    def needed(self) -> list[Path]:
        """The folder whose moments must stay: of the newest epoch that is to be sent."""
        due = self._due_epochs() if self._wanted else []
        return [weights_folder(self.folder, epoch) for epoch in due[-1:]]

    def news(self) -> list[str]:
        """What is to be said since the last call. The first one begins: the run has its log by then."""
        if self._thread is None:
            return []
        if not self._begun:
            self._begun = True
            self._asked.set()
        busy = self._busy
        if busy is not None and busy != self._slow and time.monotonic() - busy[1] > SLOW_SECONDS:
            self._slow = busy  # said once
            self._lines.put(f"still sending {busy[0]} after {SLOW_SECONDS:g} s")
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(f"store: {self._lines.get_nowait()}")
        return found

    def _open(self) -> Remote:
        """The place in the store, which answers and has no other run.

        Raises:
            UserError: it does not, or has one.
        """
        options = self.options
        remote = Remote(options.s3_path or "", options.model_name, options.s3_url)
        try:
            remote.check()
            content = remote.read(RUN_FILE)
        except Exception as error:  # whatever a store raises
            raise UserError(
                f"option s3_path: {options.s3_path} cannot be written to: {line(error)}; check the address, the "
                "network and the credentials that its package takes from the environment, or leave it out"
            ) from None
        begun = fields(content).get("started")
        if content is not None and begun != self._started and not self._overwrite:
            raise UserError(
                f"option s3_path: {remote.url} holds another run, begun {str(begun)[:40]}; choose another --s3_path or "
                "--model_name, or replace it with --overwrite"
            )
        return remote

    def _is_due(self, epoch: int) -> bool:
        """Whether a checkpoint is the first one at or after a multiple of `s3_frequency`, or the last of the run."""
        done, options = epoch + 1, self.options
        return done == options.num_epochs or done % options.s3_frequency < options.save_frequency

    def _due_epochs(self) -> list[int]:
        """Of the checkpoints that are there those that are to be sent, the newest last."""
        paths = entries(self.folder / "models")
        epochs = sorted(int(epoch[1]) for path in paths if (epoch := EPOCH.fullmatch(path.name)))
        return [epoch for epoch in epochs if self._is_due(epoch)]

    # ---- in the thread ---------------------------------------------------------------------------------------------

    def _work(self, remote: Remote) -> None:
        while not self._given_up.is_set():
            self._asked.wait()
            self._asked.clear()
            last = self._ending  # whatever was saved before, what follows sees
            self._send_all(remote)
            if last:
                return

    def _send_all(self, remote: Remote) -> None:
        """Sends what is missing there, and says what was sent and what could not be."""
        sent: list[str] = []
        unsent: list[str] = []
        reason = ""
        for name, send in self._jobs(remote):
            if self._given_up.is_set():
                return
            self._busy = name, time.monotonic()
            try:
                if self._try(send, pauses=() if unsent else PAUSES):
                    sent.append(name)
            except Exception as error:  # whatever a store, a network or a disk raises
                unsent.append(name)
                reason = reason or line(error)
            self._busy = None
        if sent := [name for name in sent if name not in FILES]:
            self._lines.put(f"sent {', '.join(sent)}")
        if unsent:
            self._lines.put(f"failed: {', '.join(unsent)} ({reason}); {AGAIN}")

    def _try(self, send: Callable[[], bool], pauses: tuple[float, ...]) -> bool:
        """Sends, and tries again after each pause; the last error passes through."""
        for pause in pauses:
            try:
                return send()
            except Exception:  # as above
                if self._given_up.wait(pause):
                    raise
        return send()

    def _jobs(self, remote: Remote) -> Iterator[tuple[str, Callable[[], bool]]]:
        """What may have to be sent, by name; calling it sends, and says whether that was necessary."""
        try:
            if Run.read(self.folder).started != self._started:
                return  # the folder is not this run's: it was refused
        except UserError:
            return
        if self._overwrite:
            yield "removal of an earlier run", partial(self._replace, remote)
        for name in FILES:
            yield name, partial(self._send_file, remote, name)
        due: list[int | str] = [*self._due_epochs()]
        folders = [weights_folder(self.folder, name) for name in (*due, "initial", "best")]
        newest = weights_folder(self.folder, due[-1]) if due else None
        self._late = []
        for folder in folders:
            if folder.is_dir():
                yield folder.name, partial(self._send_checkpoint, remote, folder, newest)
        for folder in [*self._late]:
            yield folder.name, partial(self._send_checkpoint, remote, folder, newest)

    def _replace(self, remote: Remote) -> bool:
        remote.forget_others(self._started)
        self._overwrite = False
        return False

    def _send_file(self, remote: Remote, name: str) -> bool:
        content = (self.folder / name).read_bytes()
        if name == SCALARS:
            content = content[: content.rfind(b"\n") + 1]  # the run is writing it
        if self._sent.get(name) == content:
            return False
        remote.write(name, content)
        self._sent[name] = content
        return True

    def _send_checkpoint(self, remote: Remote, folder: Path, newest: Path | None) -> bool:
        try:
            record = (folder / RECORD_FILE).read_bytes()
            checkpoint, names = Checkpoint.read(folder)
        except UNREADABLE:  # no checkpoint of ours, or one that changes places with another just now
            return False
        if checkpoint.run != self._started or self._sent.get(folder.name) == record:
            return False
        there = remote.read(f"models/{folder.name}/{RECORD_FILE}")
        if there != record:
            lost = STATE_FILE not in names and STATE_FILE in digests_of(there)
            if lost and newest is not None and newest.name not in self._sent:
                self._late.append(folder)
                return False
            remote.upload(folder, names, record)
            self._sent[folder.name] = record
            return not lost
        self._sent[folder.name] = record
        return False

    # ---- at the end ------------------------------------------------------------------------------------------------

    def _finish(self, thread: threading.Thread, seconds: float) -> None:
        self._ending = True
        self._asked.set()
        thread.join(min(seconds, 1.0))
        if thread.is_alive():
            self._tell(f"waiting for uploads, {seconds:g} s at most")
            thread.join(seconds)
        if thread.is_alive():
            busy = self._busy or ("what was left", 0.0)
            self._tell(f"given up after {seconds:g} s, while sending {busy[0]}; {AGAIN}")
        self._tell()

    def _tell(self, *lines: str) -> None:
        for text in (*self.news(), *(f"store: {text}" for text in lines)):
            print(text, flush=True)


def _within(seconds: float, act: Callable[[], Any], what: str) -> Any:
    """What a call returns or raises, in a thread: a network may never answer.

    Raises:
        UserError: it takes longer.
    """
    ended: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            ended.put((act(), None))
        except BaseException as error:
            ended.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        found, error = ended.get(timeout=seconds)
    except queue.Empty:
        raise UserError(
            f"{what} did not answer within {seconds:g} s; check the address and the network, or leave it out"
        ) from None
    if error is not None:
        raise error
    return found
