"""Known motion against exact poses and exact depth, of the rendered street and of real odometry."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from core.datasets import open_dataset
from core.datasets.inspection import inspect
from core.datasets.kitti import image_path
from core.datasets.preparation import View
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.geometry import mirror_motion, nominal_intrinsics, warp
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import parse_method
from core.options.tools import parity_options
from core.parity.request import Request, requested_options
from core.rendering.camera import render
from core.rendering.rig import Rig
from core.rendering.writer import DATE, drive_name, write_drive
from core.training.resume import Run
from tests.core.own_images import write_images
from tests.core.samples import open_lines
from tests.core.streets import FRAMES, PLAN
from tests.core.streets import street as built_street
from tests.tolerances import assert_close

HEIGHT, WIDTH, UNIT = 96, 320, 5.4
DRIVE = drive_name(1)
RIG = Rig(HEIGHT, WIDTH)
LINES = [SplitLine(DRIVE, 1, "l"), SplitLine(DRIVE, 1, "r"), SplitLine(DRIVE, 3, "l")]
TRAINING = {"height": HEIGHT, "width": WIDTH, "scales": [0], "png": True, "seed": 0}


def pose_of(frame: int, camera: int) -> np.ndarray:
    """The exact T_world_camera, from the renderer."""
    return PLAN.T_world_rectified(frame, RIG) @ np.linalg.inv(RIG.T_camera_rectified(camera))


def exact_motion(line: SplitLine, frame: int | str) -> np.ndarray:
    """T_source_target, metres."""
    source = (line.frame, 5 - line.camera) if frame == "s" else (line.frame + frame, line.camera)
    return np.linalg.inv(pose_of(*source)) @ pose_of(line.frame, line.camera)


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> tuple[Path, np.ndarray]:
    """A drive in KITTI's layout with real views around frame 1, and the exact depth of its left view, metres."""
    root, scene = tmp_path_factory.mktemp("street"), built_street()
    write_drive(root, 1, 0, PLAN, RIG)
    for name, text in RIG.files().items():
        (root / DATE / name).write_text(text)
    for frame in range(FRAMES):
        for camera in (2, 3):
            path = image_path(root, DRIVE, frame, camera, ".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            if frame > 2 or (camera == 3 and frame != 1):
                Image.new("RGB", (WIDTH, HEIGHT)).save(path)  # only looked for
                continue
            T = pose_of(frame, camera)
            image, view = render(scene.scene(frame), T, RIG.K, HEIGHT, WIDTH, 2)
            Image.fromarray(image).save(path)
            if (frame, camera) == (1, 2):
                depth = view
    return root, depth


@pytest.fixture
def drive(street, tmp_path) -> Path:
    """The same drive, to be changed: calibration and packets are copies, images links."""
    root = tmp_path / "drive"
    for path in street[0].rglob("*.*"):
        copy = root / path.relative_to(street[0])
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            copy.symlink_to(path)
        elif path.is_file():
            copy.write_bytes(path.read_bytes())
    return root


def read(name: str, root: Path, lines: list[SplitLine], frames=(0, -1, 1), baseline=None, **changes):
    dataset = open_lines(name, root, lines, **({"frames": frames, **TRAINING} | changes))
    dataset.know_poses(UNIT, baseline)
    return dataset


def assert_exact(dataset, lines=LINES, expected=exact_motion, absolute=1e-6) -> None:
    """Every known motion of every line, metres and radians. Calibration files have seven digits: 2e-7."""
    for index, line in enumerate(lines):
        for frame in dataset.frames[1:]:
            T = dataset[0, index]["T_stereo" if frame == "s" else f"T_{frame}"]
            assert T.dtype == np.float32
            T = T.astype(np.float64)
            T[:3, 3] *= UNIT
            assert_close(T, expected(line, frame), (0, absolute), label=f"{line} to {frame}")


# ---- truth ---------------------------------------------------------------------------------------------------


def test_packets_give_the_exact_motion(street):
    assert_exact(read("kitti", street[0], LINES, frames=(0, -1, 1, "s")))
    assert np.linalg.norm(exact_motion(LINES[0], 1)[:3, 3]) > 0.5  # the car does move


def test_poses_of_odometry_give_the_exact_motion(street, tmp_path):
    lines = [SplitLine("7", line.frame, line.side) for line in LINES]
    assert_exact(
        read("kitti_odom", odometry(street[0], tmp_path), lines, frames=(0, -1, 1, "s")), lines, absolute=2e-6
    )


def odometry(street: Path, root: Path) -> Path:
    """The drive as a sequence of KITTI odometry."""
    folder = root / "sequences" / "07"
    folder.mkdir(parents=True)
    for camera in (2, 3):
        (folder / f"image_{camera}").mkdir()
        for frame in range(FRAMES):
            target = image_path(street, DRIVE, frame, camera, ".png")
            (folder / f"image_{camera}" / f"{frame:06d}.png").symlink_to(target)
    rows = {f"P{camera}": RIG.P_rect(camera).ravel() for camera in (0, 1, 2, 3)}
    text = "".join(f"{name}: {' '.join(f'{v:.12e}' for v in row)}\n" for name, row in rows.items())
    (folder / "calib.txt").write_text(text)
    (root / "poses").mkdir()
    (root / "poses" / "07.txt").write_bytes((street / "poses" / "00.txt").read_bytes())
    return root


@pytest.mark.parametrize("mirrored", [False, True])
def test_exact_depth_and_known_motion_rebuild_the_target(street, mirrored):
    """Also the mirrored sample: with the motion of the other kind the error is larger."""
    root, depth = street
    dataset = read("kitti", root, LINES[:1], frames=(0, -1, 1, "s"), augment=True)
    epoch = next(e for e in range(50) if dataset.augmentation((e, 0)).mirrored == mirrored)
    sample = dataset[epoch, 0]
    depth = depth[:, ::-1] if mirrored else depth
    known = depth > 0

    def error(frame, T) -> float:
        """Median |rebuilt − target|, grey levels."""
        source = sample[f"image_{frame}_0"].transpose(2, 0, 1)[None].astype(np.float64)
        metric = np.where(known, depth, 80)[None, None] / UNIT
        rebuilt = warp(source, metric, sample["K"][None].astype(np.float64), T[None].astype(np.float64))[0]
        return float(np.median(np.abs(rebuilt.transpose(1, 2, 0) - sample["image_0_0"])[known]))

    for frame in (-1, 1, "s"):
        T = sample["T_stereo" if frame == "s" else f"T_{frame}"]
        found = error(frame, T)
        assert found < 4, frame
        assert error(frame, mirror_motion(T)) > 1.15 * found, (
            "the test cannot see a motion that is not mirrored"
        )
        assert error(frame, np.linalg.inv(T)) > 1.5 * found, "the test cannot see the wrong direction"


@pytest.mark.parametrize("mirrored", [False, True])
def test_intrinsics_are_calibrated(street, tmp_path, mirrored):
    """The exact K at the size of the images; the nominal one is centred."""
    expected = RIG.K.copy()
    if mirrored:
        expected[0, 2] = WIDTH - 1 - RIG.K[0, 2]
    assert abs(RIG.K[0, 2] - WIDTH / 2) > 1
    for dataset in (
        read("kitti", street[0], LINES),
        read("kitti_odom", odometry(street[0], tmp_path), [SplitLine("7", 1, "l")]),
    ):
        assert_close(dataset.K(dataset.lines[0], View(HEIGHT, WIDTH, mirrored=mirrored)), expected)
    half = read("kitti", street[0], LINES, height=HEIGHT // 2, width=WIDTH // 2)
    assert_close(half.K(LINES[0])[:2, 2], (RIG.K[:2, 2] + 0.5) / 2 - 0.5)


def test_real_odometry(shared):
    """Motion and calibration of real frames rebuild the target with depth from block matching; nominal K does worse."""
    root = shared / "data" / "kitti_stereo_02" / "odometry"
    dataset = read("kitti_odom", root, [SplitLine("2", 4, "l")], height=192, width=640)
    sample = dataset[0, 0]
    rows = np.loadtxt(root / "poses" / "02.txt").reshape(-1, 3, 4)
    moved = np.linalg.norm(rows[5, :, 3] - rows[4, :, 3])
    assert np.linalg.norm(sample["T_1"][:3, 3]) * UNIT == pytest.approx(moved, rel=1e-3)
    assert sample["T_-1"][2, 3] > 0 > sample["T_1"][2, 3]  # forward: what lies ahead was farther before

    views = [
        cv2.imread(str(root / "sequences/02" / f"image_{camera}" / "000004.png"), 0) for camera in (2, 3)
    ]
    matcher = cv2.StereoSGBM.create(0, 128, 5, 200, 800, 1, 0, 10, 100, 2)
    disparity = matcher.compute(*views) / 16
    depth = np.where(disparity > 1, 718.856 * 0.5333 / np.maximum(disparity, 1), 0)
    depth = cv2.resize(depth, (640, 192), interpolation=cv2.INTER_NEAREST)
    near = (depth > 0) & (depth < 40)
    near[150:] = near[:, :90] = near[:, -90:] = False  # seen by the source, too

    def error(K: np.ndarray, T: np.ndarray) -> float:
        source = sample["image_1_0"].transpose(2, 0, 1)[None].astype(np.float64)
        rebuilt = warp(
            source, np.where(near, depth, 80)[None, None] / UNIT, K[None].astype(np.float64), T[None]
        )
        return float(np.abs(rebuilt[0].transpose(1, 2, 0) - sample["image_0_0"])[near].mean())

    T = sample["T_1"].astype(np.float64)
    found = error(sample["K"], T)
    assert found < 0.5 * error(sample["K"], np.eye(4))
    assert found < 0.95 * error(nominal_intrinsics(192, 640), T)
    assert found < 0.8 * error(sample["K"], mirror_motion(T))


# ---- a user's own folder -------------------------------------------------------------------------------------


def write_poses(path: Path, frames: list[int], numbered: bool = False) -> None:
    """T_world_camera of the left camera."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [" ".join(f"{v:.12e}" for v in pose_of(frame, 2)[:3].ravel()) for frame in frames]
    heads = [f"{frame} " if numbered else "" for frame in frames]
    path.write_text("".join(head + row + "\n" for head, row in zip(heads, rows, strict=True)))


@pytest.fixture
def own(tmp_path) -> Path:
    """Folders `one` (one camera) and `pair` (stereo) with poses of their frames 0 to 4; the names count from 8."""
    write_images(tmp_path / "one", [f"view{8 + frame}.png" for frame in range(FRAMES)])
    for side in ("left", "right"):
        write_images(tmp_path / "pair" / side, [f"{frame}.png" for frame in range(FRAMES)])
    write_poses(tmp_path / "one" / "poses.txt", list(range(FRAMES)))
    write_poses(tmp_path / "pair" / "poses.txt", list(range(FRAMES)))
    return tmp_path


def test_own_poses_give_the_exact_motion(own):
    lines = [
        SplitLine("one", 8 + frame) for frame in (1, 3)
    ]  # rows follow the order of the images: view9, view10

    def expected(line, frame):
        return exact_motion(SplitLine("one", line.frame - 8, "l"), frame)

    assert_exact(read("folder", own, lines), lines, expected)
    # Numbered rows are found by the number of the frame; not every image needs one.
    write_poses(own / "pair" / "poses.txt", [0, 1, 2], numbered=True)
    line = SplitLine("pair", 1, "l")
    assert_exact(read("folder", own, [line]), [line])
    with pytest.raises(
        UserError, match=r"poses\.txt: 3 poses, but none of frame 3; line 1 of the split \(pair 2 l\)"
    ):
        read("folder", own, [SplitLine("pair", 2, "l")])


def test_numbered_rows_of_frames_that_are_counted(tmp_path):
    """Every fifth image: 0, 5, 10, … are frames 0, 1, 2, …; lines and rows have the number in the name."""
    write_images(tmp_path / "fifth", [f"{5 * frame:04d}.png" for frame in range(FRAMES)])
    poses, line = tmp_path / "fifth" / "poses.txt", SplitLine("fifth", 5)
    rows = [" ".join(f"{v:.12e}" for v in pose_of(frame, 2)[:3].ravel()) for frame in range(FRAMES)]
    poses.write_text("".join(f"{5 * frame} {rows[frame]}\n" for frame in (0, 1, 2)))

    def expected(line, frame):
        return exact_motion(SplitLine("", line.frame // 5, "l"), frame)

    assert_exact(read("folder", tmp_path, [line]), [line], expected)
    with pytest.raises(UserError, match=r"3 poses, but none of frame 15; line 1 of the split"):
        read("folder", tmp_path, [SplitLine("fifth", 10)])
    write_poses(poses, list(range(FRAMES)))  # a row of 12 numbers per image
    assert_exact(read("folder", tmp_path, [line]), [line], expected)
    between = [frame // 5 for frame in range(5 * FRAMES)]  # of the whole video: row n is number n
    write_poses(poses, between)
    assert_exact(read("folder", tmp_path, [line]), [line], expected)
    write_poses(poses, between[: 4 * FRAMES])
    with pytest.raises(UserError, match=r"poses\.txt: 20 poses for 5 images"):
        read("folder", tmp_path, [line])
    poses.write_text("".join(f"{frame} {rows[frame]}\n" for frame in range(FRAMES)))
    with pytest.raises(UserError, match=r"poses\.txt: no image has the number 1 in its name; rows of 13"):
        read("folder", tmp_path, [line])
    # Two parts in one folder, each counted from 0.
    write_images(tmp_path / "parts", [f"{part}_{n}.png" for part in "ab" for n in range(3)])
    write_poses(tmp_path / "parts" / "poses.txt", list(range(FRAMES)), numbered=True)
    with pytest.raises(UserError, match=r"poses\.txt: its rows begin with a number, but the names of the"):
        read("folder", tmp_path, [SplitLine("parts", 1)])


def test_own_stereo_pair(own):
    """The right camera lies a baseline to the right of the left one, whose poses these are."""
    lines = [SplitLine("pair", 2, side) for side in "lr"]

    def expected(line, frame):
        T_left_right = np.eye(4)
        T_left_right[0, 3] = 0.54
        pose = {2: np.eye(4), 3: T_left_right}
        source = (line.frame, 5 - line.camera) if frame == "s" else (line.frame + frame, line.camera)
        T_world_source = pose_of(source[0], 2) @ pose[source[1]]
        return np.linalg.inv(T_world_source) @ pose_of(line.frame, 2) @ pose[line.camera]

    dataset = read("folder", own, lines, frames=(0, -1, 1, "s"), baseline=0.54)
    assert_exact(dataset, lines, expected)
    assert dataset[0, 0]["T_stereo"][0, 3] == pytest.approx(-0.1)  # as without known poses
    assert dataset[0, 1]["T_stereo"][0, 3] == pytest.approx(0.1)
    for frames, side in (((0, 1, "s"), "l"), ((0, 1), "r")):
        with pytest.raises(
            UserError, match=r"poses of the left camera; for the right one, give --baseline METRES"
        ):
            read("folder", own, [SplitLine("pair", 2, side)], frames=frames)
    # Only a sequence whose own lines name the right camera needs the baseline.
    (own / "pair" / "intrinsics.yaml").write_text(
        "{fx: 60, fy: 60, cx: 48, cy: 24, width: 96, height: 48, baseline: 0.54}"
    )
    lines = [SplitLine("one", 9), SplitLine("pair", 2, "r")]
    assert len(read("folder", own, lines)) == 2


# ---- mistakes ------------------------------------------------------------------------------------------------


def damage(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
    else:
        path.write_text(text)


def packet(pose: str, numbers: int = 30) -> str:
    return " ".join([*pose.split(), *["0"] * (numbers - 6)])


P_OF_NOTHING, R_OF_NOTHING = " ".join(["0"] * 12), " ".join(["0"] * 9)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "oxts/data/0000000004.txt",
            None,
            r"0000000004\.txt: no such packet.*line 3 of the split .* 3 l\) needs it",
        ),
        ("oxts/data/0000000002.txt", "49 8 112 0 0", r"0000000002\.txt: not an oxts packet"),
        *[
            ("oxts/data/0000000002.txt", text, r"0000000002\.txt: not an oxts packet: 30 numbers")
            for text in (
                packet("49 8 112 0 nan 0"),
                packet("49 8 112 0 0 0", 29),
                packet("49 8 112 0 0 0", 31),
                packet("86 8 112 0 0 0"),
                packet("49 181 112 0 0 0"),
                packet("49 8 112 6.3 0 0"),
                packet("49 8 112 0 -6.3 0"),
                packet("49 8 112 0 0 90"),
            )
        ],
        (
            "oxts/data/0000000000.txt",
            packet("0 0 0 0 0 0"),
            r"0000000000\.txt: .* no fix; leave this drive out",
        ),
        (
            "oxts/data/0000000002.txt",
            packet("50 8 112 0 0 0"),
            r"drive_0001_sync: between frames [13] and 2 the camera moves 1\.\d+e\+05 m, more than 50; .*metres",
        ),
        (
            "oxts/data/0000000002.txt",
            "49 8 112 0 north 0",
            r"0000000002\.txt: cannot be read as an oxts packet",
        ),
        ("../calib_imu_to_velo.txt", None, r"calib_imu_to_velo\.txt: no such calibration"),
        (
            "../calib_imu_to_velo.txt",
            "R: 1 0 0\n",
            r"calib_imu_to_velo\.txt: malformed calibration: R must be 9",
        ),
    ],
)
def test_damaged_drives(drive, file, text, message):
    damage(drive / DRIVE / file, text)
    with pytest.raises(UserError, match=message):
        read("kitti", drive, LINES)


@pytest.mark.parametrize(
    "matrix", [R_OF_NOTHING, "2 0 0 0 2 0 0 0 2", "-1 0 0 0 1 0 0 0 1", "1 1 0 0 1 0 0 0 1"]
)
@pytest.mark.parametrize(
    ("file", "key"), [("cam_to_cam", "R_rect_00"), ("velo_to_cam", "R"), ("imu_to_velo", "R")]
)
def test_calibrations_that_do_not_turn(drive, file, key, matrix):
    path = drive / DATE / f"calib_{file}.txt"
    path.write_text(re.sub(rf"^{key}:.*", f"{key}: {matrix}", path.read_text(), flags=re.MULTILINE))
    with pytest.raises(
        UserError, match=rf"calib_{file}\.txt: malformed calibration: {key} must be a rotation"
    ):
        read("kitti", drive, LINES)


@pytest.mark.parametrize(
    "matrix",
    [
        P_OF_NOTHING,
        "-185 0 158 0 0 185 47 0 0 0 1 0",
        "185 0 158 0 0 0 47 0 0 0 1 0",
        "185 9 158 0 0 185 47 0 0 0 1 0",
        "185 0 158 0 0 185 47 0 0 0 2 0",
    ],
)
def test_projections_without_a_camera(drive, street, tmp_path, matrix):
    for name, root, line, path, key in (
        ("kitti", drive, LINES[0], drive / DATE / "calib_cam_to_cam.txt", "P_rect_03"),
        (
            "kitti_odom",
            odometry(street[0], tmp_path / "odometry"),
            SplitLine("7", 1, "l"),
            tmp_path / "odometry" / "sequences" / "07" / "calib.txt",
            "P3",
        ),
    ):
        path.write_text(re.sub(rf"^{key}:.*", f"{key}: {matrix}", path.read_text(), flags=re.MULTILINE))
        with pytest.raises(UserError, match=rf"{path.name}: malformed calibration: {key} must begin with K"):
            read(name, root, [line])


def test_what_macos_leaves_beside_packets(drive):
    (drive / DRIVE / "oxts" / "data" / "._0000000000.txt").write_bytes(b"\x00\x05\x16\x07\xff")
    assert_exact(read("kitti", drive, LINES))


def test_all_missing_poses_are_counted(drive):
    for frame in (0, 4):
        (drive / DRIVE / "oxts" / "data" / f"{frame:010d}.txt").unlink()
    with pytest.raises(
        UserError,
        match=r"0000000000\.txt: no such packet of the inertial unit; line 1 of the split .* needs it "
        r"\(2 frames lack a pose\); take the lines that need them out of the list",
    ):
        read("kitti", drive, LINES)


def test_reading_many_poses_shows_progress(own, monkeypatch):
    bars = []
    monkeypatch.setattr("tqdm.tqdm", lambda values, **how: bars.append((len(values), how)) or values)
    read("folder", own, [SplitLine("pair", 1), SplitLine("pair", 2), SplitLine("one", 9)])
    assert bars == [(4 + 3, {"desc": "poses", "unit": "pose", "disable": None})]


def test_size_of_the_motion(own):
    """Said once for the data set; in another unit, or without motion, an error."""
    lines = [SplitLine("pair", frame, "l") for frame in (1, 2, 3)]
    metres = [np.linalg.norm(exact_motion(line, frame)[:3, 3]) for line in lines for frame in (-1, 1)]
    notes = [note for note in read("folder", own, lines).notes if "known motion" in note]
    assert len(notes) == 1 and notes[0].startswith(
        f"known motion from targets to sources: median {np.median(metres):.3g} m, largest {max(metres):.3g} m (pair, "
    )
    path = own / "pair" / "poses.txt"
    rows = np.loadtxt(path).reshape(-1, 3, 4)
    np.savetxt(path, (rows * [1, 1, 1, 1000]).reshape(-1, 12))
    with pytest.raises(
        UserError,
        match=r"poses of pair: between frames \d and \d the camera moves .* m, more than 50; .*metres",
    ):
        read("folder", own, lines)
    np.savetxt(path, (rows * [1, 1, 1, 0]).reshape(-1, 12))
    with pytest.raises(
        UserError, match=r"poses of pair: between frames 1 and 0, and all others, .* not move"
    ):
        read("folder", own, lines)
    notes = read("folder", own, [*lines, SplitLine("one", 9)]).notes
    assert "sequences that stand still by their poses: 1, such as pair" in notes
    rows[2, 1, 3] = np.nan
    np.savetxt(path, rows.reshape(-1, 12))
    with pytest.raises(UserError, match=r"pair/poses\.txt: line 3: no rigid pose: a value is not a number"):
        read("folder", own, lines)


def test_a_drive_without_packets(drive):
    for path in (drive / DRIVE / "oxts" / "data").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"oxts/data: no packets of the inertial unit.*unpack oxts"):
        read("kitti", drive, LINES)


def test_odometry_of_resized_images(street, tmp_path):
    """The calibration holds for the original size only, also where the ratio of the sides stays."""
    root, line = odometry(street[0], tmp_path), SplitLine("7", 1, "l")
    image = root / "sequences" / "07" / "image_2" / "000001.png"
    for height, width in ((192, 640), (48, 160), (78, 264)):
        image.unlink()
        Image.new("RGB", (width, height)).save(image)
        with pytest.raises(
            UserError,
            match=rf"07/calib\.txt: its principal point is at .* {width}x{height}: .*take KITTI's original images",
        ):
            read("kitti_odom", root, [line])
    (root / "sequences" / "07" / "calib.txt").unlink()
    with pytest.raises(
        UserError, match=r"07/calib\.txt: no such calibration; unpack KITTI's data_odometry_calib\.zip there"
    ):
        read("kitti_odom", root, [line])


def test_odometry_whose_first_image_is_damaged(street, tmp_path):
    root = odometry(street[0], tmp_path)
    image = root / "sequences" / "07" / "image_2" / "000001.png"
    image.unlink()
    image.write_bytes(b"no image")
    lines = [SplitLine("7", frame, "l") for frame in (1, 2)]
    dataset = read("kitti_odom", root, lines, bad_images="skip")
    assert_close(dataset.K(lines[0]), RIG.K)
    with pytest.raises(UserError, match=r"000001\.png: damaged"):
        read("kitti_odom", root, lines[:1], bad_images="skip")


def test_files_of_poses_that_do_not_fit(street, own, tmp_path):
    root = odometry(street[0], tmp_path / "odometry")
    rows = (root / "poses" / "07.txt").read_text().splitlines()
    (root / "poses" / "07.txt").write_text("\n".join(rows[:3]))
    with pytest.raises(
        UserError, match=r"poses/07\.txt: 3 poses, but none of frame 3; line 2 of the split \(7 2 l\)"
    ):
        read("kitti_odom", root, [SplitLine("7", 1, "l"), SplitLine("7", 2, "l")])
    (root / "poses" / "07.txt").unlink()
    with pytest.raises(UserError, match=r"poses/07\.txt: no such file of poses"):
        read("kitti_odom", root, [SplitLine("7", 1, "l")])

    write_poses(own / "one" / "poses.txt", [0, 1, 2, 3])
    with pytest.raises(
        UserError, match=r"one/poses\.txt: 4 poses for 5 images; needed is a row of 12 numbers"
    ):
        read("folder", own, [SplitLine("one", 9)])
    (own / "one" / "poses.txt").unlink()
    with pytest.raises(UserError, match=r"one/poses\.txt: no such file, which measured motion needs: a row"):
        read("folder", own, [SplitLine("one", 9)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_ids": [0], "use_stereo": True}, "option known_poses: there is no motion to know"),
        ({"pose_model_type": "posecnn"}, "option pose_model_type: with known_poses there is no pose network"),
        ({"pose_model_input": "all"}, "option pose_model_input: with known_poses there is no pose network"),
    ],
)
def test_options_that_contradict(changes, message):
    with pytest.raises(UserError, match=message):
        Monodepth2Options(known_poses=True, **changes).validate()


# ---- the unit, and where it is remembered --------------------------------------------------------------------


def test_metres_per_unit():
    def unit(**changes) -> float | None:
        return Monodepth2Options(known_poses=True, **changes).stereo_scale_factor

    assert unit() == unit(dataset="kitti_odom") == unit(dataset="folder") == 5.4
    assert unit(dataset="folder", baseline=0.2) == unit(baseline=0.2) == 2
    assert unit(dataset="folder", use_stereo=True) is None  # stereo of an unknown baseline has another unit
    assert unit(dataset="folder", use_stereo=True, baseline=0.12) == pytest.approx(1.2)


def test_samples_as_the_options_ask(own, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    for part in ("train", "val"):
        (lists / f"{part}_files.txt").write_text("pair 1 l\npair 2 l\n")

    def opened(**changes):
        options = Monodepth2Options(
            data_path=str(own), split=str(lists), dataset="folder", batch_size=2, known_poses=True, **changes
        )
        options.validate()
        return open_dataset(options, "val"), options

    dataset, _ = opened()
    assert dataset.metres_per_unit == 5.4 and {"T_-1", "T_1"} <= dataset[0, 0].keys()
    assert np.linalg.norm(dataset[0, 0]["T_1"][:3, 3]) * 5.4 == pytest.approx(
        np.linalg.norm(exact_motion(LINES[0], 1)[:3, 3]), rel=1e-6
    )
    lines, _ = inspect(dataset, 0, None)
    metres = np.linalg.norm([exact_motion(SplitLine("", frame, "l"), 1)[:3, 3] for frame in (1, 2)], axis=1)
    expected = f"known motion to frame 1: median {np.median(metres):.3g} m ({metres.min():.3g} to {metres.max():.3g})"
    assert any(line.startswith(expected) for line in lines), lines
    with pytest.raises(UserError, match="option known_poses: with use_stereo the distance of the cameras"):
        opened(use_stereo=True)
    dataset, options = opened(use_stereo=True, baseline=0.2)
    assert dataset.metres_per_unit == options.stereo_scale_factor == 2
    assert dataset[0, 0]["T_stereo"][0, 3] == pytest.approx(-0.1)


def test_dry_run_says_what_is_calibrated(street):
    """The calibrated baseline is said, not the one of the options."""
    dataset = read("kitti", street[0], LINES[:2], frames=(0, -1, 1, "s"))
    lines, _ = inspect(dataset, 0, 0.61)
    assert "  ".join(lines).count("stereo baseline: 0.54 m") == 1
    assert any(line.startswith("intrinsics") and "(the calibration)" in line for line in lines), lines


def test_resuming_needs_the_same_choice():
    def run(**changes) -> Run:
        return Run.begin(Monodepth2Options(**changes), [], [], 1, "cpu")

    before = run()
    del before.options["known_poses"]  # the record of an older version
    before.check_unchanged(run(), {"known_poses": False})
    with pytest.raises(UserError, match=r"known_poses True \(was False\)"):
        before.check_unchanged(run(known_poses=True), {"known_poses": False})


def test_parity_of_such_models():
    options = requested_options(parse_method(["--known_poses"], options_of=parity_options))
    batch = Request.make(options, steps=1).batch
    for frame in options.frame_ids[1:]:
        T = batch[f"T_{frame}"]
        assert T.shape == (2, 4, 4) and T.dtype == np.float32
        assert_close(T[:, :3, :3] @ T[:, :3, :3].transpose(0, 2, 1), np.stack([np.eye(3)] * 2))
        assert np.abs(T[:, :3, 3]).max() > 0.1
