"""Weights & Biases, by a stand-in for its package: what it is told, and that nothing is sent unless asked twice."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import parse
from core.training.boards import with_wandb
from core.training.log import RunLog


class Run:
    """Keeps what it is told; fails at a step."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.logged: list[tuple[dict[str, Any], int]] = []
        self.finished, self.fails_at = 0, fails_at

    def log(self, values: dict[str, Any], step: int) -> None:
        if step == self.fails_at:
            raise ConnectionError("the server\nis away")
        self.logged.append((values, step))

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """The stand-in, by the name of the package."""
    found = types.SimpleNamespace(run=Run(), begun=[], Image=lambda image: ("image", image.shape))

    def init(**settings: Any) -> Run:
        found.begun.append(settings)
        return found.run

    found.init = init
    monkeypatch.setitem(sys.modules, "wandb", found)
    return found


def options(*argv: str) -> Monodepth2Options:
    return parse(Monodepth2Options, ["--model_name", "mine", *argv])


def test_without_it_the_package_is_not_looked_at(package, tmp_path):
    assert with_wandb(None, options(), tmp_path) is None
    assert package.begun == []


@pytest.mark.parametrize(
    ("argv", "first_step", "mode", "resume"),
    [
        (["--wandb"], 0, "offline", None),
        (["--wandb"], 7, "offline", None),
        (["--wandb", "--wandb_send", "--wandb_project", "depth"], 0, "online", None),
        (["--wandb", "--wandb_send", "--wandb_project", "depth"], 7, "online", "allow"),
    ],
)
def test_nothing_is_sent_unless_asked_twice(package, tmp_path, argv, first_step, mode, resume):
    with_wandb(None, options(*argv), tmp_path, first_step)
    with_wandb(None, options(*argv), tmp_path, first_step)
    with_wandb(None, options(*argv), tmp_path / "other", first_step)
    begun = package.begun[0]
    assert (begun["mode"], begun["resume"], begun["dir"]) == (mode, resume, str(tmp_path))
    assert begun["name"] == "mine" and begun["config"]["height"] == 192 and begun["save_code"] is False
    assert begun["project"] == ("depth" if len(argv) > 1 else None)
    ids = [one["id"] for one in package.begun]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("name", ["wandb_send", "wandb_project", "wandb_entity"])
def test_the_second_word_without_the_first(name):
    argv = [f"--{name}", *([] if name == "wandb_send" else ["x"])]
    with pytest.raises(UserError, match=f"option {name}: only with --wandb"):
        options(*argv)


class Board:
    """The framework's."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.calls.append(tag)

    def add_image(self, tag: str, image: np.ndarray, step: int, dataformats: str) -> None:
        self.calls.append(f"{tag} {dataformats}")

    def close(self) -> None:
        self.calls.append("closed")


def test_beside_the_own_board(package, tmp_path):
    own = Board()
    with RunLog(tmp_path, 10, with_wandb(own, options("--wandb"), tmp_path)) as log:
        log.scalars(3, "train", {"loss": 0.5, "abs_rel": 0.1})
        log.images(3, "val", {"disparity": np.zeros((2, 3, 1), np.uint8)})
    assert own.calls == ["train/loss", "train/abs_rel", "val/disparity HWC", "closed"]
    assert package.run.logged == [
        ({"train/loss": 0.5}, 3),
        ({"train/abs_rel": 0.1}, 3),
        ({"val/disparity": ("image", (2, 3, 1))}, 3),
    ]
    assert package.run.finished == 1


def test_what_fails_there_ends_no_training(package, tmp_path, capsys):
    """It is said once; the run's own files go on."""
    package.run.fails_at = 2
    with RunLog(tmp_path, 10, with_wandb(None, options("--wandb"), tmp_path)) as log:
        for step in (1, 2, 3):
            log.scalars(step, "train", {"loss": 0.5, "abs_rel": 0.1})
    assert package.run.logged == [({"train/loss": 0.5}, 1), ({"train/abs_rel": 0.1}, 1)]
    assert len((tmp_path / "scalars.jsonl").read_text().splitlines()) == 3
    assert capsys.readouterr().err.count("--wandb: stopped, the training goes on: the server is away\n") == 1


def test_absent_or_not_set_up(monkeypatch, package, tmp_path):
    def refuses(**_: Any) -> None:
        raise RuntimeError("no key\nis known")

    package.init = refuses
    with pytest.raises(
        UserError, match="option wandb: does not begin: no key is known; pip install"
    ) as error:
        with_wandb(None, options("--wandb"), tmp_path)
    assert "\n" not in str(error.value)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="not installed; pip install -r requirements-extras"):
        with_wandb(None, options("--wandb"), tmp_path)


def test_the_requirements_name_it():
    root = Path(__file__).resolve().parents[3]
    assert "\nwandb>=" in (root / "requirements-extras.txt").read_text()
    assert "wandb" not in (root / "requirements.txt").read_text()
