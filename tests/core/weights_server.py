"""An HTTP server on this machine that serves files well, or as badly as it is told."""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One request, answered by the next of the server's answers, or as a good server would."""

    server: "Server"

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.requests.append((self.path, self.headers.get("Range")))
            answer = self.server.answers.pop(0) if self.server.answers else serve()
        with contextlib.suppress(ConnectionError):  # the client may hang up
            answer(self)

    def head(self, status: int, **headers: Any) -> None:
        """Status and headers; `_` stands for `-`."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def body(self, content: bytes) -> None:
        self.wfile.write(content)
        self.server.sent += len(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Attributes: `files` by path, `answers` to give first, `requests` that came (path, range), bytes `sent`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, str | None]] = []
        self.sent = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server that ends with the block."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def serve(
    cut: int | None = None,
    ranges: bool = True,
    tag: str | None = "",
    declare: int | None = None,
    shift: int = 0,
    then: Callable[[], object] | None = None,
    **headers: str,
) -> Answer:
    """The file, or the part of it that is asked for if it is still the same.

    Args:
        cut: hang up after so many bytes.
        ranges: understand the Range header.
        tag: another ETag; None: none.
        declare: another Content-Length.
        shift: send a part that begins so many bytes later than asked, and say so.
        then: called before hanging up.
    """

    def answer(handler: Handler) -> None:
        content = handler.server.files[handler.path]
        version = etag(content) if tag == "" else tag
        asked = handler.headers.get("Range") if ranges else None
        same = version is not None and handler.headers.get("If-Range") == version
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and same else 0
        if first:
            first += shift
            headers["Content_Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        rest = content[first:]
        named = {"ETag": version} if version is not None else {}
        handler.head(206 if first else 200, Content_Length=declare or len(rest), **named, **headers)
        handler.body(rest[: declare if cut is None else cut])
        if then is not None:
            then()

    return answer


def status(code: int, **headers: str) -> Answer:
    """Nothing but a status."""
    return lambda handler: handler.head(code, Content_Length=0, **headers)


def redirect(to: str) -> Answer:
    return status(302, Location=to)


def raw(content: bytes, **headers: str) -> Answer:
    """Any bytes as a body, without a length."""

    def answer(handler: Handler) -> None:
        handler.head(200, **headers)
        handler.body(content)

    return answer


def endless(handler: Handler) -> None:
    """A body that goes on for far longer than any test lets it: nobody should wait for its end."""
    handler.head(200)
    for _ in range(1 << 10):
        handler.body(bytes(1 << 16))
