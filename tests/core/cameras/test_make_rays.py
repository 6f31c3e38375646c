"""The command that makes files of rays."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import make_rays
from core.cameras.models import ImagePlane, KannalaBrandt, Pinhole
from core.cameras.pictures import angle_picture, component_colours, direction_colours
from core.cameras.templates import read_template
from core.errors import UserError
from tests.core.cameras.test_calibration import KALIBR
from tests.tolerances import assert_close


def make(words: str, *paths: object) -> None:
    """Runs the command; each {} stands for a path."""
    make_rays.main(words.format(*paths).split())


def test_of_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "rays.npz"
    make(
        "--camera kannala_brandt --parameters 40 41 31.5 23.5 0.02 -0.005 0.001 -0.0001 --height 48 --width 64 "
        "--max_angle 40 --output {}",
        output,
    )
    template = read_template(output, 48, 64)
    own, _ = KannalaBrandt(ImagePlane(40.0, 41.0, 31.5, 23.5), (0.02, -0.005, 0.001, -0.0001)).rays(48, 64)
    seen = np.degrees(np.arccos(own[2])) <= 40
    assert template.valid is not None and np.array_equal(template.valid, seen) and 0.3 < seen.mean() < 1
    assert np.array_equal(template.rays[:, seen], own.astype(np.float32)[:, seen])
    said = capsys.readouterr().out
    assert "rays of 64x48 pixels, 1 to 39.9 degrees off the axis" in said and f"{seen.mean():.1%}" in said
    with Image.open(tmp_path / "rays.png") as picture:
        assert picture.width > 3 * 64 and picture.height > 48
        assert picture.getpixel((0, 16)) == (128, 128, 128)  # nothing is seen in the corner


def test_of_a_calibration_for_resized_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also into .npy, as published templates are."""
    chain, output = tmp_path / "camchain.yaml", tmp_path / "rays.npy"
    chain.write_text(KALIBR)
    make("--calibration {} --camera_name cam0 --height 96 --width 160 --output {}", chain, output)
    rays = np.load(output, allow_pickle=False)
    assert rays.shape == (1, 3, 96, 160) and rays.dtype == np.float32
    plane = ImagePlane(300 / 4, 301 / 5, 320 / 4 - 0.5, 240.75 / 5 - 0.5)
    expected = KannalaBrandt(plane, (0.05, -0.01, 0.002, -3e-4)).rays(96, 160)[0]
    assert_close(rays[0], expected, "formula")
    assert "stretched" in capsys.readouterr().out


def test_numbers_for_another_size_and_a_file_of_rays(tmp_path: Path) -> None:
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    make(
        "--camera pinhole --parameters 80 80 63.5 47.5 --calibrated_height 96 --calibrated_width 128 "
        "--height 48 --width 64 --output {}",
        first,
    )
    expected = Pinhole(ImagePlane(40.0, 40.0, 31.5, 23.5)).rays(48, 64)[0]
    assert_close(read_template(first, 48, 64).rays, expected, "formula")
    make("--template {} --height 24 --width 32 --min_angle 5 --output {}", first, second)
    half = read_template(second, 24, 32)
    assert half.valid is not None and not half.valid[12, 16] and half.valid[0].all()


def test_negative_numbers_with_exponents(tmp_path: Path) -> None:
    output = tmp_path / "rays.npz"
    make(
        "--camera kannala_brandt --parameters 40 41 31.5 23.5 -2e-2 -5E-3 -.001 -1e-4 --height 48 --width 64 "
        "--output {}",
        output,
    )
    expected = KannalaBrandt(ImagePlane(40.0, 41.0, 31.5, 23.5), (-0.02, -0.005, -0.001, -1e-4)).rays(48, 64)[
        0
    ]
    assert_close(read_template(output, 48, 64).rays, expected, "formula")


SIZE = ["--height", "48", "--width", "64"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--camera is missing"),
        (["--camera", "dummy"], "--height and --width are missing"),
        (["--camera", "dummy", "--height", "48"], "give both or none"),
        (["--camera", "fisheye", *SIZE], "fisheye"),
        (["--camera", "pinhole", *SIZE, "--parameters", "40", "41"], "fx fy cx cy"),
        (["--camera", "pinhole", *SIZE, "--parameters", "0.5", "0.6", "0.5", "0.5"], "in pixels"),
        (["--camera", "dummy", "--template", "x.npz", *SIZE], "only one"),
        (["--camera", "dummy", *SIZE, "--output", "rays.txt"], "must end in"),
        (["--camera", "dummy", *SIZE, "--min_angle", "50", "--max_angle", "40"], "no range"),
        (["--camera", "dummy", *SIZE, "--min_angle", "80"], "no pixel has a ray"),
        (["--camera", "dummy", "--height", "1", "--width", "64"], "too small"),
        (["--camera", "dummy", "--height", "48", "--width", "1000000"], "16384"),
        (["--calibration", "none.yml"], "no such calibration"),
        (["--template", "none.npz"], "no such file of rays"),
    ],
)  # fmt: skip
def test_refused(arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        make_rays.main(arguments)
    assert not list(tmp_path.iterdir())


def test_what_is_there_stays(tmp_path: Path) -> None:
    arguments = ["--camera", "dummy", *SIZE, "--output", str(tmp_path / "rays.npz")]
    (tmp_path / "rays.png").write_text("holiday")
    with pytest.raises(UserError, match="--force"):
        make_rays.main(arguments)
    assert (tmp_path / "rays.png").read_text() == "holiday" and not (tmp_path / "rays.npz").exists()
    make_rays.main([*arguments, "--force"])
    assert read_template(tmp_path / "rays.npz", 48, 64).valid is None


def test_colours() -> None:
    rays = np.array([[0, 0, 1.0], [1, 0, 0], [-1, 0, 0], [0, 2, 0]]).T[:, None]
    assert component_colours(rays)[0].tolist() == [
        [128, 128, 255],
        [255, 128, 128],
        [0, 128, 128],
        [128, 255, 128],
    ]
    painted = direction_colours(rays, np.array([[True, True, True, False]]))[0]
    assert painted[0].tolist() == [255, 255, 255] and painted[1, 0] > painted[1, 1:].max()
    assert painted[2, 0] == 0 and painted[3].tolist() == [128, 128, 128]
    shown = np.asarray(
        angle_picture(np.array([[0.0, 0.5], [1.0, 9.0]]), np.array([[True, True], [True, False]]))
    )
    assert (
        shown[1, 1].tolist() == [128, 128, 128] and shown[0, 0].sum() < shown[0, 1].sum() < shown[1, 0].sum()
    )


def test_the_same_command_goes_on_after_a_kill(tmp_path: Path) -> None:
    """Which may have left the picture alone; a picture of something else stays."""
    words, path = (
        "--camera pinhole --parameters 80 80 31.5 23.5 --height 48 --width 64 --output {}",
        tmp_path / "a.npz",
    )
    make(words, path)
    before = path.read_bytes()
    path.unlink()
    make(words, path)
    assert path.read_bytes() == before
    path.unlink()
    (tmp_path / "a.png").write_bytes(b"of something else")
    with pytest.raises(UserError, match=r"a\.png: is already there"):
        make(words, path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("option", ["output", "picture"])
def test_what_is_read_is_not_replaced(tmp_path: Path, option: str) -> None:
    """Not even with --force."""
    path = tmp_path / "rays.npz"
    make("--camera pinhole --parameters 80 80 31.5 23.5 --height 48 --width 64 --output {}", path)
    before = path.read_bytes()
    written = path if option == "output" else tmp_path / "other.npz"
    with pytest.raises(UserError, match=rf"option {option}: .*rays\.npz belongs to --template"):
        make(
            "--template {} --height 48 --width 64 --force --output {} --picture {}",
            *(path, written, path if option == "picture" else tmp_path / "a.png"),
        )
    assert path.read_bytes() == before
