"""Files of poses, the windows of a pose network, and the reader of KITTI odometry."""

import numpy as np
import pytest
from PIL import Image

from core.datasets.sample import image_key
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.geometry import invert_rigid
from core.odometry.trajectories import (
    Trajectory,
    load_motions,
    motions,
    read_trajectory,
    save_motions,
    write_trajectory,
)
from core.odometry.windows import PoseWindows
from tests.core.kitti_folder import noise
from tests.core.paths import drive, exactly_rigid
from tests.core.samples import open_lines
from tests.scripts import assert_says, refused, succeeds
from tests.tolerances import assert_close

IDENTITY = "1 0 0 0 0 1 0 0 0 0 1 0"


# ---- files ---------------------------------------------------------------------------------------------------


def test_pose_files(tmp_path):
    whole = Trajectory(np.arange(5), drive(5))
    write_trajectory(tmp_path / "whole.txt", whole)
    rows = [line.split() for line in (tmp_path / "whole.txt").read_text().splitlines()]
    assert [len(row) for row in rows] == [12] * 5
    assert_close(np.array(rows, float), whole.T_world_camera[:, :3].reshape(5, 12), (0, 1e-9))
    found = read_trajectory(tmp_path / "whole.txt")
    assert found.frames.tolist() == [0, 1, 2, 3, 4] and not found.numbered
    assert_close(found.T_world_camera, whole.T_world_camera, (0, 1e-9))

    gaps = Trajectory(np.array([3, 4, 9, 10, 11]), drive(5))
    write_trajectory(tmp_path / "gaps.txt", gaps)
    assert (tmp_path / "gaps.txt").read_text().splitlines()[2].startswith("9 ")
    found = read_trajectory(tmp_path / "gaps.txt")
    assert found.frames.tolist() == [3, 4, 9, 10, 11] and found.numbered


def test_published_files(shared, golden):
    recorded = golden("monodepth2/odometry.npz")
    found = read_trajectory(shared / "data" / "kitti_odometry_poses" / "poses" / "09.txt")
    np.testing.assert_array_equal(
        found.T_world_camera[:, :3].reshape(-1, 12), recorded["sequence_09/ground_truth"]
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no poses"),
        ("1 2 3\n", "line 1: 3 words; every row needs 12 numbers, or 13 with the frame first"),
        (f"{IDENTITY}\n\n0 {IDENTITY}\n", "line 3: 13 words, the first row 12"),
        (f"{IDENTITY}\n{IDENTITY[:-1]}x\n", "line 2: could not convert string to float: 'x'"),
        (f"{IDENTITY}\n{IDENTITY[:-1]}nan\n", "line 2: no rigid pose"),
        (f"{IDENTITY}\n{IDENTITY.replace('1', '2')}\n", "line 2: no rigid pose: the left three columns"),
        (f"{IDENTITY.replace('1', '-1')}\n", "line 1: no rigid pose"),
        (f"0 {IDENTITY}\n1.5 {IDENTITY}\n", "line 2: frame 1.5; the first of the 13 columns"),
        (f"4 {IDENTITY}\n4 {IDENTITY}\n", "line 2: frame 4; the first of the 13 columns"),
        (f"-1 {IDENTITY}\n", "line 1: frame -1; "),
        (f"1e300 {IDENTITY}\n", "the first of the 13 columns must be the frame number"),
    ],
)
def test_malformed_pose_files(tmp_path, content, message):
    path = tmp_path / "poses.txt"
    path.write_text(content)
    with pytest.raises(UserError) as error:
        read_trajectory(path)
    assert_says(str(error.value), path, message)


def test_pose_files_that_are_none(tmp_path):
    with pytest.raises(UserError, match=r"absent\.txt: no such file of poses"):
        read_trajectory(tmp_path / "absent.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UserError, match=r"binary\.txt: cannot be read as a file of poses"):
        read_trajectory(tmp_path / "binary.txt")
    with pytest.raises(UserError, match="cannot be read as a file of poses"):
        read_trajectory(tmp_path)


def test_saved_motions(tmp_path):
    T = motions(drive(4)).astype(np.float32)
    save_motions(tmp_path / "poses.npy", T)
    assert load_motions(tmp_path / "poses.npy").dtype == np.float64
    for shaped in (T, T[:, :3], T[:, :3].reshape(3, 12)):
        np.save(tmp_path / "poses.npy", shaped)
        np.testing.assert_array_equal(load_motions(tmp_path / "poses.npy"), T)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4, 4)), r"motion 0 \(counted from 0\): no rigid pose"),
        (np.zeros((3, 5)), r"shape \(3, 5\), expected motions"),
        (np.zeros((0, 4, 4)), r"expected motions \(N, 4, 4\), N from 1 on"),
        (np.array([None]), "holds objects"),
        (np.array(["a"]), "floating-point motions"),
        (np.array(1.5), r"shape \(\), expected"),
        (b"\x93NUMPY", "not a readable .npy"),
        (b"", "not a readable .npy"),
    ],
)
def test_motions_that_are_none(tmp_path, array, message):
    path = tmp_path / "poses.npy"
    path.write_bytes(array) if isinstance(array, bytes) else np.save(path, array)
    with pytest.raises(UserError, match=message) as error:
        load_motions(path)
    assert str(error.value).startswith(str(path))


# ---- windows -------------------------------------------------------------------------------------------------

WINDOWS = [[0, 1], [0, -1], [0, -1, 1], [0, 1, 2], [0, -2, -1, 1, 2], [0, -1, 1, 2], [0, 2, 1, -1]]


@pytest.mark.parametrize("frames", WINDOWS, ids=str)
def test_windows_give_the_motions(frames):
    """A network that is right about every window is right about every motion, at the ends too."""
    T_world_camera = drive(12)
    windows = PoseWindows.plan(frames, 12)
    assert windows.images.shape == (11, len(frames))
    assert windows.images.min() == 0 and windows.images.max() == 11
    np.testing.assert_array_equal(windows.images - windows.centres[:, None], [frames] * 11)
    T_camera_world = invert_rigid(T_world_camera)
    T_sources_target = T_camera_world[windows.images[:, 1:]] @ T_world_camera[windows.centres][:, None]
    assert_close(windows.T_next_current(T_sources_target), motions(T_world_camera), "float64")


def test_windows_are_around_the_frame_where_they_can_be():
    pairs = PoseWindows.plan([0, 1], 4)
    assert pairs.images.tolist() == [[0, 1], [1, 2], [2, 3]]
    T = exactly_rigid(np.full((3, 1, 3), 0.1), np.ones((3, 1, 3))).astype(np.float32)
    np.testing.assert_array_equal(pairs.T_next_current(T), T[:, 0])  # as the network says, to the bit
    three = PoseWindows.plan([0, -1, 1], 5)
    assert three.centres.tolist() == [1, 1, 2, 3]
    assert three.current.tolist() == [1, 0, 0, 0] and three.following.tolist() == [0, 2, 2, 2]


def test_windows_that_cannot_be():
    with pytest.raises(UserError, match="1 images: the pose network sees 2 in a row"):
        PoseWindows.plan([0, 1], 1)
    with pytest.raises(UserError, match="4 images: the pose network sees 5 in a row"):
        PoseWindows.plan([0, -2, 2], 4)
    with pytest.raises(UserError, match="sees frames 0 -2 2 at once, and so never the images 0 and 1"):
        PoseWindows.plan([0, -2, 2], 9)
    with pytest.raises(UserError, match="never the images 0 and 1"):
        PoseWindows.plan([0, 2, 3], 9)


# ---- the data set --------------------------------------------------------------------------------------------


def odometry(root, lines, frames=(0, -1, 1), png=None):
    return open_lines("kitti_odom", root, lines, frames=frames, png=png)


def test_odometry_layout(tmp_path):
    for camera in (2, 3):
        folder = tmp_path / "sequences" / "07" / f"image_{camera}"
        folder.mkdir(parents=True)
        for frame in range(3):
            Image.fromarray(noise(32, 64, 10 * frame + camera)).save(folder / f"{frame:06d}.png")
    dataset = odometry(tmp_path, [SplitLine("7", 1, "l"), SplitLine("07", 1, "r")], (0, -1, 1, "s"))
    dataset.check_files()
    for index, camera in enumerate((2, 3)):
        sample = dataset[0, index]
        for frame, number, other in ((0, 1, camera), (-1, 0, camera), (1, 2, camera), ("s", 1, 5 - camera)):
            np.testing.assert_array_equal(sample[image_key(frame)], noise(32, 64, 10 * number + other))
        assert sample["T_stereo"][0, 3] == pytest.approx(-0.1 if camera == 2 else 0.1)
        assert_close(sample["K"], np.array([[37.12, 0, 32], [0, 61.44, 16], [0, 0, 1]]))
        assert "depth" not in sample
    with pytest.raises(UserError, match=r"07/image_2/000003\.png: no such image"):
        odometry(tmp_path, [SplitLine("7", 2, "l")]).check_files()
    with pytest.raises(
        UserError, match=r"'2011_09_26/drive': KITTI odometry's sequences are numbers, such as 9"
    ):
        odometry(tmp_path, [SplitLine("2011_09_26/drive", 1, "l")])


def test_odometry_of_real_images(shared):
    root = shared / "data" / "kitti_stereo_02" / "odometry"
    dataset = odometry(root, [SplitLine("2", frame, side) for frame in range(1, 9) for side in "lr"])
    dataset.check_files()
    sample = dataset[0, 0]
    assert dataset.extension == ".png" and sample[image_key(0)].std() > 20
    assert (sample[image_key(0)] != sample[image_key(1)]).mean() > 0.5


# ---- the script ----------------------------------------------------------------------------------------------

FRAMEWORKS = ("torch", "paddle")


def test_own_trajectory(tmp_path):
    """A trajectory against itself in another unit: no framework is needed, and nothing is written."""
    truth = drive(40)
    write_trajectory(tmp_path / "poses" / "09.txt", Trajectory(np.arange(40), truth))
    truth[:, :3, 3] *= 3
    write_trajectory(tmp_path / "mine.txt", Trajectory(np.arange(40), truth))
    before = sorted(tmp_path.rglob("*"))
    trajectory = ["--trajectory", tmp_path / "mine.txt", "--data_path", tmp_path]
    printed = succeeds("evaluate_pose.py", *trajectory, without=(*FRAMEWORKS, "matplotlib"))
    assert_says(printed, "sequence mine | 40 frames", "Trajectory error: 0.000, std: 0.000")
    row = next(line for line in printed.splitlines() if line.startswith("scale_7dof"))
    assert [cell.strip() for cell in row.split("|")[1:]] == ["-", "-", "0.000", "0.000", "0.000"]
    assert sorted(tmp_path.rglob("*")) == before


def test_own_motions_with_json_and_picture(tmp_path):
    T = drive(40)
    write_trajectory(tmp_path / "truth.txt", Trajectory(np.arange(40), T))
    save_motions(tmp_path / "poses.npy", motions(T))
    output = tmp_path / "results"
    arguments = ["--ext_poses_to_eval", tmp_path / "poses.npy", "--ground_truth", tmp_path / "truth.txt"]
    succeeds("evaluate_pose.py", *arguments, "--output", output, without=FRAMEWORKS, here=True)
    assert {path.name for path in output.iterdir()} == {"odometry_poses.json", "path_poses.png"}
    with Image.open(output / "path_poses.png") as picture:
        assert picture.size == (800, 800)
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 10


def test_the_script_refuses(tmp_path):
    write_trajectory(tmp_path / "nine.txt", Trajectory(np.arange(9), drive(9)))
    write_trajectory(tmp_path / "ten.txt", Trajectory(np.arange(10), drive(10)))

    def message(*arguments):
        return refused("evaluate_pose.py", *arguments, folder=tmp_path, without=FRAMEWORKS, here=True)

    assert_says(message(), "exactly one of --load_weights_folder, --trajectory and --ext_poses_to_eval")
    assert_says(message("--trajectory", "nine.txt", "--no_eval"), "no_eval: nothing to do without")
    said = message("--trajectory", "nine.txt", "--ground_truth", "ten.txt", "--output", "out")
    assert_says(said, "nine: 9 poses without frame numbers, but the ground truth has 10")
    assert_says(message("--trajectory", "nine.txt"), "kitti_data/poses/09.txt: no such file of poses")
