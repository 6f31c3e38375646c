"""What the rendered pictures claim about depth, poses and calibration is true."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from core.rendering.camera import render
from core.rendering.lidar import scan
from core.rendering.rig import BASELINE, Rig
from core.rendering.street import Street
from tests.core import streets

Array = np.ndarray
HEIGHT, WIDTH, FRAME = 188, 620, 2


@dataclass
class View:
    image: Array
    depth: Array
    T_world_camera: Array


@pytest.fixture(scope="module")
def street() -> Street:
    return streets.street()


@pytest.fixture(scope="module")
def rig() -> Rig:
    return Rig(HEIGHT, WIDTH)


def look(street: Street, rig: Rig, frame: int, camera: int, samples: int = 3) -> View:
    T = street.plan.T_world_rectified(frame, rig) @ np.linalg.inv(rig.T_camera_rectified(camera))
    image, depth = render(street.scene(frame), T, rig.K, rig.height, rig.width, samples)
    return View(image, depth, T)


@pytest.fixture(scope="module")
def left(street: Street, rig: Rig) -> View:
    return look(street, rig, FRAME, 2)


def warp_error(target: View, source: View, K: Array) -> tuple[Array, float]:
    """|rebuilt − target| (N, 3) at pixels that the source sees too, and their share of those inside it."""
    v, u = np.mgrid[: target.depth.shape[0], : target.depth.shape[1]]
    points = np.linalg.inv(K) @ (np.stack([u, v, np.ones_like(u)], 0).reshape(3, -1) * target.depth.ravel())
    T = np.linalg.inv(source.T_world_camera) @ target.T_world_camera
    moved = T[:3, :3] @ points + T[:3, 3:]
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = (K @ moved)[:2] / moved[2]
    inside = (target.depth.ravel() > 0) & (moved[2] > 0.2)
    inside &= (x > 1) & (y > 1) & (x < target.depth.shape[1] - 2) & (y < target.depth.shape[0] - 2)
    x, y = (np.where(inside, a, 0).astype(np.float32).reshape(u.shape) for a in (x, y))
    there = cv2.remap(source.depth, x, y, cv2.INTER_NEAREST).ravel()
    visible = inside & (np.abs(there - moved[2]) < 0.02 * moved[2])
    rebuilt = cv2.remap(source.image.astype(np.float32), x, y, cv2.INTER_CUBIC).reshape(-1, 3)
    error = np.abs(rebuilt - target.image.reshape(-1, 3).astype(np.float32))[visible]
    return error, visible.sum() / inside.sum()


def test_other_camera_rebuilds_the_picture(street: Street, rig: Rig, left: View) -> None:
    right = look(street, rig, FRAME, 3)
    error, share = warp_error(left, right, rig.K)
    assert np.median(error) < 2
    assert share > 0.8
    wrong = View(left.image, left.depth * 1.1, left.T_world_camera)
    right.depth *= 1.1  # so that the wrong depth passes the visibility test
    assert np.median(warp_error(wrong, right, rig.K)[0]) > 2 * np.median(error), (
        "the test cannot see a wrong depth"
    )


def test_next_frame_rebuilds_the_picture(street: Street, rig: Rig, left: View) -> None:
    after = look(street, rig, FRAME + 1, 2)
    error, share = warp_error(left, after, rig.K)
    assert np.median(error) < 2
    assert share > 0.8


def test_rows_of_both_cameras_correspond(rig: Rig) -> None:
    P2, P3 = rig.P_rect(2), rig.P_rect(3)
    assert np.allclose(P2[1:], P3[1:])
    assert P2[0, 3] - P3[0, 3] == pytest.approx(BASELINE * rig.K[0, 0], rel=1e-6)


def test_scan_lands_on_the_depth_map(street: Street, rig: Rig, left: View) -> None:
    T_world_velodyne = street.plan.T_world_rectified(FRAME, rig) @ rig.T_rectified_velodyne
    points = scan(street.scene(FRAME), T_world_velodyne, 1000, np.random.default_rng(0))
    text = rig.files()
    calibration = {
        key: np.array([float(v) for v in value.split()])
        for name in ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt")
        for key, value in (line.split(": ", 1) for line in text[name].splitlines()[1:])
    }
    R_rect, T = np.eye(4), np.eye(4)
    R_rect[:3, :3] = calibration["R_rect_00"].reshape(3, 3)
    T[:3, :3], T[:3, 3] = calibration["R"].reshape(3, 3), calibration["T"]
    P = calibration["P_rect_02"].reshape(3, 4) @ R_rect @ T
    projected = P @ np.c_[points[:, :3], np.ones(len(points))].T
    depth = projected[2]
    u, v = np.rint(projected[:2] / depth).astype(int)
    seen = (depth > 1) & (u >= 0) & (v >= 0) & (u < WIDTH) & (v < HEIGHT)
    u, v, depth = u[seen], v[seen], depth[seen]
    flat = cv2.dilate(left.depth, np.ones((3, 3))) < 1.1 * cv2.erode(left.depth, np.ones((3, 3)))
    flat &= left.depth > 0
    error = np.abs(left.depth[v, u] - depth)[flat[v, u]] / depth[flat[v, u]]
    assert len(error) > 3000
    assert np.median(error) < 0.01
    assert np.mean(error < 0.05) > 0.9
    assert np.mean(error < 0.02) > 0.75


def test_scan_returns_like_the_real_one(street: Street, rig: Rig) -> None:
    T = street.plan.T_world_rectified(0, rig) @ rig.T_rectified_velodyne
    points = scan(street.scene(0), T, 500, np.random.default_rng(0))
    assert points.dtype == np.float32
    assert 0.75 < len(points) / (64 * 500) < 0.97
    assert (points[:, 3] >= 0).all() and (points[:, 3] < 1).all() and np.ptp(points[:, 3]) > 0.2
    assert np.percentile(points[:, 2], 30) == pytest.approx(-1.73, abs=0.2)  # the road, seen from 1.73 m
    assert (points[:, 1] > 2).any() and (points[:, 0] < -2).any()


def test_depth_has_the_road_where_it_is(rig: Rig, left: View) -> None:
    v, u = HEIGHT - 2, WIDTH // 2
    ray = np.linalg.inv(rig.K) @ [u, v, 1]
    world = left.T_world_camera[:3, :3] @ ray
    assert left.depth[v, u] == pytest.approx(-left.T_world_camera[2, 3] / world[2], rel=1e-5)


def test_sky_is_unknown(left: View) -> None:
    sky = left.depth == 0
    assert 0.02 < sky.mean() < 0.4
    assert sky[:100].sum() == sky.sum(), "the ground below the horizon has a depth"


def test_depth_does_not_depend_on_antialiasing(street: Street, rig: Rig, left: View) -> None:
    plain = look(street, rig, FRAME, 2, samples=1)
    assert np.array_equal(plain.depth, left.depth)
    assert not np.array_equal(plain.image, left.image)


def test_picture_has_contrast_everywhere(left: View) -> None:
    grey = left.image.mean(2)
    road = grey[-50:, 150:450]
    fine = np.abs(np.diff(road, axis=1))
    assert np.median(fine) > 1
    assert cv2.GaussianBlur(road, (0, 0), 6).std() > 3
    assert (grey == 255).mean() < 0.02 and (grey == 0).mean() < 0.02
