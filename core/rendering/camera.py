"""Pictures and exact depth of a scene."""

from typing import Any

import numpy as np

from core.rendering.scene import Pieces, Scene
from core.rendering.shading import shade

Array = np.ndarray
NEAR = 0.2  # metres
UNKNOWN_BEYOND = 250.0  # metres; 16 bits of 1/256 m end at 255.99
_EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1])


def render(
    scene: Scene, T_world_camera: Array, K: Array, height: int, width: int, samples: int
) -> tuple[Array, Array]:
    """Renders one view.

    Args:
        T_world_camera: (4, 4). K: (3, 3), pixel centres at integers.
        samples: samples along each axis of pixels in which something ends.

    Returns:
        (H, W, 3) uint8 RGB and camera-z depth (H, W) float32, metres at pixel centres, 0 = sky.
    """
    v, u = np.mgrid[:height, :width]
    u, v = u.ravel(), v.ravel()
    steps = _steps(T_world_camera, K)
    rays = _rays(T_world_camera, K, u, v).reshape(height, width, 3)
    origin = T_world_camera[:3, 3]
    t, face = scene.trace(origin, rays, _dense(T_world_camera, K, height, width))
    colour = shade(scene, origin, rays.reshape(-1, 3), t.ravel(), face.ravel(), steps)
    edge = np.flatnonzero(_edges(face).ravel())
    if len(edge) and samples > 1:
        inside = (np.arange(samples) + 0.5) / samples - 0.5
        du, dv = (a.ravel() for a in np.meshgrid(inside, inside))
        many = _rays(
            T_world_camera, K, (u[edge][:, None] + du).ravel(), (v[edge][:, None] + dv).ravel()
        ).reshape(len(edge), -1, 3)
        found, which = scene.trace(origin, many, _sparse(T_world_camera, K, u[edge], v[edge]))
        fine = shade(scene, origin, many.reshape(-1, 3), found.ravel(), which.ravel(), steps)
        colour[edge] = fine.reshape(len(edge), -1, 3).mean(1)
    image = np.clip(np.rint(colour), 0, 255).astype(np.uint8).reshape(height, width, 3)
    return image, np.where(t < UNKNOWN_BEYOND, t, 0).astype(np.float32)


def _rays(T: Array, K: Array, u: Array, v: Array) -> Array:
    """World directions (N, 3) whose camera z is 1, so that the ray parameter is the depth."""
    x, y = (u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]
    return (x[:, None] * T[:3, 0] + y[:, None] * T[:3, 1] + T[:3, 2]).astype(np.float32)


def _steps(T: Array, K: Array) -> Array:
    """(2, 3): change of a ray for one pixel to the right, and down."""
    return np.stack([T[:3, 0] / K[0, 0], T[:3, 1] / K[1, 1]]).astype(np.float32)


def _edges(face: Array) -> Array:
    edge = np.zeros(face.shape, bool)
    for axis in (0, 1):
        a = [slice(None), slice(None)]
        b = [slice(None), slice(None)]
        a[axis], b[axis] = slice(1, None), slice(None, -1)
        differs = face[tuple(a)] != face[tuple(b)]
        edge[tuple(a)] |= differs
        edge[tuple(b)] |= differs
    return edge


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


def _dense(T: Array, K: Array, height: int, width: int) -> Pieces:
    def pieces(boxes: Array) -> list[list[Any]]:
        ranges = np.clip(screen_boxes(T, K, boxes), -1, [width, width, height, height])
        found: list[list[Any]] = []
        for u0, u1, v0, v1 in ranges:
            columns = slice(max(0, int(np.floor(u0))), int(np.ceil(u1)) + 1)
            rows = slice(max(0, int(np.floor(v0))), int(np.ceil(v1)) + 1)
            seen = u1 >= u0 and u1 >= 0 and u0 < width and v1 >= 0 and v0 < height
            found.append([(rows, columns)] if seen else [])
        return found

    return pieces


def _sparse(T: Array, K: Array, u: Array, v: Array) -> Pieces:
    """For pixels listed row by row, with samples up to half a pixel away."""

    def pieces(boxes: Array) -> list[list[Any]]:
        found: list[list[Any]] = []
        for u0, u1, v0, v1 in screen_boxes(T, K, boxes):
            if u1 < u0:
                found.append([])
                continue
            start, stop = np.searchsorted(v, v0 - 1), np.searchsorted(v, v1 + 1, "right")
            some = start + np.flatnonzero((u[start:stop] >= u0 - 1) & (u[start:stop] <= u1 + 1))
            found.append([some] if len(some) else [])
        return found

    return pieces
