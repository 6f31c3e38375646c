"""A tiny rendered drive and what is trained on it: two steps at 64×128.

What does not depend on the network is tested by the method `tiny`: a step takes it milliseconds, and a checkpoint KB.
"""

from pathlib import Path
from typing import Any

import export_gt_depth
from core.options.parsing import parse_method
from tests.backends.adapter import Adapter
from tests.core.streets import short
from tests.scripts import succeeds

HEIGHT, WIDTH = 64, 128
TINY_HEIGHT, TINY_WIDTH = 48, 64
STEPS = 2
MODES = {
    "mono": ["--frame_ids", "0", "-1", "1"],
    "stereo": ["--frame_ids", "0", "--use_stereo"],
    "mono+stereo": ["--frame_ids", "0", "-1", "1", "--use_stereo"],
}
# The files of a weights folder by official name, without their extension.
NETWORKS = {
    "mono": ("encoder", "depth", "pose_encoder", "pose"),
    "stereo": ("encoder", "depth"),
    "mono+stereo": ("encoder", "depth", "pose_encoder", "pose"),
}


def make_drive(folder: Path) -> Path:
    """Renders one street to learn from and one to test on, four frames each, and exports the ground truth."""
    size = ["--height", HEIGHT, "--width", WIDTH, "--samples", 1, "--azimuths", 100]
    lengths = ["--train_drives", 1, "--val_drives", 0, "--frames", 4, "--test_frames", 4]
    with short():
        done = succeeds(
            "render_drive.py", "--output", folder, *size, *lengths, "--workers", 1, quiet=False, here=True
        )
    assert "rendered" in done
    splits = folder / "splits"
    (splits / "val_files.txt").write_text((splits / "test_files.txt").read_text())
    export_gt_depth.main(["--data_path", str(folder), "--split", str(splits)])
    return folder


def training(backend: str, drive: Path, runs: Path, name: str, mode: str, *more: object) -> list[str]:
    """Arguments of `train.py` for two steps in one epoch; the run folder is `runs/name`."""
    size = ["--height", HEIGHT, "--width", WIDTH, "--weights_init", "scratch"]
    return [*_training(backend, drive, runs, name), *map(str, [*size, *MODES[mode], *more])]


def tiny_training(backend: str, drive: Path, runs: Path, name: str, *more: object) -> list[str]:
    """The same of the method `tiny`, which has no modes: two steps, whatever the batch. See the fixture `tiny`."""
    size = ["--method", "tiny", "--height", TINY_HEIGHT, "--width", TINY_WIDTH]
    return [*_training(backend, drive, runs, name), *map(str, [*size, *more])]


def _training(backend: str, drive: Path, runs: Path, name: str) -> list[str]:
    where = ["--data_path", drive, "--split", drive / "splits", "--log_dir", runs, "--model_name", name]
    rest = ["--batch_size", 4 // STEPS, "--num_epochs", 1, "--num_workers", 1, "--log_frequency", 1]
    return list(map(str, ["--backend", backend, *where, *rest, "--device", "cpu", "--no_validation"]))


def tiny_trainer(backend: Adapter, *arguments: Any) -> Any:
    """A trainer of `tiny` that has not begun; arguments of `tiny_training`, from the drive on."""
    return backend.module("trainer").Trainer(parse_method(tiny_training(backend.name, *arguments)))


def weights_of(runs: Path, name: str) -> Path:
    """The folder that such a training writes."""
    return runs / name / "models" / "weights_0"


def link_weights(weights: Path, folder: Path, leave_out: tuple[str, ...] = ()) -> Path:
    """A folder with the same files, to add to or to damage."""
    folder.mkdir(parents=True)
    for file in weights.iterdir():
        if file.name not in leave_out:
            (folder / file.name).symlink_to(file)
    return folder
