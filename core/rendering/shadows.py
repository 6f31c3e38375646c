"""Shadows on the ground: convex solids thrown along the sun, as soft polygons."""

import cv2
import numpy as np

from core.rendering.primitives import Cylinder, Ellipsoid, Primitive, Prism

Array = np.ndarray
PIXELS_PER_METRE = 8
DEPTH = 0.52  # what the sun adds to a lit, level ground is scaled by 1 - DEPTH in full shadow


def outline(primitive: Primitive, sun: Array) -> Array:
    """The shadow of a solid on z = 0: polygon (K, 2), metres, counter-clockwise. `sun` (3,) points there."""
    match primitive:
        case Prism():
            points = primitive.vertices
        case Ellipsoid():
            points = primitive.centre + primitive.radii * _sphere()
        case Cylinder():
            angle = np.arange(8) * np.pi / 4
            ring = primitive.centre + primitive.radius * np.stack([np.cos(angle), np.sin(angle)], -1)
            points = np.concatenate([np.c_[ring, np.full(8, z)] for z in (primitive.low, primitive.high)])
    flat = points[:, :2] - np.maximum(points[:, 2:], 0) * sun[:2] / sun[2]
    hull: Array = cv2.convexHull(flat.astype(np.float32))[:, 0].astype(float)
    x, y = hull.T
    area = (x * np.roll(y, -1) - y * np.roll(x, -1)).sum()
    return hull if area > 0 else hull[::-1]


def shadow_map(polygons: list[Array], low: Array, high: Array, softness: float) -> Array:
    """Share of shadow (h, w) float32 over the rectangle low..high of the plane, 8 pixels to the metre."""
    w, h = np.ceil((high - low) * PIXELS_PER_METRE).astype(int)
    image = np.zeros((h, w), np.uint8)
    for polygon in polygons:
        # Four more bits of position: smooth edges.
        pixels = np.rint((polygon - low) * PIXELS_PER_METRE * 16).astype(np.int32)
        cv2.fillConvexPoly(image, pixels, 255, cv2.LINE_AA, 4)
    sigma = softness * PIXELS_PER_METRE
    return cv2.GaussianBlur(image, (0, 0), sigma).astype(np.float32) / 255


def soft_inside(points: Array, polygon: Array, softness: float) -> Array:
    """Share of shadow (N,) at points (N, 2) of one convex counter-clockwise polygon."""
    edge = np.roll(polygon, -1, 0) - polygon
    normal = np.stack([-edge[:, 1], edge[:, 0]], -1) / np.maximum(np.linalg.norm(edge, axis=1), 1e-6)[:, None]
    distance = np.full(len(points), np.inf)
    for corner, (a, b) in zip(polygon, normal, strict=True):
        np.minimum(distance, (points[:, 0] - corner[0]) * a + (points[:, 1] - corner[1]) * b, out=distance)
    share = np.clip(distance / (2 * softness) + 0.5, 0, 1)
    return share * share * (3 - 2 * share)


def _sphere() -> Array:
    z = np.linspace(-1, 1, 7)[:, None]
    angle = np.arange(12)[None, :] * np.pi / 6
    ring = np.sqrt(1 - z**2)
    return np.stack(np.broadcast_arrays(ring * np.cos(angle), ring * np.sin(angle), z), -1).reshape(-1, 3)
