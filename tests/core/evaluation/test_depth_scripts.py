"""evaluate_depth.py on the published splits, and what predict.py says to inputs that are none; no framework needed."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import evaluate_depth
import predict
from core.datasets.ground_truth import SparseDepth, save_ground_truth
from core.datasets.splits import eigen_benchmark_rows, load_split
from core.errors import UserError
from core.options import EvaluationOptions
from tests.scripts import assert_says, refused, succeeds

FRAMEWORKS = ("torch", "paddle")


# ---- evaluate_depth.py: 652 of 697 -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def eigen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predictions of the 697 images, each with a depth of its own, and ground truth of the 652 with the same."""
    folder = tmp_path_factory.mktemp("eigen")
    depth = {
        str(line): np.float32(1 + number / 16) for number, line in enumerate(load_split("eigen", "test"))
    }
    maps = [
        SparseDepth.from_dense(np.full((4, 6), depth[str(line)]), line)
        for line in load_split("eigen_benchmark", "test")
    ]
    save_ground_truth(folder / "truth.npz", maps)
    values = np.array(list(depth.values()))[:, None, None]
    np.save(folder / "697.npy", (1 / values).repeat(3, axis=1).repeat(5, axis=2))
    np.save(folder / "652.npy", np.load(folder / "697.npy")[eigen_benchmark_rows()])
    return folder


def arguments(eigen: Path, disparities: str, *more: str) -> list[str]:
    split = ["--eval_split", "eigen_benchmark", "--ground_truth", str(eigen / "truth.npz")]
    return [*split, "--ext_disp_to_eval", str(eigen / disparities), *more]


UNSCALED = ("--eval_mono", "--disable_median_scaling")


def test_rows_with_annotated_depth_are_kept(eigen: Path, tmp_path: Path) -> None:
    files = ["--output", str(tmp_path / "all.json"), "--csv", str(tmp_path / "all.csv")]
    more = [*UNSCALED, "--eval_eigen_to_benchmark", *files]
    printed = succeeds(
        "evaluate_depth.py", *arguments(eigen, "697.npy", *more), without=FRAMEWORKS, here=True
    )
    assert_says(printed, "split eigen_benchmark | crop none", "no median scaling", "652 images")
    written = json.loads((tmp_path / "all.json").read_text())
    assert written["images"] == 652 and max(row[0] for row in written["per_image"]) < 1e-6
    assert written["lines"] == [str(line) for line in load_split("eigen_benchmark", "test")]
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["line"] for row in rows] == written["lines"] and rows[651]["valid_pixels"] == "24"


def test_predictions_of_the_652_need_no_choice(eigen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate_depth.main(arguments(eigen, "652.npy", *UNSCALED))
    assert "652 images" in capsys.readouterr().out
    with pytest.raises(
        UserError, match=r"652 predictions, but --eval_eigen_to_benchmark chooses from the 697"
    ):
        evaluate_depth.main(arguments(eigen, "652.npy", *UNSCALED, "--eval_eigen_to_benchmark"))
    with pytest.raises(UserError, match=r"697 predictions but the split lists 652 images"):
        evaluate_depth.main(arguments(eigen, "697.npy", *UNSCALED))


# ---- evaluate_depth.py: KITTI's benchmark ------------------------------------------------------------------------


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    """A list of two images in the benchmark's form, and their predictions."""
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "test_files.txt").write_text("image 0\nimage 1\n")
    np.save(tmp_path / "two.npy", np.stack([np.full((6, 20), value, np.float32) for value in (0.5, 0.25)]))
    return tmp_path


def upload(benchmark: Path, *more: str) -> list[str]:
    return [
        "--eval_split",
        str(benchmark / "benchmark"),
        "--ext_disp_to_eval",
        str(benchmark / "two.npy"),
        *more,
    ]


@pytest.mark.parametrize(
    ("more", "factor"), [(["--eval_stereo"], 5.4), ([*UNSCALED, "--pred_depth_scale_factor", "7.5"], 7.5)]
)
def test_images_for_the_benchmark(benchmark: Path, more: list[str], factor: float) -> None:
    printed = succeeds("evaluate_depth.py", *upload(benchmark, *more), without=FRAMEWORKS, here=True)
    folder = benchmark / "benchmark_predictions"
    assert_says(printed, "2 depth images", folder)
    for number, disparity in enumerate((0.5, 0.25)):
        with Image.open(folder / f"{number:010d}.png") as image:
            assert image.size == (1216, 352)
            assert set(np.unique(np.asarray(image)).tolist()) == {int(factor / disparity * 256)}


def test_what_the_benchmark_cannot_do(benchmark: Path) -> None:
    message = refused(
        "evaluate_depth.py",
        *upload(benchmark, "--eval_mono"),
        folder=benchmark,
        without=FRAMEWORKS,
        here=True,
    )
    assert_says(message, "no ground truth to scale by", "--eval_stereo")
    for name in ("output", "csv", "ground_truth"):
        with pytest.raises(UserError, match=f"option {name}: the benchmark keeps its ground truth"):
            evaluate_depth.main(upload(benchmark, "--eval_stereo", f"--{name}", "x"))
    np.save(benchmark / "two.npy", np.ones((3, 6, 20)))
    with pytest.raises(UserError, match="3 predictions but the split lists 2 images"):
        evaluate_depth.main(upload(benchmark, "--eval_stereo"))
    assert not (benchmark / "benchmark_predictions").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"eval_eigen_to_benchmark": True}, "eval_eigen_to_benchmark: needs --ext_disp_to_eval"),
        ({"save_pred_disps": True}, "save_pred_disps: makes no sense with --ext_disp_to_eval"),
        ({"post_process": True}, "post_process: makes no sense with --ext_disp_to_eval"),
        ({"eval_stereo": True}, "exactly one of --eval_mono and --eval_stereo"),
        (
            {"load_weights_folder": "w"},
            "exactly one of --load_weights_folder, --ext_disp_to_eval and --pred_depth",
        ),
        ({"pred_depth_scale_factor": 0.0}, "must be above 0"),
        ({"least_depth": -1.0}, "least_depth: -1.0 must be at least 0"),
        ({"least_depth": 80.0}, "least_depth: 80.0 .* below the greatest depth"),
    ],
)
def test_options_that_cannot_work(values: dict, message: str) -> None:
    given = {"eval_mono": True, "ext_disp_to_eval": "a.npy"} | values
    with pytest.raises(UserError, match=message):
        EvaluationOptions(**given).validate()


def test_options_that_change_a_protocol() -> None:
    given = EvaluationOptions(least_depth=0.0, count_empty_images=True)
    rule = given.chosen_protocol.rule
    assert (rule.min_truth, rule.clamp, rule.empty) == (0.0, 0.0, "zeros")
    assert given.chosen_protocol.title == "eigen, min_depth 0, images without truth: zeros"
    assert EvaluationOptions().chosen_protocol.title == "eigen"


def test_readers_of_the_published_splits() -> None:
    splits = {
        "eigen": "kitti",
        "benchmark": "kitti_test",
        "odom_9": "kitti_odom",
        "my/benchmark/": "kitti_test",
    }
    assert {split: EvaluationOptions(eval_split=split).reader for split in splits} == splits
    assert EvaluationOptions(eval_split="odom_9", dataset="kitti").reader == "kitti"


# ---- predict.py --------------------------------------------------------------------------------------------------


def test_a_damaged_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))
    message = refused(
        *("predict.py", "--image_path", "a.mp4", "--load_weights_folder", "w"),
        folder=tmp_path,
        without=FRAMEWORKS,
        here=True,
    )
    assert_says(message, "a.mp4: damaged, empty or not a video")


def test_there_is_no_camera(tmp_path: Path) -> None:
    more = ["--image_path", "webcam:99", "--load_weights_folder", "w"]
    message = refused("predict.py", *more, folder=tmp_path, without=FRAMEWORKS, here=True)
    assert_says(message, "webcam:99: no such camera")


@pytest.mark.parametrize(
    ("image_path", "message"),
    [
        ("list.txt", r"list\.txt: line 2: .*b\.png: no such image"),
        ("*.jpg", r"\*\.jpg: no such image, and no image matches it"),
        ("absent.mp4", r"absent\.mp4: no such video"),
        ("absent", r"absent: no such image"),
    ],
)
def test_inputs_that_are_none(tmp_path: Path, image_path: str, message: str) -> None:
    Image.new("RGB", (8, 4)).save(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png\nb.png\n")
    with pytest.raises(UserError, match=message):
        predict.main(["--image_path", str(tmp_path / image_path), "--load_weights_folder", "w"])


def test_an_image_has_no_frames(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="frames: only a video or a webcam has frames"):
        predict.main(["--image_path", str(tmp_path), "--load_weights_folder", "w", "--frames", "3"])
