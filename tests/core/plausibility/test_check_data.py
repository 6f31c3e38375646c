"""check_data.py prints all findings at once; export_gt_depth.py makes ground truth of a folder of depth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import export_gt_depth
from core.datasets.ground_truth import load_ground_truth, maps_of_folder
from core.datasets.kitti import read_scan, scan_path
from core.datasets.splits import SplitLine, load_split
from core.errors import UserError
from core.files.images import image_size, load_image
from core.plausibility import checks
from tests.core.kitti_folder import write_first_version
from tests.core.own_images import numbered, write_images
from tests.scripts import run_here, succeeds


def words(root: Path) -> list[object]:
    return ["check_data.py", "--data_path", root, "--split", root / "splits", "--png", "--use_stereo"]


def test_right_data_pass(rendered):
    printed = succeeds(*words(rendered), here=True)
    assert "train: 4 lines, 1 sequences, 4 depths read" in printed and printed.endswith("nothing found\n")
    assert "ground truth: 2 maps" in printed


def test_all_findings_at_once(drive):
    line = load_split(drive / "splits", "test")[0]
    path = scan_path(drive, line.folder, line.frame)
    path.write_bytes((read_scan(path) * np.float32([1, 1, 1, 255])).tobytes())
    calibration = drive / "2011_09_26" / "calib_cam_to_cam.txt"
    calibration.write_text(
        calibration.read_text().replace("S_rect_02: 1.920000e+02", "S_rect_02: 0.960000e+02")
    )
    truth = drive / "splits" / "gt_depths.npz"
    write_first_version(truth, [replace(one, values=one.values * 1000) for one in load_ground_truth(truth)])
    train = (drive / "splits" / "train_files.txt").read_text()
    (drive / "splits" / "val_files.txt").write_text(train)
    done = run_here(*words(drive))
    assert done.returncode == 2 and "findings end a training or an evaluation; see above" in done.stderr
    for row in ("| scan_layout | error |", "| truth_unit | error |", "| validation_overlap | warning |"):
        assert row in done.stdout, done.stdout
    assert "camera_centre | error" in done.stdout and "4 of 4 validation lines" in done.stdout


def test_what_is_missing_is_a_finding(drive):
    line = load_split(drive / "splits", "train")[0]
    (drive / line.folder / "image_02" / "data" / "0000000002.png").unlink()
    done = run_here(*words(drive), "--accept", "few_pixels")
    assert (
        done.returncode == 2
        and "| files | error |" in done.stdout
        and "0000000002.png: no such image" in done.stdout
    )


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda pixels: Image.fromarray(pixels[..., 0].astype(np.uint16) * 16), "more than 8 bits"),
        (lambda pixels: None, "not an image of a kind that is read"),
    ],
)
def test_images_of_another_kind_are_findings(tmp_path, spoil, said):
    """A table with "nothing found" came."""
    folder = write_images(tmp_path / "own" / "a", numbered(range(3)))
    (tmp_path / "test_files.txt").write_text("a 0 l\na 1 l\na 2 l\n")
    words = ["check_data.py", "--dataset", "folder", "--data_path", tmp_path / "own", "--split", tmp_path]
    assert succeeds(*words, here=True).endswith("nothing found\n")
    image = spoil(np.asarray(Image.open(folder / "000001.png")))
    (folder / "000001.png").write_bytes(b"no image") if image is None else image.save(folder / "000001.png")
    done = run_here(*words)
    assert (
        done.returncode == 2 and said in done.stdout and "(1 of 3 images that were looked at)" in done.stdout
    )


def test_an_orientation_that_means_nothing(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 99
    Image.new("RGB", (96, 48)).save(tmp_path / "a.png", exif=exif)
    assert image_size(tmp_path / "a.png") == (48, 96) and load_image(tmp_path / "a.png").size == (96, 48)


def test_scenes_that_make_their_lists_themselves(shared):
    """The lists of both parts, each camera, its points beside its images; nothing is written."""
    root = shared / "data/ddad_dgp_mini"
    words = ["check_data.py", "--dataset", "ddad", "--data_path", root]
    printed = succeeds(*words, "--cameras", "camera_01", "camera_05", here=True)
    assert "val, camera_05: 1 lines, 1 sequences, 1 depths read" in printed
    assert printed.count("\n") == 5 and printed.endswith("nothing found\n")
    assert not (root / "scene_01/depth").exists()
    done = run_here(*words, "--cameras", "camera_99")
    assert done.returncode == 2 and "| files | error | " in done.stdout and "CAMERA_05" in done.stdout


# ---- ground truth of a folder ------------------------------------------------------------------------------------


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """A list of two of one's own images."""
    write_images(tmp_path / "own" / "a", numbered(range(2)), size=(64, 96))
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "test_files.txt").write_text("a 0 l\na 1 l\n")
    return tmp_path / "split"


DEPTH = np.random.default_rng(0).uniform(1, 20, (2, 64, 96)).astype(np.float32)


def export(split: Path, folder: Path, *more: object) -> list[np.ndarray]:
    words = ["--depth_maps", folder, "--split", split, *more]
    export_gt_depth.main([str(word) for word in words])
    return [depth.dense() for depth in load_ground_truth(split / "gt_depths.npz", load_split(split, "test"))]


@pytest.mark.parametrize(("unit", "unknown"), [(0.001, 65535), (1 / 256, 0), (0.002, 9)])
def test_pictures_become_ground_truth(split, tmp_path, unit, unknown):
    """M1."""
    (tmp_path / "depth").mkdir()
    pixels = np.rint(DEPTH / unit).astype(np.uint16)
    pixels[:, :10] = unknown
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "depth" / f"{number:03d}.png")
    with pytest.raises(UserError, match=r"000\.png: nothing says what its steps are: give --depth_unit"):
        export(split, tmp_path / "depth")
    found = export(split, tmp_path / "depth", "--depth_unit", unit, "--unknown", unknown)
    for depth, right in zip(found, DEPTH, strict=True):
        assert not depth[:10].any()
        assert np.abs(depth[10:] - right[10:]).max() <= unit / 2 + 1e-5


@pytest.mark.parametrize(
    ("names", "lines", "expected", "warns"),
    [
        ("8 9 10", "8 9 10", [8, 9, 10], False),  # as text 10 is the first
        ("0 5 10", "10 0 5", [10, 0, 5], False),  # by number, whatever the order of the lines
        ("0.05 0.1 0.15", "1 2 3", [0.05, 0.1, 0.15], False),
        ("8 9 10", "21 22 23", [8, 9, 10], False),  # in their order
        ("0 1 2", "1 2 3", [0, 1, 2], True),  # so 1 is not of line 1
        ("8 9 10", "23 21 22", None, False),
    ],
)
def test_files_of_depth_and_lines_have_one_number(tmp_path, names, lines, expected, warns):
    """W14: of the truth."""
    for name in names.split():
        np.save(tmp_path / f"{name}.npy", np.full((4, 8), 1 + float(name), np.float32))
    found = maps_of_folder(tmp_path, [SplitLine("a", int(n)) for n in lines.split()], None, None)
    if expected is None:
        with pytest.raises(UserError, match=r"is 8\.npy the second file, or 9\.npy\? Write zeros"):
            next(found)
        return
    assert [depth.dense()[0, 0] - 1 for depth in found] == pytest.approx(expected, abs=1e-6)
    assert len(checks.warnings()) == warns


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_become_ground_truth(split, tmp_path, suffix):
    (tmp_path / "depth").mkdir()
    for number, depth in enumerate(DEPTH):
        known = depth.copy()
        known[0] = np.nan
        (np.save if suffix == ".npy" else np.savez)(tmp_path / "depth" / f"{number}{suffix}", known)
    found = export(split, tmp_path / "depth")
    for depth, right in zip(found, DEPTH, strict=True):
        np.testing.assert_array_equal(depth[1:], right[1:])
        assert not depth[0].any()
    with pytest.raises(UserError, match="looks like millimetres"):
        export(split, tmp_path / "depth", "--depth_unit", 1000)


def test_too_few_pictures(split, tmp_path):
    (tmp_path / "depth").mkdir()
    np.save(tmp_path / "depth" / "0.npy", DEPTH[0])
    with pytest.raises(UserError, match="1 files of depth, but the list has 2 lines"):
        export(split, tmp_path / "depth")
    with pytest.raises(UserError, match="no such folder; see --depth_maps"):
        export(split, tmp_path / "none")
    with pytest.raises(UserError, match="depth_unit: only with --depth_maps"):
        export_gt_depth.main(["--data_path", "x", "--split", "y", "--depth_unit", "1"])
