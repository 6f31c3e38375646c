"""A camera in its place in the street, as the renderer asks it: world rays, what a pixel spans, where boxes may be."""

import functools
from typing import Any, Protocol

import numpy as np

from core.cameras.models import Camera, Pinhole, pixel_grid
from core.rendering.rig import is_plain_pinhole
from core.rendering.scene import Pieces

Array = np.ndarray
NEAR = 0.2  # metres
STEP = 0.25  # pixels to either side: what a pixel spans is measured so
MARGIN = 1e-5  # of a cosine: float32 has 1e-7
_EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1])


class View(Protocol):
    """What `core.rendering.camera.render` asks of a camera. Pixels are numbered row by row; N of them are H W.

    Attributes:
        origin: (3,) where all rays start.
        valid: (H, W) bool, False where the camera has no ray.
    """

    origin: Array
    valid: Array

    def rays(self) -> Array:
        """(N, 3) float32: world directions of all pixels, along which the ray parameter counts."""

    def samples(self, pixels: Array, across: Array, down: Array) -> Array:
        """(M, S, 3) float32: those of S samples in each of M pixels, `across` and `down` (S,) from its centre."""

    def steps(self, pixels: Array | None = None) -> Array:
        """(2, 3), or (2, M, 3) of pixels (M,) or of all: change of a ray for one pixel to the right, and down."""

    def distances(self, t: Array) -> tuple[Array, Array]:
        """Depth along the axis, and range along the ray, of ray parameters (H, W), both float32, metres."""

    def dense(self) -> Pieces:
        """Where boxes may be seen in the whole image."""

    def sparse(self, pixels: Array, samples: Array) -> Pieces:
        """Which of M pixels, row by row, may see boxes with one of their samples (M, S, 3)."""


def look(camera: Camera, T_world_camera: Array, height: int, width: int) -> View:
    """The view of a camera from a place (4, 4)."""
    if isinstance(camera, Pinhole) and is_plain_pinhole(camera):
        return PinholeView(T_world_camera, camera.K, height, width)
    return RayView(T_world_camera, camera, height, width)


class PinholeView:
    """Rays whose camera z is 1, so that the ray parameter is the depth; boxes have corners in the image."""

    def __init__(self, T_world_camera: Array, K: Array, height: int, width: int) -> None:
        self._T, self._K, self._height, self._width = T_world_camera, K, height, width
        v, u = np.mgrid[:height, :width]
        self._u, self._v = u.ravel(), v.ravel()
        self.origin = T_world_camera[:3, 3]
        self.valid = np.ones((height, width), bool)

    def rays(self) -> Array:
        """See `View`."""
        return self._rays(self._u, self._v)

    def samples(self, pixels: Array, across: Array, down: Array) -> Array:
        """See `View`."""
        u, v = self._u[pixels][:, None] + across, self._v[pixels][:, None] + down
        return self._rays(u.ravel(), v.ravel()).reshape(len(pixels), -1, 3)

    def steps(self, pixels: Array | None = None) -> Array:
        """See `View`."""
        T, K = self._T, self._K
        return np.stack([T[:3, 0] / K[0, 0], T[:3, 1] / K[1, 1]]).astype(np.float32)

    def distances(self, t: Array) -> tuple[Array, Array]:
        """See `View`."""
        x, y = (self._u - self._K[0, 2]) / self._K[0, 0], (self._v - self._K[1, 2]) / self._K[1, 1]
        length = np.sqrt(x * x + y * y + 1).reshape(t.shape)
        return t.astype(np.float32), (t * length).astype(np.float32)

    def dense(self) -> Pieces:
        """See `View`."""
        height, width = self._height, self._width

        def pieces(boxes: Array) -> list[list[Any]]:
            ranges = np.clip(screen_boxes(self._T, self._K, boxes), -1, [width, width, height, height])
            found: list[list[Any]] = []
            for u0, u1, v0, v1 in ranges:
                columns = slice(max(0, int(np.floor(u0))), int(np.ceil(u1)) + 1)
                rows = slice(max(0, int(np.floor(v0))), int(np.ceil(v1)) + 1)
                seen = u1 >= u0 and u1 >= 0 and u0 < width and v1 >= 0 and v0 < height
                found.append([(rows, columns)] if seen else [])
            return found

        return pieces

    def sparse(self, pixels: Array, samples: Array) -> Pieces:
        """See `View`; samples lie up to half a pixel away."""
        u, v = self._u[pixels], self._v[pixels]

        def pieces(boxes: Array) -> list[list[Any]]:
            found: list[list[Any]] = []
            for u0, u1, v0, v1 in screen_boxes(self._T, self._K, boxes):
                if u1 < u0:
                    found.append([])
                    continue
                start, stop = np.searchsorted(v, v0 - 1), np.searchsorted(v, v1 + 1, "right")
                some = start + np.flatnonzero((u[start:stop] >= u0 - 1) & (u[start:stop] <= u1 + 1))
                found.append([some] if len(some) else [])
            return found

        return pieces

    def _rays(self, u: Array, v: Array) -> Array:
        T, K = self._T, self._K
        x, y = (u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]
        return (x[:, None] * T[:3, 0] + y[:, None] * T[:3, 1] + T[:3, 2]).astype(np.float32)


class RayView:
    """Any camera of one viewpoint: unit rays, so that the ray parameter is the range; boxes are seen within cones."""

    def __init__(self, T_world_camera: Array, camera: Camera, height: int, width: int) -> None:
        self._T, self._camera = T_world_camera, camera
        self._own, self.valid, self._steps = _of_image(camera, height, width)
        self.origin = T_world_camera[:3, 3]

    def rays(self) -> Array:
        """See `View`; where the camera has no ray it is that of a neighbour."""
        return self._world(self._own).astype(np.float32)

    def samples(self, pixels: Array, across: Array, down: Array) -> Array:
        """See `View`; a sample without a ray has that of its pixel."""
        width = self.valid.shape[1]
        centre = np.stack([pixels % width, pixels // width], -1).astype(np.float64)
        rays, valid = self._camera.unproject(centre[:, None] + np.stack([across, down], -1))
        return self._world(np.where(valid[..., None], rays, self._own[pixels][:, None])).astype(np.float32)

    def steps(self, pixels: Array | None = None) -> Array:
        """See `View`."""
        return self._world(self._steps if pixels is None else self._steps[:, pixels]).astype(np.float32)

    def distances(self, t: Array) -> tuple[Array, Array]:
        """See `View`; 0 where it lies at the side or behind."""
        along = self._own[:, 2].reshape(t.shape)
        with np.errstate(invalid="ignore"):
            depth = np.where(along > 0, t * along, 0)
        return depth.astype(np.float32), t.astype(np.float32)

    def dense(self) -> Pieces:
        """See `View`."""
        rays = self.rays()
        size = self.valid.shape
        return self._cones(lambda axis: _dot(rays, axis).reshape(size))

    def sparse(self, pixels: Array, samples: Array) -> Pieces:
        """See `View`."""
        return self._cones(lambda axis: _dot(samples, axis).max(1))

    def _cones(self, cosines: Any) -> Pieces:
        """What lies within the cone around the ball around a box: no ray outside it meets the box."""

        def pieces(boxes: Array) -> list[list[Any]]:
            centres = (boxes.min(1) + boxes.max(1)) / 2
            radii = np.linalg.norm(boxes.max(1) - boxes.min(1), axis=1) / 2
            found: list[list[Any]] = []
            for axis, radius in zip(centres - self.origin, radii, strict=True):
                distance = float(np.linalg.norm(axis))
                share = radius / distance if distance > radius else 1.0
                least = float(np.sqrt(1 - share**2)) - MARGIN if share < 1 else -2.0
                inside = np.nonzero(cosines((axis / max(distance, 1e-9)).astype(np.float32)) >= least)
                found.append([inside if len(inside) > 1 else inside[0]] if len(inside[0]) else [])
            return found

        return pieces

    def _world(self, rays: Array) -> Array:
        # Sums rather than BLAS: the same bits on any number of threads.
        T = self._T
        return np.asarray(rays[..., :1] * T[:3, 0] + rays[..., 1:2] * T[:3, 1] + rays[..., 2:] * T[:3, 2])


@functools.lru_cache(maxsize=4)
def _of_image(camera: Camera, height: int, width: int) -> tuple[Array, Array, Array]:
    """Rays (N, 3), valid (H, W) and steps (2, N, 3) of an image in the camera's own frame; not to be changed."""
    rays, valid = camera.rays(height, width)
    own = rays.reshape(3, -1).T.copy()
    grid = pixel_grid(height, width).reshape(-1, 2)
    steps = []
    for direction in (np.array([STEP, 0]), np.array([0, STEP])):
        ends = []
        for sign in (1, -1):
            end, seen = camera.unproject(grid + sign * direction)
            ends.append(np.where(seen[:, None], end, own))
        steps.append((ends[0] - ends[1]) / (2 * STEP))
    return own, valid, np.stack(steps)


def _dot(rays: Array, axis: Array) -> Array:
    return np.asarray(rays[..., 0] * axis[0] + rays[..., 1] * axis[1] + rays[..., 2] * axis[2])


def screen_boxes(T: Array, K: Array, boxes: Array) -> Array:
    """(P, 4) u0, u1, v0, v1 that bounding boxes (P, 8, 3) cover in front of the camera; u1 < u0: nothing."""
    points = (boxes - T[:3, 3]) @ T[:3, :3]
    a, b = points[:, _EDGES[:, 0]], points[:, _EDGES[:, 1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (NEAR - a[..., 2:]) / (b[..., 2:] - a[..., 2:])
        crossing = a + share * (b - a)
    crosses = (a[..., 2] < NEAR) != (b[..., 2] < NEAR)
    every = np.concatenate([points, crossing], 1)
    valid = np.concatenate([points[..., 2] >= NEAR, crosses], 1)
    z = np.where(valid, every[..., 2], 1)
    u = K[0, 0] * every[..., 0] / z + K[0, 2]
    v = K[1, 1] * every[..., 1] / z + K[1, 2]
    least = [np.where(valid, w, np.inf).min(1) for w in (u, v)]
    most = [np.where(valid, w, -np.inf).max(1) for w in (u, v)]
    return np.stack([least[0], most[0], least[1], most[1]], 1)
