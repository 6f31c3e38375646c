"""Trains every recipe by train.py for two steps at its full resolution, on a rendered drive and on real KITTI.

    .venv/bin/python -m tests.slow.recipes --backend torch

From random weights, one image a step; the recipes at 1024x320 start from the weights of those at 640x192, as published.
"""

import argparse
import json
import math
import shutil
import tempfile
import time
from pathlib import Path

import yaml

from tests.backends.drive import make_drive
from tests.scripts import ROOT, succeeds

RECIPES = ROOT / "configs" / "monodepthv2" / "recipes"
REAL = ROOT.parent / "shared" / "data" / "kitti_stereo_02"


def train(backend: str, recipe: Path, data: Path, split: Path, runs: Path, *more: object) -> list[float]:
    """The losses of the two steps."""
    size = ["--batch_size", 1, "--num_epochs", 1, "--weights_init", "scratch"]
    rest = ["--device", "cpu", "--num_workers", 1, "--log_frequency", 1, "--log_dir", runs]
    where = ["--data_path", data, "--split", split]
    succeeds("train.py", "--backend", backend, "--config", recipe, *where, *size, *rest, *more)
    lines = map(json.loads, (runs / recipe.stem / "scalars.jsonl").read_text().splitlines())
    return [line["values"]["loss"] for line in lines if line["part"] == "train"]


def write_lists(folder: Path, drive: str, frames: list[str]) -> Path:
    """A split of some lines, to train and to validate on."""
    folder.mkdir()
    for part in ("train", "val"):
        (folder / f"{part}_files.txt").write_text("".join(f"{drive} {frame}\n" for frame in frames))
    return folder


def check(backend: str, folder: Path) -> None:
    """Trains all recipes; prints a line for each.

    Raises:
        AssertionError: a training failed, or a loss is not a positive number.
    """
    drive = make_drive(folder / "drive")
    rendered = (drive / "splits" / "train_files.txt").read_text().split("\n")[0].split()[0]
    splits = {
        "rendered": write_lists(folder / "rendered", rendered, ["1 l", "2 r"]),
        "kitti": write_lists(folder / "kitti", "2011_10_03/2011_10_03_drive_0034_sync", ["1 l", "4 r"]),
        "kitti_odom": write_lists(folder / "kitti_odom", "2", ["1 l", "4 r"]),
    }
    recipes = {path: yaml.safe_load(path.read_text()) for path in sorted(RECIPES.glob("*.yml"))}
    starts = {Path(options.get("load_weights_folder", "runs/none")).parts[1] for options in recipes.values()}
    for recipe, options in sorted(recipes.items(), key=lambda item: item[0].stem not in starts):
        reader = options.get("dataset", "kitti")
        real = REAL / {"kitti": "raw", "kitti_odom": "odometry"}[reader]
        for name, data, split, more in (
            ("rendered", drive, splits["rendered"], ["--dataset", "kitti"]),
            ("real", real, splits[reader], ["--png"]),
        ):
            if not data.is_dir():
                print(f"{recipe.stem}: {name}: skipped, no folder {data}", flush=True)
                continue
            runs, start = folder / f"runs_{name}", options.get("load_weights_folder")
            if start is not None:  # runs/<recipe>/models/weights_9
                more = [*more, "--load_weights_folder", runs / Path(start).parts[1] / "models" / "weights_0"]
            began = time.monotonic()
            losses = train(backend, recipe, data, split, runs, *more)
            assert len(losses) == 2 and all(math.isfinite(loss) and loss > 0 for loss in losses), losses
            print(f"{recipe.stem}: {name}: {losses}, {time.monotonic() - began:.0f} s", flush=True)
            if recipe.stem not in starts:  # a run takes hundreds of MB
                shutil.rmtree(runs / recipe.stem)


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backend", choices=("torch", "paddle"), required=True, help="framework")
    with tempfile.TemporaryDirectory() as folder:
        check(parser.parse_args().backend, Path(folder))


if __name__ == "__main__":
    main()
