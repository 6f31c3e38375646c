"""What stands in the street at one moment, as tables that rays are tested and shaded against."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.rendering.atlas import Atlas
from core.rendering.ground import Ground
from core.rendering.primitives import Cylinder, Ellipsoid, Primitive, Prism

Array = np.ndarray
SKY = -1
FIRST_FACE = 3  # face numbers 0..2 are the ground's
PLANE, BALL, TUBE = 0, 1, 2
# Where the rays of a primitive lie in a bundle: pieces to test, each an index into its arrays.
Pieces = Callable[[Array], list[list[Any]]]


@dataclass
class FaceTable:
    """One row per face. Balls keep centre and radii in `origin` and `across`, tubes axis point and radius."""

    kind: Array
    normal: Array
    origin: Array
    across: Array
    down: Array
    texture: Array
    tint: Array


@dataclass
class Scene:
    """The street at one moment. `moving_shadows` are polygons on the ground that are not painted into it."""

    primitives: list[Primitive]
    faces: FaceTable
    first_face: Array  # (P,) face number of each primitive's face 0
    boxes: Array  # (P, 8, 3) corners of the bounding box along the world axes
    ground: Ground
    atlas: Atlas
    sun: Array
    clouds: int
    moving_shadows: list[Array]

    def trace(self, origin: Array, rays: Array, pieces: Pieces) -> tuple[Array, Array]:
        """Nearest hit of each ray.

        Args:
            origin: (3,) where all rays start.
            rays: (A, B, 3) float32 directions; the ray parameter counts in their lengths.
            pieces: tells for bounding boxes (P, 8, 3) which parts of (A, B) they may cover.

        Returns:
            Ray parameters (A, B) float32, infinite for the sky, and face numbers (A, B) int32.
        """
        t, face = self.ground.intersect(origin, rays.reshape(-1, 3))
        t, face = t.reshape(rays.shape[:2]), face.reshape(rays.shape[:2])
        face[np.isinf(t)] = SKY
        for primitive, start, parts in zip(self.primitives, self.first_face, pieces(self.boxes), strict=True):
            for part in parts:
                bundle = rays[part]
                hit, which = primitive.intersect(origin, bundle.reshape(-1, 3))
                hit, which = hit.reshape(bundle.shape[:-1]), which.reshape(bundle.shape[:-1])
                old = t[part]
                closer = hit < old
                t[part] = np.where(closer, hit, old)
                face[part] = np.where(closer, which + start, face[part])
        return t, face


Tables = tuple[FaceTable, Array, Array]


def joined(first: Tables, second: Tables) -> Tables:
    """Tables of two lists of primitives, one after the other."""
    faces = [
        np.concatenate(pair) for pair in zip(vars(first[0]).values(), vars(second[0]).values(), strict=True)
    ]
    starts = second[1] + len(first[0].kind)
    return FaceTable(*faces), np.concatenate([first[1], starts]), np.concatenate([first[2], second[2]])


def tables(primitives: list[Primitive]) -> Tables:
    """Face table, first face numbers and bounding boxes of primitives."""
    rows: list[tuple] = []
    first, boxes = [], []
    zero = np.zeros(3)
    for solid in primitives:
        first.append(FIRST_FACE + len(rows))
        match solid:
            case Prism():
                rows += [
                    (PLANE, *row, solid.tint)
                    for row in zip(
                        solid.normals, solid.origins, solid.across, solid.down, solid.textures, strict=True
                    )
                ]
            case Ellipsoid():
                rows.append((BALL, zero, solid.centre, solid.radii, zero, solid.texture, solid.tint))
            case Cylinder():
                point = np.array([*solid.centre, solid.low])
                rows.append((TUBE, zero, point, np.full(3, solid.radius), zero, solid.texture, solid.tint))
        corners = solid.corners()
        low, high = corners.min(0), corners.max(0)
        picks = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, 8).T
        boxes.append(np.where(picks, high, low))
    kind, *vectors, texture, tint = zip(*rows, strict=True)
    normal, origin, across, down = (np.array(v, np.float32) for v in vectors)
    table = FaceTable(
        np.array(kind), normal, origin, across, down, np.array(texture, np.int64), np.array(tint, np.float32)
    )
    return table, np.array(first), np.array(boxes)
