"""Two processes end together: by an error of one, by a signal to one, by a signal while one is slow.

.venv/bin/python -m pytest tests/slow --backend torch
"""

import os
import shutil
import subprocess
import sys

from core.datasets.kitti import image_path
from core.datasets.loader import shuffled
from core.datasets.splits import load_split
from tests.backends.drive import training
from tests.scripts import ENVIRONMENT, ROOT
from tests.tiny.register import SITE

LAUNCHERS = {
    "torch": ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"],
    "paddle": ["paddle.distributed.launch", "--nproc_per_node", "2"],
}
# A training in which one thing goes as the test wants it; arguments: the case, and those of train.py.
CASES = """
import signal, sys, time
from core.errors import run
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import parse
from backends import load_backend

case, *words = sys.argv[1:]
options = parse(Monodepth2Options, words)
trainer = load_backend(options.backend, "trainer").Trainer(options)
if case == "validating" and not trainer.processes.is_first:
    trainer._save_and_stop = lambda epoch=None: signal.raise_signal(signal.SIGTERM)  # before the validation
if case == "saving":
    train_step, save = trainer.train_step, trainer.save
    def stopped(step, arrays):
        signal.raise_signal(signal.SIGTERM)
        return train_step(step, arrays)
    def slow(folder):
        time.sleep(3 if trainer.processes.is_first else 0)
        save(folder)
    trainer.train_step, trainer.save = stopped, slow
run(lambda argv: trainer.run())
"""


def launch(backend, folder, *arguments, timeout=300):
    """Runs a script in two processes; returns the exit code and all they said."""
    command = [sys.executable, "-m", *LAUNCHERS[backend.name]]
    if backend.name == "paddle":
        command += ["--log_dir", folder / "log"]
    done = subprocess.run(
        [str(word) for word in (*command, *arguments)],
        cwd=ROOT,
        env=os.environ
        | ENVIRONMENT
        | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(SITE), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    logs = [path.read_text() for path in (folder / "log").glob("workerlog.*")]
    return done.returncode, "\n".join([done.stdout, done.stderr, *logs])


def test_an_error_of_one_ends_all(backend, drive, runs, tmp_path):
    """The second process meets a damaged image; the first one must not wait for it for ever."""
    data = tmp_path / "data"
    shutil.copytree(drive, data)
    lines = load_split(str(data / "splits"), "train")
    line = lines[shuffled(len(lines), 0, True, 0)[1]]
    path = image_path(data, line.folder, line.frame, line.camera, ".jpg")
    path.write_bytes(path.read_bytes()[:500])
    more = ["--width", 64, "--batch_size", 1]
    code, said = launch(
        backend, tmp_path, "train.py", *training(backend.name, data, runs, "run", "stereo", *more)
    )
    assert code != 0
    assert f"error: {path}: damaged or not an image" in said
    assert not (runs / "run" / "models").exists()


def test_a_stop_while_the_first_validates_reaches_all(backend, drive, runs, tmp_path):
    """Asked of the second process only: the first one ends its validation too."""
    (tmp_path / "case.py").write_text(CASES)
    words = training(backend.name, drive, runs, "run", "stereo", "--width", 64, "--validation")
    code, said = launch(backend, tmp_path, tmp_path / "case.py", "validating", *words)
    assert code != 0 and "stopped after step 1; continue with:" in said, said
    assert [folder.name for folder in (runs / "run" / "models").iterdir()] == ["weights_0"]


def test_a_stop_waits_for_the_checkpoint(backend, drive, runs, tmp_path):
    """The first process is slow to write; the other one must not end, and the launcher with it, meanwhile."""
    (tmp_path / "case.py").write_text(CASES)
    words = training(backend.name, drive, runs, "run", "stereo", "--width", 64, "--num_epochs", 2)
    code, said = launch(backend, tmp_path, tmp_path / "case.py", "saving", *words)
    assert code != 0 and "stopped after step 1; continue with:" in said, said
    assert (runs / "run" / "models" / "weights_0" / "checkpoint.json").is_file()
