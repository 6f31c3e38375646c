"""Camera models by one interface: pixels to unit viewing rays, points to pixels."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from core.cameras.distortion import NO_DISTORTION, Distortion
from core.cameras.inverse import first_positive_root, invert_increasing

Array = np.ndarray


class Camera:
    """A camera whose viewing rays meet in one point. What a model says itself are `unproject`, `project`, `resized`."""

    def unproject(self, pixels: Array) -> tuple[Array, Array]:
        """Unit viewing rays.

        Args:
            pixels: (…, 2) columns and rows, centres at integers; they may lie between these, or outside the image.

        Returns:
            rays (…, 3) float64, and valid (…): False where the model has no ray; the ray there is (0, 0, 1).
        """
        raise NotImplementedError

    def project(self, points: Array) -> tuple[Array, Array]:
        """Where points (…, 3) of the camera's frame are seen.

        Returns:
            pixels (…, 2) float64, and valid (…): False where the model shows no such point, at the camera's centre for
            one; the pixel there is (0, 0). Whether a pixel lies in the image is not asked.
        """
        raise NotImplementedError

    def resized(self, across: float, down: float) -> "Camera":
        """The same camera behind an image resized by these factors, whose outer edge stays where it was."""
        raise NotImplementedError

    def rays(self, height: int, width: int) -> tuple[Array, Array]:
        """The rays of an image.

        Returns:
            rays (3, H, W) float64, of length 1, and valid (H, W) bool. A pixel without a ray has that of the nearest
            pixel with one.
        """
        rays, valid = self.unproject(pixel_grid(height, width))
        return nearest_valid(np.moveaxis(rays, -1, 0), valid), valid


def pixel_grid(height: int, width: int) -> Array:
    """(H, W, 2) float64: column and row of every pixel."""
    v, u = np.mgrid[:height, :width]
    return np.stack([u, v], -1).astype(np.float64)


def nearest_valid(rays: Array, valid: Array) -> Array:
    """Rays (3, H, W) with those of invalid pixels replaced by that of the nearest valid one; unchanged if none is."""
    import cv2

    if valid.all() or not valid.any():
        return rays
    _, labels = cv2.distanceTransformWithLabels(
        (~valid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    source = np.zeros(labels.max() + 1, np.int64)
    source[labels[valid]] = np.flatnonzero(valid)
    return np.asarray(rays.reshape(3, -1)[:, source[labels]])


@dataclass(frozen=True)
class ImagePlane:
    """u = fx x + skew y + cx, v = fy y + cy: pixels of the normalised plane."""

    fx: float
    fy: float
    cx: float
    cy: float
    skew: float = 0.0

    def pixels(self, x: Array, y: Array, valid: Array) -> Array:
        """(…, 2); 0 where invalid."""
        uv = np.stack([self.fx * x + self.skew * y + self.cx, self.fy * y + self.cy], -1)
        return np.where(valid[..., None], uv, 0.0)

    def points(self, pixels: Array) -> tuple[Array, Array]:
        """x and y of pixels (…, 2)."""
        y = (pixels[..., 1] - self.cy) / self.fy
        return (pixels[..., 0] - self.cx - self.skew * y) / self.fx, y

    def resized(self, across: float, down: float) -> "ImagePlane":
        """Of an image resized by these factors: fx' = s fx, cx' = (cx + ½) s − ½."""
        return ImagePlane(
            self.fx * across,
            self.fy * down,
            (self.cx + 0.5) * across - 0.5,
            (self.cy + 0.5) * down - 0.5,
            self.skew * across,
        )


@dataclass(frozen=True)
class _LensCamera(Camera):
    """A model that ends in an image plane."""

    plane: ImagePlane

    def resized(self, across: float, down: float) -> Camera:
        """See `Camera.resized`."""
        return replace(self, plane=self.plane.resized(across, down))


@dataclass(frozen=True)
class Pinhole(_LensCamera):
    """Straight lines stay straight, but for the lens's distortion."""

    distortion: Distortion = NO_DISTORTION

    @property
    def K(self) -> Array:  # noqa: N802 - the field's name
        """(3, 3) float64."""
        p = self.plane
        return np.array([[p.fx, p.skew, p.cx], [0, p.fy, p.cy], [0, 0, 1]])

    def unproject(self, pixels: Array) -> tuple[Array, Array]:
        """See `Camera.unproject`: r ∝ K⁻¹ (u, v, 1)."""
        x, y, valid = self.distortion.undistort(*self.plane.points(pixels))
        rays = np.stack([x, y, np.ones_like(x)], -1)
        return _unit(rays, valid), valid

    def project(self, points: Array) -> tuple[Array, Array]:
        """See `Camera.project`."""
        x, y, valid = _ratios(points, points[..., 2])
        x, y, seen = self.distortion.distort(x, y)
        valid = valid & seen
        return self.plane.pixels(x, y, valid), valid


@dataclass(frozen=True)
class KannalaBrandt(_LensCamera):
    """Fisheye: the radius in the image is a polynomial of the angle θ off the axis (Kannala and Brandt 2006).

    θ_d = θ (1 + k1 θ² + k2 θ⁴ + k3 θ⁶ + k4 θ⁸), valid while θ_d grows and θ is at most `max_angle`.
    """

    coefficients: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    max_angle: float = float(np.pi)

    @cached_property
    def largest(self) -> float:
        """The largest angle that has a pixel, radians."""
        slope = [1.0] + [(2 * i + 3) * k for i, k in enumerate(self.coefficients)]
        return min(self.max_angle, float(np.pi), float(np.sqrt(first_positive_root(slope))))

    def unproject(self, pixels: Array) -> tuple[Array, Array]:
        """See `Camera.unproject`; θ by a guarded Newton's method."""
        x, y = self.plane.points(pixels)
        radius = np.hypot(x, y)
        valid = radius <= float(self._radius(np.array(self.largest))) * (1 + 1e-12)
        angle = invert_increasing(self._radius, self._slope, np.where(valid, radius, 0.0), self.largest)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(radius > 0, np.sin(angle) / radius, 1.0)
        return _unit(np.stack([x * share, y * share, np.cos(angle)], -1), valid), valid

    def project(self, points: Array) -> tuple[Array, Array]:
        """See `Camera.project`."""
        x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
        side = np.hypot(x, y)
        angle = np.arctan2(side, z)
        valid = (angle <= self.largest * (1 + 1e-12)) & ((side > 0) | (z > 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(side > 0, self._radius(np.where(valid, angle, 0.0)) / side, 0.0)
        return self.plane.pixels(x * share, y * share, valid), valid

    def _radius(self, angle: Array) -> Array:
        square = angle * angle
        k1, k2, k3, k4 = self.coefficients
        return angle * (1 + square * (k1 + square * (k2 + square * (k3 + square * k4))))

    def _slope(self, angle: Array) -> Array:
        square = angle * angle
        k1, k2, k3, k4 = self.coefficients
        return 1 + square * (3 * k1 + square * (5 * k2 + square * (7 * k3 + square * 9 * k4)))


@dataclass(frozen=True)
class Unified(_LensCamera):
    """Mirror and lens, or a fisheye: the unit sphere seen from ξ behind its centre (Geyer and Daniilidis 2000).

    With Mei's distortion behind it, as calibration programs for such cameras have it.
    """

    xi: float = 1.0
    distortion: Distortion = NO_DISTORTION

    def unproject(self, pixels: Array) -> tuple[Array, Array]:
        """See `Camera.unproject`: (η x, η y, η − ξ); without a ray where the root is imaginary."""
        x, y, valid = self.distortion.undistort(*self.plane.points(pixels))
        square = x * x + y * y
        inside = 1 + (1 - self.xi**2) * square
        valid = valid & (inside >= 0)
        eta = (self.xi + np.sqrt(np.maximum(inside, 0))) / (1 + square)
        return _unit(np.stack([eta * x, eta * y, eta - self.xi], -1), valid), valid

    def project(self, points: Array) -> tuple[Array, Array]:
        """See `Camera.project`: directions with z > −min(ξ, 1/ξ) are seen."""
        points = np.asarray(points, np.float64)
        length = np.linalg.norm(points, axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            sphere = points / length[..., None]
        least = -min(self.xi, 1 / self.xi) if self.xi > 0 else 0.0
        x, y, valid = _ratios(sphere, sphere[..., 2] + self.xi)
        valid = valid & (length > 0) & (sphere[..., 2] > least)
        x, y, seen = self.distortion.distort(np.where(valid, x, 0.0), np.where(valid, y, 0.0))
        valid = valid & seen
        return self.plane.pixels(x, y, valid), valid


@dataclass(frozen=True)
class Equirectangular(Camera):
    """All directions: columns are angles around the vertical, rows angles above and below the horizon."""

    height: float
    width: float

    def unproject(self, pixels: Array) -> tuple[Array, Array]:
        """See `Camera.unproject`."""
        turn = 2 * np.pi * ((pixels[..., 0] + 0.5) / self.width - 0.5)
        fall = np.pi * ((pixels[..., 1] + 0.5) / self.height - 0.5)
        valid = np.abs(fall) <= np.pi / 2
        rays = np.stack([np.cos(fall) * np.sin(turn), np.sin(fall), np.cos(fall) * np.cos(turn)], -1)
        return _unit(rays, valid), valid

    def project(self, points: Array) -> tuple[Array, Array]:
        """See `Camera.project`."""
        x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
        valid = (x != 0) | (y != 0) | (z != 0)
        u = (np.arctan2(x, z) / (2 * np.pi) + 0.5) * self.width - 0.5
        v = (np.arctan2(y, np.hypot(x, z)) / np.pi + 0.5) * self.height - 0.5
        return np.where(valid[..., None], np.stack([u, v], -1), 0.0), valid

    def resized(self, across: float, down: float) -> Camera:
        """See `Camera.resized`."""
        return Equirectangular(self.height * down, self.width * across)


@dataclass(frozen=True)
class Limited(Camera):
    """A camera of which only rays between two angles off the axis are seen, radians: image circle, a mirror's hole."""

    camera: Camera
    least: float = 0.0
    most: float = field(default=float(np.pi))

    def unproject(self, pixels: Array) -> tuple[Array, Array]:
        """See `Camera.unproject`."""
        rays, valid = self.camera.unproject(pixels)
        valid = valid & self._inside(rays)
        return _unit(rays, valid), valid

    def project(self, points: Array) -> tuple[Array, Array]:
        """See `Camera.project`."""
        pixels, valid = self.camera.project(points)
        valid = valid & self._inside(points)
        return np.where(valid[..., None], pixels, 0.0), valid

    def resized(self, across: float, down: float) -> Camera:
        """See `Camera.resized`."""
        return replace(self, camera=self.camera.resized(across, down))

    def _inside(self, points: Array) -> Array:
        angle = np.arctan2(np.hypot(points[..., 0], points[..., 1]), points[..., 2])
        return np.asarray((angle >= self.least) & (angle <= self.most))


def dummy(height: int, width: int) -> Pinhole:
    """The camera of whoever knows nothing: a pinhole with f = c = half a side, 90 degrees across."""
    return Pinhole(ImagePlane(width / 2, height / 2, width / 2, height / 2))


def _unit(rays: Array, valid: Array) -> Array:
    """The rays, of length 1; the axis where there is none."""
    rays = np.where(valid[..., None], rays, np.array([0.0, 0.0, 1.0]))
    return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))


def _ratios(points: Array, depth: Array) -> tuple[Array, Array, Array]:
    """x and y over the depth, and where that is above 0; 0 elsewhere."""
    points = np.asarray(points, np.float64)
    valid = depth > 0
    below = np.where(valid, depth, 1.0)
    return (
        np.where(valid, points[..., 0] / below, 0.0),
        np.where(valid, points[..., 1] / below, 0.0),
        valid,
    )
