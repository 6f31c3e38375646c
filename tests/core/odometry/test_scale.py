"""The scale of a path against exact cases, the definition in loops, and a real result; whole videos by the script."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import backends
import evaluate_pose
from core.errors import UserError
from core.geometry import invert_rigid
from core.odometry.metrics import umeyama
from core.odometry.report import evaluate_odometry
from core.odometry.scale import path_scale
from core.odometry.trajectories import Trajectory, motions, read_trajectory, write_trajectory
from core.options.needs import Preparation
from tests.core.paths import drive
from tests.scripts import assert_says, succeeds


def trajectory(T_world_camera: np.ndarray, first: int = 0, numbered: bool = True) -> Trajectory:
    return Trajectory(first + np.arange(len(T_world_camera)), T_world_camera, numbered)


def scaled(T: np.ndarray, factor: float) -> np.ndarray:
    T = T.copy()
    T[:, :3, 3] *= factor
    return T


def test_one_scale_all_along() -> None:
    truth = drive(60)
    found = path_scale(trajectory(scaled(truth, 0.25)), trajectory(truth))
    assert (found.scale, found.scale_7dof, found.median) == pytest.approx((4.0, 4.0, 4.0))
    assert found.deviation == pytest.approx(0, abs=1e-9) and found.pieces == 56
    assert_says(found.printed(), "global scale: 4.000 (scale), 4.000 (7dof)", "med: 4.000 | std: 0.000 of it")


def test_the_pieces_by_the_definition() -> None:
    truth, other = drive(40, 1), drive(40, 2, 1.7)
    found = path_scale(trajectory(other), trajectory(truth))
    local = []
    for start in range(36):
        lengths = [np.linalg.norm(T[start + 4, :3, 3] - T[start, :3, 3]) for T in (truth, other)]
        local.append(lengths[0] / lengths[1])
    assert found.median == pytest.approx(np.median(local))
    assert found.deviation == pytest.approx(np.std(np.array(local) / np.median(local)))
    assert found.pieces == 36


def test_a_drifting_scale_is_seen() -> None:
    """The first half at another scale than the second: 7dof hides it in one number, the pieces do not."""
    truth = drive(101, 3)
    T_next_current = motions(truth)
    T_next_current[:50, :3, 3] *= 2
    poses = [np.eye(4)]
    for T in invert_rigid(T_next_current):
        poses.append(poses[-1] @ T)
    found = path_scale(trajectory(np.stack(poses)), trajectory(truth))
    assert found.deviation > 0.2 and 0.5 < found.scale < 1


def test_standing_still_and_gaps_have_no_scale() -> None:
    truth = drive(60)
    truth[20:40] = truth[20]
    result = scaled(truth, 0.5)
    result[20:40, :3, 3] += np.random.default_rng(0).normal(0, 1e-4, (20, 3))
    found = path_scale(trajectory(result), trajectory(truth))
    assert found.deviation < 0.01 and found.pieces < 56
    kept = np.array([0, 1, 2, 4, 5, 6, 8, 9])
    gaps = path_scale(Trajectory(kept, truth[kept]), trajectory(truth))
    assert gaps.pieces == 0 and gaps.printed().count("\n") == 0
    assert gaps.to_json()["local"] == {"frames": 5, "pieces": 0, "median": None, "relative_deviation": None}
    still = path_scale(trajectory(np.tile(np.eye(4), (60, 1, 1))), trajectory(truth))
    assert math.isnan(still.scale) and still.pieces == 0 and math.isnan(still.median)


@pytest.mark.parametrize("number", ["09", "10"])
def test_a_real_result(shared: Path, number: str, tmp_path: Path) -> None:
    """A published monocular result in metres: 1 within a few percent; divided by 30, 30 times as much."""
    root = shared / "data" / "kitti_odometry_poses"
    truth = read_trajectory(root / "poses" / f"{number}.txt")
    result = read_trajectory(root / "results" / "example_1" / f"{number}.txt")
    report = evaluate_odometry(number, result, truth)
    scale = report.scale
    assert (scale.scale, scale.scale_7dof, scale.median) == pytest.approx((1, 1, 1), abs=0.05)
    assert 0.02 < scale.deviation < 0.15
    small = Trajectory(result.frames, scaled(result.T_world_camera, 1 / 30), numbered=False)
    write_trajectory(tmp_path / f"{number}.txt", small)
    words = ["--trajectory", tmp_path / f"{number}.txt", "--ground_truth", root / "poses" / f"{number}.txt"]
    printed = succeeds("evaluate_pose.py", *words, here=True)
    assert_says(printed, f"global scale: {30 * scale.scale:#.4g} (scale), ", "pieces of 5 frames")
    written = json.loads(json.dumps(evaluate_odometry(number, small, truth).to_json()))
    assert written["scale"]["global"] == pytest.approx(30 * scale.scale, rel=1e-6)
    assert written["scale"]["local"]["relative_deviation"] == pytest.approx(scale.deviation, rel=1e-6)
    for alignment in ("scale", "7dof", "scale_7dof"):
        found, expected = written["alignments"][alignment], report.errors[alignment]
        assert (found["ate"], found["t_err"]) == pytest.approx((expected.ate, expected.t_err), rel=1e-5)
    p, g = (T.positions - T.positions[0] for T in (small, truth))
    assert scale.scale_7dof * 30 == pytest.approx(umeyama(p, g, with_scale=True)[2], rel=1e-6)


# ---- whole videos --------------------------------------------------------------------------------------------------

FIRST, COUNT = 7, 12  # the number of the first image, and of images


class Fake:
    """A predictor that is shown the number of each image, and knows the motions in another unit."""

    options = SimpleNamespace(preparation=lambda part: Preparation(32, 64))

    def __init__(self, T_next_current: np.ndarray) -> None:
        self.T_next_current = scaled(T_next_current, 0.1)

    def pose_frames(self) -> list[int]:
        return [0, 1]

    def T_sources_target(self, images: list[np.ndarray]) -> np.ndarray:  # noqa: N802
        current, following = (image[:, 0, 0, 0].astype(int) // 10 for image in images)
        assert (following == current + 1).all()
        return self.T_next_current[current][:, None]


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of numbered images with `poses.txt`, and a predictor that is right up to one scale."""
    truth = drive(COUNT)
    fake = SimpleNamespace(Predictor=lambda *_, **__: Fake(motions(truth)))
    monkeypatch.setattr(backends, "load_backend", lambda *_: fake)
    folder = tmp_path / "ride"
    folder.mkdir()
    for number in range(COUNT):
        image = Image.new("RGB", (64, 32), (10 * number + 5,) * 3)
        image.save(folder / f"{FIRST + number:04d}.png")
    write_trajectory(folder / "poses.txt", Trajectory(np.arange(COUNT), truth, numbered=False))
    (tmp_path / "weights").mkdir()
    return tmp_path


def words(video: Path, *more: object) -> list[str]:
    where = ["--data_path", video / "ride", "--load_weights_folder", video / "weights", *more]
    return [str(word) for word in ("--dataset", "folder", "--num_workers", 0, *where)]


def test_a_whole_video_under_one_scale(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No list, no names: all images, from whichever number on, and the poses beside them."""
    evaluate_pose.main(words(video))
    assert_says(
        capsys.readouterr().out,
        f"sequence ride | {COUNT} frames",
        "global scale: 10.00 (scale), 10.00 (7dof)",
    )
    content = json.loads((video / "weights" / "odometry_ride.json").read_text())
    assert (
        content["alignments"]["scale"]["ate"] < 1e-4
        and content["scale"]["local"]["relative_deviation"] < 1e-5
    )
    written = read_trajectory(video / "weights" / "trajectory_ride.txt")
    assert written.frames.tolist() == list(range(FIRST, FIRST + COUNT))
    evaluate_pose.main(  # and once more from the file, whose frames have numbers
        [
            "--trajectory",
            str(video / "weights" / "trajectory_ride.txt"),
            "--ground_truth",
            str(video / "ride/poses.txt"),
        ]
    )
    assert "global scale: 10.00 (scale)" in capsys.readouterr().out


def every_fifth(video: Path) -> None:
    """Gives the images of the video the numbers 0, 5, 10, …"""
    folder = video / "ride"
    for number in range(COUNT):
        (folder / f"{FIRST + number:04d}.png").rename(folder / f"{5 * number:06d}.png")


@pytest.mark.parametrize(
    "truth", ["per image", "of the whole video", "numbered", "numbered, of the whole video"]
)
def test_true_poses_are_found_by_the_numbers_in_names(
    video: Path, truth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """W14 (b), (c): rows 0 to 13 were compared in place of 0, 5, … 65."""
    every_fifth(video)
    poses = drive(COUNT)
    if "video" in truth:  # what lies between the images is far off
        far = np.tile(np.eye(4), (5 * COUNT - 3, 1, 1))
        far[:, 0, 3] = 1000 * np.arange(len(far))
        far[: 5 * COUNT : 5] = poses
        poses = far
    frames = np.arange(len(poses)) * (1 if "video" in truth else 5)
    rows = [" ".join(f"{v:.12e}" for v in T[:3].ravel()) for T in poses]
    heads = [f"{frame} " if "numbered" in truth else "" for frame in frames]
    (video / "full.txt").write_text("".join(f"{h}{r}\n" for h, r in zip(heads, rows, strict=True)))
    lines = "".join(f"ride {5 * n} l\n" for n in range(COUNT - 3))  # a part of the images
    (video / "test_files.txt").write_text(lines)
    where = ["--data_path", video, "--eval_split", video, "--load_weights_folder", video / "weights"]
    where += ["--dataset", "folder", "--num_workers", 0, "--ground_truth", video / "full.txt"]
    evaluate_pose.main([str(word) for word in where])
    assert_says(capsys.readouterr().out, f"{COUNT - 2} frames", "global scale: 10.00 (scale), 10.00 (7dof)")
    result = json.loads((video / "weights" / "odometry_ride.json").read_text())["alignments"]["scale"]
    assert result["ate"] < 1e-4 and result["rpe_translation"] < 1e-4
    written = read_trajectory(video / "weights" / "trajectory_ride.txt")
    assert written.frames.tolist() == [5 * n for n in range(COUNT - 2)]


def test_true_poses_of_unclear_images(video: Path) -> None:
    """Rows that count the images, or neither them nor the frames of a whole video."""
    every_fifth(video)
    rows = (video / "ride/poses.txt").read_text().splitlines()
    for text, message in (
        ("".join(f"{n} {row}\n" for n, row in enumerate(rows)), "no image has the number 1 in its name"),
        ("\n".join([*rows, *rows]), "24 poses for 12 images"),
    ):
        (video / "ride/poses.txt").write_text(text)
        with pytest.raises(UserError, match=message):
            evaluate_pose.main(words(video))
    (video / "test_files.txt").write_text("ride 0 l\nride 1 l\n")
    where = ["--data_path", video, "--eval_split", video, "--load_weights_folder", video / "weights"]
    with pytest.raises(UserError, match=r"ride 1 l: no image of .*ride has that number in its name"):
        evaluate_pose.main(
            [*map(str, where), "--dataset", "folder", "--ground_truth", str(video / "ride/poses.txt")]
        )


def test_the_truth_is_not_replaced_by_the_path(video: Path) -> None:
    """It may lie where results go, and be called as one."""
    truth = video / "weights" / "trajectory_ride.txt"
    truth.write_text((video / "ride/poses.txt").read_text())
    before = truth.read_text()
    with pytest.raises(
        UserError, match=r"trajectory_ride\.txt belongs to --ground_truth, and the result would"
    ):
        evaluate_pose.main([*words(video), "--ground_truth", str(truth)])
    assert truth.read_text() == before and list(truth.parent.iterdir()) == [truth]


def broken(video: Path, what: str) -> None:
    """Breaks the video in one way."""
    folder = video / "ride"
    if what == "gap":
        (folder / f"{FIRST + 4:04d}.png").unlink()
    elif what == "one":
        for path in sorted(folder.glob("*.png"))[1:]:
            path.unlink()
    elif what == "poses":
        (folder / "poses.txt").unlink()
    elif what == "short":
        lines = (folder / "poses.txt").read_text().splitlines()
        (folder / "poses.txt").write_text("\n".join(lines[:-3]))
    else:
        folder.rename(video / "elsewhere")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("gap", "ride: '. 12' after '. 10'; a path needs consecutive frames"),
        ("one", "one image makes no path"),
        ("poses", "--ground_truth is missing: the file of poses of "),
        ("short", "poses.txt: 9 poses for 12 images; needed is a row of 12 numbers"),
        ("absent", "ride: no such folder or video; check --data_path"),
    ],
)
def test_videos_that_make_no_path(video: Path, what: str, message: str) -> None:
    broken(video, what)
    with pytest.raises(UserError) as error:
        evaluate_pose.main(words(video))
    assert message in str(error.value) and not list((video / "weights").iterdir())
    assert "poses of .," not in str(error.value)  # the folder by its name


def test_folders_of_scenes_are_refused_for_one_of_them(video: Path) -> None:
    argv = ["--dataset", "scenes", "--data_path", str(video), "--load_weights_folder", str(video / "weights")]
    with pytest.raises(UserError, match="use --dataset folder with --data_path FOLDER/training/SCENE"):
        evaluate_pose.main(argv)


def test_predictions_alone_need_no_poses(video: Path) -> None:
    broken(video, "poses")
    evaluate_pose.main(words(video, "--no_eval"))
    assert {path.name for path in (video / "weights").iterdir()} == {"poses.npy", "trajectory_ride.txt"}


def test_numbers_are_only_given_to_as_many_poses_without_gaps() -> None:
    truth = drive(10)
    found: Any = evaluate_odometry("moved", trajectory(truth, 5), trajectory(truth, numbered=False))
    assert found.errors["none"].ate == pytest.approx(0, abs=1e-9)
    gaps = Trajectory(np.array([0, 1, 3]), truth[:3])
    with pytest.raises(UserError, match="frame 3 has no true pose"):
        evaluate_odometry("gaps", gaps, trajectory(truth[:3], numbered=False))
