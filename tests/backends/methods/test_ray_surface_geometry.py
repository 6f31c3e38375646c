"""Rays and their projection against the recorded numbers of the published program, and against formulas."""

import numpy as np
import pytest

from core.options.schedule import falling_temperature, ray_coefficient
from tests.tolerances import assert_close

pytestmark = pytest.mark.every_device

P = "golden/ray_surface"
EXACT = (1e-6, 0)  # recorded in double precision, stored in single
SUMS = (1e-9, 0)
LARGEST, MEAN = 3e-4, 1e-5  # of coordinates in single precision
SINGLE_GRADIENT = (4e-3, 0)

# template, progress, radius
CASES = {
    "dummy_0": ("dummy", 0.0, 20),
    "narrow_025": ("narrow", 0.25, 20),
    "fisheye_1": ("kannala_brandt", 1.0, 20),
    "unified_0": ("unified", 0.0, 20),
    "narrow_patch_6": ("narrow", 0.1, 6),
    "full_resolution": ("narrow", 0.5, 20),
}


@pytest.fixture(scope="module")
def geometry(golden):
    return dict(golden("ray_surface/geometry.npz"))


@pytest.fixture(scope="module")
def projection(backend):
    return backend.module("losses.ray_projection")


# ---- templates, by formulas of their own ------------------------------------------------------------------


def normalised(rays):
    return rays / np.linalg.norm(rays, axis=0)


def pinhole(height, width, fx, fy, cx, cy):
    v, u = np.mgrid[:height, :width].astype(np.float64)
    return normalised(np.stack([(u - cx) / fx, (v - cy) / fy, np.ones_like(u)]))


def kannala_brandt(height, width, fx, fy, cx, cy, *ks):
    """By bisection."""
    v, u = np.mgrid[:height, :width].astype(np.float64)
    x, y = (u - cx) / fx, (v - cy) / fy
    rho = np.hypot(x, y)
    low, high = np.zeros_like(rho), np.full_like(rho, np.pi)
    for _ in range(60):
        middle = (low + high) / 2
        short = middle * (1 + sum(k * middle ** (2 * i + 2) for i, k in enumerate(ks))) < rho
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    ratio = np.sin(low) / np.maximum(rho, 1e-300)
    return np.stack([x * ratio, y * ratio, np.cos(low)])


def unified(height, width, fx, fy, cx, cy, xi):
    v, u = np.mgrid[:height, :width].astype(np.float64)
    x, y = (u - cx) / fx, (v - cy) / fy
    square = x**2 + y**2
    eta = (xi + np.sqrt(1 + (1 - xi**2) * square)) / (1 + square)
    return np.stack([eta * x, eta * y, eta - xi])


def template_of(geometry, name, height=96, width=128):
    """(1, 3, H, W), rounded to float32."""
    parameters = geometry[f"template/{name}/parameters"].copy()
    if height == 48:
        parameters[:2] /= 2
        parameters[2:4] = (parameters[2:4] + 0.5) / 2 - 0.5
    make = {"kannala_brandt": kannala_brandt, "unified": unified}.get(name, pinhole)
    return make(height, width, *parameters)[None].astype(np.float32)


@pytest.mark.parametrize("name", ["dummy", "narrow", "kannala_brandt", "unified"])
def test_templates(geometry, name):
    """The formulas here are those of the record."""
    template = template_of(geometry, name)
    assert_close(template[..., ::4, ::4], geometry[f"template/{name}/rays"], EXACT)
    assert_close(template[0].sum(axis=(1, 2), dtype=np.float64), geometry[f"template/{name}/sum"], EXACT)


def test_schedules(geometry):
    progress = geometry["schedule/progress"]
    assert_close([ray_coefficient(p) for p in progress], geometry["schedule/coefficient"], EXACT)
    assert_close([falling_temperature(p) for p in progress], geometry["schedule/temperature"], EXACT)


def test_windows(backend, geometry):
    window = backend.module("losses.ray_search").window
    for name in (name for name in geometry if name.startswith("window/")):
        count, radius = map(int, name.removeprefix("window/").split("_"))
        side, starts = window(count, radius)
        assert (side, starts) == (2 * radius + 1, geometry[name].tolist())
    assert window(32, 20) == (32, [0] * 32)
    assert window(41, 20) == (41, [0] * 41)
    assert window(42, 20) == (41, [0] * 21 + [1] * 21)
    assert window(5, 1) == (3, [0, 0, 1, 2, 2])


def residual_of(arrays, height=96, width=128):
    return arrays.smooth(f"{P}/residual", (2, 3, height, width), (3, 4), -0.1, 0.1)


def test_rays(backend, arrays, geometry, projection):
    template = backend.tensor(template_of(geometry, "dummy").astype(np.float64))
    residual = backend.tensor(residual_of(arrays).astype(np.float64), gradient=True)
    for progress in ("0.1", "0.25", "1.0"):
        rays = projection.ray_surface(template, residual, ray_coefficient(float(progress)))
        assert_close(backend.array(rays)[..., ::4, ::4], geometry[f"rays/progress_{progress}"], EXACT)
    # At the start the residual has gradients that are zero, and not none: an optimiser counts its steps.
    rays = projection.ray_surface(template, residual, 0.0)
    (rays * rays).sum().backward()
    assert residual.grad is not None and not backend.array(residual.grad).any()


def test_transforms(backend, geometry):
    synthesis = backend.module("losses.view_synthesis")
    for vectors, wanted in zip(geometry["pose_vector"], geometry["T_source_target"], strict=True):
        found = synthesis.motion(backend.tensor(vectors.astype(np.float64)))
        assert_close(backend.array(found), wanted, EXACT)


# ---- projection -------------------------------------------------------------------------------------------


def project(backend, arrays, geometry, projection, case, precision, **settings):
    """Coordinates, and what gradients are asked for: depth, residual, pose vector; and the points."""
    name, progress, radius = CASES[case]
    size = (48, 64) if case == "full_resolution" else (96, 128)
    template = template_of(geometry, name, *size)
    depth = arrays.smooth(f"{P}/depth", (2, 1, *size), (4, 6), 2, 20)
    inputs = [
        backend.tensor(one.astype(precision), gradient=True)
        for one in (depth, residual_of(arrays, *size), geometry["pose_vector"][0])
    ]
    depth, residual, vector = inputs
    rays = projection.ray_surface(
        backend.tensor(template.astype(precision)), residual, ray_coefficient(progress)
    )
    chosen = {"patch_side": radius, "temperature": falling_temperature(progress)}
    chosen["downsample"] = case != "full_resolution"
    grids, seen = projection.project_rays(
        [1 / depth],
        rays,
        [backend.module("losses.view_synthesis").motion(vector)],
        projection.ProjectionSettings(**chosen | settings),
    )
    return grids[0][0], seen[0][0], inputs, rays * depth


def cut(values, recorded):
    """Every so many pixels of (B, H, W, 2), where that is what is recorded."""
    step = values.shape[1] // recorded.shape[1]
    return values[:, ::step, ::step]


@pytest.mark.parametrize("case", ["narrow_025", "narrow_patch_6"])
def test_projection(backend, arrays, geometry, projection, case):
    """The others are compared in tests/slow."""
    check_projection(backend, arrays, geometry, projection, case)


def check_projection(backend, arrays, geometry, projection, case):
    """Coordinates, warped source and all gradients, in double precision."""
    grid, seen, inputs, points = project(backend, arrays, geometry, projection, case, "float64")
    found = backend.array(grid)
    assert_close(cut(found, geometry[f"{case}/coordinates"]), geometry[f"{case}/coordinates"], EXACT)
    assert_close(found.sum(axis=(1, 2)), geometry[f"{case}/coordinate_sums"], SUMS)
    assert backend.array(seen).mean() > 0.9
    if f"{case}/points" in geometry:
        assert_close(backend.array(points)[..., ::4, ::4], geometry[f"{case}/points"], EXACT)
    if f"{case}/warped" in geometry:
        texture = arrays.smooth(f"{P}/texture", (2, 3, 112, 144), (14, 18), 0, 1)
        source = backend.tensor(texture[..., 6:102, 4:132].astype(np.float64))
        warped = backend.array(projection.sampled(source, grid))
        assert_close(warped[..., ::2, ::2], geometry[f"{case}/warped"], EXACT)
    weights = arrays.uniform(f"{P}/coordinates_objective", found.shape, -1, 1).astype(np.float64)
    objective = (grid * backend.tensor(weights)).sum()
    assert_close(backend.array(objective), geometry[f"{case}/objective"], (0, SUMS[0] * abs(weights).sum()))
    check_gradients(backend.gradients(objective, inputs), geometry, case, EXACT)


def check_gradients(gradients, geometry, case, tolerance):
    depth, residual, vector = gradients
    assert_close(depth[..., ::2, ::2], geometry[f"{case}/gradient_depth"], tolerance)
    assert_close(residual[..., ::4, ::4], geometry[f"{case}/gradient_residual"], tolerance)
    assert_close(vector, geometry[f"{case}/gradient_pose_vector"], tolerance)
    if tolerance == EXACT:
        sums = abs(depth).sum(axis=(1, 2, 3))
        assert_close(sums, geometry[f"{case}/gradient_depth_sums"], SUMS)
        terms = abs(residual).sum(axis=(2, 3)).max()
        wanted = geometry[f"{case}/gradient_residual_sums"]
        assert_close(residual.sum(axis=(2, 3)), wanted, (0, SUMS[0] * terms))


def test_projection_in_single_precision(backend, arrays, geometry, projection):
    check_single_precision(backend, arrays, geometry, projection, "narrow_patch_6")


def check_single_precision(backend, arrays, geometry, projection, case):
    grid, _, inputs, _ = project(backend, arrays, geometry, projection, case, "float32")
    found = backend.array(grid)
    error = abs(cut(found, geometry[f"{case}/coordinates"]) - geometry[f"{case}/coordinates"])
    assert error.max() <= LARGEST and error.mean() <= MEAN
    weights = arrays.uniform(f"{P}/coordinates_objective", found.shape, -1, 1)
    gradients = backend.gradients((grid * backend.tensor(weights)).sum(), inputs)
    check_gradients(gradients, geometry, case, SINGLE_GRADIENT)


def test_a_map_smaller_than_the_window(backend, arrays, geometry, projection):
    template = pinhole(48, 64, *geometry["ours_small_map/parameters"])[None].astype(np.float32)
    depth = arrays.smooth(f"{P}/depth", (2, 1, 48, 64), (4, 6), 2, 20).astype(np.float64)
    motion = backend.module("losses.view_synthesis").motion
    rays = projection.unit(backend.tensor(np.repeat(template.astype(np.float64), 2, axis=0)))
    T = motion(backend.tensor(geometry["pose_vector"][0].astype(np.float64)))
    grids, _ = projection.project_rays(
        [backend.tensor(1 / depth)], rays, [T], projection.ProjectionSettings()
    )
    found = backend.array(grids[0][0])
    assert_close(found, geometry["ours_small_map/coordinates"], EXACT)
    assert_close(found.sum(axis=(1, 2)), geometry["ours_small_map/coordinate_sums"], SUMS)
