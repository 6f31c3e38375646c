"""What stands in a street: houses, cars, trees, lamps, fences, and where."""

from dataclasses import dataclass

import numpy as np

from core.rendering import textures
from core.rendering.atlas import Atlas
from core.rendering.path import CentreLine
from core.rendering.primitives import Cylinder, Ellipsoid, Primitive, Prism, box, prism

Array = np.ndarray
PAINTS: list[textures.Colour] = [
    (196, 198, 200), (52, 54, 58), (142, 30, 28), (32, 58, 112), (222, 222, 218), (120, 124, 128),
    (40, 84, 60), (168, 150, 110), (92, 100, 116),
]  # fmt: skip


@dataclass
class Car:
    """A car in its own frame: x forward, y left, z up, the origin on the road below its middle."""

    parts: list[Prism]


class Painter:
    """Builds things and paints their textures into an atlas."""

    def __init__(self, rng: np.random.Generator, line: CentreLine, atlas: Atlas) -> None:
        self.rng, self.line, self.atlas = rng, line, atlas
        self.leaves = [atlas.add(textures.leaves(rng), 5, 5) for _ in range(2)]
        self.woods = atlas.add(textures.leaves(rng), 16, 16)
        self.bark = atlas.add(textures.bark(rng), 1, 2)
        metal = textures.metal(rng)
        self.metal, self.rubber = atlas.add(metal, 1, 1), atlas.add(metal // 5, 1, 1)
        self.grain = atlas.add(textures.grain(rng), 5, 5)
        self.clouds = atlas.add(textures.clouds(rng), 16, 16)
        self.wheel = atlas.add(textures.wheel(rng), 0.62, 0.62)
        self.roofs = [atlas.add(textures.roof(rng, 8, 6), 8, 6) for _ in range(2)]
        self.side_walls = [
            atlas.add(textures.finish(textures.wall(rng, 10, 10, textures.WALLS[k], k % 2 == 1)), 10, 10)
            for k in rng.integers(0, len(textures.WALLS), 4)
        ]
        self.cars = [self._new_car() for _ in range(7)]

    def street(self, half_width: float, first: float, last: float) -> list[Primitive]:
        """Both sides of the street from s = first to last."""
        solids: list[Primitive] = []
        for side in (1, -1):
            s = first
            while s < last:
                length = float(self.rng.uniform(22, 50))
                kind = self.rng.choice(["terrace", "houses", "open"], p=[0.36, 0.38, 0.26])
                build = {"terrace": self._terrace, "houses": self._houses, "open": self._open}[str(kind)]
                solids += build(s, min(s + length, last), side, half_width)
                solids += self._parked(s, s + length, side, half_width, float(self.rng.choice([0, 0.2, 0.5])))
                s += length + float(self.rng.choice([0.5, 9.0]))
            solids += self._furniture(first, last, side, half_width)
            solids += self._woods(first, last, side)
        return solids

    def car(self) -> Car:
        return self.cars[self.rng.integers(len(self.cars))]

    def _house(self, s: float, setback: float, side: int, width: float, deep: float, tall: float, gable: bool,
               shop: bool) -> list[Primitive]:  # fmt: skip
        """A house whose front looks at the street from d = side · setback."""
        rng = self.rng
        base = textures.WALLS[rng.integers(len(textures.WALLS))]
        front = self.atlas.add(
            textures.facade(rng, width, tall, base, shop, bool(rng.uniform() < 0.4)), width, tall
        )
        flank = self.side_walls[rng.integers(len(self.side_walls))]
        cover = self.roofs[rng.integers(len(self.roofs))]
        T = self.line.frame(s + width / 2, side * setback)
        near, back = 0.0, side * deep
        profile = [(near, 0.0), (back, 0.0), (back, tall), (near, tall)]
        faces = [flank, flank, cover, front, flank, flank]
        body = prism(profile, -width / 2, width / 2, "x", faces, T)
        if self.line.clearance(body.vertices[:, :2]) < setback - 3:
            return []  # a bend brings the street too close
        if not gable:
            return [body]
        rise = deep * rng.uniform(0.3, 0.45)
        slopes = [(near - side * 0.4, tall), (back + side * 0.4, tall), (side * deep / 2, tall + rise)]
        return [
            body,
            prism(slopes, -width / 2 - 0.2, width / 2 + 0.2, "x", [cover, cover, cover, flank, flank], T),
        ]

    def _terrace(self, first: float, last: float, side: int, half_width: float) -> list[Primitive]:
        solids: list[Primitive] = []
        setback = half_width + float(self.rng.uniform(2.4, 4.5))
        shops = self.rng.uniform() < 0.6
        s = first
        while s < last - 5:
            width, tall = float(self.rng.uniform(7, 14)), float(self.rng.uniform(7, 14))
            forward = float(self.rng.uniform(0, 0.5))
            solids += self._house(
                s, setback + forward, side, width, 10, tall, bool(self.rng.uniform() < 0.6), bool(shops)
            )
            s += width + 0.1
        return solids

    def _houses(self, first: float, last: float, side: int, half_width: float) -> list[Primitive]:
        solids: list[Primitive] = []
        s = first + 2
        while s < last - 9:
            width = float(self.rng.uniform(8, 12))
            setback = half_width + float(self.rng.uniform(5, 10))
            solids += self._house(s, setback, side, width, 9, float(self.rng.uniform(4, 7)), True, False)
            if self.rng.uniform() < 0.5:
                solids += self._tree(s + width + 1, side * (setback - 1), 1.0)
            s += width + float(self.rng.uniform(4, 9))
        solids += self._border(first, last, side, half_width)
        return solids

    def _open(self, first: float, last: float, side: int, half_width: float) -> list[Primitive]:
        solids = self._border(first, last, side, half_width) if self.rng.uniform() < 0.6 else []
        for s in np.arange(first + 2, last, 5.5):
            place = half_width + float(self.rng.uniform(4, 16))
            if self.rng.uniform() < 0.65:
                solids += self._tree(float(s), side * place, float(self.rng.uniform(0.8, 1.3)))
        s = first - 4
        while s < last:
            width = float(self.rng.uniform(12, 18))
            place = half_width + float(self.rng.uniform(22, 34))
            solids += self._house(s, place, side, width, 10, float(self.rng.uniform(8, 16)), True, False)
            s += width + float(self.rng.uniform(1, 8))
        return solids

    def _border(self, first: float, last: float, side: int, half_width: float) -> list[Primitive]:
        """A hedge, a fence or a wall along the pavement, in pieces that follow the bend."""
        kind = int(self.rng.integers(3))
        tall = float(self.rng.uniform(0.8, 1.9))
        if kind == 0:
            texture = self.leaves[0]
        else:
            texture = self.atlas.add(textures.fence(self.rng, 4, tall, kind == 1), 4, tall)
        thick = 0.9 if kind == 0 else 0.12
        place = half_width + 2.7
        pieces: list[Primitive] = []
        for s in np.arange(first + 1, last - 4, 4.0):
            if self.rng.uniform() < 0.15:
                continue
            T = self.line.frame(float(s) + 2, side * place)
            y = (0.0, thick) if side > 0 else (-thick, 0.0)
            pieces.append(box((-2.0, 2.0), y, (0, tall), texture, T))
        return pieces

    def _parked(
        self, first: float, last: float, side: int, half_width: float, share: float
    ) -> list[Primitive]:
        parts: list[Primitive] = []
        s = first + 3
        while s < last - 3:
            if self.rng.uniform() < share:
                car = self.car()
                turn = (np.pi if side > 0 else 0.0) + float(self.rng.normal(0, 0.015))
                T = self.line.frame(s, side * (half_width - 1.05 + float(self.rng.normal(0, 0.06))), turn)
                parts += [part.moved(T) for part in car.parts]
            s += float(self.rng.uniform(5.2, 7.5))
        return parts

    def _furniture(self, first: float, last: float, side: int, half_width: float) -> list[Primitive]:
        rng = self.rng
        solids: list[Primitive] = []
        kerbside = half_width + 0.55
        s = first + float(rng.uniform(0, 15))
        while s < last:
            what = rng.choice(["tree", "lamp", "sign", "box"], p=[0.42, 0.26, 0.2, 0.12])
            if what == "tree":
                solids += self._tree(s, side * (half_width + 1.1), float(rng.uniform(0.7, 1.05)))
            elif what == "lamp":
                solids += self._lamp(s, side * kerbside, -side)
            elif what == "sign":
                solids += self._sign(s, side * kerbside)
            else:
                tint = tuple(float(x) for x in rng.uniform(0.3, 1.4, 3))
                T = self.line.frame(s, side * (half_width + 2.0))
                solids.append(
                    box((-0.4, 0.4), (-0.3, 0.3), (0, 1.25), self.metal, T, (tint[0], tint[1], tint[2]))
                )
            s += float(rng.uniform(5, 12))
        return solids

    def _woods(self, first: float, last: float, side: int) -> list[Primitive]:
        """A far row of trees that closes the view between the houses."""
        pieces: list[Primitive] = []
        for s in np.arange(first, last, 14.0):
            T = self.line.frame(float(s), side * float(self.rng.uniform(58, 66)))
            tall, tint = float(self.rng.uniform(5, 9)), float(self.rng.uniform(0.7, 1.0))
            piece = box((-7.5, 7.5), (-3, 3), (0, tall), self.woods, T, (tint, tint, tint))
            if self.line.clearance(piece.vertices[:, :2]) > 45:
                pieces.append(piece)
        return pieces

    def _tree(self, s: float, d: float, size: float) -> list[Primitive]:
        rng = self.rng
        (x, y), _ = self.line.points(np.array(s), np.array(d))
        stem, crown = 2.1 + 0.6 * size, 2.1 * size
        tint = np.array([1, 1, 1]) * rng.uniform(0.8, 1.15) + rng.normal(0, 0.06, 3)
        texture = self.leaves[rng.integers(2)]
        radius = float(rng.uniform(0.1, 0.2)) * size
        parts: list[Primitive] = [
            Cylinder(np.array([x, y]), radius, 0.0, stem + crown, self.bark, np.ones(3))
        ]
        for _ in range(int(rng.integers(11, 16))):
            offset = rng.normal(0, 1, 3)
            offset *= crown * rng.uniform(0.45, 0.72) / np.linalg.norm(offset)
            radii = crown * rng.uniform(0.25, 0.48) * rng.uniform(0.85, 1.15, 3)
            centre = np.array([x, y, stem + crown * 0.75]) + offset * [1, 1, 0.9]
            parts.append(Ellipsoid(centre, radii, texture, tint))
        return parts

    def _lamp(self, s: float, d: float, towards: int) -> list[Primitive]:
        (x, y), _ = self.line.points(np.array(s), np.array(d))
        T = self.line.frame(s, d)
        tint = (0.6, 0.66, 0.62)
        reach = (0.0, 1.6) if towards > 0 else (-1.6, 0.0)
        head = (1.1, 1.7) if towards > 0 else (-1.7, -1.1)
        return [
            Cylinder(np.array([x, y]), 0.08, 0.0, 6.2, self.metal, np.array(tint)),
            box((-0.04, 0.04), reach, (6.1, 6.2), self.metal, T, tint),
            box((-0.12, 0.12), head, (5.98, 6.12), self.metal, T, (1.3, 1.3, 1.2)),
        ]

    def _sign(self, s: float, d: float) -> list[Primitive]:
        (x, y), _ = self.line.points(np.array(s), np.array(d))
        T = self.line.frame(s, d)
        tint = [(1.5, 0.35, 0.3), (0.35, 0.6, 1.4), (1.5, 1.3, 0.4)][self.rng.integers(3)]
        high = float(self.rng.uniform(2.0, 2.4))
        return [
            Cylinder(np.array([x, y]), 0.04, 0.0, high, self.metal, np.array([1.1, 1.1, 1.1])),
            box((-0.06, -0.03), (-0.32, 0.32), (high - 0.15, high + 0.5), self.metal, T, tint),
        ]

    def _new_car(self) -> Car:
        rng = self.rng
        paint = PAINTS[rng.integers(len(PAINTS))]
        add = self.atlas.add
        side = add(textures.car_side(rng, paint), 4.3, 0.7)
        front, rear = (add(textures.car_end(rng, paint, k), 1.75, 0.7) for k in (True, False))
        top = add(textures.car_roof(rng, paint), 1, 1)
        glass, pane = (
            add(textures.car_glass(rng, paint, True), 2.6, 0.6),
            add(textures.car_glass(rng, paint, False), 1.55, 0.75),
        )
        van = rng.uniform() < 0.2
        length, shoulder, height = (4.6, 1.05, 2.1) if van else (4.2, 0.92, float(rng.uniform(1.42, 1.55)))
        a, b = length / 2, 0.85
        hull = [(-a, 0.26), (a, 0.26), (a, 0.72), (a - 0.12, 0.82 if not van else 1.0), (-a + 0.04, shoulder)]
        T = np.eye(4)
        parts = [prism(hull, -b, b, "y", [top, front, top, top, rear, side, side], T)]
        if van:
            cabin = [
                (-a + 0.05, shoulder - 0.02),
                (a - 0.75, shoulder - 0.1),
                (a - 1.3, height),
                (-a + 0.1, height),
            ]
            back = add(textures.car_glass(rng, paint, False), 1.64, 1.08)
            parts.append(prism(cabin, -0.82, 0.82, "y", [top, pane, top, back, glass, glass], T))
        else:
            cabin = [
                (-a + 0.25, shoulder - 0.02),
                (a - 1.05, shoulder - 0.1),
                (a - 1.75, height),
                (-a + 0.8, height),
            ]
            parts.append(prism(cabin, -0.74, 0.74, "y", [top, pane, top, pane, glass, glass], T))
        angle = np.arange(12) * np.pi / 6
        for x in (-a + 0.75, a - 0.8):
            for y in (-b - 0.015, b - 0.2):
                ring = [(x + 0.31 * float(np.cos(t)), 0.31 + 0.31 * float(np.sin(t))) for t in angle]
                parts.append(prism(ring, y, y + 0.215, "y", [self.rubber] * 12 + [self.wheel] * 2, T))
        return Car(parts)
