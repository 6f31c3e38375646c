"""A run folder has one writer at a time, and holds one run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import UserError
from core.training.claim import LOCK_FILE, Claim, make_room

HOLD = """
import sys, pathlib
from core.training.claim import Claim
with Claim(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def checkpoint(folder: Path, name: str) -> Path:
    """A folder of weights as a run leaves it."""
    path = folder / "models" / name
    path.mkdir(parents=True)
    (path / "checkpoint.json").write_text("{}")
    (path / "depth.pth").write_bytes(b"weights")
    return path


def test_one_writer(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    with Claim(folder) as claim:
        claim.take()  # again: nothing new
        with pytest.raises(
            UserError, match=r"one: another process trains here; wait for it, or .* --model_name"
        ):
            Claim(folder).take()
        with Claim(folder, wanted=False):  # a process that only helps
            pass
    with Claim(folder):
        assert os.listdir(folder) == [LOCK_FILE]


def test_a_kill_leaves_the_folder_open(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    with pytest.raises(UserError, match="another process trains here"):
        Claim(tmp_path).take()
    process.kill()
    process.communicate()
    Claim(tmp_path).take()


def test_a_run_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    with pytest.raises(UserError, match="no run to continue"):
        Claim(folder).find_run(None, {})  # type: ignore[arg-type]
    assert not folder.exists()
    folder.mkdir()
    with pytest.raises(UserError, match="no run to continue"):
        Claim(folder).find_run(None, {})  # type: ignore[arg-type]
    Claim(folder).take()  # given back


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="cannot be written"):
        Claim(tmp_path / "run").take()


def test_a_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="run: cannot be written"):
        Claim(tmp_path / "run").take()


@pytest.mark.parametrize("name", ["weights_0", "weights_19", "weights_best", "weights_initial", "step_7"])
def test_weights_of_another_run(tmp_path: Path, name: str) -> None:
    path = checkpoint(tmp_path, name)
    (tmp_path / "metrics.json").write_text("mine")
    for left in ("run.json", "scalars.jsonl", "options.yaml", "events.out.tfevents.1.host.2"):
        (tmp_path / left).write_text("theirs")
    with pytest.raises(UserError, match=rf"holds a run already \({name}\); .* --resume, .* --overwrite"):
        make_room(tmp_path, overwrite=False)
    assert (path / "depth.pth").read_bytes() == b"weights" and (tmp_path / "run.json").exists()
    make_room(tmp_path, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["metrics.json", "models"] and not path.exists()


def test_weights_that_no_run_wrote_stay(tmp_path: Path) -> None:
    ours, official = checkpoint(tmp_path, "weights_0"), tmp_path / "models" / "weights_19"
    official.mkdir()
    (official / "depth.pth").write_bytes(b"official")
    with pytest.raises(
        UserError, match="weights_19: no training wrote this, so --overwrite does not remove it"
    ):
        make_room(tmp_path, overwrite=True)
    assert ours.exists() and official.exists()


def test_a_run_that_wrote_no_weights_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "models").mkdir()
    make_room(tmp_path, overwrite=False)
    assert (tmp_path / "run.json").exists()
