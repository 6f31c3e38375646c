"""Archives packed by gzip around one file of weights: read in memory, and only what is plain in them."""

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from core.errors import UserError
from core.weights import format_of, read_weights_file
from tests.core.weight_files import tensor, whole, write_zip
from tests.tolerances import assert_close

WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3)
RAYS = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)


def checkpoint(folder: Path) -> bytes:
    content = whole({"state_dict": {"model.layer.weight": tensor(WEIGHTS, "0")}})
    return write_zip(folder / "inside.ckpt", content, {"0": WEIGHTS.tobytes()}).read_bytes()


def array_file(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def pack(path: Path, members: dict[str, bytes], **kinds: bytes) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, kind in kinds.items():
            member = tarfile.TarInfo(f"{name}.ckpt")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    return path


def test_the_weights_and_what_lies_beside_them(tmp_path: Path) -> None:
    members = {
        **{"folder/read.me": b"words", "folder/._model.ckpt": b"no weights"},
        **{"folder/model.ckpt": checkpoint(tmp_path), "folder/the_ray_template.npy": array_file(RAYS)},
    }
    path = pack(tmp_path / "weights.tar.gz", members)
    assert format_of(path) == "pth"
    found = read_weights_file(path)
    assert list(found) == ["model.layer.weight", "the_ray_template"]
    assert_close(found["model.layer.weight"], WEIGHTS, "exact")
    assert_close(found["the_ray_template"], RAYS, "exact")
    assert {entry.name for entry in tmp_path.iterdir()} == {"inside.ckpt", "weights.tar.gz"}


@pytest.mark.parametrize(
    ("members", "kinds", "reason"),
    [
        ({"read.me": b"words"}, {}, "holds no file"),
        ({"one.ckpt": b"1", "two.pth": b"2"}, {}, "several files of weights"),
        ({}, {"link": tarfile.SYMTYPE}, "no regular file"),
        ({}, {"link": tarfile.LNKTYPE}, "no regular file"),
        ({}, {"pipe": tarfile.FIFOTYPE}, "no regular file"),
        ({f"{number}.txt": b"" for number in range(1001)}, {}, "more than 1000 members"),
    ],
)
def test_odd_archives_are_refused(tmp_path: Path, members, kinds, reason) -> None:
    path = pack(tmp_path / "weights.tar.gz", members, **kinds)
    with pytest.raises(UserError, match=reason) as error:
        read_weights_file(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    objects = array_file(np.array([{}], dtype=object))
    members = {"model.ckpt": checkpoint(tmp_path), "rays.npy": objects}
    with pytest.raises(UserError, match="holds objects"):
        read_weights_file(pack(tmp_path / "weights.tar.gz", members))


def test_damaged_archives_and_bombs_are_refused(tmp_path: Path, monkeypatch) -> None:
    path = pack(tmp_path / "weights.tar.gz", {"model.ckpt": checkpoint(tmp_path)})
    whole_file = path.read_bytes()
    for content in (whole_file[: len(whole_file) // 2], gzip.compress(b"no tar"), b"\x1f\x8b"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="archive of weights"):
            read_weights_file(path)
    monkeypatch.setattr("core.weights.tarballs.FREE_BYTES", 1 << 16)
    pack(path, {"read.me": bytes(1 << 24), "model.ckpt": checkpoint(tmp_path)})
    with pytest.raises(UserError, match="unpacks to more bytes"):
        read_weights_file(path)
