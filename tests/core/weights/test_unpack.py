"""Archives of weights, well made and hostile ones."""

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import UserError
from core.weights import archives
from core.weights import unpack as module
from core.weights.unpack import unpack

FILES = ["encoder.pth", "depth.pth"]
CONTENT = {"encoder.pth": b"encoder" * 99, "depth.pth": b"depth" * 99}


def build(
    path: Path,
    members: dict[str, bytes],
    mode: dict[str, int] | None = None,
    compression: int = zipfile.ZIP_DEFLATED,
) -> Path:
    """A zip archive; `mode` gives members a file type."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = compression
            member.external_attr = (mode or {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(member, content)
    return path


@pytest.mark.parametrize("inside", ["", "mono_640x192/", "a/b/"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_wherever_the_files_lie(tmp_path: Path, inside: str, compression: int) -> None:
    members = {f"{inside}{name}": content for name, content in CONTENT.items()}
    extra = {f"{inside}pose.pth": b"pose", "__MACOSX/._encoder.pth": b"?", "other/readme.txt": b"!"}
    archive = build(tmp_path / "a.zip", members | extra, compression=compression)
    unpack(archive, tmp_path / "weights" / "mono", FILES)
    found = {path.name: path.read_bytes() for path in (tmp_path / "weights" / "mono").iterdir()}
    assert found == CONTENT | {"pose.pth": b"pose"}
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["mono"]


def test_folders_have_entries_of_their_own(tmp_path: Path) -> None:
    members = {"m/": b""} | {f"m/{name}": content for name, content in CONTENT.items()}
    archive = build(tmp_path / "a.zip", members, {"m/": stat.S_IFDIR | 0o755})
    unpack(archive, tmp_path / "mono", FILES)
    assert (tmp_path / "mono" / "depth.pth").read_bytes() == CONTENT["depth.pth"]


def test_nothing_becomes_executable(tmp_path: Path) -> None:
    archive = build(tmp_path / "a.zip", CONTENT, dict.fromkeys(FILES, stat.S_IFREG | 0o6777))
    unpack(archive, tmp_path / "mono", FILES)
    assert not (tmp_path / "mono" / "depth.pth").stat().st_mode & 0o6111


# ---- hostile -------------------------------------------------------------------------------------------------


def refused(archive: Path) -> str:
    """The message for an archive that must be refused, leaving no trace; without the path at its start."""
    root = archive.parent
    before = set(root.rglob("*"))
    with pytest.raises(UserError) as error:
        unpack(archive, root / "sub" / "mono", FILES)
    assert set(root.rglob("*")) == before
    message = str(error.value)
    assert message.startswith(f"{archive}: not a readable archive of weights (") and message.isprintable()
    return message


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A path for an archive in a folder whose neighbours would show an escape."""
    (tmp_path / "place" / "sub").mkdir(parents=True)
    return tmp_path / "place" / "a.zip"


NAMES = [
    *("/etc/evil", "//evil", "../evil", "a/../../evil", "a/..", "..", "./evil", "a/./b", "a//b"),
    *("..\\evil", "a\\b", "C:evil", "C:/evil", "evil\n.pth", "evil\x7f", "a/../encoder.pth"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_out(place: Path, name: str) -> None:
    assert "is no plain name" in refused(build(place, CONTENT | {name: b"evil"}))


def test_name_with_a_zero_byte(place: Path) -> None:
    build(place, CONTENT | {"evilXname": b"evil"})
    place.write_bytes(place.read_bytes().replace(b"evilXname", b"evil\0name"))
    assert "is no plain name" in refused(place)


KINDS = [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK, stat.S_IFDIR]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["depth.pth", "elsewhere/link"])
def test_links_and_devices(place: Path, kind: int, name: str) -> None:
    build(place, CONTENT | {name: b"/etc/passwd"}, {name: kind | 0o777})
    assert "is a link or a device" in refused(place)


def test_encrypted(place: Path) -> None:
    build(place, CONTENT)
    content = bytearray(place.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = content.index(signature)
        content[start + offset] |= 1
    place.write_bytes(content)
    assert "is encrypted" in refused(place)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions(place: Path, compression: int) -> None:
    assert "in a way that is not allowed" in refused(build(place, CONTENT, compression=compression))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_of_a_name(place: Path) -> None:
    build(place, CONTENT)
    with zipfile.ZipFile(place, "a") as archive:
        archive.writestr("depth.pth", b"another")
    assert "two members have the same name" in refused(place)


def test_two_of_a_name_but_for_capitals(place: Path) -> None:
    assert "but for capitals" in refused(build(place, CONTENT | {"Depth.pth": b"another"}))


def test_bomb(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 1 << 20)
    assert "claims to unpack to" in refused(build(place, CONTENT | {"a": bytes(8 << 20)}))


def test_more_than_weights_can_be(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 1000)
    assert "claims to unpack to 1188 bytes" in refused(build(place, CONTENT))


def test_members_without_number(place: Path) -> None:
    assert "it has 1003 members" in refused(build(place, CONTENT | {str(n): b"" for n in range(1001)}))


def test_members_that_share_their_bytes(place: Path) -> None:
    """Each entry of the list leads to the same member: small file, much content."""
    build(place, {"encoder.pth": b"x" * 5000, "depth.pth": b"x" * 5000}, compression=zipfile.ZIP_STORED)
    content = bytearray(place.read_bytes())
    second = content.rindex(b"PK\1\2")
    content[second + 42 : second + 46] = struct.pack("<I", 0)
    place.write_bytes(content)
    refused(place)


@pytest.mark.parametrize("place_in_file", [2**62, 2**63 - 1])
def test_a_member_beyond_the_end(place: Path, place_in_file: int) -> None:
    """The archive is to blame, not the folder."""
    build(place, CONTENT, compression=zipfile.ZIP_STORED)
    content = bytearray(place.read_bytes())
    entry = content.rindex(b"PK\1\2")
    extra = struct.pack("<HHQ", 1, 8, place_in_file)
    content[entry + 42 : entry + 46] = b"\xff" * 4
    content[entry + 30 : entry + 32] = struct.pack("<H", len(extra))
    end = content.rindex(b"PK\5\6")
    content[end + 12 : end + 16] = struct.pack("<I", end - content.index(b"PK\1\2") + len(extra))
    content[end:end] = extra
    place.write_bytes(content)
    assert "a.zip: not a readable archive of weights (a member lies beyond" in refused(place)


@pytest.mark.parametrize("field", ["size", "both", "crc"])
def test_lies_about_a_member(place: Path, field: str) -> None:
    build(place, CONTENT)
    content = bytearray(place.read_bytes())
    for signature, crc in ((b"PK\3\4", 14), (b"PK\1\2", 16)):
        start = content.index(signature)
        if field == "crc":
            content[start + crc] ^= 1
        else:
            content[start + crc + 8 : start + crc + 12] = struct.pack("<I", 9 if field == "size" else 9999)
    place.write_bytes(content)
    refused(place)


@pytest.mark.parametrize("missing", FILES)
def test_file_is_missing(place: Path, missing: str) -> None:
    members = {name: content for name, content in CONTENT.items() if name != missing}
    members[f"elsewhere/{missing}"] = b"in another folder"
    assert "no folder in it holds encoder.pth, depth.pth" in refused(build(place, members))


def test_two_folders_with_the_files(place: Path) -> None:
    members = CONTENT | {f"again/{name}": content for name, content in CONTENT.items()}
    assert "several folders in it hold" in refused(build(place, members))


def test_cut_anywhere(place: Path) -> None:
    whole = build(place, CONTENT).read_bytes()
    for length in range(0, len(whole), 7):
        place.write_bytes(whole[:length])
        refused(place)


def test_flipped_bits_never_escape(place: Path) -> None:
    """Whatever a damaged archive turns into: refused, or the same content."""
    whole = build(place, CONTENT).read_bytes()
    for position in range(0, len(whole), 3):
        place.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        folder = place.parent / "mono"
        try:
            unpack(place, folder, FILES)
        except UserError:
            assert not folder.exists()
        else:
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
    assert {path.name for path in place.parent.iterdir()} == {"sub", "a.zip"}


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02cos\nsystem\n(S'true'\ntR.", b"Rar!\x1a\7\0", b"\x1f\x8b"]
)
def test_no_zip_at_all(place: Path, content: bytes) -> None:
    place.write_bytes(content)
    refused(place)


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: __import__("os").mkfifo(path), lambda path: None])
def test_no_file(place: Path, make: Callable[[Path], object]) -> None:
    make(place)
    with pytest.raises(UserError, match=r"a\.zip: (is no regular file|no such file)"):
        unpack(place, place.parent / "mono", FILES)
