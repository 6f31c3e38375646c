"""What predict.py replaces: its own files, never an input, and files of others only where it is told to."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import backends
import core.weights.zoo
import evaluate_depth
import predict
from core.errors import UserError
from core.files.arrays import save_marked_array
from core.files.video import VideoReader, write_video
from core.prediction.files import IN_FOLDERS, WRITERS, file_of
from core.prediction.overwriting import is_ours
from core.weights.npz import read_npy

PIXELS = np.random.default_rng(0).integers(2, 99, (16, 24, 3), np.uint8)
EVERYTHING = [*WRITERS, *IN_FOLDERS]
POINTS = ["--intrinsics", "0.58", "1.92", "0.5", "0.5"]


class Fake:
    """A predictor without a network."""

    options = SimpleNamespace(is_metric=False, stereo_scale_factor=None, largest_depth=100.0)

    has_rays = False
    RAY = np.array([0.6, 0.0, 0.8], np.float32)

    def predictions(self, images: list[np.ndarray], *more: object) -> list[dict[str, np.ndarray]]:
        found = [{"disparity": 3 / (image[:, :, 0].astype(np.float32) + 1)} for image in images]
        if self.has_rays:
            for maps in found:
                maps["rays"] = np.multiply.outer(self.RAY, np.ones_like(maps["disparity"]))
        return found


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "load_predictor", lambda _: Fake())
    monkeypatch.setattr(core.weights.zoo, "with_weights", lambda options: options)


def run(image_path: Path, *more: Any) -> None:
    predict.main([str(word) for word in ("--image_path", image_path, "--load_weights_folder", "w", *more)])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def photo(path: Path, pixels: np.ndarray = PIXELS) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("kind", EVERYTHING)
def test_its_own_files_are_replaced_and_those_of_others_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    image, path = photo(tmp_path / "x.png"), file_of(kind, tmp_path / "x")
    monkeypatch.setattr(Fake, "has_rays", kind == "rays")
    more = ["--save", kind, *(POINTS if kind == "points" else [])]
    run(image, *more)
    ours = contents(tmp_path)
    path.chmod(0o600)  # as if somebody had looked at it
    run(image, *more)
    assert contents(tmp_path) == ours and "replaced" not in capsys.readouterr().out
    for beside in tmp_path.glob("*.json"):
        beside.unlink()
    path.write_bytes(b"a week's work")
    before = contents(tmp_path)
    with pytest.raises(UserError, match=rf"{path.name}: not written by predict\.py.* or give --overwrite"):
        run(image, *more)
    assert contents(tmp_path) == before
    run(image, *more, "--overwrite")
    assert contents(tmp_path) == ours
    assert f"; replaced, though not written by predict.py: {path}" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["colour", "png", "vis", "disparity", "npy"])
def test_a_real_file_of_somebody_else(tmp_path: Path, kind: str) -> None:
    """Of the right format, as other programs write it."""
    image, path = photo(tmp_path / "x.bmp"), file_of(kind, tmp_path / "x")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, np.ones((16, 24), np.float32))
    else:
        photo(path)
    before = contents(tmp_path)
    with pytest.raises(UserError, match="not written by predict"):
        run(image, "--save", kind)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
@pytest.mark.parametrize("link", [False, True])
def test_an_input_further_down_the_list(tmp_path: Path, more: list[str], link: bool) -> None:
    """Even where it is a file of ours, and even through a link."""
    first = photo(tmp_path / "x.png")
    run(first, "--save", "colour")
    if link:
        (tmp_path / "link.jpg").symlink_to(tmp_path / "x_disp.jpeg")
    (tmp_path / "list.txt").write_text(f"x.png\n{'link.jpg' if link else 'x_disp.jpeg'}\n")
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"x_disp\.jpeg: is an input \(.*\), and a result would replace it"):
        run(tmp_path / "list.txt", "--save", "colour", *more)
    assert contents(tmp_path) == before


@pytest.fixture
def video(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "drive.mp4"
    write_video(path, (PIXELS for _ in range(3)), 25.0)
    yield path


def test_videos(tmp_path: Path, video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(video, "--save", "colour", "png")
    run(video, "--save", "colour", "png")
    assert len(list(VideoReader(tmp_path / "drive_disp.mp4"))) == 3
    frame = photo(tmp_path / "drive_predictions" / "000001_depth.png")
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"000001_depth\.png: not written by predict"):
        run(video, "--save", "colour", "png")
    assert contents(tmp_path) == before
    frame.unlink()
    (tmp_path / "drive_disp.mp4").write_bytes(b"a week's work")
    with pytest.raises(UserError, match=r"drive_disp\.mp4: not written by predict"):
        run(video)
    capsys.readouterr()
    run(video, "--overwrite")
    assert "drive_disp.mp4; replaced, though not written by predict.py: " in capsys.readouterr().out


def test_a_video_that_would_replace_itself(tmp_path: Path, video: Path) -> None:
    (tmp_path / "drive_disp.mp4").symlink_to(video)
    before = video.read_bytes()
    with pytest.raises(UserError, match="is an input"):
        run(video, "--overwrite")
    assert video.read_bytes() == before


def test_a_marked_array_is_read_by_all(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    for shape in ((5, 7), (35,), (5, 7, 1)):
        save_marked_array(tmp_path / "a.npy", array.reshape(shape))
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), array.reshape(shape))
        np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array.reshape(shape))
        assert is_ours(tmp_path / "a.npy")


def test_a_folder_in_the_way_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "x_depth.png").mkdir()
    with pytest.raises(UserError, match="not written by predict"):
        run(photo(tmp_path / "x.jpg"), "--save", "png")


@pytest.mark.parametrize(("factor", "unit"), [(1.0, "metres"), (5.4, "relative"), (None, "relative")])
def test_a_model_in_metres_says_so_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float | None, unit: str
) -> None:
    known = SimpleNamespace(is_metric=factor is not None, stereo_scale_factor=factor, largest_depth=None)
    monkeypatch.setattr(Fake, "options", known)
    run(photo(tmp_path / "x.png"), "--save", "depth", "png")
    with np.load(tmp_path / "x_depth.npz") as file:
        assert str(file["unit"]).startswith(unit) and file["scale_factor"] == 1
    with Image.open(tmp_path / "x_depth.png") as image:
        assert image.text["unit"].startswith(unit)
        step = float(image.text["depth"].removeprefix("value * "))
        assert (step == 1 / 512) == (unit == "metres")  # finer than KITTI's, for the nearest depth is 1 m


# ---- other commands ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--output", "--csv"])
def test_evaluation_does_not_replace_what_it_reads(tmp_path: Path, option: str) -> None:
    path = tmp_path / "disparities.npy"
    np.save(path, np.ones((2, 4, 8), np.float32))
    before = contents(tmp_path)
    with pytest.raises(
        UserError, match=rf"option {option[2:]}: .* belongs to --ext_disp_to_eval, and the result"
    ):
        evaluate_depth.main(["--eval_mono", "--ext_disp_to_eval", str(path), option, str(path)])
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["checkpoint.json", "options.yaml", "depth.pth"])
def test_evaluation_does_not_replace_a_checkpoint(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("whole")
    with pytest.raises(UserError, match="belongs to --load_weights_folder"):
        evaluate_depth.main(
            ["--eval_mono", "--load_weights_folder", str(tmp_path), "--output", str(tmp_path / name)]
        )
    assert (tmp_path / name).read_text() == "whole"


@pytest.mark.parametrize(
    ("kind", "reason"), [("points", "points need --intrinsics"), ("rays", "finds no rays")]
)
def test_what_a_model_without_rays_cannot_write(tmp_path: Path, kind: str, reason: str) -> None:
    """It is said before anything is predicted."""
    image = photo(tmp_path / "x.png")
    with pytest.raises(UserError, match=reason):
        run(image, "--save", kind)
    assert list(contents(tmp_path)) == [image.name]


def test_range_is_never_where_depth_along_the_axis_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What says that it is range holds range; the bare array, which scores read, z."""
    monkeypatch.setattr(Fake, "has_rays", True)
    run(photo(tmp_path / "x.png"), "--save", "depth", "npy", "disparity")
    with np.load(file_of("depth", tmp_path / "x")) as arrays:
        distance = arrays["depth"]
        assert "range" in str(arrays["distance"])
    np.testing.assert_allclose(np.load(file_of("npy", tmp_path / "x")), 0.8 * distance, rtol=1e-6)
    assert "range" in (tmp_path / "x_disp.json").read_text()
