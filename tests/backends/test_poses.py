"""Predicted motions: every pose network against recorded outputs, the predictor, and `evaluate_pose.py`."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import evaluate_pose
from core.errors import UserError
from core.geometry import invert_rigid, rigid
from core.odometry.trajectories import chain, read_trajectory
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import load_options, save_options
from tests.backends.drive import HEIGHT, WIDTH, link_weights
from tests.backends.narrow import make_narrow
from tests.core.kitti_folder import noise
from tests.scripts import assert_says, succeeds
from tests.tolerances import assert_close

KINDS = {
    "separate_resnet, pairs": ("pose.pth (separate_resnet, ResNet-18)", "pose", "pose_pairs_resnet18"),
    "separate_resnet, all": ("pose.pth (separate_resnet, ResNet-18)", "pose", "pose_all_resnet18"),
    "shared, pairs": ("pose.pth (shared, ResNet-18, 2 images)", "pose_shared_pairs", "shared_pairs"),
    "shared, all": ("pose.pth (shared, ResNet-18, 3 images)", "pose_shared_all", "shared_all"),
    "posecnn, pairs": ("pose.pth (posecnn, 2 images)", "posecnn_pairs", "posecnn_pairs"),
    "posecnn, all": ("pose.pth (posecnn, 3 images)", "posecnn_all", "posecnn_all"),
}


def options_of(kind: str, height: int = HEIGHT, width: int = WIDTH) -> Monodepth2Options:
    model_type, model_input = kind.split(", ")
    return Monodepth2Options(
        height=height, width=width, pose_model_type=model_type, pose_model_input=model_input
    )


def pose_networks(method) -> list[str]:
    return [name for name in method.networks() if name in ("pose_encoder", "pose")]


@pytest.fixture
def make_folder(backend, tmp_path, monkeypatch):
    """`make_folder("posecnn, all")`: a weights folder of fresh, narrow networks, and the method that holds them."""
    make_narrow(backend, monkeypatch)

    def write(kind, name="weights"):
        options = options_of(kind)
        backend.tensors.seed_everything(1)
        method = backend.module("methods.monodepth2").Monodepth2(options)
        method.eval()
        (tmp_path / name).mkdir()
        backend.module("checkpoint").save_networks(method.networks(), tmp_path / name, {})
        save_options(options, tmp_path / name / "options.yaml")
        return tmp_path / name, method

    return write


@pytest.fixture(scope="module")
def video() -> list[np.ndarray]:
    """Five images of noise, uint8 (HEIGHT, WIDTH, 3)."""
    return [noise(HEIGHT, WIDTH, seed) for seed in range(5)]


# ---- the method ----------------------------------------------------------------------------------------------


@pytest.mark.every_device
@pytest.mark.parametrize("kind", KINDS)
def test_recorded_motions(backend, golden, arrays, kind):
    """T_source_target of every pose network, raw and not inverted, also PoseCNN's."""
    recorded, files = golden("monodepth2/networks.npz"), golden("monodepth2/names.json")["files"]
    method = backend.module("methods.monodepth2").Monodepth2(options_of(kind, 96, 320))
    file, seed, case = KINDS[kind]
    sources = {
        "encoder": ("encoder.pth (ResNet-18)", "encoder"),
        "pose_encoder": (f"pose_encoder.pth (ResNet-18, {len(method.pose_frames())} images)", "pose_encoder"),
        "pose": (file, seed),
    }
    for name in ("encoder", *pose_networks(method)):
        shapes = {tensor: tuple(shape) for tensor, shape, _ in files[sources[name][0]]["tensors"]}
        backend.fill(method.networks()[name], arrays.weights(shapes, f"golden/{sources[name][1]}"))
    pixels = recorded["images"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    frames = {0: "target", 1: "next", -1: "previous"}
    images = [backend.tensor(pixels[recorded[f"{frames[f]}_index"]]) for f in method.pose_frames()]
    with backend.no_gradients():
        found = [backend.array(T) for T in method.T_sources_target(images)]
    assert len(found) == len(images) - 1
    for i, T in enumerate(found):
        axisangle, translation = (
            recorded[f"{case}/{part}"][:, i, 0] for part in ("axisangle", "translation")
        )
        assert_close(T, rigid(axisangle.astype(np.float64), translation), (0, 3e-7), label=kind)


# ---- the predictor -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["separate_resnet, pairs", "shared, all", "posecnn, pairs", "posecnn, all"])
def test_motions_of_a_video(backend, make_folder, video, kind):
    """`Predictor(weights).poses(images)`: what the network says of each pair, or of the window around it."""
    folder, method = make_folder(kind)
    predictor = backend.module("predictor").Predictor(folder, "cpu")
    found = predictor.poses(video)
    assert found.shape == (4, 4, 4) and found.dtype == np.float32
    tensors = [backend.tensor(image.transpose(2, 0, 1)[None] / np.float32(255)) for image in video]

    def sources(*frames: int) -> list[np.ndarray]:
        with backend.no_gradients():
            return [backend.array(T)[0] for T in method.T_sources_target([tensors[f] for f in frames])]

    if kind.endswith("pairs"):
        expected = [sources(t, t + 1)[0] for t in range(4)]
        with backend.no_gradients():
            pair = backend.array(method.T_sources_target(tensors[:2])[0])[0]
        np.testing.assert_array_equal(pair, expected[0])
    else:  # the first motion is the inverse of what the window around image 1 says of image 0
        expected = [invert_rigid(sources(1, 0, 2)[0]), *(sources(t, t - 1, t + 1)[1] for t in (1, 2, 3))]
    assert_close(found, np.stack(expected), (0, 1e-6))
    assert np.abs(found - np.eye(4)).max() > 1e-5
    assert_close(predictor.poses(video, batch_size=3), found, (0, 1e-6))


def test_images_of_any_size_and_too_few(backend, make_folder, video):
    predictor = backend.module("predictor").Predictor(make_folder("posecnn, pairs")[0], "cpu")
    larger = [np.repeat(np.repeat(image, 2, axis=0), 2, axis=1) for image in video[:2]]
    assert predictor.poses(larger).shape == (1, 4, 4)
    with pytest.raises(UserError, match="1 images: the pose network sees 2 in a row"):
        predictor.poses(video[:1])


def test_folders_without_pose_networks(backend, trained, tmp_path, video):
    """They predict depth; asked for poses they say what is missing."""
    extension = backend.module("checkpoint").EXTENSION
    missing = (f"pose{extension}", f"pose_encoder{extension}")
    predictor = backend.module("predictor").Predictor(
        link_weights(trained, tmp_path / "depth", missing), "cpu"
    )
    assert predictor.disparity(video[:1]).shape == (1, HEIGHT, WIDTH)
    with pytest.raises(UserError, match=rf"lacks pose_encoder\{extension}, pose\{extension}; it holds "):
        predictor.poses(video)

    stereo = link_weights(trained, tmp_path / "stereo", (*missing, "options.yaml"))
    options = load_options(Monodepth2Options, trained / "options.yaml")
    options.frame_ids, options.use_stereo = [0], True
    save_options(options, stereo / "options.yaml")
    predictor = backend.module("predictor").Predictor(stereo, "cpu")
    with pytest.raises(UserError, match="trained on stereo pairs alone cannot tell the camera's motion"):
        predictor.poses(video)


# ---- evaluate_pose.py ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sequence(drive, tmp_path_factory) -> Path:
    """The rendered test drive as sequence 9 of KITTI odometry, with its own list of pairs."""
    root = tmp_path_factory.mktemp("odometry")
    line = (drive / "splits" / "test_files.txt").read_text().split()
    for camera in (2, 3):
        folder = root / "sequences" / "09" / f"image_{camera}"
        folder.mkdir(parents=True)
        images = sorted((drive / line[0] / f"image_{camera:02d}" / "data").iterdir())
        for frame, image in enumerate(images):
            (folder / f"{frame:06d}{image.suffix}").symlink_to(image)
    (root / "poses").mkdir()
    (root / "poses" / "09.txt").symlink_to(sorted((drive / "poses").iterdir())[-1])
    (root / "pairs").mkdir()
    (root / "pairs" / "test_files.txt").write_text("".join(f"9 {frame} l\n" for frame in range(3)))
    return root


def evaluation(backend, sequence: Path, weights: Path, *more: object) -> list[str]:
    where = ["--data_path", sequence, "--eval_split", sequence / "pairs", "--load_weights_folder", weights]
    rest = ["--backend", backend.name, "--device", "cpu", "--num_workers", 1, "--batch_size", 2, *more]
    return [str(word) for word in (*where, *rest)]


def test_evaluation_of_a_drive(backend, drive, sequence, trained, tmp_path):
    """Weights → motions, trajectory, errors, picture; the saved motions and trajectory give the same errors."""
    folder = link_weights(trained, tmp_path / "weights")
    printed = succeeds("evaluate_pose.py", *evaluation(backend, sequence, folder), here=True)
    # A network that has hardly been trained may drive backwards, to which no scale fits.
    assert "Trajectory error: " in printed or "there is no trajectory error" in printed
    assert_says(printed, "sequence 09 | 4 frames", "scale_7dof |")
    new = {path.name for path in folder.iterdir()} - {path.name for path in trained.iterdir()}
    assert new == {"poses.npy", "trajectory_09.txt", "odometry_09.json", "path_09.png"}

    motions = np.load(folder / "poses.npy")
    files = sorted((sequence / "sequences" / "09" / "image_2").iterdir())
    images = [np.asarray(Image.open(file)) for file in files]
    predictor = backend.module("predictor").Predictor(trained, "cpu")
    assert_close(motions, predictor.poses(images), (0, 1e-6))
    written = read_trajectory(folder / "trajectory_09.txt")
    assert_close(written.T_world_camera, chain(motions), (0, 1e-8))

    report = json.loads((folder / "odometry_09.json").read_text())
    truth = ["--ground_truth", sequence / "poses" / "09.txt", "--output", tmp_path / "again"]
    evaluate_pose.main([str(w) for w in ("--ext_poses_to_eval", folder / "poses.npy", *truth)])
    again = json.loads((tmp_path / "again" / "odometry_poses.json").read_text())
    assert again["alignments"] == report["alignments"] and again["snippet_ate"] == report["snippet_ate"]
    evaluate_pose.main([str(w) for w in ("--trajectory", folder / "trajectory_09.txt", *truth)])
    again = json.loads((tmp_path / "again" / "odometry_trajectory_09.json").read_text())
    for name, errors in report["alignments"].items():
        found, expected = again["alignments"][name]["ate"], errors["ate"]
        assert found == (expected if expected is None else pytest.approx(expected, rel=1e-6))


def test_the_renderers_own_poses_have_no_error(drive, tmp_path):
    for file in sorted((drive / "poses").iterdir()):
        both = ["--trajectory", str(file), "--ground_truth", str(file), "--output", str(tmp_path)]
        evaluate_pose.main(both)
        report = json.loads((tmp_path / f"odometry_{file.stem}.json").read_text())
        for errors in report["alignments"].values():
            assert max(value for value in errors.values() if value is not None) < 1e-5
        assert report["snippet_ate"]["mean"] == 0


def test_other_layout_and_no_ground_truth(backend, drive, make_folder):
    """A drive of KITTI raw, from a frame after its first; a network that sees three frames; predictions only."""
    folder, _ = make_folder("posecnn, all")
    lines = (drive / "splits" / "test_files.txt").read_text().splitlines()
    arguments = evaluation(backend, drive, folder, "--dataset", "kitti", "--eval_split", drive / "splits")
    assert len(lines) == 2  # frames 1 and 2: three images
    evaluate_pose.main([*arguments, "--no_eval"])
    name = Path(lines[0].split()[0]).name
    written = {path.name for path in folder.iterdir()}
    assert {"poses.npy", f"trajectory_{name}.txt"} <= written and not any("odometry" in n for n in written)
    assert read_trajectory(folder / f"trajectory_{name}.txt").frames.tolist() == [1, 2, 3]
    with pytest.raises(UserError, match="--ground_truth is missing: the file of poses of "):
        evaluate_pose.main(arguments)
    truth = sorted((drive / "poses").iterdir())[-1]
    evaluate_pose.main([*arguments, "--ground_truth", str(truth)])
    assert json.loads((folder / f"odometry_{name}.json").read_text())["frames"] == 3


def test_what_no_path_can_be_made_of(backend, sequence, trained, tmp_path):
    """Said before the network runs, and nothing is written."""

    def message(pairs: str, *more: object) -> str:
        (tmp_path / "split" / "test_files.txt").write_text(pairs)
        split = ["--eval_split", tmp_path / "split", "--output", tmp_path / "out"]
        with pytest.raises(UserError) as error:
            evaluate_pose.main(evaluation(backend, sequence, trained, *split, *more))
        assert not (tmp_path / "out").exists()
        return str(error.value)

    (tmp_path / "split").mkdir()
    said = message("9 0 l\n9 2 l\n")
    assert_says(said, "'9 2 l' after '9 0 l'; a path needs consecutive frames of one sequence and camera")
    assert_says(message("9 0 l\n9 1 l\n9 2 l\n9 3 l\n"), "09: frame 4 has no true pose")
    said = message("9 0 l\n9 1 l\n9 2 l\n9 3 l\n", "--no_eval")
    assert_says(said, "000004", "no such image (1 are missing)")
    assert_says(message("10 0 l\n"), "poses/10.txt: no such file of poses")
