"""Checkpoints in a store that speaks S3, on a server that the test starts, and a training killed while it sends.

    .venv/bin/python -m pip install -r requirements-extras.txt "moto[server]>=5.2,<6"
    .venv/bin/python -m pytest tests/slow/test_store.py --backend torch

What needs no server is in tests/core/training/test_store.py and tests/backends/test_store.py, with every run.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

pytest.importorskip("fsspec", reason="needs requirements-extras.txt")

from core.errors import UserError
from core.training import store as module
from core.training.store import FILES, Store
from tests.backends.drive import tiny_training
from tests.core.training.stores import STARTED, add, checkpoints, make_run, options
from tests.scripts import ENVIRONMENT, ROOT, assert_says, refused, succeeds
from tests.slow.kills import differences

LIMIT = 120.0  # seconds for what takes a few: a failure must end, too
# train.py with a disk as a store, `slow://`, whose every file takes its time; says which is on its way.
SLOW = """
import sys, time
from pathlib import Path
import fsspec
from fsspec.implementations.local import LocalFileSystem
import train
from core.errors import run

SECONDS = float(sys.argv.pop(1))

class Slow(LocalFileSystem):
    protocol = "slow"

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.removeprefix("slow://"))

    def put_file(self, path1, path2, **more):
        content = Path(path1).read_bytes()
        Path(path2).write_bytes(content[:10])
        print("sending", path2, flush=True)
        time.sleep(SECONDS)
        Path(path2).write_bytes(content)

fsspec.register_implementation("slow", Slow)
run(train.main)
"""


def files(folder: Path, root: str = "") -> dict[str, bytes]:
    """Every file of a disk below a folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {f"{root}{path.relative_to(folder)}": path.read_bytes() for path in paths}


def expected(run: Path, root: str = "") -> dict[str, bytes]:
    """What a store has of a run that has ended."""
    paths = [*(run / "models").glob("weights_*/*"), *(run / name for name in FILES)]
    return {f"{root}{path.relative_to(run)}": path.read_bytes() for path in paths}


# ---- a kill ----------------------------------------------------------------------------------------------------


LENGTH = ["--num_epochs", 3, "--validation"]


@pytest.fixture(scope="module")
def whole(backend, tiny, drive, tmp_path_factory) -> Path:
    """A run that nothing happened to."""
    runs = tmp_path_factory.mktemp("whole") / "runs"
    process = start(0.0, tiny_training(backend.name, drive, runs, "run", *LENGTH))
    said, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, said
    return runs / "run"


@pytest.mark.parametrize("number", [2, 5])
def test_a_killed_upload_leaves_the_run_whole(backend, drive, whole, runs, tmp_path, number):
    """Killed by signal 9 when so many files were on their way; continued, run and store end as if nothing had been."""
    copies = tmp_path / "copies"
    words = tiny_training(backend.name, drive, runs, "run", *LENGTH, "--s3_path", f"slow://{copies}")
    process = start(1.0, words)
    assert process.stdout is not None
    while number:
        line = process.stdout.readline()
        assert line, "the training ended"
        number -= line.startswith("sending")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=LIMIT)
    assert process.returncode == -signal.SIGKILL
    found = files(copies)
    assert any("-uploading/" in name for name in found)
    assert {*checkpoints(found)} <= {"weights_0", "weights_1", "weights_2", "weights_best"}
    process = start(0.0, [*words, "--resume"])
    said, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, said
    assert differences(backend.name, whole, runs / "run") == []
    assert files(copies / "run") == expected(runs / "run")


def start(seconds: float, words: list[str]) -> subprocess.Popen[str]:
    """A training whose store takes so long for each file."""
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(seconds), *words],
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


# ---- a server --------------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server that speaks S3, on this machine, with an empty bucket `depth`."""
    pytest.importorskip("s3fs", reason="needs s3fs: pip install -r requirements-extras.txt")
    moto = pytest.importorskip("moto.server", reason="needs moto: pip install 'moto[server]>=5.2,<6'")
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    made = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    made.start()
    place = Server(made)
    with urlopen(f"{place.url}/moto-api/reset", data=b""):  # what another test put there
        pass
    place.files().mkdir("depth")
    yield place
    place.stop()


class Server:
    """Where it listens, and what it has."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.port = server.get_host_and_port()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def files(self) -> Any:
        """Another user of it."""
        import s3fs

        return s3fs.S3FileSystem(endpoint_url=self.url, skip_instance_cache=True, use_listings_cache=False)

    def contents(self) -> dict[str, bytes]:
        """Every object of the bucket."""
        files = self.files()
        return {name: files.cat_file(name) for name in files.find("depth")}

    def stop(self) -> None:
        """Nobody answers any more."""
        if self.server is not None:
            self.server.stop()
            self.server = None

    def again(self) -> None:
        """It answers as before, with all that it had."""
        from moto.server import ThreadedMotoServer

        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port)
        self.server.start()


def test_a_training_with_a_server(backend, tiny, drive, runs, server, tmp_path):
    words = tiny_training(backend.name, drive, runs, "run", "--num_epochs", 3, "--validation")
    place = ["--s3_path", "s3://depth/all runs/", "--s3_url", server.url]
    said = succeeds("train.py", *words, *place, here=True)
    assert_says(
        said, "store: checkpoints are kept in s3://depth/all runs/run, too", "weights_2", "weights_best"
    )
    assert server.contents() == expected(runs / "run", "depth/all runs/run/")
    other = tiny_training(backend.name, drive, tmp_path / "elsewhere", "run", "--seed", 1)
    message = refused("train.py", *other, *place, folder=tmp_path, made="elsewhere", here=True)
    assert_says(message, "s3://depth/all runs/run holds another run, begun 20", "--overwrite")
    succeeds("train.py", *other, *place, "--overwrite", here=True)
    assert server.contents() == expected(tmp_path / "elsewhere" / "run", "depth/all runs/run/")


def test_a_bucket_that_is_not_there_is_not_made(tmp_path, server):
    with pytest.raises(UserError, match=r"option s3_path: s3://dept/all cannot be written to: .*bucket"):
        Store(at(server, "s3://dept/all"), tmp_path, STARTED).__enter__()
    assert server.files().ls("") == ["depth"]


def test_a_server_that_does_not_answer(tmp_path, server, monkeypatch):
    server.stop()
    monkeypatch.setattr(module, "CHECK_SECONDS", 30.0)
    begin = time.monotonic()
    with pytest.raises(
        UserError, match=r"option s3_path: s3://depth/all (cannot be written to|did not answer)"
    ):
        Store(at(server), tmp_path, STARTED).__enter__()
    assert time.monotonic() - begin < LIMIT


def test_a_server_that_goes_away_meanwhile(tmp_path, server, monkeypatch, capsys):
    monkeypatch.setattr(module, "PAUSES", (0.1,))
    run = make_run(tmp_path / "run")
    with Store(at(server), run, STARTED) as store:
        store.saved(add(run, "weights_0", 1))
        # Names alone: what is read meanwhile may have been renamed since it was listed.
        wait_for(lambda: "depth/all/run/models/weights_0/checkpoint.json" in server.files().find("depth"))
        server.stop()
        store.saved(add(run, "weights_1", 2))
    assert_says(capsys.readouterr().out, "store: failed: weights_1 (", "the run itself is whole")
    server.again()
    assert {*checkpoints(server.contents())} == {"weights_0"}
    with Store(at(server), run, STARTED):  # --resume
        pass
    assert {*checkpoints(server.contents())} == {"weights_0", "weights_1"}


def test_large_files_in_parts(tmp_path, server):
    """Those that s3fs sends in several parts."""
    run = make_run(tmp_path / "run")
    folder = add(run, "weights_0", 1)
    (folder / "a.pth").write_bytes(os.urandom(120 << 20))
    (folder / "checkpoint.json").unlink()
    module.Checkpoint(folder, STARTED, 1).seal()
    with Store(at(server), run, STARTED):
        pass
    assert {*checkpoints(server.contents())} == {"weights_0"}


def at(server: Server, path: str = "s3://depth/all") -> Any:
    return options(s3_path=path, s3_url=server.url)


def wait_for(condition: Any) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
