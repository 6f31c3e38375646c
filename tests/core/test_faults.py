"""What the system and libraries raise ends in one line where all scripts start; a bug stays a traceback."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from core import faults
from core.errors import NO_READER, UserError, run
from core.files.whole import write_atomically, write_bytes, write_folder_atomically
from core.plausibility import checks
from core.training.log import RunLog
from core.weights.h5 import write_h5
from core.weights.safetensors_file import write_safetensors
from tests.core.files.test_full_disk import room_for
from tests.scripts import ROOT, assert_says, refused


@pytest.fixture
def ended(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a main function that must end with a code and one line on stderr, and returns the line."""

    def end(main: Callable[[], object], code: int = 2) -> str:
        with pytest.raises(SystemExit) as exit_:
            run(lambda argv: main())  # type: ignore[arg-type, return-value]
        assert exit_.value.code == code
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and lines[0].isprintable() and len(lines[0]) <= faults.LINE + 7, lines
        return lines[0].removeprefix("error: ")

    return end


def fail(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


def of_library(kind: str, module: str, base: type[Exception], text: str) -> Exception:
    """An error of a library that is not here, or not to be imported."""
    return type(kind, (base,), {"__module__": module})(text)


# ---- files ---------------------------------------------------------------------------------------------------


@pytest.fixture
def forbidden(tmp_path: Path) -> Iterator[Path]:
    """A folder that may not be looked into, also for who may everything."""
    folder = tmp_path / "forbidden"
    (folder / "inside").mkdir(parents=True)
    folder.chmod(0)
    import tqdm.std  # noqa: F401  # before it may not be read

    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    folder.chmod(0o700)


@pytest.mark.parametrize("look", [Path.is_file, Path.exists, os.listdir, Path.read_bytes, Path.mkdir])
def test_a_folder_without_permission(ended, forbidden: Path, look: Callable[[Path], object]) -> None:
    path = forbidden / "inside" / "x"
    assert_says(ended(lambda: look(path)), f"{path}: Permission denied", "let its owner permit it")


def test_a_folder_that_takes_no_files(ended, forbidden: Path) -> None:
    """Of a result, of a folder of weights, of a log, and of a run."""
    for write in (
        lambda: write_bytes(forbidden / "a" / "b.npy", b"x"),
        lambda: write_folder_atomically(forbidden / "models" / "weights_0", lambda folder: None),
        lambda: RunLog(forbidden / "run", 1),
    ):
        assert_says(ended(write), f"{forbidden}", "cannot be written: Permission denied; let its owner")


@pytest.mark.parametrize("text", ["n" * 256, "é" * 200])
def test_a_long_name(ended, tmp_path: Path, text: str) -> None:
    says = ended(lambda: (tmp_path / text).is_file() or (tmp_path / text).read_bytes())
    assert_says(says, text[:50], "File name too long", "a name may have 255 bytes")
    assert_says(
        ended(lambda: write_bytes(tmp_path / text, b"")), "cannot be written: File name too long", "255"
    )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EROFS, "another disk"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENOSPC, "make room"),
        (errno.EIO, "the disk may be damaged"),
        (errno.ENOTDIR, "check the path"),
        (errno.EOWNERDEAD, "check the path and the disk"),
    ],
)
def test_what_the_system_says(ended, tmp_path: Path, number: int, cure: str) -> None:
    path = tmp_path / "a"
    assert_says(
        ended(fail(OSError(number, os.strerror(number), path))), f"{path}: {os.strerror(number)}; ", cure
    )


def test_an_error_that_names_no_file(ended, tmp_path: Path) -> None:
    """The path that was at hand where it arose is named; where none was, that is said, too."""
    with room_for(10):
        assert_says(ended(lambda: (tmp_path / "a").write_bytes(b"x" * 100)), tmp_path / "a", "File too large")
    said = ended(fail(OSError(errno.EIO, "x")))
    assert_says(said, "a file or the output: Input/output error")
    assert_says(
        ended(fail(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))), "check the network"
    )


def test_notes_say_where(ended) -> None:
    error = OSError(errno.EIO, "x", "a.png")
    error.add_note("while loading image 3 of split eigen")
    assert_says(ended(fail(error)), "a.png: Input/output error; ", "while loading image 3")


@pytest.mark.parametrize(
    "bug",
    [
        TypeError("no"),
        KeyError("[Errno 13] in a text"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        OSError("(External) CUDNN error(3000), CUDNN_STATUS_NOT_SUPPORTED"),
        ModuleNotFoundError("No module named 'core.no'", name="core.no"),
        ModuleNotFoundError("No module named 'trian'", name="train"),
        ImportError("cannot import name 'a' from 'core.errors'", name="core.errors"),
        AssertionError(),
    ],
    ids=repr,
)
def test_a_bug_is_a_traceback(bug: Exception) -> None:
    with pytest.raises(type(bug)) as raised:
        run(lambda argv: fail(bug)())
    assert raised.value is bug


# ---- full disks ----------------------------------------------------------------------------------------------

VALUES = {"a": np.random.default_rng(0).uniform(size=100_000)}


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.safetensors", lambda path: write_safetensors(path, VALUES)),
        ("a.h5", lambda path: write_h5(path, VALUES)),
        ("a.bin", lambda path: write_bytes(path, VALUES["a"].tobytes())),
    ],
)
def test_a_full_disk_says_what_was_needed(ended, tmp_path: Path, name: str, write: Callable) -> None:
    with room_for(300_000):
        said = ended(lambda: write(tmp_path / name))
    assert_says(said, f"{tmp_path / name}: cannot be written: ", "MiB are free on the disk of", "needed")
    assert_says(said, "782 KiB" if name == "a.bin" else "more than ", "make room", "or choose another folder")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 3983424 vs 3983320"),
        RuntimeError("basic_ios::clear: iostream error"),  # the same at the end of a file
        RuntimeError("PytorchStreamWriter failed writing file data/7: file write failed"),
        of_library("SafetensorError", "safetensors_rust", Exception, "I/O error: No space (os error 28)"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        of_library("error", "h5py", RuntimeError, "Can't write (errno = 28, error message = '…')"),
    ],
    ids=repr,
)
def test_a_full_disk_in_the_words_of_libraries(ended, tmp_path: Path, error: Exception) -> None:
    def fill(folder: Path) -> None:
        (folder / "encoder.pth").write_bytes(bytes(5000))
        raise error

    folder = tmp_path / "weights_0"
    said = ended(lambda: write_folder_atomically(folder, fill))
    assert_says(said, f"{folder}: cannot be written: ", "more than 5 KiB are needed", "make room")
    assert_says(ended(lambda: write_folder_atomically(folder, fill, 3 << 20)), "and 3 MiB are needed")
    assert os.listdir(tmp_path) == []


def test_a_bug_in_a_writer_is_none_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        write_atomically(tmp_path / "a", fail_with(RuntimeError("mat1 and mat2 shapes cannot be multiplied")))


def fail_with(error: Exception) -> Callable[[Path], None]:
    return lambda path: fail(error)()


def test_a_full_disk_under_the_numbers_of_a_run(ended, tmp_path: Path) -> None:
    def train() -> None:
        with RunLog(tmp_path, 100) as log:
            for step in range(100):
                log.scalars(step, "train", {"loss": 0.123456789})

    with room_for(2000):
        said = ended(train)
    assert_says(said, f"{tmp_path / 'scalars.jsonl'}: cannot be written: ", "are needed", "make room")


# ---- memory --------------------------------------------------------------------------------------------------


@dataclass
class SomeOptions:
    """As a script has."""

    batch_size: int = 12
    height: int = 192
    width: int = 640
    num_workers: int = 0


TORCH_GPU = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of"
TORCH_CPU = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1073741824 bytes."
PADDLE_GPU = "ResourceExhaustedError: Out of memory error on GPU 0. Cannot allocate 3.5GB memory on GPU 0"
PADDLE_CPU = "(ResourceExhausted) Fail to alloc memory of 4194304 size, error code is 12."
OPENCV = "(-4:Insufficient memory) Failed to allocate 40 bytes in function 'OutOfMemoryError'"


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (MemoryError(), ["out of memory; lower"]),
        (RuntimeError(TORCH_CPU), ["out of memory: 1024 MiB"]),
        (of_library("OutOfMemoryError", "torch", RuntimeError, TORCH_GPU), ["out of GPU memory: 2.50 GiB"]),
        (of_library("AcceleratorError", "torch", RuntimeError, "CUDA error: out of memory"), ["GPU memory"]),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), ["GPU memory"]),
        (MemoryError(PADDLE_CPU), ["out of memory: 4 MiB"]),
        (MemoryError(PADDLE_GPU), ["out of GPU memory: 3.5GB"]),
        (OSError("(External) CUDA error(2), out of memory."), ["GPU memory"]),
        (SystemError("(Fatal) Memory allocation failure"), ["out of memory"]),
        (OSError(errno.ENOMEM, "Cannot allocate memory", "a.npy"), ["out of memory"]),
        (RuntimeError("std::bad_alloc"), ["out of memory"]),
        (of_library("error", "cv2", Exception, OPENCV), ["1 KiB"]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_out_of_memory(ended, error: Exception, parts: list[str]) -> None:
    """The options that the script runs with, and are worth lowering."""

    def train(options: SomeOptions) -> None:
        fail(error)()

    said = ended(lambda: train(SomeOptions()))
    assert_says(
        said, *parts, "lower --batch_size (12) or --height (192) or --width (640), or end other programs"
    )
    assert "num_workers" not in said


def test_out_of_memory_where_nothing_can_be_lowered(ended) -> None:
    assert_says(ended(fail(MemoryError())), "out of memory; end other programs, or take a machine with more")


def test_out_of_memory_in_prediction(ended) -> None:
    """The script's own options count, not those that its model was trained with."""

    @dataclass
    class Asked:
        batch_size: int = 1
        device: str = "auto"

    def predict(options: SomeOptions) -> None:
        fail(RuntimeError(TORCH_GPU))()

    def script(options: Asked) -> None:
        predict(SomeOptions())

    said = ended(lambda: script(Asked()))
    assert_says(
        said, "out of GPU memory: 2.50 GiB more were needed; end other programs, or take --device cpu"
    )


def test_out_of_memory_where_an_image_is_decoded(
    ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from core.files.images import load_image

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "load", lambda image: fail(MemoryError())())
    assert_says(
        ended(lambda: load_image(tmp_path / "a.png")), "out of memory", f"decoding {tmp_path / 'a.png'}"
    )


# ---- packages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "cure"),
    [
        ("numpy", "requirements.txt"),
        ("PIL.Image", "requirements.txt"),
        ("cv2", "requirements.txt"),
        ("torch.nn", "requirements.txt"),
        ("tqdm", "requirements.txt"),
        ("onnx", "requirements-onnx.txt"),
        ("wandb", "requirements-extras.txt"),
        ("onnxslim", "pip install onnxslim"),
    ],
)
def test_a_package_is_missing(
    ended, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, cure: str
) -> None:
    monkeypatch.setattr(faults, "ENVIRONMENTS", ())
    error = ModuleNotFoundError(f"No module named {module!r}", name=module)
    said = ended(fail(error))
    assert_says(
        said, f"{module.split('.')[0]}: this Python", sys.executable, "no such package; pip install", cure
    )


def test_the_python_of_the_environment_is_forgotten(ended, monkeypatch, tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(faults, "ENVIRONMENTS", (python,))
    assert_says(ended(fail(ModuleNotFoundError("x", name="numpy"))), f"call {python} instead")
    assert_says(ended(fail(ModuleNotFoundError("x", name="wandb"))), "pip install -r", "extras")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert_says(ended(fail(ModuleNotFoundError("x", name="numpy"))), "pip install -r")


def test_a_package_that_cannot_be_loaded(ended) -> None:
    text = "libGL.so.1: cannot open shared object file: No such file or directory"
    assert_says(ended(fail(ImportError(text, name="cv2"))), "cv2: cannot be loaded: libGL.so.1")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("predict.py", ["--image_path", "a.jpg", "--load_weights_folder", "w"]),
        ("evaluate_pose.py", ["--load_weights_folder", "w", "--data_path", "d"]),
    ],
)
def test_scripts_without_any_package(tmp_path: Path, script: str, words: list[str]) -> None:
    packages = ("numpy", "PIL", "cv2", "tqdm", "yaml", "torch", "paddle", "h5py", "filelock", "pooch")
    (tmp_path / "a.jpg").touch()
    said = refused(script, *words, folder=tmp_path, without=packages, here=True)
    assert_says(said, ": this Python", "no such package")


# ---- the output ----------------------------------------------------------------------------------------------


class Pipe:
    """Standard output as a pipe whose reader is gone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: str | None = None) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        if path is not None:
            os.close(writer)
            writer = os.open(path, os.O_WRONLY)
        self.stream = os.fdopen(writer, "w")
        monkeypatch.setattr(sys, "stdout", self.stream)


@pytest.mark.parametrize("lines", [1, 100_000])
@pytest.mark.parametrize("end", [None, 0, 1])
def test_nobody_reads_the_output(monkeypatch, capfd, lines: int, end: int | None) -> None:
    """Silently, as after `| head -1`; whether the output was still in memory or not."""
    pipe = Pipe(monkeypatch)

    def main(argv: list[str] | None) -> None:
        for _ in range(lines):
            print("some line of help")
        if end is not None:
            sys.exit(end)

    with pytest.raises(SystemExit) as exit_:
        run(main)
    pipe.stream.close()
    assert exit_.value.code == NO_READER and capfd.readouterr().err == ""


def test_another_pipe_is_broken(ended) -> None:
    """Of a worker's, say: the output is read."""
    assert_says(ended(fail(BrokenPipeError(errno.EPIPE, "Broken pipe"))), "Broken pipe")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("lines", [1, 100_000])
def test_the_disk_of_the_output_is_full(monkeypatch, ended, lines: int) -> None:
    pipe = Pipe(monkeypatch, "/dev/full")
    said = ended(lambda: [print("line") for _ in range(lines)])
    assert_says(said, "No space left on device; make room")
    pipe.stream.close()


def test_an_output_of_few_characters(monkeypatch, capfd, tmp_path: Path) -> None:
    """A terminal without Unicode, or a name that is no text."""
    with (tmp_path / "out").open("w", encoding="ascii") as out:
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(SystemExit) as exit_:
            run(lambda argv: print("640×192 \udcff"))
    assert exit_.value.code == 0 and (tmp_path / "out").read_text() == "640\\xd7192 \\udcff\n"


def test_help_into_a_closed_pipe() -> None:
    """In a process: what Python itself says when it ends."""
    reader, writer = os.pipe()
    os.close(reader)
    script = [sys.executable, ROOT / "train.py", "--help"]
    done = subprocess.run(script, stdout=writer, stderr=subprocess.PIPE, timeout=120)
    os.close(writer)
    assert done.stderr == b"" and done.returncode in (0, NO_READER)  # argparse passes over it, or not


# ---- what a file puts into a message ---------------------------------------------------------------------------


HOSTILE = [
    *("\x1b[2J\x1b[31mred", "a\x07\x00b", "\u202egnp.exe", "\x9b31m", "a\u2028b", "\udc80", "a\rb\x0cc\x85d"),
    *("n" * 60_000, "n " * 30_000),
]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name[:10]))
@pytest.mark.parametrize("kind", [UserError, OSError, KeyboardInterrupt])
def test_messages_are_a_line_of_printable_text(ended, name: str, kind: type[Exception]) -> None:
    error = (
        OSError(errno.EIO, "x", f"file {name}") if kind is OSError else kind(f"file {name}: damaged; copy it")
    )
    said = ended(fail(error), 130 if kind is KeyboardInterrupt else 2)
    assert said.startswith("file ")
    assert said.endswith("or take another" if kind is OSError else "damaged; copy it")


@pytest.mark.parametrize("name", HOSTILE[:7], ids=lambda name: repr(name[:10]))
def test_what_is_printed_is_obeyed_by_no_terminal(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Tables and summaries name drives and images, too, and warnings of checks say what is in lists."""

    def main(argv: list[str] | None) -> None:
        print(f"640×192\t{name}\nlast")
        checks.begin(None)
        checks.unlikely("kitti_rig", f"{name}: odd")

    with pytest.raises(SystemExit) as exit_:
        run(main)
    said = capsys.readouterr()
    first, last = said.out.rstrip("\n").split("\n")
    assert exit_.value.code == 0 and first.startswith("640×192\t") and last == "last"
    assert all(c.isprintable() or "\ud800" <= c <= "\udfff" for c in first.replace("\t", ""))
    assert said.err.startswith("warning: ") and said.err.rstrip("\n").isprintable()


def test_short_messages_stay_as_they_are() -> None:
    text = "a/é/日本.png: no such image; check the path — 640×192"
    assert faults.printable(text) == text
    assert faults.printable("a\nb\tc  d\r\ne") == "a b c  d e"
    assert len(faults.printable("x" * 10**7)) <= faults.WORD
