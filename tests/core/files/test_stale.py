"""What a killed process left beside its results goes with the next run; what another is writing stays."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from core.files import stale
from core.files.arrays import save_array
from core.files.whole import add_files_atomically, write_atomically, write_folder_atomically, write_text
from core.weights.h5 import write_h5
from core.weights.safetensors_file import write_safetensors
from tests.conftest import ROOT

DIES = """
import os, signal, sys
from pathlib import Path
from core.files.whole import add_files_atomically, write_atomically, write_folder_atomically

def die(path):
    (path / "half" if path.is_dir() else path).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

{write}(Path(sys.argv[1]), die)
"""


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """As if no folder had been looked at yet."""
    stale._looked.clear()
    yield
    stale._looked.clear()


def test_files_and_folders_of_the_dead_go_and_nothing_else(tmp_path: Path) -> None:
    left = [tmp_path / f".depth{stale.MARK}abcd_123.onnx", tmp_path / f".a.b{stale.MARK}abcd1234"]
    folder = tmp_path / f".splits{stale.MARK}wxyz0123"
    folder.mkdir()
    (folder / "train_files.txt").touch()
    kept = [
        tmp_path / name for name in (".depth-abcd1234.onnx", ".config-unfinished", "a-unfinished-abcd1234")
    ]
    for file in (*left, *kept):
        file.touch()
    (tmp_path / f".link{stale.MARK}abcd1234").symlink_to(tmp_path / "a")
    write_text(tmp_path / "new.txt", "whole")
    assert not any(path.exists() for path in (*left, folder))
    assert all(path.exists() for path in kept)
    assert sorted(os.listdir(tmp_path)) == sorted(
        ["new.txt", f".link{stale.MARK}abcd1234", *(path.name for path in kept)]
    )


WRITE: dict[str, Callable[[Path, Callable[[Path], None]], None]] = {
    "file": lambda path, write: write_atomically(path / "a.txt", write),
    "folder": lambda path, write: write_folder_atomically(path / "a", write),
    "files": lambda path, write: add_files_atomically(path, write),
}


@pytest.mark.parametrize("name", WRITE)
def test_what_another_writes_stays(tmp_path: Path, name: str) -> None:
    """A second writer beside the first, which is not yet done: a lock tells."""

    def write(temporary: Path) -> None:
        stale._looked.clear()
        write_text(tmp_path / "other.txt", "whole")
        assert temporary.exists()
        (temporary / "b.txt" if temporary.is_dir() else temporary).write_text("whole")

    WRITE[name](tmp_path, write)
    assert not list(tmp_path.glob(".*")) and len(list(tmp_path.iterdir())) == 2


def test_libraries_write_into_a_locked_file(tmp_path: Path) -> None:
    arrays = {"one": np.ones((3, 4), np.float32)}
    write_h5(tmp_path / "a.h5", arrays)
    write_safetensors(tmp_path / "a.safetensors", arrays)
    save_array(tmp_path / "a.npy", arrays["one"])
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_is_looked_at_once_in_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    scandir = os.scandir
    monkeypatch.setattr(stale.os, "scandir", lambda folder: looked.append(folder) or scandir(folder))
    for number in range(5):
        write_text(tmp_path / f"{number}.txt", "whole")
    assert looked == [tmp_path]


def test_without_locks_nothing_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale, "fcntl", None)
    left = tmp_path / f".a{stale.MARK}abcd1234.txt"
    left.touch()
    write_text(tmp_path / "a.txt", "whole")
    write_folder_atomically(tmp_path / "b", lambda folder: (folder / "c").touch())
    assert sorted(os.listdir(tmp_path)) == sorted([left.name, "a.txt", "b"])


def test_a_long_name(tmp_path: Path) -> None:
    """Its temporary file has a shorter one."""
    path = tmp_path / f"{'ä' * 120}.txt"
    write_text(path, "whole")
    assert path.read_text() == "whole" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("write", ["write_atomically", "write_folder_atomically", "add_files_atomically"])
def test_a_kill(tmp_path: Path, write: str) -> None:
    """A process that dies as `kill -9` lets it; the next one clears."""
    target = tmp_path if write == "add_files_atomically" else tmp_path / "a.txt"
    done = subprocess.run([sys.executable, "-c", DIES.format(write=write), str(target)], cwd=ROOT)
    assert done.returncode < 0 and len(list(tmp_path.glob(".*"))) == 1
    write_text(tmp_path / "b.txt", "whole")
    assert os.listdir(tmp_path) == ["b.txt"]
