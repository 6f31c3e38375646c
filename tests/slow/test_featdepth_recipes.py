"""FeatDepth's recipes begin, each at a small size on the rendered drive: half a minute."""

from pathlib import Path

import pytest

from core.options.parsing import parse_method
from tests.backends.drive import make_drive
from tests.scripts import assert_says, succeeds

RECIPES = sorted((Path(__file__).resolve().parents[2] / "configs" / "featdepth").glob("*.yml"))
SMALL = ["--height", 96, "--width", 96, "--batch_size", 2, "--num_layers", 18, "--pose_size", 64, 96]
ELSEWHERE = [
    "--extractor",
    "none",
    "--load_weights_folder",
    "none",
    "--start_epoch",
    0,
    "--intrinsics",
    "none",
]


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return make_drive(tmp_path_factory.mktemp("drive") / "drive")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_dry_run(backend, drive, path):
    """What they would load does not exist here, and the drive's layout is KITTI raw's."""
    words = ["--config", path, "--backend", backend.name, "--data_path", drive, "--split", drive / "splits"]
    words += ["--validation_split", "none", "--dataset", "kitti", "--no_png", "--weights_init", "scratch"]
    words += [*SMALL, *ELSEWHERE, "--device", "cpu", "--num_workers", 0]
    options = parse_method([*map(str, words)])
    if options.model == "mono_fm":
        words.append("--train_extractor")
    assert_says(succeeds("train.py", *words, "--dry_run", here=True), "loss")
