"""predict.py on lists, videos and cameras, and evaluate_depth.py beyond the usual, with a network at work."""

import csv
import dataclasses
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import evaluate_depth
import predict
from core.disparity import resize_map
from core.errors import UserError
from core.evaluation.disparity_files import benchmark_pixels
from core.files.colour import colour_map
from core.files.video import VideoReader, write_video
from core.geometry import backproject, relative_intrinsics
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import load_options, save_options
from tests.backends.drive import HEIGHT, WIDTH, link_weights
from tests.core.prediction.test_point_cloud import read_ply
from tests.scripts import ROOT

KITTI = ["0.58", "1.92", "0.5", "0.5"]
RATE = 12.5
LONG = 1500  # frames of a video that nobody waits for


@pytest.fixture(scope="module")
def predictor(backend, trained):
    return backend.module("predictor").Predictor(trained, "cpu")


@pytest.fixture(scope="module")
def images(drive) -> list[np.ndarray]:
    """The frames of the rendered test drive, uint8 (64, 128, 3)."""
    paths = sorted(drive.rglob("image_02/data/*.jpg")) or sorted(drive.rglob("image_02/data/*.png"))
    return [np.asarray(Image.open(path)) for path in paths]


def arguments(backend, image_path: Path | str, weights: Path, *more: object) -> list[str]:
    words = ["--backend", backend.name, "--device", "cpu", "--image_path", image_path]
    return [str(word) for word in (*words, "--load_weights_folder", weights, *more)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- images ------------------------------------------------------------------------------------------------------


def test_a_list_of_images_of_different_sizes(backend, predictor, trained, images, tmp_path) -> None:
    """An odd batch at the end; clouds and depth at the size of each image."""
    sizes = [(80, 200), (64, 128), (50, 60)]
    photos = [np.asarray(Image.fromarray(images[0]).resize(size[::-1])) for size in sizes]
    for number, photo in enumerate(photos):
        Image.fromarray(photo).save(tmp_path / f"{number}.png")
    (tmp_path / "list.txt").write_text("2.png\n0.png\n1.png\n")
    more = ["--save", "points", "depth", "--size", "original", "--batch_size", "2", "--intrinsics", *KITTI]
    predict.main(
        arguments(
            backend,
            tmp_path / "list.txt",
            trained,
            *more,
            "--pred_metric_depth",
            "--output",
            tmp_path / "out",
        )
    )
    assert names(tmp_path / "out") == [
        f"{n}{suffix}" for n in range(3) for suffix in ("_depth.npz", "_points.ply")
    ]
    for number, (photo, disparity) in enumerate(zip(photos, predictor.disparity(photos), strict=True)):
        expected = 5.4 / resize_map(disparity, *sizes[number])
        with np.load(tmp_path / "out" / f"{number}_depth.npz", allow_pickle=False) as file:
            np.testing.assert_allclose(file["depth"], expected, rtol=1e-4)
            depth = file["depth"]
        _, points, colours = read_ply(tmp_path / "out" / f"{number}_points.ply")
        np.testing.assert_array_equal(colours, photo.reshape(-1, 3))
        K = relative_intrinsics([float(value) for value in KITTI], *sizes[number])
        rays = backproject(np.ones((1, 1, *sizes[number])), K[None])[0].T
        np.testing.assert_allclose(points, rays * depth.reshape(-1, 1), rtol=1e-5, atol=1e-5)


def test_python_takes_one_image_or_many(predictor, images) -> None:
    one, many = predictor.disparity(images[0]), predictor.disparity(np.stack(images[:1]))
    assert one.shape == (1, HEIGHT, WIDTH)
    np.testing.assert_array_equal(one, many)
    for wrong in (images[0] / 255.0, images[0][:, :, 0] / 255.0, [images[0][:, :, :2]], []):
        with pytest.raises(UserError, match=r"expected uint8 RGB|no image"):
            predictor.disparity(wrong)


def test_metres_by_a_factor(backend, trained, images, tmp_path) -> None:
    """The known scale of a model that was trained without stereo, such as a median of evaluate_depth.py."""
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    found = []
    for factor in ("1", "30"):
        more = ["--save", "depth", "--pred_depth_scale_factor", factor]
        predict.main(arguments(backend, tmp_path / "a.png", trained, *more))
        with np.load(tmp_path / "a_depth.npz") as file:
            found.append((file["depth"], str(file["unit"]).split(":")[0]))
    np.testing.assert_allclose(found[1][0], found[0][0] * 30, rtol=1e-6)
    assert [unit for _, unit in found] == ["relative", "metres"]


# ---- videos ------------------------------------------------------------------------------------------------------


def test_a_video(backend, predictor, trained, images, tmp_path) -> None:
    video = tmp_path / "drive.mp4"
    write_video(video, images[:5], RATE)
    more = ["--save", "colour", "disparity", "--batch_size", "2", "--output", tmp_path / "out"]
    predict.main(arguments(backend, video, trained, *more))
    assert names(tmp_path / "out") == ["drive_disp.mp4", "drive_predictions"]
    made, frames = VideoReader(tmp_path / "out" / "drive_disp.mp4"), list(VideoReader(video))
    assert (made.frame_rate, made.length) == (RATE, 5)
    disparities = predictor.disparity(frames)
    for number, (shown, frame) in enumerate(zip(made, frames, strict=True)):
        stem = tmp_path / "out" / "drive_predictions" / f"{number:06d}"
        np.testing.assert_allclose(np.load(f"{stem}_disp.npy")[0, 0], disparities[number], rtol=1e-4)
        assert shown.shape == (HEIGHT, 2 * WIDTH, 3)
        assert np.abs(shown[:, :WIDTH].astype(int) - frame).mean() < 12  # the codec loses a little
        if number == 0:
            colours = colour_map(disparities[0], (HEIGHT, WIDTH)).astype(int)
            assert np.abs(shown[:, WIDTH:] - colours).mean() < 12
    assert len(names(tmp_path / "out" / "drive_predictions")) == 10  # .npy and .json


def test_the_first_frames_of_a_damaged_video(backend, trained, tmp_path, capsys) -> None:
    import cv2

    path, rng = tmp_path / "a.avi", np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (WIDTH, HEIGHT))
    for _ in range(8):
        writer.write(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    writer.release()
    predict.main(arguments(backend, path, trained, "--frames", "2"))
    assert capsys.readouterr().out.startswith("2 frames: ")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    predict.main(arguments(backend, path, trained))
    count = len(list(VideoReader(tmp_path / "a_disp.mp4")))
    assert 0 < count < 8 and f"{count} frames of 8 announced: " in capsys.readouterr().out


class Camera:
    """Stands in for a webcam: frames until Ctrl-C."""

    frame_rate, length = RATE, None

    def __init__(self, images: list[np.ndarray]) -> None:
        self.images = images

    def __iter__(self) -> Iterator[np.ndarray]:
        yield from self.images[:3]
        raise KeyboardInterrupt

    def close(self) -> None:
        """Nothing to let go of."""


@pytest.mark.parametrize(("more", "count"), [([], 3), (["--frames", "2"], 2)])
def test_a_camera_until_it_is_stopped(
    backend, trained, images, tmp_path, monkeypatch, capsys, more, count
) -> None:
    """Ctrl-C is how a recording ends, and no mistake."""
    monkeypatch.setattr("core.files.video.VideoReader", lambda source: Camera(images))
    predict.main(arguments(backend, "webcam:1", trained, "--output", tmp_path, *more))
    assert names(tmp_path) == ["webcam_disp.mp4"]
    said, depths = capsys.readouterr().out.splitlines()
    assert said == f"{count} frames: {tmp_path / 'webcam_disp.mp4'}" and depths.startswith("depth from ")
    monkeypatch.undo()
    assert len(list(VideoReader(tmp_path / "webcam_disp.mp4"))) == count


def test_ctrl_c_leaves_whole_files(backend, starter, trained_whole, images, tmp_path) -> None:
    """A process that predicts a long video is interrupted: what is there by then can be played."""
    video, out = tmp_path / "long.mp4", tmp_path / "out"
    write_video(video, (images[number % len(images)] for number in range(LONG)), RATE)
    words = arguments(backend, video, trained_whole, "--output", out, "--save", "colour", "disparity")
    process = starter.start([ROOT / "predict.py", *words], tmp_path)
    until = time.monotonic() + 200
    while len(list(out.rglob("*.json"))) < 5 and process.err.stat().st_size == 0 and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    done = process.wait(60)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    count = len(list(VideoReader(out / "long_disp.mp4")))
    assert 4 <= count < LONG and done.stdout.startswith(f"{count} frames of {LONG} announced: ")
    assert names(out) == ["long_disp.mp4", "long_predictions"]
    for path in (out / "long_predictions").iterdir():
        assert not path.name.startswith(".")
        if path.suffix == ".npy":
            assert np.load(path).shape == (1, 1, HEIGHT, WIDTH)


# ---- evaluate_depth.py -------------------------------------------------------------------------------------------


def evaluation(backend, drive: Path, weights: Path, *more: object) -> list[str]:
    where = ["--data_path", drive, "--eval_split", drive / "splits", "--load_weights_folder", weights]
    rest = ["--backend", backend.name, "--device", "cpu", "--num_workers", 0, *more]
    return [str(word) for word in (*where, *rest)]


def test_batches_and_number_of_scales_change_nothing(backend, drive, trained, tmp_path) -> None:
    """A model with one scale has the same finest output; an odd batch at the end loses no image."""
    single = link_weights(trained, tmp_path / "single", ("options.yaml", "training_state.safetensors"))
    checkpoint = backend.module("checkpoint")
    options = dataclasses.replace(load_options(Monodepth2Options, trained / "options.yaml"), scales=[0])
    save_options(options, single / "options.yaml")
    file = single / f"depth{checkpoint.EXTENSION}"
    state = checkpoint.read_weights(file)
    file.unlink()
    coarser = tuple(f"decoder.{number}." for number in (11, 12, 13))
    checkpoint.write_weights(file, {k: v for k, v in state.items() if not k.startswith(coarser)}, {})
    results = []
    for weights, size in ((trained, 16), (trained, 1), (single, 2)):
        more = ["--batch_size", size, "--output", tmp_path / "a.json", "--csv", tmp_path / "a.csv"]
        evaluate_depth.main(evaluation(backend, drive, weights, "--eval_stereo", *more))
        results.append(json.loads((tmp_path / "a.json").read_text()))
        with (tmp_path / "a.csv").open(newline="") as table:
            rows = list(csv.DictReader(table))
        found = [[float(row[name]) for name in results[-1]["names"]] for row in rows]
        assert found == results[-1]["per_image"] and len(rows) == 2
    for other in results[1:]:
        np.testing.assert_allclose(other["per_image"], results[0]["per_image"], rtol=1e-4)


def test_images_for_the_benchmark(backend, predictor, trained, images, tmp_path) -> None:
    """The flat test folder of KITTI's depth prediction benchmark, which has no ground truth."""
    weights = link_weights(trained, tmp_path / "weights")
    for folder in ("image", "benchmark"):
        (tmp_path / folder).mkdir()
    (tmp_path / "benchmark" / "test_files.txt").write_text("image 0\nimage 1\nimage 2\n")
    for number in range(3):
        Image.fromarray(images[number]).save(tmp_path / "image" / f"{number:010d}.png")
    where = [
        "--data_path",
        tmp_path,
        "--eval_split",
        tmp_path / "benchmark",
        "--load_weights_folder",
        weights,
    ]
    rest = ["--backend", backend.name, "--device", "cpu", "--num_workers", 0, "--png", "--batch_size", 2]
    evaluate_depth.main([str(word) for word in (*where, *rest, "--eval_stereo")])
    folder = weights / "benchmark_predictions"
    assert names(folder) == [f"{number:010d}.png" for number in range(3)]
    for number, disparity in enumerate(predictor.disparity(images[:3])):
        with Image.open(folder / f"{number:010d}.png") as image:
            found = np.asarray(image).astype(int)
        assert np.abs(found - benchmark_pixels(disparity, 5.4)).max() <= 2


def test_stereo_cameras_at_an_unknown_distance(backend, drive, trained, images, tmp_path) -> None:
    weights = link_weights(trained, tmp_path / "weights", ("options.yaml",))
    options = load_options(Monodepth2Options, trained / "options.yaml")
    save_options(dataclasses.replace(options, dataset="folder", baseline=None), weights / "options.yaml")
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"cameras at an unknown distance.*--pred_depth_scale_factor"):
        predict.main(arguments(backend, tmp_path / "a.png", weights, "--pred_metric_depth"))
    with pytest.raises(UserError, match=r"cameras at an unknown distance.*--eval_mono"):
        evaluate_depth.main(evaluation(backend, drive, weights, "--eval_stereo"))
    save_options(dataclasses.replace(options, dataset="folder", baseline=0.2), weights / "options.yaml")
    predict.main(arguments(backend, tmp_path / "a.png", weights, "--pred_metric_depth"))
    with np.load(tmp_path / "a_depth.npz") as file:
        assert file["scale_factor"] == 2 and str(file["unit"]) == "metres"


def test_metres_asked_of_a_model_of_video_alone(backend, drive, trained, tmp_path, capsys) -> None:
    """No error, as the weights may come from elsewhere, but said."""
    weights = link_weights(trained, tmp_path / "weights", ("options.yaml",))
    options = load_options(Monodepth2Options, trained / "options.yaml")
    save_options(dataclasses.replace(options, use_stereo=False), weights / "options.yaml")
    evaluate_depth.main(evaluation(backend, drive, weights, "--eval_stereo"))
    assert "trained without stereo or known poses, so its depth has no unit" in capsys.readouterr().err
    evaluate_depth.main(evaluation(backend, drive, trained, "--eval_stereo"))
    assert capsys.readouterr().err == ""
