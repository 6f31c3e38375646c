"""Downloads from a server that cuts, lies, swaps and redirects."""

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.weights import download as module
from core.weights.download import Checksum, DownloadError, download
from tests.core import weights_server
from tests.core.weights_server import Server, endless, raw, redirect, serve, status

CONTENT = bytes(range(251)) * 4001  # about 1 MB, without a period that a wrong offset could hide in
SHA256 = Checksum("sha256", hashlib.sha256(CONTENT).hexdigest())
OTHER = CONTENT[::-1]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(module, "WAITS", (0.0, 0.0, 0.0))
    with weights_server.running() as running:
        running.files["/file"] = CONTENT
        yield running


@pytest.fixture
def fetch(server: Server, tmp_path: Path) -> Callable[..., bytes]:
    def call(*checksums: Checksum, path: str = "/file") -> bytes:
        download(server.url + path, tmp_path / "in" / "file", list(checksums))
        assert [entry.name for entry in (tmp_path / "in").iterdir()] == ["file"]
        return (tmp_path / "in" / "file").read_bytes()

    return call


def ranges(server: Server) -> list[str | None]:
    return [asked for _, asked in server.requests]


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "in").iterdir()}


@pytest.mark.parametrize(
    "checksums",
    [
        [],
        [SHA256],
        [Checksum("sha256", SHA256.digits[:8])],
        [Checksum("md5", hashlib.md5(CONTENT).hexdigest())],
        [Checksum("sha256", SHA256.digits[:8]), SHA256],
    ],
)
def test_whole_file(server: Server, fetch: Callable[..., bytes], checksums: list[Checksum]) -> None:
    assert fetch(*checksums) == CONTENT
    assert server.requests == [("/file", None)]


def test_what_lies_there_is_not_fetched_again(server: Server, fetch: Callable[..., bytes]) -> None:
    fetch(SHA256)
    assert fetch(SHA256) == CONTENT and len(server.requests) == 1


# ---- cut -----------------------------------------------------------------------------------------------------


def test_cut_goes_on_where_it_stopped(server: Server, fetch: Callable[..., bytes]) -> None:
    server.answers = [serve(cut=1000), serve(cut=500_000)]
    assert fetch(SHA256) == CONTENT
    assert ranges(server) == [None, "bytes=1000-", "bytes=501000-"]
    assert server.sent == len(CONTENT)


def test_cut_in_a_body_of_chunks(server: Server, fetch: Callable[..., bytes]) -> None:
    chunk = b"%x\r\n" % len(CONTENT) + CONTENT[:1000]
    server.answers = [raw(chunk, Transfer_Encoding="chunked", ETag=weights_server.etag(CONTENT))]
    assert fetch(SHA256) == CONTENT
    assert ranges(server)[0] is None and len(server.requests) == 2


def test_silence_counts_as_cut(
    server: Server, fetch: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", (5, 0.2))
    done = threading.Event()
    server.answers = [serve(cut=module.CHUNK + 1000, then=lambda: done.wait(10))]
    assert fetch(SHA256) == CONTENT
    done.set()
    assert ranges(server) == [None, f"bytes={module.CHUNK}-"]


def test_too_often_cut_goes_on_next_time(server: Server, fetch: Callable[..., bytes], tmp_path: Path) -> None:
    server.answers = [serve(cut=1000)] * 4
    with pytest.raises(DownloadError, match=f"the connection .* {len(CONTENT)}|the connection broke"):
        fetch(SHA256)
    assert len(server.requests) == 4 and files(tmp_path) == {"file.part", "file.part.origin"}
    assert fetch(SHA256) == CONTENT
    assert ranges(server)[-1] == "bytes=4000-" and server.sent == len(CONTENT)


def test_progress_makes_up_for_cuts(
    server: Server, fetch: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROGRESS", 100_000)
    server.answers = [serve(cut=100_000)] * 10
    assert fetch(SHA256) == CONTENT and len(server.requests) == 11


def test_server_that_knows_no_ranges(server: Server, fetch: Callable[..., bytes]) -> None:
    server.answers = [serve(cut=1000), serve(ranges=False)]
    assert fetch(SHA256) == CONTENT
    assert ranges(server) == [None, "bytes=1000-"]


def test_server_that_names_no_version(server: Server, fetch: Callable[..., bytes]) -> None:
    """Without one, two parts might be of two files, and nobody published a checksum."""
    server.answers = [serve(cut=1000, tag=None), serve(tag='W/"weak"', cut=1000), serve()]
    assert fetch() == CONTENT
    assert ranges(server) == [None, None, None]


def test_last_modified_is_a_version(server: Server, fetch: Callable[..., bytes]) -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    server.answers = [serve(cut=1000, tag=None, Last_Modified=date), serve(tag=date)]
    assert fetch() == CONTENT
    assert ranges(server) == [None, "bytes=1000-"]


def test_other_address_starts_anew(server: Server, fetch: Callable[..., bytes]) -> None:
    server.files["/mirror"] = OTHER
    server.answers = [serve(cut=1000, tag='"one"'), status(404)]
    with pytest.raises(DownloadError, match="404"):
        fetch()
    server.answers = [serve(tag='"one"')]
    assert fetch(path="/mirror") == OTHER and ranges(server)[-1] is None


def test_another_part_than_asked_for(server: Server, fetch: Callable[..., bytes]) -> None:
    server.answers = [serve(cut=1000), serve(shift=7)]
    assert fetch() == CONTENT
    assert ranges(server) == [None, "bytes=1000-", None]


def test_part_that_is_too_long(server: Server, fetch: Callable[..., bytes]) -> None:
    server.answers = [serve(cut=1000), status(416)]
    assert fetch() == CONTENT
    assert ranges(server) == [None, "bytes=1000-", None]


# ---- swapped -------------------------------------------------------------------------------------------------


def test_another_version_starts_anew(server: Server, fetch: Callable[..., bytes]) -> None:
    server.files["/file"] = OTHER
    server.answers = [serve(cut=1000)] * 4
    with pytest.raises(DownloadError):
        fetch()
    server.files["/file"] = CONTENT
    assert fetch() == CONTENT


def test_another_version_under_the_same_name(server: Server, fetch: Callable[..., bytes]) -> None:
    """The pieces do not belong together; all of it comes once more."""
    server.files["/file"] = OTHER
    server.answers = [serve(cut=1000, tag='"same"')] * 4
    with pytest.raises(DownloadError):
        fetch(SHA256)
    server.files["/file"] = CONTENT
    server.answers = [serve(tag='"same"')]
    assert fetch(SHA256) == CONTENT
    assert ranges(server)[-2:] == ["bytes=4000-", None]


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_wrong_content(server: Server, fetch: Callable[..., bytes], tmp_path: Path, algorithm: str) -> None:
    server.files["/file"] = OTHER
    wanted = Checksum(algorithm, hashlib.new(algorithm, CONTENT).hexdigest())
    found = hashlib.new(algorithm, OTHER).hexdigest()
    with pytest.raises(DownloadError, match=f"another file came: .*{found}, not .*{wanted.digits}"):
        fetch(wanted)
    assert files(tmp_path) == set() and len(server.requests) == 1


def test_wrong_first_digits(server: Server, fetch: Callable[..., bytes], tmp_path: Path) -> None:
    server.files["/file"] = OTHER
    with pytest.raises(DownloadError, match=f"not SHA-256 {SHA256.digits[:8]}…"):
        fetch(Checksum("sha256", SHA256.digits[:8]))
    assert files(tmp_path) == set()


def test_wrong_content_in_cut_pieces_ends(server: Server, fetch: Callable[..., bytes]) -> None:
    server.files["/file"] = OTHER
    server.answers = [serve(cut=600_000), serve(), serve(cut=600_000), serve()]
    with pytest.raises(DownloadError, match="another file came"):
        fetch(SHA256)
    assert ranges(server) == [None, "bytes=600000-", None, "bytes=600000-"]


# ---- lies about the length -----------------------------------------------------------------------------------


def test_declares_more_than_it_sends(server: Server, fetch: Callable[..., bytes], tmp_path: Path) -> None:
    server.answers = [serve(declare=len(CONTENT) + 10)]
    server.answers += [
        status(416),
        serve(declare=len(CONTENT) + 10, tag=None),
        serve(declare=len(CONTENT) + 10),
    ]
    with pytest.raises(DownloadError, match="connection"):
        fetch(SHA256)
    assert "file" not in files(tmp_path)


def test_declares_less_than_it_has(server: Server, fetch: Callable[..., bytes], tmp_path: Path) -> None:
    server.answers = [serve(declare=1000)]
    with pytest.raises(DownloadError, match="another file came"):
        fetch(SHA256)
    assert files(tmp_path) == set()


@pytest.mark.parametrize("length", ["many", "-5", "9" * 30])
def test_length_that_is_none(server: Server, fetch: Callable[..., bytes], length: str) -> None:
    server.answers = [raw(CONTENT, Content_Length=length)]
    assert fetch(SHA256) == CONTENT


@pytest.mark.parametrize("answer", [endless, serve(declare=5000)])
def test_larger_than_any_release(
    server: Server,
    fetch: Callable[..., bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: weights_server.Answer,
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 4096)
    server.answers = [answer]
    with pytest.raises(DownloadError, match="larger than"):
        fetch()
    assert files(tmp_path) == set()


# ---- other answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_refused_at_once(server: Server, fetch: Callable[..., bytes], tmp_path: Path, code: int) -> None:
    server.answers = [status(code)]
    with pytest.raises(DownloadError, match=f"^the server answers {code} "):
        fetch()
    assert len(server.requests) == 1 and files(tmp_path) == set()


def test_busy_server_is_asked_again(server: Server, fetch: Callable[..., bytes]) -> None:
    server.answers = [status(503), status(429), status(500)]
    assert fetch() == CONTENT
    server.answers = [status(503)] * 4
    with pytest.raises(DownloadError, match="the server answers 503 Service Unavailable"):
        fetch(Checksum("sha256", OTHER.hex()[:64]))


def test_redirects_are_followed(server: Server, fetch: Callable[..., bytes]) -> None:
    server.files["/there/file"] = CONTENT
    server.answers = [redirect("/elsewhere?a=1"), redirect(f"{server.url}/there/file")]
    assert fetch(SHA256) == CONTENT
    assert [path for path, _ in server.requests] == ["/file", "/elsewhere?a=1", "/there/file"]


def test_redirected_download_goes_on(server: Server, fetch: Callable[..., bytes]) -> None:
    server.files["/there"] = CONTENT
    server.answers = [redirect("/there"), serve(cut=1000), redirect("/there"), serve()]
    assert fetch(SHA256) == CONTENT and server.sent == len(CONTENT)
    assert ranges(server) == [None, None, "bytes=1000-", "bytes=1000-"]


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/file"])
def test_redirect_to_what_is_no_web_address(server: Server, fetch: Callable[..., bytes], to: str) -> None:
    server.answers = [redirect(to)]
    with pytest.raises(DownloadError, match=f"it leads to {to}, which is not secure"):
        fetch()
    assert len(server.requests) == 1


def test_redirect_to_nowhere(server: Server, fetch: Callable[..., bytes]) -> None:
    server.answers = [redirect("http://[")]
    with pytest.raises(DownloadError, match="Invalid IPv6 URL"):
        fetch()


def test_redirect_away_from_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        def get(self, url: str, **_: object) -> "Session":
            assert url.startswith("https:")
            return self

        def get_redirect_target(self, response: object) -> str:
            return "http://example.org/file"

        def close(self) -> None:
            pass

    with pytest.raises(DownloadError, match=r"it leads to http://example\.org/file, which is not secure"):
        module._open(Session(), "https://example.org/file", {})


def test_redirects_without_end(server: Server, fetch: Callable[..., bytes]) -> None:
    server.answers = [redirect("/file")] * 20
    with pytest.raises(DownloadError, match="from one address to the next without end"):
        fetch()
    assert len(server.requests) == 6


def test_no_server(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(seconds: float) -> None:
        raise AssertionError("waits for a server that is not there")

    monkeypatch.setattr(module.time, "sleep", sleep)
    with pytest.raises(DownloadError, match=r"^Connection refused$"):
        download(f"http://127.0.0.1:{free_port()}/file", tmp_path / "in" / "file", [])
    assert files(tmp_path) == set()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_no_right_to_write(server: Server, tmp_path: Path) -> None:
    (tmp_path / "in").touch()
    with pytest.raises(NotADirectoryError):
        download(f"{server.url}/file", tmp_path / "in" / "file", [])
