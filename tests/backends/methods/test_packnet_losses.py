"""PackNet's geometry and losses against the recorded numbers of the published program."""

import numpy as np
import pytest

from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

GEOMETRY = (1e-5, 0)
LOSS32, LOSS64, LOSS64_ROUNDED_K = (1e-5, 0), (1e-7, 0), (1e-6, 0)
GRADIENT = (1e-6, 0)
# What SSIM's loss is worth where it is recorded in single precision: a flat window's variance is a difference of
# equals, and its rounding is divided by 9e-4. The means of these maps are compared in double precision.
SINGLE_SSIM = (0, 3e-4)
P = "golden/packnet"
SHAPE = (2, 1, 96, 160)

# clip, minimum, automask, native size, smoothness, SSIM's weight, padding, scales
CASES = {
    "default": (0, True, True, False, 0.001, 0.85, "zeros", 4),
    "clip_min_automask": (0.5, True, True, False, 0.001, 0.85, "zeros", 4),
    "clip_mean_native": (0.5, False, False, True, 0.1, 0.85, "zeros", 4),
    "min_no_automask": (0, True, False, False, 0.001, 0.85, "zeros", 4),
    "l1_only": (0, True, True, False, 0.001, 0.0, "zeros", 4),
    "no_smoothness_border_two_scales": (0, True, True, True, 0.0, 0.85, "border", 2),
}


@pytest.fixture(scope="module")
def geometry(golden):
    return golden("packnet/geometry.npz")


@pytest.fixture(scope="module")
def photometric(golden):
    return dict(golden("packnet/photometric.npz"))


@pytest.fixture(scope="module")
def supervision(golden):
    return dict(golden("packnet/supervision.npz"))


@pytest.fixture(scope="module")
def synthesis(backend):
    return backend.module("losses.view_synthesis")


@pytest.fixture(scope="module")
def disparities(arrays, photometric):
    """Of the four scales, float32."""
    made = [
        arrays.smooth(f"{P}/inverse_depth/{i}", (2, 1, 96 >> i, 160 >> i), (6, 10), 0.03, 0.5)
        for i in range(4)
    ]
    found = [(one.mean(dtype=np.float64), one.std(dtype=np.float64)) for one in made]
    assert_close(np.array(found), photometric["inverse_depth_statistics"], (1e-6, 0))
    return made


def image_of(backend, image, dtype="float32"):
    return backend.tensor(
        np.ascontiguousarray(image.transpose(0, 3, 1, 2)).astype(dtype) / dtype_of(dtype)(255)
    )


def dtype_of(name):
    return np.dtype(name).type


# ---- geometry --------------------------------------------------------------------------------------------


def test_motions(backend, arrays, geometry, synthesis):
    pose = backend.tensor(geometry["pose_vector"], gradient=True)
    T = synthesis.motion(pose)
    assert_close(backend.array(T), geometry["T_source_target"], GEOMETRY)
    assert_close(backend.array(synthesis.inverse_motion(T)), geometry["T_target_source"], GEOMETRY)
    weights = backend.tensor(arrays.uniform(f"{P}/pose_objective", (10, 4, 4), -1, 1))
    (gradient,) = backend.gradients((T * weights).sum(), [pose])
    assert_close(gradient, geometry["T_source_target/gradient_pose_vector"], GEOMETRY)


def test_intrinsics(backend, geometry, synthesis):
    K = backend.tensor(geometry["K"])
    for name in ("0.5", "0.25", "0.125", "2.0", "x0.5_y0.25"):
        factors = name.replace("x", "").replace("y", "").split("_")
        found = synthesis.scaled_intrinsics(K, float(factors[0]), float(factors[-1]))
        assert_close(backend.array(found), geometry[f"K_scaled/{name}"], GEOMETRY, label=name)
    inverse = backend.module("geometry").invert_intrinsics(K)
    assert_close(backend.array(inverse), geometry["K_inverse"], GEOMETRY)


def test_disparity_and_depth(backend, geometry, synthesis):
    values = backend.tensor(geometry["conversion/inverse_depth"])
    found = backend.array(synthesis.inverse(values))
    assert_close(found, geometry["conversion/inverse_to_depth"], GEOMETRY)
    found = backend.array(synthesis.true_disparity(values))
    assert_close(found, geometry["conversion/depth_to_inverse"], GEOMETRY)


def test_warping(backend, arrays, geometry, synthesis):
    """Points, where they lie, and what is sampled there; some are behind the camera."""
    K, depth = geometry["warp_K"], geometry["warp_depth"]
    pose = geometry["warp_pose_vector"]
    points = backend.module("geometry").backproject(backend.tensor(depth), backend.tensor(K))
    T = synthesis.motion(backend.tensor(pose))
    grid = synthesis.normalized_pixels(points, backend.tensor(K), T, 32, 48)
    assert_close(backend.array(points).reshape(2, 3, 32, 48)[:, :, ::4, ::4], geometry["points"], GEOMETRY)
    wanted, found = geometry["normalised_pixels"], backend.array(grid)
    moved = backend.array(T)[:, :3, :3] @ backend.array(points) + backend.array(T)[:, :3, 3:]
    z = moved[:, 2].reshape(2, 32, 48, 1)
    assert (z < 1e-5).sum() == geometry["behind_camera_pixels"] > 0
    # Before the division, whose quotient is worth what the smallest of the recorded z are.
    assert_close(found * z.clip(1e-5), wanted * z.clip(1e-5), GEOMETRY)
    source = image_of(backend, geometry["source"])
    for padding in ("zeros", "border"):
        found = synthesis.warp(source, backend.tensor(depth), backend.tensor(K), T, padding)
        assert_close(backend.array(found), geometry[f"warped_{padding}"], GEOMETRY, label=padding)
    inputs = [backend.tensor(x.astype(np.float64), gradient=True) for x in (depth, pose)]
    K64 = backend.tensor(K.astype(np.float64))
    source = image_of(backend, geometry["source"], "float64")
    warped = synthesis.warp(source, inputs[0], K64, synthesis.motion(inputs[1]))
    weights = arrays.uniform(f"{P}/warp_objective", (2, 3, 32, 48), -1, 1).astype(np.float64)
    total = (warped * backend.tensor(weights)).sum()
    assert_close(backend.array(total), geometry["warped_zeros/float64/sum"], LOSS64_ROUNDED_K)
    gradients = backend.gradients(total, inputs)
    for gradient, name in zip(gradients, ("depth", "pose_vector"), strict=True):
        wanted = geometry[f"warped_zeros/float64/gradient_{name}"]
        assert_close(gradient, wanted, GRADIENT, label=name)


# ---- self-supervision ------------------------------------------------------------------------------------


def run_case(backend, photometric, disparities, synthesis, case, dtype):
    """Loss, photometric and smoothness term, error maps, warped sources, and what gradients are asked for."""
    clip, minimum, automask, native, smoothness, ssim, padding, scales = CASES[case]
    module = backend.module("losses.multiscale")
    inputs = [backend.tensor(one.astype(dtype), gradient=True) for one in disparities]
    poses = [backend.tensor(photometric[f"pose_vector_{j}"].astype(dtype), gradient=True) for j in range(2)]
    target, *sources = (
        image_of(backend, photometric[name], dtype) for name in ("target", "source_0", "source_1")
    )
    maps = inputs if native else [synthesis.resize_nearest(one, 96, 160) for one in inputs]
    loss, errors, warped = module.photometric_loss(
        maps[:scales],
        target,
        sources,
        backend.tensor(photometric["K"].astype(dtype)),
        [synthesis.motion(pose) for pose in poses],
        module.PhotometricSettings(ssim, clip, minimum, automask, padding),
    )
    smooth = smoothness * module.smoothness_loss(maps[:scales], target)
    return loss + smooth, loss, smooth, errors, warped, [*inputs[:scales], *poses]


@pytest.mark.parametrize("case", CASES)
def test_self_supervision(backend, photometric, disparities, synthesis, case):
    """Terms, means of the error maps and gradients in double precision; some of the maps."""
    loss, photo, smooth, errors, warped, inputs = run_case(
        backend, photometric, disparities, synthesis, case, "float64"
    )
    assert_close(backend.array(loss), photometric[f"{case}/float64/loss"].reshape(()), LOSS64)
    assert_close(backend.array(photo), photometric[f"{case}/float64/photometric_loss"], LOSS64)
    assert_close(backend.array(smooth), photometric[f"{case}/float64/smoothness_loss"], LOSS64)
    means = np.array([[backend.array(one.mean()) for one in scale] for scale in errors]).T
    assert_close(means, photometric[f"{case}/error_means"], LOSS64)
    names = [f"inverse_depth_{i}" for i in range(len(inputs) - 2)] + ["pose_vector_0", "pose_vector_1"]
    for name, gradient in zip(names, backend.gradients(loss, inputs), strict=True):
        step = 2 if name == "inverse_depth_0" and case != "default" else 1
        found = gradient[..., ::step, ::step] if name.startswith("inverse") else gradient
        assert_close(found, photometric[f"{case}/float64/gradient_{name}"], GRADIENT, label=name)
    if case in ("default", "clip_mean_native"):
        for scale, step in ((0, 2), (2, 4 if case == "default" else 1)):
            cut = (..., slice(None, None, step), slice(None, None, step))
            for number, one in enumerate(warped[scale]):
                # A rounded pixel may lie on the other side of a pixel's centre.
                recorded = photometric[f"{case}/warped_{number}_{scale}"]
                assert_close(backend.array(one)[cut], recorded, GEOMETRY, share=0.999, label=str(number))
            for number, one in enumerate(errors[scale]):
                recorded = photometric[f"{case}/error_{number}_{scale}"]
                assert_close(backend.array(one)[cut], recorded, SINGLE_SSIM, label=str(number))


@pytest.mark.parametrize("case", CASES)
def test_self_supervision_in_single_precision(backend, photometric, disparities, synthesis, case):
    with backend.no_gradients():
        loss, *_ = run_case(backend, photometric, disparities, synthesis, case, "float32")
    assert_close(backend.array(loss), photometric[f"{case}/loss"].reshape(()), LOSS32)


def test_parts_of_self_supervision(backend, photometric, disparities, synthesis):
    module, losses = backend.module("losses.multiscale"), backend.module("losses.photometric")
    target, source = (image_of(backend, photometric[name]) for name in ("target", "source_0"))
    one, other = (
        image.reshape([-1, 1, *image.shape[2:]]) for image in (target, source)
    )  # no mean of channels
    error = backend.array(losses.weighted_error(one, losses.window_statistics(other), 1, 0))
    error = error.reshape(-1, 3, *error.shape[2:])
    assert_close(error[..., ::2, ::2], (1 - photometric["ssim"]) / 2, SINGLE_SSIM)
    # Recorded with their signs.
    in_x, in_y = module.weighted_differences(backend.tensor(disparities[0]), target)
    assert_close(backend.array(in_x)[..., ::2, ::2], abs(photometric["smoothness_x"]), GEOMETRY)
    assert_close(backend.array(in_y)[..., ::2, ::2], abs(photometric["smoothness_y"]), GEOMETRY)
    resized = backend.array(synthesis.resize_corners(target, 24, 40))
    assert_close(resized, photometric["target_scale_2_bilinear_corners"], GEOMETRY)


def test_progressive_scaling(backend):
    """All scales at first, one less after each part; 0: always all."""
    used = backend.module("losses.multiscale").scales_in_use
    assert [used(progress, 0.2, 4) for progress in (0, 0.2, 0.21, 0.4, 0.41, 0.6, 0.61, 1)] == [
        *(4, 4, 3, 3, 2, 2, 1, 1)
    ]
    assert used(0.9, 0.0, 4) == 4


# ---- supervision -----------------------------------------------------------------------------------------


def test_supervision(backend, arrays, supervision, disparities, synthesis):
    """Every recorded method, upsampled or at native size, of one scale or four, with gradients; double precision."""
    module = backend.module("losses.supervised")
    assert [int(one) for one in (supervision["depth"] > 0).sum(axis=(1, 2, 3))] == supervision[
        "valid"
    ].tolist()
    depths = {
        "sparse": supervision["depth"],
        "dense": arrays.smooth(f"{P}/dense_depth", SHAPE, (4, 6), 2, 40),
    }
    truths = {
        name: synthesis.true_disparity(backend.tensor(depth.astype(np.float64)))
        for name, depth in depths.items()
    }
    cases = {name.rpartition("/")[0] for name in supervision if name.startswith(("upsampled", "native"))}
    assert len(cases) == 23
    for case in sorted(cases):
        size, method, scales = case.split("/")
        inputs = [backend.tensor(one.astype(np.float64), gradient=True) for one in disparities]
        maps = [synthesis.resize_nearest(one, 96, 160) for one in inputs] if size == "upsampled" else inputs
        sparse = method.startswith("sparse")
        truth = truths["sparse" if sparse else "dense"]
        loss, valid = module.supervised_loss(maps, truth, method, int(scales[-1]))
        assert_close(backend.array(loss), supervision[f"{case}/loss"].reshape(()), LOSS64, label=case)
        assert int(valid) == (supervision["valid"].sum() if sparse else 2 * 96 * 160)
        if f"{case}/gradient_absolute_sum" in supervision:
            gradients = backend.gradients(loss, inputs)
            wanted = supervision[f"{case}/gradient_inverse_depth_0"]
            assert_close(gradients[0][..., ::4, ::2], wanted, GRADIENT, label=case)
            sums = np.array([abs(gradient).sum() for gradient in gradients])
            assert_close(sums, supervision[f"{case}/gradient_absolute_sum"], GRADIENT, label=case)


KINDS = [prefix + kind for prefix in ("", "sparse-") for kind in ("l1", "mse", "abs_rel", "silog", "berhu")]


@pytest.mark.parametrize("method", KINDS)
def test_supervision_without_a_pixel(backend, method):
    """0 and no gradient where nothing is measured; and no number that is none where all is predicted exactly."""
    module = backend.module("losses.supervised")
    values = np.full((1, 1, 4, 6), 0.25, np.float32)
    predicted = backend.tensor(values, gradient=True)
    truth = np.zeros_like(values) if method.startswith("sparse-") else values
    loss, valid = module.supervised_loss([predicted], backend.tensor(truth), method, 1)
    (gradient,) = backend.gradients(loss, [predicted])
    assert (float(backend.array(loss)), int(valid)) == (0, 0 if method.startswith("sparse-") else 24)
    assert not gradient.any()


def test_dense_berhu(backend):
    """By hand: differences 0.5, -0.3, 0, 0.05; those above 0.1 count again, squared."""
    module = backend.module("losses.supervised")
    predicted = backend.tensor(np.array([[[[1.0, 0.2, 0.5, 0.55]]]]))
    truth = backend.tensor(np.full((1, 1, 1, 4), 0.5))
    loss, _ = module.supervised_loss([predicted], truth, "berhu", 1)
    assert_close(backend.array(loss), (0.5 + 0.3 + 0.05 + 0.25 + 0.09) / 6, "float64")


@pytest.mark.parametrize("method", KINDS)
def test_only_berhu_jumps(backend, method):
    """The second of two differences passes a fifth of the first: (1 + 1 + 0.2) / 3 becomes (1 + 1 + 0.2 + 0.04) / 4."""
    module = backend.module("losses.supervised")
    losses = []
    for second in (0.2 - 1e-9, 0.2 + 1e-9):
        predicted = backend.tensor(np.array([[[[1.5, 0.5 + second]]]]))
        loss, _ = module.supervised_loss([predicted], backend.tensor(np.full((1, 1, 1, 2), 0.5)), method, 1)
        losses.append(float(backend.array(loss)))
    wanted = 2.2 / 3 - 2.24 / 4 if method.endswith("berhu") else 0
    assert losses[0] - losses[1] == pytest.approx(wanted, abs=1e-7)


def test_no_such_method(backend):
    module = backend.module("losses.supervised")
    one = backend.tensor(np.ones((1, 1, 2, 2), np.float32))
    with pytest.raises(ValueError, match="sparse-l2"):
        module.supervised_loss([one], one, "sparse-l2", 1)


def test_velocity(backend, supervision, synthesis):
    module = backend.module("losses.velocity")
    vectors = supervision["velocity/pose_vector"].astype(np.float64)
    pose = backend.tensor(vectors, gradient=True)
    truth = backend.tensor(supervision["velocity/T_truth"].astype(np.float64))
    sides = [[synthesis.motion(pose[:, j]) for j in range(2)], [truth[:, j] for j in range(2)]]
    loss = module.velocity_loss(*sides)
    assert_close(backend.array(loss), supervision["velocity/loss"].reshape(()), LOSS64)
    (gradient,) = backend.gradients(loss, [pose])
    assert_close(gradient, supervision["velocity/gradient_pose_vector"], GRADIENT)
    still = backend.tensor(np.zeros((2, 6)), gradient=True)
    loss = module.velocity_loss([synthesis.motion(still)], [truth[:, 0]])
    assert not backend.gradients(loss, [still])[0].any()


def test_whole_models(backend, photometric, supervision, disparities, synthesis):
    """What the terms add up to, by how a model is taught, in single precision."""
    supervised, velocity = backend.module("losses.supervised"), backend.module("losses.velocity")
    with backend.no_gradients():
        self_loss, *_ = run_case(backend, photometric, disparities, synthesis, "default", "float32")
        assert_close(backend.array(self_loss), supervision["model/self_supervised/loss"].reshape(()), LOSS32)
        motions = [synthesis.motion(backend.tensor(photometric[f"pose_vector_{j}"])) for j in range(2)]
        truth = backend.tensor(supervision["velocity/T_truth"])
        total = self_loss + 0.1 * velocity.velocity_loss(motions, [truth[:, j] for j in range(2)])
        assert_close(backend.array(total), supervision["model/velocity_supervised/loss"].reshape(()), LOSS32)
        maps = [synthesis.resize_nearest(backend.tensor(one), 96, 160) for one in disparities]
        true = synthesis.true_disparity(backend.tensor(supervision["depth"]))
        for name, weight, method in (
            ("semi_supervised_0.9", 0.9, "sparse-l1"),
            ("semi_supervised_0.5_silog", 0.5, "sparse-silog"),
            ("supervised_1.0_l1", 1.0, "sparse-l1"),
        ):
            taught, _ = supervised.supervised_loss(maps, true, method, 4)
            total = (1 - weight) * self_loss + weight * taught
            recorded = supervision[f"model/{name}/loss"].reshape(())
            assert_close(backend.array(total), recorded, LOSS32, label=name)
