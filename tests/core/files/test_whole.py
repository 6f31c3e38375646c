"""Files and folders that are whole or absent; names and shapes compared strictly."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from core.errors import UserError
from core.files import stale, whole
from core.files.whole import (
    add_files_atomically,
    check_names,
    find_weights,
    weights_folder,
    write_atomically,
    write_folder_atomically,
    write_text,
)
from tests.powers import forbidden, powerless


class BrokenDiskError(Exception):
    """What a failing writer raises."""


def fail_halfway(path: Path) -> None:
    path.write_text("half")
    raise BrokenDiskError


def fail_halfway_in_folder(folder: Path) -> None:
    (folder / "encoder.pth").write_text("half")
    raise BrokenDiskError


def test_write(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.npy"
    seen = []

    def write(temporary: Path) -> None:
        seen.append(temporary)
        temporary.write_text("whole")

    write_atomically(path, write)
    assert path.read_text() == "whole"
    assert seen[0].parent == path.parent and seen[0].suffix == ".npy"
    assert os.listdir(path.parent) == ["file.npy"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_failing_writer_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BrokenDiskError):
        write_atomically(tmp_path / "file", fail_halfway)
    assert os.listdir(tmp_path) == []


def test_failing_writer_keeps_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(BrokenDiskError):
        write_atomically(path, fail_halfway)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_unwritable_place_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "below", lambda path: None)
    with pytest.raises(UserError, match="cannot be written"):
        write_folder_atomically(tmp_path / "file" / "below", lambda path: None)


def test_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = weights_folder(tmp_path, 3)
    assert folder == tmp_path / "models" / "weights_3"
    write_folder_atomically(folder, lambda new: (new / "encoder.pth").touch())
    write_folder_atomically(folder, lambda new: (new / "depth.pth").touch())
    assert os.listdir(folder) == ["depth.pth"]
    assert os.listdir(folder.parent) == ["weights_3"]
    assert folder.stat().st_mode & 0o777 == 0o777 & ~current_umask()


@pytest.mark.parametrize("mode", [0, 0o444, 0o555])
def test_a_folder_that_is_protected_is_not_replaced(tmp_path: Path, mode: int) -> None:
    """It could be given another name, but what is in it could not be removed, and would stay under a hidden one."""
    folder, made = tmp_path / "weights_0", []
    write_folder_atomically(folder, lambda temporary: fill(temporary, b"old"))
    with forbidden(folder, mode), pytest.raises(UserError, match="weights_0: cannot be written: Permission"):
        write_folder_atomically(folder, made.append)
    assert not made and os.listdir(tmp_path) == ["weights_0"] and (folder / "a.bin").read_bytes() == b"old"


@pytest.mark.parametrize("mode", [0, 0o444, 0o555])
def test_what_is_protected_in_a_folder_does_not_stay_hidden(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "weights_0"
    (folder / "own").mkdir(parents=True)
    (folder / "own" / "notes.txt").touch()
    (folder / "own").chmod(mode)
    with powerless():
        write_folder_atomically(folder, lambda temporary: fill(temporary, b"new"))
    assert os.listdir(tmp_path) == ["weights_0"] and os.listdir(folder) == ["a.bin"]


def fill(folder: Path, content: bytes) -> None:
    (folder / "a.bin").write_bytes(content)


def test_failing_fill_keeps_the_older_folder(tmp_path: Path) -> None:
    folder = tmp_path / "weights_0"
    with pytest.raises(BrokenDiskError):
        write_folder_atomically(folder, fail_halfway_in_folder)
    assert os.listdir(tmp_path) == []
    write_folder_atomically(folder, lambda new: (new / "encoder.pth").write_text("old"))
    with pytest.raises(BrokenDiskError):
        write_folder_atomically(folder, fail_halfway_in_folder)
    assert (folder / "encoder.pth").read_text() == "old"
    assert os.listdir(tmp_path) == ["weights_0"]


def names_at_every_call(tmp_path: Path, name: str) -> list[bool]:
    """Whether a folder of that name was there at every call that Python's audit saw while it was replaced."""
    seen: list[bool] = []
    watching = True

    def hook(event: str, arguments: tuple) -> None:
        if watching and event in ("open", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"):
            seen.append((tmp_path / name / "encoder.pth").exists())

    sys.addaudithook(hook)
    write_folder_atomically(tmp_path / name, lambda new: (new / "encoder.pth").write_text("new"))
    watching = False
    return seen


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux exchanges two folders in one step"
)
def test_a_folder_is_there_at_every_moment(tmp_path: Path) -> None:
    write_folder_atomically(tmp_path / "best", lambda new: (new / "encoder.pth").write_text("old"))
    seen = names_at_every_call(tmp_path, "best")
    assert len(seen) > 3 and all(seen)
    assert (tmp_path / "best" / "encoder.pth").read_text() == "new" and os.listdir(tmp_path) == ["best"]


def test_without_an_exchange_the_folder_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.files.whole._exchange", lambda one, other: False)
    for text in ("old", "new"):
        write_folder_atomically(
            tmp_path / "best", lambda new, text=text: (new / "encoder.pth").write_text(text)
        )
    assert (tmp_path / "best" / "encoder.pth").read_text() == "new" and os.listdir(tmp_path) == ["best"]


def test_failing_rename_brings_the_older_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.files.whole._exchange", lambda one, other: False)
    folder = tmp_path / "weights_0"
    write_folder_atomically(folder, lambda new: (new / "encoder.pth").write_text("old"))
    rename, calls = os.rename, []

    def fail_once(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError("no space")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_once)
    with pytest.raises(UserError, match="no space"):
        write_folder_atomically(folder, lambda new: (new / "encoder.pth").write_text("new"))
    assert (folder / "encoder.pth").read_text() == "old"
    assert os.listdir(tmp_path) == ["weights_0"]


@pytest.mark.parametrize("link", [False, True])
def test_a_folder_that_cannot_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: bool) -> None:
    """A link, or the current folder as `.`."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "real")
    with pytest.raises(UserError, match="cannot be written"):
        write_folder_atomically(tmp_path / "link" if link else Path("."), lambda new: (new / "a").touch())
    assert sorted(os.listdir(tmp_path)) == ["link", "real"] and os.listdir(tmp_path / "real") == []


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a").write_text("old")

    def fill(folder: Path) -> None:
        for name in "ab":
            (folder / name).write_text("new")

    with pytest.raises(UserError, match="b: is a folder; rename or remove it"):
        add_files_atomically(tmp_path, fill)
    assert (tmp_path / "a").read_text() == "old" and sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_find_weights(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder of weights"):
        find_weights(tmp_path / "absent", ["encoder"], ".pth")
    (tmp_path / "encoder.pth").touch()
    with pytest.raises(UserError, match=r"lacks depth\.pth, pose\.pth; it holds encoder\.pth"):
        find_weights(tmp_path, ["encoder", "depth", "pose"], ".pth")
    assert find_weights(tmp_path, ["encoder"], ".pth") == {"encoder": tmp_path / "encoder.pth"}


def test_find_weights_of_the_other_backend(tmp_path: Path) -> None:
    for file in ("encoder.pth", "encoder.pdparams", "depth.safetensors", "depth.txt"):
        (tmp_path / file).touch()
    for extension in (".pth", ".pdparams"):
        assert find_weights(tmp_path, ["encoder", "depth"], extension) == {
            "encoder": tmp_path / f"encoder{extension}",
            "depth": tmp_path / "depth.safetensors",
        }
    (tmp_path / "encoder.pth").unlink()
    assert find_weights(tmp_path, ["encoder"], ".pth") == {"encoder": tmp_path / "encoder.pdparams"}
    (tmp_path / "mask.h5").touch()
    assert find_weights(tmp_path, ["mask"], ".pth") == {"mask": tmp_path / "mask.h5"}
    with pytest.raises(UserError, match=r"lacks pose\.pth; it holds"):
        find_weights(tmp_path, ["encoder", "pose"], ".pth")


def test_check_names() -> None:
    expected = {"conv.weight": (4, 3, 3, 3), "conv.bias": (4,), "step": ()}
    check_names(expected, dict(reversed(expected.items())), "f")
    check_names({**expected, "fc.weight": (2,)}, expected, "f", ignore={"fc.weight"})
    with pytest.raises(UserError) as error:
        check_names({"conv.weight": (4, 6, 3, 3), "fc": (1,), "step": ()}, expected, "encoder.pth")
    message = str(error.value)
    assert message.startswith("encoder.pth: ")
    assert "1 missing: conv.bias" in message
    assert "1 unexpected: fc" in message
    assert "1 of another shape: conv.weight (4×6×3×3, needed 4×3×3×3)" in message


def test_check_names_shows_the_first_and_the_count() -> None:
    with pytest.raises(UserError, match=r"20 missing: n0, n1, n2, n3, n4, …"):
        check_names({}, {f"n{i}": (1,) for i in range(20)}, "f")


def test_where_folders_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows: neither opened nor flushed; files are, by a handle that may write."""
    opened: list[tuple[Path, int]] = []
    opening = os.open

    def windows(path: Path, flags: int, *more: Any, **named: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        opened.append((Path(path), flags & (os.O_RDWR | os.O_WRONLY)))
        return opening(path, flags, *more, **named)

    monkeypatch.setattr(whole, "WINDOWS", True)
    monkeypatch.setattr(stale, "fcntl", None)
    monkeypatch.setattr(os, "open", windows)
    write_text(tmp_path / "a.txt", "whole")
    write_folder_atomically(tmp_path / "b", lambda folder: (folder / "c").write_text("whole") and None)
    write_folder_atomically(tmp_path / "b", lambda folder: (folder / "c").write_text("newer") and None)
    assert (tmp_path / "a.txt").read_text() == "whole" and os.listdir(tmp_path / "b") == ["c"]
    assert opened and all(flags for _, flags in opened)
