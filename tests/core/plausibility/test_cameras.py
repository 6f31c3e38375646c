"""Cameras of other images and rigs; right ones give the right K without a word."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import export_gt_depth
import make_split
from core.datasets import reader
from core.datasets.camera import choose_camera, read_camera
from core.datasets.kitti import read_calibration
from core.datasets.known_poses import odometry_cameras
from core.datasets.layouts.kitti_raw import check_rig
from core.datasets.motion import check_stereo_pairs, motion
from core.datasets.scene_folders import read_camera as read_scene_camera
from core.datasets.splits import SplitLine, load_split
from core.errors import UserError
from core.options.base import require_intrinsics
from core.options.needs import Listing, Needs, Preparation
from core.plausibility import checks
from core.plausibility.cameras import check_baseline, check_camera, check_sequence, is_camera
from tests.core.own_images import numbered, write_images
from tests.scripts import refused, succeeds

DAY = "2011_09_26"
CAMERA = "fx: {}\nfy: {}\ncx: {}\ncy: {}\nwidth: {}\nheight: {}\n"
TRAIN = Needs(frames=(0, -1, 1), augmented=False)


def yaml(path: Path, *numbers: float, more: str = "") -> Path:
    path.write_text(CAMERA.format(*numbers) + more)
    return path


def changed(root: Path, *pairs: tuple[str, str]) -> Path:
    """The calibration of the drive's cameras, lines that begin with a word replaced."""
    file = root / DAY / "calib_cam_to_cam.txt"
    lines = file.read_text().splitlines()
    for key, line in pairs:
        assert any(one.startswith(key) for one in lines)
        lines = [line if one.startswith(key) else one for one in lines]
    file.write_text("\n".join(lines) + "\n")
    return file


# ---- K of another image size -------------------------------------------------------------------------------------


def test_pixels_of_the_original_with_the_size_of_the_resized(tmp_path):
    """W3 (a): fx 1.127 cx 0.9533 cy 0.8141 without a word."""
    file = yaml(tmp_path / "intrinsics.yaml", 721.5, 721.5, 609.6, 172.9, 640, 213)
    with pytest.raises(
        UserError, match=r"principal point is at 0\.9533 .* image of about 1220x347 has"
    ) as error:
        read_camera(file, (64, 192))
    assert "width and height are those of the image that K is of" in str(error.value)
    yaml(file, 721.5, 721.5, 609.6, 172.9, 1242, 375)
    assert read_camera(file, (58, 192)).intrinsics[:3] == pytest.approx((0.5809, 1.924, 0.4912), abs=1e-4)
    assert checks.warnings() == []


def test_a_centre_that_is_no_camera_s(tmp_path):
    """G8 (a)."""
    file = yaml(tmp_path / "intrinsics.yaml", 1000, 1000, 540, 960, 1920, 1080)
    with pytest.raises(UserError, match="has it there"):
        read_camera(file, (1080, 1920))


@pytest.mark.parametrize("size", ["96 32", "64 192", "384 128"])
def test_rectified_size_of_other_images(drive, tmp_path, size):
    """W3 (b): half, exchanged, double."""
    changed(drive, ("S_rect_02", f"S_rect_02: {size}"))
    with pytest.raises(UserError, match=r"calib_cam_to_cam\.txt: P_rect_02: the principal point is at"):
        export_gt_depth.main(
            ["--data_path", str(drive), "--split", str(drive / "splits"), "--source", "velodyne"]
        )


def test_a_scene_s_matrix_of_larger_images(tmp_path):
    np.savetxt(tmp_path / "cam.txt", [[144, 0, 96], [0, 144, 32], [0, 0, 1]])
    assert read_scene_camera(tmp_path / "cam.txt", (64, 192))[0] == 0.75 and checks.warnings() == []
    with pytest.raises(UserError, match=r"cam\.txt: the principal point .* of about 193x65 has"):
        read_scene_camera(tmp_path / "cam.txt", (48, 144))


def test_a_cut_image_is_a_warning(capsys):
    check_camera("a", (0.6, 0.8, 0.5, 0.66), (768, 1024), by_hand=True)
    assert "warning: a: the principal point is at 0.5 of the width and 0.66" in capsys.readouterr().err


def test_pixels_that_are_not_square(capsys):
    """G8 (b): KITTI's numbers for an image of another shape."""
    check_camera("option intrinsics", (0.58, 1.92, 0.5, 0.5), (540, 960))
    assert (
        "fx 556.8 and fy 1037 pixels of 960x540: pixels are 1.86 times as high as wide"
        in capsys.readouterr().err
    )
    check_camera("option intrinsics", (0.58, 1.92, 0.5, 0.5), (375, 1242))
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match="are the sides exchanged"):
        check_camera("option intrinsics", (1.92, 0.58, 0.5, 0.5), (375, 1242))


def test_the_option_wins_over_a_file_of_another_shape(tmp_path):
    """G8 (c)."""
    yaml(tmp_path / "intrinsics.yaml", 1000, 1000, 960, 540, 1920, 1080, more="baseline: 0.2\n")
    with pytest.raises(UserError, match=r"stretched, then give --intrinsics 0\.5208 0\.9259 0\.5003 0\.5005"):
        choose_camera(tmp_path, tmp_path, (576, 960), None)
    camera = choose_camera(tmp_path, tmp_path, (576, 960), [0.5, 0.83, 0.5, 0.5])
    assert camera.intrinsics == (0.5, 0.83, 0.5, 0.5) and camera.baseline == 0.2


# ---- images of several shapes ------------------------------------------------------------------------------------


@pytest.fixture
def sequence(tmp_path):
    """Twelve images, and K of theirs above them."""
    write_images(tmp_path / "a", numbered(range(12)), size=(64, 192))
    yaml(tmp_path / "intrinsics.yaml", 111, 123, 95.5, 31.5, 192, 64)
    return tmp_path


def opened(root: Path):
    dataset = reader("folder")(
        Listing("folder", str(root), ""),
        [SplitLine("a", n, "l") for n in (1, 5, 8)],
        TRAIN,
        Preparation(32, 64),
    )
    dataset.check_files()
    return dataset


def test_images_of_one_shape_pass(sequence, capsys):
    Image.open(sequence / "a" / "000005.png").resize((96, 32)).save(sequence / "a" / "000005.png")
    dataset = opened(sequence)
    assert dataset.intrinsics(dataset.lines[1])[0] == pytest.approx(111 / 192)
    assert checks.warnings() == [] and capsys.readouterr().err == ""
    make_split.main(["--data_path", str(sequence)])
    assert (sequence / "splits" / "train_files.txt").is_file()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda image: image.crop((0, 0, 96, 64)), "96x64, but 000000.png is 192x64"),
        (lambda image: image.rotate(90, expand=True), "64x192, but 000000.png is 192x64 .*turn them alike"),
        (lambda image: image.crop((0, 0, 192, 48)), "192x48, but 000000.png is 192x64"),
    ],
)
def test_images_of_another_shape_are_refused(sequence, spoil, said):
    """W11, C1, G2, G3."""
    path = sequence / "a" / "000006.png"
    spoil(Image.open(path)).save(path)
    with pytest.raises(UserError, match=rf"000006\.png: {said}"):
        opened(sequence)
    with pytest.raises(UserError, match=rf"000006\.png: {said}"):
        make_split.main(["--data_path", str(sequence), "--skip_static", "0.5"])
    with pytest.raises(UserError, match=r"000006\.png: .*must have one shape"):
        motion(sequence / "a" / "000005.png", path)


def test_a_row_more_or_less_is_no_other_shape(tmp_path):
    """C1 (b): cv2's own error."""
    write_images(tmp_path, ["a.png"], size=(64, 192))
    write_images(tmp_path, ["b.png"], size=(63, 192))
    assert motion(tmp_path / "a.png", tmp_path / "b.png") >= 0


def test_orientation_counts(tmp_path):
    sizes = {tmp_path / "a.jpg": (64, 96), tmp_path / "b.jpg": (96, 64)}
    with pytest.raises(UserError, match=r"b\.jpg: 64x96, but a\.jpg is 96x64 \(1 of 2 images"):
        check_sequence(tmp_path, sizes)
    checks.begin(["sequence_shapes"])
    check_sequence(tmp_path, sizes)


# ---- rigs --------------------------------------------------------------------------------------------------------


def kitti(root: Path, *, stereo: bool = False, baseline: float | None = None):
    needs = Needs(frames=(0, "s") if stereo else (0, -1, 1), augmented=False)
    lines = load_split(root / "splits", "train")
    dataset = reader("kitti")(Listing("kitti", str(root), ""), lines, needs, Preparation(64, 96))
    dataset.check_files()
    dataset.check_rig(baseline)
    return dataset


def test_a_rig_of_its_own_in_kitti_s_tree(drive, capsys):
    """W13: fx 0.58 and 0.54 m where 1.16 and 0.12 are right."""
    kitti(drive)
    kitti(drive, stereo=True)
    assert capsys.readouterr().err == ""
    file = changed(
        drive,
        ("P_rect_02", "P_rect_02: 222.7 0 94.8 0 0 245.8 31.3 0 0 0 1 0"),
        ("P_rect_03", "P_rect_03: 222.7 0 94.8 -26.724 0 245.8 31.3 0 0 0 1 0"),
    )
    with pytest.raises(
        UserError, match=r"a rig of its own: fx 1\.16 \(KITTI: 0\.58\), fy 3\.841 .*intrinsics\.yaml"
    ):
        kitti(drive)
    with pytest.raises(UserError, match=r"baseline 0\.12 \(KITTI: 0\.54\)"):
        kitti(drive, stereo=True)
    with pytest.raises(UserError) as error:
        kitti(drive, stereo=True, baseline=0.12)
    assert "baseline" not in str(error.value).replace("baseline)", "")
    assert str(file) in str(error.value)
    checks.begin(["kitti_rig"])
    kitti(drive, stereo=True)


def test_kitti_s_own_cameras_pass(shared, rendered, capsys):
    for day in (shared / "data/kitti_raw_mono/2011_09_26", rendered / DAY):
        check_rig(day / "calib_cam_to_cam.txt", True, True)
        read_calibration(day)
    calibration = shared / "data/kitti_stereo_02/odometry/sequences/02/calib.txt"
    assert odometry_cameras(calibration, (376, 1241))[1][2][0] == pytest.approx(0.5793, abs=1e-4)
    assert checks.warnings() == [] and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("key", "line", "said"),
    [
        ("R_rect_00", "R_rect_00: 1 0 0 0 1 0 0 0 2", "R_rect_00 must be a rotation"),
        ("R_rect_00", "R_rect_00: 1 0 0 0 -1 0 0 0 1", "R_rect_00 must be a rotation"),
        ("P_rect_02", "P_rect_02: -111 0 96 0 0 111 32 0 0 0 1 0", "P_rect_02 must begin with K"),
        ("P_rect_03", "P_rect_03: 111 0 96 -59940 0 111 32 0 0 0 1 0", "540.* m apart.*millimetres"),
        ("P_rect_02", "P_rect_02: 1 0 0\nP_rect_02: 2 0 0", "'P_rect_02' stands there twice"),
    ],
)
def test_calibrations_that_are_none(drive, key, line, said):
    changed(drive, (key, line))
    with pytest.raises(UserError, match=rf"calib_cam_to_cam\.txt: .*{said}"):
        read_calibration(drive / DAY)


def test_what_editors_do_to_a_calibration(drive):
    """G11: a byte order mark; an entry that stands there twice with the same numbers; UTF-16 is named."""
    file = drive / DAY / "calib_cam_to_cam.txt"
    right, text = read_calibration(drive / DAY), file.read_text()
    first = text.splitlines()[0]
    file.write_text(f"{text}{first}\n", encoding="utf-8-sig")
    np.testing.assert_array_equal(read_calibration(drive / DAY).P_rect[3], right.P_rect[3])
    file.write_text(text, encoding="utf-16")
    with pytest.raises(UserError, match="it is UTF-16; save it as UTF-8"):
        read_calibration(drive / DAY)


@pytest.mark.parametrize(("fx", "said"), [(707.0912, "images of 1226x370"), (721.5377, "images of 1242x375")])
def test_the_calibration_of_another_sequence(shared, tmp_path, fx, said):
    """G11: fx 0.5698 where 0.5793 is right."""
    file = tmp_path / "calib.txt"
    text = (shared / "data/kitti_stereo_02/odometry/sequences/02/calib.txt").read_text()
    file.write_text(text.replace("7.188560000000e+02", str(fx)))
    with pytest.raises(
        UserError, match=rf"calib\.txt: fx is {fx:.6g} pixels, but .* 1241x376 have 718\.856.*{said}"
    ):
        odometry_cameras(file, (376, 1241))
    shutil.copy(shared / "data/kitti_stereo_02/odometry/sequences/02/calib.txt", file)
    assert odometry_cameras(file, (376, 1241))


@pytest.mark.parametrize(
    ("metres", "said"), [(540.0, "millimetres"), (120, "millimetres"), (0.00054, "kilometres")]
)
def test_baselines_in_other_units(tmp_path, metres, said):
    with pytest.raises(UserError, match=said):
        check_baseline("option baseline", metres)
    file = yaml(tmp_path / "intrinsics.yaml", 111, 111, 95.5, 31.5, 192, 64, more=f"baseline: {metres}\n")
    with pytest.raises(UserError, match=rf"intrinsics\.yaml: .*{said}"):
        read_camera(file, (64, 192))


def test_real_baselines_pass():
    for metres in (0.0049, 0.063, 0.12, 0.54, 2.0):
        check_baseline("option baseline", metres)


def test_one_camera_needs_one_projection(shared, tmp_path):
    """G11."""
    text = (shared / "data/kitti_stereo_02/odometry/sequences/02/calib.txt").read_text()
    (tmp_path / "calib.txt").write_text(
        "".join(line + "\n" for line in text.splitlines() if line.startswith("P2"))
    )
    assert list(odometry_cameras(tmp_path / "calib.txt", (376, 1241), pair=False)[1]) == [2]
    with pytest.raises(UserError, match="no entry 'P3'"):
        odometry_cameras(tmp_path / "calib.txt", (376, 1241))


def test_metres_of_kitti_for_another_rig(drive, perfect, tmp_path):
    """W13: --eval_stereo took 5.4 for 1.2."""
    more = ["--eval_split", drive / "splits", "--data_path", drive, "--png", "--eval_stereo"]
    words = ["evaluate_depth.py", "--ext_disp_to_eval", perfect, *more]
    assert "depth x 5.4" in succeeds(*words, here=True)
    for camera, shift in (("P_rect_02", 0), ("P_rect_03", -13.3632)):
        changed(drive, (camera, f"{camera}: 111.36 0 94.8 {shift} 0 122.88 31.3 0 0 0 1 0"))
    message = refused(*words, folder=tmp_path, here=True)
    assert "a rig of its own: baseline 0.12 (KITTI: 0.54)" in message


# ---- cameras that are right --------------------------------------------------------------------------------------


def across(degrees: float, width: int, height: int) -> tuple[float, float, float, float]:
    """A pinhole with square pixels that sees so much along its longer side."""
    focal = max(width, height) / 2 / np.tan(np.radians(degrees / 2))
    return focal / width, focal / height, 0.5, 0.5


@pytest.mark.parametrize(
    ("intrinsics", "size"),
    [
        (across(68, 1920, 1080), (1080, 1920)),  # a phone
        (across(68, 1080, 1920), (1920, 1080)),  # upright
        (across(7, 1080, 1920), (1920, 1080)),  # its tele lens, upright
        (across(150, 3840, 2160), (2160, 3840)),  # an action camera, undistorted
        (across(150, 1080, 1920), (1920, 1080)),
        (across(78, 4000, 3000), (3000, 4000)),  # a drone
        ((0.8094, 1.081, 0.5094, 0.5292), (480, 640)),  # a depth camera of a room
        (across(110, 848, 100), (100, 848)),  # a strip
        ((0.5, 0.9, 0.46, 0.55), (720, 1280)),  # stabilised, so cut a little
    ],
)
@pytest.mark.parametrize("by_hand", [True, False])
def test_cameras_of_all_kinds_pass_without_a_word(capsys, intrinsics, size, by_hand):
    assert is_camera(intrinsics)
    require_intrinsics(list(intrinsics))
    check_camera("a", intrinsics, size, by_hand=by_hand)
    assert capsys.readouterr().err == "" and checks.warnings() == []


def test_an_image_without_its_bonnet_is_a_warning(capsys):
    """A street of 2048x1024 without its lowest quarter; K of the whole image under a smaller one is off in both."""
    check_camera("cam.txt", (1.1, 2.95, 0.5, 0.667), (768, 2048))
    assert "cy" not in capsys.readouterr().out and len(checks.warnings()) == 1
    with pytest.raises(UserError, match="no camera of 1536x768 has it there"):
        check_camera("cam.txt", (1.47, 2.95, 0.667, 0.667), (768, 1536))


@pytest.mark.parametrize(
    "values", [(721.5, 721.5, 609.6, 172.9), (0.01, 0.02, 0.5, 0.5), (0.6, 1.9, 0.5, 1.2)]
)
def test_numbers_that_are_no_camera(values):
    assert not is_camera(values)


# ---- stereo pairs of two moments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0, 1, -1])
def test_pairs_one_frame_apart(rendered, shared, shift):
    """Under equal numbers: what moved between the two moments lies in other rows."""
    drive = next(rendered.glob("*/*_0001_sync"))
    real = shared / "data/kitti_stereo_02/odometry/sequences/02"
    for folders in ((drive / "image_02/data", drive / "image_03/data"), (real / "image_2", real / "image_3")):
        left, right = (sorted(folder.glob("*.png"))[:4] for folder in folders)
        pairs = list(zip(left[max(0, -shift) :], right[max(0, shift) :], strict=False))
        checks.begin(offered=False)
        check_stereo_pairs("x", pairs)
        assert [("lie in another row" in warning) for warning in checks.warnings()] == [True] * (shift != 0)


def test_images_that_have_nothing_in_common_say_nothing(tmp_path):
    files = sorted(write_images(tmp_path, numbered(range(4)), size=(64, 96)).iterdir())
    check_stereo_pairs("x", [(files[0], files[1]), (files[2], files[3])])
    assert checks.warnings() == []
