"""The projection through rays against formulas: its search, its gradients, its symmetry, its refinement."""

import numpy as np
import pytest

from core.geometry import rotation
from tests.backends.methods.test_ray_surface_geometry import pinhole
from tests.tolerances import assert_close

EXACT = (1e-6, 0)
BEND = 0.02  # of the rays, so that they are no pinhole camera's


@pytest.fixture(scope="module")
def search(backend):
    return backend.module("losses.ray_search")


@pytest.fixture(scope="module")
def projection(backend):
    return backend.module("losses.ray_projection")


def bent_rays(arrays, height, width, batch=2):
    """(B, 3, H, W), unit, and the angle between neighbours."""
    focal = 0.7 * width
    rays = pinhole(height, width, focal, focal, (width - 1) / 2, (height - 1) / 2)
    bend = arrays.smooth("ray bend", (batch, 3, height, width), (2, 3), -BEND, BEND)
    rays = rays + bend
    return rays / np.linalg.norm(rays, axis=1, keepdims=True), 1 / focal


def directions_of(arrays, rays, spacing, count=2):
    """(B, N, 3, H, W), up to three pixels from the rays."""
    moves = arrays.smooth("ray moves", (rays.shape[0], count, *rays.shape[1:]), (2, 2), -1, 1)
    found = rays[:, None] + 3 * spacing * moves
    return found / np.linalg.norm(found, axis=2, keepdims=True)


def plain_search(directions, rays, temperature, radius, valid=None):
    """Every candidate of every pixel, with gradients of Σ (row · by_row + column · by_column)."""
    batch, number, _, height, width = directions.shape
    row, column = np.zeros((2, batch, number, height, width))
    jacobians = []
    for i in range(height):
        for j in range(width):
            tops = []
            for pixel, count in ((i, height), (j, width)):
                side = min(2 * radius + 1, count)
                first = min(max(pixel - radius, 0), count - side)
                tops.append(np.arange(first, first + side))
            rows, columns = (one.ravel() for one in np.meshgrid(*tops, indexing="ij"))
            ray = rays[:, :, rows, columns]
            logits = np.einsum("bnc,bck->bnk", directions[..., i, j], ray) / temperature
            if valid is not None:
                logits = np.where(valid[:, None, 0, rows, columns] > 0, logits, -np.inf)
            weights = np.exp(logits - logits.max(axis=2, keepdims=True))
            weights /= weights.sum(axis=2, keepdims=True)
            row[..., i, j], column[..., i, j] = weights @ rows, weights @ columns
            jacobians.append((i, j, rows, columns, weights))
    return row, column, jacobians


def plain_gradients(directions, rays, temperature, found, by_row, by_column):
    row, column, jacobians = found
    of_directions, of_rays = np.zeros_like(directions), np.zeros_like(rays)
    for i, j, rows, columns, weights in jacobians:
        g = by_row[..., i, j, None] * (rows - row[..., i, j, None])
        g = weights * (g + by_column[..., i, j, None] * (columns - column[..., i, j, None])) / temperature
        of_directions[..., i, j] = np.einsum("bnk,bck->bnc", g, rays[:, :, rows, columns])
        np.add.at(
            of_rays,
            (slice(None), slice(None), rows, columns),
            np.einsum("bnk,bnc->bck", g, directions[..., i, j]),
        )
    return of_directions, of_rays


@pytest.mark.parametrize(
    ("size", "radius", "chunk", "masked"),
    [((13, 16), 3, 1, False), ((13, 16), 3, 3, True), ((14, 9), 4, 7, False), ((6, 11), 5, 2, True)],
)
def test_the_streamed_search(backend, arrays, search, size, radius, chunk, masked):
    """Equal to the plain formula, forward and backward, whatever is streamed: odd sizes, batches, maps as a window."""
    rays, spacing = bent_rays(arrays, *size)
    rays = rays * arrays.uniform64("ray lengths", (2, 1, *size), 0.9999, 1)  # as resizing leaves them
    directions, temperature = directions_of(arrays, rays, spacing), (0.7 * spacing) ** 2
    valid = (arrays.uniform64("ray mask", (1, 1, *size)) > 0.3).astype(np.float64) if masked else None
    found = plain_search(directions, rays, temperature, radius, valid)
    by = [arrays.uniform64(f"ray objective {one}", found[0].shape, -1, 1) for one in range(2)]
    wanted = plain_gradients(directions, rays, temperature, found, *by)
    for precision, bound in ((None, EXACT), (np.float32, (3e-4, 0))):
        inputs = [backend.tensor(one, gradient=True) for one in (directions, rays)]
        chosen = None if precision is None else backend.tensor(np.zeros(1, precision)).dtype
        mask = None if valid is None else backend.tensor(valid)
        row, column, _ = search.soft_search(*inputs, temperature, radius, chunk, mask, chosen)
        for one, plain in ((row, found[0]), (column, found[1])):
            assert_close(backend.array(one), plain, bound)
        objective = (row * backend.tensor(by[0])).sum() + (column * backend.tensor(by[1])).sum()
        for one, plain in zip(backend.gradients(objective, inputs), wanted, strict=True):
            assert_close(one, plain, bound)


def test_known_rays_need_no_gradient(backend, arrays, search):
    """Nothing is added up for them, and that of directions stays what it is."""
    rays, spacing = bent_rays(arrays, 9, 12)
    directions = directions_of(arrays, rays, spacing)
    found = []
    for known in (True, False):
        inputs = [backend.tensor(directions, gradient=True), backend.tensor(rays, gradient=not known)]
        row, column, _ = search.soft_search(*inputs, 1e-3, 3)
        found.append(backend.gradients((row * row + column).sum(), inputs[:1] if known else inputs)[0])
    np.testing.assert_array_equal(*found)


def test_a_window_without_any_ray(backend, arrays, search):
    """Its mean, and no number that is none."""
    rays, spacing = bent_rays(arrays, 8, 8)
    tensors = [backend.tensor(one, gradient=True) for one in (directions_of(arrays, rays, spacing), rays)]
    valid = np.ones((1, 1, 8, 8))
    valid[..., :3, :3] = 0
    row, column, best = search.soft_search(*tensors, 1e-4, 1, 1, backend.tensor(valid))
    assert_close(backend.array(row)[:, :, 0, 0], np.ones((2, 2)))
    assert (backend.array(best)[:, :, 0, 0] < -1e29).all()
    for gradient in backend.gradients((row * column).sum(), tensors):
        assert np.isfinite(gradient).all()


def scene(arrays, backend, size=(40, 52), precision="float64"):
    """Rays, a disparity, a motion T (4, 4), and two images."""
    rays, spacing = bent_rays(arrays, *size)
    disparity = arrays.smooth("ray disparity", (2, 1, *size), (3, 3), 0.1, 0.5)
    T = np.tile(np.eye(4), (2, 1, 1))
    T[:, :3, :3] = rotation(np.array([0.01, -0.015, 0.02]))
    T[:, :3, 3] = [[0.1, -0.05, 0.15], [-0.12, 0.04, 0.2]]
    images = [arrays.smooth(f"ray image {one}", (2, 3, *size), (8, 9)) for one in range(2)]
    return [one.astype(precision) for one in (rays, disparity, T, *images)], spacing


@pytest.mark.parametrize("kind", ["soft", "refined"])
def test_symmetry(backend, arrays, projection, kind):
    """Rays and motions seen in another basis, mirrored even, give the same views and the same loss."""
    (rays, disparity, T, target, source), spacing = scene(arrays, backend)
    Q, _ = np.linalg.qr(arrays.uniform64("ray basis", (3, 3), -1, 1))
    Q *= -np.linalg.det(Q)
    whole = np.eye(4)
    whole[:3, :3] = Q
    photometric = backend.module("losses.ray_photometric").ray_photometric_loss
    settings = backend.module("losses.multiscale").PhotometricSettings()
    chosen = projection.ProjectionSettings(kind, patch_side=6, temperature=(1.4 * spacing) ** 2)
    losses = []
    for one, motion in ((rays, T), (np.einsum("ij,bjhw->bihw", Q, rays), whole @ T @ whole.T)):
        tensors = [backend.tensor(np.ascontiguousarray(x)) for x in (disparity, one, target, source, motion)]
        tensors = [[tensors[0]], *tensors[1:3], [tensors[3]], [tensors[4]]]
        loss, _, warped = photometric(*tensors, settings, chosen)
        losses.append((backend.array(loss), backend.array(warped[0][0])))
    assert_close(losses[1][0], losses[0][0], "float64")
    assert_close(losses[1][1], losses[0][1], (1e-8, 0))
    assert abs(losses[0][1] - source).max() > 0.01


def exact_pixels(disparity, T, height, width):
    """Where points of a pinhole camera lie in another, and the camera."""
    fx = 0.7 * width
    parameters = fx, fx, (width - 1) / 2, (height - 1) / 2
    rays = pinhole(height, width, *parameters)[None].repeat(2, axis=0)
    points = np.einsum("bij,bjhw->bihw", T[:, :3, :3], rays / disparity) + T[:, :3, 3, None, None]
    x = fx * points[:, 0] / points[:, 2] + parameters[2]
    y = fx * points[:, 1] / points[:, 2] + parameters[3]
    return rays, x, y


def test_refined_projection(backend, arrays, projection):
    """Of a pinhole camera, within two thousandths of a pixel, also where the motion is large; its derivative, too."""
    (_, disparity, T, *_), _ = scene(arrays, backend)
    height, width = disparity.shape[2:]
    rays, x, y = exact_pixels(disparity, T, height, width)
    assert np.hypot(x - np.arange(width), y - np.arange(height)[:, None]).max() > 3
    tensor, scale = (
        backend.tensor(disparity, gradient=True),
        backend.tensor(np.array([width - 1, height - 1.0])),
    )
    settings = projection.ProjectionSettings("refined", patch_side=10)
    grids, seen = projection.project_rays([tensor], backend.tensor(rays), [backend.tensor(T)], settings)
    pixels = (grids[0][0] + 1) / 2 * scale
    found = backend.array(pixels)
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    outside = (x < -0.1) | (x > width - 0.9) | (y < -0.1) | (y > height - 0.9)
    error = np.hypot(found[..., 0] - x, found[..., 1] - y)
    assert error[inside].max() < 0.005  # of a coarse camera: the bilinear surface is not the camera
    assert backend.array(seen[0][0])[:, 0][inside].all()
    assert outside.any() and not backend.array(seen[0][0])[:, 0][outside].any()
    (gradient,) = backend.gradients(pixels[..., 0].sum(), [tensor])
    step = 1e-4
    change = [exact_pixels(disparity + sign * step, T, height, width)[1] for sign in (1, -1)]
    wanted = (change[0] - change[1]) / (2 * step)
    assert_close(gradient[:, 0][inside], wanted[inside], (0.02, 0))  # slopes of the surface are a cell's


def test_gradients_of_the_refined_projection(backend, arrays, projection):
    """Against differences of its own: of disparity, rays and motion together, in directions drawn once."""
    (rays, disparity, T, *_), spacing = scene(arrays, backend, (24, 28))
    check_gradient(backend, arrays, projection, rays, disparity, T, "refined", spacing)


def test_gradients_of_the_soft_projection(backend, arrays, projection):
    (rays, disparity, T, *_), spacing = scene(arrays, backend, (24, 28))
    check_gradient(backend, arrays, projection, rays, disparity, T, "soft", spacing)


def check_gradient(backend, arrays, projection, rays, disparity, T, kind, spacing):
    settings = projection.ProjectionSettings(kind, patch_side=4, temperature=(1.4 * spacing) ** 2, chunk=2)
    values = disparity, rays, T
    changes = [
        scale * arrays.uniform64(f"ray step {scale} {one.ndim}", one.shape, -1, 1)
        for one, scale in zip(values, (1e-2, 1e-4, 1e-3), strict=True)
    ]
    changes[2][:, 3] = 0
    weights = arrays.uniform64("ray weights", (*disparity[:, 0].shape, 2), -1, 1)

    def objective(step):
        inputs = [
            backend.tensor(one + step * change, gradient=True)
            for one, change in zip(values, changes, strict=True)
        ]
        grids, seen = projection.project_rays([inputs[0]], inputs[1], [inputs[2]], settings)
        inner = backend.array(seen[0][0])[:, 0, :, :, None] * weights
        return (grids[0][0] * backend.tensor(inner)).sum(), inputs

    gradients = backend.gradients(*objective(0.0))
    found = sum(float((one * change).sum()) for one, change in zip(gradients, changes, strict=True))
    ends = [float(backend.array(objective(step)[0])) for step in (1e-5, -1e-5)]
    terms = sum(float(abs(one * change).sum()) for one, change in zip(gradients, changes, strict=True))
    assert_close(found, (ends[0] - ends[1]) / 2e-5, (0, 1e-5 * terms))


def test_points_at_the_centre(backend, arrays, projection):
    """Of the camera: no direction, and no gradient that is no number."""
    (rays, disparity, *_), _ = scene(arrays, backend, (16, 20))
    still = np.tile(np.eye(4), (2, 1, 1))
    disparity = np.full_like(disparity, 0.5)
    still[:, :3, 3] = -2 * rays[:, :, 8, 8]
    for kind in ("soft", "refined"):
        inputs = [backend.tensor(one, gradient=True) for one in (disparity, rays, still)]
        settings = projection.ProjectionSettings(kind, patch_side=3, downsample=False)
        grids, _ = projection.project_rays([inputs[0]], inputs[1], [inputs[2]], settings)
        assert np.isfinite(backend.array(grids[0][0])).all()
        for gradient in backend.gradients(grids[0][0].sum(), inputs):
            assert np.isfinite(gradient).all()


def test_what_is_unseen_or_masked(backend, arrays):
    """Counts in no loss: hand-made errors of two sources, and their masks."""
    masked = backend.module("losses.ray_photometric").masked
    errors = [np.array([[[[0.1, 0.5, 0.2, 0.3]]]]), np.array([[[[0.4, 0.2, 0.1, 0.9]]]])]
    counted = [np.array([[[[True, True, False, False]]]]), np.array([[[[True, False, True, False]]]])]
    tensors = [[backend.tensor(one) for one in each] for each in (errors, counted)]
    assert_close(backend.array(masked(*tensors, True)), (0.1 + 0.5 + 0.1) / 3, "float64")
    assert_close(backend.array(masked(*tensors, False)), (0.3 + 0.25) / 2, "float64")
    nowhere = [backend.tensor(np.zeros_like(one)) for one in counted]
    assert float(backend.array(masked(tensors[0], nowhere, True))) == 0


def test_a_masked_template(backend, arrays, projection):
    """Where it has no ray the images may hold anything that SSIM's windows do not carry over the border."""
    (rays, disparity, T, target, source), spacing = scene(arrays, backend)
    valid = np.ones((1, 1, *disparity.shape[2:]))
    valid[..., :20] = 0
    photometric = backend.module("losses.ray_photometric").ray_photometric_loss
    settings = backend.module("losses.multiscale").PhotometricSettings(ssim_weight=0.0)
    for kind in ("soft", "refined"):
        chosen = projection.ProjectionSettings(kind, 6, temperature=(1.4 * spacing) ** 2, mask_unseen=True)
        found = []
        for dirt in (0.0, 5.0):
            dirty = [image.copy() for image in (target, source)]
            for image in dirty:
                image[..., :18] += dirt
            tensors = [backend.tensor(one) for one in (disparity, rays, *dirty, T, valid)]
            arguments = [
                [tensors[0]],
                *tensors[1:3],
                [tensors[3]],
                [tensors[4]],
                settings,
                chosen,
                tensors[5],
            ]
            found.append(float(backend.array(photometric(*arguments)[0])))
        assert found[0] == pytest.approx(found[1], rel=1e-12) and found[0] > 0
