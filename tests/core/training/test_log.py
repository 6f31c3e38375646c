"""The log of a run: lines, files, a board's writer."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import UserError
from core.training.log import RunLog, hours_minutes_seconds, is_log_step


class Clock:
    """Seconds that pass when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Board:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.calls.append((tag, value, step))

    def add_image(self, tag: str, image: np.ndarray, step: int, dataformats: str) -> None:
        self.calls.append((tag, image.shape, step, dataformats))

    def close(self) -> None:
        self.calls.append(("closed",))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "scalars.jsonl").read_text().splitlines()]


def test_entry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with RunLog(tmp_path, total_steps=100, clock=clock) as log:
        for _ in range(20):
            clock.now += 0.5
            log.advance(6, 0.25)
        line = log.entry(1, 4, 0.123456)
        clock.now += 2
        log.advance(6, 0.25)
        second = log.entry(1, 5, 0.1)
    assert line == (
        "epoch   1 | batch      4 | examples/s:  12.0 | loss: 0.12346 | "
        "time elapsed: 00h00m10s | time left: 00h00m40s"
    )
    assert "examples/s:   3.0" in second  # since the line before
    assert line in capsys.readouterr().out


def test_continued_run_counts_only_its_own_time(tmp_path: Path) -> None:
    clock = Clock()
    with RunLog(tmp_path, total_steps=100, first_step=90, clock=clock) as log:
        clock.now += 5
        log.advance(6, 0.25)
        assert log.step == 91
        assert log.entry(0, 0, 0.1).endswith("time left: 00h00m45s")


def test_scalars(tmp_path: Path) -> None:
    folder, board = tmp_path / "run", Board()
    with RunLog(folder, 10, board) as log:
        log.scalars(0, "train", {"loss": np.float32(0.5), "loss/0": 0.25})
        assert lines(folder) == [
            {"step": 0, "part": "train", "values": {"loss": 0.5, "loss/0": 0.25}}
        ]  # at once
        log.scalars(0, "val", {"loss": float("nan")})
    assert lines(folder)[1] == {"step": 0, "part": "val", "values": {"loss": None}}
    assert board.calls[:2] == [("train/loss", 0.5, 0), ("train/loss/0", 0.25, 0)]
    assert board.calls[-1] == ("closed",)


def test_continued_run_extends_the_file_and_a_new_one_begins_it(tmp_path: Path) -> None:
    for first_step, expected in ((0, 1), (5, 2), (0, 1)):
        with RunLog(tmp_path, 10, first_step=first_step) as log:
            log.scalars(first_step, "train", {"loss": 1.0})
        assert len(lines(tmp_path)) == expected


def test_images(tmp_path: Path) -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    with RunLog(tmp_path, 10) as log:
        log.images(0, "train", {"disp_0/0": image})  # no board: nothing
    board = Board()
    with RunLog(tmp_path, 10, board) as log:
        log.images(3, "val", {"disp_0/0": image})
    assert board.calls[0] == ("val/disp_0/0", (4, 6, 3), 3, "HWC")


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        RunLog(tmp_path / "file" / "run", 10)


def test_hours_minutes_seconds() -> None:
    assert hours_minutes_seconds(3725.4) == "01h02m05s"
    assert hours_minutes_seconds(360000) == "100h00m00s"


def test_log_steps() -> None:
    # Epochs of 1500 steps, every 250 batches; from step 2000 on only every 2000th.
    logged = [step for step in range(6001) if is_log_step(step, step % 1500, 250)]
    assert logged == [0, 250, 500, 750, 1000, 1250, 1500, 1750, 2000, 4000, 6000]


def test_a_continued_log_reads_as_one_run(tmp_path: Path) -> None:
    with RunLog(tmp_path, total_steps=9) as log:
        for step in range(5):
            log.scalars(step, "train", {"loss": step})
    with (tmp_path / "scalars.jsonl").open("a") as file:
        file.write('{"step": 2, "part": "tr')  # killed while it wrote
    with RunLog(tmp_path, total_steps=9, first_step=3) as log:
        for step in (3, 4):
            log.scalars(step, "train", {"loss": step})
    assert [(line["step"], line["values"]["loss"]) for line in lines(tmp_path)] == [(n, n) for n in range(5)]


@pytest.mark.parametrize(
    "odd", ["\0" * 5000, "[" * 20_000, "7", "[1]", '{"step": null}', '{"step": ' + "9" * 5000 + "}"]
)
def test_what_a_power_cut_left_in_the_middle(tmp_path: Path, odd: str) -> None:
    """Zero bytes where lines were, as a disk leaves them, or what no log says."""
    with RunLog(tmp_path, total_steps=9) as log:
        log.scalars(0, "train", {"loss": 0})
    with (tmp_path / "scalars.jsonl").open("a") as file:
        file.write(f"{odd}\n")
    with RunLog(tmp_path, total_steps=9, first_step=3) as log:
        log.scalars(3, "train", {"loss": 3})
    assert [line["step"] for line in lines(tmp_path)] == [0, 3]


@pytest.mark.parametrize("first_step", [0, 3])
def test_a_pipe_in_place_of_the_numbers(tmp_path: Path, first_step: int) -> None:
    os.mkfifo(tmp_path / "scalars.jsonl")
    with pytest.raises(UserError, match=r"scalars\.jsonl: is no regular file; remove it"):
        RunLog(tmp_path, 9, first_step=first_step)


def test_a_process_that_helps_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLog(None, total_steps=2) as log:
        log.message("nobody hears this")
        log.advance(1, 0.5)
        log.scalars(0, "train", {"loss": 1.0})
    assert log.step == 1 and capsys.readouterr() == ("", "")
