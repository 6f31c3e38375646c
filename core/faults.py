"""Faults that are no bug of ours, in words: what the system and libraries raise for files, disks, memory, packages.

What is not recognised here is a bug, and stays the traceback that it is. Imports nothing that may be missing.
"""

import dataclasses
import errno
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path, PurePath
from types import FrameType
from typing import Any

LINE = 1000  # characters of a message
WORD = 300  # characters of a name in it; of a longer one the middle is left out
ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ("requirements.txt", "requirements-extras.txt", "requirements-onnx.txt")
ENVIRONMENTS = (ROOT / ".venv" / "bin" / "python", ROOT / ".venv" / "Scripts" / "python.exe")
DISTRIBUTIONS = {"cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "PyYAML", "paddle": "paddlepaddle"}
OURS = ("core", "backends", "benchmarks", "tests")
# What moves a cursor, changes colours, or turns the direction of text; not the ends of lines, and tabs.
OBEYED = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]")

# The cure of what the system says of a file.
CURES = {
    errno.ENOENT: "check the path",
    errno.EACCES: "let its owner permit it (`ls -ld` shows who may what), or name another place",
    errno.EPERM: "let its owner permit it (`ls -ld` shows who may what), or name another place",
    errno.ENAMETOOLONG: "shorten it: a name may have 255 bytes on most disks, a path 4096",
    errno.EROFS: "name a place on another disk",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "a file stands where a folder is needed: check the path",
    errno.EEXIST: "rename what has the name, or name another place",
    errno.ELOOP: "its links lead in a circle: check the path",
    errno.EIO: "the disk may be damaged: try again, or take another",
    errno.EMFILE: "raise the limit: `ulimit -n 4096`",
    errno.ENFILE: "end other programs",
    errno.EBUSY: "end the program that uses it, or name another place",
    errno.EAGAIN: "end other programs and try again",
    errno.EINVAL: "check the path: the system refuses it, or what is done with it",
    errno.ENOEXEC: "check the path: this machine cannot run it",
    errno.ENOSPC: "make room, or name a place on another disk",
    errno.EDQUOT: "make room in your quota, or name a place on another disk",
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`), or name another place",
}
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# How libraries say them, whose errors are no OSError, or one without a number.
NUMBERED = re.compile(r"\(os error (\d+)\)|\berrno = (\d+)|\[Errno (\d+)\]")
NETWORK = ("socket", "ssl", "urllib.error", "requests.exceptions", "urllib3.exceptions")
TORN = re.compile(
    r"inline_container\.cc.*(unexpected pos|write)|PytorchStreamWriter failed writing|basic_ios::clear",
    re.DOTALL,
)

OUT_OF_MEMORY = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|bad_alloc|ResourceExhausted|insufficient memory"
    r"|fail(ed)? to alloc|unable to allocate|_STATUS_ALLOC_FAILED|memory allocation failure|unable to mmap",
    re.IGNORECASE,
)
OF_A_GPU = re.compile(r"\b(CUDA|GPU|cuDNN|CUBLAS|HIP)", re.IGNORECASE)
AMOUNT = re.compile(r"alloc\w*(?: memory of)? (\d+(?:\.\d+)? ?(?:[KMGTP]i?B|bytes|size)?)", re.IGNORECASE)
# Options that decide over memory, most helpful first, and the smallest value of each.
LOWERED = {"batch_size": 1, "height": 64, "width": 64, "num_workers": 0, "workers": 1, "cache_images": 0}


def printable(text: str, line: int = LINE) -> str:
    """At most a line of printable text: what a file says may hold anything, of any size.

    Of what is too long the middle is left out: file and cure stand at the ends.
    """
    text = _shortened(text, 100 * line)
    text = re.sub(rf"\S{{{WORD + 1},}}", lambda word: _shortened(word[0], WORD), " ".join(text.splitlines()))
    return "".join(c if c.isprintable() else "?" for c in _shortened(text.replace("\t", " "), line))


def harmless(text: str) -> str:
    """A text of any length, with a question mark for what a terminal would obey."""
    return OBEYED.sub("?", text)


def _shortened(text: str, length: int) -> str:
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"


def describe(error: BaseException) -> str | None:
    """A line with file, reason and cure; None for what is a bug."""
    if isinstance(error, ImportError):
        return _missing_module(error)
    if is_out_of_memory(error):
        return _with_notes(_memory(error), error)
    found = as_os_error(error)
    if found is None:
        return None
    name = found.filename if found.filename is not None else _nearby(error)
    what, cure = in_words(found)
    return _with_notes(f"{_name(name)}: {what}; {cure}", error)


def _with_notes(line: str, error: BaseException) -> str:
    return "; ".join([line, *getattr(error, "__notes__", [])])


def _name(name: Any) -> str:
    return os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else "a file or the output"


# --- files and disks ---


def as_os_error(error: BaseException) -> OSError | None:
    """What the system said, where a library passes it on as an error of its own; None for anything else."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if not isinstance(error, OSError | RuntimeError) and type(error).__module__ == "builtins":
        return None
    text = str(error)
    number = NUMBERED.search(text)
    if number is not None:
        return OSError(int(number[1] or number[2] or number[3]), text)
    if TORN.search(text):  # the only thing that PyTorch's writer says of a disk
        return OSError(errno.ENOSPC, text)
    # Of PaddlePaddle, any error of a driver.
    return error if isinstance(error, OSError) and not text.startswith("(External)") else None


def in_words(error: BaseException) -> tuple[str, str]:
    """What happened to a file, and the cure."""
    found = as_os_error(error)
    number = (found.errno if found is not None else None) or 0
    if found is not None and hasattr(found, "cure"):
        return found.strerror or "", found.cure
    if number in CURES and found is not None:
        ours = type(found).__module__.startswith("core.")  # says it better than the system
        return (found.strerror or "", "name a file of data") if ours else (os.strerror(number), CURES[number])
    text = (found.strerror if found is not None else None) or str(error) or type(error).__name__
    network = isinstance(error, ConnectionError | TimeoutError) or type(error).__module__ in NETWORK
    return printable(text, WORD), "check the network" if network else "check the path and the disk"


def why_not_read(error: BaseException) -> str:
    """The rest of "FILE: cannot be read: ": what the system says comes in its words, with the cure."""
    of_system = isinstance(error, OSError) and error.errno is not None
    return "; ".join(in_words(error)) if of_system else str(error)


def why_not_written(error: BaseException, place: Path, needed: int | None = None) -> str:
    """The rest of "FILE: cannot be written".

    Args:
        place: the file or folder that is being written; what is there of it counts as needed.
        needed: bytes, where they are known.
    """
    found = as_os_error(error)
    if found is not None and found.errno in NO_ROOM:
        return f": {os.strerror(found.errno or 0)}: {no_room(place, needed)}"
    return f": {'; '.join(in_words(error))}"


def no_room(place: Path, needed: int | None = None) -> str:
    """What is free and what is needed where a disk is full; see `why_not_written`."""
    folder = place.absolute().parent
    try:
        free = f"{shutil.disk_usage(folder).free >> 20} MiB"
    except OSError:
        free = "nobody knows how many bytes"
    wanted = shown_size(needed) if needed is not None else f"more than {shown_size(_size(place))}"
    return (
        f"{free} are free on the disk of {folder}, and {wanted} are needed; make room (the disk, a quota and a "
        "limit on the size of files count), or choose another folder"
    )


def _size(place: Path) -> int:
    """Bytes of a file, or of all in a folder; of what can be looked at, for this is only told."""
    files = (
        [place]
        if os.path.isfile(place)
        else [Path(name) / file for name, _, files in os.walk(place) for file in files]
    )
    return sum(path.lstat().st_size for path in files if os.path.isfile(path))


def shown_size(size: int) -> str:
    """Bytes, rounded up, as people say them."""
    unit, name = (1 << 20, "MiB") if size >= 1 << 20 else (1 << 10, "KiB")
    return f"{-(-size // unit)} {name}"


def _nearby(error: BaseException) -> Any:
    """The path that was at hand where an error arose that names none: the innermost frame's that has one."""
    for frame in _frames(error):
        for value in frame.f_locals.values():
            if isinstance(value, PurePath):
                return value
    return None


def _frames(error: BaseException) -> Iterator[FrameType]:
    """Innermost first."""
    found, trace = [], error.__traceback__
    while trace is not None:
        found.append(trace.tb_frame)
        trace = trace.tb_next
    return reversed(found)


# --- memory ---


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the machine or a GPU, in any library's words."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    library = isinstance(error, RuntimeError | OSError | SystemError) or type(error).__module__.startswith(
        "cv2"
    )
    return library and OUT_OF_MEMORY.search(str(error)) is not None


def _memory(error: BaseException) -> str:
    text = str(error)
    whose = "GPU memory" if OF_A_GPU.search(text) else "memory"
    amount = AMOUNT.search(text)
    wanted = f": {_amount(amount[1])} more were needed" if amount else ""
    return f"out of {whose}{wanted}; {memory_cure(error)}"


def _amount(text: str) -> str:
    number, _, unit = text.partition(" ")
    plain = number.isdigit() and unit in ("", "bytes", "size")
    return shown_size(int(number)) if plain else text


def memory_cure(error: BaseException) -> str:
    """Which of the script's options are worth lowering; they are found where the error came through."""
    found = (frame.f_locals.get("options") for frame in reversed(list(_frames(error))))
    options = next((one for one in found if dataclasses.is_dataclass(one)), None)
    values = {name: getattr(options, name, None) for name in LOWERED}
    cures = [
        f"--{name} ({value})"
        for name, value in values.items()
        if isinstance(value, int) and not isinstance(value, bool) and value > LOWERED[name]
    ]
    cure = f"lower {' or '.join(cures)}, or end" if cures else "end"
    if OF_A_GPU.search(str(error)) and hasattr(options, "device"):
        return f"{cure} other programs, or take --device cpu"
    return f"{cure} other programs" + ("" if cures else ", or take a machine with more memory")


# --- packages ---


def _missing_module(error: ImportError) -> str | None:
    """What to install, or which Python to call; None where it is our own module that is missing."""
    name = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError):
        if not name or name in OURS or (ROOT / f"{name}.py").exists():
            return None
        return f"{name}: this Python ({sys.executable}) has no such package; {_installation(name)}"
    if re.search(r"shared object|DLL load failed|dlopen|undefined symbol|GLIBC", str(error)):
        return (
            f"{name or 'a package'}: cannot be loaded: {error}; install what is missing, or the package again"
        )
    return None


def _installation(name: str) -> str:
    """The cure: call the Python of `.venv`, where there is one that is not running; else install."""
    package = DISTRIBUTIONS.get(name, name)
    file = next((file for file in REQUIREMENTS if _lists(ROOT / file, package)), None)
    if file == REQUIREMENTS[0] and (cure := forgotten_environment()):
        return cure
    return f"pip install -r {ROOT / file}" if file else f"pip install {package}"


def forgotten_environment() -> str | None:
    """The cure where there is a `.venv` whose Python does not run."""
    for python in ENVIRONMENTS:
        if python.exists() and Path(sys.prefix).resolve() != python.parent.parent.resolve():
            return f"call {python} instead"
    return None


def _lists(file: Path, package: str) -> bool:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return False
    return re.search(rf"^{re.escape(package)}\b(?!-)", text, re.MULTILINE | re.IGNORECASE) is not None
