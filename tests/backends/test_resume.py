"""Runs that are killed, stopped or damaged, and continued: they end as if nothing had happened, or say why not.

They train `tiny`; that each method's own state comes back is in `test_contract.py`.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import train
from core.errors import UserError
from core.training.interruption import Interrupted
from tests.backends.drive import tiny_trainer, tiny_training
from tests.scripts import ENVIRONMENT, ROOT
from tests.slow.kills import kill_and_resume
from tests.tiny.family import TinyPair
from tests.tiny.options import STEPS, TinyOptions

pytestmark = pytest.mark.usefixtures("tiny")

EPOCHS = 2
SMALL = ["--num_epochs", EPOCHS]
# What a checkpoint holds at least: weights and statistics of both networks, the progress, Adam's state of one of them.
SHAPES = TinyPair(TinyOptions().channels).shapes
TRAINED = [
    f"depth.{name}" for name in ("body.weight", "norm.weight", "norm.bias", "head.weight", "head.bias")
]
ARRAYS = {
    "step",
    *(f"tiny.{name}" for name in SHAPES if not name.endswith("num_batches_tracked")),
    *(f"{kind}/tiny/{name}" for kind in ("exp_avg", "exp_avg_sq", "steps") for name in TRAINED),
}


class Killed(BaseException):
    """What a test throws in place of signal 9."""


def kill_at(trainer, step):
    """Lets the training end abruptly when this step begins."""
    train_step = trainer.train_step

    def killed(number, arrays):
        if number == step:
            raise Killed
        return train_step(number, arrays)

    trainer.train_step = killed
    with pytest.raises(Killed):
        trainer.run()


def weights(backend, folder):
    """All arrays of a checkpoint."""
    from safetensors.numpy import load_file

    checkpoint = backend.module("checkpoint")
    found = dict(load_file(folder / checkpoint.STATE_FILE))
    for path in folder.glob(f"*{checkpoint.EXTENSION}"):
        found |= {f"{path.stem}.{name}": array for name, array in checkpoint.read_weights(path).items()}
    return found


def assert_same(backend, one, other):
    first, second = weights(backend, one), weights(backend, other)
    assert first.keys() == second.keys() and first.keys() >= ARRAYS
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def names(run):
    return sorted(path.name for path in (run / "models").iterdir())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Without waiting for the disk, which only a loss of power would need; the kills at the end do wait."""
    monkeypatch.setattr("core.files.whole._synchronise", lambda path: None)


@pytest.fixture(scope="module")
def whole(tiny, backend, drive, tmp_path_factory):
    """A run of two epochs, two steps each, that nothing happened to; its first keeps its moments."""
    runs = tmp_path_factory.mktemp("whole")
    tiny_trainer(backend, drive, runs, "whole", *SMALL, "--keep_moments", 0).run()
    yield runs / "whole"
    shutil.rmtree(runs)


@pytest.fixture
def copy(whole, runs):
    """The same run, its files links: not to be written into."""
    return shutil.copytree(whole, runs / "run", copy_function=os.link)


# ---- continuing ------------------------------------------------------------------------------------------------


def test_a_killed_run_ends_as_if_nothing_had_happened(backend, drive, runs, whole, capsys):
    arguments = (drive, runs, "run", *SMALL, "--save_steps", 1)
    kill_at(tiny_trainer(backend, *arguments), 3)
    assert names(runs / "run") == ["step_3", "weights_0"]
    (runs / "run" / "models" / ".step_9-abcdefgh").mkdir()  # as a kill inside a write leaves it
    with (runs / "run" / "scalars.jsonl").open("a") as file:
        file.write('{"step": 1, "part": "tra')
    tiny_trainer(backend, *arguments, "--resume").run()
    assert "continues after step 3 from" in capsys.readouterr().out
    assert names(runs / "run") == names(whole) == ["weights_0", "weights_1"]
    assert_same(backend, whole / "models" / "weights_1", runs / "run" / "models" / "weights_1")
    assert (runs / "run" / "scalars.jsonl").read_text() == (whole / "scalars.jsonl").read_text()


def test_begun_anew_and_made_longer(backend, drive, runs, whole, capsys):
    """Killed before the first checkpoint; then continued with fewer epochs; then with all, and another loader.

    Whatever the random state was before a step, the step sets its own.
    """
    arguments = (drive, runs, "run", *SMALL)
    kill_at(tiny_trainer(backend, *arguments), 1)
    trainer = tiny_trainer(backend, *arguments, "--num_epochs", 1, "--resume")
    train_step = trainer.train_step

    def disturbed(number, arrays):
        backend.module("tensors").seed_everything(number + 77)
        return train_step(number, arrays)

    trainer.train_step = disturbed
    trainer.run()
    assert "no whole checkpoint yet; the run begins anew" in capsys.readouterr().out
    tiny_trainer(backend, *arguments, "--num_workers", 0, "--resume").run()
    assert_same(backend, whole / "models" / "weights_1", runs / "run" / "models" / "weights_1")


def test_begun_with_a_later_epoch(backend, drive, runs, whole):
    """Where the weights of another run's first epoch are: rates, order and moments are as if this run had done it."""
    start = ["--load_weights_folder", whole / "models" / "weights_0", "--start_epoch", 1]
    arguments = (drive, runs, "run", *SMALL, *start)
    kill_at(tiny_trainer(backend, *arguments, "--save_steps", 1), 3)
    assert names(runs / "run") == ["step_3"]
    tiny_trainer(backend, *arguments, "--resume").run()
    assert names(runs / "run") == ["weights_1"]
    assert_same(backend, whole / "models" / "weights_1", runs / "run" / "models" / "weights_1")
    steps = [json.loads(line)["step"] for line in (runs / "run" / "scalars.jsonl").read_text().splitlines()]
    assert steps and set(steps) == {2, 3}
    with pytest.raises(UserError, match=r"changed: start_epoch 0 \(was 1\)"):
        tiny_trainer(backend, drive, runs, "run", *SMALL, *start[:2], "--resume")


def test_a_damaged_checkpoint_is_skipped(backend, drive, runs, whole, copy, capsys):
    file = copy / "models" / "weights_1" / f"tiny{backend.module('checkpoint').EXTENSION}"
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:-100])
    tiny_trainer(backend, drive, runs, "run", *SMALL, "--resume").run()
    printed = capsys.readouterr().out
    assert f"{file.parent}: skipped, {file.name} is damaged" in printed
    assert f"continues after step 2 from {copy / 'models' / 'weights_0'}" in printed
    assert_same(backend, whole / "models" / "weights_1", file.parent)


def test_older_checkpoints_are_weights_alone(backend, drive, runs, whole, capsys):
    """Of the run's epochs, and of its best; whoever starts from them is told, and --resume does not take them."""
    arguments = (drive, runs, "run", *SMALL, "--validation")
    tiny_trainer(backend, *arguments).run()
    models, state = runs / "run" / "models", backend.module("checkpoint").STATE_FILE
    assert [path.parent.name for path in models.glob(f"*/{state}")] == ["weights_1"]
    assert_same(backend, whole / "models" / "weights_1", models / "weights_1")
    one, same = (
        backend.module("checkpoint").read_weights(next((folder / "weights_0").glob("tiny.*")))
        for folder in (models, whole / "models")
    )
    assert all(np.array_equal(array, same[name]) for name, array in one.items())
    assert "a checkpoint takes 0.0" in capsys.readouterr().out
    tiny_trainer(backend, drive, runs, "next", "--load_weights_folder", models / "weights_0")
    assert "weights_0: weights without Adam's moments, which begin at zero" in capsys.readouterr().err
    (models / "weights_1" / "options.yaml").unlink()
    with pytest.raises(UserError, match="weights_0 has weights without Adam's moments, so the run cannot"):
        tiny_trainer(backend, *arguments, "--resume")


def test_a_name_that_holds_a_run_is_refused_or_replaced(backend, drive, runs, copy):
    arguments = (drive, runs, "run", *SMALL, "--seed", 1, "--num_epochs", 1)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"holds a run already \(weights_1\); .*--resume, .*--overwrite"):
        tiny_trainer(backend, *arguments).run()
    assert {path: path.read_bytes() for path in before} == before
    tiny_trainer(backend, *arguments, "--overwrite").run()
    assert names(copy) == ["weights_0"]
    trainer = tiny_trainer(backend, *arguments, "--resume")
    assert trainer.start.folder.name == "weights_0" and trainer.start.step == 2
    with pytest.raises(UserError, match="run: another process trains here; wait for it"):
        tiny_trainer(backend, *arguments, "--overwrite").run()


def test_what_changed_is_named(backend, drive, runs, copy):
    more = ["--resume", "--learning_rate", 1e-5, "--no_neighbour", "--log_frequency", 7]
    with pytest.raises(UserError) as caught:
        tiny_trainer(backend, drive, runs, "run", *SMALL, *more)
    assert "learning_rate 1e-05 (was 0.001), neighbour False (was True); change them back" in str(
        caught.value
    )
    lines = (drive / "splits" / "train_files.txt").read_text().splitlines(keepends=True)
    shutil.copytree(drive / "splits", runs / "splits")
    (runs / "splits" / "train_files.txt").write_text("".join(lines[:-1]))
    with pytest.raises(UserError, match=r"split .* \(was .*training samples 3 \(was 4\)"):
        tiny_trainer(backend, drive, runs, "run", *SMALL, "--resume", "--split", runs / "splits")


def test_the_weights_it_began_with_may_be_gone(backend, drive, runs, whole):
    start = shutil.copytree(whole / "models" / "weights_0", runs / "start")
    words = tiny_training(backend.name, drive, runs, "run", "--load_weights_folder", start)
    train.main(words)
    shutil.rmtree(start)
    with pytest.raises(UserError, match="no such folder of weights"):
        train.main(words)
    train.main([*words, "--num_epochs", "2", "--resume"])
    assert names(runs / "run") == ["weights_0", "weights_1"]


def test_nothing_to_resume(backend, drive, runs):
    with pytest.raises(UserError, match=r"run: no run to continue \(no run.json\); check --log_dir"):
        tiny_trainer(backend, drive, runs, "run", *SMALL, "--resume")
    assert not runs.exists()


# ---- signals ---------------------------------------------------------------------------------------------------


def test_ctrl_c_saves_and_says_how_to_go_on(backend, drive, runs):
    """As a user: the process ends after the step it is in, and the command it prints continues it."""
    epochs = 4000  # more than it has the time for
    arguments = tiny_training(backend.name, drive, runs, "run", "--num_epochs", epochs)
    process = subprocess.Popen(
        [sys.executable, "train.py", *arguments],
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert any(line.startswith("epoch ") for line in process.stdout)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    step, command = re.fullmatch(r"stopped after step (\d+); continue with: (.*)\n", errors).groups()
    assert command == shlex.join([sys.executable, "train.py", *arguments, "--resume"])
    records = [json.loads(path.read_text()) for path in (runs / "run" / "models").glob("*/checkpoint.json")]
    assert max(record["step"] for record in records) == int(step) < epochs * STEPS


def test_kill_saves_and_stops_in_the_middle_of_an_epoch(backend, drive, runs, whole):
    arguments = (drive, runs, "run", *SMALL)
    trainer = tiny_trainer(backend, *arguments)
    train_step = trainer.train_step

    def signalled(number, arrays):
        if number == 2:
            signal.raise_signal(signal.SIGTERM)
        return train_step(number, arrays)

    trainer.train_step = signalled
    with pytest.raises(Interrupted, match=r"stopped after step 3; continue with: .*--resume") as caught:
        trainer.run()
    assert caught.value.code == 143
    assert names(runs / "run") == ["step_3", "weights_0"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]
    tiny_trainer(backend, *arguments, "--resume").run()
    assert_same(backend, whole / "models" / "weights_1", runs / "run" / "models" / "weights_1")


# ---- the processor's time ---------------------------------------------------------------------------------------


def test_a_run_ends_when_its_time_is_used_up(backend, drive, runs, whole, monkeypatch, capsys):
    """With a checkpoint, its validation and no error; and goes on from there."""
    arguments = (drive, runs, "run", *SMALL)
    clock = iter([1.0, 2.0, 30.0])
    monkeypatch.setattr(backend.module("trainer"), "process_time", lambda: next(clock))
    tiny_trainer(backend, *arguments, "--max_cpu_seconds", 30, "--validation").run()
    assert names(runs / "run") == ["step_3", "weights_0", "weights_best"]
    said = capsys.readouterr().out
    assert "30 processor seconds are used up after step 3; --resume continues" in said
    assert said.count("validation: ") == 2
    tiny_trainer(backend, *arguments, "--resume").run()
    assert_same(backend, whole / "models" / "weights_1", runs / "run" / "models" / "weights_1")


def test_time_that_is_used_up_with_an_epoch(backend, drive, runs, monkeypatch, capsys):
    clock = iter([1.0, 2.0])
    monkeypatch.setattr(backend.module("trainer"), "process_time", lambda: next(clock))
    arguments = ("--save_frequency", 2, "--max_cpu_seconds", 2)
    tiny_trainer(backend, drive, runs, "run", *SMALL, *arguments).run()
    assert names(runs / "run") == ["weights_0"]
    assert "used up after step 2" in capsys.readouterr().out


# ---- signal 9 --------------------------------------------------------------------------------------------------


def test_kills_inside_writes(backend, drive, runs):
    """A few of the kills of `python -m tests.slow.kills`: inside run.json, inside a checkpoint, before its renaming."""
    moments = {"torch": [2, 17, 42], "paddle": [2, 24, 54]}[backend.name]
    result = kill_and_resume(backend.name, drive, runs, 3, iter(moments))
    assert result.kills == 3 and result.inside_writes == 3
    assert result.different == []
