"""Adam's moments: of the newest checkpoint alone, and at every moment of one that is whole."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import UserError
from core.training.moments import remove_moments
from core.training.resume import Run, find_run
from tests.core.training.test_resume import DEFAULTS, begin, checkpoint

STATE = "training_state.safetensors"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with three epochs."""
    run = begin()
    run.write(tmp_path)
    for epoch in range(3):
        checkpoint(tmp_path / "models" / f"weights_{epoch}", run, 20 * (epoch + 1))
    return run


def with_moments(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in (folder / "models").glob(f"*/{STATE}"))


def newest(folder: Path) -> Path:
    return folder / "models" / "weights_2"


def test_the_newest_keeps_them_and_whoever_is_to(tmp_path: Path, run: Run) -> None:
    models = tmp_path / "models"
    checkpoint(models / "weights_7", begin(seed=4), 3)  # of another run
    checkpoint(models / "mine", run, 3)  # by another name
    (models / "weights_5").mkdir()  # no checkpoint
    (models / "weights_5" / STATE).write_bytes(b"mine")
    remove_moments(tmp_path, newest(tmp_path), run.started, [models / "weights_0"])
    assert with_moments(tmp_path) == ["mine", "weights_0", "weights_2", "weights_5", "weights_7"]
    assert STATE not in json.loads((models / "weights_1" / "checkpoint.json").read_text())["files"]
    found = find_run(tmp_path, begin(), DEFAULTS)[1]
    assert found is not None and found.step == 60


def test_they_lie_in_a_folder_that_cannot_be_changed(tmp_path: Path, run: Run, monkeypatch: Any) -> None:
    """The training goes on; a record never names a file that is gone."""

    def refused(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    remove_moments(tmp_path, newest(tmp_path), run.started)
    monkeypatch.undo()
    assert with_moments(tmp_path) == ["weights_0", "weights_1", "weights_2"]
    remove_moments(tmp_path, newest(tmp_path), run.started)
    assert with_moments(tmp_path) == ["weights_2"]


class Killed(BaseException):
    """What a test throws in place of signal 9."""


def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path, run: Run, monkeypatch: Any) -> None:
    """Whatever was the last thing done: a whole checkpoint is found, and the next time removes the rest."""
    for number in range(20):
        left = number

        def dying(act: Callable[..., Any]) -> Callable[..., Any]:
            def called(*arguments: Any, **more: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                return act(*arguments, **more)

            return called

        folder = tmp_path / str(number)
        started = begin()
        started.write(folder)
        for epoch in range(3):
            checkpoint(folder / "models" / f"weights_{epoch}", started, 20 * (epoch + 1))
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", dying(os.replace))
            patch.setattr(os, "unlink", dying(os.unlink))
            try:
                remove_moments(folder, newest(folder), started.started)
                break
            except Killed:
                pass
        found = find_run(folder, begin(), DEFAULTS)[1]
        assert found is not None and found.folder == newest(folder)
        for path in (folder / "models").glob("*/checkpoint.json"):
            assert all((path.parent / name).is_file() for name in json.loads(path.read_text())["files"])
        remove_moments(folder, newest(folder), started.started)
        assert with_moments(folder) == ["weights_2"]
    assert number > 3


def test_where_the_newest_is_damaged(tmp_path: Path, run: Run) -> None:
    """An older one that keeps its moments goes on as ever; weights alone would be another run."""
    models = tmp_path / "models"
    remove_moments(tmp_path, newest(tmp_path), run.started, [models / "weights_0"])
    (newest(tmp_path) / "encoder.pth").write_bytes(b"")
    found = find_run(tmp_path, begin(), DEFAULTS)[1]
    assert found is not None and found.folder == models / "weights_0"
    (models / "weights_0" / STATE).unlink()
    with pytest.raises(UserError) as caught:
        find_run(tmp_path, begin(), DEFAULTS)
    assert str(caught.value).endswith(
        "its newest checkpoint is damaged, and weights_1 has weights without Adam's moments, so the run cannot go on "
        "as if nothing had happened; begin another from them, with another --model_name and --load_weights_folder "
        f"{models / 'weights_1'} --start_epoch 2"
    )
