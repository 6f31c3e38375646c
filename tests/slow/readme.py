"""Runs the command lines of the READMEs that need no network, on small data, one after the other as a user would.

    .venv/bin/python -m tests.slow.readme                                   README.md, in PyTorch
    .venv/bin/python -m tests.slow.readme --readme README.zh-CN.md --backend paddle

The data are a rendered drive in the place of KITTI, frames and a video of it, and weights that have learnt nothing.
Options that make a line long (epochs, sizes, lists that name KITTI's drives) get small values; what is left out is told
with its reason. The exit code is 1 if a line fails.
"""

import argparse
import contextlib
import io
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import train
from core.files import plain_yaml
from core.files.whole import EXTENSIONS
from tests.backends.drive import make_drive, training
from tests.core.cameras.test_calibration import KALIBR
from tests.core.streets import short
from tests.readmes import READMES, ROOT, Command, commands
from tests.scripts import run_here
from tests.slow.stand_ins import stand_ins

SMALL = {"--height": "64", "--width": "128"}
# What makes a line short, by script; a value of the line itself is replaced.
SHORT: dict[str, dict[str, str]] = {
    "train.py": SMALL
    | {"--num_epochs": "1", "--batch_size": "2", "--num_workers": "0", "--weights_init": "scratch"}
    | {"--log_frequency": "1", "--device": "cpu", "--max_cpu_seconds": "20"},
    "precompute_depth_hints.py": {"--height": "64", "--width": "192", "--num_workers": "0"},
    "make_rays.py": SMALL,
    "evaluate_depth.py": {"--num_workers": "0", "--device": "cpu"},
    "evaluate_pose.py": {"--num_workers": "0", "--device": "cpu"},
    "predict.py": {"--device": "cpu"},
    "render_drive.py": SMALL
    | {"--train_drives": "1", "--val_drives": "1", "--frames": "4", "--test_frames": "4"}
    | {"--samples": "1", "--workers": "1", "--azimuths": "100"},
    "export_onnx.py": SMALL,
}
# What makes the networks of a method small, or its loss cheap, by the folder of the README.
CHEAP = {
    "packnet": {"--width_divisor": "4"},
    "packnet_san": {"--width_divisor": "4"},
    "ray_surface": {"--patch_side": "4", "--num_scales": "2"},
}
STOPPED = 143  # a training by --max_cpu_seconds, as if by a signal
OF_KITTI = re.compile(r"splits/\w+/((train|val|test)_files\.txt)")  # a list of its own drives
# Lists that name KITTI's own drives, and what names those of the rendered one.
LISTS = {"train.py": "--split", "export_gt_depth.py": "--split", "evaluate_depth.py": "--eval_split"}
LISTS |= {"precompute_depth_hints.py": "--split"}
OF_DATA = ("--data_path", "--kitti_dir")
# What a line asks for that is not here.
ABSENT = {
    "torchrun": "several processes: tests/slow/test_distributed_ends.py",
    "paddle.distributed.launch": "several processes: tests/slow/test_distributed_ends.py",
    "pip": "a network",
    "webcam": "a webcam",
    "--precision": "16 bits",
    "--known_poses": "poses of own images: tests/backends/test_known_poses.py",
}
# Options that name what must be there.
NEEDED = ("--data_path", "--load_weights_folder", "--image_path", "--calibration", "--config", "--trajectory")
NEEDED += (
    "--ground_truth",
    "--ext_poses_to_eval",
    "--ext_disp_to_eval",
    "--gt_depth",
    "--seg_mask",
    "--input_depth",
    "--template",
    "--resume",
)
OF_READERS = ("velodyne",)  # words, and no files
OF_ODOMETRY = "KITTI's odometry: tests/core/odometry, tests/backends/test_poses.py"
ALONE = ("convert_weights.py", "visualize_disparities.py")  # whose first word does
SCRIPTS_LEFT_OUT = {"check_parity.py": "both backends: tests/slow/test_certificate.py"}


def make_world(folder: Path, backend: str) -> None:
    """The data that the READMEs speak of, as far as they are here."""
    drive = make_drive(folder / "kitti")
    frames = sorted(drive.glob("**/image_02/data/*.jpg"))
    for path in drive.glob("**/image_0*/data/*.jpg"):
        Image.open(path).save(path.with_suffix(".png"))
    (folder / "photos").mkdir()
    for number in range(2):
        shutil.copy(frames[number], folder / "photos" / f"{number}.jpg")
    shutil.copy(frames[0], folder / "photo.jpg")
    (folder / "videos").mkdir()
    film = cv2.VideoWriter(str(folder / "drive.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (128, 64))
    for number in range(16):
        film.write(cv2.imread(str(frames[number % len(frames)])))
    film.release()
    shutil.copy(folder / "drive.mp4", folder / "videos" / "drive.mp4")
    train.main(training(backend, drive, folder / "made", "both", "mono+stereo", "--num_epochs", 0))
    shutil.copytree(folder / "made" / "both" / "models" / "weights_initial", folder / "WEIGHTS")
    (folder / "configs").symlink_to(ROOT / "configs")
    (folder / "splits").mkdir()  # lists of one's own may be put there
    for path in (ROOT / "splits").iterdir():
        (folder / "splits" / path.name).symlink_to(path)
    (folder / "camchain.yaml").write_text(KALIBR)
    (folder / "poses").mkdir()
    for name in ("result.txt", "poses/09.txt"):
        (folder / name).write_text("".join(f"1 0 0 {n * n / 100} 0 1 0 0 0 0 1 {n}\n" for n in range(30)))
    motions = np.tile(np.eye(4), (29, 1, 1))
    motions[:, 2, 3] = -1  # T_next_current of a camera that goes ahead
    np.save(folder / "poses.npy", motions)


def missing(command: Command, world: Path) -> str:
    """Why a line is left out; nothing of one that can be run."""
    if command.script is None:
        recipe = any(word.startswith("configs/") and word.endswith(".sh") for word in command.words)
        return "minutes: tests/core/options/test_configs.py" if recipe else "no script of ours"
    if command.script in SCRIPTS_LEFT_OUT:
        return SCRIPTS_LEFT_OUT[command.script]
    for word, reason in ABSENT.items():
        if word in command.words or any(Path(one).name == word for one in command.words[:1]):
            return reason
    alone = command.arguments[:1] if command.script in ALONE else []
    if alone and not alone[0].startswith("-") and not (world / alone[0]).exists():
        return f"{alone[0]}: not here"
    for option, value in zip(command.words, command.words[1:], strict=False):
        if option not in NEEDED or value.startswith(("runs/", "-")) or value in OF_READERS:
            continue
        if not (world / value).exists():
            return OF_ODOMETRY if value == "kitti_odometry" else f"{value}: not here"
    if "--model_name" in command.words and command.script == "predict.py":
        return "weights from the network"
    return ""


def shortened(command: Command, backend: str, world: Path) -> list[str]:
    """The words of a line, made short."""
    assert command.script is not None
    words = [*command.arguments]
    values = dict(SHORT.get(command.script, {}))
    if command.script in (
        "train.py",
        "predict.py",
        "evaluate_depth.py",
        "export_onnx.py",
        "evaluate_pose.py",
    ):
        values["--backend"] = backend
    if command.script == "train.py":
        values |= CHEAP.get(command.readme.parent.name, {})
    data = next((words[words.index(name) + 1] for name in OF_DATA if name in words), "")
    own = "--dataset" in words or data.lower() != "kitti" or "--train_split" in words
    words = [OF_KITTI.sub(r"kitti/splits/\1", word) for word in words]
    name = LISTS.get(command.script, "")
    given = words[words.index(name) + 1] if name in words else ""
    if command.script in LISTS and not own and not (world / given).is_file():
        values[LISTS[command.script]] = "kitti/splits"
    for option, value in values.items():
        if option in words:
            words[words.index(option) + 1] = value
        else:
            words += [option, value]
    started = [start for word in words if word.endswith(".yml") for start in _starts(world / word)]
    for word in [*words, *started]:
        weights = word.startswith("runs/") and "/models/" in word
        if weights and not (world / word).is_dir():  # the line that trains it was short, or left out
            shutil.copytree(world / "WEIGHTS", world / word)
    return words


def _starts(recipe: Path) -> list[str]:
    """The folder of weights that a recipe starts from."""
    value = plain_yaml.read(recipe).get("load_weights_folder") if recipe.is_file() else None
    return [value] if isinstance(value, str) else []


def main() -> int:
    """Prints a line for each command, and the sum."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--readme", default="README.md", help="such as configs/packnet/README.md; all: every one"
    )
    parser.add_argument("--backend", choices=list(EXTENSIONS), default="torch")
    parser.add_argument("--script", nargs="+", help="only the lines of these, such as predict.py")
    options = parser.parse_args()
    names = [path for path in READMES if options.readme in ("all", str(path.relative_to(ROOT)))]
    done, faults = Counter[str](), 0
    for readme in names:
        with tempfile.TemporaryDirectory() as name:
            world = Path(name)
            with contextlib.redirect_stdout(io.StringIO()):
                make_world(world, options.backend)
                stand_ins(readme, world, options.backend)
            for command in commands(readme):
                if not command.whole or (options.script and command.script not in options.script):
                    continue
                where = f"{readme.relative_to(ROOT)}:{command.number}: {' '.join(command.words)}"
                if reason := missing(command, world):
                    done["left out"] += 1
                    print(f"left out ({reason}): {where}", flush=True)
                    continue
                begin = time.monotonic()
                words = shortened(command, options.backend, world)
                with short():  # a street of a few frames' length
                    result = run_here(str(command.script), *words, cwd=world)
                done["run"] += 1
                print(f"{result.returncode} in {time.monotonic() - begin:.0f} s: {where}", flush=True)
                if result.returncode not in (0, STOPPED):
                    faults += 1
                    print(
                        f"    {' '.join(words)}", *result.stderr.splitlines()[-12:], sep="\n    ", flush=True
                    )
    print(f"{options.backend}: {done['run']} lines run, {faults} failed, {done['left out']} left out")
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main())
