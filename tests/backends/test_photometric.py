"""SSIM and absolute difference in one step, beside the plain formula, with finite differences as its gradient."""

import numpy as np
import pytest

from tests.tolerances import assert_close

EXACT = (1e-9, 1e-12)
DIFFERENCES = (1e-6, 1e-8)  # of central differences of step 1e-6
STEP = 1e-6


def window_mean(image, side):
    """Means over windows of a reflect-padded image, straight from the definition."""
    padded = np.pad(image, ((0, 0), (0, 0), *[(side // 2, side // 2)] * 2), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(2, 3))
    return windows.mean(axis=(4, 5))


def plain_error(x, y, ssim_weight, difference_weight, side=3):
    """The formula to the letter (Wang et al. 2004, eq. 13)."""
    mean_x, mean_y = window_mean(x, side), window_mean(y, side)
    variance_x, variance_y = (window_mean(one**2, side) - window_mean(one, side) ** 2 for one in (x, y))
    covariance = window_mean(x * y, side) - mean_x * mean_y
    numerator = (2 * mean_x * mean_y + 1e-4) * (2 * covariance + 9e-4)
    ssim = numerator / ((mean_x**2 + mean_y**2 + 1e-4) * (variance_x + variance_y + 9e-4))
    structure = np.clip((1 - ssim) / 2, 0, 1).mean(axis=1, keepdims=True)
    return ssim_weight * structure + difference_weight * abs(x - y).mean(axis=1, keepdims=True)


def images(height, width):
    """Two of them, the second partly equal to the first, for SSIM is 1 there and a clamp is at its bound."""
    rng = np.random.default_rng(height * width)
    x, y = rng.random((2, 2, 3, height, width))
    y[1, :, : height // 2] = 1 - x[1, :, : height // 2]
    return x, y, rng.random((2, 1, height, width))


@pytest.mark.parametrize("weights", [(0.85, 0.15), (0.85, 0), (0.6, 0.4)])
@pytest.mark.parametrize(("size", "side"), [((2, 2), 3), ((2, 5), 3), ((3, 4), 3), ((6, 5), 3), ((4, 8), 7)])
def test_error_and_gradient(backend, size, side, weights):
    """Of every pixel, also at the borders, where windows are reflected, and where they overlap with both."""
    x, y, cotangent = images(*size)
    module = backend.module("losses.photometric")
    leaf = backend.tensor(x, gradient=True)
    error = module.weighted_error(leaf, module.window_statistics(backend.tensor(y), side), *weights)
    assert_close(backend.array(error), plain_error(x, y, *weights, side), EXACT)
    (gradient,) = backend.gradients((error * backend.tensor(cotangent)).sum(), [leaf])
    wanted = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        moved = [x.copy(), x.copy()]
        for sign, image in zip((1, -1), moved, strict=True):
            image[place] += sign * STEP
        high, low = ((plain_error(image, y, *weights, side) * cotangent).sum() for image in moved)
        wanted[place] = (high - low) / (2 * STEP)
    assert_close(gradient, wanted, DIFFERENCES)


def test_a_network_in_half_precision_leaves_the_error_alone(backend):
    x, y, cotangent = (array.astype(np.float32) for array in images(6, 5))
    tensors = backend.module("tensors")
    error, leaf = backend.module("losses.photometric").PhotometricError(backend.tensor(y)), None
    found = []
    for precision in ("32", "bf16"):
        leaf = backend.tensor(x, gradient=True)
        with tensors.autocast(precision, leaf.device if hasattr(leaf, "device") else leaf.place):
            value = error(leaf)
            (gradient,) = backend.gradients((value * backend.tensor(cotangent)).sum(), [leaf])
        found.append((backend.array(value), gradient))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_value_that_is_no_number_shows_in_the_error(backend):
    x, y, _ = images(6, 5)
    x[0, 1, 3, 3] = np.nan
    error = backend.module("losses.photometric").PhotometricError(backend.tensor(y))
    found = np.isnan(backend.array(error(backend.tensor(x))))
    assert found[0, 0, 2:5, 2:5].all() and found.sum() == 9
