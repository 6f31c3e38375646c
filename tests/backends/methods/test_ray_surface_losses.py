"""The losses of neural ray surfaces against the recorded numbers of the published program."""

import numpy as np
import pytest

from core.options.schedule import falling_temperature, ray_coefficient
from tests.backends.methods.test_ray_surface_geometry import P, residual_of, template_of
from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

LOSS, SINGLE_LOSS = (1e-9, 0), (1e-5, 0)
EXACT = (1e-6, 0)  # recorded in double precision, stored in single
LEAST_COSINE = 0.99  # of gradients in single precision: the minimum switches between maps

# template, progress, scales, clip, minimum, automask, smoothness, SSIM's weight
CASES = {
    "default_0": ("narrow", 0.0, 4, 0.0, True, True, 0.001, 0.85),
    "default_02": ("narrow", 0.2, 4, 0.0, True, True, 0.001, 0.85),
    "dummy_05": ("dummy", 0.5, 2, 0.0, True, True, 0.001, 0.85),
    "clip_mean_1": ("kannala_brandt", 1.0, 1, 0.5, False, False, 0.1, 0.85),
    "l1_min": ("narrow", 0.1, 1, 0.0, True, False, 0.0, 0.0),
}


@pytest.fixture(scope="module")
def losses(golden):
    return dict(golden("ray_surface/losses.npz"))


@pytest.fixture(scope="module")
def geometry(golden):
    return dict(golden("ray_surface/geometry.npz"))


def images_of(arrays, precision):
    """Target and two sources, (2, 3, 96, 128)."""
    texture = arrays.smooth(f"{P}/texture", (2, 3, 112, 144), (14, 18), 0, 1)
    places = ((8, 8), (6, 4), (10, 12))
    return [texture[..., top : top + 96, left : left + 128].astype(precision) for top, left in places]


def run(backend, arrays, geometry, case, precision, samples=slice(None), valid=None, **settings):
    """Photometric and smoothness term, error maps, warped sources; disparities, residual, pose vectors."""
    name, progress, scales, clip, minimum, automask, smoothness, ssim = CASES[case]
    multiscale, synthesis = backend.module("losses.multiscale"), backend.module("losses.view_synthesis")
    projection = backend.module("losses.ray_projection")
    disparities = [
        arrays.smooth(f"{P}/inverse_depth/{scale}", (2, 1, 96 >> scale, 128 >> scale), (4, 6), 0.05, 0.5)
        for scale in range(scales)
    ]
    inputs = [
        backend.tensor(one[samples].astype(precision), gradient=True)
        for one in (*disparities, residual_of(arrays), *geometry["pose_vector"])
    ]
    *natives, residual, first, second = inputs
    template = backend.tensor(template_of(geometry, name).astype(precision))
    maps = [synthesis.resize_nearest(one, 96, 128) for one in natives]
    target, *sources = (backend.tensor(image[samples]) for image in images_of(arrays, precision))
    loss, errors, warped = backend.module("losses.ray_photometric").ray_photometric_loss(
        maps,
        projection.ray_surface(template, residual, ray_coefficient(progress)),
        target,
        sources,
        [synthesis.motion(vector) for vector in (first, second)],
        multiscale.PhotometricSettings(ssim, clip, minimum, automask),
        projection.ProjectionSettings(**{"temperature": falling_temperature(progress)} | settings),
        valid,
    )
    smooth = smoothness * multiscale.smoothness_loss(maps, target)
    return loss, smooth, errors, warped, inputs


def check_case(backend, arrays, geometry, losses, case, first_alone=False):
    """All that is recorded, in double precision, of both samples at once where no error is clipped."""
    clipped = CASES[case][3] > 0  # by the mean of the whole batch
    both = (slice(0, 1), slice(1, 2)) if clipped else (slice(None),)
    for samples in (slice(0, 1),) if first_alone else both:
        loss, smooth, errors, warped, inputs = run(backend, arrays, geometry, case, "float64", samples)
        count = inputs[0].shape[0]
        for found, name in ((loss, "photometric_loss"), (smooth, "smoothness_loss"), (loss + smooth, "loss")):
            wanted = losses[f"{case}/{name}"][samples].mean()
            assert_close(backend.array(found), wanted, LOSS, label=name)
        means = np.stack([[backend.array(one).mean(axis=(1, 2, 3)) for one in maps] for maps in errors])
        assert_close(np.moveaxis(means, 2, 0), losses[f"{case}/error_means"][samples], LOSS)
        gradients = backend.gradients((loss + smooth) * count, inputs)
        check_gradients(gradients, losses, case, samples)
        for number, one in enumerate(warped[0]):
            if f"{case}/warped_{number}_0" in losses:
                wanted = losses[f"{case}/warped_{number}_0"][samples]
                assert_close(backend.array(one)[..., ::2, ::2], wanted, EXACT)


def check_gradients(gradients, losses, case, samples):
    *natives, residual, first, second = gradients
    for scale, gradient in enumerate(natives):
        step = 2 if scale == 0 else 1
        wanted = losses[f"{case}/gradient_inverse_depth_{scale}"][samples]
        assert_close(gradient[..., ::step, ::step], wanted, EXACT, label=f"scale {scale}")
    assert_close(residual[..., ::4, ::4], losses[f"{case}/gradient_residual"][samples], EXACT)
    sums = abs(residual).sum(axis=(2, 3))
    assert_close(sums, losses[f"{case}/gradient_residual_sums"][samples], EXACT)
    for number, vector in enumerate((first, second)):
        assert_close(vector, losses[f"{case}/gradient_pose_vector_{number}"][samples], EXACT)


def check_single_precision(backend, arrays, geometry, losses, case):
    loss, smooth, _, _, inputs = run(backend, arrays, geometry, case, "float32")
    assert_close(backend.array(loss + smooth), losses[f"{case}/loss_float32"].mean(), SINGLE_LOSS)
    gradients = backend.gradients(loss + smooth, inputs)
    recorded = [losses[f"{case}/gradient_inverse_depth_0"], losses[f"{case}/gradient_residual"]]
    found = [gradients[0][..., ::2, ::2], gradients[-3][..., ::4, ::4]]
    for one, wanted in zip(found, recorded, strict=True):
        product = np.sum(one.astype(np.float64) * wanted, dtype=np.float64)
        assert product >= LEAST_COSINE * np.linalg.norm(one) * np.linalg.norm(wanted)


def test_images(arrays, losses):
    sums = [image.sum() for image in images_of(arrays, "float64")]
    assert_close(sums, losses["image_sums"], EXACT)


def test_recorded_losses(backend, arrays, geometry, losses):
    """Of one sample; both, and the other cases, are compared in tests/slow."""
    check_case(backend, arrays, geometry, losses, "dummy_05", first_alone=True)
