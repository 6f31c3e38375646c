"""Errors of a path against recorded numbers, exact cases and the definitions written out in loops."""

import dataclasses
import json
import math
import sys
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from core.errors import UserError
from core.geometry import invert_rigid
from core.odometry.metrics import ALIGNMENTS, aligned, snippet_errors, trajectory_errors, umeyama
from core.odometry.report import evaluate_odometry
from core.odometry.trajectories import Trajectory, chain, motions
from tests.core.paths import drive, exactly_rigid, straight
from tests.tolerances import assert_close

RECORDED = {"none": "None"}  # the recorded program's name, where it is another
RELATIVE = (1e-6, 0.0)
ROTATIONS = (
    0.0,
    5e-4,
)  # degrees, half a printed digit: what was recorded has the rounding of six digits in it


def poses(rows: np.ndarray) -> np.ndarray:
    """(N, 12) → (N, 4, 4)."""
    T = np.tile(np.eye(4), (len(rows), 1, 1))
    T[:, :3] = rows.reshape(-1, 3, 4)
    return T


def trajectory(T_world_camera: np.ndarray, first: int = 0) -> Trajectory:
    return Trajectory(first + np.arange(len(T_world_camera)), T_world_camera)


# ---- recorded ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("monodepth2/odometry.npz")


def calls_of(function: Callable, *arguments: object) -> int:
    """How often functions are called and return meanwhile, Python's and those in C."""
    events = 0

    def note(*_: object) -> None:
        nonlocal events
        events += 1

    sys.setprofile(note)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return events


def test_as_many_calls_for_four_times_the_frames(recorded):
    """No loop over frames, so a sequence takes no second."""
    truth, result = (poses(recorded[name]) for name in ("sequence_09/ground_truth", "example_1/result_09"))
    lengths = (len(truth), len(truth) // 4, len(truth))  # the first call imports as well
    _, few, many = (
        calls_of(evaluate_odometry, "09", trajectory(result[:length]), trajectory(truth[:length]))
        for length in lengths
    )
    assert few == many


@pytest.mark.parametrize("number", ["09", "10"])
def test_recorded_trajectories(recorded, number):
    """kitti-odom-eval on a real visual-odometry result, under every alignment; all printed digits too."""
    truth = trajectory(poses(recorded[f"sequence_{number}/ground_truth"]))
    result = trajectory(poses(recorded[f"example_1/result_{number}"]))
    report = evaluate_odometry(number, result, truth)
    expected = json.loads(str(recorded["trajectories_json"]))
    printed = {line.split("|")[0].strip(): line.split("|")[1:] for line in report.printed().splitlines()}
    for alignment in ALIGNMENTS:
        values = list(expected[f"example_1/{RECORDED.get(alignment, alignment)}/{int(number)}"].values())
        found = dataclasses.astuple(report.errors[alignment])
        for number_of, value in enumerate(values):  # angles were recorded by the arc cosine of six digits
            bound = ROTATIONS if number_of in (1, 4) else RELATIVE
            assert_close(found[number_of], value, bound, label=alignment)
        assert [cell.strip() for cell in printed[alignment]] == [f"{value:.3f}" for value in values]


@pytest.mark.parametrize("number", ["09", "10"])
def test_recorded_snippets(recorded, number):
    true = motions(poses(recorded[f"sequence_{number}/ground_truth"]))
    found = snippet_errors(poses(recorded[f"sequence_{number}/T_next_current"].astype(np.float64)), true)
    expected = recorded[f"sequence_{number}/ate"]
    assert found.shape == expected.shape
    assert np.abs(found / expected - 1).max() < 1e-6
    assert_close(np.array([found.mean(), found.std()]), recorded[f"sequence_{number}/ate_mean_std"], RELATIVE)


# ---- the definitions in loops --------------------------------------------------------------------------------


def test_snippets_by_the_definition():
    predicted, true = motions(drive(12, 1, 0.7)), motions(drive(12, 2))
    found = snippet_errors(predicted, true)
    assert len(found) == 11
    for start in range(11):
        sides = []
        for T in (predicted, true):
            M, points = np.eye(4), [np.zeros(3)]
            for motion in T[start : start + 4]:
                M = M @ motion
                points.append(M[:3, 3])
            sides.append(np.array(points))
        p, g = sides
        scale = (g * p).sum() / (p * p).sum()
        assert found[start] == pytest.approx(math.sqrt(((scale * p - g) ** 2).sum()) / len(p), rel=1e-12)
    assert len(p) == 2  # the last snippet has one motion, and counts


def test_drift_by_the_definition():
    truth, result = drive(420, 3, 1.3), drive(420, 4, 1.25)
    errors = trajectory_errors(trajectory(result), trajectory(truth))
    distance = [0.0]
    for a, b in pairwise(truth):
        distance.append(distance[-1] + float(np.linalg.norm(b[:3, 3] - a[:3, 3])))
    t, r = [], []
    for first in range(0, 420, 10):
        for length in range(100, 801, 100):
            last = next((i for i in range(first, 420) if distance[i] > distance[first] + length), None)
            if last is None:
                continue
            error = invert_rigid(invert_rigid(result[first]) @ result[last]) @ (
                invert_rigid(truth[first]) @ truth[last]
            )
            t.append(np.linalg.norm(error[:3, 3]) / length)
            r.append(math.acos((np.trace(error[:3, :3]) - 1) / 2) / length)
    assert len(t) > 80
    assert errors.t_err == pytest.approx(100 * np.mean(t), rel=1e-9)
    assert errors.r_err == pytest.approx(100 * math.degrees(np.mean(r)), rel=1e-9)


# ---- exact cases ---------------------------------------------------------------------------------------------


def test_scale_and_yaw_on_a_straight_road():
    """A segment ends at the first frame beyond its length: with 0.75 m a frame 300 m end at frame 401."""
    truth, lengths = straight(1100, 0.75), np.arange(100, 900, 100)
    frames = np.floor(lengths / 0.75) + 1
    count = [sum(start + n < 1100 for start in range(0, 1100, 10)) for n in frames]
    longer = trajectory_errors(trajectory(straight(1100, 0.825)), trajectory(truth))
    assert longer.t_err == pytest.approx(np.average(0.075 * frames / lengths, weights=count) * 100, rel=1e-9)
    assert longer.r_err == pytest.approx(0, abs=1e-6)
    assert longer.rpe_translation == pytest.approx(0.075) and longer.rpe_rotation == pytest.approx(
        0, abs=1e-5
    )
    assert longer.ate == pytest.approx(0.075 * math.sqrt((np.arange(1100) ** 2).mean()), rel=1e-9)
    turning = trajectory_errors(trajectory(straight(1100, 0.75, 1e-3)), trajectory(truth))
    degrees = np.degrees(1e-3 * frames) / lengths * 100
    assert turning.r_err == pytest.approx(np.average(degrees, weights=count), rel=1e-6)
    assert turning.rpe_rotation == pytest.approx(math.degrees(1e-3), rel=1e-4)


def test_circle():
    """Poses on a circle of 50 m: where the radius is 10 % off, only alignments with a scale forgive it."""
    angle = np.linspace(0, 2 * np.pi, 401)
    turn = np.stack([angle * 0, angle, angle * 0], axis=1)

    def circle(radius: float) -> Trajectory:
        place = radius * np.stack([1 - np.cos(angle), angle * 0, np.sin(angle)], axis=1)
        return trajectory(exactly_rigid(turn, place))

    truth, result = circle(50), circle(55)
    report = evaluate_odometry("circle", result, truth)
    assert report.errors["none"].ate == pytest.approx(5 * math.sqrt((2 - 2 * np.cos(angle)).mean()), rel=1e-9)
    assert report.errors["none"].ate > report.errors["6dof"].ate > 4.9
    for alignment in ("scale", "7dof", "scale_7dof"):
        assert dataclasses.astuple(report.errors[alignment]) == pytest.approx((0,) * 5, abs=1e-5)


def test_motions_point_from_each_camera_to_the_next():
    """Driving forward by 1 m and turning nowhere: a point 5 m ahead is then 4 m ahead."""
    T_world_camera = np.tile(np.eye(4), (3, 1, 1))
    T_world_camera[:, 2, 3] = [0, 1, 2]
    T_next_current = motions(T_world_camera)
    assert (T_next_current[0] @ [0, 0, 5, 1]).tolist() == [0, 0, 4, 1]
    np.testing.assert_array_equal(chain(T_next_current), T_world_camera)


def test_chain_undoes_motions():
    T_world_camera = drive(200)
    assert_close(chain(motions(T_world_camera)), T_world_camera, "float64")


def test_chained_motions_of_float32_stay_rotations():
    """The angle between two ways to the same pose is that of rounding, not of its square root."""
    T_world_camera = drive(1500)
    found = chain(motions(T_world_camera).astype(np.float32))
    R = found[:, :3, :3]
    assert np.abs(R @ R.transpose(0, 2, 1) - np.eye(3)).max() < 1e-12
    errors = trajectory_errors(trajectory(found), trajectory(T_world_camera))
    assert errors.rpe_rotation < 1e-5 and errors.ate < 1e-2


# ---- alignment -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_alignment_undoes_a_similarity(seed):
    rng = np.random.default_rng(seed)
    p, scale = rng.normal(0, 10, (50, 3)), rng.uniform(0.2, 5)
    T = exactly_rigid(rng.normal(0, 1, 3), rng.normal(0, 100, 3))
    R, t, c = umeyama(p, scale * p @ T[:3, :3].T + T[:3, 3], with_scale=True)
    assert_close(R, T[:3, :3], (0, 1e-12))
    assert_close(t, T[:3, 3], (0, 1e-10))
    assert c == pytest.approx(scale, rel=1e-12)
    R, t, c = umeyama(p, p @ T[:3, :3].T + T[:3, 3], with_scale=False)
    assert_close(R, T[:3, :3], (0, 1e-12))
    assert c == 1


def test_alignment_never_mirrors():
    p = np.random.default_rng(0).normal(size=(30, 3))
    R, _, _ = umeyama(p, p * [1, 1, -1], with_scale=True)
    assert np.linalg.det(R) == pytest.approx(1)


def test_every_alignment_is_the_best_of_its_kind():
    """No small change of the fit makes the positions fit better."""
    rng = np.random.default_rng(0)
    truth, result = trajectory(drive(60, 5)), trajectory(drive(60, 6, 0.4))
    for alignment in ("scale", "6dof", "7dof"):
        fitted, true = aligned(result, truth, alignment)
        p, best = fitted.positions, ((fitted.positions - true.positions) ** 2).sum()
        for _ in range(20):
            T = exactly_rigid(rng.normal(0, 1e-3, 3), rng.normal(0, 1e-2, 3))
            s = 1 + rng.normal(0, 1e-3)
            other = {
                "scale": s * p,
                "6dof": p @ T[:3, :3].T + T[:3, 3],
                "7dof": s * p @ T[:3, :3].T + T[:3, 3],
            }[alignment]
            assert ((other - true.positions) ** 2).sum() > best


def test_another_world_and_another_unit_do_not_matter():
    truth = drive(300, 7)
    moved = exactly_rigid(np.array([0.3, -1, 2]), np.array([5.0, 6, 7])) @ truth
    moved[:, :3, 3] *= 0.185  # of a model trained with stereo: 1 / 5.4
    errors = evaluate_odometry("other", trajectory(moved), trajectory(truth)).errors
    for alignment in ("scale", "7dof", "scale_7dof"):
        assert dataclasses.astuple(errors[alignment]) == pytest.approx((0,) * 5, abs=1e-4)
    assert errors["none"].t_err > 20
    assert errors["none"].r_err == pytest.approx(0, abs=1e-4)


# ---- what there is little of ---------------------------------------------------------------------------------


def test_a_short_path_has_no_drift():
    report = evaluate_odometry("short", trajectory(drive(30)), trajectory(drive(30)))
    errors = report.errors["none"]
    assert math.isnan(errors.t_err) and math.isnan(errors.r_err) and errors.ate == 0
    assert "no segment of 100 m" in report.printed() and "nan" not in report.printed()
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["alignments"]["none"]["t_err"] is None


def test_a_prediction_that_stands_still():
    """Every scale fits it equally well, so none is printed; nothing is divided by zero."""
    truth = drive(150)
    with np.errstate(all="raise"):
        report = evaluate_odometry(
            "still", trajectory(chain(motions(truth) * 0 + np.eye(4))), trajectory(truth)
        )
    assert report.errors["none"].t_err == pytest.approx(100, abs=3)
    assert report.snippets is not None and np.isfinite(report.snippets).all()
    for alignment, errors in report.errors.items():
        known = alignment in ("none", "6dof")
        assert np.isfinite(dataclasses.astuple(errors)).all() == known
        assert math.isfinite(report.scales[alignment]) == known
    assert "-: the camera does not move, so that no scale is the best" in report.printed()


def test_part_of_a_sequence():
    """Frames from the middle on, and with gaps: compared where there is a pose."""
    truth, result = drive(400, 8), drive(400, 9)
    whole = trajectory(truth)
    later = evaluate_odometry("later", trajectory(result[50:], 50), whole)
    assert later.frames == 350 and later.snippets is not None
    assert_close(later.snippets, snippet_errors(motions(result), motions(truth))[50:], "float64")
    same = evaluate_odometry("same", trajectory(result[50:]), trajectory(truth[50:]))
    assert dataclasses.astuple(later.errors["7dof"]) == pytest.approx(
        dataclasses.astuple(same.errors["7dof"])
    )
    kept = np.flatnonzero(np.random.default_rng(0).random(400) > 0.3)
    gaps = evaluate_odometry("gaps", Trajectory(kept, truth[kept]), whole)
    assert gaps.snippets is None and "Trajectory error" not in gaps.printed()
    assert dataclasses.astuple(gaps.errors["none"]) == pytest.approx((0,) * 5, abs=1e-4)


def test_frames_that_do_not_match():
    truth = trajectory(drive(10))
    with pytest.raises(UserError, match=r"short: a trajectory needs two frames at least, not 1"):
        evaluate_odometry("short", trajectory(drive(10)[:1]), truth)
    with pytest.raises(
        UserError, match=r"far: frame 10 has no true pose: .* from 0 to 9; check --ground_truth"
    ):
        evaluate_odometry("far", trajectory(drive(10), 5), truth)
    uncounted = Trajectory(np.arange(9), drive(10)[:9], numbered=False)
    with pytest.raises(UserError, match=r"9 poses without frame numbers, but the ground truth has 10"):
        evaluate_odometry("off by one", uncounted, truth)
