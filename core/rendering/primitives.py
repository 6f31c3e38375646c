"""The solids of the street and where rays meet them. World frame: x and y in the plane, z up, metres."""

from dataclasses import dataclass, replace

import numpy as np

Array = np.ndarray


def dot(vectors: Array, rays: Array) -> Array:
    """Inner products (M, N) float32 of (M, 3) and (N, 3).

    Not by BLAS: its last bit may depend on the number of threads, and pictures must not.
    """
    a, (x, y, z) = np.asarray(vectors, np.float32)[:, :, None], rays.T
    return np.asarray(a[:, 0] * x + a[:, 1] * y + a[:, 2] * z)


@dataclass
class Prism:
    """A convex profile extruded along an axis: houses, cars, wheels, plates. Built by `prism`.

    A point p is inside where normals @ p <= offsets. Face f carries a texture whose upper left corner lies at
    origins[f], whose columns run along across[f] and whose rows along down[f].
    """

    normals: Array  # (F, 3) unit
    offsets: Array  # (F,)
    vertices: Array  # (V, 3)
    origins: Array  # (F, 3)
    across: Array  # (F, 3) unit
    down: Array  # (F, 3) unit
    textures: Array  # (F,) texture numbers
    tint: Array  # (3,) factor on the texture

    def moved(self, T: Array) -> "Prism":
        """The same prism after the rigid motion `T` (4, 4)."""
        R, t = T[:3, :3], T[:3, 3]
        normals = self.normals @ R.T
        return replace(
            self,
            normals=normals,
            offsets=self.offsets + normals @ t,
            vertices=self.vertices @ R.T + t,
            origins=self.origins @ R.T + t,
            across=self.across @ R.T,
            down=self.down @ R.T,
        )

    def corners(self) -> Array:
        return self.vertices

    def intersect(self, origin: Array, rays: Array) -> tuple[Array, Array]:
        """Ray parameters (N,), infinite where missed, and face numbers (N,)."""
        gap = (self.offsets - self.normals @ origin).astype(np.float32)
        slope = dot(self.normals, rays)
        front = gap < 0
        if not front.any():
            return np.full(len(rays), np.inf, np.float32), np.zeros(len(rays), np.int32)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = gap[:, None] / slope
        enter = np.where(slope[front] < 0, t[front], np.inf)
        leave = np.where(slope[~front] > 0, t[~front], np.inf).min(0, initial=np.inf)
        which = enter.argmax(0)
        first = enter[which, np.arange(len(rays))]
        hit = np.where(first < leave, first, np.inf).astype(np.float32)
        return hit, np.flatnonzero(front)[which].astype(np.int32)


@dataclass
class Ellipsoid:
    """An ellipsoid along the world axes: the lumps of a tree's crown."""

    centre: Array  # (3,)
    radii: Array  # (3,)
    texture: int
    tint: Array

    def corners(self) -> Array:
        signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T
        return self.centre + signs * self.radii

    def intersect(self, origin: Array, rays: Array) -> tuple[Array, Array]:
        o = ((origin - self.centre) / self.radii).astype(np.float32)
        r = rays / self.radii.astype(np.float32)
        a, b, c = (r * r).sum(1), dot(o[None], r)[0], float(o @ o) - 1
        return first_root(a, b, c), np.zeros(len(rays), np.int32)


@dataclass
class Cylinder:
    """An upright cylinder: trunks and poles."""

    centre: Array  # (2,) x, y
    radius: float
    low: float
    high: float
    texture: int
    tint: Array

    def corners(self) -> Array:
        signs = np.array(np.meshgrid([-1, 1], [-1, 1])).reshape(2, 4).T
        flat = self.centre + signs * self.radius
        return np.concatenate([np.c_[flat, np.full(4, z)] for z in (self.low, self.high)])

    def intersect(self, origin: Array, rays: Array) -> tuple[Array, Array]:
        o = (origin[:2] - self.centre).astype(np.float32)
        r = rays[:, :2]
        t = first_root((r * r).sum(1), r[:, 0] * o[0] + r[:, 1] * o[1], float(o @ o) - self.radius**2)
        with np.errstate(invalid="ignore"):
            z = origin[2] + t * rays[:, 2]
            t = np.where((z > self.low) & (z < self.high), t, np.inf)
        return t.astype(np.float32), np.zeros(len(rays), np.int32)


Primitive = Prism | Ellipsoid | Cylinder


def first_root(a: Array, b: Array, c: float) -> Array:
    """Smaller root of a t² + 2 b t + c where real and in front, else infinity; c < 0, inside: no hit."""
    if c <= 0:
        return np.full(len(a), np.inf, np.float32)
    inside = b * b - a * c
    with np.errstate(invalid="ignore", divide="ignore"):
        # c / (−b + √…) rather than (−b − √…) / a: no cancellation in float32.
        t = c / (-b + np.sqrt(inside))
    return np.where((inside > 0) & (b < 0), t, np.inf).astype(np.float32)


def prism(
    profile: list[tuple[float, float]],
    low: float,
    high: float,
    along: str,
    textures: list[int],
    T: Array,
    tint: tuple[float, float, float] = (1, 1, 1),
) -> Prism:
    """Extrudes a convex profile.

    Args:
        profile: corners in order. `along` "x": (y, z) pairs; "y": (x, z) pairs.
        low, high: range along the axis.
        textures: one per edge of the profile (corner i to i + 1), then the faces at `low` and `high`.
        T: (4, 4) from the frame of the numbers above to the world.
    """
    axis, first = {"x": (0, 1), "y": (1, 0)}[along]
    flat = np.asarray(profile, float)
    count = len(flat)
    vertices = np.zeros((2, count, 3))
    vertices[:, :, first], vertices[:, :, 2] = flat[:, 0], flat[:, 1]
    vertices[0, :, axis], vertices[1, :, axis] = low, high
    middle = vertices.reshape(-1, 3).mean(0)
    unit = np.eye(3)
    origins, across, down, normals = [], [], [], []
    for i in range(count):
        ends = sorted((i, (i + 1) % count), key=lambda k: -flat[k, 1])  # from the higher corner down
        edge = vertices[0, ends[1]] - vertices[0, ends[0]]
        edge /= np.linalg.norm(edge)
        origins.append(vertices[0, ends[0]])
        across.append(unit[axis])
        down.append(edge)
    for side in (0, 1):
        corner = vertices[side, 0].copy()
        corner[first], corner[2] = flat[:, 0].min(), flat[:, 1].max()
        origins.append(corner)
        across.append(unit[first])
        down.append(-unit[2])
    for origin, a, b in zip(origins, across, down, strict=True):
        normal = np.cross(a, b)
        normals.append(normal * (1 if normal @ (origin - middle) > 0 else -1))
    planes = np.array(normals)
    offsets = (planes * np.array(origins)).sum(1)
    built = Prism(
        planes, offsets, vertices.reshape(-1, 3), np.array(origins), np.array(across), np.array(down),
        np.array(textures, np.int32), np.array(tint, float),
    )  # fmt: skip
    return built.moved(T)


def box(
    x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], texture: int, T: Array,
    tint: tuple[float, float, float] = (1, 1, 1),
) -> Prism:  # fmt: skip
    """A box with one texture on all its faces, in the frame of `T`."""
    profile = [(y[0], z[0]), (y[1], z[0]), (y[1], z[1]), (y[0], z[1])]
    return prism(profile, x[0], x[1], "x", [texture] * 6, T, tint)
