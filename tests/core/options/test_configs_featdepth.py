"""FeatDepth's recipes: what they hold, the data that they read, and what their script calls."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import make_split
from core.datasets import open_dataset
from core.options.parsing import parse_method
from tests.core.kitti_folder import DRIVE, write_drive
from tests.core.options.test_configs import ROOT, commands, parsed
from tests.core.own_images import numbered, write_images

FOLDER = ROOT / "configs" / "featdepth"
RECIPES = {path.stem: path for path in sorted(FOLDER.glob("*.yml"))}
# Height, width, batch, epochs, milestones, as published; demo.yml is ours.
PUBLISHED = {
    "kitti_fm": (320, 1024, 2, 40, [20, 30]),
    "kitti_fm_joint": (192, 640, 2, 40, [20, 30]),
    "kitti_autoencoder": (256, 800, 5, 30, [10, 20]),
    "kitti_fm_refine": (320, 1024, 2, 60, [50]),
    "odom_fm": (320, 1024, 2, 40, [25, 30]),
    "euroc_fm": (480, 768, 2, 80, [20, 30]),
    "eth3d_fm": (448, 736, 2, 40, [20, 30]),
}


def recipe(name: str, *more: object):
    return parse_method([str(word) for word in ("--config", RECIPES[name], *more)])


def test_each_published_recipe_is_there():
    assert set(RECIPES) == {*PUBLISHED, "demo"}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes(name):
    options = recipe(name)
    assert options.method == "featdepth" and (name == "demo" or options.model_name.endswith(name[-8:]))
    assert options.use_stereo == (name != "kitti_autoencoder") and not (options.use_stereo and options.masks)
    if name == "demo":
        assert options.num_layers == 18 and not options.imagenet() and options.is_metric
        return
    rates = options.num_epochs, options.milestones
    assert (options.height, options.width, options.batch_size, *rates) == PUBLISHED[name]
    assert (options.num_layers, options.pose_layers, options.learning_rate) == (50, 18, 1e-4)
    assert (options.gradient_clip, options.warmup_steps, options.seed) == (35, 500, 1024)
    assert options.imagenet() and options.perception_weight == (0 if name == "eth3d_fm" else 1e-3)
    assert options.max_depth == (50 if name == "euroc_fm" else 100)
    if options.use_stereo:
        assert sorted(map(str, options.frames)) == ["-1", "0", "1", "s"]
    if options.model == "mono_fm" and name != "eth3d_fm":  # the recipe before it has made its extractor
        start = options.starts()["extractor"]
        assert start[0].split("/")[1] in {recipe(other).model_name for other in RECIPES}


def test_refinement_trains_on_the_test_list():
    options = recipe("kitti_fm_refine")
    assert [one.split for one in options.listings("train")] == ["splits/eigen/test_files.txt"]
    assert not options.validation and options.start_epoch == 40
    assert options.load_weights_folder == f"runs/{recipe('kitti_fm').model_name}/models/weights_39"
    assert "TEST LIST" in RECIPES["kitti_fm_refine"].read_text()


# ---- the data that recipes read, in layouts made as the archives have them ------------------------------------


def write_grey(folder: Path, names: list[str], size: tuple[int, int]) -> None:
    """Images of (width, height) pixels under these names."""
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        Image.new("L", size, 20 * number).save(folder / name)


def euroc(root: Path) -> None:
    """Names are nanoseconds, 20 images a second; the images of a camera lie in its `data`."""
    names = [f"{1403636579763555584 + 5 * 10**7 * n}.png" for n in range(9)]
    for camera in ("cam0", "cam1"):
        write_grey(root / "MH_01_easy" / "mav0" / camera / "data", names, (752, 480))
        (root / "MH_01_easy" / "mav0" / camera / "data.csv").write_text("#timestamp [ns],filename\n")
    (root / "MH_01_easy" / "mav0" / "imu0").mkdir()


def eth3d(root: Path) -> None:
    """Names are seconds; a depth map lies beside the images of the left camera."""
    names = [f"5474.{899239 + 3700 * n}.png" for n in range(9)]
    for folder in ("rgb", "rgb2", "depth"):
        write_grey(root / "cables_1" / folder, names, (739, 458))
    (root / "cables_1" / "calibration.txt").write_text("726.2874 726.2874 354.6497 186.4658\n")


@pytest.mark.parametrize(
    ("name", "layout", "focal_lengths", "left"),
    [
        ("euroc_fm", euroc, (435.2047 / 752, 435.2047 / 480), "mav0/cam0/data"),
        ("eth3d_fm", eth3d, (0.9832, 1.58578), "cables_1/rgb"),
    ],
)
def test_folders_as_the_archives_have_them(tmp_path, monkeypatch, name, layout, focal_lengths, left):
    layout(tmp_path)
    monkeypatch.chdir(tmp_path)
    make_split.main(["--data_path", str(tmp_path), "--use_stereo"])
    where = ["--data_path", tmp_path, "--split", tmp_path / "splits", "--no_mirroring"]
    options = recipe(name, *where, "--height", 64, "--width", 96)
    dataset = open_dataset(options, "train")
    dataset.check_files()
    line = dataset.lines[0]
    paths = {
        frame: dataset.image_path(line, frame).relative_to(tmp_path).as_posix() for frame in options.frames
    }
    assert all(Path(paths[frame]).parent.as_posix().endswith(left) for frame in (0, -1, 1))
    right = left.replace("cam0", "cam1").replace("rgb", "rgb2")
    assert Path(paths["s"]).parent.as_posix().endswith(right) and Path(paths["s"]).name == Path(paths[0]).name
    assert paths[-1] < paths[0] < paths[1] and len(set(paths.values())) == 4
    assert all("depth" not in one.folder for one in [*dataset.lines, *open_dataset(options, "val").lines])
    sample = dataset[0, 0]
    fx, fy = (f * side for f, side in zip(focal_lengths, (96, 64), strict=True))
    np.testing.assert_allclose(sample["K"], [[fx, 0, 48], [0, fy, 32], [0, 0, 1]], rtol=2e-5)
    assert sample["T_stereo"][0, 3] == np.float32(-0.1)  # always the left camera


def test_odometry_takes_the_grey_pair(tmp_path):
    for camera in (0, 1):
        write_images(tmp_path / "sequences" / "03" / f"image_{camera}", numbered(range(4)), camera)
    (tmp_path / "train_files.txt").write_text("3 1 l\n3 2 r\n")
    options = recipe("odom_fm", "--data_path", tmp_path, "--split", tmp_path, "--height", 64, "--width", 96)
    dataset = open_dataset(options, "train")
    dataset.check_files()
    cameras = [dataset.image_path(line, f).parent.name for line in dataset.lines for f in (0, 1, -1, "s")]
    assert cameras == [*3 * ["image_0"], "image_1", *3 * ["image_1"], "image_0"]
    assert abs(dataset[0, 1]["T_stereo"][0, 3]) == np.float32(0.015)


@pytest.mark.parametrize("missing", ["exclude", "repeat"])
def test_refinement_at_the_ends_of_a_drive(tmp_path, missing):
    """Lines of the test list whose neighbours are not there are left out, or the target stands in for them."""
    write_drive(tmp_path)
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "test_files.txt").write_text("".join(f"{DRIVE} {frame} l\n" for frame in (0, 2, 4)))
    where = ["--data_path", tmp_path, "--split", lists / "test_files.txt", "--height", 64, "--width", 96]
    options = recipe(
        "kitti_fm_refine", *where, "--missing_neighbour", missing, "--batch_size", 1, "--accept", "kitti_rig"
    )
    dataset = open_dataset(replace(options, png=True), "train")
    assert [line.frame for line in dataset.lines] == ([2] if missing == "exclude" else [0, 2, 4])


# ---- the script ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["mono_fm", "mono_fm_joint", "baseline"])
def test_on_kitti(tmp_path, monkeypatch, model):
    (tmp_path / "kitti").mkdir()
    variables = {"DATA_PATH": "kitti", "BACKEND": "paddle", "PNG": "1", "MODEL": model}
    fetched, *recorded = commands(tmp_path, script=FOLDER / "train.sh", **variables)
    assert fetched[-1] == "resnet50"
    stages = ["train.py"] * (2 if model == "mono_fm" else 1)
    assert [command[0] for command in recorded] == ["export_gt_depth.py", *stages, "evaluate_depth.py"]
    _, *trained, evaluation = (parsed(command, monkeypatch) for command in recorded)
    depth = trained[-1]
    assert (depth.model, depth.num_epochs, depth.width) == (model, 40, 640 if "joint" in model else 1024)
    assert all(one.backend == "paddle" and one.png and one.imagenet() for one in trained)
    if model == "mono_fm":
        assert (trained[0].model, trained[0].num_epochs, trained[0].width) == ("autoencoder", 30, 800)
        assert depth.extractor.endswith(f"runs/{trained[0].model_name}/models/weights_29")
    else:
        assert depth.extractor is None
    assert evaluation.eval_stereo and evaluation.variants and evaluation.eval_split == "eigen"
    assert evaluation.load_weights_folder.endswith(f"runs/{depth.model_name}/models/weights_39")


@pytest.mark.parametrize("arguments", [[], ["--long"]])
def test_on_the_street(tmp_path, monkeypatch, arguments):
    recorded = commands(tmp_path, *arguments, script=FOLDER / "train.sh", BACKEND="torch")
    stages, ends = 3 * ["train.py"], [*2 * ["evaluate_depth.py"], "report_depth.py"]
    assert [command[0] for command in recorded] == ["render_drive.py", "export_gt_depth.py", *stages, *ends]
    _, _, images, initial, depth, _, evaluated, report = (
        parsed(command, monkeypatch) for command in recorded
    )
    assert images.model == "autoencoder" and (images.height, images.width) == (96, 288)
    assert initial.num_epochs == 0 and (depth.height, depth.width) == (64, 192) and not depth.imagenet()
    last = f"{images.model_name}/models/weights_{images.num_epochs - 1}"
    assert depth.extractor == initial.extractor and depth.extractor.endswith(last)
    assert 0 < depth.milestones[0] <= depth.num_epochs and ("long" in depth.model_name) == bool(arguments)
    assert evaluated.load_weights_folder.endswith(f"{depth.model_name}/models/weights_{depth.num_epochs - 1}")
    assert evaluated.save_pred_disps and evaluated.load_weights_folder in report.disparities


@pytest.mark.parametrize("kitti", [True, False])
def test_online_refinement(tmp_path, monkeypatch, kitti):
    """From what train.sh leaves, on the list that is evaluated, and on nothing else."""
    (tmp_path / "kitti").mkdir()
    variables = {"BACKEND": "paddle", "LOG_DIR": str(tmp_path / "runs")}
    variables |= {"DATA_PATH": str(tmp_path / "kitti")} if kitti else {}
    environment = {"PATH": os.environ["PATH"], "TOOLBOX_PYTHON": "true", **variables}
    command = ["bash", str(FOLDER / "refine.sh")]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "not there; train it first" in refused.stderr
    begun = (
        "featdepth_paddle_mono_fm/models/weights_39"
        if kitti
        else "featdepth_demo_paddle_mono_fm/models/weights_0"
    )
    trained = tmp_path / "runs" / begun
    trained.mkdir(parents=True)
    recorded = commands(tmp_path, script=FOLDER / "refine.sh", **variables)
    ends = ["evaluate_depth.py"] if kitti else [*2 * ["evaluate_depth.py"], "report_depth.py"]
    made = [] if kitti else ["render_drive.py"]
    assert [command[0] for command in recorded] == [*made, "export_gt_depth.py", "train.py", *ends]
    refined = next(parsed(command, monkeypatch) for command in recorded if command[0] == "train.py")
    assert refined.load_weights_folder == str(trained) and refined.starts() and not refined.validation
    assert refined.split.endswith("test_files.txt")
    assert refined.num_epochs == (60 if kitti else 5) and refined.model_name.endswith("_refined")
    evaluated = [parsed(command, monkeypatch) for command in recorded if command[0] == "evaluate_depth.py"]
    assert evaluated[-1].eval_split == ("eigen" if kitti else refined.split.removesuffix("/test_files.txt"))
    last = f"{refined.model_name}/models/weights_{refined.num_epochs - 1}"
    assert evaluated[-1].load_weights_folder.endswith(last)


def test_stages_that_were_begun_go_on(tmp_path, monkeypatch):
    """A finished one has nothing left to do."""
    runs, name = tmp_path / "runs", "featdepth_demo_torch_"
    for begun in ("autoencoder", "mono_fm"):
        (runs / f"{name}{begun}").mkdir(parents=True)
        (runs / f"{name}{begun}" / "run.json").write_text("{}")
    recorded = commands(tmp_path, script=FOLDER / "train.sh", LOG_DIR=str(runs))
    trained = [parsed(command, monkeypatch) for command in recorded if command[0] == "train.py"]
    assert {one.model_name.removeprefix(name): one.resume for one in trained} == {
        "autoencoder": True,
        "mono_fm_initial": False,
        "mono_fm": True,
    }
