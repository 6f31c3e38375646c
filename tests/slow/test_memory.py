"""Sparse files of weights at full size, which cost their sender nothing: read or refused below 2 GiB."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.core.weight_files import rebuild, storage, whole

MOST = 2 << 30
READ = """
import resource, sys
from core.errors import UserError
from core.weights import read_weights_file
try:
    read_weights_file(sys.argv[1])
except UserError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
"""


def array_of(count: int, kind: str) -> tuple[bytes, bytes]:
    """A pickled array of zeros: what comes before its bytes and after them."""
    import pickle

    small = pickle.dumps(np.zeros((70_000,), kind), protocol=4)
    size = 70_000 * np.dtype(kind).itemsize
    at = small.index(b"B" + struct.pack("<I", size))
    start, end = small[:at], small[at + 5 + size :]
    start = start[:2] + start[11:] if start[2:3] == b"\x95" else start
    return start.replace(b"J" + struct.pack("<i", 70_000), b"J" + struct.pack("<i", count)), end


def sparse_line(path: Path, size: int) -> None:
    path.write_bytes(b"\x80\x02V")
    os.truncate(path, size)


def sparse_text(path: Path, size: int) -> None:
    path.write_bytes(b"\x80\x02X" + struct.pack("<I", size - 8) + "\N{GRINNING FACE}".encode())
    os.truncate(path, size)


def sparse_array(kind: str) -> Callable[[Path, int], None]:
    def write(path: Path, size: int) -> None:
        count = (size - 4096) // np.dtype(kind).itemsize
        start, _ = array_of(count, kind)
        body = start[2:] + b"B" + struct.pack("<I", count * np.dtype(kind).itemsize)
        path.write_bytes(b"\x80\x04" + body)
        os.truncate(path, size)

    return write


def sparse_legacy(path: Path, size: int) -> None:
    import pickle

    from tests.core.weight_files import MAGIC, PROTOCOL

    count = (size - 4096) // 2
    system = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {}}
    same = rebuild(storage("BFloat16Storage", "0", count, None), 0, (count,), (1,))
    parts = [pickle.dumps(part, protocol=2) for part in (MAGIC, PROTOCOL, system)]
    parts += [whole({"w": same, "v": same}), pickle.dumps(["0"], protocol=2), struct.pack("<q", count)]
    path.write_bytes(b"".join(parts))
    os.truncate(path, size)


def sparse_safetensors(kind: str, itemsize: int) -> Callable[[Path, int], None]:
    def write(path: Path, size: int) -> None:
        count = (size - 1024) // itemsize // 4
        header = {
            f"w{row}": {
                "dtype": kind,
                "shape": [count],
                "data_offsets": [row * count * itemsize, (row + 1) * count * itemsize],
            }
            for row in range(4)
        }
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text)
        os.truncate(path, 8 + len(text) + 4 * count * itemsize)

    return write


FILES: dict[str, Callable[[Path, int], None]] = {
    "line": sparse_line,
    "text": sparse_text,
    "array": sparse_array("<f4"),
    "bits of bfloat16": sparse_array("<u2"),
    "legacy": sparse_legacy,
    "safetensors": sparse_safetensors("F32", 4),
    "bfloat16": sparse_safetensors("BF16", 2),
}


@pytest.mark.parametrize("size", [600 << 20, 1080 << 20])
@pytest.mark.parametrize("write", FILES.values(), ids=FILES)
def test_sparse_files(tmp_path: Path, write: Callable[[Path, int], None], size: int) -> None:
    path = tmp_path / "a"
    write(path, size)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout.splitlines()[-1]) < MOST, done.stdout
