"""Cameras and rigid motion against formulas and against the published program."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import geometry
from tests.tolerances import assert_close

VECTOR = st.lists(st.floats(-2, 2), min_size=3, max_size=3).map(np.array)
WARPED = (0, 3e-5)  # stated beside the golden file


@pytest.fixture(scope="module")
def recorded(golden: Callable[[str], Any]) -> Any:
    return golden("monodepth2/geometry.npz")


def source_images(recorded: Any) -> np.ndarray:
    return (recorded["source"].transpose(0, 3, 1, 2) / 255).astype(np.float32)


def test_rigid_motion_in_numbers() -> None:
    v, t = np.array([0.01, -0.02, 0.03]), np.array([0.1, 0.2, -0.3])
    assert_close(geometry.rigid(v, t)[0], np.array([0.99935007, -0.03009291, -0.01984529, 0.1]), (0, 2e-8))
    inverse = geometry.rigid(v, t, invert=True)
    assert_close(inverse[0], np.array([0.99935007, 0.02989293, 0.02014526, -0.09987001]), (0, 2e-8))
    assert inverse[2, 3] == pytest.approx(0.30396909, abs=5e-8)  # stated in float32


@settings(max_examples=50, deadline=None)
@given(VECTOR, VECTOR)
def test_inverse_is_exact(v: np.ndarray, t: np.ndarray) -> None:
    T = geometry.rigid(v, t)
    # The 1e-7 in the axis leaves its length, and so R, that much short of a rotation.
    assert_close(T @ geometry.invert_rigid(T), np.eye(4), (0, 2e-6))
    assert_close(geometry.rigid(v, t, invert=True), geometry.invert_rigid(T), "float64")


def test_rotation_turns_by_the_right_hand() -> None:
    quarter = geometry.rotation(np.array([0, 0, np.pi / 2]))
    assert_close(quarter @ [1, 0, 0], np.array([0, 1, 0]), (0, 1e-6))


def test_rigid_motion_as_published(recorded: Any) -> None:
    v, t = recorded["axisangle"][:, 0], recorded["translation"][:, 0]
    assert geometry.rigid(v, t).dtype == np.float32
    assert_close(geometry.rigid(v, t), recorded["T_forward"])
    assert_close(geometry.rigid(v, t, invert=True), recorded["T_inverted"])


def test_intrinsics_as_published(recorded: Any) -> None:
    height, width = recorded["intrinsics/height_width"].tolist()
    K = geometry.nominal_intrinsics(height, width)
    for scale in range(4):
        at_scale = geometry.intrinsics_at_scale(K, height, width, scale)
        assert at_scale.dtype == np.float32
        assert_close(at_scale, recorded[f"intrinsics/K_{scale}"][:3, :3])


@pytest.mark.parametrize("side", ["l", "r"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_stereo_as_published(recorded: Any, side: str, mirrored: bool) -> None:
    expected = recorded[f"stereo/T_source_target_{side}_flip{int(mirrored)}"]
    assert_close(geometry.stereo_transform(side, mirrored), expected, "exact")


def test_warp_as_published(recorded: Any) -> None:
    depth, K, T = recorded["warp_depth"], recorded["K"][:, :3, :3], recorded["T_source_target"]
    height, width = depth.shape[2:]
    points = geometry.backproject(depth, K)
    assert_close(points[:, :, :: int(recorded["points_stride"])], recorded["points"])
    pixels = geometry.project(geometry.transform(T, points), K).reshape(-1, height, width, 2)
    assert_close(geometry.normalize(pixels, height, width), recorded["normalised_pixels"])
    for align_corners in (True, False):
        warped = geometry.warp(source_images(recorded), depth, K, T, align_corners)
        assert warped.dtype == np.float32
        assert_close(warped, recorded[f"warped_align_corners_{str(align_corners).lower()}"], WARPED)


def test_projection_undoes_backprojection() -> None:
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 50, (2, 1, 5, 8))
    K = np.stack([np.array([[7.0, 0, 3.2], [0, 6.0, 2.1], [0, 0, 1]])] * 2)
    pixels = geometry.project(geometry.backproject(depth, K), K)
    v, u = np.mgrid[:5, :8]
    assert_close(pixels, np.stack([np.stack([u.ravel(), v.ravel()], 1)] * 2), (0, 1e-6))


def test_standing_still_returns_the_image() -> None:
    rng = np.random.default_rng(0)
    image, depth = rng.uniform(0, 1, (1, 3, 12, 20)), rng.uniform(1, 50, (1, 1, 12, 20))
    K = geometry.nominal_intrinsics(12, 20)[None].astype(float)
    assert_close(geometry.warp(image, depth, K, np.eye(4)[None]), image, (0, 1e-5))


def test_sampling_repeats_the_border() -> None:
    image = np.arange(6.0).reshape(1, 1, 2, 3)
    grid = np.array([[[[-9, -9], [9, 9], [0, 0], [-1, 1], [0.5, -1]]]], float)
    assert_close(geometry.sample(image, grid), np.array([[[[0, 5, 2.5, 3, 1.5]]]]))
    assert_close(geometry.sample(image, grid, align_corners=False), np.array([[[[0, 5, 2.5, 3, 1.75]]]]))


def test_known_shift() -> None:
    """A camera that moves one metre to the right sees a wall at 10 m moved left by focal length / 10."""
    width = 40
    source = np.broadcast_to(np.arange(width, dtype=float), (1, 1, 4, width))
    K = np.array([[[50.0, 0, 20], [0, 50, 2], [0, 0, 1]]])
    T_source_target = np.eye(4)[None].copy()
    T_source_target[0, 0, 3] = -1
    warped = geometry.warp(source, np.full((1, 1, 4, width), 10.0), K, T_source_target)
    assert_close(warped[..., 5:], source[..., :-5], (0, 1e-5))


@pytest.mark.parametrize(("downsample", "pixels"), [(False, 1.0), (True, 95 / 47)])
def test_median_spacing(downsample, pixels):
    """Of rays that are a pixel's angle apart along both axes, near the middle of a long lens."""
    v, u = np.mgrid[:96, :96] - 47.5
    rays = np.stack([u / 2000, v / 2000, np.ones_like(u)])
    rays /= np.linalg.norm(rays, axis=0)
    assert geometry.median_spacing(rays, downsample) == pytest.approx(pixels / 2000, rel=2e-3)
