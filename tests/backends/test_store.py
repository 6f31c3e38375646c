"""Trainings whose checkpoints are kept in an object store as well."""

from pathlib import Path

import pytest

pytest.importorskip("fsspec", reason="needs fsspec, which PyTorch brings along")

from fsspec.implementations.memory import MemoryFileSystem

from core.training import store
from tests.backends.drive import tiny_trainer, tiny_training
from tests.core.training.stores import checkpoints, contents, flaky
from tests.scripts import assert_says, refused, succeeds

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr("core.files.whole._synchronise", lambda path: None)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])


def sent(run: Path, root: str = "/bucket/all/run/") -> dict[str, bytes]:
    """What a store should have of a run."""
    paths = [*(run / "models").glob("weights_*/*"), *(run / name for name in store.FILES)]
    return {f"{root}{path.relative_to(run)}": path.read_bytes() for path in paths}


def test_a_run_is_in_the_store_too(backend, drive, runs, memory):
    more = ["--num_epochs", 2, "--validation", "--save_steps", 1]
    words = tiny_training(backend.name, drive, runs, "run", *more)
    said = succeeds("train.py", *words, "--s3_path", "memory://bucket/all", here=True)
    assert_says(
        said, "store: checkpoints are kept in memory://bucket/all/run, too", "weights_1", "weights_best"
    )
    assert contents(MemoryFileSystem) == sent(runs / "run")
    copies = runs.parent / "copies"  # another place, from now on: all that is missing there
    succeeds("train.py", *words, "--resume", "--s3_path", f"file://{copies}", here=True)
    found = {f"/{path.relative_to(copies)}": path for path in copies.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == sent(runs / "run", "/run/")
    trainer = tiny_trainer(backend, drive, copies, "run", *more, "--resume")  # a copy is a run
    assert trainer.start.folder == copies / "run" / "models" / "weights_1" and trainer.start.step == 4


def test_a_store_that_fails_costs_no_checkpoint(backend, drive, runs):
    def fail(kind: str, path: str) -> None:
        if "uploading/" in path:
            raise ConnectionError("the line is dead")

    words = tiny_training(backend.name, drive, runs, "run", "--s3_path", "flaky://bucket/all")
    with flaky() as there:
        there.before = staticmethod(fail)
        said = succeeds("train.py", *words, here=True)
        assert_says(
            said, "store: failed: weights_0 (ConnectionError: the line is dead); the run itself is whole"
        )
        assert (
            checkpoints(contents(there)) == {} and (runs / "run/models/weights_0/checkpoint.json").is_file()
        )
        there.before = staticmethod(lambda kind, path: None)
        succeeds("train.py", *words, "--resume", here=True)
        assert contents(there) == sent(runs / "run")


def test_what_is_refused_before_a_step(backend, drive, tmp_path, memory):
    def words(name: str) -> list[str]:
        return tiny_training(backend.name, drive, tmp_path / name, "run", "--s3_path", "memory://bucket/all")

    message = refused("train.py", *words("a"), folder=tmp_path, made="a", without=("fsspec",), here=True)
    assert_says(message, "option s3_path: memory://bucket/all", "pip install -r requirements-extras.txt")
    MemoryFileSystem().pipe_file("/bucket/all/run/run.json", b'{"started": "2020"}')
    (tmp_path / "a").rename(tmp_path / "before")
    message = refused("train.py", *words("b"), folder=tmp_path, made="b", here=True)
    assert_says(message, "memory://bucket/all/run holds another run, begun 2020", "--overwrite")
    assert not (tmp_path / "b" / "run" / "run.json").exists()
    succeeds("train.py", *words("c"), "--dry_run", here=True)  # looks at no store
    assert list(contents(MemoryFileSystem)) == ["/bucket/all/run/run.json"]
