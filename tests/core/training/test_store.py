"""Checkpoints in an object store: whole or not there, whatever fails, and never at the cost of the run."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

fsspec = pytest.importorskip("fsspec", reason="needs fsspec, which PyTorch brings along")

from core.errors import UserError  # noqa: E402
from core.options.parsing import parse_method  # noqa: E402
from core.training import store as module  # noqa: E402
from core.training.moments import remove_moments  # noqa: E402
from core.training.remote import ChangedError, Remote  # noqa: E402
from core.training.store import Store  # noqa: E402
from tests.core.training.stores import (  # noqa: E402
    STARTED,
    Flaky,
    add,
    checkpoints,
    contents,
    flaky,
    make_run,
    options,
)

HOME = "/bucket/all/run"


class Died(BaseException):
    """A process that ends in the middle."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def there() -> Iterator[type[Flaky]]:
    with flaky() as store:
        yield store


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs" / "run")


def send(run: Path, *names: str, started: str = STARTED, overwrite: bool = False, **values: Any) -> None:
    """A training that has these checkpoints now."""
    with Store(options(**values), run, started, overwrite) as store:
        print(*store.news(), sep="\n")
        for name in names:
            store.saved(run / "models" / name)


def failing(times: int, what: str = "") -> Callable[[str, str], None]:
    """Raises at the first so many changes of a kind to a checkpoint's files."""
    left = times

    def before(kind: str, path: str) -> None:
        nonlocal left
        if "uploading/" in path and kind.startswith(what) and left > 0:
            left -= 1
            raise ConnectionError("the line is dead")

    return before


def same(run: Path, found: dict[str, bytes], *names: str) -> bool:
    """Whether the store has these checkpoints of a run, and the files beside them, and nothing else."""
    paths = [path for name in names for path in (run / "models" / name).iterdir()]
    expected = {f"{HOME}/{path.relative_to(run)}": path.read_bytes() for path in paths}
    expected |= {f"{HOME}/{name}": (run / name).read_bytes() for name in ("run.json", "options.yaml")}
    return found == expected | {f"{HOME}/scalars.jsonl": b'{"step": 0}\n'}


# ---- what is sent ----------------------------------------------------------------------------------------------


def test_a_run_is_there_as_it_is_here(
    run: Path, there: type[Flaky], capsys: pytest.CaptureFixture[str]
) -> None:
    for step, name in enumerate(("weights_0", "weights_best", "step_3", "weights_1")):
        add(run, name, step)
    send(run, "weights_1")
    assert same(run, contents(there), "weights_0", "weights_1", "weights_best")
    said = capsys.readouterr().out
    assert "store: checkpoints are kept in flaky://bucket/all/run, too\n" in said
    assert "store: sent weights_0, weights_1, weights_best\n" in said
    send(run)
    assert "sent" not in capsys.readouterr().out  # nothing was missing


def test_files_of_a_disk(run: Path, tmp_path: Path) -> None:
    url = f"file://{tmp_path / 'copies' / 'all'}/"
    add(run, "weights_0", 1)
    add(run, "weights_best", 1)
    send(run, s3_path=url)
    add(run, "weights_best", 2, files=("a.pth",))
    send(run, s3_path=url)
    copies = {
        f"/{path.relative_to(tmp_path)}": path for path in (tmp_path / "copies").rglob("*") if path.is_file()
    }
    found = {name.replace("/copies", "/bucket"): path.read_bytes() for name, path in copies.items()}
    assert same(run, found, "weights_0", "weights_best")
    assert not [*(tmp_path / "copies").rglob(".*")]


@pytest.mark.parametrize(
    "values, expected",
    [
        ({"s3_frequency": 1}, [0, 1, 2, 3, 4, 5, 6]),
        ({"s3_frequency": 3}, [2, 5, 6]),
        ({"s3_frequency": 3, "save_frequency": 2}, [3, 5, 6]),
    ],
)
def test_some_epochs(run: Path, there: type[Flaky], values: dict[str, int], expected: list[int]) -> None:
    saved = [epoch for epoch in range(7) if (epoch + 1) % values.get("save_frequency", 1) == 0 or epoch == 6]
    for epoch in saved:
        add(run, f"weights_{epoch}", epoch)
    send(run, num_epochs=7, **values)
    assert sorted(checkpoints(contents(there))) == [f"weights_{epoch}" for epoch in expected]


def test_the_best_waits_for_an_epoch_that_is_sent(run: Path, there: type[Flaky]) -> None:
    with Store(options(s3_frequency=2, num_epochs=9), run, STARTED) as store:
        store.saved(add(run, "weights_0", 1))
        store.saved(add(run, "weights_best", 1))
        assert not store._asked.is_set()
        store.saved(add(run, "weights_1", 2))
    assert sorted(checkpoints(contents(there))) == ["weights_1", "weights_best"]


def test_moments_stay_there_until_newer_ones_have_arrived(run: Path, there: type[Flaky]) -> None:
    """What is there already is not sent again."""
    state = "training_state.safetensors"
    with Store(options(s3_frequency=2, num_epochs=9), run, STARTED) as store:
        for epoch in (1, 2):
            store.saved(add(run, f"weights_{epoch}", epoch, files=("a.pth", state)))
        assert store.needed() == [run / "models" / "weights_1"]  # the second is not to be sent
    put = []

    def before(kind: str, path: str) -> None:
        put.append(path.removeprefix(f"{HOME}/models/"))
        if "weights_3" in path and kind == "put":
            raise ConnectionError("the line is dead")

    there.before = staticmethod(before)
    with Store(options(s3_frequency=2, num_epochs=9), run, STARTED) as store:
        store.saved(add(run, "weights_3", 3, files=("a.pth", state)))
        assert store.needed() == [run / "models" / "weights_3"]
        remove_moments(run, run / "models" / "weights_3", STARTED)
    assert list(checkpoints(contents(there))["weights_1"]["files"]) == ["a.pth", state]
    assert not any("weights_1" in path for path in put)
    put.clear()
    there.before = staticmethod(lambda kind, path: put.append(path.removeprefix(f"{HOME}/models/")))
    send(run, s3_frequency=2, num_epochs=9)
    records = checkpoints(contents(there))
    assert [[*records[name]["files"]] for name in sorted(records)] == [["a.pth"], ["a.pth", state]]
    assert f"{HOME}/models/weights_1/{state}" not in contents(there)
    assert not any("weights_1" in path and "a.pth" in path for path in put)


def test_without_a_store_nothing_happens(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    threads = threading.active_count()
    for values, wanted in (({"s3_path": None}, True), ({}, False)):
        with Store(options(**values), run, STARTED, wanted=wanted) as store:
            store.saved(add(run, "weights_0", 1))
            assert store.news() == [] and threading.active_count() == threads


# ---- whole or not there ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("older", [False, True], ids=["new", "in the place of another"])
def test_death_at_any_moment(run: Path, tmp_path: Path, older: bool) -> None:
    """Each change in the store is the last one of a process, once; a reader never meets half a checkpoint."""
    names = ("a.pth", "c.pth")
    moments = 0
    while True:
        with flaky() as there:
            remote = Remote("flaky://bucket/all", "run")
            if older:
                folder = add(run, "weights_best", 1)
                remote.upload(folder, ("a.pth", "b.pth"), (folder / "checkpoint.json").read_bytes())
            folder = add(run, "weights_best", 2 + moments, files=names)
            record, left = (folder / "checkpoint.json").read_bytes(), moments

            def after(kind: str, path: str, there: type[Flaky] = there) -> None:
                nonlocal left
                checkpoints(contents(there))
                left -= 1
                if left < 0:
                    raise Died

            there.after = staticmethod(after)
            try:
                remote.upload(folder, names, record)
                break
            except Died:
                moments += 1
            there.after = Flaky.after
            remote.upload(folder, names, record)  # the next time
            assert checkpoints(contents(there)) == {"weights_best": json.loads(record)}
            assert len(contents(there)) == 3
    assert moments > 8


def test_replaced_while_it_is_read(run: Path, there: type[Flaky]) -> None:
    remote = Remote("flaky://bucket/all", "run")
    folder = add(run, "weights_best", 1)
    record = (folder / "checkpoint.json").read_bytes()
    remote.upload(folder, ("a.pth", "b.pth"), record)
    add(run, "weights_best", 2)
    with pytest.raises(ChangedError):
        remote.upload(folder, ("a.pth", "b.pth"), record)
    assert checkpoints(contents(there))["weights_best"]["step"] == 1


def test_a_file_that_arrives_short(run: Path, there: type[Flaky], capsys: pytest.CaptureFixture[str]) -> None:
    def after(kind: str, path: str) -> None:
        if kind == "put" and path.endswith("b.pth"):
            there.store[path].truncate(5)

    there.after = staticmethod(after)
    add(run, "weights_0", 1)
    send(run)
    assert "store: failed: weights_0 (OSError: b.pth did not arrive whole); the run itself is whole" in (
        capsys.readouterr().out
    )
    assert checkpoints(contents(there)) == {}


# ---- what fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["put", "copy", "write", "remove"])
def test_a_few_failures_are_no_matter(
    run: Path, there: type[Flaky], capsys: pytest.CaptureFixture[str], what: str
) -> None:
    there.before = staticmethod(failing(3, what))
    add(run, "weights_0", 1)
    send(run)
    assert "failed" not in capsys.readouterr().out
    assert same(run, contents(there), "weights_0")


def test_many_are_one_line_and_made_up_for(
    run: Path, there: type[Flaky], capsys: pytest.CaptureFixture[str]
) -> None:
    for epoch in range(3):
        add(run, f"weights_{epoch}", epoch)
    there.before = staticmethod(failing(10**9))
    send(run, "weights_2")
    lines = [line for line in capsys.readouterr().out.splitlines() if "failed" in line]
    assert lines and lines[-1] == (
        "store: failed: weights_0, weights_1, weights_2 (ConnectionError: the line is dead); the run itself is whole, "
        "and the next checkpoint, or --resume, tries again"
    )
    there.before = Flaky.before
    send(run)  # as --resume does
    assert same(run, contents(there), "weights_0", "weights_1", "weights_2")


def test_a_store_that_never_answers_is_given_up(
    run: Path, there: type[Flaky], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "END_SECONDS", 0.05)
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.0)
    reached, released = threading.Event(), threading.Event()

    def hang(kind: str, path: str) -> None:
        if "uploading/" in path:
            reached.set()
            released.wait(60)

    there.before = staticmethod(hang)
    add(run, "weights_0", 1)
    with Store(options(), run, STARTED) as store:
        store.saved(run / "models" / "weights_0")
        assert reached.wait(60)
        while not any("still sending weights_0 after 0 s" in line for line in store.news()):
            time.sleep(0.01)
        thread = store._thread
    assert (
        "store: given up after 0.05 s, while sending weights_0; the run itself is whole"
        in capsys.readouterr().out
    )
    released.set()
    assert thread is not None
    thread.join(60)
    assert not thread.is_alive()


def test_a_second_interruption_ends_the_waiting(
    run: Path, there: type[Flaky], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "_finish", interrupted)
    with pytest.raises(KeyboardInterrupt), Store(options(), run, STARTED) as store:
        store.news()
    assert store._thread is not None
    store._thread.join(60)
    assert not store._thread.is_alive()


def test_a_run_that_was_refused_sends_nothing(run: Path, there: type[Flaky]) -> None:
    add(run, "weights_0", 1)
    with pytest.raises(UserError), Store(options(), run, "2027", overwrite=True):
        raise UserError("the folder holds a run")
    send(run, started="2027")
    assert contents(there) == {}


# ---- before a training -----------------------------------------------------------------------------------------


def refused(run: Path, **values: Any) -> str:
    with pytest.raises(UserError) as caught, Store(options(**values), run, STARTED):
        raise AssertionError("it began")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_package_that_is_missing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert refused(run).startswith("option s3_path: flaky://bucket/all: not without a package: ")
    assert refused(run).endswith("pip install -r requirements-extras.txt, or leave out --s3_path")


def test_a_package_for_a_kind_of_store_that_is_missing(run: Path) -> None:
    fsspec.register_implementation(
        "lacking", "no_such_package.Store", clobber=True, errtxt="Install lackingfs"
    )
    assert "Install lackingfs; pip install -r requirements-extras.txt" in refused(
        run, s3_path="lacking://bucket/all"
    )


def test_no_such_kind_of_store(run: Path) -> None:
    assert "Protocol not known: ftpx" in refused(run, s3_path="ftpx://bucket/all")


def test_a_store_that_cannot_be_reached(
    run: Path, there: type[Flaky], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def dead(kind: str, path: str) -> None:
        raise ConnectionError("no route\nto host")

    there.before = staticmethod(dead)
    message = refused(run)
    assert "flaky://bucket/all cannot be written to: ConnectionError: no route to host; check" in message
    (tmp_path / "file").touch()
    assert "cannot be written to: NotADirectoryError" in refused(run, s3_path=f"file://{tmp_path}/file/all")
    released = threading.Event()
    there.before = staticmethod(lambda kind, path: released.wait(60) and None)
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.05)
    assert "option s3_path: flaky://bucket/all did not answer within 0.05 s" in refused(run)
    released.set()


def test_another_run_of_that_name(run: Path, there: type[Flaky], tmp_path: Path) -> None:
    other = make_run(tmp_path / "elsewhere" / "run", started="2020-02-02")
    for name in ("weights_0", "weights_7"):
        add(other, name, 1, started="2020-02-02", files=("depth.pth",))
    send(other, started="2020-02-02", num_epochs=8)
    before = contents(there)
    message = refused(run)
    assert "flaky://bucket/all/run holds another run, begun 2020-02-02; choose another --s3_path" in message
    assert contents(there) == before
    add(run, "weights_0", 1)
    send(run, overwrite=True)
    assert same(run, contents(there), "weights_0")


def test_a_hostile_record_there_names_no_file_elsewhere(run: Path, there: type[Flaky]) -> None:
    remote = Remote("flaky://bucket/all", "run")
    for name in ("models/weights_0/x", "options.yaml", "models/kept/x"):
        remote.write(name, b"mine")
    record = {"run": "other", "files": {"../../options.yaml": "", "../kept/x": "", "x": "", "": "", "..": ""}}
    remote.write("models/weights_0/checkpoint.json", json.dumps(record).encode())
    remote.write("models/weights_1/checkpoint.json", b"[" * 100_000)
    remote.forget_others(STARTED)
    assert sorted(contents(there)) == [
        f"{HOME}/{name}" for name in ("models/kept/x", "models/weights_1/checkpoint.json", "options.yaml")
    ]


@pytest.mark.parametrize(
    "words, message",
    [
        (["--s3_path", "bucket/all"], "option s3_path: 'bucket/all' is no URL of a folder in a store"),
        (["--s3_path", "s3://"], "is no URL of a folder"),
        (["--s3_path", "simplecache::s3://bucket"], "is no URL of a folder"),
        (
            ["--s3_path", "ftp://me:secret@host/all"],
            "option s3_path: a password would be kept in options.yaml",
        ),
        (["--s3_path", "s3://b", "--s3_url", "https://k:s@host"], "option s3_url: a password would be kept"),
        (
            ["--s3_path", "s3://b", "--s3_url", "localhost"],
            "option s3_url: 'localhost' is no address such as http",
        ),
        (
            ["--s3_path", "memory://b", "--s3_url", "http://localhost"],
            "option s3_url: only for an --s3_path of s3",
        ),
        (["--s3_url", "http://localhost"], "option s3_url: only with --s3_path"),
        (["--s3_path", "s3://b", "--s3_frequency", "0"], "option s3_frequency: 0 is too small"),
    ],
)
def test_what_cannot_be_meant(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_method(words)
    assert message in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/a folder/", "file:///mnt/copies", "memory://x"])
def test_urls(url: str) -> None:
    assert parse_method(["--s3_path", url]).s3_path == url
