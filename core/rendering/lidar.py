"""The scanner: 64 beams turning at 10 Hz, after the HDL-64E of the KITTI car."""

from typing import Any

import numpy as np

from core.rendering.primitives import Array
from core.rendering.scene import FIRST_FACE, SKY, Pieces, Scene

# Degrees: 32 beams a third of a degree apart, 32 half a degree apart.
ELEVATIONS = np.radians(np.concatenate([2 - np.arange(32) / 3, -8.83 - np.arange(32) / 2]))
MOST, LEAST = 120.0, 1.5  # metres; nearer returns come from the car itself
NOISE = 0.012  # metres, standard deviation
LOST = 0.06  # share of shots that never return (dust, glass, black paint)
_MARGIN = 0.03  # radians; the scanner is tilted a little against the boxes


def scan(scene: Scene, T_world_velodyne: Array, azimuths: int, rng: np.random.Generator) -> Array:
    """One turn at one instant, as KITTI's scans are after the removal of the car's motion.

    Returns:
        (N, 4) float32: x forward, y left, z up in the scanner's frame, metres; reflectance 0..1. Beam by beam
        from the top, each beginning in front and turning left.
    """
    angle = 2 * np.pi * np.arange(azimuths) / azimuths
    cosine = np.cos(ELEVATIONS)[:, None]
    directions = np.stack(
        np.broadcast_arrays(cosine * np.cos(angle), cosine * np.sin(angle), np.sin(ELEVATIONS)[:, None]), -1
    )
    R, origin = T_world_velodyne[:3, :3], T_world_velodyne[:3, 3]
    # Sums rather than BLAS: the same bits on any number of threads.
    rays = sum(directions[..., k : k + 1] * R[:, k] for k in range(3)).astype(np.float32)
    distance, face = scene.trace(origin, rays, _pieces(T_world_velodyne, azimuths))
    chance = rng.random(distance.shape)
    spread = rng.standard_normal(distance.shape) * NOISE
    bright = _reflectance(scene, face) * (0.8 + 0.4 * rng.random(distance.shape))
    # Weak echoes get lost with distance.
    echo = (1 - LOST) * np.exp(-((np.where(np.isinf(distance), MOST, distance) / 100) ** 2))
    seen = (distance < MOST) & (distance > LEAST) & (chance < echo)
    points = directions[seen] * (distance[seen] + spread[seen])[:, None]
    return np.c_[points, np.round(np.clip(bright[seen], 0, 0.99), 2)].astype(np.float32)


def _reflectance(scene: Scene, face: Array) -> Array:
    """Rough reflectance of what each shot met: dull road, brighter pavement, then by the tint of the face."""
    value = np.choose(np.clip(face, 0, 2), [0.22, 0.35, 0.38])
    solid = face >= FIRST_FACE
    row = face[solid] - FIRST_FACE
    value[solid] = 0.3 * scene.faces.tint[row].mean(1) * (0.7 + 0.06 * (scene.faces.texture[row] % 11))
    value[face == SKY] = 0
    return value


def _pieces(T: Array, azimuths: int) -> Pieces:
    """Beams and shots that may meet a bounding box; a box across the first shot gives two pieces."""

    def pieces(boxes: Array) -> list[list[Any]]:
        points = (boxes - T[:3, 3]) @ T[:3, :3]
        angles = np.arctan2(points[..., 1], points[..., 0])
        low, high = boxes.min(1) - T[:3, 3], boxes.max(1) - T[:3, 3]
        gap = np.maximum(np.maximum(low, -high), 0)[:, :2]
        near, far = np.hypot(*gap.T), np.hypot(*points[..., :2].transpose(2, 0, 1)).max(1)
        with np.errstate(divide="ignore"):
            top = np.arctan(high[:, 2] / np.where(high[:, 2] > 0, near, far)) + _MARGIN
            bottom = np.arctan(low[:, 2] / np.where(low[:, 2] < 0, near, far)) - _MARGIN
        found: list[list[Any]] = []
        for turn, reach, lowest, highest in zip(angles, near, bottom, top, strict=True):
            inside = np.flatnonzero((highest >= ELEVATIONS) & (lowest <= ELEVATIONS))
            if reach > MOST or not len(inside):
                found.append([])
                continue
            rows = slice(inside[0], inside[-1] + 1)
            spread = np.mod(turn - turn[0] + np.pi, 2 * np.pi) - np.pi
            if reach < 0.5 or np.ptp(spread) > np.pi:
                found.append([(rows, slice(None))])
                continue
            unit = azimuths / (2 * np.pi)
            start = int(np.floor((turn[0] + spread.min()) * unit)) - 1
            count = min(azimuths, int(np.ceil(np.ptp(spread) * unit)) + 3)
            start %= azimuths
            ranges = [slice(start, min(azimuths, start + count)), slice(0, max(0, start + count - azimuths))]
            found.append([(rows, columns) for columns in ranges if columns.stop > columns.start])
        return found

    return pieces
