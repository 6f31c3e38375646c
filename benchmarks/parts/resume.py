"""A killed and continued run beside a whole one; which kernels are not deterministic, and what order would cost."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from backends.torch.checkpoint import network_state
from backends.torch.trainer import Trainer
from benchmarks import Row
from benchmarks.frames import Repeated, make_frames, options_on
from benchmarks.setting import ROOT, Setting
from core.datasets.loader import batches
from core.datasets.sample import Sample
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from core.weights import read_weights_file

EPOCHS = {False: 2, True: 1}  # small or not
SAVE_STEPS = {False: 2, True: 4}
STEPS = {False: 6, True: 2}  # of the runs that are compared in this process
NAMES = ("encoder", "depth", "pose_encoder", "pose")
PATIENCE = 0.02  # seconds between two looks for a checkpoint


def measure(setting: Setting) -> None:
    """First what a user does, by train.py; then the reason, if the bits differ."""
    frames = make_frames(setting.output, setting.small)
    options = options_on(
        frames, setting.small, save_steps=SAVE_STEPS[setting.small], num_epochs=EPOCHS[setting.small]
    )
    killed_and_whole(setting, options)
    # Before the first product in this process; those before had the libraries' own choice.
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    repeated(setting, replace(options, save_steps=0))


def killed_and_whole(setting: Setting, options: Monodepth2Options) -> None:
    """Two trainings at once, of which one is killed after its first checkpoint and continued."""
    logs = setting.output / "runs"
    for name in ("whole", "killed"):
        shutil.rmtree(
            logs / name, ignore_errors=True
        )  # of an earlier check: its checkpoints would be met first
    runs = {name: start(options, logs, name) for name in ("whole", "killed")}
    try:
        kill_after_checkpoint(runs["killed"], logs / "killed" / "models")
        runs["killed"] = start(options, logs, "killed", "--resume")
        bad = [name for name, process in runs.items() if process.wait() != 0]
    finally:
        for process in runs.values():
            process.kill()
            process.wait()
    if bad:
        raise UserError(f"train.py failed: {', '.join(bad)}; see resume.log")
    folders = [logs / name / "models" / f"weights_{options.num_epochs - 1}" for name in runs]
    different, largest = compare(*({n: weights(folder, n) for n in NAMES} for folder in folders))
    report = setting.report
    report.value("killed and continued: tensors that differ from the whole run", different)
    report.value("killed and continued: largest difference of a weight", largest)
    report.note(
        "killed and continued: equal to the bit"
        if different == 0
        else "killed and continued: not the same bits"
    )


def start(options: Monodepth2Options, logs: Path, name: str, *more: str) -> "subprocess.Popen[bytes]":
    """train.py in a process of its own."""
    words = ["--data_path", options.data_path, "--split", options.split, "--log_dir", str(logs)]
    words += ["--model_name", name, "--height", str(options.height), "--width", str(options.width)]
    words += ["--batch_size", str(options.batch_size), "--num_epochs", str(options.num_epochs)]
    words += ["--save_steps", str(options.save_steps), "--weights_init", "scratch", "--no_validation"]
    words += ["--num_workers", "2", "--log_frequency", "1000000", *more]
    return subprocess.Popen([sys.executable, "train.py", *words], cwd=ROOT)


def kill_after_checkpoint(process: "subprocess.Popen[bytes]", models: Path) -> None:
    """Kills a training as soon as there is something to continue from.

    Raises:
        UserError: it ended before.
    """
    while process.poll() is None:
        if any(models.glob("step_*")):
            process.send_signal(signal.SIGKILL)
            process.wait()
            return
        time.sleep(PATIENCE)
    raise UserError("train.py ended before it could be killed; see resume.log")


def weights(folder: Path, name: str) -> dict[str, np.ndarray]:
    """The tensors of one network's file."""
    return read_weights_file(folder / f"{name}.pth")


def compare(
    one: dict[str, dict[str, np.ndarray]], other: dict[str, dict[str, np.ndarray]]
) -> tuple[int, float]:
    """How many tensors differ in a bit, and the largest difference of a number."""
    pairs = [(one[name][key], other[name][key]) for name in one for key in one[name]]
    different = sum(a.tobytes() != b.tobytes() for a, b in pairs)
    return different, max(float(np.abs(np.asarray(a, np.float64) - b).max()) for a, b in pairs)


def repeated(setting: Setting, options: Monodepth2Options) -> None:
    """The same steps twice in this process, as ever and with deterministic kernels."""
    steps = STEPS[setting.small]
    size = options.batch_size
    samples = Repeated(options, steps * size)
    arrays = list(batches(samples, 0, size, shuffle=True, seed=0, num_workers=2, drop_last=True))
    free = drift(setting, "as ever", options, arrays)
    with deterministic() as told:
        ordered = drift(setting, "deterministic kernels", options, arrays)
    setting.report.value("kernels without a deterministic form", sorted(map(kernel, told)))
    setting.report.row(Row.of_costs("step with deterministic kernels, beside as ever", free, ordered, "s"))


def drift(setting: Setting, name: str, options: Monodepth2Options, arrays: list[Sample]) -> float:
    """Trains twice from the same start and reports how far apart the weights end; median seconds of a step."""
    states, seconds = [], []
    for _ in range(2):
        trainer = Trainer(options, pretrained=False)
        for number, batch in enumerate(arrays):
            seconds.append(setting.seconds(lambda: trainer.train_step(number, [batch])))  # noqa: B023
        states.append({key: network_state(network) for key, network in trainer.networks.items()})
    different, largest = compare(*states)
    report = setting.report
    report.value(f"{len(arrays)} steps twice, {name}: tensors that differ", different)
    report.value(f"{len(arrays)} steps twice, {name}: largest difference of a weight", largest)
    return float(np.median(seconds))


@contextmanager
def deterministic() -> Iterator[set[str]]:
    """Kernels that add in one order, where there are such; inside, fills the set with PyTorch's warnings."""
    told: set[str] = set()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield told
        finally:
            torch.use_deterministic_algorithms(False)
            told |= {str(one.message) for one in caught if "deterministic" in str(one.message)}


def kernel(warning: str) -> str:
    """The name in PyTorch's sentence, which begins with it."""
    return re.split(r"\s(?:does not|is not)|,", warning.strip())[0][:120]
