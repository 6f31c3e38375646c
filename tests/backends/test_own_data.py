"""A user's own stereo sequences: make_split.py, train.py and its dry run, on frames of the rendered drive."""

from pathlib import Path

import pytest
import yaml

import make_split
import train
from core.datasets.kitti import CalibrationFile
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import load_options
from tests.backends.drive import HEIGHT, WIDTH, training, weights_of
from tests.scripts import assert_says, listing, refused, succeeds

pytestmark = pytest.mark.usefixtures("narrow")

BASELINE = 0.54


@pytest.fixture(scope="module")
def own(drive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both drives as a user would have them: stereo folders, intrinsics in pixels; lists by make_split.py."""
    root = tmp_path_factory.mktemp("own")
    P_rect = (
        CalibrationFile(drive / "2011_09_26" / "calib_cam_to_cam.txt").numbers("P_rect_02", 12).reshape(3, 4)
    )
    camera = {"fx": P_rect[0, 0], "fy": P_rect[1, 1], "cx": P_rect[0, 2], "cy": P_rect[1, 2]}
    camera |= {"width": WIDTH, "height": HEIGHT, "baseline": BASELINE}
    (root / "intrinsics.yaml").write_text(
        yaml.safe_dump({name: float(value) for name, value in camera.items()})
    )
    for number, sequence in enumerate(sorted(drive.glob("2011_09_26/*_sync"))):
        for name, side in (("image_02", "left"), ("image_03", "right")):
            for image in sorted((sequence / name / "data").iterdir()):
                copy = root / f"street{number}" / side / f"frame_{int(image.stem) + 100}.jpg"
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(image.read_bytes())
    make_split.main(["--data_path", str(root), "--use_stereo", "--validation_share", "0.5"])
    return root


def words(backend, own: Path, runs: Path | str, *more: object) -> list[str]:
    """Two steps of mono+stereo, of a small model."""
    small = ["--pose_model_type", "posecnn", "--scales", 0]
    where = ["--dataset", "folder", "--data_path", own, "--split", own / "splits"]
    words = training(backend.name, own, Path(runs), "own", "mono+stereo", *small)
    return [*words, *map(str, where), *map(str, more)]


def damaged(own: Path, folder: Path) -> Path:
    """The same data with a truncated image that the training list needs."""
    line = (own / "splits" / "train_files.txt").read_text().splitlines()[0].split()
    bad = Path(line[0]) / "left" / f"frame_{line[1]}.jpg"
    for file in own.rglob("*"):
        if file.is_file():
            copy = folder / file.relative_to(own)
            copy.parent.mkdir(parents=True, exist_ok=True)
            data = file.read_bytes()
            copy.write_bytes(data[: len(data) // 2] if file.relative_to(own) == bad else data)
    return folder / bad


def test_two_steps(backend, own, runs):
    printed = succeeds("train.py", *words(backend, own, runs), here=True)
    assert_says(printed, "4 training and 4 validation samples, 2 steps")
    options = load_options(Monodepth2Options, weights_of(runs, "own") / "options.yaml")
    assert options.baseline == BASELINE and options.stereo_scale_factor == pytest.approx(5.4)


def test_dry_run_writes_nothing(backend, own, tmp_path):
    before = listing(own)
    folder = tmp_path / "here"
    folder.mkdir()
    printed = succeeds("train.py", *words(backend, own, folder / "runs", "--dry_run"), here=True)
    assert list(folder.iterdir()) == [] and listing(own) == before
    assert_says(
        printed,
        *(
            f"train: folder in {own}, split {own / 'splits'}",
            "1 sequences, 4 samples of frames 0 -1 1 s, 8 images",
        ),
        *(
            "image sizes: 128x64 (8)",
            "cx 0.497",
            f"({own / 'intrinsics.yaml'})",
            "motion to frame -1",
            "of 128",
        ),
        *("stereo: left is left (4 of 4 pairs", "stereo baseline: 0.54 m", "unreadable: 0 of 8 images"),
        *("val: folder", "one batch: loss 0.", "photometric/0 0.", "nothing was written"),
    )


def test_dry_run_sees_what_is_wrong(backend, own, tmp_path):
    bad = damaged(own, tmp_path / "data")
    message = refused(
        "train.py", *words(backend, tmp_path / "data", "runs", "--dry_run"), folder=tmp_path, here=True
    )
    assert_says(message, bad, "damaged or not an image", "1 unreadable images", "--bad_images skip")


def test_bad_images_are_skipped_and_counted(backend, own, runs, tmp_path):
    bad = damaged(own, tmp_path / "data")
    with pytest.raises(UserError, match=f"{bad.name}: damaged or not an image"):
        train.main(words(backend, tmp_path / "data", runs))
    printed = succeeds(
        "train.py", *words(backend, tmp_path / "data", runs, "--bad_images", "skip"), here=True
    )
    assert_says(printed, f"skipped: {bad}: damaged", "epoch 0: 1 missing or damaged images skipped so far")
    assert printed.count("skipped: ") == 1
    assert weights_of(runs, "own").is_dir()
