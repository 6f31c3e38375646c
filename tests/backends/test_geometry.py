"""Geometry and image losses of a backend against the recorded numbers and the NumPy oracle."""

import importlib

import numpy as np
import pytest

from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("monodepth2/geometry.npz")


def images(array):
    """uint8 (B, H, W, 3) → float32 (B, 3, H, W) in [0, 1]."""
    return array.transpose(0, 3, 1, 2).astype(np.float32) / 255


@pytest.mark.parametrize("case", ["range_a", "range_b"])
def test_sigmoid_becomes_depth_within_the_range(backend, recorded, arrays, case):
    sigmoid = backend.tensor(arrays.uniform("golden/geometry/sigmoid", (2, 1, 48, 160)))
    low, high = recorded[f"{case}/min_max"]
    disparity, depth = backend.module("geometry").sigmoid_to_depth(sigmoid, float(low), float(high))
    assert_close(backend.array(disparity), recorded[f"{case}/disparity"])
    assert_close(backend.array(depth), recorded[f"{case}/depth"])


@pytest.mark.parametrize(("case", "invert"), [("T_forward", False), ("T_inverted", True)])
def test_rigid_transform_and_its_gradient(backend, recorded, arrays, case, invert):
    axisangle = backend.tensor(recorded["axisangle"][:, 0], gradient=True)
    translation = backend.tensor(recorded["translation"][:, 0], gradient=True)
    T = backend.module("geometry").rigid_transform(axisangle, translation, invert)
    assert_close(backend.array(T), recorded[case])
    cotangent = arrays.uniform("golden/geometry/matrix_cotangent", (12, 4, 4), -1, 1)
    gradients = backend.gradients((T * backend.tensor(cotangent)).sum(), [axisangle, translation])
    assert_close(gradients[0], recorded[f"{case}/gradient_axisangle"][:, 0], (1e-5, 1e-6))
    assert_close(gradients[1], recorded[f"{case}/gradient_translation"][:, 0], (1e-5, 1e-6))
    assert np.all(gradients[0][0] == 0)  # row 0 is the zero rotation


def test_single_rotation_keeps_its_batch_axis(backend):
    zero = backend.tensor(np.zeros((1, 3), np.float32))
    T = backend.module("geometry").rigid_transform(zero, zero)
    assert_close(backend.array(T), np.eye(4)[None])


def test_rotation_by_three_angles(backend):
    """Rx Ry Rz, the case of which the nine numbers are known, and its gradient by differences."""
    angles = np.array([[0.1, 0.2, 0.3], [-1.2, 0.4, 2.5]])
    euler_rotation = backend.module("geometry").euler_rotation
    tensor = backend.tensor(angles, gradient=True)
    R = euler_rotation(tensor)
    known = [
        [0.936293, -0.289630, 0.198669],
        [0.312992, 0.944703, -0.097843],
        [-0.159345, 0.153792, 0.975170],
    ]
    assert_close(backend.array(R)[0], np.array(known), (0, 1e-6))
    turns = [np.eye(3) for _ in range(3)]
    for axis, angle in enumerate(angles[1]):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turns[axis][[first, second], [first, second]] = np.cos(angle)
        turns[axis][second, first], turns[axis][first, second] = np.sin(angle), -np.sin(angle)
    assert_close(backend.array(R)[1], turns[0] @ turns[1] @ turns[2], (0, 1e-12))
    weights = np.arange(9.0).reshape(3, 3)
    (gradient,) = backend.gradients((R * backend.tensor(weights)).sum(), [tensor])
    for axis in range(3):
        step = 1e-6 * np.eye(3)[axis]
        after, before = (
            backend.array(euler_rotation(backend.tensor(angles + sign * step))) for sign in (1, -1)
        )
        assert_close(gradient[:, axis], ((after - before) * weights).sum(axis=(1, 2)) / 2e-6, (1e-6, 1e-6))


def test_zeros_lie_outside_the_image_if_asked(backend):
    """At 0.4 pixels beyond the border as many tenths of it are left; a pixel and more beyond, nothing."""
    image = backend.tensor(np.full((1, 1, 2, 5), 3.0))
    x = 2 * (np.array([-1.4, -0.4, 2.0, 4.4, 7.0]) + 0.5) / 5 - 1
    grid = backend.tensor(np.stack([x, np.full(5, -0.5)], axis=1)[None, None])
    sample = backend.module("geometry").sample
    zeros = sample(image, grid, align_corners=False, padding="zeros")
    assert_close(backend.array(zeros)[0, 0, 0], np.array([0, 1.8, 3, 1.8, 0]), (0, 1e-12))
    border = sample(image, grid, align_corners=False)
    assert_close(backend.array(border)[0, 0, 0], np.full(5, 3.0), (0, 1e-12))


def test_intrinsics_at_every_scale(backend, recorded):
    height, width = recorded["intrinsics/height_width"]
    K = backend.tensor(recorded["intrinsics/K_0"][None, :3, :3])
    geometry = backend.module("geometry")
    for scale in range(4):
        at_scale = geometry.intrinsics_at_scale(K, scale, int(height), int(width))
        assert_close(backend.array(at_scale)[0], recorded[f"intrinsics/K_{scale}"][:3, :3])
        inverse = backend.array(geometry.invert_intrinsics(at_scale))[0]
        assert_close(inverse, recorded[f"intrinsics/K_inverse_{scale}"][:3, :3], (1e-6, 1e-8))


def test_points_and_pixels(backend, recorded):
    geometry = backend.module("geometry")
    depth, K = backend.tensor(recorded["warp_depth"]), backend.tensor(recorded["K"][:, :3, :3])
    points = geometry.backproject(depth, K)
    assert_close(backend.array(points)[:, :, :: int(recorded["points_stride"])], recorded["points"])
    grid = geometry.project(points, K, backend.tensor(recorded["T_source_target"]), 48, 160)
    normalised = backend.array(grid)
    assert_close(normalised, recorded["normalised_pixels"], (1e-6, 1e-5))


@pytest.mark.parametrize("align_corners", [True, False])
def test_warp_and_its_gradients(backend, recorded, arrays, align_corners):
    name = f"warped_align_corners_{str(align_corners).lower()}"
    depth = backend.tensor(recorded["warp_depth"], gradient=True)
    T = backend.tensor(recorded["T_source_target"], gradient=True)
    K = backend.tensor(recorded["K"][:, :3, :3])
    warped = backend.module("geometry").warp(
        backend.tensor(images(recorded["source"])), depth, K, T, align_corners
    )
    assert_close(backend.array(warped), recorded[name], (0, 3e-5))
    cotangent = arrays.uniform("golden/geometry/warp_cotangent", (2, 3, 48, 160), -1, 1)
    gradients = backend.gradients((warped * backend.tensor(cotangent)).sum(), [depth, T])
    assert_close(gradients[0], recorded[f"{name}/gradient_depth"], (1e-4, 0), share=0.999)
    assert_close(gradients[1], recorded[f"{name}/gradient_T"], (1e-4, 0))


def test_warp_equals_the_numpy_oracle_in_float64(backend, recorded):
    source = images(recorded["source"]).astype(np.float64)
    depth, K = recorded["warp_depth"].astype(np.float64), recorded["K"][:, :3, :3].astype(np.float64)
    T = recorded["T_source_target"].astype(np.float64)
    warped = backend.module("geometry").warp(*(backend.tensor(array) for array in (source, depth, K, T)))
    assert_close(
        backend.array(warped),
        importlib.import_module("core.geometry").warp(source, depth, K, T),
        (1e-9, 1e-12),
    )


def test_identity_warp_returns_the_image(backend, arrays):
    image = arrays.uniform("identity", (1, 3, 192, 640))
    K = np.array([[[371.2, 0, 320], [0, 368.64, 96], [0, 0, 1]]], np.float32)
    depth = np.full((1, 1, 192, 640), 7, np.float32)
    warped = backend.module("geometry").warp(
        *(backend.tensor(array) for array in (image, depth, K, np.eye(4, dtype=np.float32)[None]))
    )
    assert np.abs(backend.array(warped) - image).mean() < 2e-4


def test_not_a_number_in_the_grid_shows_in_the_sample_and_does_not_crash(backend):
    grid = np.zeros((1, 4, 4, 2), np.float32)
    grid[0, 1, 2] = np.nan
    grid[0, 2, 2] = np.inf
    grid = backend.tensor(grid, gradient=True)
    sampled = backend.module("geometry").sample(backend.tensor(np.ones((1, 3, 4, 4), np.float32)), grid)
    unknown = np.isnan(backend.array(sampled)).any(axis=(0, 1))
    assert unknown[1, 2] and unknown.sum() == 1
    backend.gradients(sampled.sum(), [grid])


def test_ssim_loss(backend, recorded, arrays):
    photometric = backend.module("losses.photometric")

    def loss(x, y):
        x, y = (
            backend.tensor(array.reshape(-1, 1, *array.shape[2:])) for array in (x, y)
        )  # no mean of channels
        error = photometric.weighted_error(x, photometric.window_statistics(y), 1, 0)
        return backend.array(error).reshape(-1, 3, *error.shape[2:])

    x, y = (arrays.uniform(f"golden/geometry/ssim_{name}", (2, 3, 16, 20)) for name in "xy")
    assert_close(loss(x, y), recorded["ssim_loss_noise"], (1e-5, 0))
    source = images(recorded["source"])
    # Windows without contrast divide rounding by C2.
    assert_close(loss(source[:1], source[1:]), recorded["ssim_loss_images"], (0, 3e-4))


def test_smoothness(backend, recorded, arrays):
    smoothness = backend.module("losses.smoothness")
    disparity = backend.tensor(arrays.uniform("golden/geometry/smooth_x", (2, 1, 16, 20)))
    image = backend.tensor(arrays.uniform("golden/geometry/ssim_x", (2, 3, 16, 20)))
    assert_close(backend.array(smoothness.smoothness_loss(disparity, image)), recorded["smoothness_raw"])
    normalised = smoothness.smoothness_loss(smoothness.normalize_by_mean(disparity), image)
    assert_close(backend.array(normalised), recorded["smoothness_normalised"])


def test_resize(backend, recorded, arrays):
    x = backend.tensor(arrays.uniform("golden/geometry/smooth_x", (2, 1, 16, 20)))
    resized = backend.module("geometry").resize(x, 48, 160)
    assert_close(backend.array(resized), recorded["upsampled_bilinear"], (1e-6, 0))


def test_minimum_gives_ties_to_the_first(backend):
    errors = backend.tensor(np.full((1, 2, 2, 2), 0.5, np.float32), gradient=True)
    identity = backend.tensor(np.full((1, 1, 2, 2), 0.5, np.float32))
    reprojection = backend.module("losses.reprojection")
    minimum, automask = reprojection.minimum_error(errors, identity)
    assert not backend.array(automask).any()  # identity wins ties
    minimum, automask = reprojection.minimum_error(errors, None)
    assert automask is None
    (gradient,) = backend.gradients(minimum.sum(), [errors])
    assert np.all(gradient[0, 0] == 1) and np.all(gradient[0, 1] == 0)


@pytest.mark.parametrize("place", ["identity", "first", "second"])
def test_not_a_number_wins_the_minimum(backend, place):
    errors, identity = np.full((1, 2, 2, 2), 0.5, np.float32), np.full((1, 1, 2, 2), 0.1, np.float32)
    {"identity": identity, "first": errors[:, :1], "second": errors[:, 1:]}[place][0, 0, 1, 1] = np.nan
    reprojection = backend.module("losses.reprojection")
    minimum, _ = reprojection.minimum_error(backend.tensor(errors), backend.tensor(identity))
    assert np.isnan(backend.array(minimum)).sum() == 1 and np.isnan(backend.array(minimum)[0, 1, 1])
