"""Camera models: their inverses against their formulas, recorded templates, and what has no ray."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from core.cameras.distortion import Distortion
from core.cameras.models import (
    Camera,
    Equirectangular,
    ImagePlane,
    KannalaBrandt,
    Limited,
    Pinhole,
    Unified,
    dummy,
    pixel_grid,
)
from tests.tolerances import assert_close

HEIGHT, WIDTH = 48, 64
PLANE = ImagePlane(30.0, 31.0, 31.5, 23.5)
BROWN = Distortion(-0.28, 0.07, 1e-3, -5e-4, 0.01)
CAMERAS = {
    "pinhole": Pinhole(PLANE),
    "pinhole with distortion": Pinhole(ImagePlane(60.0, 61.0, 31.0, 24.0), BROWN),
    "pinhole with eight numbers": Pinhole(
        ImagePlane(60.0, 61.0, 31.0, 24.0), Distortion(8.1, 3.2, 1e-4, 2e-4, 0.1, 8.4, 5.0, 0.6)
    ),
    "kannala_brandt": KannalaBrandt(PLANE, (0.05, -0.01, 0.002, -0.0003)),
    "kannala_brandt that turns back": KannalaBrandt(PLANE, (-0.1, 0.0, 0.0, 0.0)),
    "unified": Unified(PLANE, 0.95),
    "unified beyond the sphere": Unified(ImagePlane(60.0, 61.0, 31.0, 24.0), 1.6),
    "unified with distortion": Unified(
        ImagePlane(40.0, 41.0, 31.0, 24.0, 0.3), 1.1, Distortion(-0.2, 0.03, 1e-3)
    ),
    "equirectangular": Equirectangular(HEIGHT, WIDTH),
    "limited": Limited(Unified(PLANE, 0.95), 0.2, 1.2),
}
each = pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)


@each
def test_what_a_ray_meets_is_seen_in_its_pixel(camera: Camera) -> None:
    pixels = pixel_grid(HEIGHT, WIDTH) + 0.3
    rays, valid = camera.unproject(pixels)
    assert valid.mean() > 0.3
    assert_close(np.linalg.norm(rays, axis=-1), np.ones((HEIGHT, WIDTH)), "float64")
    back, seen = camera.project(rays * 7.0)
    assert seen[valid].all()
    assert np.abs(back - pixels)[valid].max() < 1e-6


@each
def test_what_is_seen_lies_on_the_ray_of_its_pixel(camera: Camera) -> None:
    points = np.random.default_rng(0).normal(size=(500, 3))
    pixels, seen = camera.project(points)
    assert seen.sum() > 20
    rays, valid = camera.unproject(pixels[seen])
    assert valid.all()
    directions = points[seen] / np.linalg.norm(points[seen], axis=1, keepdims=True)
    assert np.abs(rays - directions).max() < 1e-6  # near a fold the inverse is steep


@each
def test_nothing_is_seen_at_the_centre(camera: Camera) -> None:
    assert not camera.project(np.zeros((1, 3)))[1].any()


@each
def test_a_resized_image_keeps_its_rays(camera: Camera) -> None:
    pixels = pixel_grid(HEIGHT, WIDTH)
    rays, valid = camera.unproject(pixels)
    other = camera.resized(0.5, 1.75).unproject((pixels + 0.5) * [0.5, 1.75] - 0.5)
    assert (valid == other[1]).mean() > 0.999  # rounding on the very edge
    both = valid & other[1]
    assert np.abs(rays - other[0])[both].max() < 1e-9


@each
def test_rays_of_an_image_have_no_holes(camera: Camera) -> None:
    rays, valid = camera.rays(HEIGHT, WIDTH)
    assert rays.shape == (3, HEIGHT, WIDTH) and rays.dtype == np.float64 and valid.dtype == bool
    assert_close(np.linalg.norm(rays, axis=0), np.ones((HEIGHT, WIDTH)), "float64")
    own, inside = camera.unproject(pixel_grid(HEIGHT, WIDTH))
    assert np.array_equal(np.moveaxis(rays, 0, -1)[inside], own[inside]) and np.array_equal(valid, inside)


def test_a_pixel_without_a_ray_gets_the_nearest() -> None:
    camera = Limited(Pinhole(ImagePlane(20.0, 20.0, 9.0, 0.0)), 0.0, np.arctan(0.3))
    rays, valid = camera.rays(1, 19)
    assert np.flatnonzero(valid[0]).tolist() == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    assert np.array_equal(rays[:, 0, 0], rays[:, 0, 3]) and np.array_equal(rays[:, 0, 18], rays[:, 0, 15])


@pytest.mark.parametrize("name", ["dummy", "narrow", "kannala_brandt", "unified"])
def test_recorded_templates(name: str, golden: Callable[[str], Any]) -> None:
    recorded = golden("ray_surface/geometry.npz")
    numbers = recorded[f"template/{name}/parameters"]
    plane = ImagePlane(*numbers[:4])
    camera = {
        "dummy": dummy(96, 128),
        "narrow": Pinhole(plane),
        "kannala_brandt": KannalaBrandt(plane, tuple(numbers[4:])),
        "unified": Unified(plane, *numbers[4:5]),
    }[name]
    rays, valid = camera.rays(96, 128)
    assert valid.all()
    stored = rays[None].astype(np.float32)
    assert_close(stored[:, :, ::4, ::4], recorded[f"template/{name}/rays"], (1e-6, 0.0))
    assert_close(stored.sum((0, 2, 3), dtype=np.float64), recorded[f"template/{name}/sum"], (1e-6, 1e-4))


def test_a_pinhole_is_its_matrix() -> None:
    """r ∝ K⁻¹ (u, v, 1) exactly, and the plane z = 1 has the range 1 / r_z."""
    camera = Pinhole(PLANE)
    rays, _ = camera.rays(HEIGHT, WIDTH)
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    plane = np.einsum("ij,jhw->ihw", np.linalg.inv(camera.K), np.stack([u, v, np.ones_like(u)]).astype(float))
    assert_close(rays / rays[2], plane, "float64")
    distance = 1 / rays[2]
    assert_close(rays * distance, plane, "float64")
    assert_close(distance, np.linalg.norm(plane, axis=0), "float64")


@pytest.mark.parametrize(
    "numbers", [(-0.28, 0.07, 1e-3, -5e-4, 0.01), (8.1, 3.2, 1e-4, 2e-4, 0.1, 8.4, 5.0, 0.6)]
)
def test_pinhole_distortion_is_that_of_calibration_programs(numbers: tuple[float, ...]) -> None:
    points = np.random.default_rng(1).normal(size=(50, 3)) * [0.4, 0.3, 0.0] + [0, 0, 1]
    camera = Pinhole(PLANE, Distortion(*numbers))
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), camera.K, np.array(numbers))
    assert_close(camera.project(points)[0], expected[:, 0], "float64")


def test_fisheye_is_that_of_calibration_programs() -> None:
    points = np.random.default_rng(1).normal(size=(50, 3)) * [0.9, 0.9, 0.0] + [0, 0, 1]
    k = (0.05, -0.01, 0.002, -0.0003)
    expected, _ = cv2.fisheye.projectPoints(
        points[:, None], np.zeros(3), np.zeros(3), Pinhole(PLANE).K, np.array(k)
    )
    assert_close(KannalaBrandt(PLANE, k).project(points)[0], expected[:, 0], "float64")


def test_unified_is_its_formula() -> None:
    """(X, Y, Z) / norm = (x, y, z), u = fx x / (z + ξ) + cx, Mei's distortion between."""
    points = np.random.default_rng(1).normal(size=(50, 3)) + np.array([0, 0, 1.5])
    x, y, z = (points / np.linalg.norm(points, axis=1, keepdims=True)).T
    k1, k2, p1, p2, xi = -0.2, 0.03, 1e-3, 2e-3, 0.9
    x, y = x / (z + xi), y / (z + xi)
    square = x**2 + y**2
    radial = 1 + k1 * square + k2 * square**2
    x, y = (
        x * radial + 2 * p1 * x * y + p2 * (square + 2 * x**2),
        y * radial + p1 * (square + 2 * y**2) + 2 * p2 * x * y,
    )
    pixels, valid = Unified(PLANE, xi, Distortion(k1, k2, p1, p2)).project(points)
    assert valid.sum() > 40
    assert_close(pixels[valid], np.stack([30 * x + 31.5, 31 * y + 23.5], -1)[valid], "float64")


def test_where_models_end() -> None:
    """A fisheye whose polynomial turns back, a mirror's rim, and what lies behind a pinhole."""
    fisheye = KannalaBrandt(PLANE, (-0.1, 0.0, 0.0, 0.0))
    assert fisheye.largest == pytest.approx(np.sqrt(1 / 0.3))
    rim = fisheye.largest * (1 - 0.1 * fisheye.largest**2)
    inside, outside = ([[31.5 + 30 * rim * share, 23.5]] for share in (0.9999, 1.0001))
    assert fisheye.unproject(np.array(inside))[1].all() and not fisheye.unproject(np.array(outside))[1].any()
    assert KannalaBrandt(PLANE).largest == np.pi and KannalaBrandt(PLANE, max_angle=1.5).largest == 1.5
    mirror = Unified(PLANE, 1.6)
    rim = 1 / np.sqrt(1.6**2 - 1)
    inside, outside = ([[31.5 + 30 * rim * share, 23.5]] for share in (0.9999, 1.0001))
    assert mirror.unproject(np.array(inside))[1].all() and not mirror.unproject(np.array(outside))[1].any()
    behind = np.array([[0.1, 0.0, -1.0]])
    assert not Pinhole(PLANE).project(behind)[1].any() and not mirror.project(behind)[1].any()
    assert Equirectangular(HEIGHT, WIDTH).project(behind)[1].all()
    # Mei and Geyer: less of the sphere is seen the further ξ is from 1.
    low = np.array([[np.cos(-0.6), 0.0, np.sin(-0.6)]])
    assert Unified(PLANE, 0.95).project(low)[1].all() and not Unified(PLANE, 0.5).project(low)[1].any()


def test_equirectangular_looks_ahead_in_its_middle() -> None:
    camera = Equirectangular(HEIGHT, WIDTH)
    rays, valid = camera.unproject(
        np.array([[WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5], [0.75 * WIDTH - 0.5, 23.5], [31.5, 47.5]])
    )
    assert valid.all()
    assert_close(rays, np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]]), "float64")
