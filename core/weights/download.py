"""Downloads: what was cut goes on where it stopped, and nothing arrives that has not the right checksum.

`pooch` puts the file in place; how the bytes come is told here, because its own downloader cannot go on. Everything a
server says is doubted: lengths, ranges, addresses to go on to, and the content.
"""

import hashlib
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from core.weights.files import reason_of

CHUNK = 1 << 16  # what a connection that falls silent loses at most
MAX_BYTES = 1 << 30  # of a release; the largest known has a quarter of it
TIMEOUT = (15, 30)  # seconds to connect, and to wait for more
WAITS = (1.0, 2.0, 4.0)  # seconds before each new try; they count anew after PROGRESS bytes
PROGRESS = 1 << 20
MAX_REDIRECTS = 5
DIGITS = {"md5": 32, "sha256": 64}


class DownloadError(Exception):
    """Why a file could not be fetched: half a line, to follow its address."""


class _CutError(Exception):
    """The server or the line failed in a way that may pass."""


@dataclass(frozen=True)
class Checksum:
    """What a file must hash to: all hexadecimal digits of its hash, or the first of them."""

    algorithm: str
    digits: str

    @property
    def is_whole(self) -> bool:
        return len(self.digits) == DIGITS[self.algorithm]

    def __str__(self) -> str:
        name = {"md5": "MD5", "sha256": "SHA-256"}[self.algorithm]
        return f"{name} {self.digits}" + ("" if self.is_whole else "…")


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """The hash of a file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def mismatch(path: Path, checksums: Iterable[Checksum]) -> str | None:
    """What is wrong with the content of a file, or None."""
    for checksum in checksums:
        found = file_hash(path, checksum.algorithm)
        if not found.startswith(checksum.digits):
            return f"it has {Checksum(checksum.algorithm, found)}, not {checksum}"
    return None


def download(url: str, file: Path, checksums: list[Checksum]) -> None:
    """Fetches a file. An unfinished one stays beside it as `.part`, and the next call goes on with that.

    Args:
        url: http or https.
        file: where it goes, whole or not at all; its folder is made when absent.
        checksums: what the content must meet.

    Raises:
        DownloadError: no connection, refused, cut too often, too large, or with another checksum.
        OSError: the disk is full or may not be written.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")  # its "Downloading data" would come between our lines
    whole = [checksum for checksum in checksums if checksum.is_whole]
    pooch.retrieve(
        url,
        known_hash=f"{whole[0].algorithm}:{whole[0].digits}" if whole else None,
        fname=file.name,
        path=file.parent,
        downloader=_Downloader(file, checksums),
    )


class _Downloader:
    """Called by pooch with an address and the temporary file to fill."""

    def __init__(self, file: Path, checksums: list[Checksum]) -> None:
        self._name, self._checksums = file.name, checksums
        self._part = file.with_name(f"{file.name}.part")
        # Whose bytes they are: the address, and what the server called this version of the file.
        self._origin = file.with_name(f"{file.name}.part.origin")

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        joined = self._fetch(url)
        problem = mismatch(self._part, self._checksums)
        if problem and joined:  # of pieces that do not belong together, perhaps
            self._forget()
            self._fetch(url)
            problem = mismatch(self._part, self._checksums)
        if problem:
            self._forget()
            raise DownloadError(f"another file came: {problem}")
        with open(self._part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(self._part, output_file)
        self._origin.unlink(missing_ok=True)

    def _fetch(self, url: str) -> bool:
        """Completes the part, in several tries if need be; returns whether it is joined from pieces."""
        joined, failures, most = self._size() > 0, 0, self._size()
        while True:
            try:
                self._receive(url)
                return joined
            except _CutError as cut:
                failures = 1 if self._size() >= most + PROGRESS else failures + 1
                if failures > len(WAITS):
                    raise DownloadError(str(cut)) from None
            joined, most = True, max(most, self._size())
            time.sleep(WAITS[failures - 1])

    def _receive(self, url: str) -> None:
        """One request: the whole file, or the rest of it."""
        import requests

        started = self._part_of(url)
        # identity: a compressed body would have neither the length nor the checksum of the file.
        headers = {"Accept-Encoding": "identity", "User-Agent": "monodepth-weights"}
        if started:
            headers |= {"Range": f"bytes={self._size()}-", "If-Range": started}
        with requests.Session() as session:
            try:
                response = _open(session, url, headers)
            except (requests.RequestException, ValueError) as error:  # ValueError: an address that is none
                # Where nothing answers at first, waiting would only hide it: the machine may be offline on purpose.
                raise (_CutError if self._size() else DownloadError)(_innermost(error)) from None
            with response:
                if response.status_code == 206 and started:
                    self._write(response, self._check_range(response))
                elif response.status_code == 200:
                    self._start(url, response)
                    self._write(response, 0)
                else:
                    self._refused(response)

    def _start(self, url: str, response: Any) -> None:
        """Forgets what there is, and notes whose bytes the next ones are if the server can say so."""
        self._forget()
        tag = response.headers.get("ETag", "")
        version = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
        if version and version.isprintable():
            self._part.touch()
            self._origin.write_text(f"{url}\n{version}\n", encoding="utf-8")

    def _part_of(self, url: str) -> str:
        """The version of which there is a part, or "": then there is none."""
        try:
            origin, version = self._origin.read_text(encoding="utf-8").splitlines()
        except (FileNotFoundError, ValueError):
            origin = version = ""
        if origin != url or self._size() == 0:
            self._forget()
            return ""
        return version

    def _check_range(self, response: Any) -> int:
        """The number of the first byte that comes, which must be the one asked for."""
        size = self._size()
        found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != size:
            self._forget()
            raise _CutError("the server sends another part than it was asked for")
        return size

    def _refused(self, response: Any) -> None:
        status = reason_of(f"the server answers {response.status_code} {response.reason or ''}")
        if response.status_code == 416:  # nothing lies behind the part: it is too long
            self._forget()
            raise _CutError(status)
        raise (_CutError if response.status_code in (429, 500, 502, 503, 504) else DownloadError)(status)

    def _write(self, response: Any, first: int) -> None:
        """Appends the body to the part."""
        import urllib3
        from tqdm import tqdm

        length = response.headers.get("Content-Length", "")
        declared = int(length) if re.fullmatch(r"\d{1,18}", length) else None
        self._check_size(first + (declared or 0))
        total = None if declared is None else first + declared
        bar = tqdm(
            desc=self._name, initial=first, total=total, unit="B", unit_scale=True, disable=None, leave=False
        )
        with bar, open(self._part, "ab") as file:
            try:
                for chunk in response.raw.stream(CHUNK, decode_content=False):
                    self._check_size(file.tell() + len(chunk))
                    file.write(chunk)
                    bar.update(len(chunk))
            except urllib3.exceptions.HTTPError as error:
                raise _CutError(f"the connection broke: {_innermost(error)}") from None
        if total is not None and self._size() < total:
            raise _CutError(f"the connection ended after {self._size()} of {total} bytes")

    def _check_size(self, size: int) -> None:
        if size > MAX_BYTES:
            self._forget()
            raise DownloadError(f"it is larger than {MAX_BYTES >> 20} MiB, which no release is")

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _forget(self) -> None:
        self._origin.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)


def _open(session: Any, url: str, headers: dict[str, str]) -> Any:
    """A response that is no redirect. Redirects are followed here, to see where they lead."""
    for _ in range(MAX_REDIRECTS + 1):
        response = session.get(url, headers=headers, stream=True, timeout=TIMEOUT, allow_redirects=False)
        onward = session.get_redirect_target(response)
        if onward is None:
            return response
        response.close()
        onward = urljoin(url, onward)
        scheme = urlsplit(onward).scheme
        if scheme not in ("http", "https") or (scheme == "http" and url.startswith("https:")):
            raise DownloadError(reason_of(f"it leads to {onward}, which is not secure"))
        url = onward
    raise DownloadError("it leads from one address to the next without end")


def _innermost(error: BaseException) -> str:
    """The reason below the layers of the HTTP libraries: `Connection refused`."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return reason_of(error if isinstance(error, Exception) else str(error))
