"""Files that are either whole or absent, folders of weights, and the strict comparison of names and shapes.

Imports neither NumPy nor a framework.
"""

import contextlib
import ctypes
import difflib
import errno
import os
import re
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.faults import as_os_error, no_room, why_not_written
from core.files import stale
from core.files.listing import matching, walk

EXTENSIONS = {"torch": ".pth", "paddle": ".pdparams"}
NAMES_SHOWN = 5
NAME_LENGTH = 80
CONVERTED = (".safetensors", ".h5")

Shape = tuple[int, ...]

ASIDE = re.compile(
    r"\.(.+?)(?:-unfinished)?-old-[a-z0-9_]{8}"
)  # an older folder, while a new one takes its place
WINDOWS = sys.platform == "win32"
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


class NotWrittenError(UserError):
    """A file could not be written.

    Attributes:
        cause: what the system said, for whoever writes a folder of such files, whose name is not yet theirs.
    """

    def __init__(self, message: str, cause: Exception) -> None:
        super().__init__(message)
        self.cause = cause


class _ShortFileError(OSError):
    """What a library wrote is not all there, and it said nothing."""


def write_atomically(
    path: Path,
    write: Callable[[Path], None],
    is_whole: Callable[[Path], bool] | None = None,
    needed: int | None = None,
) -> None:
    """Writes a file so that it is never seen half-written: temporary file in the same folder, fsync, rename.

    Args:
        path: the file; its folder is made when absent.
        write: writes the content to the path it is given, which has the same extension.
        is_whole: reads back what `write` wrote, where that is a library that says nothing of a full disk.
        needed: bytes, for the message of a full disk, where they are known.

    Raises:
        UserError: the folder or the file cannot be written (any OSError, also one of `write`, or what a library
            makes of it), or is not whole. What else `write` raises passes through. In either case an older file
            stays as it was.
    """
    path = Path(path)
    temporary, lock = None, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stale.clear(path.parent)
        temporary, lock = stale.make_file(path)
        os.chmod(temporary, 0o666 & ~_umask())  # 0600 would keep colleagues from reading the result
        write(temporary)
        _synchronise(temporary)
        if is_whole is not None and not is_whole(temporary):
            raise _ShortFileError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.replace(temporary, path)
        _synchronise(path.parent)
    except Exception as error:
        if (said := _not_written(path, error, temporary, needed)) is not None:
            raise said from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        stale.release(lock)


def _not_written(
    path: Path, error: Exception, temporary: Path | None, needed: int | None = None
) -> UserError | None:
    """What to say of what the system said, also by way of a library; None for any other error."""
    cause = error.cause if isinstance(error, NotWrittenError) else error
    if as_os_error(cause) is None:
        return None
    place = temporary or path
    short = isinstance(cause, _ShortFileError)
    why = f" whole: {no_room(place, needed)}" if short else why_not_written(cause, place, needed)
    return NotWrittenError(f"{path}: cannot be written{why}", cause)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file by `write_atomically`: what a library makes in memory is whole in the file, or an error."""
    write_atomically(path, lambda temporary: _write_bytes(temporary, content), needed=len(content))


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def require_writable_folder(folder: Path, name: str) -> None:
    """Makes sure, before the work whose results go there, that a folder is there or can be made.

    Args:
        name: of the option that names it, for the message.

    Raises:
        UserError: it cannot.
    """
    there = next((place for place in (folder, *folder.absolute().parents) if place.exists()), Path("/"))
    if not there.is_dir():
        raise UserError(f"option {name}: {there}: is no folder; name one for the results")
    if not _takes_files(there):
        raise UserError(f"option {name}: {there}: cannot be written to; name another folder")


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8 by `write_atomically`."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def write_yaml(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a YAML file by `write_atomically`; see `yaml_text`."""
    write_text(path, yaml_text(record))


def yaml_text(record: Mapping[str, Any]) -> str:
    """YAML in the order of `record`, in a form that reads back unchanged."""
    import yaml

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True  # a list that stands there twice is written twice: see `core.files.plain_yaml`

    text: str = yaml.dump(dict(record), Dumper=Plain, sort_keys=False, allow_unicode=True)
    if "\x85" in text:  # PyYAML writes this line break unquoted and reads a space
        text = yaml.dump(dict(record), Dumper=Plain, sort_keys=False)
    return text


def write_folder_atomically(folder: Path, fill: Callable[[Path], None], needed: int | None = None) -> None:
    """Writes a folder so that it is never seen half-filled: temporary sibling, fsync of all files, rename.

    An existing folder changes places with the new one in one step, where the system can do that; else it is moved
    aside, and comes back if the rename fails. Then it is removed.

    Args:
        folder: the folder; its parents are made when absent.
        fill: writes the files into the empty folder it is given.
        needed: bytes, for the message of a full disk, where they are known.

    Raises:
        UserError: the folder cannot be written (any OSError, also one of `fill`). What else `fill` raises
            passes through. In either case the older folder stays.
    """
    folder = Path(folder)
    temporary, lock = None, None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        stale.clear(folder.parent)
        _require_replaceable(folder)
        temporary, lock = stale.make_folder(folder.name, folder.parent)
        os.chmod(temporary, 0o777 & ~_umask())
        fill(temporary)
        for place, _, names in walk(temporary):
            for file in [*map(place.joinpath, names), place]:
                _synchronise(file)
        _swap_folders(temporary, folder)
        _synchronise(folder.parent)
    except Exception as error:
        if (said := _not_written(folder, error, temporary, needed)) is not None:
            raise said from error
        raise
    finally:
        if temporary is not None:
            stale.remove_folder(temporary)
        stale.release(lock)


def add_files_atomically(folder: Path, fill: Callable[[Path], None]) -> None:
    """Adds files to a folder, or replaces them, once all of them are whole: none of them is seen half-written.

    Args:
        folder: the folder, which exists.
        fill: writes the files into the empty folder it is given.

    Raises:
        UserError: a file cannot be written (any OSError, also one of `fill`), or a folder has its name. What else
            `fill` raises passes through. In either case the folder stays as it was.
    """
    temporary, lock = None, None
    try:
        stale.clear(folder)
        temporary, lock = stale.make_folder("new", folder)
        fill(temporary)
        files = sorted(temporary.iterdir())
        for file in files:
            if (folder / file.name).is_dir():
                raise UserError(f"{folder / file.name}: is a folder; rename or remove it")
            _synchronise(file)
        for file in files:
            os.replace(file, folder / file.name)
        _synchronise(folder)
    except Exception as error:
        if (said := _not_written(folder, error, temporary)) is not None:
            raise said from error
        raise
    finally:
        if temporary is not None:
            stale.remove_folder(temporary)
        stale.release(lock)


def restore_folders(parent: Path, is_whole: Callable[[Path], bool]) -> None:
    """Brings back the older folder where a process was killed between moving it aside and putting a new one there.

    Args:
        parent: the folder that they lie in.
        is_whole: whether that may be done: it is no rest of a folder that was being removed.
    """
    for aside in matching(Path(parent), ".*-old-????????"):
        match = ASIDE.fullmatch(aside.name)
        target = aside.with_name(match[1]) if match else aside
        if not os.path.lexists(target) and aside.is_dir() and is_whole(aside):
            with contextlib.suppress(OSError):
                os.rename(aside, target)


def _require_replaceable(folder: Path) -> None:
    """Makes sure that an older folder could be removed: whoever takes the right to write in one wants to keep it.

    Raises:
        PermissionError: it could not.
    """
    if os.path.lexists(folder) and not _takes_files(folder):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def _takes_files(folder: Path) -> bool:
    """Whether this process may make, rename and remove files there."""
    effective = os.access in os.supports_effective_ids
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=effective)


def _swap_folders(temporary: Path, folder: Path) -> None:
    if not folder.exists():
        os.rename(temporary, folder)
        return
    if not folder.is_symlink() and _exchange(temporary, folder):
        return
    old = move_aside(folder, "old")
    try:
        os.rename(temporary, folder)
    except OSError:
        os.rename(old, folder)
        raise
    stale.remove_folder(old)


def move_aside(folder: Path, word: str) -> Path:
    """Gives a folder a hidden name of its own beside its old one, in one step; the word says what becomes of it.

    Raises:
        OSError: it cannot be renamed: the current folder, a link, or the root of a disk.
    """
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-{word}-", dir=folder.parent))
    if WINDOWS:
        aside.rmdir()
    try:
        os.rename(folder, aside)  # a folder may be renamed onto an empty one, but for Windows
    except OSError:
        aside.rmdir() if aside.exists() else None
        raise
    return aside


def _exchange(one: Path, other: Path) -> bool:
    """Gives each of two folders the name of the other, in one step; False where the system has no such call.

    Python has none for it; Linux's is renameat2. Elsewhere the older folder is moved aside first.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    sys.audit("os.rename", str(one), str(other), -1, -1)  # as of every other rename
    return int(function(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)) == 0


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _synchronise(path: Path) -> None:
    if WINDOWS and path.is_dir():  # there a folder cannot be opened, and is written by the system itself
        return
    handle = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def weights_folder(run_folder: Path, epoch: int | str) -> Path:
    """`<run_folder>/models/weights_<epoch>`, the epoch counted from 0, or "initial"."""
    return Path(run_folder) / "models" / f"weights_{epoch}"


def find_file(folder: Path, name: str, extension: str) -> Path | None:
    """The file of a network in a folder of weights: with this extension, else with another backend's or a neutral one,
    else None."""
    for candidate in (extension, *EXTENSIONS.values(), *CONVERTED):
        if (Path(folder) / f"{name}{candidate}").is_file():
            return Path(folder) / f"{name}{candidate}"
    return None


def find_weights(
    folder: Path, names: Iterable[str], extension: str, others: Mapping[str, Path] | None = None
) -> dict[str, Path]:
    """The file of each network in a folder of weights, `{name: file}`, by `find_file`.

    Args:
        names: such as `["encoder", "depth"]`.
        extension: `EXTENSIONS[backend]`, preferred.
        others: files that hold several networks, `{name: file}`; then the folder may be such a file itself.

    Raises:
        UserError: no such folder, or files are missing; lists them, and what lies there instead.
    """
    folder, others = Path(folder), others or {}
    if not folder.is_dir() and not others:
        raise UserError(
            f"{folder}: no such folder of weights, such as models/weights_19 of a run; check the path"
        )
    files = {name: find_file(folder, name, extension) or others.get(name) for name in names}
    missing = [f"{name}{extension}" for name, path in files.items() if path is None]
    if missing:
        odd = next((path for path in map(folder.joinpath, missing) if path.exists()), None)
        if odd is not None:
            raise UserError(f"{odd}: is no regular file; write or download it again")
        inside = (path.name for path in folder.iterdir()) if folder.is_dir() else others
        present = sorted(name for name in inside if not name.startswith("."))
        raise UserError(f"{folder}: lacks {', '.join(missing)}; it holds {', '.join(present) or 'nothing'}")
    return {name: path for name, path in files.items() if path is not None}


def check_names(
    found: Mapping[str, Shape],
    expected: Mapping[str, Shape],
    file: Path | str,
    ignore: Collection[str] = (),
    explain: Callable[[Mapping[str, Shape], Mapping[str, Shape]], str] | None = None,
) -> None:
    """Compares the tensors of a file with those of a network: every name once, every shape equal.

    Args:
        found: name to shape in the file.
        expected: name to shape in the network.
        file: for the message.
        ignore: names that may be absent from either side (such as the unused classifier).
        explain: says what such a file looks like instead, and the cure: `core.weights.families.explain`.

    Raises:
        UserError: lists the first missing, unexpected (with the nearest that is missing) and misshapen names and how
            many there are; then what `explain` says.
    """
    found = {name: tuple(shape) for name, shape in found.items() if name not in ignore}
    expected = {name: tuple(shape) for name, shape in expected.items() if name not in ignore}
    misshapen = [
        f"{name} ({_times(found[name])}, needed {_times(expected[name])})"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    missing = [name for name in expected if name not in found]
    problems = [
        *_summary("missing", missing),
        *_summary("unexpected", [name for name in found if name not in expected], missing),
        *_summary("of another shape", misshapen),
    ]
    if problems:
        fault = f"{file}: the weights do not fit the network: {'; '.join(problems)}"
        raise UserError(f"{fault}; {explain(found, expected)}" if explain else fault)


def check_moments(arrays: Mapping[str, Any], shapes: Mapping[str, Shape], file: Path | str) -> None:
    """Makes sure that a training state is complete before any of it is used.

    Args:
        arrays: the file's arrays: `step`, and for each parameter that was ever updated
            `exp_avg/<name>`, `exp_avg_sq/<name>` of its shape and `steps/<name>`.
        shapes: shape of each parameter by name.
        file: for the message.

    Raises:
        UserError: an array is missing or has another shape.
    """
    cure = "remove the file to start with fresh moments"
    needed: dict[str, Shape] = {"step": ()}
    for name, shape in shapes.items():
        if any(f"{key}/{name}" in arrays for key in ("exp_avg", "exp_avg_sq", "steps")):
            needed |= {f"exp_avg/{name}": shape, f"exp_avg_sq/{name}": shape, f"steps/{name}": ()}
    for key, shape in needed.items():
        if key not in arrays:
            raise UserError(f"{file}: lacks {key}; {cure}")
        if tuple(arrays[key].shape) != shape:
            found = _times(tuple(arrays[key].shape))
            raise UserError(f"{file}: {key} has shape {found}, expected {_times(shape)}; {cure}")


def _times(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "scalar"


def _summary(label: str, names: list[str], nearest: list[str] | None = None) -> list[str]:
    """ "20 missing: a, b, …", each name with the one of `nearest` that it may be meant for."""
    if not names:
        return []
    shown = [shown_name(name) + _hint(name, nearest or []) for name in names[:NAMES_SHOWN]]
    return [f"{len(names)} {label}: {', '.join(shown)}{', …' if len(names) > NAMES_SHOWN else ''}"]


def _hint(name: str, names: list[str]) -> str:
    nearest = difflib.get_close_matches(name[:NAME_LENGTH], names, n=1, cutoff=0.8)
    return f" (for {nearest[0]}?)" if nearest else ""


def shown_name(name: str) -> str:
    """A name from a file, which may hold anything."""
    printable = "".join(character if character.isprintable() else "?" for character in name[:NAME_LENGTH])
    return printable if len(name) <= NAME_LENGTH else f"{printable}…"
