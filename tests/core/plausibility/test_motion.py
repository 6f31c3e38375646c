"""Known and estimated motion of another direction, other axes, another unit, or of no path at all; and right ones."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from core.datasets.inspection import inspect
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.geometry import invert_rigid
from core.odometry.metrics import trajectory_errors
from core.odometry.readings import _chained, check_readings
from core.odometry.report import evaluate_odometry
from core.odometry.trajectories import Trajectory, chain, motions, read_trajectory, write_trajectory
from core.plausibility import checks
from core.plausibility.motion import (
    FORWARD_LEFT_UP,
    FORWARD_RIGHT_DOWN,
    axes_of,
    check_depth_of_flow,
    check_flow,
    described,
    permutations,
)
from tests.core.paths import drive as path_of
from tests.core.paths import exactly_rigid
from tests.core.samples import open_lines
from tests.scripts import refused, run_here, succeeds

OPENGL = np.diag([1.0, -1, -1])


def four(A: np.ndarray) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = A
    return T


def trajectory(T: np.ndarray, frames: np.ndarray | None = None) -> Trajectory:
    return Trajectory(np.arange(len(T)) if frames is None else frames, T, numbered=frames is not None)


def forward(z: np.ndarray) -> np.ndarray:
    T = np.tile(np.eye(4), (len(z), 1, 1))
    T[:, 2, 3] = z
    return T


def scaled(T: np.ndarray, factor: float) -> np.ndarray:
    T = T.copy()
    T[:, :3, 3] *= factor
    return T


def compare(folder: Path, estimate: np.ndarray, truth: np.ndarray, draws: bool = False):
    """What evaluate_pose.py prints and says, and the JSON that it writes."""
    write_trajectory(folder / "mine.txt", trajectory(estimate))
    write_trajectory(folder / "truth.txt", trajectory(truth))
    words = ["--trajectory", folder / "mine.txt", "--ground_truth", folder / "truth.txt"]
    done = run_here("evaluate_pose.py", *words, *(["--output", folder] if draws else []))
    assert done.returncode == 0, done.stderr
    if not draws:  # which takes seconds
        report = evaluate_odometry("mine", *(read_trajectory(words[n]) for n in (1, 3)))
        report.save(folder / "odometry_mine.json")

    def constant(name: str):
        raise AssertionError(f"{name} is no JSON")

    content = json.loads((folder / "odometry_mine.json").read_text(), parse_constant=constant)
    return done.stdout, done.stderr, content


# ---- scales --------------------------------------------------------------------------------------------------


def test_a_truth_that_stands_still_has_no_scale(tmp_path):
    """W4a; also far from the origin, where rounding is left of the difference."""
    away = exactly_rigid(np.array([0.1, 2, 0.3]), np.array([4e3, 5, 1e3]))
    for truth in (forward(np.zeros(60)), np.tile(away, (60, 1, 1))):
        printed, said, content = compare(tmp_path, forward(np.arange(60.0)), truth)
        assert "-: the true camera does not move, so that no scale is the best" in printed and said == ""
        assert "Trajectory error" not in printed and content["snippet_ate"] is None
        for alignment in ("scale", "7dof", "scale_7dof"):
            assert set(content["alignments"][alignment].values()) == {None}
        assert content["alignments"]["none"]["ate"] == pytest.approx(math.sqrt((np.arange(60) ** 2).mean()))
        assert content["scale"]["global"] is None and content["scale"]["global_7dof"] is None


def test_a_path_that_runs_the_other_way_has_no_scale(tmp_path):
    """W4b."""
    printed, said, content = compare(tmp_path, forward(-0.2 * np.arange(300)), forward(np.arange(300.0)))
    assert "-: no scale above 0 fits (the best is -5): the path runs the other way" in printed
    assert "global scale: - (scale)" in printed and "Trajectory error" not in printed
    assert "inverted poses (T_camera_world, world to camera)" in said and said.count("\n") == 1
    assert set(content["alignments"]["scale"].values()) == {None}
    assert content["scales"]["none"] == 1 and content["scales"]["scale"] is None and content["warnings"]
    row = next(line for line in printed.splitlines() if line.strip().startswith("scale |"))
    assert [cell.strip() for cell in row.split("|")[1:]] == ["-"] * 5


def test_an_estimate_that_stands_still_has_no_scale(tmp_path):
    """W4c: the numbers of `none` are not repeated."""
    printed, said, content = compare(tmp_path, forward(np.zeros(200)), forward(np.arange(200.0)))
    assert "-: the camera does not move, so that no scale is the best" in printed and said == ""
    assert content["alignments"]["scale"]["ate"] is None and content["alignments"]["7dof"]["ate"] is None
    assert content["alignments"]["none"]["t_err"] == pytest.approx(101, abs=1)


def test_every_alignment_keeps_its_scale(tmp_path):
    """W4d, without a word."""
    truth = path_of(150)
    printed, said, content = compare(tmp_path, scaled(truth, 0.2), truth)
    assert said == "" and "global scale: 5.000 (scale), 5.000 (7dof)" in printed
    assert content["scales"] == pytest.approx(
        {"none": 1, "scale": 5, "6dof": 1, "7dof": 5, "scale_7dof": 5}, rel=1e-6
    )


# ---- the unit of a truth -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "like"),
    [(1000, "1 m a frame if they are in millimetres"), (100, "1 m a frame if they are in c")],
)
def test_a_truth_that_is_not_in_metres(tmp_path, factor, like):
    """W4e."""
    write_trajectory(tmp_path / "mine.txt", trajectory(path_of(60)))
    write_trajectory(tmp_path / "truth.txt", trajectory(scaled(path_of(60), factor)))
    words = ["evaluate_pose.py", "--trajectory", "mine.txt", "--ground_truth", "truth.txt"]
    message = refused(*words, folder=tmp_path, here=True)
    assert message.startswith("mine: the true camera moves ") and like in message
    assert message.endswith("--accept motion_unit")
    words = [word if "." not in word or "py" in word else tmp_path / word for word in words]
    assert run_here(*words, "--accept", "motion_unit").returncode == 0


def test_sparse_truth_in_metres_passes():
    """Every hundredth frame: 100 m a row, but 1 m a frame."""
    T = path_of(1501)[::100]
    evaluate_odometry("sparse", trajectory(T, 100 * np.arange(16)), trajectory(T, 100 * np.arange(16)))
    assert checks.warnings() == []


def test_a_path_without_a_segment_says_its_length(tmp_path):
    """M6, G14: where drift is "-"; and what it would be in kilometres."""
    printed, said, content = compare(tmp_path, path_of(60), path_of(60))
    assert "-: the path of 59.3 m has no segment of 100 m" in printed and said == ""
    assert content["path_length"] == pytest.approx(59.3, abs=0.1) and "km" not in printed
    printed, _, _ = compare(tmp_path, path_of(60), scaled(path_of(60), 1e-3))
    assert "were the true positions kilometres, it would be 0.0593 km" in printed


# ---- pairs and parts -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nine(shared: Path) -> tuple[np.ndarray, np.ndarray]:
    """The true path of sequence 9, and an estimate at a fifth of it, with noise in every motion."""
    truth = read_trajectory(shared / "data" / "kitti_odometry_poses" / "poses" / "09.txt").T_world_camera
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (1590, 2, 3)) * np.array([0.0008, 0.01])[:, None]
    found = _chained(np.linalg.inv(truth[:-1]) @ truth[1:] @ exactly_rigid(noise[:, 0], noise[:, 1]))
    return truth, scaled(found, 0.2)


def test_motions_over_a_hole_are_no_steps(nine):
    """G5: rows 1 and 2, 4 and 5, … are neighbours; segments start at every tenth frame."""
    truth, found = nine
    kept = np.flatnonzero(np.arange(1591) % 3 != 0)
    report = evaluate_odometry("09", trajectory(found[kept], kept), trajectory(truth[kept], kept))
    assert report.errors["none"].rpe_translation == pytest.approx(0.858, abs=5e-4)
    assert report.errors["none"].t_err == pytest.approx(60.659, abs=5e-4)
    assert "1060 frames, 1 to 1589 of 1060, with gaps | path 1704" in report.printed()
    whole = evaluate_odometry("09", trajectory(found, np.arange(1591)), trajectory(truth))
    assert checks.warnings() == []
    assert whole.errors["none"].rpe_translation == pytest.approx(0.858, abs=5e-4)
    # Gaps of the estimate alone.
    part = evaluate_odometry("09", trajectory(found[kept], kept), trajectory(truth))
    assert part.errors["none"].rpe_translation == pytest.approx(0.858, abs=5e-4)


def test_no_neighbours_no_steps(nine):
    truth, found = (T[::10] for T in nine)
    frames = np.arange(0, 1591, 10)
    report = evaluate_odometry("09", trajectory(found, frames), trajectory(truth, frames))
    assert math.isnan(report.errors["none"].rpe_translation) and math.isnan(
        report.errors["7dof"].rpe_rotation
    )
    assert "-: no two compared frames are neighbours (the nearest are 10 apart)" in report.printed()
    assert report.to_json()["alignments"]["none"]["rpe_rotation"] is None
    assert report.errors["7dof"].t_err == pytest.approx(0.85, abs=0.1)


@pytest.mark.parametrize(
    ("part", "head"),
    [
        (slice(0, 200), "200 frames, 0 to 199 of 1591 | path 190.3 of 1705.1 m"),
        (slice(9, None), "1582 frames, 9 to 1590 of 1591 | path 1702.2 of 1705.1 m"),
        (slice(None), "1591 frames, 0 to 1590 of 1591 | path 1705.1 m"),
    ],
)
def test_the_compared_frames_are_said(nine, part, head):
    """G14."""
    truth, found = nine
    report = evaluate_odometry("09", trajectory(found[part], np.arange(1591)[part]), trajectory(truth))
    assert head in report.printed() and checks.warnings() == []
    frames = np.arange(1591)[part]
    expected = {"first": frames[0], "last": frames[-1], "of": 1591, "gaps": False}
    assert report.to_json()["compared"] == expected


# ---- rotations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", [4, 6, 12])
def test_angles_of_few_digits(nine, digits):
    """W8: by the arc cosine four digits give 0.2 degrees."""
    truth = nine[0]
    rng = np.random.default_rng(1)
    turned = truth @ exactly_rigid(rng.normal(0, np.radians(0.01), (1591, 3)), np.zeros((1591, 3)))
    exact = trajectory_errors(trajectory(turned), trajectory(truth)).rpe_rotation
    rounded = trajectory_errors(trajectory(turned.round(digits)), trajectory(truth.round(digits)))
    assert rounded.rpe_rotation == pytest.approx(exact, rel=0.05)
    assert exact == pytest.approx(
        np.degrees(np.radians(0.01) * math.sqrt(2) * 2 * math.sqrt(2 / math.pi)), rel=0.05
    )


# ---- axes and direction of an estimate -----------------------------------------------------------------------


def reflected(T: np.ndarray) -> np.ndarray:
    S = np.diag([-1.0, 1, 1, 1])
    return S @ T @ S


READINGS = [
    (lambda T: invert_rigid(T), "inverted poses (T_camera_world"),
    (lambda T: T @ four(OPENGL), "a camera whose axes are x right, y up, z backward"),
    (lambda T: four(FORWARD_LEFT_UP) @ T @ four(FORWARD_LEFT_UP).T, "axes are x forward, y left, z up"),
    (lambda T: T @ four(FORWARD_RIGHT_DOWN).T, "axes are x forward, y right, z down"),
    (lambda T: invert_rigid(T @ four(OPENGL)), "inverted poses"),
    (lambda T: reflected(T), "axes are x left, y down, z forward (left-handed)"),
    (lambda T: np.concatenate([np.eye(4)[None], motions(T)]), "motions, not poses (T_next_current)"),
    (
        lambda T: np.concatenate([np.eye(4)[None], invert_rigid(motions(T))]),
        "motions, not poses (T_current_next)",
    ),
    (lambda T: T[::-1], "a path in the reverse order of time"),
]


def winding(frames: int = 300) -> np.ndarray:
    """A drive around some corners, and over a hill."""
    n = np.arange(frames - 1)
    turns = np.stack([0.004 * np.sin(n / 25), 0.02 * np.sin(n / 40), 0 * n], axis=1)
    moves = np.tile([0.0, 0.01, -0.8], (frames - 1, 1))
    return exactly_rigid(np.array([0.2, 0.4, -0.3]), np.array([40.0, 5, 60])) @ chain(
        exactly_rigid(turns, moves)
    )


@pytest.mark.parametrize(("spoil", "like"), READINGS, ids=[like[:40] for _, like in READINGS])
def test_paths_that_are_something_else(spoil, like):
    """G7: their positions may fit, so that ATE alone says nothing."""
    truth = winding()
    evaluate_odometry("path", trajectory(scaled(spoil(truth), 0.3)), trajectory(truth))
    (said,) = checks.warnings()
    assert like in said and said.startswith("path: ") and "needed is T_world_camera" in said


@pytest.mark.parametrize("world", [np.eye(4), four(FORWARD_LEFT_UP), four(OPENGL)])
def test_right_paths_pass_in_any_world(world):
    """Also with noise, and drift that makes them worse than 20 %."""
    truth, rng = winding(), np.random.default_rng(0)
    for turn, move, stretch in ((0, 0, 1.0), (1e-3, 0.02, 1.0), (4e-3, 0.1, 1.003)):
        noise = exactly_rigid(rng.normal(0, 1, (299, 3)) * turn, rng.normal(0, 1, (299, 3)) * move)
        found = invert_rigid(motions(truth)) @ noise
        found[:, :3, 3] *= stretch ** np.arange(299)[:, None]
        evaluate_odometry("path", trajectory(scaled(world @ _chained(found), 0.3)), trajectory(truth))
    assert checks.warnings() == []


@pytest.mark.parametrize(("offset", "said"), [(1, "a frame earlier"), (-1, "a frame later")])
def test_frames_counted_from_another_number(offset, said):
    """Every row is compared with its neighbour's truth: the numbers of a table look well all the same."""
    truth, rng = winding(), np.random.default_rng(0)
    noise = exactly_rigid(rng.normal(0, 5e-5, (299, 3)), rng.normal(0, 0.01, (299, 3)))
    path = _chained(invert_rigid(motions(truth)) @ noise)
    frames = np.arange(5, 295)
    for moved, count in ((0, 0), (offset, 1)):
        checks.begin(offered=False)
        evaluate_odometry("path", Trajectory(frames + moved, path[frames]), trajectory(truth))
        assert len(checks.warnings()) == count
    assert said in checks.warnings()[0] and "its frame numbers look one too" in checks.warnings()[0]


def test_the_way_is_said_of_both():
    truth = winding()
    report = evaluate_odometry("path", trajectory(invert_rigid(truth) @ four(OPENGL)), trajectory(truth))
    assert "way in a frame: true forward 0.80 right 0.00 down -0.01 m, path " in report.printed()
    assert report.to_json()["true_way"]["forward"] == pytest.approx(0.8, abs=1e-3)


def test_networks_are_not_blamed_on_a_straight_road():
    truth, back = forward(np.arange(40.0)), forward(-0.1 * np.arange(40))
    check_readings("path", trajectory(back), truth, motions(back), predicted=True)
    assert checks.warnings() == []
    check_readings("path", trajectory(back), truth, None, predicted=False)
    assert "inverted poses" in checks.warnings()[0]


def test_axes_in_words():
    assert axes_of(OPENGL) == "x right, y up, z backward"
    assert axes_of(FORWARD_LEFT_UP) == "x forward, y left, z up"
    assert len({A.tobytes() for A in permutations() + 0.0}) == 48
    assert described(np.array([0.021, -0.008, 0.7])) == "forward 0.70 right 0.02 down -0.01"
    assert described(np.array([0.0, 0, -7e-4])) == "forward -0.00070 right 0.00000 down 0.00000"


# ---- motions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "like"),
    [
        (lambda T: T[1:], "absolute poses, which --trajectory takes"),
        (lambda T: T[:-1], "absolute poses, which --trajectory takes"),
        (lambda T: invert_rigid(T)[1:], "inverted absolute poses"),
        (lambda T: invert_rigid(motions(T)), "motions of the other direction (T_current_next)"),
    ],
)
def test_motions_that_are_something_else(tmp_path, spoil, like):
    truth = invert_rigid(winding()[0]) @ winding()
    np.save(tmp_path / "poses.npy", spoil(truth))
    write_trajectory(tmp_path / "truth.txt", trajectory(truth))
    words = ["--ext_poses_to_eval", tmp_path / "poses.npy", "--ground_truth", tmp_path / "truth.txt"]
    done = run_here("evaluate_pose.py", *words)
    assert done.returncode == 0 and like in done.stderr and done.stderr.count("\n") == 1
    np.save(tmp_path / "poses.npy", motions(truth))
    assert "7dof |     0.000 |" in succeeds("evaluate_pose.py", *words, here=True)


@pytest.mark.parametrize(
    ("count", "like"),
    [
        (28, "28 motions, from each frame to the next, are of 29 frames, but the ground truth has 30; check"),
        (30, "30 motions, .*has 30; absolute poses, one a frame\\? those are read by --trajectory"),
    ],
)
def test_motions_of_another_number(tmp_path, count, like):
    """G14: an array cannot hold frame numbers."""
    with pytest.raises(UserError, match=like):
        poses = path_of(count + 1)
        evaluate_odometry("m", trajectory(poses), trajectory(path_of(30)), motions(poses))


# ---- numbers beyond numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("far", [1e200, 1e308, -1e160])
def test_positions_beyond_numbers(tmp_path, far):
    """M6: null, one line, and nothing on stderr."""
    estimate = forward(np.arange(60.0))
    estimate[30, 2, 3] = far
    printed, said, content = compare(tmp_path, estimate, forward(np.arange(60.0)), far == 1e200)
    assert said == "" and "where squares are beyond all numbers" in printed and "inf" not in printed
    assert "nan" not in printed and content["alignments"]["none"]["ate"] is None
    assert (tmp_path / "path_mine.png").is_file() == (far == 1e200)


# ---- other formats -------------------------------------------------------------------------------------------

MATRIX = " ".join(f"{v:g}" for v in np.eye(4).ravel())


@pytest.mark.parametrize(
    ("text", "like"),
    [
        (
            "# timestamp tx ty tz qx qy qz qw\n0.1 1 2 3 0 0 0 1\n",
            "line 2: 8 numbers: a time, a position and a quat",
        ),
        ("1 2 3 0 0 0 1\n", "7 numbers: a position and a quaternion"),
        (f"{MATRIX}\n", "16 numbers: whole matrices; leave out the last four"),
        (f"7 {MATRIX}\n", "17 numbers: a frame and whole matrices"),
        (",".join(MATRIX.split()[:12]) + "\n", r"12 values between commas \(CSV"),
        (
            "#timestamp, p_RS_R_x [m], p_RS_R_y\n14036365797635, 4.6, -1.7, 0.7, 0.5\n",
            "line 2: 5 values between com",
        ),
        ("1; 2; 3; 4\n", "4 values between commas"),
        ("1 0 0 0\n0 1 0 0\n0 0 1 0\n", "4 numbers: the rows of a matrix must stand in one line"),
        ('{"frames": []}\n', "JSON, such as transforms.json"),
    ],
)
def test_other_formats_are_named(tmp_path, text, like):
    (tmp_path / "poses.txt").write_text(text)
    with pytest.raises(
        UserError, match=rf"poses\.txt: line \d: .*{like.split(': ', 1)[-1]}.*write a row of 12"
    ):
        read_trajectory(tmp_path / "poses.txt")


# ---- known poses beside images -------------------------------------------------------------------------------

LINES = [SplitLine("ride", frame) for frame in (1, 2)]


def mirrored(T: np.ndarray, axis: int) -> np.ndarray:
    """Poses as programs with left-handed axes write them, one axis the other way."""
    S = np.eye(4)
    S[axis, axis] = -1
    return S @ T @ S


@pytest.fixture(scope="module")
def ride(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A folder of four rendered images, and their true poses."""
    root = tmp_path_factory.mktemp("ride")
    drive = next(rendered.glob("*/*_sync"))
    shutil.copytree(drive / "image_02" / "data", root / "ride")
    number = int(drive.name.split("_")[-2]) - 1
    return root, read_trajectory(rendered / "poses" / f"{number:02d}.txt").T_world_camera


def know(ride: tuple[Path, np.ndarray], poses: np.ndarray, **changes):
    write_trajectory(ride[0] / "ride" / "poses.txt", trajectory(poses))
    arguments = {"frames": (0, -1, 1), "height": 64, "width": 96, "png": True} | changes
    dataset = open_lines("folder", ride[0], LINES, **arguments)
    dataset.know_poses(5.4, None)
    return dataset


def test_right_poses_pass(ride):
    """Also in another world, and the other way round in time: then the camera does move backwards."""
    for world in (np.eye(4), four(FORWARD_LEFT_UP)):
        dataset = know(ride, world @ ride[1])
        assert checks.warnings() == []
        lines, _ = inspect(dataset, 0, None)
        for frame in (-1, 1):
            (said,) = (line for line in lines if line.startswith(f"known motion to frame {frame}: "))
            assert "°), forward 0." in said and said.endswith(" m a frame")
        way = dataset.way(LINES[0], 1)
        assert way[2] == pytest.approx(np.linalg.norm(ride[1][2, :3, 3] - ride[1][1, :3, 3]), rel=0.02)
        assert dataset.way(LINES[0], -1)[2] == pytest.approx(way[2], rel=0.1)


def test_a_camera_that_does_move_backwards(ride, tmp_path):
    shutil.copytree(ride[0] / "ride", tmp_path / "ride")
    names = sorted(path.name for path in (tmp_path / "ride").glob("*.png"))
    for name, other in zip(names, reversed(names), strict=True):
        shutil.copyfile(ride[0] / "ride" / name, tmp_path / "ride" / other)
    dataset = know((tmp_path, ride[1]), ride[1][::-1])
    assert checks.warnings() == [] and dataset.way(LINES[0], 1)[2] < -0.5


@pytest.mark.parametrize(
    ("spoil", "moves", "like"),
    [
        (invert_rigid, "backwards, 0.", "they look like inverted poses (T_camera_world, world to camera)"),
        (lambda T: T @ four(OPENGL), "backwards, 0.", "poses of OpenGL's axes (x right, y up, z backward)"),
        (lambda T: T @ four(FORWARD_LEFT_UP).T, "right, 0.", "a body whose axes are x forward, y left, z up"),
        (lambda T: T @ four(FORWARD_RIGHT_DOWN).T, "right, 0.", "axes are x forward, y right, z down"),
        (
            lambda T: np.concatenate([np.eye(4)[None], invert_rigid(motions(T))]),
            "",
            "they look like motions (T_current_next), not poses",
        ),
        (lambda T: mirrored(T, 2), "backwards, 0.", "left-handed axes (x right, y down, z backward)"),
    ],
)
def test_known_poses_that_are_something_else(ride, capsys, spoil, moves, like):
    """W7, G7c: their lengths are right."""
    know(ride, spoil(ride[1]))
    (said,) = checks.warnings()
    assert said.startswith(f"known poses of ride: by them the camera moves {moves}") and like in said
    assert capsys.readouterr().err == f"warning: {said}\n"


def test_known_poses_with_y_up(ride):
    """Left-handed: on an even road the ways are the same, and only the camera's nodding is the other way round."""
    know(ride, mirrored(ride[1], 1))
    (said,) = checks.warnings()
    assert "they look like poses of left-handed axes (x right, y up, z forward)" in said


@pytest.mark.parametrize("number", ["09", "10"])
def test_paths_with_y_up(shared, number):
    """A real path: only its nodding and rolling show that."""
    folder = shared / "data/kitti_odometry_poses"
    truth = read_trajectory(folder / "poses" / f"{number}.txt")
    path = read_trajectory(folder / "results/example_1" / f"{number}.txt")
    rows = truth.T_world_camera[path.frames]
    check_readings("x", path, rows, None, False)
    assert checks.warnings() == []
    check_readings("x", Trajectory(path.frames, mirrored(path.T_world_camera, 1)), rows, None, False)
    (said,) = checks.warnings()
    assert said.startswith(
        "x: turns about x and z the other way round than the truth: it looks like left-handed axes"
    )
    assert "(x right, y up, z forward)" in said


@pytest.mark.parametrize(
    ("factor", "like"), [(1e-3, "are they in kilometres?"), (60, "are they in millimetres?")]
)
def test_known_poses_in_another_unit(ride, factor, like):
    """G14: 0.7 mm a frame; by the flow, things would be some centimetres away."""
    know(ride, scaled(ride[1], factor))
    (said,) = checks.warnings()
    assert like in said and "by the optical flow what it sees is" in said


def test_bounds_of_moves_can_be_accepted(ride):
    for factor, like in ((1e-6, "does not move"), (1000, "more than 50")):
        with pytest.raises(UserError, match=like):
            know(ride, scaled(ride[1], factor))
        checks.begin(["motion_unit"])
        know(ride, scaled(ride[1], factor))
        checks.begin(offered=False)


def test_flow_that_says_nothing():
    ways = {"forward": [0, 0, 0.7], "backward": [0, 0.1, -0.7], "up": [0, -0.7, 0.1]}
    for name, way in ways.items():
        check_flow(name, np.array(way), [("", 0.1), ("inverted", 0.2)])
    said = checks.warnings()
    assert len(said) == 2 and all("neither confirm nor deny" in line for line in said)
    assert said[0].startswith("backward: by them the camera moves backwards, 0.7 m a frame")
    check_flow("standing", np.array([0, 0, -1e-3]), [("", math.nan), ("inverted", 0.2)])
    check_flow("right", np.array(ways["up"]), [("", 0.9), ("inverted", -0.9)])
    check_depth_of_flow("right", 12, 0.7)
    assert checks.warnings() == said
