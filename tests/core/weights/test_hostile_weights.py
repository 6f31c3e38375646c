"""Files of weights that try something: each ends in one line that names it, at once, and nothing happens."""

import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from core.datasets.ground_truth import load_ground_truth
from core.errors import UserError
from core.weights import read_weights_file
from core.weights.h5 import read_h5
from core.weights.npz import read_npz
from core.weights.pdparams import write_pdparams
from core.weights.pth import read_pth
from tests.conftest import ROOT
from tests.core.payloads import HASHINGS, HEAVY, MARKER, PAYLOADS, object_array
from tests.core.weight_files import Raw, call, name, tensor, whole, write_legacy, write_pth, write_zip
from tests.core.weights import test_weights_h5, test_weights_npz, test_weights_safetensors

ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "v": np.array([1, 2])}
MEMORY = 2 << 30
Outcome = tuple[str | None, float, int, list[str]]  # message, time, memory, events


def write_object_npz(path: Path, payload: bytes, member: str = "data") -> Path:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{member}.npy", header.getvalue() + object_array(payload))
    return path


def state(payload: bytes) -> bytes:
    """The payload among the values of a state dict."""
    return whole({"w": Raw(payload)})


FORMATS: dict[str, Callable[[Path, bytes], Any]] = {
    "pth": lambda path, payload: write_zip(path, state(payload), {"0": bytes(8)}),
    "legacy": lambda path, payload: write_legacy(path, state(payload), {}),
    "pdparams": lambda path, payload: path.write_bytes(state(payload)),
    "npz": write_object_npz,
}

# Reads every file under an audit hook; prints what became of each.
WATCHER = """
import json, os, resource, sys, time
from pathlib import Path
from core.errors import UserError
from core.datasets.ground_truth import load_ground_truth
from core.weights import read_weights_file
from tests.core.payloads import hashing
os.chdir(sys.argv[1])
unit = hashing()
for path in sorted(Path("good").iterdir()):  # everything is imported now
    (load_ground_truth if path.suffix == ".npz" else read_weights_file)(path)
seen = []
def hook(event, arguments):
    harmless = event == "builtins.id" or event == "open" and allowed(*arguments)  # h5py asks for ids
    if watching and not harmless:
        seen.append(f"{event} {arguments!r}"[:200])
def allowed(path, mode, flags):
    inside = isinstance(path, int) or Path(path).parent == Path("bad")
    return inside and not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
watching = False
sys.addaudithook(hook)
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
for path in sorted(Path("bad").iterdir()):
    seen.clear()
    start, watching = time.process_time(), True
    try:
        (load_ground_truth if path.suffix == ".npz" else read_weights_file)(path)
        message = None
    except UserError as error:
        message = str(error)
    watching = False
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    print(json.dumps([path.name, message, (time.process_time() - start) / unit, memory, seen]))
"""


def watched(folder: Path) -> dict[str, Outcome]:
    """What became of each file in `bad`: message, time in `hashing`, peak of memory so far, audit events."""
    good = folder / "good"
    good.mkdir()
    write_pth(good / "a.pth", ARRAYS)
    write_pth(good / "b.pth", ARRAYS, legacy=True)
    write_pdparams(good / "c.pdparams", ARRAYS)
    np.savez_compressed(good / "d.npz", data=np.zeros((1, 2, 2), np.float32))
    save_file(ARRAYS, good / "e.safetensors")
    write_h5(good / "f.h5")
    done = subprocess.run(
        [sys.executable, "-c", WATCHER, str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {file: tuple(rest) for file, *rest in lines}


@pytest.fixture(scope="module")
def pickles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Outcome]]:
    """Payloads in every format of pickles, read by one process; where, and what became of each file."""
    folder = tmp_path_factory.mktemp("pickles")
    return folder, watch_pickles(folder, {kind: attempts_in(kind) for kind in FORMATS})


def attempts_in(kind: str) -> list[str]:
    """The payloads that are tried in a format; the heavy ones take turns."""
    turn = list(FORMATS).index(kind)
    return [one for one in PAYLOADS if one not in HEAVY or HEAVY.index(one) % len(FORMATS) == turn]


def watch_pickles(folder: Path, attempts: dict[str, list[str]]) -> dict[str, Outcome]:
    """What became of payloads, in formats."""
    (folder / "bad").mkdir()
    (folder / "victim").write_text("still here")
    for kind, names in attempts.items():
        suffix = {"legacy": "pth"}.get(kind, kind)
        for number, attempt in enumerate(names):
            FORMATS[kind](folder / "bad" / f"{kind}{number:03}.{suffix}", PAYLOADS[attempt])
    return watched(folder)


@pytest.mark.parametrize("kind", FORMATS)
def test_pickles_that_try_something(pickles: tuple[Path, dict[str, Outcome]], kind: str) -> None:
    folder, outcomes = pickles
    assert len(attempts_in(kind)) > 100
    assert_refused(
        {file: found for file, found in outcomes.items() if file.startswith(kind)}, attempts_in(kind)
    )
    assert not (folder / MARKER).exists() and (folder / "victim").exists()


def assert_refused(outcomes: dict[str, Outcome], attempts: list[str]) -> None:
    """Each file in `bad`, in the order of their names: one line, at once, and nothing happens."""
    for attempt, (file, (message, hashings, memory, events)) in zip(attempts, outcomes.items(), strict=True):
        assert message is not None, f"{attempt}: was read"
        assert message.startswith(f"bad/{file}: ") and message.isprintable() and len(message) < 500, attempt
        assert events == [], attempt
        assert hashings < HASHINGS and memory < MEMORY, attempt


def test_other_formats_that_try_something(tmp_path: Path, zeros: Path) -> None:
    """What their own tests refuse, under the same watch."""
    (tmp_path / "bad").mkdir()
    (tmp_path / "elsewhere").mkdir()
    attempts: list[str] = []

    def place(attempt: str, suffix: str = "") -> Path:
        attempts.append(attempt)
        return tmp_path / "bad" / f"{len(attempts):03}{suffix}"

    for fill, message in test_weights_h5.REFUSED:
        with h5py.File(place(f"h5 that {message}"), "w") as file:
            fill(file, tmp_path / "elsewhere")
    for attempt, lie in test_weights_safetensors.LIES.items():
        test_weights_safetensors.write(place(f"safetensors: {attempt}"), *lie)
    for suffix in ("", ".npz"):
        for row, content in enumerate(test_weights_npz.DAMAGED):
            test_weights_npz.write(place(f"npz {row}", suffix), data=content)
        place("zeros", suffix).write_bytes(zeros.read_bytes())
    overlapping_members(place("members that overlap"))
    endless_members(place("endless list of members"))
    compressed_pth(place("compressed .pth"))
    for kind, write in WRITERS.items():
        write(tmp_path / "whole")
        content = (tmp_path / "whole").read_bytes()
        for part in range(1, 10):
            place(f"{kind}, cut at {part}/10").write_bytes(content[: len(content) * part // 10])
    with place("sparse").open("wb") as sparse:
        sparse.write(b"\x80\x02}q\x00.")
        sparse.truncate(3500 << 20)
    assert len(attempts) > 100
    assert_refused(watched(tmp_path), attempts)


@pytest.mark.parametrize("size", ["3500 << 20", "600 << 20"])
@pytest.mark.parametrize(
    "start", [b"\x80\x04B\0\0\0\x24", b"\x08\0\0\0\0\0\0\0{}      "], ids=["pickle", "safetensors"]
)
def test_more_than_the_memory(tmp_path: Path, size: str, start: bytes) -> None:
    """A sparse file costs its sender nothing."""
    path = tmp_path / "a"
    path.write_bytes(start)
    script = (
        "import os, resource, sys\nfrom core.errors import run\n"
        "from core.weights import pdparams, pth, read_weights_file, safetensors_file\n"
        f"os.truncate(sys.argv[1], {size})\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))\n"
        "run(lambda _: read_weights_file(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        cwd=ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    message = "is larger than weights can be"
    if size.startswith("600"):
        message = "do not end where the file ends" if b"{}" in start else "needs more memory than there is"
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_the_watcher_sees(tmp_path: Path) -> None:
    """The same hook, round a reader that executes what it reads."""
    (tmp_path / "bad").mkdir()
    FORMATS["pdparams"](tmp_path / "bad" / "a.pdparams", PAYLOADS["os.mkdir"])
    unsafe = "import pickle\nread_weights_file = lambda path: pickle.load(path.open('rb'))\n"
    script = WATCHER.replace("watching = False\nsys", f"watching = False\n{unsafe}sys")
    assert script != WATCHER
    (tmp_path / "good").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert "os.mkdir" in done.stdout and (tmp_path / MARKER).is_dir(), done.stderr


def test_too_many_instructions(tmp_path: Path) -> None:
    path = tmp_path / "a.pdparams"
    path.write_bytes(b"\x80\x02" + b"N0" * 600_000 + b".")
    with pytest.raises(UserError, match="more than 1000000 instructions"):
        read_weights_file(path)


def test_payload_in_the_first_pickle_of_an_old_file(tmp_path: Path) -> None:
    good = write_pth(tmp_path / "a.pth", ARRAYS, legacy=True).read_bytes()
    call_of_mkdir = call(name("os", "mkdir"), str(tmp_path / MARKER))
    (tmp_path / "a.pth").write_bytes(whole(call_of_mkdir) + good)
    with pytest.raises(UserError, match=r"asks for os\.mkdir"):
        read_pth(tmp_path / "a.pth")
    assert not (tmp_path / MARKER).exists()


# ---- truncation ------------------------------------------------------------------------------------------


def write_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for key, array in ARRAYS.items():
            file[key] = array


WRITERS: dict[str, Callable[[Path], Any]] = {
    "zip": lambda path: write_pth(path, ARRAYS),
    "legacy": lambda path: write_pth(path, ARRAYS, legacy=True),
    "pdparams": lambda path: write_pdparams(path, ARRAYS),
    "npz": lambda path: np.savez(path.open("wb"), **ARRAYS),
    "compressed npz": lambda path: np.savez_compressed(path.open("wb"), **ARRAYS),
    "safetensors": lambda path: save_file(ARRAYS, path),
    "h5": write_h5,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_truncated_anywhere(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a file"
    WRITERS[kind](path)
    assert read_weights_file(path)["w"].tolist() == ARRAYS["w"].tolist()
    content = path.read_bytes()
    step = 37 if kind == "h5" else 1  # slow to open, and its ends are checked as a whole
    for size in range(0, len(content), step):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match="a file: ") as error:
            read_weights_file(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", WRITERS)
def test_damaged_anywhere(tmp_path: Path, kind: str) -> None:
    """A flipped bit is an error or another number, nothing else."""
    path = tmp_path / "a file"
    WRITERS[kind](path)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(100 if kind == "h5" else 300):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            assert sum(array.size for array in read_weights_file(path).values()) < 100
        except UserError as error:
            assert "\n" not in str(error)


# ---- bombs -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zeros(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some kilobytes that unpack to 300 MiB."""
    path = tmp_path_factory.mktemp("bomb") / "zeros.npz"
    header = io.BytesIO()
    fields = {"descr": "<f4", "fortran_order": False, "shape": (75 << 20,)}
    np.lib.format.write_array_header_1_0(header, fields)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("data.npy", "w") as member:
        member.write(header.getvalue())
        for _ in range(300):
            member.write(bytes(1 << 20))
    return path


def test_npz_that_unpacks_to_far_more_than_it_is(zeros: Path) -> None:
    assert zeros.stat().st_size < 1 << 20
    for read in (read_weights_file, read_npz, load_ground_truth):
        with pytest.raises(UserError, match="claims to unpack to"):
            read(zeros)


def patched(path: Path, signature: bytes, offset: int, value: bytes) -> None:
    """Overwrites a field of every record of a zip file that starts with the signature."""
    content = bytearray(path.read_bytes())
    position = content.find(signature)
    while position >= 0:
        content[position + offset : position + offset + len(value)] = value
        position = content.find(signature, position + 1)
    path.write_bytes(content)


@pytest.mark.parametrize("field", [20, 24, 42], ids=["compressed size", "size", "place"])
def test_zip_records_that_lie(tmp_path: Path, field: int) -> None:
    path = write_pth(tmp_path / "a.pth", ARRAYS)
    patched(path, b"PK\1\2", field, struct.pack("<I", 0xFFFFFFF0))
    with pytest.raises(UserError, match=r"a\.pth: not a readable"):
        read_weights_file(path)


def overlapping_members(path: Path) -> None:
    """Many names for the same bytes: ten kilobytes that unpack to petabytes."""
    body = bytes(4096)
    local = (
        struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, len(body), len(body), 5, 0) + b"x.npy" + body
    )
    directory = b"".join(
        struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 4096, 4096, 9, 0, 0, 0, 0, 0, 0)
        + b"%05d.npy" % row
        for row in range(1000)
    )
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1000, 1000, len(directory), len(local), 0)
    path.write_bytes(local + directory + end)


def test_members_that_overlap(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    overlapping_members(path)
    with pytest.raises(UserError, match="more bytes than the file holds"):
        read_weights_file(path)


def endless_members(path: Path) -> None:
    directory = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, *(0,) * 14) * 100_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(directory), 4, 0)
    path.write_bytes(b"PK\3\4" + directory + end)


def test_endless_list_of_members(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    endless_members(path)
    with pytest.raises(UserError, match="list of members is too long"):
        read_weights_file(path)


def compressed_pth(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", whole({"w": tensor(np.zeros(10**6, np.float32), "0")}))
        archive.writestr("archive/data/0", bytes(4 * 10**6))


def test_pth_that_is_compressed(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    compressed_pth(path)
    with pytest.raises(UserError, match="is compressed"):
        read_weights_file(path)


def test_h5_that_is_compressed_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (1 << 28,), "f4", chunks=(1 << 20,), compression="gzip", fillvalue=1)
    with pytest.raises(UserError, match="compressed or filtered"):
        read_weights_file(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (40_000_000_000,), "f4")
    with pytest.raises(UserError, match="the file does not hold"):
        read_weights_file(path)


# ---- disguises -------------------------------------------------------------------------------------------


def test_pickle_named_h5(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(state(PAYLOADS["os.mkdir"]))
    for read, message in ((read_h5, "not a readable HDF5 file"), (read_weights_file, r"asks for os\.mkdir")):
        with pytest.raises(UserError, match=message):
            read(path)


def test_pipe_named_as_weights(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "encoder.pth")
    for read in (read_weights_file, read_pth, read_npz):
        with pytest.raises(UserError, match="no regular file"):
            read(tmp_path / "encoder.pth")


def test_one_line_and_exit_code_2(tmp_path: Path) -> None:
    path = FORMATS["pth"](tmp_path / "evil.pth", PAYLOADS["name with newlines"])
    script = (
        "import sys\nfrom core.errors import run\nfrom core.weights import read_weights_file\n"
        "run(lambda _: read_weights_file(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"error: {path}: ") and done.stderr.count("\n") == 1
